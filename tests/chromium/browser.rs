//! Chromium, started without a window on a page that does some work and posts what came of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::signal;

/// What FANIN_TEST_CHROMIUM names, which must be there; else a Chromium on the path. `none` is for
/// machines that have no package of it, and is said by whoever says it.
pub fn browser() -> Option<String> {
    if let Ok(name) = std::env::var("FANIN_TEST_CHROMIUM") {
        return (name != "none").then_some(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path =
        |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find(|name| on_path(name)).unwrap_or_else(|| {
        panic!("no Chromium to test on: run `bash tests/run.sh`, which installs it (apt-get install chromium)")
    });
    Some((*found).to_owned())
}

/// A browser and all its processes, which end with this.
struct Browser(Child);

impl Browser {
    fn open(name: &str, address: &str, folder: &Path) -> Browser {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(name)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu-sandbox"])
            .args(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-quic", "--disable-dev-shm-usage"])
            .args(["--disable-default-apps", "--disable-extensions", "--mute-audio"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn();
        Browser(child.unwrap_or_else(|error| {
            panic!("{name}: {error}; `bash tests/run.sh` installs what the tests need")
        }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        signal(-i64::from(self.0.id()), "KILL");
        let _ = self.0.wait();
    }
}

enum Posted {
    Progress(String),
    Result(String),
}

/// Answers one request; what is posted is handed over.
fn answer(stream: TcpStream, work: &str, posted: &mpsc::Sender<Posted>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = match path {
        "/" => ("200 OK", "text/html", include_str!("page.html")),
        "/work.json" => ("200 OK", "application/json", work),
        "/result" | "/progress" => ("200 OK", "text/plain", ""),
        _ => ("404 Not Found", "text/plain", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let _ = match path {
        "/result" => posted.send(Posted::Result(text)),
        "/progress" => posted.send(Posted::Progress(text)),
        _ => Ok(()),
    };
    (&stream).write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

/// What the page makes of its work, as it says itself; the work is its `/work.json`.
pub fn result_of(name: &str, work: &Value) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    // A secure context, as WebGPU asks for, and of this machine alone.
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let work = work.to_string();
    let (post, posted) = mpsc::channel();
    let mut browser = Browser::open(name, &address, folder.path());
    let (start, mut at) = (Instant::now(), String::from("no request"));
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    std::thread::scope(|scope| {
        loop {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let (work, post) = (&work, post.clone());
                // A browser opens connections that it does not use.
                scope.spawn(move || drop(answer(stream, work, &post)));
                continue;
            }
            match posted.recv_timeout(Duration::from_millis(10)) {
                Ok(Posted::Result(result)) => {
                    drop(browser);
                    let result: Value = serde_json::from_str(&result).unwrap();
                    assert!(result["failed"].is_null(), "{}", result["failed"]);
                    return result;
                }
                Ok(Posted::Progress(text)) => at = text,
                Err(_) => {}
            }
            let ended = browser.0.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {ended:?}, at {at}\n{}", log());
            let late = start.elapsed() > Duration::from_secs(1200);
            assert!(!late, "{name} had no result after twenty minutes, at {at}\n{}", log());
        }
    })
}
