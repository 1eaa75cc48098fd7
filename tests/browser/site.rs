//! Web servers for the tests: `dist/` in a subfolder of a plain web server, as on a course's web
//! site, and pages of other origins.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The folder of the page on the server: not the root, so that absolute URLs in it would fail.
const FOLDER: &str = "/some/folder/";

/// A Content-Security-Policy as strict as that of `limpid playground`.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'";

/// A strict policy of a course's page, as `docs/embedding.md` gives it: scripts, pictures and
/// frames of the lab's web site, and nothing inline.
const HOST_POLICY: &str = "default-src 'none'; script-src 'self' http://127.0.0.1:*; \
     img-src http://127.0.0.1:*; frame-src http://127.0.0.1:*";

/// A web server that lives until the test process ends.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    /// The paths that were requested.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Serves the page as built by `cargo xtask web`.
    pub(crate) fn serve() -> Self {
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
        assert!(
            dist.join("index.html").is_file(),
            "there is no page in dist/; `cargo xtask web` builds it"
        );
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let address = listen(POLICY, move |path| {
            log.lock().expect("no test panics here").push(path.to_owned());
            let file = path.strip_prefix(FOLDER).filter(|file| !file.contains(".."))?;
            let file = dist.join(if file.is_empty() { "index.html" } else { file });
            Some((mime(&file), std::fs::read(&file).ok()?))
        });
        Site { address, asked }
    }

    /// The page's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{FOLDER}", self.address)
    }

    /// How many files with this suffix were requested.
    pub(crate) fn loads_of(&self, ending: &str) -> usize {
        let asked = self.asked.lock().expect("no test panics here");
        asked.iter().filter(|path| path.ends_with(ending)).count()
    }
}

/// A web site of another origin: a course, or a course platform.
#[derive(Debug)]
pub(crate) struct Host {
    address: SocketAddr,
}

impl Host {
    /// Serves files by their names. The one with an empty name is the page.
    pub(crate) fn serve(files: &[(&str, &str)]) -> Self {
        let files: Vec<(String, String)> =
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let address = listen(HOST_POLICY, move |path| {
            let name = path.trim_start_matches('/');
            // Browsers request the icon, and report an error on the console if it is missing.
            if name == "favicon.ico" {
                return Some(("image/x-icon", Vec::new()));
            }
            let (_, text) = files.iter().find(|(known, _)| known == name)?;
            let name = if name.is_empty() { "index.html" } else { name };
            Some((mime(Path::new(name)), text.clone().into_bytes()))
        });
        Host { address }
    }

    /// The address of its page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// A response: media type and bytes.
type Served = (&'static str, Vec<u8>);

/// Starts a web server that calls a function for each path. Returns its address.
fn listen(
    policy: &'static str,
    answer: impl Fn(&str) -> Option<Served> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A browser that disconnects during an answer is no failure.
            std::thread::spawn(move || drop(respond(&stream, policy, &answer)));
        }
    });
    address
}

fn respond(
    mut stream: &TcpStream,
    policy: &str,
    answer: &dyn Fn(&str) -> Option<Served>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);

    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match answer(path) {
        Some((mime, body)) => {
            // As `limpid playground` does: files with a hash in their names are cached, and pages
            // of other origins may load them.
            let is_hashed = path.rsplit('-').next().is_some_and(|end| end.len() > 18);
            let cache = if is_hashed { "max-age=31536000, immutable" } else { "no-cache" };
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\nContent-Length: {}\r\n\
                 Content-Security-Policy: {policy}\r\nCache-Control: {cache}\r\n\
                 Access-Control-Allow-Origin: *\r\n\
                 Cross-Origin-Resource-Policy: cross-origin\r\nConnection: close\r\n\r\n",
                body.len()
            )?;
            stream.write_all(&body)
        }
        None => {
            write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        }
    }
}

fn mime(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}
