//! As much of HTTP as a page from memory takes: each connection has a thread and is answered once. Browsers open
//! several, and leave some idle; none may wait for another. So there are only so many at a time, each for only so long,
//! and those that ask for nothing make room for new ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Longest head of a request, in bytes.
const MAX_BYTES: usize = 1 << 14;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// How many connections there may be, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Time from the opening of a connection to the end of its request.
    pub request: Duration,
    /// Time for the answer to be taken.
    pub answer: Duration,
}

impl Limits {
    /// As many connections as few file descriptors allow: browsers open six.
    pub(super) const USUAL: Self =
        Self { connections: 24, request: Duration::from_secs(30), answer: Duration::from_secs(60) };
}

/// What is asked for.
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub host: Option<String>,
}

/// What is answered.
pub(super) struct Answer<'a> {
    /// Code and phrase, as `200 OK`.
    pub status: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Cow<'a, [u8]>,
}

/// A connection that is open.
struct Open {
    stream: Arc<TcpStream>,
    /// Whether its request is there.
    asked: bool,
}

/// The connections that are open, by number, the oldest first.
#[derive(Default)]
struct Connections(Mutex<BTreeMap<u64, Open>>);

impl Connections {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        // What it holds is right between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the oldest connection that asks for nothing yet, else the oldest one, where there are more than so many.
    fn make_room(&self, most: usize) {
        let mut all = self.all();
        while all.len() > most {
            let idle = all.iter().find(|(_, open)| !open.asked).map(|(&number, _)| number);
            let Some(number) = idle.or_else(|| all.keys().next().copied()) else { break };
            if let Some(open) = all.remove(&number) {
                // Its thread hears of it. A connection that is gone needs no end.
                let _ = open.stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Serves every connection, for ever.
pub(super) fn serve<'a>(listener: &TcpListener, limits: Limits, answer: impl Fn(&Request) -> Answer<'a> + Sync) {
    let connections = Connections::default();
    let mut number = 0;
    thread::scope(|scope| {
        for stream in listener.incoming() {
            number += 1;
            let (answer, connections, number) = (&answer, &connections, number);
            let begun = stream.map(Arc::new).and_then(|stream| {
                connections.make_room(limits.connections - 1);
                connections.all().insert(number, Open { stream: stream.clone(), asked: false });
                let converse = move || {
                    let asked = || {
                        if let Some(open) = connections.all().get_mut(&number) {
                            open.asked = true;
                        }
                    };
                    // A browser that went away in the middle wants nothing more.
                    if let Err(error) = converse(&stream, limits, answer, asked) {
                        tracing::debug!("answer not delivered: {error}");
                    }
                    connections.all().remove(&number);
                };
                thread::Builder::new().spawn_scoped(scope, converse)
            });
            if let Err(error) = begun {
                // Too many file descriptors or threads, most likely. Who waits is let in when some are gone.
                tracing::debug!("connection not taken: {error}");
                let mut all = connections.all();
                all.remove(&number);
                let half = all.len() / 2;
                drop(all);
                connections.make_room(half);
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
}

fn converse<'a>(
    stream: &TcpStream,
    limits: Limits,
    answer: &impl Fn(&Request) -> Answer<'a>,
    asked: impl FnOnce(),
) -> io::Result<()> {
    let mut timed = Timed { stream, until: Instant::now() + limits.request };
    let request = receive(&mut timed)?;
    asked();
    timed.until = Instant::now() + limits.answer;
    let Some(request) = request else {
        return timed.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    };
    let Answer { status, headers, body } = answer(&request);
    let mut message =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        write!(message, "{name}: {value}\r\n")?;
    }
    message.extend_from_slice(b"\r\n");
    if request.method != "HEAD" {
        message.extend_from_slice(&body);
    }
    timed.write_all(&message)?;
    // What it still sends is read, or the answer might not arrive.
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut timed.take(MAX_BYTES as u64), &mut io::sink())?;
    Ok(())
}

/// A connection on which nothing may take longer than to a point in time.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        // No time at all would be no limit.
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The head of a request; none where the bytes are no request.
fn receive(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 2048]);
    while bytes.len() < MAX_BYTES {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(&bytes) {
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {
                let host = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
                let host = host.map(|host| String::from_utf8_lossy(host.value).into_owned());
                let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
                return Ok(Some(Request { method: text(head.method), path: text(head.path), host }));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with these limits, for as long as the tests take; every answer has so many bytes.
    fn served(limits: Limits, bytes: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            serve(&listener, limits, |_| Answer { status: "200 OK", headers: Vec::new(), body: vec![7; bytes].into() })
        });
        address
    }

    /// How long a connection lasts that is written to from time to time.
    fn lasts(mut stream: TcpStream, every: Duration) -> Duration {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if stream.write_all(b"x").is_err() {
                break;
            }
            thread::sleep(every);
        }
        started.elapsed()
    }

    #[test]
    fn a_request_that_drips_has_a_time_in_all() {
        let limits = Limits { request: Duration::from_millis(400), ..Limits::USUAL };
        let mut stream = TcpStream::connect(served(limits, 10)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        let lasted = lasts(stream, Duration::from_millis(50));
        assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&lasted), "{lasted:?}");
    }

    #[test]
    fn an_answer_that_is_not_taken_has_a_time_in_all() {
        let limits = Limits { answer: Duration::from_millis(400), ..Limits::USUAL };
        let mut stream = TcpStream::connect(served(limits, 64 << 20)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // Slowly, but never long without a byte.
        let (started, mut bytes, mut piece) = (Instant::now(), 0, [0; 4096]);
        while let Ok(read) = stream.read(&mut piece)
            && read > 0
            && started.elapsed() < Duration::from_secs(20)
        {
            bytes += read;
            // What the system holds ready is taken fast once the server has given up.
            if started.elapsed() < Duration::from_millis(800) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(bytes < 64 << 20, "all of it arrived");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn who_asks_for_nothing_makes_room_for_who_does() {
        let limits = Limits { connections: 4, ..Limits::USUAL };
        let address = served(limits, 10);
        let open = || TcpStream::connect(address).unwrap();
        let idle: Vec<TcpStream> = (0..12).map(|_| open()).collect();
        let mut asking = open();
        asking.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        asking.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        // The oldest are gone, the latest are not.
        let is_gone = |mut stream: &TcpStream| {
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            matches!(stream.read(&mut [0]), Ok(0))
        };
        assert!(is_gone(&idle[0]) && is_gone(&idle[8]) && !is_gone(&idle[11]));
    }
}
