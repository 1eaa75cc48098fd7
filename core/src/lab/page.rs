//! Links to the page: a program that runs Worlds elsewhere can run the page's scenarios, and print
//! the link that shows a session in the page.

use core::fmt;
use std::net::Ipv4Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::sim::{HostSpec, LinkSpec, Scenario, Timed};
use crate::time::{Duration, Mono};

/// The host of the person's terminals.
pub const SHELL: &str = "you";

/// The scenario as the page runs it: with links slow enough to be watched, as between two regions,
/// and with the person's host.
pub fn as_in_page(mut scenario: Scenario) -> Scenario {
    scenario.link = LinkSpec {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(3),
        ..LinkSpec::default()
    };
    scenario.hosts.push(HostSpec::new(SHELL, Ipv4Addr::new(10, 0, 9, 1)));
    scenario
}

/// A session as the fragment of the page's URL, without `#`:
/// `v=1&topology=sentinels-3&seed=7&at=1500ns&do=1.2s+crash+redis-1&do=…`.
#[derive(Clone, Copy, Debug)]
pub struct Link<'l> {
    /// The name of the topology in the page.
    pub topology: &'l str,
    /// The seed.
    pub seed: u64,
    /// The time to show.
    pub at: Mono,
    /// The actions of the session.
    pub actions: &'l [Timed],
}

impl Link<'_> {
    /// The version of the format.
    pub const VERSION: &'static str = "1";
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { topology, seed, at, actions } = self;
        write!(f, "v={}&topology={topology}&seed={seed}&at={}ns", Self::VERSION, at.0)?;
        for timed in *actions {
            write!(f, "&do={}", escape(&timed.to_string()))?;
        }
        Ok(())
    }
}

/// Escapes text for the value of a field in a fragment.
pub fn escape(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b':')
        .remove(b',')
        .remove(b'/')
        .remove(b' ');
    utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}
