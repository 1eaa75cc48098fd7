//! The subscriptions of one client.

use std::collections::BTreeSet;

/// What a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    /// Channels by name.
    Channel,
    /// Patterns of names.
    Pattern,
    /// Shard channels by name.
    Shard,
}

/// The subscriptions of one client.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Box<[u8]>>,
    patterns: BTreeSet<Box<[u8]>>,
    shards: BTreeSet<Box<[u8]>>,
}

impl Subscriptions {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Number of patterns.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Number of shard channels.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// All names, and whether each is a pattern.
    pub(in crate::front) fn all(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let patterns = self.patterns.iter().map(|name| (&name[..], true));
        patterns.chain(self.channels.iter().chain(&self.shards).map(|name| (&name[..], false)))
    }

    /// Number of subscriptions of all kinds.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }

    /// The names of one kind.
    pub(in crate::front) fn of(&mut self, kind: ChannelKind) -> &mut BTreeSet<Box<[u8]>> {
        match kind {
            ChannelKind::Channel => &mut self.channels,
            ChannelKind::Pattern => &mut self.patterns,
            ChannelKind::Shard => &mut self.shards,
        }
    }

    /// The count in the reply to a (un)subscribe command.
    pub(in crate::front) fn count(&self, kind: ChannelKind) -> usize {
        match kind {
            ChannelKind::Channel | ChannelKind::Pattern => {
                self.channels.len() + self.patterns.len()
            }
            ChannelKind::Shard => self.shards.len(),
        }
    }

    /// Whether there are no subscriptions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
