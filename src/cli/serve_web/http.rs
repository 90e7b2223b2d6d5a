//! As much of HTTP as a page from memory takes: each connection has a thread and is answered once. Browsers open
//! several, and leave some idle; none may wait for another.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Longest wait for the next bytes of a connection.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request, in bytes.
const MAX_BYTES: usize = 1 << 14;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;

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

/// Serves every connection, for ever.
pub(super) fn serve<'a>(listener: &TcpListener, answer: impl Fn(&Request) -> Answer<'a> + Sync) {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let answer = &answer;
            // A browser that went away in the middle wants nothing more.
            let converse = |stream| {
                if let Err(error) = converse(stream, answer) {
                    tracing::debug!("answer not delivered: {error}");
                }
            };
            let begun = stream.and_then(|stream| thread::Builder::new().spawn_scoped(scope, move || converse(stream)));
            if let Err(error) = begun {
                // Too many connections, most likely: some will end.
                tracing::debug!("connection not taken: {error}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    });
}

fn converse<'a>(mut stream: TcpStream, answer: &impl Fn(&Request) -> Answer<'a>) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(request) = receive(&mut stream)? else {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
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
    stream.write_all(&message)?;
    // What it still sends is read, or the answer might not arrive.
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(MAX_BYTES as u64), &mut io::sink())?;
    Ok(())
}

/// The head of a request; none where the bytes are no request.
fn receive(stream: &mut TcpStream) -> io::Result<Option<Request>> {
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
