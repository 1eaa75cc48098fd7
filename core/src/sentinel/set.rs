//! Settings that can be changed at run time: SENTINEL SET for a master, SENTINEL CONFIG for the
//! Sentinel itself.

use super::Sentinel;
use crate::glob;
use crate::machine::LogLevel;
use crate::resp::number::parse_i64;
use crate::time::Duration;

/// The result of SENTINEL SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOutcome {
    /// Whether anything was changed and has to be saved, even if an error followed.
    pub changed: bool,
    /// The error reply, if any.
    pub error: Option<String>,
}

/// The options of SENTINEL CONFIG other than `loglevel`, which the front handles.
const OWN: [&str; 6] = [
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
];

impl Sentinel {
    /// Sets options of a master: pairs `option value ...` (`rename-command` takes two values).
    /// Publishes `+set` for each. Options before an invalid one are set. `executable` says whether
    /// a file of [`Sentinel::scripts_to_set`] is executable.
    pub fn set(
        &mut self,
        name: &[u8],
        words: &[&[u8]],
        executable: &dyn Fn(&str) -> bool,
    ) -> SetOutcome {
        let mut changed = false;
        let mut rest = words;
        while let [option, values @ ..] = rest {
            match self.set_one(name, option, values, executable) {
                Ok(used) => {
                    changed = true;
                    rest = values.get(used..).unwrap_or_default();
                }
                Err(error) => return SetOutcome { changed, error: Some(error) },
            }
        }
        SetOutcome { changed, error: None }
    }

    /// The scripts named by the arguments of SENTINEL SET, if scripts may be set at all.
    pub fn scripts_to_set(&self, words: &[&[u8]]) -> Vec<String> {
        if self.common.settings.deny_scripts_reconfig {
            return Vec::new();
        }
        let mut scripts = Vec::new();
        let mut rest = words;
        while let [option, value, ..] = rest {
            if is_script(option) && !value.is_empty() {
                scripts.push(String::from_utf8_lossy(value).into_owned());
            }
            let used = if option.eq_ignore_ascii_case(b"rename-command") { 3 } else { 2 };
            rest = rest.get(used..).unwrap_or_default();
        }
        scripts
    }

    /// Sets one option. Returns the number of its values.
    fn set_one(
        &mut self,
        name: &[u8],
        option: &[u8],
        values: &[&[u8]],
        executable: &dyn Fn(&str) -> bool,
    ) -> Result<usize, String> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let bad = |value: &[u8]| {
            format!("ERR Invalid argument '{}' for SENTINEL SET '{}'", shown(value), shown(option))
        };
        let unknown = || {
            let option = shown(option);
            format!("ERR Unknown option or number of arguments for SENTINEL SET '{option}'")
        };
        let deny = self.common.settings.deny_scripts_reconfig;
        let master = super::find_mut(&mut self.masters, name);
        let master = master.ok_or_else(|| "ERR No such master with that name".to_owned())?;
        let [value, more @ ..] = values else { return Err(unknown()) };
        let number = |least: i64| {
            parse_i64(value).filter(|number| *number >= least).ok_or_else(|| bad(value))
        };
        let ms = |least| number(least).map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let text = (!value.is_empty()).then(|| shown(value));
        let mut used = 1;
        match option.to_ascii_lowercase().as_slice() {
            b"down-after-milliseconds" => master.set_down_after(ms(1)?),
            b"failover-timeout" => master.failover_timeout = ms(1)?,
            b"parallel-syncs" => {
                master.parallel_syncs = u32::try_from(number(1)?).map_err(|_| bad(value))?;
            }
            b"quorum" => master.quorum = u32::try_from(number(1)?).map_err(|_| bad(value))?,
            b"master-reboot-down-after-period" => master.reboot_down_after = ms(0)?,
            b"notification-script" | b"client-reconfig-script" if deny => {
                return Err("ERR Reconfiguration of scripts path is denied for security reasons. \
                            Check the deny-scripts-reconfig configuration directive in your \
                            Sentinel configuration"
                    .into());
            }
            b"notification-script" if text.as_deref().is_some_and(|path| !executable(path)) => {
                return Err("ERR Notification script seems non existing or non executable".into());
            }
            b"client-reconfig-script" if text.as_deref().is_some_and(|path| !executable(path)) => {
                return Err(
                    "ERR Client reconfiguration script seems non existing or non executable".into(),
                );
            }
            b"notification-script" => master.notification_script = text,
            b"client-reconfig-script" => master.client_reconfig_script = text,
            b"auth-pass" => {
                master.access.password = text;
                master.drop_connections(&mut self.common);
            }
            b"auth-user" => {
                master.access.user = text;
                master.drop_connections(&mut self.common);
            }
            b"rename-command" => {
                let new = more.first().ok_or_else(unknown)?;
                if value.is_empty() || new.is_empty() {
                    return Err(bad(if new.is_empty() { new } else { value }));
                }
                used = 2;
                master.access.renamed.remove(shown(value).to_ascii_lowercase().as_str());
                if !value.eq_ignore_ascii_case(new) {
                    master.access.rename(&shown(value), &shown(new));
                }
            }
            _ => return Err(unknown()),
        }
        let secret = option.eq_ignore_ascii_case(b"auth-pass");
        let values = values.iter().take(used).map(|value| match secret {
            true => "******".to_owned(),
            false => shown(value),
        });
        let mut more = format!(" {}", shown(option));
        values.for_each(|value| more += &format!(" {value}"));
        master.event(&mut self.common, LogLevel::Warning, "+set", &more);
        Ok(used)
    }

    /// Whether SENTINEL CONFIG SET accepts a value for an option of the Sentinel itself. `None` if
    /// there is no such option.
    pub fn check_config(option: &[u8], value: &[u8]) -> Option<bool> {
        let option = OWN.iter().find(|own| own.as_bytes().eq_ignore_ascii_case(option))?;
        Some(match *option {
            "resolve-hostnames" | "announce-hostnames" => yes(value).is_some(),
            "announce-port" => parse_i64(value).is_some_and(|port| (0..=65_535).contains(&port)),
            _ => true,
        })
    }

    /// Sets an option of the Sentinel itself to a value that was checked before.
    pub fn set_config(&mut self, option: &[u8], value: &[u8]) {
        let settings = &mut self.common.settings;
        let text = String::from_utf8_lossy(value).into_owned();
        let some = (!text.is_empty()).then_some(text);
        match option.to_ascii_lowercase().as_slice() {
            b"resolve-hostnames" => self.common.names.resolve = yes(value).unwrap_or(false),
            b"announce-hostnames" => settings.announce_hostnames = yes(value).unwrap_or(false),
            b"announce-ip" => settings.announce_ip = some,
            b"announce-port" => {
                let port = parse_i64(value).and_then(|port| u16::try_from(port).ok());
                settings.announce_port = port.unwrap_or(0);
            }
            b"sentinel-user" => {
                settings.user = some;
                self.drop_sentinel_connections();
            }
            b"sentinel-pass" => {
                settings.password = some;
                self.drop_sentinel_connections();
            }
            _ => {}
        }
    }

    /// The options of the Sentinel itself that match any of these patterns, with their values.
    pub fn get_config(&self, patterns: &[&[u8]]) -> Vec<(&'static str, String)> {
        let settings = &self.common.settings;
        let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let value = |option: &str| match option {
            "resolve-hostnames" => word(self.common.names.resolve),
            "announce-hostnames" => word(settings.announce_hostnames),
            "announce-ip" => text(&settings.announce_ip),
            "announce-port" => settings.announce_port.to_string(),
            "sentinel-user" => text(&settings.user),
            _ => text(&settings.password),
        };
        let wanted = |option: &&str| {
            patterns.iter().any(|p| glob::matches_ignoring_case(p, option.as_bytes()))
        };
        OWN.into_iter().filter(wanted).map(|option| (option, value(option))).collect()
    }
}

/// Whether an option of SENTINEL SET is a script.
fn is_script(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"notification-script")
        || option.eq_ignore_ascii_case(b"client-reconfig-script")
}

fn yes(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}
