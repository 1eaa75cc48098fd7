//! INFO: choosing sections, and those about clients and commands.

pub use super::info_text::Text;
use super::{Call, Client, Front, Handler, LIMPID_VERSION, Rows, Service, VERSION, bind_name, row};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::machine::Endpoint;
use crate::resp::number::format_double;
use crate::sorted::SortedSet;
use crate::time::Duration;

impl<S: Service> Rows<S> {
    /// INFO.
    pub(crate) const INFO: &'static [Row<Handler<S>>] = &[row(Group::Server, "info", -1, info)
        .flags(flag::LOADING | flag::STALE)
        .acl(acl::DANGEROUS)
        .summary("Tells how the server is, section by section.")
        .syntax("[section ...]")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .history(&[("7.0.0", "Takes several sections.")])];
}

/// The service's part of the section `clients`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientCounts {
    /// Connections of replicas, which do not count as clients.
    pub(crate) replicas: usize,
    /// Clients blocked by a command.
    pub(crate) blocked: usize,
    /// Clients with watched keys.
    pub(crate) watching: usize,
    /// Blocked clients with a timeout.
    pub(crate) timeouts: usize,
    /// Keys that clients watch.
    pub(crate) watched_keys: usize,
    /// Keys that clients are blocked on.
    pub(crate) blocking_keys: usize,
    /// Blocking keys whose deletion wakes a client (XREADGROUP).
    pub(crate) blocking_keys_on_nokey: usize,
}

/// The service's part of the section `stats`. Each field has its name in INFO.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct ServiceStats {
    pub(crate) net_repl_input: u64,
    pub(crate) net_repl_output: u64,
    pub(crate) sync_full: u64,
    pub(crate) sync_partial_ok: u64,
    pub(crate) sync_partial_err: u64,
    pub(crate) expired_keys: u64,
    pub(crate) keyspace_hits: u64,
    pub(crate) keyspace_misses: u64,
    pub(crate) migrate_cached_sockets: u64,
    pub(crate) slave_expires_tracked_keys: u64,
    pub(crate) unexpected_error_replies: u64,
    pub(crate) snapshots: u64,
}

fn info<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let sections: Vec<String> = call
        .args
        .from(1)
        .iter()
        .map(|section| String::from_utf8_lossy(section).to_ascii_lowercase())
        .collect();
    S::before_info(front, call.client);
    let text = front.info_text(&sections, Some(call.client));
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

impl<S: Service> Front<S> {
    /// The text of INFO with these sections, in lower case; the default ones if there are none.
    pub fn info(&self, sections: &[&str]) -> String {
        let sections: Vec<String> = sections.iter().map(|s| (*s).to_owned()).collect();
        self.info_text(&sections, None)
    }

    /// `caller` is the client that asks, which is taken out of its slot.
    fn info_text(&self, sections: &[String], caller: Option<&Client<S>>) -> String {
        let mut wanted = SortedSet::new();
        for section in sections {
            match section.as_str() {
                "default" => wanted.extend(S::INFO.iter().filter(|s| s.1).map(|s| s.0)),
                "all" | "everything" => wanted.extend(S::INFO.iter().map(|s| s.0)),
                name => wanted.extend(S::INFO.iter().map(|s| s.0).find(|s| *s == name)),
            }
        }
        if sections.is_empty() {
            wanted.extend(S::INFO.iter().filter(|s| s.1).map(|s| s.0));
        }
        let mut text = Text::default();
        for (section, _) in S::INFO {
            if wanted.contains(section) {
                S::info_section(self, section, &mut text, caller);
            }
        }
        if sections.iter().any(|section| section == "debug") {
            self.debug_section(&mut text);
        }
        text.finish()
    }

    /// The section `server`.
    pub(crate) fn server_section(&self, text: &mut Text) {
        let settings = self.settings();
        let uptime = self.uptime().as_secs();
        text.section("Server");
        text.field("redis_version", VERSION);
        text.field("redis_git_sha1", "00000000");
        text.field("redis_git_dirty", 0);
        text.field("redis_build_id", "0");
        text.field("redis_mode", S::mode(self));
        text.field("os", &self.facts.os);
        text.field("arch_bits", self.facts.arch_bits);
        text.field("monotonic_clock", "POSIX clock_gettime");
        text.field("multiplexing_api", &self.facts.multiplexing);
        text.field("atomicvar_api", "rust-builtin");
        text.field("gcc_version", "0.0.0");
        text.field("process_id", self.facts.pid);
        text.field("process_supervised", &settings.supervised);
        text.field("run_id", String::from_utf8_lossy(&self.run_id));
        text.field("tcp_port", settings.port);
        text.field("server_time_usec", self.now.1.0);
        text.field("uptime_in_seconds", uptime);
        text.field("uptime_in_days", uptime / 86_400);
        text.field("hz", settings.hz);
        text.field("configured_hz", settings.hz);
        text.field("lru_clock", self.now.1.as_secs() & 0xFF_FFFF);
        text.field("executable", &self.facts.executable);
        text.field("config_file", self.config.file.as_deref().unwrap_or_default());
        text.field("io_threads_active", 0);
        if let Some(at) = self.shutdown.until {
            text.field("shutdown_in_milliseconds", at.since(self.now.0).as_millis());
        }
        let (mut tcp, mut unix, mut port) = (String::new(), None, 0);
        for address in self.listeners.addresses() {
            match address {
                Endpoint::Ip(address) => {
                    tcp.push_str(&format!(",bind={}", bind_name(address.ip())));
                    port = address.port();
                }
                Endpoint::Unix(path) => unix = Some(format!("name=unix,bind={path}")),
            }
        }
        let tcp = (!tcp.is_empty()).then(|| format!("name=tcp{tcp},port={port}"));
        for (i, listener) in tcp.into_iter().chain(unix).enumerate() {
            text.field(&format!("listener{i}"), listener);
        }
        text.field("limpid_version", LIMPID_VERSION);
    }

    /// The section `clients`.
    pub(crate) fn clients_section(
        &self,
        text: &mut Text,
        caller: Option<&Client<S>>,
        counts: ClientCounts,
    ) {
        text.section("Clients");
        text.field("connected_clients", self.clients.connected() - counts.replicas);
        text.field("cluster_connections", 0);
        text.field("maxclients", self.settings().maxclients);
        let of_caller = caller.map_or(0, |c| c.requests.capacity());
        let input = self.clients.iter().map(|c| c.requests.capacity()).max().unwrap_or(0);
        let output = self.clients.iter().map(|c| c.outbox.capacity()).max().unwrap_or(0);
        text.field("client_recent_max_input_buffer", input.max(of_caller));
        text.field("client_recent_max_output_buffer", output);
        let paused = self.clients.iter().filter(|c| c.paused).count();
        text.field("blocked_clients", counts.blocked + paused + self.shutdown.clients());
        text.field("tracking_clients", self.tracking.clients());
        let everyone = || self.clients.iter().chain(caller);
        let listening = everyone().filter(|c| c.subscriptions.is_some()).count();
        text.field("pubsub_clients", listening);
        text.field("watching_clients", counts.watching);
        text.field("clients_in_timeout_table", counts.timeouts);
        text.field("total_watched_keys", counts.watched_keys);
        text.field("total_blocking_keys", counts.blocking_keys);
        text.field("total_blocking_keys_on_nokey", counts.blocking_keys_on_nokey);
    }

    /// The section `stats`.
    pub(crate) fn stats_section(&self, text: &mut Text, service: &ServiceStats) {
        let [commands, input, output, cycles, nanos] = self.stats.rates(self.now.0);
        let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
        let stats = &self.stats;
        text.section("Stats");
        text.field("total_connections_received", stats.connections_received);
        text.field("total_commands_processed", stats.commands_processed);
        text.field("instantaneous_ops_per_sec", commands);
        text.field("total_net_input_bytes", stats.net_input);
        text.field("total_net_output_bytes", stats.net_output);
        text.field("total_net_repl_input_bytes", service.net_repl_input);
        text.field("total_net_repl_output_bytes", service.net_repl_output);
        text.field("instantaneous_input_kbps", kilobytes(input));
        text.field("instantaneous_output_kbps", kilobytes(output));
        text.field("instantaneous_input_repl_kbps", "0.00");
        text.field("instantaneous_output_repl_kbps", "0.00");
        text.field("rejected_connections", stats.rejected_connections);
        text.field("sync_full", service.sync_full);
        text.field("sync_partial_ok", service.sync_partial_ok);
        text.field("sync_partial_err", service.sync_partial_err);
        text.field("expired_keys", service.expired_keys);
        text.field("expired_stale_perc", "0.00");
        text.field("expired_time_cap_reached_count", 0);
        text.field("expire_cycle_cpu_milliseconds", 0);
        text.field("evicted_keys", self.stats.evicted_keys);
        text.field("evicted_clients", self.stats.evicted_clients);
        text.field("total_eviction_exceeded_time", 0);
        text.field("current_eviction_exceeded_time", 0);
        text.field("keyspace_hits", service.keyspace_hits);
        text.field("keyspace_misses", service.keyspace_misses);
        text.field("pubsub_channels", self.pubsub.channels());
        text.field("pubsub_patterns", self.pubsub.patterns());
        text.field("pubsubshard_channels", self.pubsub.shards());
        text.field("latest_fork_usec", 0);
        // Redis counts its forks; here every snapshot counts as one.
        text.field("total_forks", service.snapshots);
        text.field("migrate_cached_sockets", service.migrate_cached_sockets);
        text.field("slave_expires_tracked_keys", service.slave_expires_tracked_keys);
        text.field("active_defrag_hits", 0);
        text.field("active_defrag_misses", 0);
        text.field("active_defrag_key_hits", 0);
        text.field("active_defrag_key_misses", 0);
        text.field("total_active_defrag_time", 0);
        text.field("current_active_defrag_time", 0);
        text.field("tracking_total_keys", self.tracking.keys());
        text.field("tracking_total_items", self.tracking.items());
        text.field("tracking_total_prefixes", self.tracking.prefixes());
        text.field("unexpected_error_replies", service.unexpected_error_replies);
        text.field("total_error_replies", stats.error_replies);
        text.field("dump_payload_sanitizations", 0);
        text.field("total_reads_processed", stats.reads);
        text.field("total_writes_processed", stats.writes);
        text.field("io_threaded_reads_processed", 0);
        text.field("io_threaded_writes_processed", 0);
        text.field("client_query_buffer_limit_disconnections", stats.query_limit_disconnections);
        text.field("client_output_buffer_limit_disconnections", stats.output_limit_disconnections);
        text.field("reply_buffer_shrinks", 0);
        text.field("reply_buffer_expands", 0);
        text.field("acl_access_denied_auth", stats.denied_logins);
        text.field("acl_access_denied_cmd", stats.denied_commands);
        text.field("acl_access_denied_key", stats.denied_keys);
        text.field("acl_access_denied_channel", stats.denied_channels);
        let loops = &stats.cycles;
        text.field("eventloop_cycles", loops.count);
        text.field("eventloop_duration_sum", loops.took / 1000);
        text.field("eventloop_duration_cmd_sum", loops.commands_took / 1000);
        text.field("instantaneous_eventloop_cycles_per_sec", cycles.div_ceil(1000));
        let mean = nanos.checked_div(cycles).unwrap_or_default();
        text.field("instantaneous_eventloop_duration_usec", mean);
    }

    /// The section `debug`, which must be asked for by name.
    fn debug_section(&self, text: &mut Text) {
        let loops = &self.stats.cycles;
        text.section("Debug");
        text.field("eventloop_duration_aof_sum", 0);
        text.field("eventloop_duration_cron_sum", loops.cron_took / 1000);
        text.field("eventloop_duration_max", loops.longest / 1000);
        text.field("eventloop_cmd_per_cycle_max", loops.most_commands);
    }

    /// The section `cpu`.
    pub(crate) fn cpu_section(&self, text: &mut Text) {
        let seconds = |d: Duration| format!("{}.{:06}", d.as_secs(), d.subsec_micros());
        text.section("CPU");
        text.field("used_cpu_sys", seconds(self.vitals.cpu_system));
        text.field("used_cpu_user", seconds(self.vitals.cpu_user));
        text.field("used_cpu_sys_children", "0.000000");
        text.field("used_cpu_user_children", "0.000000");
        text.field("used_cpu_sys_main_thread", seconds(self.vitals.cpu_system));
        text.field("used_cpu_user_main_thread", seconds(self.vitals.cpu_user));
    }

    /// The section `commandstats`.
    pub(crate) fn commandstats_section(&self, text: &mut Text) {
        text.section("Commandstats");
        for (command, stats) in S::table().all().iter().zip(self.stats.commands()) {
            if stats.calls + stats.rejected + stats.failed == 0 {
                continue;
            }
            let usec = stats.took / 1000;
            let per_call = if stats.calls == 0 {
                0.0
            } else {
                stats.took as f64 / 1000.0 / stats.calls as f64
            };
            text.field(
                &format!("cmdstat_{}", command.name),
                format_args!(
                    "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},\
                     failed_calls={}",
                    stats.calls, stats.rejected, stats.failed
                ),
            );
        }
    }

    /// The section `errorstats`.
    pub(crate) fn errorstats_section(&self, text: &mut Text) {
        text.section("Errorstats");
        for (code, count) in self.stats.errors.iter() {
            text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
        }
    }

    /// The section `latencystats`.
    pub(crate) fn latencystats_section(&self, text: &mut Text) {
        text.section("Latencystats");
        let percentiles = &self.settings().latency_tracking_info_percentiles;
        for (command, stats) in S::table().all().iter().zip(self.stats.commands()) {
            let Some(histogram) = &stats.histogram else { continue };
            let values: Vec<String> = percentiles
                .iter()
                .map(|p| {
                    let name = format_double(*p);
                    let micros = histogram.percentile(*p) as f64 / 1000.0;
                    format!("p{}={micros:.3}", String::from_utf8_lossy(&name))
                })
                .collect();
            text.field(&format!("latency_percentiles_usec_{}", command.name), values.join(","));
        }
    }
}
