//! A small HTTP server on the loopback, one thread, which answers as it is told.
#![allow(dead_code)] // each test file uses what it needs

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Most requests that one server answers.
const MAX_REQUESTS: usize = 100;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub path: String,
    /// First byte of a `Range: bytes=N-` header.
    pub from: Option<usize>,
    /// Value of an `Authorization` header.
    pub authorization: Option<String>,
}

/// What is answered.
#[derive(Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub cut: Option<usize>,
    /// Time between any two bytes of the body.
    pub pause: Option<Duration>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: vec!["Content-Length: 0".into()], ..Self::default() }
    }

    /// The whole file, whatever range is asked for.
    pub(crate) fn whole(file: &[u8]) -> Self {
        Self {
            status: 200,
            headers: vec![format!("Content-Length: {}", file.len())],
            body: file.to_vec(),
            ..Self::default()
        }
    }

    /// The part of the file asked for.
    pub(crate) fn part(file: &[u8], request: &Request) -> Self {
        match request.from {
            None => Self::whole(file),
            Some(from) if from >= file.len() => Self::status(416),
            Some(from) => {
                let range = format!("Content-Range: bytes {from}-{}/{}", file.len() - 1, file.len());
                let mut reply = Self::whole(&file[from..]);
                reply.status = 206;
                reply.headers.push(range);
                reply
            }
        }
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    fn send(self, stream: &mut TcpStream) -> std::io::Result<()> {
        let headers: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "HTTP/1.1 {} Said\r\nConnection: close\r\n{headers}\r\n", self.status)?;
        let body = &self.body[..self.cut.unwrap_or(self.body.len())];
        let Some(pause) = self.pause else { return stream.write_all(body) };
        stream.set_nodelay(true)?;
        body.iter().try_for_each(|byte| {
            std::thread::sleep(pause);
            stream.write_all(&[*byte])
        })
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one that answers each request, the first numbered 0, with what `answer` says.
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, stopped) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (seen, stop) = (requests.clone(), stopped.clone());
        let thread = spawn(move || {
            for (number, stream) in listener.incoming().take(MAX_REQUESTS).enumerate() {
                let Ok(mut stream) = stream else { return };
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
                if let Some(request) = receive(&stream) {
                    seen.lock().unwrap().push(request.clone());
                    // A client that has heard enough hangs up.
                    let _ = answer(number, &request).send(&mut stream);
                }
            }
        });
        Self { address, requests, stopped, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The first bytes asked for so far, request by request.
    pub(crate) fn ranges(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|request| request.from).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn receive(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.take(8 << 10)).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let named = |line: &&String| line.split_once(':').is_some_and(|(said, _)| said.eq_ignore_ascii_case(name));
        headers.iter().find(named).and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let from = header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    Some(Request { path, from, authorization: header("authorization") })
}
