//! One file over HTTP into a partial file. An interrupted download resumes where it ends.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::{CopyError, FetchError, Progress, copy, unwritable};
use crate::data::Packed;
use crate::files::{create, open_own};

/// Times that a file is asked for before a failing connection is given up.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest wait for an answer, and for each piece of the file.
const RECEIVE: Duration = Duration::from_secs(30);

/// Where files are fetched from.
pub(super) struct Source {
    address: String,
    agent: Agent,
}

impl Source {
    pub(super) fn new(address: &str) -> Result<Self, FetchError> {
        let secure = address.starts_with("https://");
        if !secure && !address.starts_with("http://") {
            return Err(FetchError::Address { address: address.to_owned() });
        }
        let config = Agent::config_builder()
            .https_only(secure)
            .http_status_as_error(false)
            .max_redirects(5)
            .user_agent(concat!("pkdgan/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(RECEIVE))
            .timeout_per_read(Some(RECEIVE));
        Ok(Self { address: address.trim_end_matches('/').to_owned(), agent: config.build().into() })
    }

    /// The address of a file.
    pub(super) fn url(&self, packed: &Packed) -> String {
        format!("{}/{}", self.address, packed.name)
    }

    /// Receives the rest of a file behind what there is of it in `part`.
    pub(super) fn download(
        &self,
        packed: &Packed,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            match self.attempt(packed, part, progress) {
                Err(error) if passing(&error) && attempt < ATTEMPTS => sleep(pause),
                outcome => return outcome,
            }
            (attempt, pause) = (attempt + 1, 2 * pause);
        }
    }

    fn attempt(&self, packed: &Packed, part: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), FetchError> {
        let (url, limit) = (self.url(packed), packed.limit());
        let there = received(part);
        let (mut response, start) = self.request(&url, there)?;
        let total = response.body().content_length().map(|length| start.saturating_add(length));
        if start.max(total.unwrap_or(0)) > limit {
            return Err(FetchError::TooLong { url, limit });
        }
        let mut file = open(part, start).map_err(unwritable(part))?;
        let mut done = start;
        let mut body = response.body_mut().as_reader().take(limit - start + 1);
        let copied = copy(&mut body, &mut file, &mut |read| {
            done += read;
            progress(Progress { file: &packed.name, done, total });
        });
        let cut = |reason| FetchError::Connection { url: url.clone(), received: done, reason };
        match copied {
            Err(CopyError::Read(reason)) => Err(cut(reason)),
            Err(CopyError::Write(reason)) => Err(unwritable(part)(reason)),
            Ok(()) if done > limit => {
                fs::remove_file(part).map_err(unwritable(part))?;
                Err(FetchError::TooLong { url, limit })
            }
            Ok(()) if total.is_some_and(|total| done < total) => Err(cut(io::ErrorKind::UnexpectedEof.into())),
            Ok(()) => file.sync_all().map_err(unwritable(part)),
        }
    }

    /// Asks for the file from byte `there` on, and says from which byte on the answer has it: that or 0.
    fn request(&self, url: &str, there: u64) -> Result<(Response<Body>, u64), FetchError> {
        let status = |response: &Response<Body>| response.status().as_u16();
        if there > 0 {
            let response = self.call(url, Some(there))?;
            match status(&response) {
                206 if first_byte(&response) == Some(there) => return Ok((response, there)),
                200 => return Ok((response, 0)),
                206 | 416 => {}
                status => return Err(FetchError::Status { url: url.to_owned(), status }),
            }
        }
        let response = self.call(url, None)?;
        match status(&response) {
            200 => Ok((response, 0)),
            status => Err(FetchError::Status { url: url.to_owned(), status }),
        }
    }

    fn call(&self, url: &str, from: Option<u64>) -> Result<Response<Body>, FetchError> {
        let mut request = self.agent.get(url);
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(|error| {
            let received = from.unwrap_or(0);
            match error {
                ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
                    FetchError::Connection { url: url.to_owned(), received, reason: error.into_io() }
                }
                _ => FetchError::Request { url: url.to_owned(), reason: error.into_io() },
            }
        })
    }
}

/// The first byte of a part of a file, as in `Content-Range: bytes 5-9/10`.
fn first_byte(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Whether a failure may be over at the next attempt.
fn passing(error: &FetchError) -> bool {
    match error {
        FetchError::Connection { .. } => true,
        FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
        _ => false,
    }
}

/// Bytes of a partial file; none where it is no file, but a link.
pub(super) fn received(part: &Path) -> u64 {
    fs::symlink_metadata(part).map_or(0, |part| if part.is_file() { part.len() } else { 0 })
}

/// Opens a file, new or not, to be written from byte `start` on, where it ends.
fn open(path: &Path, start: u64) -> io::Result<File> {
    if start == 0 {
        return create(path);
    }
    let mut file = open_own(path, File::options().write(true))?;
    file.set_len(start)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
