//! Propagation of effects to the append-only file and the replicas.

use super::Command;
use super::Server;
use crate::command::effects::{PropagateTo, Propagated};
use crate::command::meta::special;

/// How the commands of one unit of work belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atomic {
    /// They are atomic: the effects of one command, or of one EXEC.
    Yes,
    /// They are unrelated: keys that expired or were evicted.
    No,
}

impl Atomic {
    /// The effects of a command are atomic, unless it only came across expired keys: their
    /// deletions are as unrelated as with active expiry.
    pub(super) fn of(command: &Command) -> Self {
        if command.meta.is(special::ONLY_EXPIRES) { Atomic::No } else { Atomic::Yes }
    }
}

impl Server {
    /// Ends a command, or a whole EXEC: propagates its effects to the append-only file and the
    /// replicas.
    #[inline]
    pub(super) fn propagate(&mut self, command: &Command) {
        if self.service.effects.has_commands() {
            self.propagate_as(Atomic::of(command));
        }
    }

    /// Ends any unit of work in the same way.
    pub(super) fn propagate_as(&mut self, atomic: Atomic) {
        if !self.service.effects.has_commands() {
            return;
        }
        let commands = self.service.effects.take_commands();
        let whole = atomic == Atomic::Yes && commands.len() > 1;
        if self.is_clustered() {
            self.feed_handover(&commands);
        }
        if commands.iter().all(|command| command.to == PropagateTo::All) {
            self.feed_aof(&commands, whole);
        } else {
            let to_file = |command: &&Propagated| command.to != PropagateTo::Replicas;
            let of_file: Vec<Propagated> = commands.iter().filter(to_file).cloned().collect();
            self.feed_aof(&of_file, whole);
            let to_replicas = |command: &Propagated| command.to != PropagateTo::Aof;
            let of_replicas: Vec<Propagated> = commands.into_iter().filter(to_replicas).collect();
            return self.feed_replicas(&of_replicas, whole);
        }
        self.feed_replicas(&commands, whole);
    }

    /// Recomputes which effects have to be recorded at all.
    pub(super) fn followers_changed(&mut self) {
        self.service.consumers.propagation = self.aof_follows()
            || self.replicas_follow()
            || self.service.cluster.as_ref().is_some_and(|node| node.handover_follows());
    }
}
