//! The time constants of a Sentinel, which `SENTINEL DEBUG` shows and changes.

use crate::time::Duration;

/// Time constants. Those of Redis unless changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Between two INFO to a server.
    pub info: Duration,
    /// Between two PING, and between two attempts to connect.
    pub ping: Duration,
    /// Between two questions to another Sentinel whether a master is down.
    pub ask: Duration,
    /// Between two hello messages.
    pub publish: Duration,
    /// `down-after-milliseconds` of a master that sets none.
    pub default_down_after: Duration,
    /// `failover-timeout` of a master that sets none.
    pub default_failover_timeout: Duration,
    /// How late a timer may fire before the Sentinel distrusts its clock (TILT).
    pub tilt_trigger: Duration,
    /// How long TILT lasts.
    pub tilt: Duration,
    /// How long a replica that was told to follow the new master may take to show that it does.
    pub replica_reconf_timeout: Duration,
    /// How long a connection that gives no sign of life is left alone.
    pub min_link_reconnect: Duration,
    /// How long a Sentinel tries to be elected, if `failover-timeout` is not shorter.
    pub election_timeout: Duration,
    /// After how long a script is killed.
    pub script_max_runtime: Duration,
    /// Before a script that failed is run a second time; doubled each further time.
    pub script_retry_delay: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Periods {
            info: secs(10),
            ping: secs(1),
            ask: secs(1),
            publish: secs(2),
            default_down_after: secs(30),
            default_failover_timeout: secs(180),
            tilt_trigger: secs(2),
            tilt: secs(30),
            replica_reconf_timeout: secs(10),
            min_link_reconnect: secs(15),
            election_timeout: secs(10),
            script_max_runtime: secs(60),
            script_retry_delay: secs(30),
        }
    }
}

impl Periods {
    /// Names and values, in the order in which `SENTINEL DEBUG` shows them.
    pub fn list(&self) -> [(&'static str, Duration); 13] {
        // One list of names serves both directions.
        let mut copy = self.clone();
        Self::NAMES.map(|name| {
            let value = copy.get_mut(name.as_bytes()).map_or(Duration::ZERO, |value| *value);
            (name, value)
        })
    }

    /// The constant of this name, in any case, to be changed.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Duration> {
        let at = Self::NAMES.iter().position(|n| n.as_bytes().eq_ignore_ascii_case(name))?;
        Some(match at {
            0 => &mut self.info,
            1 => &mut self.ping,
            2 => &mut self.ask,
            3 => &mut self.publish,
            4 => &mut self.default_down_after,
            5 => &mut self.default_failover_timeout,
            6 => &mut self.tilt_trigger,
            7 => &mut self.tilt,
            8 => &mut self.replica_reconf_timeout,
            9 => &mut self.min_link_reconnect,
            10 => &mut self.election_timeout,
            11 => &mut self.script_max_runtime,
            _ => &mut self.script_retry_delay,
        })
    }

    const NAMES: [&'static str; 13] = [
        "INFO-PERIOD",
        "PING-PERIOD",
        "ASK-PERIOD",
        "PUBLISH-PERIOD",
        "DEFAULT-DOWN-AFTER",
        "DEFAULT-FAILOVER-TIMEOUT",
        "TILT-TRIGGER",
        "TILT-PERIOD",
        "SLAVE-RECONF-TIMEOUT",
        "MIN-LINK-RECONNECT-PERIOD",
        "ELECTION-TIMEOUT",
        "SCRIPT-MAX-RUNTIME",
        "SCRIPT-RETRY-DELAY",
    ];
}
