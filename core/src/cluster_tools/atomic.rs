//! Atomic slot migration between nodes of Limpid (`CLUSTER MIGRATESLOTS`). To and from other nodes
//! slots are moved key by key, see `slots`.

use crate::cluster::SlotSet;
use crate::resp::value::Value;
use crate::sharding::Slot;
use crate::time::Duration;

use super::io::{Place, Words, error_text, text, words};
use super::manager::ClusterManager;
use super::node::Node;
use super::slots::{MoveError, MoveOptions};

/// The maximum number of slots in one command.
const MAX_SLOTS: usize = 128;

/// The interval at which the nodes are asked whether the move is done, and whether the other
/// masters know of it.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The maximum number of times that the other masters are asked.
const MAX_POLLS: usize = 250;

impl ClusterManager {
    /// Moves slots with their keys from one node to another, atomically if both nodes support it.
    /// Prints `progress` for each slot.
    pub(super) async fn move_slots(
        &mut self,
        source: usize,
        target: usize,
        slots: &[Slot],
        how: MoveOptions,
        progress: &str,
    ) -> Result<(), MoveError> {
        for slots in slots.chunks(MAX_SLOTS) {
            if self.migrate_atomically(source, target, slots, how, progress).await? {
                continue;
            }
            for slot in slots {
                self.move_slot(source, target, *slot, how).await?;
                self.io.print(progress);
            }
        }
        Ok(())
    }

    /// Moves slots by MIGRATESLOTS. False if one of the nodes does not know or does not allow the
    /// command, so that nothing was moved. After any other error the slots must not be moved key by
    /// key either: another tool is moving them, or they have another owner by now.
    async fn migrate_atomically(
        &mut self,
        source: usize,
        target: usize,
        slots: &[Slot],
        how: MoveOptions,
        progress: &str,
    ) -> Result<bool, MoveError> {
        let (from, to) = (self.nodes[source].clone(), self.nodes[target].clone());
        let set: SlotSet = slots.iter().copied().collect();
        let ends: Vec<String> =
            set.ranges().map(|(first, last)| format!("{first} {last}")).collect();
        let line = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {} NODE {}", ends.join(" "), to.id);
        let keys = if how.quiet { Vec::new() } else { self.count_keys(&from.place, slots).await };
        let reply = self.io.reply(&from.place, words(&line)).await;
        let reply = reply.map_err(|_| MoveError::new())?;
        let refusal = match error_text(&reply) {
            Some(refusal) => Some(refusal),
            None => self.outcome(&from.place, &to, &set).await?,
        };
        match refusal {
            Some(refusal) if is_unsupported(&refusal) => return Ok(false),
            Some(refusal) => return Err(refusal),
            None => {}
        }
        for (at, slot) in slots.iter().enumerate() {
            if !how.quiet {
                let keys = usize::try_from(keys.get(at).copied().unwrap_or(0)).unwrap_or(0);
                let dots = ".".repeat(keys);
                let (from, to) = (&from.place, &to.place);
                self.io.print(format!("Moving slot {slot} from {from} to {to}: {dots}\n"));
            }
            self.io.print(progress);
            self.nodes[source].slots.remove(*slot);
            self.nodes[target].slots.insert(*slot);
        }
        self.wait_for_masters(source, target, &to, &set).await;
        Ok(true)
    }

    /// The number of keys in each slot.
    async fn count_keys(&self, at: &Place, slots: &[Slot]) -> Vec<i64> {
        let commands: Vec<Words> =
            slots.iter().map(|slot| words(&format!("CLUSTER COUNTKEYSINSLOT {slot}"))).collect();
        let replies = self.io.send_all(at, commands).replies().await;
        let count = |reply: &Value| match reply {
            Value::Integer(count) => *count,
            _ => 0,
        };
        replies.map(|replies| replies.iter().map(count).collect()).unwrap_or_default()
    }

    /// Waits until a move has ended. Returns the error if it has failed.
    async fn outcome(
        &self,
        at: &Place,
        to: &Node,
        slots: &SlotSet,
    ) -> Result<Option<MoveError>, MoveError> {
        let ranges = slots.to_text(" ");
        loop {
            let reply = self.io.reply(at, words("CLUSTER GETSLOTMIGRATIONS")).await;
            let reply = reply.map_err(|_| MoveError::new())?;
            let moves = reply.items().unwrap_or_default();
            let ours = moves.iter().find(|record| {
                field(record, "operation") == "EXPORT"
                    && field(record, "target_node") == to.id
                    && field(record, "slot_ranges") == ranges
            });
            let Some(record) = ours else {
                // The node was restarted, or is loading data: a node that loses its last slot
                // becomes a replica.
                if self.view_of(&to.place, &to.id).await.is_some_and(|node| owns(&node, slots)) {
                    return Ok(None);
                }
                return Ok(Some(format!("{at} has no record of the move of {ranges} any more")));
            };
            match field(record, "state").as_str() {
                "success" => return Ok(None),
                "failed" => return Ok(Some(field(record, "message"))),
                _ => self.io.sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// A node's view of another one; `None` if it does not reply or does not know it.
    async fn view_of(&self, at: &Place, id: &str) -> Option<Node> {
        let reply = self.io.reply(at, words("CLUSTER NODES")).await.ok()?;
        text(&reply).lines().filter_map(Node::parse).find(|node| node.id == id)
    }

    /// Waits until the other masters know the new owner, so that clients that ask them are not
    /// redirected to the old one.
    async fn wait_for_masters(&self, source: usize, target: usize, to: &Node, slots: &SlotSet) {
        for index in self.masters() {
            if index == source || index == target {
                continue;
            }
            for _ in 0..MAX_POLLS {
                let owner = self.view_of(&self.place(index), &to.id).await;
                if owner.is_none_or(|owner| owns(&owner, slots)) {
                    break;
                }
                self.io.sleep(POLL_INTERVAL).await;
            }
        }
    }
}

fn owns(node: &Node, slots: &SlotSet) -> bool {
    slots.iter().all(|slot| node.slots.contains(slot))
}

/// Whether an error means that these nodes do not support atomic migration, so that slots have to
/// be moved key by key: one of them is Redis, or credentials are missing.
fn is_unsupported(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let words = ["unknown subcommand", "unknown command", "noperm", "noauth", "wrongpass"];
    words.iter().any(|word| refusal.contains(word))
}

/// A field of a record of CLUSTER GETSLOTMIGRATIONS.
fn field(record: &Value, name: &str) -> String {
    let items = record.items().unwrap_or_default();
    let pair = items.as_chunks::<2>().0.iter().find(|[key, _]| text(key) == name);
    pair.map(|[_, value]| text(value)).unwrap_or_default()
}
