//! Moves a slot to another node, key by key.

use crate::resp::value::Value;
use crate::sharding::Slot;

use super::io::{Place, Words, error_text, text, words};
use super::manager::ClusterManager;

/// Options of [`ClusterManager::move_slot`].
#[derive(Clone, Copy, Default)]
pub(super) struct MoveOptions {
    /// Print nothing, not even a dot for each key.
    pub(super) quiet: bool,
    /// Move the keys only, and leave the owner as it is.
    pub(super) cold: bool,
}

/// Why a slot was not moved; empty if the reason was printed already.
pub(super) type MoveError = String;

impl ClusterManager {
    /// Moves a slot with its keys from one node to another, and announces the owner to all masters.
    pub(super) async fn move_slot(
        &mut self,
        source: usize,
        target: usize,
        slot: Slot,
        how: MoveOptions,
    ) -> Result<(), MoveError> {
        let (from, to) = (self.nodes[source].clone(), self.nodes[target].clone());
        if !how.quiet {
            self.io.print(format!("Moving slot {slot} from {} to {}: ", from.place, to.place));
        }
        if !how.cold {
            self.set_slot(&to.place, slot, &format!("IMPORTING {}", from.id)).await?;
            self.set_slot(&from.place, slot, &format!("MIGRATING {}", to.id)).await?;
        }
        let moved = self.move_keys(&from.place, &to.place, slot, !how.quiet).await;
        if !how.quiet {
            self.io.print("\n");
        }
        moved?;
        if how.cold {
            return Ok(());
        }
        // The new owner is told first, so that the slot always has an owner.
        let owner = format!("NODE {}", to.id);
        self.set_slot(&to.place, slot, &owner).await?;
        // After losing its last slot the source may become a replica of the new owner, which knows
        // of the slot.
        self.tell_owner(&from.place, slot, &owner).await?;
        for index in self.masters() {
            if index != source && index != target {
                self.tell_owner(&self.place(index), slot, &owner).await?;
            }
        }
        self.nodes[source].slots.remove(slot);
        self.nodes[target].slots.insert(slot);
        Ok(())
    }

    /// Sets the owner of a slot at a node. A node that has become a replica meanwhile refuses that,
    /// and is skipped: it learns the owner from its primary.
    async fn tell_owner(&self, at: &Place, slot: Slot, owner: &str) -> Result<(), MoveError> {
        match self.set_slot(at, slot, owner).await {
            Err(reason) if reason.contains("SETSLOT only with masters") => Ok(()),
            told => told,
        }
    }

    /// `CLUSTER SETSLOT`
    pub(super) async fn set_slot(
        &self,
        at: &Place,
        slot: Slot,
        state: &str,
    ) -> Result<(), MoveError> {
        let command = words(&format!("CLUSTER SETSLOT {slot} {state}"));
        match self.io.reply(at, command).await {
            Ok(reply) => error_text(&reply).map_or(Ok(()), Err),
            Err(_) => Err(MoveError::new()),
        }
    }

    /// Moves all keys of a slot, in batches.
    async fn move_keys(
        &self,
        from: &Place,
        to: &Place,
        slot: Slot,
        tells: bool,
    ) -> Result<(), MoveError> {
        let some = words(&format!("CLUSTER GETKEYSINSLOT {slot} {}", self.options.pipeline));
        loop {
            let reply = self.io.reply(from, some.clone()).await.map_err(|_| MoveError::new())?;
            if let Some(error) = error_text(&reply) {
                return Err(error);
            }
            let keys: Words = reply
                .items()
                .unwrap_or_default()
                .iter()
                .filter_map(|key| key.bytes().map(<[u8]>::to_vec))
                .collect();
            if keys.is_empty() {
                return Ok(());
            }
            self.migrate(from, to, &keys).await?;
            if tells {
                self.io.print(".".repeat(keys.len()));
            }
        }
    }

    /// Sends MIGRATE. Keys that exist at the target are replaced if their values are equal, or with
    /// `--cluster-replace`.
    async fn migrate(&self, from: &Place, to: &Place, keys: &[Vec<u8>]) -> Result<(), MoveError> {
        let replaces = self.options.replace;
        let reply = self
            .io
            .reply(from, self.migration(to, keys, replaces))
            .await
            .map_err(|_| MoveError::new())?;
        let Some(error) = error_text(&reply) else { return Ok(()) };
        if !error.contains("BUSYKEY") || replaces {
            return Err(error);
        }
        self.io.warn("\n*** Target key exists");
        if !self.fixes {
            self.io.warn("*** Checking key values on both nodes...");
            let different = self.different_keys(from, to, keys).await?;
            if !different.is_empty() {
                let count = different.len();
                self.io.error(format!(
                    "*** Found {count} key(s) in both source node and target node having \
                     different values.\n    Source node: {from}\n    Target node: {to}\n    \
                     Keys(s):"
                ));
                for key in different {
                    self.io.error(format!("    - {}", String::from_utf8_lossy(&key)));
                }
                self.io.error(
                    "Please fix the above key(s) manually and try again or relaunch the command \n\
                     with --cluster-replace option to force key overriding.",
                );
                return Err(MoveError::new());
            }
        }
        self.io.warn("*** Replacing target keys...");
        let again = self.migration(to, keys, true);
        let reply = self.io.reply(from, again).await.map_err(|_| MoveError::new())?;
        error_text(&reply).map_or(Ok(()), Err)
    }

    fn migration(&self, to: &Place, keys: &[Vec<u8>], replaces: bool) -> Words {
        let mut command =
            words(&format!("MIGRATE {} {}  0 {}", to.host, to.port, self.options.timeout));
        if replaces {
            command.push(b"REPLACE".to_vec());
        }
        command.extend(self.io.login().migrate_option());
        command.push(b"KEYS".to_vec());
        command.extend(keys.iter().cloned());
        command
    }

    /// The keys whose values differ between the two nodes.
    async fn different_keys(
        &self,
        a: &Place,
        b: &Place,
        keys: &[Vec<u8>],
    ) -> Result<Words, MoveError> {
        let mut command = words("DEBUG DIGEST-VALUE");
        command.extend(keys.iter().cloned());
        let mut digests = Vec::new();
        for place in [a, b] {
            let reply =
                self.io.reply(place, command.clone()).await.map_err(|_| MoveError::new())?;
            match reply.items() {
                Some(items) => digests.push(items.iter().map(text).collect::<Vec<_>>()),
                None => {
                    self.io.error("*** Value check failed!");
                    return Err(error_text(&reply).unwrap_or_default());
                }
            }
        }
        // The digest of a missing key is all zeros.
        let missing = |digest: &str| digest.bytes().all(|byte| byte == b'0');
        let [a, b] = digests.as_slice() else { return Ok(Words::new()) };
        let differ = keys
            .iter()
            .zip(a.iter().zip(b))
            .filter(|(_, (a, b))| a != b && !missing(a) && !missing(b));
        Ok(differ.map(|(key, _)| key.clone()).collect())
    }

    /// The number of keys that a node has in a slot.
    pub(super) async fn keys_in_slot(&self, at: &Place, slot: Slot) -> super::Outcome<i64> {
        let command = words(&format!("CLUSTER COUNTKEYSINSLOT {slot}"));
        match self.io.expect(at, command).await? {
            Value::Integer(count) => Ok(count),
            _ => Ok(0),
        }
    }
}
