//! What monitored masters, replicas and other Sentinels have in common.

use super::addr::Addr;
use super::common::Common;
use super::link::{InFlight, Lane, LinkId, Purpose};
use super::report::Report;
use crate::peer::Preamble;
use crate::sorted::SortedMap;
use crate::time::{Duration, Mono};

/// The kinds of monitored instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A master.
    Master,
    /// A replica of a master.
    Replica,
    /// Another Sentinel that monitors the same master.
    Sentinel,
}

impl Kind {
    /// The name of the kind in events and replies.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Master => "master",
            Kind::Replica => "slave",
            Kind::Sentinel => "sentinel",
        }
    }
}

/// A monitored server or Sentinel.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its internal number, which is never reused.
    pub(super) id: u64,
    /// Its kind.
    pub kind: Kind,
    /// The name of a master, host and port of a replica, or the ID of a Sentinel.
    pub name: String,
    /// Its address.
    pub addr: Addr,
    /// The run ID that it reports; the ID of a Sentinel.
    pub run_id: Option<String>,
    /// The connections to it.
    pub(super) link: LinkId,
    /// After how long without a valid reply it is considered to be down.
    pub down_after: Duration,
    /// Whether this Sentinel considers it to be down (SDOWN).
    pub sdown: bool,
    /// Since when it is considered to be down, or was the last time.
    pub sdown_since: Option<Mono>,
    /// When a hello message was last sent.
    pub(super) last_hello_sent: Option<Mono>,
    /// Whether SCRIPT KILL was sent, because a script blocks it.
    pub(super) script_kill_sent: bool,
}

/// How to authenticate to the servers of a master, and their renamed commands.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The user name for AUTH (`auth-user`).
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Renamed commands: by the name in lower case, the name as configured and the new name.
    pub renamed: SortedMap<String, (String, String)>,
}

impl Access {
    /// The name of a command on these servers.
    pub(super) fn name(&self, command: &str) -> String {
        let renamed = self.renamed.get(command.to_ascii_lowercase().as_str());
        renamed.map_or(command, |(_, new)| new).to_owned()
    }
}

impl Instance {
    pub(super) fn new(
        common: &mut Common,
        kind: Kind,
        name: String,
        addr: Addr,
        down_after: Duration,
    ) -> Self {
        Instance {
            id: common.next_id(),
            kind,
            name,
            addr,
            run_id: None,
            link: common.links.create(common.now, kind != Kind::Sentinel),
            down_after,
            sdown: false,
            sdown_since: None,
            last_hello_sent: Some(common.now),
            script_kill_sent: false,
        }
    }

    /// Its description in events: `slave 127.0.0.1:6380 127.0.0.1 6380 @ mymaster 127.0.0.1 6379`.
    pub(super) fn label(&self, common: &Common, master: Option<&Instance>) -> String {
        let at = |of: &Instance| format!("{} {} {}", of.name, common.host(&of.addr), of.addr.port);
        let own = format!("{} {}", self.kind.word(), at(self));
        match master {
            None => own,
            Some(master) => format!("{own} @ {}", at(master)),
        }
    }

    /// Sends a command. False if there is no connection.
    pub(super) fn send<A: AsRef<[u8]>>(
        &self,
        common: &mut Common,
        master: u64,
        what: Purpose,
        words: &[A],
    ) -> bool {
        let asked = InFlight { master, instance: self.id, what };
        common.links.command(common.now, self.link, words, asked)
    }

    /// Opens missing connections, unless the last attempt was too recent.
    pub(super) fn reconnect(&self, common: &mut Common, master: u64, access: &Access) {
        if !common.links.is_disconnected(self.link) || self.addr.port == 0 {
            return;
        }
        let (now, ping) = (common.now, common.periods.ping);
        let ends = (&self.addr, common.settings.bind_source_addr);
        let Some(link) = common.links.get_mut(self.link) else { return };
        if link.last_reconnect.is_some_and(|at| now.since(at) < ping) {
            return;
        }
        link.last_reconnect = Some(now);
        if !common.links.has(self.link, Lane::Commands) {
            let preamble = self.preamble(common, access, "cmd");
            common.links.connect(now, self.link, Lane::Commands, ends, preamble);
            self.ping(common, master, access);
        }
        if self.kind != Kind::Sentinel && !common.links.has(self.link, Lane::PubSub) {
            let preamble = self.preamble(common, access, "pubsub");
            common.links.connect(now, self.link, Lane::PubSub, ends, preamble);
            common.links.subscribe(self.link, &access.name("SUBSCRIBE"), super::hello::CHANNEL);
        }
    }

    /// The commands at the start of a connection: AUTH, and a client name for CLIENT LIST. A wrong
    /// password does not close the connection; the server's error replies show that it is
    /// unavailable.
    fn preamble(&self, common: &Common, access: &Access, lane: &str) -> Preamble {
        let settings = &common.settings;
        let (user, password) = match self.kind {
            Kind::Sentinel if settings.password.is_some() => (&settings.user, &settings.password),
            Kind::Sentinel => (&None, &settings.requirepass),
            _ => (&access.user, &access.password),
        };
        let mut preamble = Preamble::new();
        if let Some(password) = password {
            let auth = access.name("AUTH");
            preamble = match user {
                None => preamble.command(&[&auth, password]),
                Some(user) => preamble.command(&[&auth, user, password]),
            };
        }
        let id = common.id.get(..8).unwrap_or_default();
        preamble.command(&[&access.name("CLIENT"), "SETNAME", &format!("sentinel-{id}-{lane}")])
    }

    pub(super) fn ping(&self, common: &mut Common, master: u64, access: &Access) -> bool {
        self.send(common, master, Purpose::Ping, &[access.name("PING")])
    }

    /// Whether a PING is due.
    pub(super) fn ping_due(&self, common: &Common) -> bool {
        let now = common.now;
        let period = common.periods.ping.min(self.down_after);
        common.links.get(self.link).is_some_and(|link| {
            now.since(link.last_pong) > period
                && link.last_ping.is_none_or(|at| now.since(at) > period / 2)
        })
    }

    /// Whether a hello message is due.
    pub(super) fn hello_due(&self, common: &Common) -> bool {
        self.last_hello_sent.is_none_or(|at| common.now.since(at) > common.periods.publish)
    }

    /// Whether so many commands are in flight that optional ones are not sent.
    pub(super) fn is_congested(&self, common: &Common) -> bool {
        let users = common.links.get(self.link).map_or(1, |link| link.users as usize);
        common.links.pending(self.link) >= MAX_PENDING * users
    }

    /// How long a PING has been unanswered, or the connection has been missing.
    pub(super) fn silence(&self, common: &Common) -> Duration {
        let now = common.now;
        let Some(link) = common.links.get(self.link) else { return Duration::ZERO };
        match link.ping_waiting {
            Some(since) => now.since(since),
            None if common.links.is_disconnected(self.link) => now.since(link.last_available),
            None => Duration::ZERO,
        }
    }

    /// Closes connections that seem to be established but are silent.
    pub(super) fn close_dead_connections(&self, common: &mut Common) {
        let (now, link) = (common.now, self.link);
        let old = common.periods.min_link_reconnect;
        let is_old = |age: Option<Duration>| age.is_some_and(|age| age > old);
        let Some(state) = common.links.get(link) else { return };
        let half = self.down_after / 2;
        let silent = state.ping_waiting.is_some_and(|at| now.since(at) > half)
            && now.since(state.last_pong) > half;
        let quiet = common.periods.publish * 3;
        let unheard = state.last_message.is_none_or(|at| now.since(at) > quiet);
        if silent && is_old(common.links.age(now, link, Lane::Commands)) {
            common.links.close_lane(link, Lane::Commands);
        }
        if unheard && is_old(common.links.age(now, link, Lane::PubSub)) {
            common.links.close_lane(link, Lane::PubSub);
        }
    }

    /// Sets SDOWN. Returns the event if the state has changed.
    pub(super) fn set_sdown(&mut self, now: Mono, down: bool) -> Option<&'static str> {
        if self.sdown == down {
            return None;
        }
        self.sdown = down;
        if down {
            self.sdown_since = Some(now);
        } else {
            self.script_kill_sent = false;
        }
        Some(if down { "+sdown" } else { "-sdown" })
    }

    /// Whether an INFO is due, at this interval.
    pub(super) fn info_due(common: &Common, report: &Report, period: Duration) -> bool {
        report.refreshed.is_none_or(|at| common.now.since(at) > period)
    }
}

/// The maximum number of commands in flight on a link.
const MAX_PENDING: usize = 100;
