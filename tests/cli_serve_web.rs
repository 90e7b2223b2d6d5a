//! `pkdgan serve-web` as a browser sees it: what is served, what is refused, how it ends.

mod command;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use command::{Sandbox, stderr};

/// A server on a free port, ended when dropped.
struct Served {
    child: Child,
    /// Host and port.
    host: String,
}

/// Status line with headers, and body.
type Answer = (String, Vec<u8>);

impl Served {
    fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkdgan"));
        Self::of(command.args(["serve-web", "--quiet", "--port", "0"]).args(arguments))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix("/web/"));
        let host = host.unwrap_or_else(|| panic!("no address, but `{line}`")).to_owned();
        assert!(host.starts_with("127.0.0.1:"), "{host}");
        Self { child, host }
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_as(method, path, &self.host)
    }

    fn ask_as(&self, method: &str, path: &str, host: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes[end + 4..].to_vec())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn source(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_page_and_its_kernels_are_those_of_the_source_tree() {
    let served = Served::new(&[]);
    for (path, file, kind) in [
        ("/web/", "web/index.html", "text/html"),
        ("/web/page.js?v=1", "web/page.js", "text/javascript"),
        ("/web/style.css", "web/style.css", "text/css"),
        ("/web/samples/8.png", "web/samples/8.png", "image/png"),
        ("/web/model.safetensors", "web/model.safetensors", "application/octet-stream"),
        ("/shaders/fused_score.wgsl", "shaders/fused_score.wgsl", "text/plain"),
        ("/shaders/common/fused_place.wgsl", "shaders/common/fused_place.wgsl", "text/plain"),
    ] {
        let (head, body) = served.ask("GET", path);
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(&format!("Content-Type: {kind}")), "{path}: {head}");
        assert!(body == source(file), "{path} differs from {file}");
        let (head, body) = served.ask("HEAD", path);
        assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{path}: {head}");
    }
    let (head, _) = served.ask("GET", "/");
    assert!(head.starts_with("HTTP/1.1 302") && head.contains("Location: /web/"), "{head}");
}

#[test]
fn nothing_else_is_served() {
    let served = Served::new(&[]);
    for path in [
        "/Cargo.toml",
        "/web/../Cargo.toml",
        "/web/%2e%2e/Cargo.toml",
        "/web//etc/passwd",
        "/web/..\\Cargo.toml",
        "/shaders/../web/page.js",
        "/shaders/",
        "/web/samples",
        "//etc/passwd",
        "/web/page.js/",
    ] {
        let (head, body) = served.ask("GET", path);
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert_eq!(body, b"no such file\n");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = served.ask(method, "/web/");
        assert!(head.starts_with("HTTP/1.1 405") && head.contains("Allow: GET, HEAD"), "{method}: {head}");
    }
    let (head, _) = served.ask_as("GET", "/web/", "elsewhere.example:80");
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (head, _) = served.ask_as("GET", "/web/", "localhost:80");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn idle_connections_hold_up_nobody() {
    let served = Served::new(&[]);
    // As browsers do: opened beforehand, and kept.
    let idle: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(&served.host).unwrap()).collect();
    for _ in 0..8 {
        let (head, body) = served.ask("GET", "/web/");
        assert!(head.starts_with("HTTP/1.1 200") && body == source("web/index.html"), "{head}");
    }
    drop(idle);
    // What is no request is refused, and what is cut off is no harm.
    let mut stream = TcpStream::connect(&served.host).unwrap();
    stream.write_all(b"\0\x01nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    TcpStream::connect(&served.host).unwrap().write_all(b"GET /web/ HT").unwrap();
    assert!(served.ask("GET", "/web/").0.starts_with("HTTP/1.1 200"));
}

#[cfg(unix)]
#[test]
fn dripping_connections_and_few_file_descriptors_hold_up_nobody() {
    let shell = format!("ulimit -n 40; exec {} serve-web --quiet --port 0", env!("CARGO_BIN_EXE_pkdgan"));
    let served = Served::of(Command::new("sh").args(["-c", &shell]));
    let dripping = Arc::new(AtomicBool::new(true));
    let drip = |_| {
        let (mut stream, dripping) = (TcpStream::connect(&served.host).unwrap(), dripping.clone());
        spawn(move || {
            while dripping.load(Ordering::Relaxed) && stream.write_all(b"G").is_ok() {
                sleep(Duration::from_millis(100));
            }
        })
    };
    let threads: Vec<_> = (0..60).map(drip).collect();
    let started = Instant::now();
    for _ in 0..5 {
        let (head, body) = served.ask("GET", "/web/");
        assert!(head.starts_with("HTTP/1.1 200") && body == source("web/index.html"), "{head}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    dripping.store(false, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_model_of_ones_own_takes_the_place_of_the_one_that_ships() {
    let sandbox = Sandbox::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/model.safetensors");
    // The same model with other bytes: safetensors may have blanks behind the header.
    let bytes = fs::read(&shipped).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let (header, data) = bytes[8..].split_at(length as usize);
    let own = [&(length + 8).to_le_bytes()[..], header, b"        ", data].concat();
    sandbox.write("own.safetensors", &own);
    let served = Served::new(&["--model", sandbox.path("own.safetensors").to_str().unwrap()]);
    assert!(served.ask("GET", "/web/model.safetensors").1 == own);
    drop(served);

    sandbox.write("broken.safetensors", &bytes[..1_000]);
    for (file, fault) in [("broken.safetensors", "broken.safetensors: byte 0"), ("missing", "missing: cannot be read")]
    {
        let output = sandbox.pkdgan(&["serve-web", "--port", "0", "--model", file]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(fault), "{}", stderr(&output));
    }
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let served = Served::new(&[]);
    let (_, port) = served.host.split_once(':').unwrap();
    let output = Sandbox::new().pkdgan(&["serve-web", "--port", port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&served.host) && said.contains("in use") && said.contains("--port 0"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it() {
    let mut served = Served::new(&[]);
    let sent = Command::new("kill").args(["-INT", &served.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(served.child.wait().unwrap().success());
}
