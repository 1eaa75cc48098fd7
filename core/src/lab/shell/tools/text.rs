//! Programs that filter text.

use core::cmp::Ordering;

use crate::machine::{DiskOp, FileId, OpenMode, Stream};
use crate::time::Duration;

use super::super::os::Os;
use super::print::unescape;
use super::{parse, path_error};

/// The number of lines that `seq` and `yes` write before they check whether the pipe is closed.
const SLICE: usize = 200;

/// The contents of all input files in order, or of the standard input if there are none.
pub(super) async fn inputs(os: &Os, paths: &[String]) -> (Vec<(String, Vec<u8>)>, i32) {
    if paths.is_empty() {
        return (vec![("-".into(), os.read_all(Stream::Stdin).await)], 0);
    }
    let (mut all, mut status) = (Vec::new(), 0);
    for path in paths {
        match os.input(path).await {
            Ok(bytes) => all.push((path.clone(), bytes)),
            Err(error) => status = path_error(os, "", path, error).await,
        }
    }
    (all, status)
}

/// The lines of all input files in order.
pub(super) async fn lines_of(os: &Os, paths: &[String]) -> (Vec<String>, i32) {
    let (all, status) = inputs(os, paths).await;
    let mut lines = Vec::new();
    for (_, bytes) in all {
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    (lines, status)
}

pub(super) async fn cat(os: Os) -> i32 {
    let parsed = match parse(&os, "nAEbsu", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let mut status = 0;
    let mut number = 0;
    let numbered = parsed.has('n');
    let paths = if parsed.operands.is_empty() { vec!["-".to_owned()] } else { parsed.operands };
    for path in paths {
        if path == "-" && !numbered {
            loop {
                let bytes = os.read(Stream::Stdin, 64 << 10).await;
                if bytes.is_empty() {
                    break;
                }
                os.print(&bytes);
                os.flush().await;
            }
            continue;
        }
        match os.input(&path).await {
            Ok(bytes) if numbered => {
                for line in String::from_utf8_lossy(&bytes).lines() {
                    number += 1;
                    os.println(format!("{number:6}\t{line}"));
                }
            }
            Ok(bytes) => os.print(bytes),
            Err(error) => status = path_error(&os, "", &path, error).await,
        }
        os.flush_if_full().await;
    }
    status
}

pub(super) async fn tee(os: Os) -> i32 {
    let mode = match os.args.iter().any(|arg| arg == "-a") {
        true => OpenMode::Append,
        false => OpenMode::Create,
    };
    let mut status = 0;
    let mut files = Vec::new();
    for (n, path) in (0..).zip(os.args.iter().filter(|arg| !arg.starts_with('-'))) {
        let file = FileId(n);
        match os.do_disk(DiskOp::Open { file, path: path.clone(), mode }).await {
            Ok(()) => files.push((file, path)),
            Err(error) => status = path_error(&os, "", path, error).await,
        }
    }
    loop {
        let bytes = os.read(Stream::Stdin, 64 << 10).await;
        if bytes.is_empty() {
            break;
        }
        os.print(&bytes);
        os.flush().await;
        for (file, path) in &files {
            let append = DiskOp::Append { file: *file, bytes: bytes.to_vec() };
            if let Err(error) = os.do_disk(append).await {
                status = path_error(&os, "", path, error).await;
            }
        }
    }
    for (file, path) in files {
        if let Err(error) = os.do_disk(DiskOp::Close { file }).await {
            status = path_error(&os, "", path, error).await;
        }
    }
    status
}

pub(super) async fn head(os: Os) -> i32 {
    ends(&os, true).await
}

pub(super) async fn tail(os: Os) -> i32 {
    ends(&os, false).await
}

async fn ends(os: &Os, front: bool) -> i32 {
    // `-20` means `-n 20`, but in `-n -20` it is a count.
    let mut is_count = false;
    let args = os.args.iter().map(|arg| {
        let digits = arg.strip_prefix('-').filter(|_| !core::mem::take(&mut is_count));
        is_count = arg == "-n" || arg == "-c";
        match digits {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("-n{digits}")
            }
            _ => arg.clone(),
        }
    });
    let os = os.with_args(&os.name, args.collect());
    let parsed = match parse(&os, "fFqv", "nc").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let (text, bytes) = match (parsed.value('n'), parsed.value('c')) {
        (_, Some(count)) => (count, true),
        (Some(count), None) => (count, false),
        (None, None) => ("10", false),
    };
    let from_start = text.starts_with('+');
    let Ok(count) = text.trim_start_matches(['+', '-']).parse::<usize>() else {
        return os.fail(format!("invalid number of lines: '{text}'")).await;
    };
    if front && !bytes && !text.starts_with('-') && parsed.operands.is_empty() {
        return first_lines(&os, count).await;
    }
    let follow = parsed.has('f') || parsed.has('F');
    let (all, status) = inputs(&os, &parsed.operands).await;
    for (n, (path, content)) in all.iter().enumerate() {
        if all.len() > 1 {
            os.println(format!("{}==> {path} <==", if n > 0 { "\n" } else { "" }));
        }
        let pieces: Vec<&[u8]> = if bytes {
            content.chunks(1).collect()
        } else {
            content.split_inclusive(|&byte| byte == b'\n').collect()
        };
        let range = match (front, from_start) {
            (true, _) if text.starts_with('-') => 0..pieces.len().saturating_sub(count),
            (true, _) => 0..count.min(pieces.len()),
            (false, true) => count.saturating_sub(1).min(pieces.len())..pieces.len(),
            (false, false) => pieces.len().saturating_sub(count)..pieces.len(),
        };
        for piece in &pieces[range] {
            os.print(piece);
        }
    }
    os.flush().await;
    if follow && let [(path, content)] = all.as_slice() {
        follow_file(&os, path, content.len()).await;
    }
    status
}

/// Prints the first lines of the standard input, and reads no further than necessary.
async fn first_lines(os: &Os, count: usize) -> i32 {
    let mut left = count;
    while left > 0 {
        let bytes = os.read(Stream::Stdin, 4096).await;
        if bytes.is_empty() {
            break;
        }
        for line in bytes.split_inclusive(|&byte| byte == b'\n').take(left) {
            os.print(line);
            left -= usize::from(line.ends_with(b"\n"));
        }
        os.flush().await;
    }
    0
}

/// Prints what is appended to a file, until an interrupt (`tail -f`).
async fn follow_file(os: &Os, path: &str, mut printed: usize) {
    const PAUSE: Duration = Duration::from_millis(200);
    loop {
        os.sleep(PAUSE).await;
        let Ok(stat) = os.stat(path).await else { continue };
        let len = usize::try_from(stat.len).unwrap_or(usize::MAX);
        if len == printed {
            continue;
        }
        let content = os.load(path).await.unwrap_or_default();
        if content.len() < printed {
            printed = 0;
        }
        os.print(content.get(printed..).unwrap_or_default());
        printed = content.len();
        os.flush().await;
    }
}

pub(super) async fn wc(os: Os) -> i32 {
    let parsed = match parse(&os, "lwcm", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let (all, status) = inputs(&os, &parsed.operands).await;
    let every = !parsed.has('l') && !parsed.has('w') && !parsed.has('c') && !parsed.has('m');
    let mut totals = [0; 3];
    let single = all.len() == 1 && !every && parsed.flags.len() == 1;
    let line = |counts: [usize; 3], name: &str| {
        let wanted = [
            (every || parsed.has('l'), counts[0]),
            (every || parsed.has('w'), counts[1]),
            (every || parsed.has('c') || parsed.has('m'), counts[2]),
        ];
        let shown = wanted
            .iter()
            .filter(|(show, _)| *show)
            .map(|(_, count)| if single { count.to_string() } else { format!("{count:>3}") });
        let text = shown.collect::<Vec<_>>().join(" ");
        if name == "-" { text } else { format!("{text} {name}") }
    };
    for (path, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let counts = [lines, text.split_whitespace().count(), bytes.len()];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
        os.println(line(counts, path));
    }
    if all.len() > 1 {
        os.println(line(totals, "total"));
    }
    status
}

pub(super) async fn sort(os: Os) -> i32 {
    let parsed = match parse(&os, "nrufhb", "kt").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let (mut lines, status) = lines_of(&os, &parsed.operands).await;
    let key = parsed.value('k').unwrap_or("").to_owned();
    let field = key.split([',', '.']).next().unwrap_or("");
    let digits: String = field.chars().take_while(char::is_ascii_digit).collect();
    let field = digits.parse::<usize>().ok();
    let numeric = parsed.has('n') || key.contains('n');
    let reverse = parsed.has('r') || key.contains('r');
    let separator = parsed.value('t').and_then(|text| text.chars().next());
    let part = |line: &str| -> String {
        let Some(field) = field else { return line.to_owned() };
        let rest: Vec<&str> = match separator {
            Some(c) => line.split(c).skip(field - 1).collect(),
            None => line.split_whitespace().skip(field.saturating_sub(1)).collect(),
        };
        let end = if key.contains(',') { 1 } else { rest.len() };
        rest.into_iter().take(end).collect::<Vec<_>>().join(" ")
    };
    if field == Some(0) {
        return os.fail("field number is zero").await;
    }
    let number = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.');
        text[..end.unwrap_or(text.len())].parse::<f64>().unwrap_or(0.0)
    };
    let compare = |a: &String, b: &String| {
        let (x, y) = (part(a), part(b));
        let order = if numeric {
            number(&x).partial_cmp(&number(&y)).unwrap_or(Ordering::Equal)
        } else if parsed.has('f') {
            x.to_lowercase().cmp(&y.to_lowercase())
        } else {
            x.cmp(&y)
        };
        let order = order.then_with(|| if parsed.has('u') { Ordering::Equal } else { a.cmp(b) });
        if reverse { order.reverse() } else { order }
    };
    lines.sort_by(compare);
    if parsed.has('u') {
        lines.dedup_by(|a, b| compare(a, b) == Ordering::Equal);
    }
    for line in lines {
        os.println(line);
    }
    status
}

pub(super) async fn uniq(os: Os) -> i32 {
    let parsed = match parse(&os, "cdui", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let (lines, status) = lines_of(&os, &parsed.operands).await;
    for run in lines.chunk_by(|a, b| a == b) {
        let count = run.len();
        if parsed.has('d') && count < 2 || parsed.has('u') && count > 1 {
            continue;
        }
        if parsed.has('c') {
            os.println(format!("{count:7} {}", run[0]));
        } else {
            os.println(&run[0]);
        }
    }
    status
}

/// Parses the ranges of `cut`, such as `1,3-5,7-`.
fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let from = if from.is_empty() { Some(1) } else { from.parse().ok() };
        let to = if to.is_empty() { Some(usize::MAX) } else { to.parse().ok() };
        Some((from.filter(|from| *from > 0)?, to?))
    };
    text.split(',').map(range).collect()
}

pub(super) async fn cut(os: Os) -> i32 {
    let parsed = match parse(&os, "s", "dfcb").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let fields = parsed.value('f');
    let list = fields.or(parsed.value('c')).or(parsed.value('b'));
    let Some(list) = list else {
        return os.fail("you must specify a list of characters or fields").await;
    };
    let Some(ranges) = ranges(list) else {
        return os.fail(format!("invalid list '{list}'; write it like 1,3-5")).await;
    };
    let wanted = |n: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&(n + 1)));
    let delimiter = parsed.value('d').and_then(|text| text.chars().next()).unwrap_or('\t');
    let (lines, status) = lines_of(&os, &parsed.operands).await;
    for line in lines {
        if fields.is_none() {
            let chars = line.chars().enumerate().filter(|(n, _)| wanted(*n));
            os.println(chars.map(|(_, c)| c).collect::<String>());
        } else if !line.contains(delimiter) {
            if !parsed.has('s') {
                os.println(line);
            }
        } else {
            let parts = line.split(delimiter).enumerate().filter(|(n, _)| wanted(*n));
            let parts: Vec<&str> = parts.map(|(_, part)| part).collect();
            os.println(parts.join(&delimiter.to_string()));
        }
    }
    status
}

/// Parses a character set of `tr`.
fn set_of(text: &str) -> Vec<char> {
    let classes = [("[:upper:]", 'A', 'Z'), ("[:lower:]", 'a', 'z'), ("[:digit:]", '0', '9')];
    if let Some((_, from, to)) = classes.iter().find(|(name, ..)| *name == text) {
        return (*from..=*to).collect();
    }
    if text == "[:space:]" {
        return " \t\n\r".chars().collect();
    }
    let chars: Vec<char> = unescape(text).chars().collect();
    let mut set = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if at + 2 < chars.len() && chars[at + 1] == '-' && chars[at] <= chars[at + 2] {
            set.extend((chars[at]..=chars[at + 2]).take(65_536));
            at += 3;
        } else {
            set.push(chars[at]);
            at += 1;
        }
    }
    set
}

pub(super) async fn tr(os: Os) -> i32 {
    let parsed = match parse(&os, "dsc", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let Some(first) = parsed.operands.first() else { return os.fail("missing operand").await };
    let from = set_of(first);
    let to = parsed.operands.get(1).map(|text| set_of(text)).unwrap_or_default();
    let text = String::from_utf8_lossy(&os.read_all(Stream::Stdin).await).into_owned();
    let inside = |c: char| from.contains(&c) != parsed.has('c');
    let mut out = String::new();
    for c in text.chars() {
        if !inside(c) {
            out.push(c);
            continue;
        }
        if parsed.has('d') {
            continue;
        }
        let place = from.iter().position(|known| *known == c);
        let new = match (place, to.last()) {
            (Some(place), Some(last)) => to.get(place).copied().unwrap_or(*last),
            (None, Some(last)) => *last,
            (_, None) => c,
        };
        if parsed.has('s') && out.ends_with(new) {
            continue;
        }
        out.push(new);
    }
    os.print(out);
    0
}

pub(super) async fn seq(os: Os) -> i32 {
    let numbers: Option<Vec<i64>> = os.args.iter().map(|arg| arg.parse().ok()).collect();
    let (from, step, to) = match numbers.as_deref() {
        Some([to]) => (1, 1, *to),
        Some([from, to]) => (*from, 1, *to),
        Some([from, step, to]) if *step != 0 => (*from, *step, *to),
        _ => return os.fail("usage: seq [FIRST [INCREMENT]] LAST, with whole numbers").await,
    };
    let (mut n, mut count) = (from, 0);
    while if step > 0 { n <= to } else { n >= to } {
        os.println(n.to_string());
        let Some(next) = n.checked_add(step) else { break };
        n = next;
        count += 1;
        if count % SLICE == 0 {
            os.flush().await;
        }
    }
    0
}

pub(super) async fn yes(os: Os) -> i32 {
    let text = if os.args.is_empty() { "y".to_owned() } else { os.args.join(" ") };
    loop {
        for _ in 0..SLICE {
            os.println(&text);
        }
        os.flush().await;
    }
}

pub(super) async fn diff(os: Os) -> i32 {
    let paths: Vec<&String> = os.args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let [a, b] = paths.as_slice() else { return os.fail("two files are needed").await };
    let mut sides = Vec::new();
    for path in [a, b] {
        match os.input(path).await {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                sides.push(text.lines().map(str::to_owned).collect::<Vec<_>>());
            }
            Err(error) => {
                path_error(&os, "", path, error).await;
                return 2;
            }
        }
    }
    let (left, right) = (&sides[0], &sides[1]);
    if left.len().saturating_mul(right.len()) > 4_000_000 {
        return os.fail("the files are too long to be compared here").await;
    }
    // The table of longest common subsequences, filled from the end.
    let wide = right.len() + 1;
    let mut common = vec![0u32; (left.len() + 1) * wide];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i * wide + j] = if left[i] == right[j] {
                common[(i + 1) * wide + j + 1] + 1
            } else {
                common[(i + 1) * wide + j].max(common[i * wide + j + 1])
            };
        }
    }
    let (mut i, mut j, mut differ) = (0, 0, false);
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        differ = true;
        let (from_i, from_j) = (i, j);
        while i < left.len() || j < right.len() {
            if i < left.len() && j < right.len() && left[i] == right[j] {
                break;
            }
            let down = i < left.len()
                && (j == right.len() || common[(i + 1) * wide + j] >= common[i * wide + j + 1]);
            if down { i += 1 } else { j += 1 }
        }
        let span = |from: usize, to: usize| match to - from {
            0 => from.to_string(),
            1 => to.to_string(),
            _ => format!("{},{to}", from + 1),
        };
        let kind = match (i > from_i, j > from_j) {
            (true, true) => 'c',
            (true, false) => 'd',
            _ => 'a',
        };
        os.println(format!("{}{kind}{}", span(from_i, i), span(from_j, j)));
        for line in &left[from_i..i] {
            os.println(format!("< {line}"));
        }
        if kind == 'c' {
            os.println("---");
        }
        for line in &right[from_j..j] {
            os.println(format!("> {line}"));
        }
    }
    i32::from(differ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_ranges_are_read() {
        assert_eq!(set_of("a-c9"), ['a', 'b', 'c', '9']);
        assert_eq!(ranges("1,3-"), Some(vec![(1, 1), (3, usize::MAX)]));
        assert_eq!(ranges("0"), None);
    }
}
