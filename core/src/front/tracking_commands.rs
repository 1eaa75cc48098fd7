//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO.

use super::clients::{Tracking, TrackingMode};
use super::{Call, Front, Service};
use crate::command::CommandError;
use crate::resp::number::parse_i64;
use crate::sorted::SortedSet;

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<u64>,
    bcast: bool,
    optin: bool,
    optout: bool,
    noloop: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse<S: Service>(front: &Front<S>, call: &Call<'a, S>) -> Result<Self, CommandError> {
        let mut options = Options::default();
        let mut at = 3;
        while let Some(word) = call.args.get(at) {
            let value = call.args.get(at + 1);
            match (word.to_ascii_lowercase().as_slice(), value) {
                (b"redirect", Some(id)) => {
                    if options.redirect.is_some() {
                        return Err(CommandError::text(
                            "ERR A client can only redirect to a single other client",
                        ));
                    }
                    let id = parse_i64(id).ok_or(CommandError::NotAnInteger)?;
                    let known = u64::try_from(id)
                        .ok()
                        .filter(|&id| id == call.client.id || front.clients.by_id(id).is_some());
                    options.redirect = Some(known.ok_or(CommandError::text(
                        "ERR The client ID you want redirect to does not exist",
                    ))?);
                    at += 1;
                }
                (b"prefix", Some(prefix)) => {
                    options.prefixes.push(prefix);
                    at += 1;
                }
                (b"bcast", _) => options.bcast = true,
                (b"optin", _) => options.optin = true,
                (b"optout", _) => options.optout = true,
                (b"noloop", _) => options.noloop = true,
                _ => return Err(CommandError::Syntax),
            }
            at += 1;
        }
        Ok(options)
    }

    /// Applies the options to a client's tracking, unless they contradict each other or its current
    /// mode.
    fn onto(self, old: Option<&Tracking>) -> Result<Tracking, CommandError> {
        if !self.bcast && !self.prefixes.is_empty() {
            return Err(CommandError::text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        if old.is_some_and(|old| old.is_broadcast() != self.bcast) {
            return Err(CommandError::text(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        if self.bcast && (self.optin || self.optout) {
            return Err(CommandError::text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.optin && self.optout {
            return Err(CommandError::text(
                "ERR You can't specify both OPTIN mode and OPTOUT mode",
            ));
        }
        let was = old.map(|old| &old.mode);
        if self.optin && was == Some(&TrackingMode::OptOut)
            || self.optout && was == Some(&TrackingMode::OptIn)
        {
            return Err(CommandError::text(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        let mode = if self.bcast {
            let mut prefixes = match was {
                Some(TrackingMode::Broadcast(prefixes)) => prefixes.clone(),
                _ => SortedSet::new(),
            };
            check_prefixes(&prefixes, &self.prefixes)?;
            if self.prefixes.is_empty() {
                prefixes.insert(Box::from([]));
            }
            for prefix in self.prefixes {
                prefixes.insert(prefix.into());
            }
            TrackingMode::Broadcast(prefixes)
        } else if self.optin {
            TrackingMode::OptIn
        } else if self.optout {
            TrackingMode::OptOut
        } else {
            TrackingMode::Default
        };
        Ok(Tracking {
            mode,
            noloop: self.noloop,
            caching: old.is_some_and(|old| old.caching),
            redirect: self.redirect,
            broken: false,
        })
    }
}

/// Refuses overlapping prefixes, since a key would be reported twice.
fn check_prefixes(old: &SortedSet<Box<[u8]>>, new: &[&[u8]]) -> Result<(), CommandError> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let error = |prefix: &[u8], which: &str, other: &[u8]| {
        CommandError::Text(
            [
                b"ERR Prefix '",
                prefix,
                b"' overlaps with ",
                which.as_bytes(),
                b" prefix '",
                other,
                b"'. Prefixes for a single client must not overlap.",
            ]
            .concat()
            .into(),
        )
    };
    for (at, prefix) in new.iter().enumerate() {
        if let Some(other) = old.iter().find(|other| overlap(prefix, other)) {
            return Err(error(prefix, "an existing", other));
        }
        if let Some(other) = new[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(error(prefix, "another provided", other));
        }
    }
    Ok(())
}

/// CLIENT TRACKING.
pub(super) fn tracking<S: Service>(
    front: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let options = Options::parse(front, call)?;
    match call.arg(2).to_ascii_lowercase().as_slice() {
        b"on" => {
            let tracking = options.onto(call.client.tracking.as_deref())?;
            front.start_tracking(call.client, tracking);
        }
        b"off" => front.stop_tracking(call.client),
        _ => return Err(CommandError::Syntax),
    }
    call.ok()
}

/// CLIENT CACHING.
pub(super) fn caching<S: Service>(
    _: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let Some(tracking) = call.client.tracking.as_deref_mut() else {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    match call.args.at(2).to_ascii_lowercase().as_slice() {
        b"yes" if tracking.mode == TrackingMode::OptIn => tracking.caching = true,
        b"yes" => {
            return Err(CommandError::text(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        b"no" if tracking.mode == TrackingMode::OptOut => tracking.caching = true,
        b"no" => {
            return Err(CommandError::text(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        _ => return Err(CommandError::Syntax),
    }
    call.ok()
}

/// CLIENT GETREDIR.
pub(super) fn getredir<S: Service>(
    _: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let tracking = call.client.tracking.as_deref();
    let redirection = tracking.map_or(-1, Tracking::redirection);
    call.reply().integer(redirection);
    Ok(())
}

/// CLIENT TRACKINGINFO.
pub(super) fn trackinginfo<S: Service>(
    _: &mut Front<S>,
    call: &mut Call<'_, S>,
) -> Result<(), CommandError> {
    let tracking = call.client.tracking.as_deref().cloned();
    let redirect = tracking.as_ref().map_or(-1, Tracking::redirection);
    let mut flags = Vec::new();
    let mut prefixes = SortedSet::new();
    match tracking {
        None => flags.push("off"),
        Some(tracking) => {
            flags.push("on");
            match tracking.mode {
                TrackingMode::Default => {}
                TrackingMode::OptIn => flags.push("optin"),
                TrackingMode::OptOut => flags.push("optout"),
                TrackingMode::Broadcast(ref own) => {
                    flags.push("bcast");
                    prefixes = own.clone();
                }
            }
            if tracking.caching {
                let yes = tracking.mode == TrackingMode::OptIn;
                flags.push(if yes { "caching-yes" } else { "caching-no" });
            }
            if tracking.noloop {
                flags.push("noloop");
            }
            if tracking.broken {
                flags.push("broken_redirect");
            }
        }
    }
    let mut reply = call.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    for prefix in prefixes.iter() {
        reply.bulk(prefix);
    }
    Ok(())
}
