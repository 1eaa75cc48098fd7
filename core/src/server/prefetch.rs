//! Scanning pending requests for the keys, and elements of them, that they will access.
//!
//! This only prefetches memory: a wrong guess costs a little time and changes nothing. So the first
//! argument is taken for the key and the second for the element, which is nearly always right, and
//! anything unusual ends the scan.

use super::{Client, Redis, Server};
use crate::command::Group;
use crate::front::Service;
use crate::machine::ConnId;
use crate::resp::request::{self, FEW, Span};
use crate::store::PREFETCH_BATCH;

impl Server {
    /// Prefetches the keys of the next requests of a client, as far as they are easy to find, and
    /// the elements if its last command was about a set or a hash. Returns how many requests those
    /// are, at least one.
    #[inline]
    pub(super) fn prefetch_keys(&mut self, client: &Client, bytes: &[u8]) -> usize {
        let db = self.service.keyspace.db(client.state.db);
        let in_tables = asks_for_elements(client);
        if !db.is_large() && !in_tables {
            return PREFETCH_BATCH;
        }
        let (mut keys, mut elements) = ([&b""[..]; PREFETCH_BATCH], [&b""[..]; PREFETCH_BATCH]);
        let count = look(bytes, &mut keys, &mut elements);
        if count > 1 {
            db.prefetch(keys[..count].iter().copied());
            if in_tables {
                db.prefetch_elements(&keys[..count], &elements[..count]);
            }
        }
        count.max(1)
    }

    /// Records whether scanning requests like those of this client pays off.
    #[inline]
    pub(super) fn update_prefetch_pays(&mut self, client: &Client) {
        self.service.prefetch_pays =
            self.service.keyspace.db(client.state.db).is_large() || asks_for_elements(client);
    }

    /// Does the same as [`Server::prefetch_keys`] for the first requests of several clients.
    pub(super) fn prefetch_first_keys<'b>(
        &mut self,
        mut arrived: impl Iterator<Item = (ConnId, &'b [u8])>,
    ) {
        loop {
            let (mut keys, mut elements) = ([&b""[..]; PREFETCH_BATCH], [&b""[..]; PREFETCH_BATCH]);
            let (mut count, mut index, mut in_tables) = (0, 0, false);
            for (conn, bytes) in arrived.by_ref() {
                let slot = self.clients.slot(conn);
                let Some(client) = slot.and_then(|slot| self.clients.get(slot)) else { continue };
                let places = (keys.get_mut(count..=count), elements.get_mut(count..=count));
                let (Some(key), Some(element)) = places else { break };
                // A client with another database is skipped.
                if count > 0 && client.state.db != index || look(bytes, key, element) == 0 {
                    continue;
                }
                index = client.state.db;
                in_tables |= asks_for_elements(client);
                count += 1;
                if count == PREFETCH_BATCH {
                    break;
                }
            }
            if count == 0 {
                return;
            }
            let db = self.service.keyspace.db(index);
            db.prefetch(keys[..count].iter().copied());
            if in_tables {
                db.prefetch_elements(&keys[..count], &elements[..count]);
            }
        }
    }
}

/// Whether a client's last command was about a set or a hash.
#[inline]
fn asks_for_elements(client: &Client) -> bool {
    let last = client.last_command.and_then(|id| Redis::table().get(id));
    last.is_some_and(|last| matches!(last.meta.group, Group::Set | Group::Hash))
}

/// Finds the keys and elements of the complete requests at the start of `bytes`. Returns the number
/// of requests.
pub(super) fn look<'a>(
    mut bytes: &'a [u8],
    keys: &mut [&'a [u8]],
    elements: &mut [&'a [u8]],
) -> usize {
    let mut spans = [Span::default(); FEW];
    let mut count = 0;
    for (key, element) in keys.iter_mut().zip(elements) {
        let Some((args, used)) = request::plain(bytes, &mut spans, u64::MAX) else { break };
        let [_, first, second, ..] = spans;
        if args < 2 {
            break;
        }
        *key = first.of(bytes);
        *element = if args > 2 { second.of(bytes) } else { b"" };
        bytes = bytes.get(used..).unwrap_or_default();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = [&b""[..]; 4];
        let count = look(bytes, &mut found, &mut [&b""[..]; 4]);
        found[..count].to_vec()
    }

    #[test]
    fn elements_are_found_with_their_keys() {
        let bytes = b"*3\r\n$4\r\nHGET\r\n$1\r\nh\r\n$2\r\nf1\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        let (mut keys, mut elements) = ([&b""[..]; 4], [&b"?"[..]; 4]);
        assert_eq!(look(bytes, &mut keys, &mut elements), 2);
        assert_eq!((&keys[..2], &elements[..2]), (&[&b"h"[..], b"k"][..], &[&b"f1"[..], b""][..]));
    }

    #[test]
    fn keys_of_complete_requests_are_found() {
        let get = b"*2\r\n$3\r\nGET\r\n$2\r\nk1\r\n";
        let set = b"*3\r\n$3\r\nSET\r\n$2\r\nk2\r\n$1\r\nv\r\n";
        let both = [&get[..], set].concat();
        assert_eq!(all(&both), [b"k1", b"k2"]);
        assert_eq!(all(&both[..both.len() - 4]), [b"k1"]);
        assert_eq!(all(&get.repeat(9)).len(), 4);
    }

    #[test]
    fn the_scan_ends_at_anything_unusual() {
        for bytes in [
            &b""[..],
            b"GET k\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"*2\r\n$3\r\nGET\r\n$99999999999999999999999\r\nk\r\n",
            b"*2\r\n$3\r\nGET\r\n$18446744073709551615\r\nk\r\n",
            b"*9999\r\n$1\r\nx\r\n",
            b"*2\r\n$-1\r\n",
            b"*",
        ] {
            assert!(all(bytes).is_empty(), "{bytes:?}");
        }
    }
}
