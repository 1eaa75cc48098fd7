//! The statistics, as JSON in nutcracker's format.

use core::fmt::Write;

use super::{Nutcracker, Twemproxy, VERSION};
use crate::time::Now;

/// The output of `--describe-stats`.
pub const DESCRIPTION: &str = "\
pool stats:
  client_eof          \"# eof on client connections\"
  client_err          \"# errors on client connections\"
  client_connections  \"# active client connections\"
  server_ejects       \"# times backend server was ejected\"
  forward_error       \"# times we encountered a forwarding error\"
  fragments           \"# fragments created from a multi-vector request\"

server stats:
  server_eof          \"# eof on server connections\"
  server_err          \"# errors on server connections\"
  server_timedout     \"# timeouts on server connections\"
  server_connections  \"# active server connections\"
  server_ejected_at   \"timestamp when server was ejected in usec since epoch\"
  requests            \"# requests\"
  request_bytes       \"total request bytes\"
  responses           \"# responses\"
  response_bytes      \"total response bytes\"
  in_queue            \"# requests in incoming queue\"
  in_queue_bytes      \"current request bytes in incoming queue\"
  out_queue           \"# requests in outgoing queue\"
  out_queue_bytes     \"current request bytes in outgoing queue\"
";

impl Twemproxy {
    /// The current statistics. (nutcracker aggregates them every `-i` milliseconds, so its are
    /// older.)
    pub(super) fn stats_json(&self, engine: &Nutcracker, now: Now<'_>) -> String {
        let mut text = String::new();
        let clients = engine.clients().filter(|client| client.data.pool.is_some()).count();
        let pools = || self.pools.iter().flatten().filter(|pool| !pool.leaving);
        let current = clients + engine.links().count() + pools().count();
        let _ = write!(
            text,
            "{{\"service\":\"nutcracker\", \"source\":{}, \"version\":\"{VERSION}\", \
             \"uptime\":{}, \"timestamp\":{}, \"total_connections\":{}, \"curr_connections\":{current}",
            quoted(&self.options.source),
            now.wall.as_secs().saturating_sub(self.started.as_secs()),
            now.wall.as_secs(),
            self.connections,
        );
        let mut sorted: Vec<_> = pools().collect();
        sorted.sort_by(|a, b| {
            let name = |pool: &super::PoolState| (pool.config.name.len(), pool.config.name.clone());
            name(a).cmp(&name(b))
        });
        let mut comma = ", ";
        for pool in sorted {
            let _ = write!(
                text,
                "{comma}{}: {{\"client_eof\":{}, \"client_err\":{}, \"client_connections\":{}, \
                 \"server_ejects\":{}, \"forward_error\":{}, \"fragments\":{}",
                quoted(&pool.config.name),
                pool.client_eof,
                pool.client_err,
                pool.client_connections,
                pool.server_ejects,
                pool.forward_error,
                pool.fragments,
            );
            let mut comma_inside = ", ";
            for (config, server) in pool.config.servers.iter().zip(&pool.servers) {
                let c = &server.counters;
                let [mut unsent, mut unsent_bytes, mut sent, mut sent_bytes] = [0; 4];
                for link in server.links.iter().filter_map(|link| engine.link(*link)) {
                    let queues = link.queues();
                    unsent += queues.unsent;
                    unsent_bytes += queues.unsent_bytes;
                    sent += queues.unanswered;
                    sent_bytes += queues.unanswered_bytes;
                }
                let _ = write!(
                    text,
                    "{comma_inside}{}: {{\"server_eof\":{}, \"server_err\":{}, \
                     \"server_timedout\":{}, \"server_connections\":{}, \"server_ejected_at\":{}, \
                     \"requests\":{}, \"request_bytes\":{}, \"responses\":{}, \
                     \"response_bytes\":{}, \"in_queue\":{unsent}, \
                     \"in_queue_bytes\":{unsent_bytes}, \"out_queue\":{sent}, \
                     \"out_queue_bytes\":{sent_bytes}}}",
                    quoted(&config.name),
                    c.eof,
                    c.err,
                    c.timedout,
                    c.connections,
                    c.ejected_at.map_or(0, |at| at.0),
                    c.requests,
                    c.request_bytes,
                    c.responses,
                    c.response_bytes,
                );
                comma_inside = ",";
            }
            text.push('}');
            comma = ",";
        }
        text.push_str("}\n");
        text
    }
}

/// Quotes a string for JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
