//! The section `replication` of INFO.

use super::failover::Failover;
use super::handshake::Step;
use crate::front::info_text::Text;
use crate::server::Server;

impl Server {
    pub(in crate::server) fn replication_section(&self, text: &mut Text) {
        let replication = &self.service.replication;
        let settings = self.config.settings();
        text.section("Replication");
        text.field("role", if replication.is_replica() { "slave" } else { "master" });
        self.primary_fields(text);
        text.field("connected_slaves", replication.replicas.len());
        if settings.min_replicas_to_write > 0 && settings.min_replicas_max_lag > 0 {
            text.field("min_slaves_good_slaves", self.replicas_within_lag(self.now.0));
        }
        let told = self.all_replicas().filter(|(_, replica)| !replica.state.name().is_empty());
        for (number, (client, replica)) in told.enumerate() {
            let lag = replica.lag(self.now.0);
            let (address, port) = (client.replica_address(), replica.port);
            let (state, offset) = (replica.state.name(), replica.acked);
            text.field(
                &format!("slave{number}"),
                format_args!("ip={address},port={port},state={state},offset={offset},lag={lag}"),
            );
        }
        text.field("master_failover_state", Failover::name(replication.failover.as_ref()));
        text.field("master_replid", String::from_utf8_lossy(&replication.id));
        text.field("master_replid2", String::from_utf8_lossy(&replication.second_id));
        text.field("master_repl_offset", replication.offset);
        text.field("second_repl_offset", replication.second_offset);
        let backlog = replication.backlog.as_ref();
        text.field("repl_backlog_active", u8::from(backlog.is_some()));
        text.field("repl_backlog_size", settings.repl_backlog_size);
        text.field("repl_backlog_first_byte_offset", backlog.map_or(0, |backlog| backlog.first()));
        text.field("repl_backlog_histlen", backlog.map_or(0, |backlog| backlog.len()));
    }

    /// The fields of a replica about its primary.
    fn primary_fields(&self, text: &mut Text) {
        let Some(primary) = &self.service.replication.primary else { return };
        let settings = self.config.settings();
        let now = self.now.0;
        let stream = primary.stream.as_ref();
        let client = stream.and_then(|stream| self.clients.get(stream.slot));
        let cached = self.service.replication.cached.map(|cached| cached.offset);
        let heard = client.map(|client| now.since(client.last_heard).as_secs() as i64);
        text.field("master_host", &primary.host);
        text.field("master_port", primary.port);
        text.field("master_link_status", if stream.is_some() { "up" } else { "down" });
        text.field("master_last_io_seconds_ago", heard.unwrap_or(-1));
        text.field("master_sync_in_progress", u8::from(self.service.replication.is_syncing()));
        let read = stream.map(|stream| stream.read).or(cached);
        let applied = stream.map(|stream| stream.applied).or(cached);
        text.field("slave_read_repl_offset", read.unwrap_or(1));
        text.field("slave_repl_offset", applied.unwrap_or(1));
        if let Some(link) = &primary.link
            && let Step::Transfer(transfer) = &link.step
        {
            let (size, read) = (transfer.size(), transfer.read as i64);
            let percent = if size == 0 { 0.0 } else { read as f64 / size as f64 * 100.0 };
            text.field("master_sync_total_bytes", size);
            text.field("master_sync_read_bytes", read);
            text.field("master_sync_left_bytes", size - read);
            text.field("master_sync_perc", format_args!("{percent:.2}"));
            let idle = now.since(link.last_io).as_secs();
            text.field("master_sync_last_io_seconds_ago", idle);
        }
        if stream.is_none() {
            let down = primary.down_since.map(|since| now.since(since).as_secs() as i64);
            text.field("master_link_down_since_seconds", down.unwrap_or(-1));
        }
        text.field("slave_priority", settings.replica_priority);
        text.field("slave_read_only", u8::from(settings.replica_read_only));
        text.field("replica_announced", u8::from(settings.replica_announced));
    }
}
