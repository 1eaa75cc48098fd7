//! The time constants of a Sentinel, which `SENTINEL DEBUG` shows and changes.

use crate::time::Duration;

/// Time constants, with Redis's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The interval of INFO to a server.
    pub info: Duration,
    /// The interval of PING, and of connection attempts.
    pub ping: Duration,
    /// The interval at which another Sentinel is asked whether a master is down.
    pub ask: Duration,
    /// The interval of hello messages.
    pub publish: Duration,
    /// The default of `down-after-milliseconds`.
    pub default_down_after: Duration,
    /// The default of `failover-timeout`.
    pub default_failover_timeout: Duration,
    /// How late a timer may be before TILT mode is entered.
    pub tilt_trigger: Duration,
    /// The duration of TILT mode.
    pub tilt: Duration,
    /// The timeout for a replica that was sent REPLICAOF to report the new master.
    pub replica_reconf_timeout: Duration,
    /// How long a silent connection is kept at least.
    pub min_link_reconnect: Duration,
    /// The timeout of an election, if `failover-timeout` is not shorter.
    pub election_timeout: Duration,
    /// The timeout of a script, after which it is killed.
    pub script_max_runtime: Duration,
    /// The delay before a failed script is run again; doubled each time.
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
    /// Names and values, in the order of `SENTINEL DEBUG`.
    pub fn list(&self) -> [(&'static str, Duration); 13] {
        // The names are the same as in `get_mut`.
        let mut copy = self.clone();
        Self::NAMES.map(|name| {
            let value = copy.get_mut(name.as_bytes()).map_or(Duration::ZERO, |value| *value);
            (name, value)
        })
    }

    /// The constant with this name, ignoring case, mutable.
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
