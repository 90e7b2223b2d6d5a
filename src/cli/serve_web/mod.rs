//! `pkdgan serve-web`: the page that scores in a browser, with its kernels and model. HTTP itself is in `http.rs`.

mod http;

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use pkdgan::model::ScoreKind;
use pkdgan::unstable::model::read_with_bytes;
use pkdgan::unstable::run::model_file;
use rust_embed::RustEmbed;

use super::console::Console;
use http::{Answer, Limits, Request};

/// Arguments of `pkdgan serve-web`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Model file that the page begins with, or a run folder, whose model.safetensors is used [default: a student of the
    /// digit 8 of MNIST]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Port to listen on; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Print the address only
    #[arg(long, short)]
    quiet: bool,
}

const HELP: &str = "Examples:
  pkdgan serve-web                                        then open the address that it prints
  pkdgan serve-web --model runs/mnist-8-default-seed0     with a student of one's own

The page draws, reads and scores pictures by WebGPU in the browser; nothing leaves the machine, and only this machine is
served. Students of other runs can also be dropped on it. ctrl-C ends.";

/// The page.
#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// The kernels that it runs.
#[derive(RustEmbed)]
#[folder = "shaders/"]
struct Shaders;

/// Where the page begins. It looks for the kernels in `../shaders/`, as in the source tree.
const PAGE: &str = "/web/";
/// The model that the page begins with.
const MODEL: &str = "/web/model.safetensors";
/// What every answer says: nobody else's page may have it, or show it in a frame.
const HEADERS: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
    ("Cache-Control", "no-cache"),
];

/// Serves the page that scores in a browser, until ctrl-C.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let model = arguments.model.as_deref().map(checked_model).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "the port is in use; choose another with --port, or any that is free with --port 0",
            ErrorKind::PermissionDenied => "ports below 1024 want privileges; choose another with --port",
            _ => "choose another port with --port",
        };
        anyhow!("127.0.0.1:{}: {error}; {remedy}", arguments.port)
    })?;
    let address = listener.local_addr().context("the server has no address")?;
    ctrlc::set_handler(|| std::process::exit(0)).context("ctrl-C cannot be caught")?;
    let mut stdout = io::stdout();
    writeln!(stdout, "http://{address}{PAGE}").and_then(|()| stdout.flush())?;
    Console::new(arguments.quiet).say("open this address in a browser on this machine; ctrl-C ends");
    http::serve(&listener, Limits::USUAL, |request| answer(request, model.as_deref()));
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a model file that can be used.
fn checked_model(path: &Path) -> anyhow::Result<Vec<u8>> {
    let path = model_file(path)?;
    let (model, bytes) = read_with_bytes(&path)?;
    if model.score != ScoreKind::Latent {
        bail!(
            "{}: it scores by `{}`, and the page computes the latent distance; make a file for it with `pkdgan export {} \
             --format safetensors-f16 --score latent`",
            path.display(),
            model.score,
            path.display()
        );
    }
    Ok(bytes)
}

fn answer<'a>(request: &Request, model: Option<&'a [u8]>) -> Answer<'a> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return text("405 Method Not Allowed", "only GET and HEAD are answered", Some(("Allow", "GET, HEAD")));
    }
    // A page from elsewhere whose name was made to point here is not to read what is served.
    let host = request.host.as_deref();
    let named = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if !matches!(named, Some("127.0.0.1" | "localhost")) {
        return text("403 Forbidden", "ask for 127.0.0.1", None);
    }
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    let file = match path {
        "/" | "/web" => return text("302 Found", "see /web/", Some(("Location", PAGE))),
        PAGE => Web::get("index.html").map(|file| file.data),
        MODEL if model.is_some() => model.map(Cow::Borrowed),
        _ => match (path.strip_prefix("/web/"), path.strip_prefix("/shaders/")) {
            (Some(name), _) => Web::get(name).map(|file| file.data),
            (_, Some(name)) => Shaders::get(name).map(|file| file.data),
            _ => None,
        },
    };
    match file {
        Some(body) => with_headers("200 OK", kind(if path == PAGE { "index.html" } else { path }), body),
        None => text("404 Not Found", "no such file", None),
    }
}

fn text(status: &'static str, text: &str, header: Option<(&'static str, &'static str)>) -> Answer<'static> {
    let mut answer = with_headers(status, kind(".txt"), Cow::Owned(format!("{text}\n").into_bytes()));
    answer.headers.extend(header);
    answer
}

fn with_headers<'a>(status: &'static str, kind: &'static str, body: Cow<'a, [u8]>) -> Answer<'a> {
    let headers = HEADERS.iter().copied().chain([("Content-Type", kind)]).collect();
    Answer { status, headers, body }
}

/// What a file holds, by its ending.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wgsl" | "md" | "txt") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
