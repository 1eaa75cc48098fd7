//! Compares Limpid's twemproxy with the `nutcracker` of this machine, both in front of the same
//! server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::server::{Server, cpu_of, pinned, resident_of};
use super::verdict::{Findings, Ratio, another};
use super::{Programs, median, order_of};
use crate::workspace::on_path;

/// The highest CPU time of the proxy, as a multiple of nutcracker's.
///
/// Without a pipeline this is out of reach for readiness I/O: a request costs one `send` and one
/// `recv` at the client's socket at least, which is all that the proxy calls (nutcracker calls
/// `epoll_ctl` twice and `getpeername` once besides), and the kernel's time in these two alone,
/// most of it TCP over loopback, is about 0.6 of all that nutcracker takes. The proxy's own time is
/// some 0.4 of nutcracker's.
const GOAL: f64 = 0.5;

/// The rows: the test of redis-benchmark, the pipeline, requests per round.
const ROWS: [(&str, u32, u64); 4] =
    [("get", 1, 200_000), ("set", 1, 200_000), ("get", 16, 1_500_000), ("set", 16, 1_500_000)];

/// The highest memory of idle clients, as a multiple of nutcracker's.
const MEMORY_GOAL: f64 = 1.0;

/// The number of idle clients.
const IDLE: usize = 10_000;

/// A running proxy.
struct Proxy {
    child: Child,
    port: u16,
    dir: PathBuf,
}

/// Prints a row for each load. Returns the rows that missed their goal.
pub(super) fn beside_nutcracker(
    programs: &Programs,
    benchmark: &Path,
    rounds: usize,
    quick: bool,
) -> Result<Findings> {
    let mut found = Findings::default();
    let Some(nutcracker) = on_path("nutcracker") else {
        println!("\nproxy: there is no nutcracker here (on Debian: apt-get install nutcracker)");
        return Ok(found);
    };
    println!(
        "\n{:22} {:>8} {:>8} {:>6} {:>11} {:>6}",
        "proxy CPU, µs/op", "Limpid", "nutcr.", "ratio", "half within", "goal"
    );
    let backend = Server::start(&programs.redis, &[])?;
    let proxies = [
        Proxy::start(&programs.limpid, &["proxy", "--twemproxy", "n.yml"], backend.port())?,
        Proxy::start(&nutcracker, &["-c", "n.yml"], backend.port())?,
    ];
    for (test, pipeline, requests) in ROWS {
        let requests = if quick { requests / 5 } else { requests };
        let name = format!("nutcracker: {test} -P {pipeline}");
        let mut results = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        while another(ratios.len(), rounds, || vec![Ratio::of(&ratios).against(GOAL)]) {
            let mut cpu = [0.0; 2];
            for i in order_of(ratios.len()) {
                let before = cpu_of(proxies[i].child.id())?;
                load(benchmark, proxies[i].port, test, pipeline, requests)?;
                let used = cpu_of(proxies[i].child.id())?.saturating_sub(before);
                cpu[i] = used.as_secs_f64() * 1e6 / requests as f64;
                results[i].push(cpu[i]);
            }
            ratios.push(cpu[0] / cpu[1]);
        }
        let ratio = Ratio::of(&ratios);
        println!("{name:22} {}", ratio.row(results.map(median), GOAL));
        found.note(&name, ratio.against(GOAL));
    }
    let clients = if quick { IDLE / 10 } else { IDLE };
    let name = format!("nutcracker: {clients} idle");
    let grown = [idle_clients(&proxies[0], clients)?, idle_clients(&proxies[1], clients)?];
    let bytes = grown.map(|bytes| bytes as f64 / clients as f64);
    // Measured once each, so it cannot be undecided.
    let verdict = Ratio::of(&[bytes[0] / bytes[1]]).against(MEMORY_GOAL);
    println!(
        "{name:22} {:>8.0} {:>8.0} {:>6.2} {:>11} {MEMORY_GOAL:>6.2}{}   bytes a client",
        bytes[0],
        bytes[1],
        bytes[0] / bytes[1],
        "",
        verdict.mark()
    );
    found.note(&name, verdict);
    Ok(found)
}

/// By how many bytes a proxy grows when `clients` have sent a request and stay connected.
fn idle_clients(proxy: &Proxy, clients: usize) -> Result<u64> {
    let before = resident_of(proxy.child.id())?;
    let mut connected = Vec::with_capacity(clients);
    for _ in 0..clients {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port))
            .context("a client; a proxy and the bench need as many files (ulimit -n)")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n")?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        ensure!(&reply == b"$-1\r\n", "{}", String::from_utf8_lossy(&reply));
        connected.push(stream);
    }
    Ok(resident_of(proxy.child.id())?.saturating_sub(before))
}

fn load(benchmark: &Path, port: u16, test: &str, pipeline: u32, requests: u64) -> Result<()> {
    // On the backend's processor, so that the proxy has one to itself.
    let mut command = pinned(benchmark, 0);
    command.args(["-p", &port.to_string(), "-t", test, "-P", &pipeline.to_string()]);
    command.args(["-n", &requests.to_string(), "-c", "50", "-d", "64", "-r", "100000", "-q"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "redis-benchmark failed");
    Ok(())
}

impl Proxy {
    /// Starts a proxy on the second processor, in front of one server.
    fn start(program: &Path, args: &[&str], backend: u16) -> Result<Proxy> {
        let free = || {
            Ok::<_, anyhow::Error>(
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
            )
        };
        let (port, stats) = (free()?, free()?);
        let dir = std::env::temp_dir().join(format!("limpid-bench-proxy-{port}"));
        std::fs::create_dir_all(&dir)?;
        let config = format!(
            "bench:\n  listen: 127.0.0.1:{port}\n  redis: true\n  servers:\n   \
             - 127.0.0.1:{backend}:1\n"
        );
        std::fs::write(dir.join("n.yml"), config)?;
        let mut command: Command = pinned(program, 1);
        command.args(args).args(["-s", &stats.to_string(), "-a", "127.0.0.1"]).current_dir(&dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {program:?}"))?;
        let mut proxy = Proxy { child, port, dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = proxy.child.try_wait()? {
                bail!("{program:?} ended at once ({status})");
            }
            ensure!(Instant::now() < deadline, "{program:?} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The proxy may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
