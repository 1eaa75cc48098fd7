//! Keyspace notifications: publishing events of keys.

use super::{Client, Server};
use crate::command::effects::{Event, KEYEVENT, KEYSPACE};
use crate::front::ChannelKind;
use crate::time::Now;

impl Server {
    /// Publishes events of keys on their channels.
    #[cold]
    pub(super) fn publish_events(
        &mut self,
        now: Now<'_>,
        mut current: Option<&mut Client>,
        events: Vec<Event>,
    ) {
        let wanted = self.config.settings().notify_keyspace_events;
        for Event { db, name, key, .. } in events {
            if wanted & KEYSPACE != 0 {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                let current = current.as_deref_mut();
                self.publish(now, current, ChannelKind::Channel, &channel, name.as_bytes());
            }
            if wanted & KEYEVENT != 0 {
                let channel = format!("__keyevent@{db}__:{name}");
                let current = current.as_deref_mut();
                self.publish(now, current, ChannelKind::Channel, channel.as_bytes(), &key);
            }
        }
    }
}
