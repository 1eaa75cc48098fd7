//! The folder `dist/` behind a plain web server, in a folder of its own as on a course's web site.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// Where on the server the page lies. Not at the top, so that an absolute URL in it finds nothing.
const FOLDER: &str = "/some/folder/";

/// As strict as what `limpid playground` sends.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'";

/// A web server that lives until the test process ends.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
}

impl Site {
    /// Serves what `cargo xtask web` has built.
    pub(crate) fn serve() -> Self {
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
        assert!(
            dist.join("index.html").is_file(),
            "there is no page in dist/; `cargo xtask web` builds it"
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let dist = dist.clone();
                // A browser that goes away in the middle of an answer is no failure.
                std::thread::spawn(move || drop(answer(&stream, &dist)));
            }
        });
        Site { address }
    }

    /// The page's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{FOLDER}", self.address)
    }
}

fn answer(mut stream: &TcpStream, dist: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);

    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let file = path.strip_prefix(FOLDER).filter(|file| !file.contains(".."));
    let file: Option<PathBuf> =
        file.map(|f| dist.join(if f.is_empty() { "index.html" } else { f }));
    match file.and_then(|file| Some((mime(&file), std::fs::read(&file).ok()?))) {
        Some((mime, body)) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\nContent-Length: {}\r\n\
                 Content-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n",
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
