//! A session as a link: topology, seed, actions and the present moment in the `#fragment`.
//!
//! Plain and readable: `#v=1&topology=3&seed=7&at=1.5s&do=1.2s%20crash%20redis-1&do=…`.

use limpid_core::lab;
use limpid_core::sim::Timed;
use limpid_core::time::Mono;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use crate::lab::{Lab, Topology};
use crate::page::Page;

/// Longer links are cut off by some programs; a session that long has other ways to travel.
const LONGEST: usize = 8_000;

/// What a link asks for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shared {
    /// Which topology.
    pub topology: Topology,
    /// The seed.
    pub seed: u64,
    /// The moment to show, in nanoseconds.
    pub at: u64,
    /// What was done.
    pub actions: Vec<Timed>,
}

/// Why a link cannot be followed whole. The scenario that it names is opened all the same.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Trouble {
    /// Another version of the page made it.
    Version(String),
    /// It is damaged.
    Broken,
}

impl Shared {
    /// The link's fragment, without `#`.
    pub(crate) fn encode(&self) -> String {
        let Shared { topology, seed, at, actions } = self;
        lab::Link { topology: topology.name(), seed: *seed, at: Mono(*at), actions }.to_string()
    }

    /// The lesson that a fragment, without `#`, is a session of.
    pub(crate) fn lesson_of(fragment: &str) -> Option<String> {
        let mut pairs = fragment.split('&').filter_map(|pair| pair.split_once('='));
        let (_, name) = pairs.find(|(key, _)| *key == "topology")?;
        name.strip_prefix(Topology::OF_LESSON).map(str::to_owned)
    }

    /// Reads a fragment, without `#`; `None` if it speaks of no session at all.
    pub(crate) fn decode(fragment: &str) -> Option<(Shared, Option<Trouble>)> {
        let mut shared =
            Shared { topology: Topology::USUAL, seed: Lab::SEED, at: 0, actions: Vec::new() };
        let (mut version, mut broken) = (None, false);
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescape(value);
            match key {
                "v" => version = Some(value),
                // Links that are older than the other topologies say `servers`.
                "topology" | "servers" => match Topology::named(&value) {
                    Some(topology) => shared.topology = topology,
                    None => broken = true,
                },
                "seed" => match value.parse() {
                    Ok(seed) => shared.seed = seed,
                    Err(_) => broken = true,
                },
                "at" => match format!("{value} heal").parse::<Timed>() {
                    Ok(timed) => shared.at = timed.at.0,
                    Err(_) => broken = true,
                },
                "do" => match value.parse() {
                    Ok(timed) => shared.actions.push(timed),
                    Err(_) => broken = true,
                },
                _ => {}
            }
        }
        let version = version?;
        let trouble = match (version == lab::Link::VERSION, broken) {
            (false, _) => Some(Trouble::Version(version)),
            (true, true) => Some(Trouble::Broken),
            (true, false) => None,
        };
        if trouble.is_some() {
            shared.actions.clear();
            shared.at = 0;
        }
        Some((shared, trouble))
    }
}

/// Puts the session's link into the address bar and on the clipboard.
pub(crate) fn copy(page: &Page) {
    let fragment = page.lab().shared().encode();
    let whole = fragment.len() <= LONGEST;
    // It is checked by decoding it before it is shown.
    if !whole || Shared::decode(&fragment).is_none_or(|(_, trouble)| trouble.is_some()) {
        page.toast(page.say(words::SHARE_TOO_LONG).to_owned());
        return;
    }
    let window = gloo::utils::window();
    let location = window.location();
    let _ = location.replace(&format!("#{fragment}"));
    let href = location.href().unwrap_or_default();
    let page = page.clone();
    spawn_local(async move {
        let copied = JsFuture::from(window.navigator().clipboard().write_text(&href)).await;
        let text = if copied.is_ok() { words::SHARED } else { words::SHARE_FAILED };
        page.toast(page.say(text).to_owned());
    });
}

fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                // A broken escape stays as it is, and what it belongs to will not parse.
                out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'%'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

mod words {
    crate::i18n::texts! {
        SHARED: "Link copied. It opens this session, at this moment.", "链接已复制：打开即可回到此刻的会话。";
        SHARE_FAILED: "The browser did not allow copying. The link is in the address bar.", "浏览器不允许复制，链接已写入地址栏。";
        SHARE_TOO_LONG: "This session is too long for a link.", "会话太长，无法放进链接。";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Shared {
        let actions =
            ["120ms type cli-redis-1 SET k \"a & b\" 值", "1.5s partition redis-1 | app-1"];
        Shared {
            topology: Topology::named("12").expect("a topology"),
            seed: 42,
            at: 1_700_000_001,
            actions: actions.iter().map(|text| text.parse().expect("an action")).collect(),
        }
    }

    #[test]
    fn a_link_gives_back_the_session() {
        let fragment = session().encode();
        assert!(fragment.is_ascii());
        assert_eq!(Shared::decode(&fragment), Some((session(), None)));
    }

    #[test]
    fn a_link_of_the_first_kind_is_still_followed() {
        let older = session().encode().replace("topology=", "servers=");
        assert_eq!(Shared::decode(&older), Some((session(), None)));
    }

    #[test]
    fn a_link_that_cannot_be_read_opens_the_scenario_anyway() {
        let damaged = session().encode().replace("partition", "partitoin");
        let (shared, trouble) = Shared::decode(&damaged).expect("a session");
        assert_eq!(
            (shared.topology, trouble),
            (Topology::named("12").expect("a topology"), Some(Trouble::Broken))
        );
        assert!(shared.actions.is_empty());

        let newer = session().encode().replace("v=1", "v=9");
        let (shared, trouble) = Shared::decode(&newer).expect("a session");
        assert_eq!(trouble, Some(Trouble::Version("9".into())));
        assert_eq!(shared.topology, Topology::named("12").expect("a topology"));
        assert_eq!(Shared::decode("section-2"), None);
    }
}
