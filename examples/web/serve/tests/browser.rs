//! Chromium without a window, and its pages, by the DevTools protocol: what is asked for, and what came of it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use serve::{Built, Server, build};
use tempfile::TempDir;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket, connect};

/// What has WebGPU on a machine without a GPU.
pub const SOFTWARE: &[&str] = &["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// One browser at a time, since what it does is timed too.
static TURN: Mutex<()> = Mutex::new(());

/// The page, built once.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| build().unwrap())
}

/// Where the page is served.
fn address() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| Server::start(&built().folder, 0).unwrap());
    format!("http://{}/", server.address())
}

/// What FANIN_TEST_CHROMIUM names; else a Chromium on the path.
fn program() -> String {
    let named = std::env::var("FANIN_TEST_CHROMIUM").ok();
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path =
        |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        named.or_else(|| names.iter().find(|name| on_path(name)).map(|name| (*name).into()));
    found.expect("a Chromium to test on: apt-get install chromium, or FANIN_TEST_CHROMIUM=its path")
}

/// A browser of its own, with all its processes, which ends with this.
pub struct Browser {
    child: Child,
    folder: TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    last: u64,
    /// What pages and workers complained of.
    complaints: Vec<String>,
    /// What runs in each worker before its own code.
    before: String,
    _turn: MutexGuard<'static, ()>,
}

/// A page, by its session.
pub struct Page {
    browser: Browser,
    session: String,
}

impl Browser {
    /// Started with these flags beside those that a browser without a window needs.
    pub fn start(flags: &[&str]) -> Browser {
        // Before the turn: whoever has it is not to wait for a compiler.
        built();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, name) = (tempfile::tempdir().unwrap(), program());
        let profile = folder.path().join("profile");
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(&name)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu-sandbox"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-quic", "--disable-dev-shm-usage"])
            .args(["--disable-default-apps", "--disable-extensions", "--mute-audio"])
            .args(["--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let start = Instant::now();
        let port = loop {
            let text = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n') {
                break format!("ws://127.0.0.1:{port}{}", path.trim());
            }
            let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {ended:?}\n{}", log());
            assert!(start.elapsed() < PATIENCE, "{name} does not start\n{}", log());
            sleep(Duration::from_millis(20));
        };
        let (socket, _) = connect(port).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Browser {
            child,
            folder,
            socket,
            last: 0,
            complaints: Vec::new(),
            before: String::new(),
            _turn: turn,
        }
    }

    /// The page of the project, once it is loaded.
    pub fn open(self, path: &str) -> Page {
        let mut page = self.blank();
        page.go(path);
        page
    }

    /// A page with nothing on it yet.
    pub fn blank(mut self) -> Page {
        let target = self.ask("", "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.ask("", "Target.attachToTarget", attach)["sessionId"].clone();
        let session = session.as_str().unwrap().to_owned();
        self.listen(&session).unwrap();
        Page { browser: self, session }
    }

    /// Hears of errors of a page or worker, and of those that it starts. A worker may start while an answer is
    /// waited for, so none of these answers is.
    fn listen(&mut self, session: &str) -> Result<(), String> {
        let workers =
            json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
        self.send(session, "Target.setAutoAttach", workers)?;
        for domain in ["Runtime", "Log", "Network"] {
            self.send(session, &format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Asks for something, and comes back with what it came to.
    fn ask(&mut self, session: &str, method: &str, params: Value) -> Value {
        self.tried(session, method, params)
            .unwrap_or_else(|error| panic!("{method}: {error}\n{}", self.complaints.join("\n")))
    }

    fn tried(&mut self, session: &str, method: &str, params: Value) -> Result<Value, String> {
        let id = self.send(session, method, params)?;
        loop {
            let heard = self.hear()?;
            if heard["id"] == id {
                return match &heard["error"] {
                    Value::Null => Ok(heard["result"].clone()),
                    error => Err(error.to_string()),
                };
            }
        }
    }

    /// Asks for something, by the number that its answer will have.
    fn send(&mut self, session: &str, method: &str, params: Value) -> Result<u64, String> {
        self.last += 1;
        let id = self.last;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        self.socket.send(Message::text(message.to_string())).map_err(|error| error.to_string())?;
        Ok(id)
    }

    /// The next message; what it says of errors is kept.
    fn hear(&mut self) -> Result<Value, String> {
        let text = loop {
            match self.socket.read().map_err(|error| error.to_string())? {
                Message::Text(text) => break text,
                Message::Close(_) => return Err("the browser closed".into()),
                _ => {}
            }
        };
        let message: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let details = &params["exceptionDetails"];
                let description = &details["exception"]["description"];
                self.complaints.push(format!("exception: {} {description}", details["text"]));
            }
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                self.complaints.push(format!("console: {}", params["args"]));
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                self.complaints.push(format!("log: {} {}", entry["text"], entry["url"]));
            }
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                let own = ["http://127.0.0.1:", "data:", "blob:", "about:"];
                if !own.iter().any(|start| url.starts_with(start)) {
                    self.complaints.push(format!("a request to another host: {url}"));
                }
            }
            Some("Target.attachedToTarget") => {
                let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
                if params["targetInfo"]["type"] == "worker" {
                    self.listen(&session)?;
                    let before = json!({ "expression": self.before });
                    self.send(&session, "Runtime.evaluate", before)?;
                }
                self.send(&session, "Runtime.runIfWaitingForDebugger", json!({}))?;
            }
            _ => {}
        }
        Ok(message)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        // A process that ends late may still write into its profile.
        let _ = self.folder.path();
    }
}

impl Page {
    /// Loads a part of the project's page, such as `` or `#train`.
    pub fn go(&mut self, path: &str) {
        let url = format!("{}{path}", address());
        self.browser.ask(&self.session, "Page.enable", json!({}));
        self.browser.ask(&self.session, "Page.navigate", json!({ "url": url }));
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Runs a script in each document that is loaded from now on, before its own.
    pub fn before_each(&mut self, script: &str) {
        let params = json!({ "source": script });
        self.browser.ask(&self.session, "Page.enable", json!({}));
        self.browser.ask(&self.session, "Page.addScriptToEvaluateOnNewDocument", params);
    }

    /// Runs a script in each document and each worker that starts from now on, before its own.
    pub fn before_all(&mut self, script: &str) {
        self.before_each(script);
        script.clone_into(&mut self.browser.before);
    }

    /// What an expression comes to, once it is there where it is a promise.
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.try_evaluate(script).unwrap_or_else(|error| {
            panic!("{error}\nof: {script}\n{}", self.browser.complaints.join("\n"))
        })
    }

    /// The same, or what was thrown.
    pub fn try_evaluate(&mut self, script: &str) -> Result<Value, String> {
        let params = json!({
            "expression": script,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let came = self.browser.tried(&self.session, "Runtime.evaluate", params)?;
        match &came["exceptionDetails"] {
            Value::Null => Ok(came["result"]["value"].clone()),
            details => {
                let description = &details["exception"]["description"];
                Err(description.as_str().map_or_else(|| details.to_string(), str::to_owned))
            }
        }
    }

    /// Waits until an expression holds.
    pub fn wait_for(&mut self, condition: &str) {
        let start = Instant::now();
        while self.try_evaluate(condition).ok().is_none_or(|value| value != true) {
            if start.elapsed() > PATIENCE {
                let complaints = self.browser.complaints.join("\n");
                panic!("it never came to this: {condition}\n{complaints}");
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Clicks into the middle of an element, as it lies on the screen.
    pub fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const own = document.querySelector({selector:?}); \
             own.scrollIntoView({{ block: 'center' }}); const box = own.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params = json!({
                "type": kind,
                "x": place[0],
                "y": place[1],
                "button": if kind == "mouseMoved" { "none" } else { "left" },
                "clickCount": 1,
            });
            self.browser.ask(&self.session, "Input.dispatchMouseEvent", params);
        }
    }

    /// Draws a line through points, in pixels from an element's upper left corner, with the button held.
    pub fn drag(&mut self, selector: &str, points: &[(f64, f64)]) {
        let corner = self.evaluate(&format!(
            "(() => {{ const own = document.querySelector({selector:?}); \
             own.scrollIntoView({{ block: 'center' }}); const box = own.getBoundingClientRect(); \
             return [box.x + own.clientLeft, box.y + own.clientTop]; }})()"
        ));
        let from = [corner[0].as_f64().unwrap(), corner[1].as_f64().unwrap()];
        let mut send = |kind: &str, (x, y): (f64, f64)| {
            let params = json!({
                "type": kind, "x": from[0] + x, "y": from[1] + y, "button": "left", "buttons": 1, "clickCount": 1,
            });
            self.browser.ask(&self.session, "Input.dispatchMouseEvent", params);
        };
        let ends = (points[0], points[points.len() - 1]);
        send("mousePressed", ends.0);
        for point in points {
            send("mouseMoved", *point);
        }
        send("mouseReleased", ends.1);
    }

    /// Presses a key by its name, such as `Tab` or `ArrowRight`, and lets it go.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({
                "type": kind,
                "key": key,
                "code": if key == " " { "Space" } else { key },
                "windowsVirtualKeyCode": code,
            });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.browser.ask(&self.session, "Input.dispatchKeyEvent", params);
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.browser.ask(&self.session, "Input.insertText", json!({ "text": text }));
    }

    /// The size of the screen, in the page's pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let params = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.browser.ask(&self.session, "Emulation.setDeviceMetricsOverride", params);
    }

    /// What the reader prefers, such as `prefers-color-scheme` being `dark`.
    pub fn prefer(&mut self, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let params = json!({ "features": features });
        self.browser.ask(&self.session, "Emulation.setEmulatedMedia", params);
    }

    /// A picture of the page; where FANIN_TEST_PICTURES names a folder it is written there too.
    pub fn screenshot(&mut self, name: &str) -> Vec<u8> {
        let taken = self.browser.ask(&self.session, "Page.captureScreenshot", json!({}));
        let png = BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        if let Some(folder) = std::env::var_os("FANIN_TEST_PICTURES") {
            let path: PathBuf = Path::new(&folder).join(format!("{name}.png"));
            fs::write(&path, &png).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        png
    }

    /// Ends the process that drives the GPU, as where its driver fails.
    pub fn crash_gpu(&mut self) {
        self.browser.ask("", "Browser.crashGpuProcess", json!({}));
    }

    /// What was complained of so far; from now on none of it.
    pub fn complaints(&mut self) -> Vec<String> {
        // Whatever was said before is heard with this.
        self.evaluate("0");
        std::mem::take(&mut self.browser.complaints)
    }

    /// Ends the browser. Nothing is to have been complained of.
    pub fn close(mut self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    /// What the engine answers, as JSON; typed arrays are arrays of numbers.
    pub fn call(&mut self, method: &str, args: &Value) -> Result<Value, Value> {
        let script = format!(
            "(async () => {{
                const {{ Engine }} = await import('./engine.js');
                globalThis.tested ??= new Engine('tested');
                const plain = (key, value) => ArrayBuffer.isView(value) ? [...value] : value;
                const progress = [];
                try {{
                    const onProgress = (value) => progress.push(value);
                    const answer = await tested.call({method:?}, {args}, {{ onProgress }});
                    return JSON.stringify({{ answer, progress }}, plain);
                }} catch ({{ name, message, code }}) {{
                    return JSON.stringify({{ failed: {{ name, message, code }}, progress }});
                }}
            }})()"
        );
        let came = self.evaluate(&script);
        let mut came: Value = serde_json::from_str(came.as_str().unwrap()).unwrap();
        match came["failed"].take() {
            Value::Null => Ok(came),
            failed => Err(failed),
        }
    }

    /// The answer alone, which is to be there.
    pub fn answer(&mut self, method: &str, args: &Value) -> Value {
        self.call(method, args)
            .unwrap_or_else(|failed| panic!("{method} {args}: {failed}"))["answer"]
            .take()
    }

    /// Why there is no answer.
    pub fn failure(&mut self, method: &str, args: &Value) -> Value {
        match self.call(method, args) {
            Ok(answer) => panic!("{method} {args} came to {answer}"),
            Err(failed) => failed,
        }
    }
}
