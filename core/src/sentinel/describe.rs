//! The replies of SENTINEL that describe masters, replicas and other Sentinels.

use super::Sentinel;
use super::instance::{Instance, Kind};
use super::master::{Master, OtherSentinel, Reconf, Replica};
use super::report::Report;
use crate::resp::reply::{Aggregate, Reply};
use crate::time::{Duration, Mono};

/// Fields and values of a description, in order.
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((name, value.to_string()));
    }

    fn ms(&mut self, name: &'static str, duration: Duration) {
        self.add(name, duration.as_millis());
    }

    fn write(self, reply: &mut Reply<'_>) {
        reply.aggregate(Aggregate::Map, self.0.len());
        for (name, value) in self.0 {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    }
}

impl Sentinel {
    /// Writes the description of a master.
    pub(super) fn describe_master(&self, now: Mono, master: &Master, reply: &mut Reply<'_>) {
        let running = master.failover.is_running();
        let state = running.then(|| master.failover.state.word());
        let flags = [
            (master.odown, "o_down"),
            (running, "failover_in_progress"),
            (master.failover.forced, "force_failover"),
            (master.rebooting.is_some(), "master_reboot"),
        ];
        let odown = master.odown_since.filter(|_| master.odown);
        let mut fields = self.fields(now, &master.instance, &flags, state, odown);
        report_fields(now, &master.report, &mut fields);
        fields.add("config-epoch", master.config_epoch);
        fields.add("num-slaves", master.replicas.len());
        fields.add("num-other-sentinels", master.sentinels.len());
        fields.add("quorum", master.quorum);
        fields.ms("failover-timeout", master.failover_timeout);
        fields.add("parallel-syncs", master.parallel_syncs);
        for (name, script) in [
            ("notification-script", &master.notification_script),
            ("client-reconfig-script", &master.client_reconfig_script),
        ] {
            if let Some(script) = script {
                fields.add(name, script);
            }
        }
        fields.write(reply);
    }

    /// Writes the description of a replica.
    pub(super) fn describe_replica(
        &self,
        now: Mono,
        master: &Master,
        replica: &Replica,
        reply: &mut Reply<'_>,
    ) {
        let promoted = master.failover.promoted.as_ref() == Some(&replica.instance.name);
        let flags = [
            (promoted, "promoted"),
            (matches!(replica.reconf, Reconf::Sent(_)), "reconf_sent"),
            (replica.reconf == Reconf::InProgress, "reconf_inprog"),
            (replica.reconf == Reconf::Done, "reconf_done"),
        ];
        let mut fields = self.fields(now, &replica.instance, &flags, None, None);
        let report = &replica.report;
        report_fields(now, report, &mut fields);
        fields.ms("master-link-down-time", report.link_down);
        fields.add("master-link-status", if report.link_up { "ok" } else { "err" });
        let (host, port) = match &report.master {
            Some((host, port)) => (host.as_str(), *port),
            None => ("?", 0),
        };
        fields.add("master-host", host);
        fields.add("master-port", port);
        fields.add("slave-priority", report.priority);
        fields.add("slave-repl-offset", report.offset);
        fields.add("replica-announced", u8::from(report.announced));
        fields.write(reply);
    }

    /// Writes the description of another Sentinel.
    pub(super) fn describe_sentinel(
        &self,
        now: Mono,
        other: &OtherSentinel,
        reply: &mut Reply<'_>,
    ) {
        let flags = [(other.master_down, "master_down")];
        let mut fields = self.fields(now, &other.instance, &flags, None, None);
        fields.ms("last-hello-message", now.since(other.last_hello));
        fields.add("voted-leader", other.leader.as_deref().unwrap_or("?"));
        fields.add("voted-leader-epoch", other.leader_epoch);
        fields.write(reply);
    }

    /// The fields that all instances have.
    fn fields(
        &self,
        now: Mono,
        instance: &Instance,
        flags: &[(bool, &str)],
        failover: Option<&str>,
        odown: Option<Mono>,
    ) -> Fields {
        let odown_flag = flags.first().filter(|(set, name)| *set && *name == "o_down");
        let mut names = Vec::new();
        names.extend(instance.sdown.then_some("s_down"));
        names.extend(odown_flag.map(|(_, name)| *name));
        names.push(instance.kind.word());
        names.extend(self.is_disconnected(instance.link).then_some("disconnected"));
        let others = flags.iter().filter(|(set, name)| *set && *name != "o_down");
        names.extend(others.map(|(_, name)| *name));
        names.extend(instance.script_kill_sent.then_some("script_kill_sent"));
        let mut fields = Fields(Vec::new());
        fields.add("name", &instance.name);
        fields.add("ip", self.common.host(&instance.addr));
        fields.add("port", instance.addr.port);
        fields.add("runid", instance.run_id.as_deref().unwrap_or_default());
        fields.add("flags", names.join(","));
        fields.add("link-pending-commands", self.pending_commands(instance.link));
        let link = self.link(instance.link);
        fields.add("link-refcount", link.map_or(0, |link| link.users));
        if let Some(state) = failover {
            fields.add("failover-state", state);
        }
        let waiting = link.and_then(|link| link.ping_waiting);
        fields.ms("last-ping-sent", waiting.map_or(Duration::ZERO, |since| now.since(since)));
        let ago = |at: Option<Mono>| at.map_or(Duration::ZERO, |at| now.since(at));
        fields.ms("last-ok-ping-reply", ago(link.map(|link| link.last_available)));
        fields.ms("last-ping-reply", ago(link.map(|link| link.last_pong)));
        if instance.sdown {
            fields.ms("s-down-time", ago(instance.sdown_since));
        }
        if odown.is_some() {
            fields.ms("o-down-time", ago(odown));
        }
        fields.ms("down-after-milliseconds", instance.down_after);
        debug_assert!(failover.is_none() || instance.kind == Kind::Master);
        fields
    }
}

fn report_fields(now: Mono, report: &Report, fields: &mut Fields) {
    let refreshed = report.refreshed.map_or(Duration::ZERO, |at| now.since(at));
    fields.ms("info-refresh", refreshed);
    fields.add("role-reported", report.role.word());
    fields.ms("role-reported-time", now.since(report.role_since));
}
