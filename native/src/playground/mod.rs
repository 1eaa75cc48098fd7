//! `limpid playground`: a server and the page over HTTP in one process; or only the page, attached
//! to servers that run elsewhere.

mod attach;
mod lessons;
mod page;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use limpid_core::machine::LogLevel;
use limpid_core::server::config::Config;

use crate::server::{self, Log, Milestones};

/// The server and the page that comes with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the server speaks the Redis protocol
    #[arg(long, default_value_t = 6379)]
    port: u16,
    /// Where the page is
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// The address that both listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// A folder with lessons of your own, which the page shows instead of its own; an open page
    /// shows each change
    #[arg(long, value_name = "DIR")]
    lessons: Option<PathBuf>,
    /// Starts no server, but shows running ones: the deployment that this node belongs to, as
    /// host:port or redis://user:password@host:port; may be given several times
    #[arg(long, value_name = "ADDRESS", conflicts_with = "port")]
    attach: Vec<attach::Seed>,
}

/// Runs both until the server ends.
pub(crate) fn main(options: &Options) -> ExitCode {
    start(options).unwrap_or_else(|error| {
        eprintln!("limpid: {error:#}");
        ExitCode::FAILURE
    })
}

fn start(options: &Options) -> Result<ExitCode> {
    let redis = SocketAddr::from((options.bind, options.port));
    let http = SocketAddr::from((options.bind, options.http_port));
    if let Some(folder) = options.lessons.as_ref().filter(|folder| !folder.is_dir()) {
        bail!(
            "there is no folder {}. limpid lesson new {} writes a template for a lesson",
            folder.display(),
            folder.join("mine/first.md").display()
        );
    }
    if !options.attach.is_empty() {
        let listener = listen(http, "--http-port")?;
        return attached(listener, options);
    }
    // Checks that the port is free, since the server would report that only in its log.
    drop(listen(redis, "--port")?);
    let listener = listen(http, "--http-port")?;
    let http = listener.local_addr().context("the page's address is unknown")?;
    listener.set_nonblocking(true)?;
    serve(listener, page::router(options.lessons.clone(), None))?;

    let mut config = Config::default();
    for (directive, value) in [
        ("port", options.port.to_string()),
        ("bind", options.bind.to_string()),
        // Nothing is saved: a playground leaves no files in the current directory.
        ("save", String::new()),
    ] {
        config.set(directive, value.as_bytes()).map_err(anyhow::Error::msg)?;
    }
    let log = Log::new("", Some(LogLevel::Notice));
    let ready = Box::new(move || {
        let host = redis.ip();
        println!(
            "\n  Redis protocol  {redis}    redis-cli -h {host} -p {}\n  page            http://{http}\n",
            redis.port()
        );
    });
    server::run(config, log, Milestones { ready: Some(ready), ..Milestones::default() })
}

/// Opens a listener; the error names the option with which another port can be chosen.
fn listen(address: SocketAddr, option: &str) -> Result<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {} of {} is taken by another program. Stop that one, or choose another port \
             with {option}, as in: limpid playground {option} {}",
            address.port(),
            address.ip(),
            address.port().checked_add(1).unwrap_or(1024),
        ),
        Err(e) => Err(e).with_context(|| {
            format!("cannot listen on {address}. Choose another address with --bind or {option}")
        }),
    }
}

/// Shows a deployment that runs elsewhere, until a signal ends the process.
fn attached(listener: TcpListener, options: &Options) -> Result<ExitCode> {
    listener.set_nonblocking(true)?;
    let http = listener.local_addr().context("the page's address is unknown")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let attached = attach::Attached::start(&options.attach).await?;
        println!("\n  page            http://{http}/?attached\n");
        let router = page::router(options.lessons.clone(), Some(attached));
        axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Serves the page on a thread of its own, so that it never blocks the server.
fn serve(listener: TcpListener, router: axum::Router) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("http".into()).spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        if let Err(error) = served {
            eprintln!("limpid: serving the page failed: {error}");
        }
    })?;
    Ok(())
}
