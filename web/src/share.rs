//! A session as a link: topology, seed, actions and the present moment in the `#fragment`.
//!
//! Usually readable: `#v=1&core=0.1.0&topology=3&seed=7&at=1.5s&do=1.2s%20crash%20redis-1&do=…`.
//! A long one is compressed (`#z=…`, see `static/packing.js`), and unpacked before the page starts.

use limpid_core::lab;
use limpid_core::sim::Timed;
use limpid_core::time::Mono;
use percent_encoding::percent_decode_str;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use crate::lab::{Lab, Topology};
use crate::page::Page;

/// The version of the core that replays the actions. All crates of Limpid have the same version.
pub(crate) const CORE: &str = env!("CARGO_PKG_VERSION");
/// The longest fragment that stays readable instead of compressed, in characters.
const PLAIN: usize = 400;
/// The longest link, in characters: some programs cut off longer ones. Such a session can be saved
/// to a file.
const LONGEST: usize = 8_000;

#[wasm_bindgen]
extern "C" {
    /// Compresses a fragment. Defined in `start.js`, which `cargo xtask web` builds.
    #[wasm_bindgen(js_namespace = limpidLink, js_name = pack, catch)]
    async fn pack(fragment: &str) -> Result<JsValue, JsValue>;
}

/// The content of a link.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shared {
    /// Which topology.
    pub topology: Topology,
    /// The seed.
    pub seed: u64,
    /// The moment to show, in nanoseconds.
    pub at: u64,
    /// The actions.
    pub actions: Vec<Timed>,
    /// The version of the core that made it. The first links do not have it.
    pub core: Option<String>,
    /// The trace hash at that moment, if the link has it.
    pub trace: Option<u64>,
}

/// Why a link cannot be opened completely. The scenario that it names is opened anyway.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Trouble {
    /// A later version of the page made it.
    Version(String),
    /// It is damaged.
    Broken,
}

impl Shared {
    /// The link's fragment, without `#`.
    pub(crate) fn encode(&self) -> String {
        let Shared { topology, seed, at, actions, .. } = self;
        let link = lab::Link { topology: topology.name(), seed: *seed, at: Mono(*at), actions };
        let mut out = link.to_string();
        if let Some(core) = &self.core {
            out.push_str("&core=");
            out.push_str(core);
        }
        if let Some(trace) = self.trace {
            out.push_str(&format!("&trace={trace:016x}"));
        }
        out
    }

    /// The lesson that a fragment, without `#`, is a session of.
    pub(crate) fn lesson_of(fragment: &str) -> Option<String> {
        let mut pairs = fragment.split('&').filter_map(|pair| pair.split_once('='));
        let (_, name) = pairs.find(|(key, _)| *key == "topology")?;
        name.strip_prefix(Topology::OF_LESSON).map(str::to_owned)
    }

    /// Parses a fragment, without `#`; `None` if it is no session.
    pub(crate) fn decode(fragment: &str) -> Option<(Shared, Option<Trouble>)> {
        let mut shared = Shared {
            topology: Topology::USUAL,
            seed: Lab::SEED,
            at: 0,
            actions: Vec::new(),
            core: None,
            trace: None,
        };
        let (mut version, mut broken) = (None, false);
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescape(value);
            match key {
                "v" => version = Some(value),
                "core" => shared.core = Some(value),
                // Links from before there were other topologies have `servers`.
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
                "trace" => match u64::from_str_radix(&value, 16) {
                    Ok(trace) => shared.trace = Some(trace),
                    Err(_) => broken = true,
                },
                "do" => match value.parse() {
                    Ok(timed) => shared.actions.push(timed),
                    Err(_) => broken = true,
                },
                // A compressed link that could not be unpacked.
                "broken" => broken = true,
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
            shared.trace = None;
        }
        Some((shared, trouble))
    }

    /// The difference to report after opening this link: another version of the core replayed the
    /// actions, and the result may not be what was shared. `None` if it is known to be the same.
    pub(crate) fn difference(&self, lab: &Lab) -> Option<Difference> {
        let core = self.core.as_ref()?;
        match self.trace {
            Some(trace) if trace == lab.trace_hash() => None,
            Some(_) => Some(Difference { core: core.clone() }),
            None => (core != CORE).then(|| Difference { core: core.clone() }),
        }
    }
}

/// A session that another version of the core made.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Difference {
    /// The version of that core.
    pub core: String,
}

/// Puts the session's link into the address bar and the clipboard.
pub(crate) fn copy(page: &Page) {
    let fragment = page.lab().shared_exactly().encode();
    let page = page.clone();
    spawn_local(async move {
        let link = shortest(fragment).await;
        // `shortest` has checked the link by decoding it.
        let Some(link) = link.filter(|link| link.len() <= LONGEST) else {
            page.toast(page.say(words::SHARE_TOO_LONG).to_owned());
            return;
        };
        let window = gloo::utils::window();
        if let Ok(history) = window.history() {
            let there = format!("#{link}");
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&there));
        }
        let href = window.location().href().unwrap_or_default();
        let clipboard = js_sys::Reflect::get(&window.navigator(), &"clipboard".into());
        // A frame without permission, or a page without HTTPS, has no clipboard.
        let copied = match clipboard.map(JsCast::dyn_into::<web_sys::Clipboard>) {
            Ok(Ok(clipboard)) => JsFuture::from(clipboard.write_text(&href)).await.is_ok(),
            _ => false,
        };
        let text = if copied { words::SHARED } else { words::SHARE_FAILED };
        page.toast(page.say(text).to_owned());
    });
}

/// The fragment, compressed if it is long and that makes it shorter; `None` if it cannot be parsed
/// again.
async fn shortest(fragment: String) -> Option<String> {
    Shared::decode(&fragment).filter(|(_, trouble)| trouble.is_none())?;
    if fragment.len() <= PLAIN {
        return Some(fragment);
    }
    match pack(&fragment).await.ok().and_then(|packed| packed.as_string()) {
        Some(packed) if packed.len() < fragment.len() => Some(packed),
        _ => Some(fragment),
    }
}

fn unescape(text: &str) -> String {
    // An invalid escape is kept, and its parameter will not parse.
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

mod words {
    crate::i18n::texts! {
        SHARED: "Link copied. It opens this session, at this moment.", "链接已复制：打开即可回到此刻的会话。";
        SHARE_FAILED: "The browser did not allow copying. The link is in the address bar.", "浏览器不允许复制，链接已写入地址栏。";
        SHARE_TOO_LONG: "This session is too long for a link. Save it to a file instead.", "会话太长，无法放进链接，请改为保存到文件。";
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
            core: Some("0.1.0".to_owned()),
            trace: Some(0x00ab_cdef_0123_4567),
        }
    }

    #[test]
    fn a_link_gives_back_the_session() {
        let fragment = session().encode();
        assert!(fragment.is_ascii());
        assert_eq!(Shared::decode(&fragment), Some((session(), None)));
    }

    /// Links as earlier versions of the page made them. Never change one that is here: people have
    /// such links in courses, chats and bookmarks.
    const EARLIER: &[&str] = &[
        // The first format: only servers on their own, and times in seconds.
        "v=1&servers=3&seed=7&at=1.5s&do=2ms+run+you+cli-redis-1+redis-cli+-h+redis-1&do=1.2s+type+cli-redis-1+set+k+hello",
        // Other topologies than servers.
        "v=1&topology=3&seed=7&at=1500000000ns&do=2000000ns+run+you+cli-redis-1+redis-cli+-h+redis-1&do=1200000000ns+type+cli-redis-1+set+k+hello",
        "v=1&topology=replicas-2&seed=7&at=5500000000ns&do=2000000ns+run+you+cli-redis-1+redis-cli+-h+redis-1&do=5200000000ns+type+cli-redis-1+set+k+hello",
        "v=1&topology=sentinels-3&seed=9&at=14s&do=2ms+run+you+cli-redis-1+redis-cli+-h+redis-1&do=13.2s+type+cli-redis-1+set+k+hello&do=13.9s+crash+redis-2",
        // Quotes, blanks and other letters in what was typed.
        "v=1&topology=3&seed=7&at=1.5s&do=2ms%20run%20you%20cli-redis-1%20redis-cli%20-h%20redis-1&do=1.2s%20type%20cli-redis-1%20set%20k%20%22hello%22",
        // The version of the core, without and with the trace.
        "v=1&core=0.1.0&topology=3&seed=7&at=1500000000ns&do=2000000ns+run+you+cli-redis-1+redis-cli+-h+redis-1&do=1200000000ns+type+cli-redis-1+set+k+hello",
        "v=1&core=0.1.0&topology=3&seed=7&at=1500000000ns&trace=0123456789abcdef&do=2000000ns+run+you+cli-redis-1+redis-cli+-h+redis-1&do=1200000000ns+type+cli-redis-1+set+k+hello",
    ];

    #[test]
    fn links_of_earlier_versions_show_what_was_done_in_them() {
        for link in EARLIER {
            let (shared, trouble) = Shared::decode(link).expect(link);
            assert_eq!(trouble, None, "{link}");
            let at = shared.at;
            let mut lab = Lab::open_shared(shared);
            assert_eq!(lab.now(), at, "{link}");
            lab.run_until(at + 1_000_000_000, u64::MAX);
            let shown = lab.console("cli-redis-1").expect(link);
            let text = format!("{:?}", shown.blocks);
            assert!(text.contains("set k") && text.contains("OK"), "{link}: {text}");
        }
    }

    #[test]
    fn a_link_of_another_core_tells_so_unless_the_same_came_of_it() {
        let mut shared = session();
        (shared.topology, shared.seed, shared.at) = (Topology::USUAL, 7, 900_000_000);
        shared.actions.clear();
        let told = |shared: &Shared| shared.difference(&Lab::open_shared(shared.clone()));

        (shared.core, shared.trace) = (None, None);
        assert_eq!(told(&shared), None, "the first links do not tell");
        shared.core = Some(CORE.to_owned());
        assert_eq!(told(&shared), None);
        shared.core = Some("0.0.1".to_owned());
        assert_eq!(told(&shared), Some(Difference { core: "0.0.1".to_owned() }));
        // The trace hash counts more than the version.
        shared.trace = Lab::open_shared(shared.clone()).shared_exactly().trace;
        assert!(shared.trace.is_some());
        assert_eq!(told(&shared), None);
        (shared.core, shared.trace) = (Some(CORE.to_owned()), Some(1));
        assert!(told(&shared).is_some());
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
