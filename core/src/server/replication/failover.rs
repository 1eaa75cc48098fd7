//! FAILOVER: a coordinated switch to a replica that has caught up.

use super::primary::State;
use crate::command::CommandError;
use crate::resp::number::parse_i64;
use crate::server::{Call, Client, PauseReason, Server};
use crate::time::{Duration, Mono, Now};

/// A failover in progress.
#[derive(Clone, Debug)]
pub(super) struct Failover {
    /// The target, if one was given or has been selected.
    pub(super) target: Option<(String, u16)>,
    /// When it times out.
    pub(super) until: Option<Mono>,
    /// Whether the target takes over at the timeout even if it has not caught up.
    pub(super) force: bool,
    /// Whether the target has been asked to take over.
    pub(super) in_progress: bool,
}

impl Failover {
    /// Its state in INFO.
    pub(super) fn name(failover: Option<&Failover>) -> &'static str {
        match failover {
            None => "no-failover",
            Some(failover) if failover.in_progress => "failover-in-progress",
            Some(_) => "waiting-for-sync",
        }
    }
}

impl Server {
    /// Whether a replica has been asked to take over.
    pub(super) fn is_failing_over(&self) -> bool {
        self.service.replication.failover.as_ref().is_some_and(|failover| failover.in_progress)
    }

    /// Starts a failover: writes are paused until the target's offset has caught up.
    pub(super) fn begin_failover(&mut self, now: Now<'_>, failover: Failover) {
        self.service.replication.failover = Some(failover);
        self.service.replication.acked = true;
        self.pause.begin_for(PauseReason::Failover);
        self.pause_changed(now.mono);
        self.wake_replication(now.mono);
    }

    /// Checks whether the target has caught up, or the timeout has expired.
    pub(super) fn update_failover(&mut self, now: Now<'_>) {
        let Some(failover) = &self.service.replication.failover else { return };
        if failover.in_progress {
            return;
        }
        if failover.until.is_some_and(|until| now.mono >= until) {
            let Some((host, port)) = failover.target.clone().filter(|_| failover.force) else {
                return self.abort_failover(now, "Replica never caught up before timeout");
            };
            self.notice(|| format!("FAILOVER to {host}:{port} time out exceeded, failing over."));
            return self.hand_over(now, host, port);
        }
        let offset = self.service.replication.offset;
        let target = failover.target.clone();
        let ready = self
            .all_replicas()
            .filter(|(_, replica)| replica.acked == offset && replica.state == State::Online)
            .map(|(client, replica)| {
                (client.replica_address(), u16::try_from(replica.port).unwrap_or_default())
            })
            .find(|found| target.as_ref().is_none_or(|target| same(target, found)));
        if let Some((host, port)) = ready {
            self.notice(|| format!("Failover target {host}:{port} is synced, failing over."));
            self.hand_over(now, host, port);
        }
    }

    fn hand_over(&mut self, now: Now<'_>, host: String, port: u16) {
        if let Some(failover) = &mut self.service.replication.failover {
            failover.in_progress = true;
            failover.target = Some((host.clone(), port));
        }
        self.become_replica(now, &host, port);
    }

    /// Aborts the failover in progress, if there is one.
    pub(super) fn abort_failover(&mut self, now: Now<'_>, why: &str) {
        let Some(failover) = &self.service.replication.failover else { return };
        let target = match &failover.target {
            Some((host, port)) => format!("{host}:{port}"),
            None => "any replica".to_owned(),
        };
        let in_progress = failover.in_progress;
        self.notice(|| format!("FAILOVER to {target} aborted: {why}"));
        if in_progress {
            self.become_primary(now);
        }
        self.end_failover(now);
    }

    fn end_failover(&mut self, now: Now<'_>) {
        self.service.replication.failover = None;
        self.pause.end_for(PauseReason::Failover);
        self.pause_changed(now.mono);
        self.service.replication.schedule.unpause = true;
        self.wake_replication(now.mono);
    }

    /// The target of a failover, if there is one, takes over.
    pub(super) fn psync_agreed(&mut self) {
        if self.is_failing_over() {
            let (mono, wall) = self.now;
            self.end_failover(Now::instantaneous(mono, wall));
        }
    }

    /// The target of a failover refuses to take over, or its connection was closed before it
    /// answered. Returns whether there was a failover: then this server is the primary again.
    pub(super) fn psync_refused(&mut self) -> bool {
        let was = self.is_failing_over();
        if was {
            let (mono, wall) = self.now;
            let now = Now::instantaneous(mono, wall);
            self.abort_failover(now, "Failover target rejected psync request");
        }
        was
    }
}

fn same(a: &(String, u16), b: &(String, u16)) -> bool {
    a.0.eq_ignore_ascii_case(&b.0) && a.1 == b.1
}

pub(super) fn failover(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    if call.args.len() == 2 && call.arg(1).eq_ignore_ascii_case(b"abort") {
        if server.service.replication.failover.is_none() {
            return Err(CommandError::text("ERR No failover in progress."));
        }
        server.abort_failover(call.now, "Failover manually aborted");
        return call.ok();
    }
    let (mut timeout, mut target, mut force) = (None, None, false);
    let mut at = 1;
    while at < call.args.len() {
        let left = call.args.len() - at - 1;
        let integer = |index| parse_i64(call.arg(index)).ok_or(CommandError::NotAnInteger);
        match call.arg(at).to_ascii_lowercase().as_slice() {
            b"timeout" if left >= 1 && timeout.is_none() => {
                let millis = u64::try_from(integer(at + 1)?).unwrap_or(0);
                if millis == 0 {
                    return Err(CommandError::text("ERR FAILOVER timeout must be greater than 0"));
                }
                timeout = Some(Duration::from_millis(millis));
                at += 2;
            }
            b"to" if left >= 2 && target.is_none() => {
                let host = String::from_utf8_lossy(call.arg(at + 1)).into_owned();
                target = Some((host, integer(at + 2)?));
                at += 3;
            }
            b"force" if !force => {
                force = true;
                at += 1;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if server.service.replication.failover.is_some() {
        return Err(CommandError::text("ERR FAILOVER already in progress."));
    }
    if server.service.replication.is_replica() {
        return Err(CommandError::text("ERR FAILOVER is not valid when server is a replica."));
    }
    if server.service.replication.replicas.is_empty() {
        return Err(CommandError::text("ERR FAILOVER requires connected replicas."));
    }
    if force && (timeout.is_none() || target.is_none()) {
        return Err(CommandError::text(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        ));
    }
    let target = match target {
        None => None,
        Some((host, port)) => Some(server.failover_target(&host, port)?),
    };
    server.notice(|| match &target {
        Some((host, port)) => format!("FAILOVER requested to {host}:{port}."),
        None => "FAILOVER requested to any replica.".to_owned(),
    });
    let until = timeout.map(|timeout| call.now.mono + timeout);
    server.begin_failover(call.now, Failover { target, until, force, in_progress: false });
    call.ok()
}

impl Server {
    fn failover_target(&self, host: &str, port: i64) -> Result<(String, u16), CommandError> {
        let is_meant = |client: &Client, its_port| {
            its_port == port && client.replica_address().eq_ignore_ascii_case(host)
        };
        let found = self.all_replicas().find(|(client, replica)| is_meant(client, replica.port));
        match found {
            None => Err(CommandError::text("ERR FAILOVER target HOST and PORT is not a replica.")),
            Some((_, replica)) if replica.state != State::Online => {
                Err(CommandError::text("ERR FAILOVER target replica is not online."))
            }
            Some(_) => Ok((host.to_owned(), u16::try_from(port).unwrap_or_default())),
        }
    }
}
