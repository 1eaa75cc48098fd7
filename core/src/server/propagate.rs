//! Propagation of effects to the append-only file and the replicas.

use super::Command;
use super::Server;
use crate::command::effects::{PropagateTo, Propagated};
use crate::command::meta::special;

/// What the commands that a unit of work gathered have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// They take effect together or not at all: what one command, or one EXEC, did.
    Yes,
    /// They are no more than neighbours: keys that expired or were evicted.
    No,
}

impl Together {
    /// What a command changed is one, except where it only stumbles over keys that have expired:
    /// for the followers these deletions are as unrelated as if the keys had expired by themselves.
    pub(super) fn of(command: &Command) -> Self {
        if command.meta.is(special::ONLY_EXPIRES) { Together::No } else { Together::Yes }
    }
}

impl Server {
    /// Ends a command with all that follows from it, or a whole EXEC: hands what it has changed to
    /// those who follow.
    #[inline]
    pub(super) fn propagate(&mut self, command: &Command) {
        if self.service.effects.has_commands() {
            self.propagate_as(Together::of(command));
        }
    }

    /// Ends any unit of work in the same way.
    pub(super) fn propagate_as(&mut self, together: Together) {
        if !self.service.effects.has_commands() {
            return;
        }
        let commands = self.service.effects.take_commands();
        let whole = together == Together::Yes && commands.len() > 1;
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

    /// Brings up to date whether anybody follows.
    pub(super) fn followers_changed(&mut self) {
        self.service.consumers.propagation = self.aof_follows()
            || self.replicas_follow()
            || self.service.cluster.as_ref().is_some_and(|node| node.handover_follows());
    }
}
