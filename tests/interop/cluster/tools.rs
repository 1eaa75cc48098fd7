//! What the cluster tools print, made comparable: the order in which a node lists the others differs
//! from run to run.

use std::fmt::Write as _;

/// What a line that may change places with its neighbours is about: lines that follow each other and
/// are of one sort are sorted. `None` if its place counts.
fn sort_of(line: &str) -> Option<&'static str> {
    // `@1 (#1...) -> 0 keys`, `127.0.0.1:7000: OK`
    let is_about_node = |line: &str| {
        let first = line.split(' ').next().unwrap_or_default();
        let first = first.trim_end_matches(':');
        line.contains(' ')
            && (first.starts_with('@')
                || first.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()))
    };
    match line {
        _ if line.starts_with("M: ") || line.starts_with("S: ") => Some("node"),
        _ if is_about_node(line) => Some("about"),
        _ if line.starts_with("Migrating ") => Some("migrating"),
        _ if line.starts_with("*** New timeout set for ") => Some("timeout"),
        _ if line.starts_with(">>> Node @") && line.contains("-> Saving RDB") => Some("saving"),
        _ if line.starts_with("SYNC sent to master") => Some("copying"),
        "Transfer finished with success." => Some("copying"),
        _ => None,
    }
}

/// The text with blocks of one sort that follow each other sorted. A line that begins with three
/// blanks belongs to the one before it.
pub(crate) fn sorted(text: &str) -> String {
    let mut blocks: Vec<(Option<&str>, String)> = Vec::new();
    for line in text.lines() {
        // One dot for each second that it waited, if it did.
        if line.chars().all(|c| c == '.') {
            continue;
        }
        match blocks.last_mut() {
            Some((Some("node"), block)) if line.starts_with("   ") => {
                writeln!(block, "{line}").expect("text");
            }
            _ => blocks.push((sort_of(line), format!("{line}\n"))),
        }
    }
    for run in blocks.chunk_by_mut(|(a, _), (b, _)| a == b) {
        if run[0].0.is_some() {
            run.sort();
        }
    }
    blocks.into_iter().map(|(_, block)| block).collect()
}
