//! The directives `sentinel ...` of the configuration file: settings, and the saved state.

use super::Sentinel;
use super::instance::Instance;
use super::master::Master;
use crate::resp::quote::repr;
use crate::time::Duration;

/// A line `sentinel word word ...` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number among the lines of the file, from 1.
    pub number: usize,
    /// The whole line.
    pub text: String,
    /// The words after `sentinel`.
    pub words: Vec<String>,
}

/// Directives that do not concern a single master. They are read first, since others depend on
/// them.
const FIRST: [&str; 9] = [
    "announce-ip",
    "announce-port",
    "deny-scripts-reconfig",
    "sentinel-user",
    "sentinel-pass",
    "current-epoch",
    "myid",
    "resolve-hostnames",
    "announce-hostnames",
];

/// All directives, by their first words. When the file is rewritten, lines of these directives that
/// are not valid any more are removed.
pub const DIRECTIVES: [&str; 24] = [
    "myid",
    "deny-scripts-reconfig",
    "resolve-hostnames",
    "announce-hostnames",
    "monitor",
    "down-after-milliseconds",
    "failover-timeout",
    "parallel-syncs",
    "notification-script",
    "client-reconfig-script",
    "auth-pass",
    "auth-user",
    "master-reboot-down-after-period",
    "config-epoch",
    "leader-epoch",
    "known-slave",
    "known-replica",
    "known-sentinel",
    "rename-command",
    "current-epoch",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
];

const NO_MASTER: &str = "No such master with specified name.";
const BAD_TIME: &str = "negative or zero time parameter.";

impl Sentinel {
    /// Loads the lines of a file: first global directives, then `monitor`, then the other
    /// directives of masters, whatever their order in the file. `executable` says whether a script
    /// is executable.
    ///
    /// An error comes with the index of its line.
    pub fn load(
        &mut self,
        lines: &[Line],
        executable: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), (usize, String)> {
        let turn = |line: &Line| {
            let name = line.words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            match name.as_str() {
                "monitor" => 1,
                name if FIRST.contains(&name) => 0,
                _ => 2,
            }
        };
        for at in 0..3 {
            for (index, line) in lines.iter().enumerate().filter(|(_, line)| turn(line) == at) {
                self.directive(&line.words, executable).map_err(|error| (index, error.into()))?;
            }
        }
        Ok(())
    }

    fn directive(
        &mut self,
        words: &[String],
        executable: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), &'static str> {
        const UNKNOWN: &str = "Unrecognized sentinel configuration statement.";
        let (name, values) = words.split_first().ok_or(UNKNOWN)?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let settings = &mut self.common.settings;
        match (name.to_ascii_lowercase().as_str(), values.as_slice()) {
            ("myid", [id]) if id.len() != 40 => {
                return Err("Malformed Sentinel id in myid option.");
            }
            ("myid", [id]) => self.common.id = (*id).to_owned(),
            ("current-epoch", [epoch]) => {
                self.common.epoch = self.common.epoch.max(number(epoch)?);
            }
            ("announce-ip", [""]) | ("sentinel-user", [""]) | ("sentinel-pass", [""]) => {}
            ("announce-ip", [ip]) => settings.announce_ip = Some((*ip).to_owned()),
            ("announce-port", [port]) => {
                settings.announce_port = port.parse().map_err(|_| "Invalid port number.")?;
            }
            ("sentinel-user", [user]) => settings.user = Some((*user).to_owned()),
            ("sentinel-pass", [password]) => settings.password = Some((*password).to_owned()),
            ("deny-scripts-reconfig", [value]) => {
                settings.deny_scripts_reconfig = yes_or_no(value)
                    .ok_or("Please specify yes or no for the deny-scripts-reconfig options.")?;
            }
            ("resolve-hostnames", [value]) => {
                self.common.names.resolve = yes_or_no(value)
                    .ok_or("Please specify yes or no for the resolve-hostnames option.")?;
            }
            ("announce-hostnames", [value]) => {
                settings.announce_hostnames = yes_or_no(value)
                    .ok_or("Please specify yes or no for the announce-hostnames option.")?;
            }
            ("monitor", [name, host, port, quorum]) => {
                let port = port.parse().map_err(|_| "Invalid port number.")?;
                self.monitor(name, host, port, quorum.parse().unwrap_or(0))?;
            }
            // The old format without an ID is ignored, since it is of no use.
            ("known-sentinel", [_, _, _]) => {}
            ("known-sentinel", [master, host, port, id]) => {
                let addr = self.addr(host, port.parse().map_err(|_| "Invalid port number.")?)?;
                let found = self.masters.get_mut(*master).ok_or(NO_MASTER)?;
                found
                    .add_sentinel(&mut self.common, id, addr)
                    .ok_or("Duplicate runid for sentinel.")?;
                self.share_link(master, id);
            }
            ("known-replica" | "known-slave", [master, host, port]) => {
                let addr = self.addr(host, port.parse().map_err(|_| "Invalid port number.")?)?;
                let found = self.masters.get_mut(*master).ok_or(NO_MASTER)?;
                found
                    .add_replica(&mut self.common, addr)
                    .ok_or("Duplicate hostname and port for replica.")?;
            }
            (directive, [master, values @ ..]) if Self::is_of_master(directive, values.len()) => {
                let found = self.masters.get_mut(*master).ok_or(NO_MASTER)?;
                found.directive(directive, values, executable)?;
                self.common.epoch = self.common.epoch.max(found.config_epoch);
            }
            _ => return Err(UNKNOWN),
        }
        Ok(())
    }

    /// Whether a directive concerns a master, and takes this many values after the name.
    fn is_of_master(directive: &str, values: usize) -> bool {
        match directive {
            "rename-command" => values == 2,
            "down-after-milliseconds"
            | "failover-timeout"
            | "parallel-syncs"
            | "notification-script"
            | "client-reconfig-script"
            | "auth-pass"
            | "auth-user"
            | "master-reboot-down-after-period"
            | "config-epoch"
            | "leader-epoch" => values == 1,
            _ => false,
        }
    }

    /// The lines of its settings and state, in the order of the file, each with the name of its
    /// directive.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let common = &self.common;
        let settings = &common.settings;
        let mut lines = Lines(Vec::new());
        let word = |yes: bool| if yes { "yes" } else { "no" };
        lines.add("myid", common.id.clone());
        // Directives with default values are only in the file if somebody added them.
        lines.add("deny-scripts-reconfig", word(settings.deny_scripts_reconfig).into());
        lines.add("resolve-hostnames", word(common.names.resolve).into());
        lines.add("announce-hostnames", word(settings.announce_hostnames).into());
        for master in self.masters.values() {
            master.lines(self, &mut lines);
        }
        lines.add("current-epoch", common.epoch.to_string());
        if let Some(ip) = &settings.announce_ip {
            lines.add("announce-ip", repr(ip.as_bytes()));
        }
        if settings.announce_port != 0 {
            lines.add("announce-port", settings.announce_port.to_string());
        }
        for (name, value) in
            [("sentinel-user", &settings.user), ("sentinel-pass", &settings.password)]
        {
            if let Some(value) = value {
                lines.add(name, quoted(value));
            }
        }
        lines.0
    }

    /// Whether a line can be omitted from a file, because it only repeats a default.
    pub fn is_default_line(&self, directive: &str) -> bool {
        match directive {
            "deny-scripts-reconfig" => self.common.settings.deny_scripts_reconfig,
            "resolve-hostnames" => !self.common.names.resolve,
            "announce-hostnames" => !self.common.settings.announce_hostnames,
            _ => false,
        }
    }
}

struct Lines(Vec<(&'static str, String)>);

impl Lines {
    fn add(&mut self, name: &'static str, values: String) {
        self.0.push((name, format!("sentinel {name} {values}")));
    }
}

impl Master {
    fn directive(
        &mut self,
        name: &str,
        values: &[&str],
        executable: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), &'static str> {
        let value = values.first().copied().unwrap_or_default();
        match name {
            "down-after-milliseconds" => self.set_down_after(positive(value)?),
            "failover-timeout" => self.failover_timeout = positive(value)?,
            "parallel-syncs" => {
                self.parallel_syncs = value.parse().map_err(|_| "Invalid number of replicas.")?;
            }
            "notification-script" if !executable(value) => {
                return Err("Notification script seems non existing or non executable.");
            }
            "notification-script" => self.notification_script = Some(value.to_owned()),
            "client-reconfig-script" if !executable(value) => {
                return Err("Client reconfiguration script seems non existing or non executable.");
            }
            "client-reconfig-script" => self.client_reconfig_script = Some(value.to_owned()),
            "auth-pass" => self.access.password = Some(value.to_owned()),
            "auth-user" => self.access.user = Some(value.to_owned()),
            "master-reboot-down-after-period" => {
                let ms = value.parse().map_err(|_| "negative time parameter.")?;
                self.reboot_down_after = Duration::from_millis(ms);
            }
            "config-epoch" => self.config_epoch = number(value)?,
            "leader-epoch" => self.vote.epoch = number(value)?,
            _ => {
                let new = values.get(1).copied().unwrap_or_default();
                if self.access.rename(value, new) {
                    return Err("Same command renamed multiple times with rename-command.");
                }
            }
        }
        Ok(())
    }

    fn lines(&self, sentinel: &Sentinel, lines: &mut Lines) {
        let common = &sentinel.common;
        let name = self.name();
        let periods = &common.periods;
        let addr = self.current_addr();
        let named = |value: String| format!("{} {value}", quoted(name));
        let at = |addr: &super::addr::Addr| format!("{} {}", common.host(addr), addr.port);
        lines.add("monitor", named(format!("{} {}", at(addr), self.quorum)));
        let down_after = self.instance.down_after;
        if down_after != periods.default_down_after {
            lines.add("down-after-milliseconds", named(down_after.as_millis().to_string()));
        }
        if self.failover_timeout != periods.default_failover_timeout {
            lines.add("failover-timeout", named(self.failover_timeout.as_millis().to_string()));
        }
        if self.parallel_syncs != 1 {
            lines.add("parallel-syncs", named(self.parallel_syncs.to_string()));
        }
        for (directive, value) in [
            ("notification-script", &self.notification_script),
            ("client-reconfig-script", &self.client_reconfig_script),
            ("auth-pass", &self.access.password),
            ("auth-user", &self.access.user),
        ] {
            if let Some(value) = value {
                lines.add(directive, named(quoted(value)));
            }
        }
        if !self.reboot_down_after.is_zero() {
            let ms = self.reboot_down_after.as_millis().to_string();
            lines.add("master-reboot-down-after-period", named(ms));
        }
        lines.add("config-epoch", named(self.config_epoch.to_string()));
        lines.add("leader-epoch", named(self.vote.epoch.to_string()));
        for replica in self.replicas.values() {
            // If a replica was promoted, it is the master above, and the old master is a replica
            // here.
            let is_master = replica.instance.addr.same_as(addr);
            let of: &Instance = if is_master { &self.instance } else { &replica.instance };
            lines.add("known-replica", named(at(&of.addr)));
        }
        for other in self.sentinels.values() {
            let id = &other.instance.name;
            lines.add("known-sentinel", named(format!("{} {id}", at(&other.instance.addr))));
        }
        for (old, new) in self.access.renamed.values() {
            lines.add("rename-command", named(format!("{} {}", quoted(old), quoted(new))));
        }
    }
}

impl super::instance::Access {
    /// Renames a command. True if it was renamed before.
    pub(super) fn rename(&mut self, old: &str, new: &str) -> bool {
        let key = old.to_ascii_lowercase();
        self.renamed.insert(key, (old.to_owned(), new.to_owned())).is_some()
    }
}

fn yes_or_no(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "Invalid epoch: it must be a number of 64 bits, 0 or more.")
}

fn positive(text: &str) -> Result<Duration, &'static str> {
    let ms: u64 = text.parse().map_err(|_| BAD_TIME)?;
    if ms == 0 { Err(BAD_TIME) } else { Ok(Duration::from_millis(ms)) }
}

/// A word quoted, if necessary, so that it is read back unchanged.
fn quoted(word: &str) -> String {
    let plain =
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\#".contains(&b));
    if plain { word.to_owned() } else { repr(word.as_bytes()) }
}
