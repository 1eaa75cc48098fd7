//! The effects of commands: what is propagated to replicas and the append-only file, and what
//! watchers, subscribers and blocked clients are told.

use crate::resp::request::{Args, OwnedArgs};

/// Collects the effects of one command. The caller sets beforehand which consumers there are; what
/// has no consumer is not recorded, so that a plain SET allocates nothing here.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The number of changes (`rdb_changes_since_last_save` sums it up).
    pub dirty: u64,
    consumers: Consumers,
    verbatim: Verbatim,
    commands: Vec<Propagated>,
    events: Vec<Event>,
    touched: Vec<Touched>,
    ready: Vec<(u32, Box<[u8]>)>,
    flushed: Vec<u32>,
    /// Whether a FLUSHDB or FLUSHALL deleted all keys of a database.
    cleared: bool,
    /// Whether a FLUSHALL deleted all keys of all databases.
    emptied: bool,
}

/// A key that was changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its database.
    pub db: u32,
    /// The key.
    pub key: Box<[u8]>,
    /// Whether it expired or was evicted, instead of being changed by a command.
    pub expired_or_evicted: bool,
}

/// The current consumers of effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumers {
    /// An append-only file or a replica gets the commands.
    pub propagation: bool,
    /// A client watches keys, or caches them (client-side caching).
    pub watching: bool,
    /// A client is blocked on keys.
    pub blocked: bool,
    /// The classes of events that are published: bits of [`Class`].
    pub events: u16,
}

impl Consumers {
    /// Whether any of them needs changes of single keys.
    #[inline]
    pub fn follow_keys(self) -> bool {
        self.watching || self.events != 0
    }
}

/// A command to propagate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagated {
    /// The database it acts on.
    pub db: u32,
    /// Its name and arguments.
    pub args: OwnedArgs,
    /// Where it is propagated to.
    pub to: PropagateTo,
}

/// The targets of a propagated command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagateTo {
    /// The append-only file and the replicas.
    All,
    /// The replicas only: it has no effect that lasts.
    Replicas,
    /// The append-only file only, at a script's request.
    Aof,
}

/// A keyspace event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The database of the key.
    pub db: u32,
    /// The class, which `notify-keyspace-events` selects by.
    pub class: Class,
    /// Its name, such as `expire`.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// `K` in `notify-keyspace-events`: events are published on the channel of their key.
pub const KEYSPACE: u16 = 1 << 0;

/// `E` in `notify-keyspace-events`: events are published on the channel of their name.
pub const KEYEVENT: u16 = 1 << 1;

/// The classes of keyspace events, with their letter in `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Class {
    /// `g`: commands of any type.
    Generic = 1 << 2,
    /// `$`
    String = 1 << 3,
    /// `l`
    List = 1 << 4,
    /// `s`
    Set = 1 << 5,
    /// `h`
    Hash = 1 << 6,
    /// `z`
    SortedSet = 1 << 7,
    /// `x`
    Expired = 1 << 8,
    /// `e`
    Evicted = 1 << 9,
    /// `t`
    Stream = 1 << 10,
    /// `m`: key misses.
    KeyMiss = 1 << 11,
    /// `d`: modules.
    Module = 1 << 13,
    /// `n`: new keys.
    New = 1 << 14,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verbatim {
    /// The command is propagated as it was given, if it changed anything.
    #[default]
    IfDirty,
    /// It is propagated even if it changed nothing.
    Always,
    /// Something else is propagated in its place.
    Never,
}

impl Effects {
    /// Clears the effects and sets the consumers for the next command.
    #[inline]
    pub fn begin(&mut self, consumers: Consumers) {
        self.dirty = 0;
        self.consumers = consumers;
        self.verbatim = Verbatim::IfDirty;
    }

    /// The current consumers.
    #[inline]
    pub fn consumers(&self) -> Consumers {
        self.consumers
    }

    /// Propagates `args` in place of the original command. May be called several times; the
    /// commands keep their order.
    #[inline]
    pub fn propagate<A: AsRef<[u8]>>(&mut self, db: usize, args: impl IntoIterator<Item = A>) {
        self.verbatim = Verbatim::Never;
        self.also_propagate(db, args);
    }

    /// Propagates `args` in addition to the original command, which comes last.
    #[inline]
    pub fn also_propagate<A: AsRef<[u8]>>(&mut self, db: usize, args: impl IntoIterator<Item = A>) {
        if self.consumers.propagation {
            let args = args.into_iter().collect();
            self.commands.push(Propagated { db: db as u32, args, to: PropagateTo::All });
        }
    }

    /// Propagates `args` to the replicas only.
    pub fn for_replicas(&mut self, db: usize, args: Args<'_>) {
        let to = PropagateTo::Replicas;
        self.commands.push(Propagated { db: db as u32, args: args.into(), to });
    }

    /// Does not propagate the original command.
    pub fn prevent_propagation(&mut self) {
        self.verbatim = Verbatim::Never;
    }

    /// Propagates the original command even if it changed nothing.
    pub fn force_propagation(&mut self) {
        self.verbatim = Verbatim::Always;
    }

    /// Records a keyspace event on `key`.
    #[inline]
    pub fn event(&mut self, db: usize, class: Class, name: &'static str, key: &[u8]) {
        if self.consumers.events & class as u16 != 0 {
            self.events.push(Event { db: db as u32, class, name, key: key.into() });
        }
    }

    /// Records that `key` was changed or deleted, for WATCH.
    #[inline]
    pub fn touched(&mut self, db: usize, key: &[u8]) {
        if self.consumers.watching {
            self.touched.push(Touched {
                db: db as u32,
                key: key.into(),
                expired_or_evicted: false,
            });
        }
    }

    /// Records that `key` expired or was evicted, for WATCH.
    pub fn expired_or_evicted(&mut self, db: usize, key: &[u8]) {
        if self.consumers.watching {
            self.touched.push(Touched { db: db as u32, key: key.into(), expired_or_evicted: true });
        }
    }

    /// Records that all keys of a database were deleted or exchanged.
    pub fn flushed(&mut self, db: usize) {
        if self.consumers.watching || self.consumers.blocked {
            self.flushed.push(db as u32);
        }
    }

    /// Records that all keys of a database, or of all, were deleted by FLUSHDB or FLUSHALL.
    pub fn cleared(&mut self) {
        self.cleared |= self.consumers.watching;
    }

    /// Records that all keys of all databases were deleted by FLUSHALL.
    pub fn emptied(&mut self) {
        self.emptied = true;
    }

    /// Records that `key` may now serve clients that are blocked on it.
    #[inline]
    pub fn ready(&mut self, db: usize, key: &[u8]) {
        if self.consumers.blocked {
            self.ready.push((db as u32, key.into()));
        }
    }

    /// Ends a command, and decides whether the original command is propagated. Its other effects
    /// are returned by the `take_` methods.
    #[inline]
    pub fn finish(&mut self, db: usize, args: Args<'_>) {
        let verbatim = match self.verbatim {
            Verbatim::IfDirty => self.dirty > 0,
            Verbatim::Always => true,
            Verbatim::Never => false,
        };
        if verbatim && self.consumers.propagation {
            let to = PropagateTo::All;
            self.commands.push(Propagated { db: db as u32, args: args.into(), to });
        }
    }

    /// Appends commands to those that are recorded.
    pub fn append(&mut self, mut commands: Vec<Propagated>) {
        self.commands.append(&mut commands);
    }

    /// Appends events to those that are recorded.
    pub fn append_events(&mut self, mut events: Vec<Event>) {
        self.events.append(&mut events);
    }

    /// Whether there are commands to propagate.
    #[inline]
    pub fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// The commands to propagate, in order.
    pub fn take_commands(&mut self) -> Vec<Propagated> {
        core::mem::take(&mut self.commands)
    }

    /// The events, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// The keys that changed.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        core::mem::take(&mut self.touched)
    }

    /// The databases whose keys are all gone.
    pub fn take_flushed(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.flushed)
    }

    /// Whether FLUSHDB or FLUSHALL has deleted all keys of a database.
    #[inline]
    pub fn take_cleared(&mut self) -> bool {
        core::mem::take(&mut self.cleared)
    }

    /// Whether FLUSHALL has deleted everything.
    #[inline]
    pub fn take_emptied(&mut self) -> bool {
        core::mem::take(&mut self.emptied)
    }

    /// The keys that may serve a blocked client, with their databases.
    pub fn take_ready(&mut self) -> Vec<(u32, Box<[u8]>)> {
        core::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> OwnedArgs {
        ["SET", "k", "v"].iter().collect()
    }

    #[test]
    fn nothing_is_recorded_without_a_consumer() {
        let mut effects = Effects::default();
        effects.begin(Consumers::default());
        effects.dirty += 1;
        effects.touched(0, b"k");
        effects.event(0, Class::String, "set", b"k");
        effects.also_propagate(0, ["DEL", "k"]);
        effects.finish(0, set().as_args());
        assert!(effects.take_commands().is_empty());
        assert!(effects.take_events().is_empty());
        assert!(effects.take_touched().is_empty());
    }

    #[test]
    fn a_command_is_propagated_as_given_only_if_it_changed_something() {
        let consumers = Consumers { propagation: true, ..Consumers::default() };
        let mut effects = Effects::default();
        effects.begin(consumers);
        effects.finish(0, set().as_args());
        assert!(effects.take_commands().is_empty());

        effects.begin(consumers);
        effects.dirty += 1;
        effects.finish(3, set().as_args());
        let expected = Propagated { db: 3, args: set(), to: PropagateTo::All };
        assert_eq!(effects.take_commands(), [expected]);

        effects.begin(consumers);
        effects.dirty += 1;
        effects.propagate(0, ["DEL", "k"]);
        effects.finish(0, set().as_args());
        let commands = effects.take_commands();
        assert_eq!(commands.len(), 1);
        assert_eq!(commands[0].args.as_args().at(0), b"DEL");
    }
}
