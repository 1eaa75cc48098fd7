//! `grep`: prints lines that match.

use super::super::os::Os;
use super::text::inputs;
use super::{parse, regex};

pub(super) async fn grep(os: Os) -> i32 {
    let parsed = match parse(&os, "ivncrRlLEwxoqhHsFGP", "eABCm").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let mut operands = parsed.operands.clone();
    let pattern = match parsed.value('e') {
        Some(pattern) => pattern.to_owned(),
        None if operands.is_empty() => {
            os.print_error("usage: grep [OPTION]... PATTERN [FILE]...").await;
            return 2;
        }
        None => operands.remove(0),
    };
    let extended = parsed.has('E') || parsed.has('P') || os.name.as_ref() == "egrep";
    let compiled = if parsed.has('F') {
        regex::literal(&pattern, parsed.has('i'))
    } else {
        let pattern = match (parsed.has('w'), parsed.has('x')) {
            (_, true) if extended => format!("^({pattern})$"),
            (_, true) => format!("^{pattern}$"),
            (true, _) => format!("\\<{pattern}\\>"),
            _ => pattern.replace("\\d", "[0-9]"),
        };
        regex::compile(&pattern, extended, parsed.has('i'))
    };
    let regex = match compiled {
        Ok(regex) => regex,
        Err(error) => {
            os.print_error(error).await;
            return 2;
        }
    };
    let deep = parsed.has('r') || parsed.has('R');
    let mut paths = operands;
    if deep {
        if paths.is_empty() {
            paths.push(".".into());
        }
        paths = walk(&os, paths).await;
    }
    let (all, failed) =
        if deep || !paths.is_empty() { inputs(&os, &paths).await } else { inputs(&os, &[]).await };
    let number = |flag: char| parsed.value(flag).and_then(|n| n.parse::<usize>().ok());
    let around = number('C').unwrap_or(0);
    let (before, after) = (number('B').unwrap_or(around), number('A').unwrap_or(around));
    let named = (all.len() > 1 || deep) && !parsed.has('h') || parsed.has('H');
    let mut found = false;
    for (path, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().collect();
        let hits: Vec<usize> = (0..lines.len())
            .filter(|&n| regex.is_match(lines[n]) != parsed.has('v'))
            .take(number('m').unwrap_or(usize::MAX))
            .collect();
        found |= !hits.is_empty();
        if parsed.has('q') {
            continue;
        }
        let prefix = if named { format!("{path}:") } else { String::new() };
        if parsed.has('c') {
            os.println(format!("{prefix}{}", hits.len()));
            continue;
        }
        if parsed.has('l') || parsed.has('L') {
            if hits.is_empty() == parsed.has('L') {
                os.println(path);
            }
            continue;
        }
        let mut last: Option<usize> = None;
        for &hit in &hits {
            let from = hit.saturating_sub(before).max(last.map_or(0, |last| last + 1));
            if last.is_some_and(|last| from > last + 1) && before + after > 0 {
                os.println("--");
            }
            let to = (hit + after).min(lines.len().saturating_sub(1));
            let shown = lines.iter().enumerate().skip(from).take(to.max(hit) + 1 - from);
            for (n, line) in shown {
                let is_hit = hits.contains(&n);
                let mark = if is_hit { ':' } else { '-' };
                let name = if named { format!("{path}{mark}") } else { String::new() };
                let at = if parsed.has('n') { format!("{}{mark}", n + 1) } else { String::new() };
                if parsed.has('o') && is_hit {
                    for part in regex.find_iter(line) {
                        os.println(format!("{name}{at}{}", part.as_str()));
                    }
                } else if is_hit && os.facts.stdout_is_terminal && !parsed.has('v') {
                    let line = regex.replace_all(line, "\x1b[31;1m$0\x1b[0m");
                    os.println(format!("{name}{at}{line}"));
                } else {
                    os.println(format!("{name}{at}{line}"));
                }
            }
            last = Some(to.max(hit));
        }
        os.flush_if_full().await;
    }
    if failed != 0 && !parsed.has('s') { 2 } else { i32::from(!found) }
}

/// All files below some paths.
async fn walk(os: &Os, mut open: Vec<String>) -> Vec<String> {
    let mut files = Vec::new();
    open.reverse();
    while let Some(path) = open.pop() {
        if os.is_dir(&path).await {
            let names = os.list(&path).await.unwrap_or_default();
            open.extend(names.iter().rev().map(|name| super::join(&path, name)));
        } else {
            files.push(path);
        }
    }
    files
}
