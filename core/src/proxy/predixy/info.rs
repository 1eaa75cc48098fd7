//! INFO, CONFIG, and latency statistics.

use core::fmt::Write;

use super::config::{Monitor, parse_memory};
use super::{Predixy, PredixyEngine, Role, VERSION};
use crate::machine::Endpoint;
use crate::proxy::engine::ClientId;
use crate::proxy::request::{Request, write_bulk, write_head};
use crate::time::{Duration, Now};

/// The latencies measured by a monitor.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    /// For each bucket the number of requests, and the sum of their microseconds; the last bucket
    /// has no upper bound.
    spans: Vec<(u64, u64)>,
    longest: u64,
}

impl Latency {
    /// Adds the latency of a request.
    pub(super) fn add(&mut self, monitor: &Monitor, micros: u64) {
        self.spans.resize(monitor.spans.len() + 1, (0, 0));
        let span = monitor.spans.partition_point(|&end| end < micros);
        if let Some((count, total)) = self.spans.get_mut(span) {
            *count += 1;
            *total += micros;
        }
        if span == monitor.spans.len() {
            self.longest = self.longest.max(micros);
        }
    }

    fn write(&self, out: &mut String, monitor: &Monitor) {
        let all: u64 = self.spans.iter().map(|(count, _)| count).sum();
        if all == 0 {
            return;
        }
        let mut below = 0;
        let mut total = 0;
        for (i, (count, micros)) in self.spans.iter().enumerate() {
            total += micros;
            below += count;
            if *count == 0 {
                continue;
            }
            let _ = match monitor.spans.get(i) {
                Some(end) => {
                    let hundredths =
                        (u128::from(below) * 10_000 + u128::from(all) / 2) / u128::from(all);
                    let (whole, part) = (hundredths / 100, hundredths % 100);
                    writeln!(out, "<= {end:>12} {micros:>20} {count:>16} {whole}.{part:02}%")
                }
                None => writeln!(out, ">  {:>12} {micros:>20} {count:>16} 100.00%", self.longest),
            };
        }
        let _ = writeln!(out, "T  {:>12} {total:>20} {all:>16}", total / all);
    }
}

impl Predixy {
    pub(super) fn info(
        &mut self,
        engine: &mut PredixyEngine,
        now: Now<'_>,
        client: ClientId,
        request: &Request<'_>,
    ) {
        let word = String::from_utf8_lossy(request.arg(1)).to_ascii_lowercase();
        let text = match word.as_str() {
            "resetstats" => {
                self.reset_stats();
                return engine.answer(client, b"+OK\r\n");
            }
            "latency" => self.latency(request),
            "serverlatency" => self.server_latency(request),
            _ => Ok(self.sections(engine, now, &word)),
        };
        let mut reply = Vec::new();
        match text {
            Ok(text) => write_bulk(&mut reply, text.as_bytes()),
            Err(error) => reply.extend_from_slice(error.as_bytes()),
        }
        engine.answer(client, &reply);
    }

    pub(super) fn reset_stats(&mut self) {
        self.stats = Default::default();
        self.latencies.fill(Latency::default());
        for server in &mut self.topology.servers {
            server.stats = Default::default();
            server.latencies.fill(Latency::default());
        }
    }

    fn sections(&self, engine: &PredixyEngine, now: Now<'_>, word: &str) -> String {
        let mut out = String::new();
        let wanted = |names: &[&str]| word.is_empty() || word == "all" || names.contains(&word);
        if wanted(&["proxy", "server"]) {
            let uptime = self.started.as_secs();
            let _ = write!(
                out,
                "# Proxy\nVersion:{VERSION}\nName:{}\nBind:{}\nRedisMode:proxy\n\
                 SingleThread:true\nWorkerThreads:{}\nUptime:{uptime}\nUptimeSince:{}\n\n",
                self.config.name,
                bind(&self.config.bind),
                self.config.worker_threads,
                date(uptime),
            );
        }
        if wanted(&["systemresource"]) {
            let seconds =
                |time: Duration| format!("{}.{:03}", time.as_secs(), time.subsec_millis());
            let _ = write!(
                out,
                "# SystemResource\nUsedMemory:{}\nMaxMemory:{}\nMaxRSS:{}\nUsedCpuSys:{}\n\
                 UsedCpuUser:{}\n\n",
                self.vitals.resident,
                self.config.max_memory,
                self.vitals.resident,
                seconds(self.vitals.cpu_system),
                seconds(self.vitals.cpu_user),
            );
        }
        if wanted(&["stats"]) {
            let stats = &self.stats;
            let _ = write!(
                out,
                "# Stats\nAccept:{}\nClientConnections:{}\nTotalRequests:{}\nTotalResponses:{}\n\
                 TotalRecvClientBytes:{}\nTotalSendServerBytes:{}\nTotalRecvServerBytes:{}\n\
                 TotalSendClientBytes:{}\n\n",
                stats.accept,
                engine.clients_len(),
                stats.requests,
                stats.responses,
                stats.recv_client_bytes,
                stats.send_server_bytes,
                stats.recv_server_bytes,
                stats.send_client_bytes,
            );
        }
        if wanted(&["servers"]) {
            out.push_str("# Servers\n");
            for (index, server) in self.topology.servers.iter().enumerate() {
                if server.role == Role::Sentinel {
                    continue;
                }
                let group = server.group.and_then(|group| self.topology.groups.get(group));
                let center = server.center.and_then(|i| self.config.data_centers.get(i));
                let connections = engine.links().filter(|link| link.data.server == index).count();
                let stats = &server.stats;
                let _ = write!(
                    out,
                    "Server:{}\nRole:{}\nGroup:{}\nDC:{}\nCurrentIsFail:{}\nConnections:{connections}\n\
                     Connect:{}\nRequests:{}\nResponses:{}\nSendBytes:{}\nRecvBytes:{}\n\n",
                    server.text,
                    server.role.name(),
                    group.map_or("", |group| &group.name),
                    center.map_or("", |center| &center.name),
                    u8::from(server.fail),
                    stats.connect,
                    stats.requests,
                    stats.responses,
                    stats.send_bytes,
                    stats.recv_bytes,
                );
            }
            out.push('\n');
        }
        if wanted(&["latencymonitor"]) {
            out.push_str("# LatencyMonitor\n");
            for (monitor, latency) in self.config.monitors.iter().zip(&self.latencies) {
                let _ = writeln!(out, "LatencyMonitorName:{}", monitor.name);
                latency.write(&mut out, monitor);
                out.push('\n');
            }
        }
        let _ = now;
        out
    }

    /// `INFO Latency <monitor>`.
    fn latency(&self, request: &Request<'_>) -> Result<String, String> {
        if request.len() != 3 {
            return Err("-ERR argument wrong\r\n".into());
        }
        let at = self.monitor(request.arg(2))?;
        let Some(monitor) = self.config.monitors.get(at) else { return Ok(String::new()) };
        let mut out = format!("# LatencyMonitor\nLatencyMonitorName:{}\n", monitor.name);
        if let Some(latency) = self.latencies.get(at) {
            latency.write(&mut out, monitor);
        }
        out.push_str("\n# ServerLatencyMonitor\n");
        let is_server = |server: &&super::pool::Server| server.role != Role::Sentinel;
        for server in self.topology.servers.iter().filter(is_server) {
            let _ = writeln!(out, "ServerLatencyMonitorName:{} {}", server.text, monitor.name);
            if let Some(latency) = server.latencies.get(at) {
                latency.write(&mut out, monitor);
            }
            out.push('\n');
        }
        Ok(out)
    }

    /// `INFO ServerLatency <address> [monitor]`.
    fn server_latency(&self, request: &Request<'_>) -> Result<String, String> {
        if !matches!(request.len(), 3 | 4) {
            return Err("-ERR argument wrong\r\n".into());
        }
        let text = String::from_utf8_lossy(request.arg(2)).into_owned();
        let server = self.topology.find(&text).and_then(|i| self.topology.servers.get(i));
        let server = server
            .ok_or_else(|| format!("-ERR server \"{}\" no exists\r\n", text.escape_default()))?;
        let only = match request.len() {
            4 => Some(self.monitor(request.arg(3))?),
            _ => None,
        };
        let mut out = String::from("# ServerLatencyMonitor\n");
        for (i, monitor) in self.config.monitors.iter().enumerate() {
            if only.is_some_and(|only| only != i) {
                continue;
            }
            let _ = writeln!(out, "ServerLatencyMonitorName:{} {}", server.text, monitor.name);
            if let Some(latency) = server.latencies.get(i) {
                latency.write(&mut out, monitor);
            }
            out.push('\n');
        }
        Ok(out)
    }

    fn monitor(&self, name: &[u8]) -> Result<usize, String> {
        let known = self.config.monitors.iter().position(|m| m.name.as_bytes() == name);
        known.ok_or_else(|| format!("-ERR latency \"{}\" no exists\r\n", name.escape_ascii()))
    }

    pub(super) fn config_command(
        &mut self,
        engine: &mut PredixyEngine,
        client: ClientId,
        request: &Request<'_>,
    ) {
        let reply = match String::from_utf8_lossy(request.arg(1)).to_ascii_lowercase().as_str() {
            "get" if request.len() == 3 => self.config_get(request.arg(2)),
            "set" if request.len() == 4 => self.config_set(request.arg(2), request.arg(3)),
            "get" | "set" => b"-ERR argument wrong\r\n".to_vec(),
            "resetstat" => {
                self.reset_stats();
                b"+OK\r\n".to_vec()
            }
            _ => b"-ERR CONFIG subcommand must be one of GET, SET\r\n".to_vec(),
        };
        engine.answer(client, &reply);
    }

    fn config_get(&self, key: &[u8]) -> Vec<u8> {
        let config = &self.config;
        let [verbose, debug, info, notice, warn, error] = config.samples.map(|n| n.to_string());
        let seconds = config.client_timeout.map_or(0, |time| time.as_secs());
        let all = [
            ("Name", config.name.clone()),
            ("Bind", bind(&config.bind)),
            ("WorkerThreads", config.worker_threads.to_string()),
            ("BufSize", config.buf_size.to_string()),
            ("LocalDC", config.local_dc.clone()),
            ("MaxMemory", config.max_memory.to_string()),
            ("ClientTimeout", seconds.to_string()),
            ("AllowMissLog", config.allow_miss_log.to_string()),
            ("LogVerbSample", verbose),
            ("LogDebugSample", debug),
            ("LogInfoSample", info),
            ("LogNoticeSample", notice),
            ("LogWarnSample", warn),
            ("LogErrorSample", error),
        ];
        let shown = || {
            let wanted = |name: &str| key == b"*" || name.as_bytes().eq_ignore_ascii_case(key);
            all.iter().filter(move |(name, _)| wanted(name))
        };
        let mut reply = Vec::new();
        write_head(&mut reply, b'*', shown().count() * 2);
        for (name, value) in shown() {
            write_bulk(&mut reply, name.as_bytes());
            write_bulk(&mut reply, value.as_bytes());
        }
        reply
    }

    fn config_set(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        const SAMPLES: [&str; 6] = [
            "logverbsample",
            "logdebugsample",
            "loginfosample",
            "lognoticesample",
            "logwarnsample",
            "logerrorsample",
        ];
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        let config = &mut self.config;
        let done = match key.as_str() {
            "maxmemory" => parse_memory(&value).map(|bytes| config.max_memory = bytes),
            "clienttimeout" => value.parse::<u32>().ok().map(|seconds| {
                let time = Duration::from_secs(seconds.into());
                config.client_timeout = (seconds > 0).then_some(time);
            }),
            "allowmisslog" => value.parse().ok().map(|on| config.allow_miss_log = on),
            key => SAMPLES.iter().position(|name| *name == key).and_then(|i| {
                let n = value.parse::<i32>().ok().filter(|n| *n >= 0)?;
                *config.samples.get_mut(i)? = n;
                Some(())
            }),
        };
        match done {
            Some(()) => b"+OK\r\n".to_vec(),
            None => b"-ERR argument wrong\r\n".to_vec(),
        }
    }
}

pub(super) fn bind(at: &Endpoint) -> String {
    match at {
        Endpoint::Ip(address) => address.to_string(),
        Endpoint::Unix(path) => path.clone(),
    }
}

/// A date in UTC, `2020-11-22 17:38:01`.
fn date(seconds: u64) -> String {
    // Converts days since 1970 to a date by Howard Hinnant's algorithm.
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}
