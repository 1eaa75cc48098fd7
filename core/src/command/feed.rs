//! Commands as the append-only file and replicas read them: requests of the protocol, with a
//! SELECT wherever the database changes, and MULTI and EXEC around what belongs together.

use super::effects::Propagated;
use crate::resp::request::Args;

/// One reader of the stream of commands: it knows which database that reader has selected.
///
/// The append-only file and the replicas are separate readers, since each begins anew at a moment
/// of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    selected: Option<u32>,
}

impl Feed {
    /// Makes the next command be preceded by SELECT, because a new reader begins there.
    pub fn begin_anew(&mut self) {
        self.selected = None;
    }

    /// The database that the reader has selected, if that is known.
    pub fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// Says which database the reader has selected, where it has learned that by other means (a
    /// replica that goes on from where its primary stood).
    pub fn select(&mut self, db: u32) {
        self.selected = Some(db);
    }

    /// Appends commands to `out`. With `whole`, they take effect together or not at all.
    pub fn write(&mut self, out: &mut Vec<u8>, commands: &[Propagated], whole: bool) {
        if commands.is_empty() {
            return;
        }
        if whole {
            // As Redis does it, SELECT stands inside.
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

/// Appends one request that is made of these words.
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
        let to = crate::command::effects::Followers::All;
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
        feed.begin_anew();
        assert!(text(&mut feed, &[set], false).starts_with("*2 $6 SELECT"));
    }

    #[test]
    fn what_belongs_together_is_a_transaction() {
        let mut feed = Feed::default();
        feed.select(0);
        let commands = [command(0, &["DEL", "a"]), command(1, &["DEL", "b"])];
        assert_eq!(
            text(&mut feed, &commands, true),
            "*1 $5 MULTI *2 $3 DEL $1 a *2 $6 SELECT $1 1 *2 $3 DEL $1 b *1 $4 EXEC "
        );
        assert_eq!(text(&mut feed, &[], true), "");
        feed.begin_anew();
        let whole = text(&mut feed, &commands, true);
        assert!(whole.starts_with("*1 $5 MULTI *2 $6 SELECT $1 0 *2 $3 DEL"), "{whole}");
    }
}
