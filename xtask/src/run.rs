//! `cargo xtask run`: builds and starts a server and the page from a fresh checkout.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::web;
use crate::workspace::{Workspace, run, step};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server speaks the Redis protocol, on 127.0.0.1.
    #[arg(long, default_value_t = 6379)]
    port: u16,
    /// Where the page is, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// Passed on to `limpid playground`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds page and server, and replaces this process by `limpid playground`.
pub(crate) fn playground(ws: &Workspace, args: &Args) -> Result<()> {
    // Checked before the build, which takes minutes.
    require_free(args.port, "--port")?;
    require_free(args.http_port, "--http-port")?;

    web::build(ws, &web::Args { dev: false })?;
    step("Compiling the server (profile release)");
    run(ws.cargo().args(["build", "--release", "--locked", "-p", "limpid"]))?;

    let (port, http_port) = (args.port, args.http_port);
    step("Starting the playground; Ctrl-C ends it");
    let mut command = Command::new(ws.target().join("release").join("limpid"));
    command.args(["playground", "--port", &port.to_string()]);
    command.args(["--http-port", &http_port.to_string()]).args(&args.rest);
    Err(command.current_dir(ws.root()).exec().into())
}

fn require_free(port: u16, option: &str) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "port {port} of 127.0.0.1 cannot be used ({error}). Stop what listens there, or \
             choose another one: cargo xtask run {option} {}",
            port.checked_add(1).unwrap_or(1024)
        ),
    }
}
