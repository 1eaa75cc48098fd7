//! The LCS command: the longest common subsequence of two strings.

use super::{CommandError, Ctx};
use crate::resp::number::parse_i64;
use crate::resp::reply::Aggregate;
use crate::store::DbMut;

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    len: bool,
    indexes: bool,
    min_match_len: u64,
    with_match_len: bool,
}

pub(super) fn lcs(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut db = ctx.keyspace.db(ctx.db);
    let a = string(&mut db, ctx.args.at(1))?;
    let b = string(&mut db, ctx.args.at(2))?;
    let options = parse(ctx)?;
    let table = Table::new(&a, &b, ctx.config.proto_max_bulk_len)?;
    if options.indexes {
        ctx.reply.map(2);
        ctx.reply.bulk(b"matches");
        let matches = ctx.reply.begin(Aggregate::Array);
        let mut count = 0;
        table.walk(&a, &b, |at_a, at_b, len| {
            if (len as u64) < options.min_match_len {
                return;
            }
            count += 1;
            ctx.reply.array(2 + usize::from(options.with_match_len));
            for start in [at_a, at_b] {
                ctx.reply.array(2);
                ctx.reply.integer(start as i64);
                ctx.reply.integer((start + len - 1) as i64);
            }
            if options.with_match_len {
                ctx.reply.integer(len as i64);
            }
        });
        ctx.reply.end(matches, count);
        ctx.reply.bulk(b"len");
        ctx.reply.integer(table.len());
    } else if options.len {
        ctx.reply.integer(table.len());
    } else {
        let mut runs = Vec::new();
        table.walk(&a, &b, |at_a, _, len| runs.push(at_a..at_a + len));
        let runs = runs.into_iter().rev().filter_map(|run| a.get(run));
        let common: Vec<u8> = runs.flatten().copied().collect();
        ctx.reply.bulk(&common);
    }
    Ok(())
}

fn string(db: &mut DbMut<'_>, key: &[u8]) -> Result<Vec<u8>, CommandError> {
    match db.read(db.key(key)) {
        None => Ok(Vec::new()),
        Some(value) => value
            .string()
            .map(|string| string.to_vec())
            .ok_or(CommandError::text("ERR The specified keys must contain string values")),
    }
}

fn parse(ctx: &Ctx<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut args = ctx.args.from(3).iter();
    while let Some(word) = args.next() {
        if word.eq_ignore_ascii_case(b"IDX") {
            options.indexes = true;
        } else if word.eq_ignore_ascii_case(b"LEN") {
            options.len = true;
        } else if word.eq_ignore_ascii_case(b"WITHMATCHLEN") {
            options.with_match_len = true;
        } else if word.eq_ignore_ascii_case(b"MINMATCHLEN") {
            let text = args.next().ok_or(CommandError::Syntax)?;
            let len = parse_i64(text).ok_or(CommandError::NotAnInteger)?;
            options.min_match_len = u64::try_from(len).unwrap_or(0);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if options.len && options.indexes {
        return Err(CommandError::text(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(options)
}

/// The lengths of the longest common subsequences of all pairs of prefixes (dynamic programming).
struct Table {
    cells: Vec<u32>,
    width: usize,
    rows: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8], limit: u64) -> Result<Self, CommandError> {
        let (rows, width) = (a.len() + 1, b.len() + 1);
        let cells = rows
            .checked_mul(width)
            .filter(|&cells| (cells as u64).saturating_mul(4) <= limit)
            .ok_or(CommandError::text(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ))?;
        let mut table = Table { cells: vec![0; cells], width, rows };
        for (i, x) in a.iter().enumerate() {
            let (done, rest) = table.cells.split_at_mut((i + 1) * width);
            let above = &done[i * width..];
            let mut left = 0;
            for (j, (y, cell)) in b.iter().zip(&mut rest[1..width]).enumerate() {
                left = if x == y { above[j] + 1 } else { left.max(above[j + 1]) };
                *cell = left;
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells.get(i * self.width + j).copied().unwrap_or(0)
    }

    /// The length of the longest common subsequence.
    fn len(&self) -> i64 {
        i64::from(self.at(self.rows - 1, self.width - 1))
    }

    /// Reports each run of the longest common subsequence that is contiguous in both strings: its
    /// positions in both, and its length. The last run comes first.
    fn walk(&self, a: &[u8], b: &[u8], mut run: impl FnMut(usize, usize, usize)) {
        let (mut i, mut j, mut len) = (a.len(), b.len(), 0);
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1;
                j -= 1;
                len += 1;
                continue;
            }
            if len > 0 {
                run(i, j, core::mem::take(&mut len));
            }
            if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        if len > 0 {
            run(i, j, len);
        }
    }
}
