//! One file over HTTP into a partial file. An interrupted download resumes where it ends.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body};

use super::address::{Address, masked};
use super::{CopyError, FetchError, Progress, copy, unwritable};
use crate::data::Packed;
use crate::files::{create, open_own};
use crate::threads;

/// Times that a file is asked for before a failing connection is given up.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest wait for an answer, and for each piece of the file.
const RECEIVE: Duration = Duration::from_secs(30);
/// Most redirects that are followed for a file.
const REDIRECTS: usize = 5;

/// How slow a download may be.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes that arrive in each window at least.
    pub bytes: u64,
    /// The window. A file whose first window is over soon enough is not looked at.
    pub window: Duration,
    /// Longest time for a file, with all attempts.
    pub total: Duration,
}

impl Default for Pace {
    /// A kilobyte a second, and four hours.
    fn default() -> Self {
        Self { bytes: 30_000, window: Duration::from_secs(30), total: Duration::from_secs(4 * 3600) }
    }
}

/// Where files are fetched from.
pub(super) struct Source {
    address: Address,
    agent: Agent,
    pace: Pace,
}

impl Source {
    pub(super) fn new(address: &str, pace: Pace) -> Result<Self, FetchError> {
        let unfit = || FetchError::Address { address: masked(address) };
        let address = Address::new(address.trim_end_matches('/')).ok_or_else(unfit)?;
        let config = Agent::config_builder()
            .https_only(address.is_secure())
            .http_status_as_error(false)
            // They are followed here, where it is known what they may lead to.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("pkdgan/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(RECEIVE))
            .timeout_per_read(Some(RECEIVE));
        Ok(Self { address, agent: config.build().into(), pace })
    }

    /// The address of a file, as it may be shown.
    pub(super) fn url(&self, packed: &Packed) -> String {
        masked(&self.of(packed).url)
    }

    fn of(&self, packed: &Packed) -> Address {
        Address { url: format!("{}/{}", self.address.url, packed.name), ..self.address.clone() }
    }

    /// Receives the rest of a file behind what there is of it in `part`.
    pub(super) fn download(
        &self,
        packed: &Packed,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let (mut attempt, mut pause) = (1, PAUSE);
        let started = Instant::now();
        loop {
            match self.attempt(packed, part, started, progress) {
                Err(error) if passing(&error) && attempt < ATTEMPTS && started.elapsed() < self.pace.total => {
                    tracing::warn!("{error}; attempt {} of {ATTEMPTS} follows", attempt + 1);
                    sleep(pause);
                }
                outcome => return outcome,
            }
            (attempt, pause) = (attempt + 1, 2 * pause);
        }
    }

    fn attempt(
        &self,
        packed: &Packed,
        part: &Path,
        started: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        let (url, limit) = (self.url(packed), packed.limit());
        let there = received(part);
        let (mut response, start) = self.request(&self.of(packed), there)?;
        let total = response.body().content_length().map(|length| start.saturating_add(length));
        if start.max(total.unwrap_or(0)) > limit {
            return Err(FetchError::TooLong { url, limit });
        }
        let mut file = open(part, start).map_err(unwritable(part))?;
        let mut done = start;
        let body = response.body_mut().as_reader().take(limit - start + 1);
        let mut body = Paced { body, pace: self.pace, started, window: Instant::now(), bytes: 0 };
        let copied = copy(&mut body, &mut file, &mut |read| {
            done += read;
            progress(Progress { file: &packed.name, done, total });
        });
        let cut = |reason| FetchError::Connection { url: url.clone(), received: done, reason };
        match copied {
            Err(CopyError::Read(reason)) => match reason.downcast::<TooSlow>() {
                Ok(reason) => Err(FetchError::Slow { url, received: done, reason }),
                Err(reason) => Err(cut(reason)),
            },
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
    fn request(&self, address: &Address, there: u64) -> Result<(Response<Body>, u64), FetchError> {
        let status = |response: &Response<Body>| response.status().as_u16();
        if there > 0 {
            let response = self.follow(address, Some(there))?;
            match status(&response) {
                206 if first_byte(&response) == Some(there) => return Ok((response, there)),
                200 => return Ok((response, 0)),
                206 | 416 => {}
                status => return Err(FetchError::Status { url: masked(&address.url), status }),
            }
        }
        let response = self.follow(address, None)?;
        match status(&response) {
            200 => Ok((response, 0)),
            status => Err(FetchError::Status { url: masked(&address.url), status }),
        }
    }

    /// Asks for an address, and then for those that the answers lead to. Names and passwords go to none of these.
    fn follow(&self, address: &Address, from: Option<u64>) -> Result<Response<Body>, FetchError> {
        let mut at = address.clone();
        for _ in 0..=REDIRECTS {
            let response = self.call(&at, from)?;
            let status = response.status().as_u16();
            let location = response.headers().get("Location").and_then(|location| location.to_str().ok());
            let Some(location) = location.filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308)) else {
                return Ok(response);
            };
            let to = at.join(location);
            let refused = || FetchError::Redirect { url: masked(&address.url), to: masked(&to) };
            at = Address::new(&to).filter(|to| to.is_secure() || !at.is_secure()).ok_or_else(refused)?;
        }
        Err(FetchError::Redirects { url: masked(&address.url), limit: REDIRECTS })
    }

    fn call(&self, address: &Address, from: Option<u64>) -> Result<Response<Body>, FetchError> {
        let mut request = self.agent.get(&address.url);
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(authorization) = &address.authorization {
            request = request.header("Authorization", authorization);
        }
        let url = || masked(&address.url);
        let request_error = |reason| FetchError::Request { url: url(), reason };
        // The name of the server is looked up on a thread, whose start would panic.
        threads::can_start().map_err(request_error)?;
        request.call().map_err(|error| {
            let received = from.unwrap_or(0);
            match error {
                ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
                    FetchError::Connection { url: url(), received, reason: error.into_io() }
                }
                _ => request_error(error.into_io()),
            }
        })
    }
}

/// Why a download was given up that did not stand still.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TooSlow {
    /// Too few bytes in a window.
    #[error("{bytes} bytes in {seconds:.0} s")]
    Rate {
        /// Bytes that arrived.
        bytes: u64,
        /// The window.
        seconds: f64,
    },
    /// Too much time for the file.
    #[error("not done after {seconds:.0} s")]
    Total {
        /// The time that it has.
        seconds: f64,
    },
}

/// A body that fails where it comes too slowly.
struct Paced<R> {
    body: R,
    pace: Pace,
    /// When the file was asked for first.
    started: Instant,
    /// When the present window began, and what arrived in it.
    window: Instant,
    bytes: u64,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.bytes += read as u64;
        let (elapsed, total) = (self.window.elapsed(), self.pace.total);
        if read > 0 && self.started.elapsed() > total {
            return Err(io::Error::other(TooSlow::Total { seconds: total.as_secs_f64() }));
        }
        if read > 0 && elapsed > self.pace.window {
            let least = self.pace.bytes as f64 * elapsed.as_secs_f64() / self.pace.window.as_secs_f64();
            if (self.bytes as f64) < least {
                return Err(io::Error::other(TooSlow::Rate { bytes: self.bytes, seconds: elapsed.as_secs_f64() }));
            }
            (self.window, self.bytes) = (Instant::now(), 0);
        }
        Ok(read)
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
