//! A server of one folder's files, to this machine alone.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The page and its workers speak with nobody but this server.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
                      style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// By a name's ending; browsers take modules and workers of no other kinds.
const KINDS: [(&str, &str); 6] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("svg", "image/svg+xml"),
    ("json", "application/json"),
];

struct File {
    kind: &'static str,
    bytes: Vec<u8>,
}

/// Serves until the process ends.
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves a folder's files, as they are now.
    ///
    /// # Errors
    /// Where a file cannot be read, or the port is taken.
    pub fn start(folder: &Path, port: u16) -> io::Result<Server> {
        let mut files = HashMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let kind = KINDS.iter().find(|(own, _)| *own == ending);
            let kind = kind.map_or("application/octet-stream", |(_, kind)| kind);
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(format!("/{name}"), File { kind, bytes: fs::read(&path)? });
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let files = Arc::new(files);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = files.clone();
                // A browser opens connections that it does not use, and leaves others.
                thread::spawn(move || drop(answer(&stream, &files)));
            }
        });
        Ok(Server { address, thread })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does not come back.
    pub fn wait(self) {
        let _ = self.thread.join();
    }
}

/// Lines of a request at most, and bytes of them.
const LONGEST: u64 = 1 << 16;

fn answer(mut stream: &TcpStream, files: &HashMap<String, File>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let path = if path == "/" { "/index.html" } else { path };
    let none = File { kind: "text/plain", bytes: Vec::new() };
    let (status, file) = match (method, files.get(path)) {
        ("GET" | "HEAD", Some(file)) => ("200 OK", file),
        ("GET" | "HEAD", None) => ("404 Not Found", &none),
        _ => ("405 Method Not Allowed", &none),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: {POLICY}\r\n\r\n",
        file.kind,
        file.bytes.len()
    );
    stream.write_all(head.as_bytes())?;
    if method == "GET" {
        stream.write_all(&file.bytes)?;
    }
    Ok(())
}
