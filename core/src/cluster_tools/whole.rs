//! Slots that move as a whole, between nodes of Limpid: `CLUSTER MIGRATESLOTS`. Other nodes do not know
//! it; then slots move key by key, see `slots`.

use crate::cluster::SlotSet;
use crate::resp::value::Value;
use crate::sharding::Slot;
use crate::time::Duration;

use super::desk::{Place, Words, error_text, text, words};
use super::fleet::Fleet;
use super::node::Node;
use super::slots::{Moving, Refusal};

/// Slots that one command moves.
const AT_ONCE: usize = 128;

/// How often it is asked whether they have moved, or whether the other masters know.
const PAUSE: Duration = Duration::from_millis(20);

/// How often the other masters are asked at most.
const ROUNDS: usize = 250;

impl Fleet {
    /// Moves slots with their keys from one node to another, as a whole if both nodes know how. After
    /// each slot `progress` is printed.
    pub(super) async fn move_slots(
        &mut self,
        source: usize,
        target: usize,
        slots: &[Slot],
        how: Moving,
        progress: &str,
    ) -> Result<(), Refusal> {
        for slots in slots.chunks(AT_ONCE) {
            if self.move_as_a_whole(source, target, slots, how, progress).await? {
                continue;
            }
            for slot in slots {
                self.move_slot(source, target, *slot, how).await?;
                self.desk.print(progress);
            }
        }
        Ok(())
    }

    /// Moves slots by MIGRATESLOTS. False if one of the two nodes does not know the command or does not
    /// allow it, so that nothing has moved. After any other refusal the slots must not move key by key
    /// either: another tool is moving them, or they have another owner by now.
    async fn move_as_a_whole(
        &mut self,
        source: usize,
        target: usize,
        slots: &[Slot],
        how: Moving,
        progress: &str,
    ) -> Result<bool, Refusal> {
        let (from, to) = (self.nodes[source].clone(), self.nodes[target].clone());
        let set: SlotSet = slots.iter().copied().collect();
        let ends: Vec<String> =
            set.ranges().map(|(first, last)| format!("{first} {last}")).collect();
        let line = format!("CLUSTER MIGRATESLOTS SLOTSRANGE {} NODE {}", ends.join(" "), to.id);
        let keys = if how.quiet { Vec::new() } else { self.count_keys(&from.place, slots).await };
        let reply = self.desk.reply(&from.place, words(&line)).await;
        let reply = reply.map_err(|_| Refusal::new())?;
        let refusal = match error_text(&reply) {
            Some(refusal) => Some(refusal),
            None => self.outcome(&from.place, &to, &set).await?,
        };
        match refusal {
            Some(refusal) if is_not_known(&refusal) => return Ok(false),
            Some(refusal) => return Err(refusal),
            None => {}
        }
        for (at, slot) in slots.iter().enumerate() {
            if !how.quiet {
                let keys = usize::try_from(keys.get(at).copied().unwrap_or(0)).unwrap_or(0);
                let dots = ".".repeat(keys);
                let (from, to) = (&from.place, &to.place);
                self.desk.print(format!("Moving slot {slot} from {from} to {to}: {dots}\n"));
            }
            self.desk.print(progress);
            self.nodes[source].slots.remove(*slot);
            self.nodes[target].slots.insert(*slot);
        }
        self.until_masters_know(source, target, &to, &set).await;
        Ok(true)
    }

    /// How many keys each slot has.
    async fn count_keys(&self, at: &Place, slots: &[Slot]) -> Vec<i64> {
        let commands: Vec<Words> =
            slots.iter().map(|slot| words(&format!("CLUSTER COUNTKEYSINSLOT {slot}"))).collect();
        let replies = self.desk.send_all(at, commands).replies().await;
        let count = |reply: &Value| match reply {
            Value::Integer(count) => *count,
            _ => 0,
        };
        replies.map(|replies| replies.iter().map(count).collect()).unwrap_or_default()
    }

    /// Waits until a move has ended. Why it has failed, if it has.
    async fn outcome(
        &self,
        at: &Place,
        to: &Node,
        slots: &SlotSet,
    ) -> Result<Option<Refusal>, Refusal> {
        let ranges = slots.to_text(" ");
        loop {
            let reply = self.desk.reply(at, words("CLUSTER GETSLOTMIGRATIONS")).await;
            let reply = reply.map_err(|_| Refusal::new())?;
            let moves = reply.items().unwrap_or_default();
            let ours = moves.iter().find(|record| {
                field(record, "operation") == "EXPORT"
                    && field(record, "target_node") == to.id
                    && field(record, "slot_ranges") == ranges
            });
            let Some(record) = ours else {
                // It was started again, or it loads data: with its last slot it has become a replica.
                if self.view_of(&to.place, &to.id).await.is_some_and(|node| owns(&node, slots)) {
                    return Ok(None);
                }
                return Ok(Some(format!("{at} knows nothing of the move of {ranges} any more")));
            };
            match field(record, "state").as_str() {
                "success" => return Ok(None),
                "failed" => return Ok(Some(field(record, "message"))),
                _ => self.desk.sleep(PAUSE).await,
            }
        }
    }

    /// What a node says of another, if it answers and knows it.
    async fn view_of(&self, at: &Place, id: &str) -> Option<Node> {
        let reply = self.desk.reply(at, words("CLUSTER NODES")).await.ok()?;
        text(&reply).lines().filter_map(Node::parse).find(|node| node.id == id)
    }

    /// Waits until the other masters have heard of the new owner, so that the next client that asks one
    /// of them is not sent to the old one.
    async fn until_masters_know(&self, source: usize, target: usize, to: &Node, slots: &SlotSet) {
        for index in self.masters() {
            if index == source || index == target {
                continue;
            }
            for _ in 0..ROUNDS {
                let owner = self.view_of(&self.place(index), &to.id).await;
                if owner.is_none_or(|owner| owns(&owner, slots)) {
                    break;
                }
                self.desk.sleep(PAUSE).await;
            }
        }
    }
}

fn owns(node: &Node, slots: &SlotSet) -> bool {
    slots.iter().all(|slot| node.slots.contains(slot))
}

/// Whether a refusal means that slots cannot move as a whole between these two nodes, but may key by key:
/// one of them is Redis, or a user or a password is missing.
fn is_not_known(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let words = ["unknown subcommand", "unknown command", "noperm", "noauth", "wrongpass"];
    words.iter().any(|word| refusal.contains(word))
}

/// A field of a move that CLUSTER GETSLOTMIGRATIONS tells of.
fn field(record: &Value, name: &str) -> String {
    let items = record.items().unwrap_or_default();
    let pair = items.as_chunks::<2>().0.iter().find(|[key, _]| text(key) == name);
    pair.map(|[_, value]| text(value)).unwrap_or_default()
}
