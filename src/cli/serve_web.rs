use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use pkdgan::model::ModelFile;
use pkdgan::run::model_file;
use rust_embed::RustEmbed;
use tiny_http::{Header, Method, Request, Response, Server};

use super::console::Console;

/// Arguments of `pkdgan serve-web`.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
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
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let model = arguments.model.as_deref().map(checked_model).transpose()?;
    let server = Server::http((Ipv4Addr::LOCALHOST, arguments.port)).map_err(|error| {
        let remedy = match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(ErrorKind::AddrInUse) => {
                "the port is in use; choose another with --port, or any that is free with --port 0"
            }
            Some(ErrorKind::PermissionDenied) => "ports below 1024 want privileges; choose another with --port",
            _ => "choose another port with --port",
        };
        anyhow!("127.0.0.1:{}: {error}; {remedy}", arguments.port)
    })?;
    let address = server.server_addr().to_ip().context("the server has no address")?;
    let server = Arc::new(server);
    let stopped = server.clone();
    ctrlc::set_handler(move || stopped.unblock()).context("ctrl-C cannot be caught")?;
    let mut stdout = io::stdout();
    writeln!(stdout, "http://{address}{PAGE}").and_then(|()| stdout.flush())?;
    Console::new(arguments.quiet).say("open this address in a browser on this machine; ctrl-C ends");
    for request in server.incoming_requests() {
        let answer = answer(&request, model.as_deref());
        // A browser that went away in the middle wants nothing more.
        if let Err(error) = request.respond(answer) {
            tracing::debug!("answer not delivered: {error}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a model file that can be used.
fn checked_model(path: &Path) -> anyhow::Result<Vec<u8>> {
    let path = model_file(path)?;
    ModelFile::read(&path)?;
    fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))
}

fn answer(request: &Request, model: Option<&[u8]>) -> Response<io::Cursor<Vec<u8>>> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return text(405, "only GET and HEAD are answered").with_header(header("Allow", "GET, HEAD"));
    }
    // A page from elsewhere whose name was made to point here is not to read what is served.
    let host = request.headers().iter().find(|header| header.field.equiv("Host")).map(|header| header.value.as_str());
    let named = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if !matches!(named, Some("127.0.0.1" | "localhost")) {
        return text(403, "ask for 127.0.0.1");
    }
    let path = request.url().split(['?', '#']).next().unwrap_or_default();
    let file = match path {
        "/" | "/web" => return text(302, "see /web/").with_header(header("Location", PAGE)),
        PAGE => Web::get("index.html"),
        MODEL if model.is_some() => {
            return with_type(Response::from_data(model.unwrap_or_default()), path);
        }
        _ => match (path.strip_prefix("/web/"), path.strip_prefix("/shaders/")) {
            (Some(name), _) => Web::get(name),
            (_, Some(name)) => Shaders::get(name),
            _ => None,
        },
    };
    match file {
        Some(file) => with_type(Response::from_data(file.data), if path == PAGE { "index.html" } else { path }),
        None => text(404, "no such file"),
    }
}

fn text(status: u16, text: &str) -> Response<io::Cursor<Vec<u8>>> {
    with_type(Response::from_data(format!("{text}\n")), ".txt").with_status_code(status)
}

fn with_type(response: Response<io::Cursor<Vec<u8>>>, path: &str) -> Response<io::Cursor<Vec<u8>>> {
    let kind = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wgsl" | "md" | "txt") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    // Whole, with their length: nothing that is served is made on the way.
    let response = response.with_chunked_threshold(usize::MAX);
    let headers = HEADERS.iter().map(|(name, value)| header(name, value));
    headers.fold(response.with_header(header("Content-Type", kind)), |response, header| response.with_header(header))
}

/// A header in ASCII.
fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("names and values are ASCII, written above")
}
