//! Encodes the commands that are propagated, for the append-only file and replicas: requests of the
//! protocol, with SELECT wherever the database changes, and MULTI and EXEC around atomic groups.

use super::effects::Propagated;
use crate::resp::request::Args;

/// An encoder for one consumer of propagated commands, which tracks the database selected there.
///
/// The append-only file and the replicas have separate encoders, since they start at different
/// moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    selected: Option<u32>,
}

impl Feed {
    /// Resets the selected database, so that the next command is preceded by SELECT.
    pub fn reset(&mut self) {
        self.selected = None;
    }

    /// The database selected at the consumer, if known.
    pub fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// Sets the selected database where it is known otherwise (a replica that continues its
    /// primary's stream).
    pub fn select(&mut self, db: u32) {
        self.selected = Some(db);
    }

    /// Encodes commands into `out`. With `whole`, they are wrapped in MULTI and EXEC.
    pub fn write(&mut self, out: &mut Vec<u8>, commands: &[Propagated], whole: bool) {
        if commands.is_empty() {
            return;
        }
        if whole {
            // As in Redis, SELECT stands inside the transaction.
            out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        }
        for command in commands {
            self.enter(out, command.db);
            write_request(out, command.args.as_args());
        }
        if whole {
            out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
    }

    fn enter(&mut self, out: &mut Vec<u8>, db: u32) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            let mut digits = itoa::Buffer::new();
            write_words(out, [&b"SELECT"[..], digits.format(db).as_bytes()]);
        }
    }
}

/// Appends one request.
pub fn write_request(out: &mut Vec<u8>, args: Args<'_>) {
    write_words(out, args.iter());
}

/// Appends one request that consists of these words.
pub fn write_words<'a, I>(out: &mut Vec<u8>, words: I)
where
    I: IntoIterator<Item = &'a [u8]>,
    I::IntoIter: ExactSizeIterator,
{
    let words = words.into_iter();
    write_length(out, b'*', words.len());
    for word in words {
        write_length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_length(out: &mut Vec<u8>, mark: u8, length: usize) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(db: u32, words: &[&str]) -> Propagated {
        let to = crate::command::effects::PropagateTo::All;
        Propagated { db, args: words.iter().collect(), to }
    }

    fn text(feed: &mut Feed, commands: &[Propagated], whole: bool) -> String {
        let mut out = Vec::new();
        feed.write(&mut out, commands, whole);
        String::from_utf8(out).expect("text").replace("\r\n", " ")
    }

    #[test]
    fn a_database_is_selected_once() {
        let mut feed = Feed::default();
        let set = command(3, &["SET", "k", ""]);
        assert_eq!(
            text(&mut feed, std::slice::from_ref(&set), false),
            "*2 $6 SELECT $1 3 *3 $3 SET $1 k $0  "
        );
        assert_eq!(text(&mut feed, std::slice::from_ref(&set), false), "*3 $3 SET $1 k $0  ");
        feed.reset();
        assert!(text(&mut feed, &[set], false).starts_with("*2 $6 SELECT"));
    }

    #[test]
    fn atomic_groups_are_wrapped_in_multi_and_exec() {
        let mut feed = Feed::default();
        feed.select(0);
        let commands = [command(0, &["DEL", "a"]), command(1, &["DEL", "b"])];
        assert_eq!(
            text(&mut feed, &commands, true),
            "*1 $5 MULTI *2 $3 DEL $1 a *2 $6 SELECT $1 1 *2 $3 DEL $1 b *1 $4 EXEC "
        );
        assert_eq!(text(&mut feed, &[], true), "");
        feed.reset();
        let whole = text(&mut feed, &commands, true);
        assert!(whole.starts_with("*1 $5 MULTI *2 $6 SELECT $1 0 *2 $3 DEL"), "{whole}");
    }
}
