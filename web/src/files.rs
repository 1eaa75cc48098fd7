//! Files of a host and their contents: RDB files and append-only files decoded, others as text or
//! as bytes. Only a piece of a file is read at a time.

use limpid_core::persist::rdb::{ReadOptions, Reader, Record};
use limpid_core::resp::value::{self, Value};
use limpid_core::sim::Disk;
use limpid_core::store::{Entry, Keyed, ValueRef};

use crate::figures;
use crate::lab::Lab;
use crate::units::BodyId;

/// A file or directory in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileRow {
    /// Its full path.
    pub path: String,
    /// Its name without the path.
    pub name: String,
    /// How many directories it is in.
    pub depth: usize,
    /// Whether it is a directory.
    pub dir: bool,
    /// Its size in bytes.
    pub len: u64,
    /// Bytes that are synced: they certainly survive a power loss.
    pub synced: u64,
}

/// A decoded piece of a file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Content {
    /// The detected format.
    pub form: Form,
    /// Lines, each with its offset.
    pub lines: Vec<(u64, String)>,
    /// The offset of the next piece, if this is not the last.
    pub next: Option<u64>,
    /// Why the rest cannot be read.
    pub broken: Option<String>,
}

/// The format of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// An RDB file.
    Rdb,
    /// An append-only file: commands.
    Commands,
    /// Plain text.
    Text,
    /// Other bytes.
    Bytes,
}

/// The most names that are listed.
const NAMES: usize = 200;
/// The most lines of a piece.
const LINES: usize = 100;
/// Bytes of a piece of text or commands; also the longest command that is decoded whole.
const PIECE: u64 = 64 * 1024;
/// The most bytes of an RDB file that are read to find a piece of it.
const SNAPSHOT: u64 = 8 << 20;
/// Bytes per line in a hex dump.
const ROW: usize = 8;
/// The most characters of a line.
const LINE: usize = 400;

impl Lab {
    fn disk(&self, body: BodyId) -> Option<&Disk> {
        Some(self.world().host(self.units().get(body)?.host)?.disk)
    }

    /// The files of a body's host.
    pub(crate) fn files(&self, body: BodyId) -> Vec<FileRow> {
        let mut rows = Vec::new();
        if let Some(disk) = self.disk(body) {
            list(disk, "/", 0, &mut rows);
        }
        rows
    }

    /// A piece of a file, starting at an offset, or in an RDB file at the record of that number.
    pub(crate) fn content(&self, body: BodyId, path: &str, from: u64) -> Option<Content> {
        let disk = self.disk(body)?;
        let head = disk.read_piece(path, 0, 16).ok()?;
        Some(match form(path, &head) {
            Form::Rdb => snapshot(disk, path, from),
            Form::Commands => commands(disk, path, from),
            Form::Text => text(disk, path, from),
            Form::Bytes => bytes(disk, path, from),
        })
    }
}

fn list(disk: &Disk, dir: &str, depth: usize, rows: &mut Vec<FileRow>) {
    for file in disk.list(dir).unwrap_or_default() {
        if rows.len() == NAMES {
            return;
        }
        let path = match dir {
            "/" => format!("/{}", file.name),
            dir => format!("{dir}/{}", file.name),
        };
        rows.push(FileRow {
            path: path.clone(),
            name: file.name,
            depth,
            dir: file.dir,
            len: file.len,
            synced: file.synced,
        });
        if file.dir {
            list(disk, &path, depth + 1, rows);
        }
    }
}

fn form(path: &str, head: &[u8]) -> Form {
    if head.starts_with(b"REDIS") {
        Form::Rdb
    } else if path.ends_with(".aof") && matches!(head.first(), None | Some(b'*' | b'#')) {
        Form::Commands
    } else if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..)) {
        Form::Text
    } else {
        Form::Bytes
    }
}

/// Records of an RDB file, read by the same reader as in servers.
fn snapshot(disk: &Disk, path: &str, from: u64) -> Content {
    let mut reader = Reader::new(ReadOptions::default());
    let mut content = Content { form: Form::Rdb, lines: Vec::new(), next: None, broken: None };
    let (mut at, mut number) = (0, 0);
    loop {
        let begins = reader.offset();
        match reader.next_record() {
            Ok(Some(record)) => {
                let ends = matches!(record, Record::End { .. });
                if number >= from {
                    if content.lines.len() == LINES {
                        content.next = Some(number);
                        return content;
                    }
                    content.lines.push((begins, record_line(&record)));
                }
                number += 1;
                if ends {
                    // In an append-only file with an RDB preamble, commands follow.
                    let rest = disk.read_piece(path, reader.offset(), 1).unwrap_or_default();
                    if !rest.is_empty() {
                        let after = commands(disk, path, reader.offset());
                        content.lines.extend(after.lines);
                        content.broken = after.broken;
                    }
                    return content;
                }
            }
            Ok(None) => {
                let piece = disk.read_piece(path, at, PIECE).unwrap_or_default();
                if piece.is_empty() || at > SNAPSHOT {
                    content.broken = reader.end().err().map(|error| error.to_string());
                    return content;
                }
                at += piece.len() as u64;
                reader.feed(&piece);
            }
            Err(error) => {
                content.broken = Some(error.to_string());
                return content;
            }
        }
    }
}

/// Commands of an append-only file, or of the part that follows its RDB preamble.
fn commands(disk: &Disk, path: &str, from: u64) -> Content {
    let mut content = Content { form: Form::Commands, lines: Vec::new(), next: None, broken: None };
    let piece = disk.read_piece(path, from, PIECE).unwrap_or_default();
    let mut at = 0;
    while at < piece.len() {
        if content.lines.len() == LINES {
            content.next = Some(from + at as u64);
            return content;
        }
        let rest = piece.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'#') {
            // A timestamp annotation.
            let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |end| end + 1);
            let line = String::from_utf8_lossy(rest.get(..end).unwrap_or(rest));
            content.lines.push((from + at as u64, clip(line.trim_end())));
            at += end;
            continue;
        }
        match value::decode(rest) {
            Ok(Some((Value::Array(words), used))) if used > 0 => {
                let words: Vec<String> = words.iter().map(word).collect();
                content.lines.push((from + at as u64, clip(&words.join(" "))));
                at += used;
            }
            Ok(None) if (piece.len() as u64) < PIECE => {
                content.broken = Some(format!("{} B", rest.len()));
                return content;
            }
            Ok(None) if at > 0 => break,
            other => {
                let why = match other {
                    Err(error) => error.to_string(),
                    _ => format!("> {PIECE} B"),
                };
                content.broken = Some(why);
                return content;
            }
        }
    }
    if piece.len() as u64 == PIECE {
        content.next = Some(from + at as u64);
    }
    content
}

fn text(disk: &Disk, path: &str, from: u64) -> Content {
    let piece = disk.read_piece(path, from, PIECE).unwrap_or_default();
    let mut content = Content { form: Form::Text, lines: Vec::new(), next: None, broken: None };
    let mut at = 0;
    for line in piece.split_inclusive(|&byte| byte == b'\n') {
        if content.lines.len() == LINES {
            break;
        }
        let shown = String::from_utf8_lossy(line);
        content.lines.push((from + at as u64, clip(shown.trim_end())));
        at += line.len();
    }
    if at < piece.len() || piece.len() as u64 == PIECE {
        content.next = Some(from + at as u64);
    }
    content
}

fn bytes(disk: &Disk, path: &str, from: u64) -> Content {
    let piece = disk.read_piece(path, from, (LINES * ROW) as u64 + 1).unwrap_or_default();
    let shown = piece.get(..LINES * ROW).unwrap_or(&piece);
    let line = |(i, row): (usize, &[u8])| {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = row
            .iter()
            .map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '·' })
            .collect();
        let wide = ROW * 3;
        (from + (i * ROW) as u64, format!("{:wide$}{text}", hex.join(" ")))
    };
    Content {
        form: Form::Bytes,
        lines: shown.chunks(ROW).enumerate().map(line).collect(),
        next: (piece.len() > shown.len()).then(|| from + shown.len() as u64),
        broken: None,
    }
}

fn clip(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}

fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 48;
    let text = String::from_utf8_lossy(bytes.get(..MOST).unwrap_or(bytes));
    let more = if bytes.len() > MOST { "…" } else { "" };
    let plain = text.chars().all(|c| !c.is_control() && c != ' ' && c != '\u{fffd}');
    match plain && !text.is_empty() {
        true => format!("{text}{more}"),
        false => format!("\"{}{more}\"", text.escape_debug()),
    }
}

fn word(word: &Value) -> String {
    word.bytes().map_or_else(String::new, quoted)
}

/// A record of an RDB file as a line.
fn record_line(record: &Record) -> String {
    match record {
        Record::Version(version) => format!("REDIS{version:04}"),
        Record::Aux { name, value } => format!("aux {} {}", quoted(name), quoted(value)),
        Record::Function(code) => {
            let first = code.split(|&byte| byte == b'\n').next().unwrap_or_default();
            format!("function {}", quoted(first))
        }
        Record::Select(db) => format!("db {db}"),
        Record::Resize { keys, expiring } => format!("keys {keys}, expiring {expiring}"),
        Record::Entry(entry) => entry_line(entry),
        Record::ModuleAux { module } => format!("module {module}"),
        Record::ModuleValue { key, module, .. } => format!("{} module {module}", quoted(key)),
        Record::EmptyKey(key) => format!("{} (empty)", quoted(key)),
        Record::End(checksum) => format!("end, checksum {checksum:?}").to_ascii_lowercase(),
    }
}

/// A key as a line: its name, type, the beginning of its value, and when it expires.
fn entry_line(entry: &Entry) -> String {
    const ELEMENTS: usize = 6;
    let few = |items: &mut dyn Iterator<Item = String>, len: usize| {
        let shown: Vec<String> = items.take(ELEMENTS).collect();
        let more = if len > ELEMENTS { " …" } else { "" };
        format!("({}) {}{more}", figures::count(len as u64), shown.join(" "))
    };
    let value = match entry.value() {
        ValueRef::String(value) => quoted(&value.to_vec()),
        ValueRef::List(list) => {
            few(&mut list.iter().map(|item| quoted(&item.to_vec())), list.len())
        }
        ValueRef::Set(set) => few(&mut set.iter().map(|item| quoted(&item.to_vec())), set.len()),
        ValueRef::Hash(hash) => {
            let pair = |(field, value): (
                limpid_core::store::value::Item<'_>,
                limpid_core::store::value::Item<'_>,
            )| {
                format!("{}={}", quoted(&field.to_vec()), quoted(&value.to_vec()))
            };
            few(&mut hash.iter().map(pair), hash.len())
        }
        ValueRef::ZSet(zset) => {
            let score = |(member, score): (limpid_core::store::value::Item<'_>, f64)| {
                format!("{}:{score}", quoted(&member.to_vec()))
            };
            few(&mut zset.iter_from(0).map(score), zset.len())
        }
        _ => String::new(),
    };
    let kind = entry.value().kind().name();
    let expires = entry.expire().map(|at| format!("  PXAT {at}")).unwrap_or_default();
    clip(&format!("{} {kind} {value}{expires}", quoted(entry.key())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &str, bytes: &[u8]) -> Disk {
        Disk::new([(path, bytes)])
    }

    fn lines(content: &Content) -> Vec<&str> {
        content.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    #[test]
    fn commands_are_decoded_with_their_offsets_and_a_torn_end_is_told() {
        let bytes =
            b"#TS:1704067200\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$3\r\na b\r\n*1\r\n$4\r\nPI";
        let content = commands(&disk("/x.incr.aof", bytes), "/x.incr.aof", 0);
        assert_eq!(lines(&content), ["#TS:1704067200", "PING", "GET \"a b\""]);
        assert_eq!(content.lines[2].0, 29);
        assert_eq!(content.broken.as_deref(), Some("10 B"));
        assert_eq!(content.next, None);
    }

    #[test]
    fn long_files_come_in_pieces() {
        let bytes = b"*1\r\n$4\r\nPING\r\n".repeat(LINES + 20);
        let disk = disk("/x.aof", &bytes);
        let first = commands(&disk, "/x.aof", 0);
        let next = first.next.expect("more");
        assert_eq!((first.lines.len(), next), (LINES, LINES as u64 * 14));
        let second = commands(&disk, "/x.aof", next);
        assert_eq!((second.lines.len(), second.next), (20, None));
    }

    #[test]
    fn what_is_neither_is_text_or_bytes() {
        assert_eq!(form("/a.conf", b"port 6379\n"), Form::Text);
        assert_eq!(form("/a.bin", &[0, 1, 2]), Form::Bytes);
        assert_eq!(form("/dump.rdb", b"REDIS0010"), Form::Rdb);
        let shown = bytes(&disk("/a", &[0x41, 0]), "/a", 0);
        assert_eq!(lines(&shown), ["41 00                   A·"]);
    }
}
