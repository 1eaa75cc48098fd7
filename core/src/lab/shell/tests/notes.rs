//! Replays the command blocks of the course's notes on terminals of a World.
//!
//! `notes.txt` contains the typed lines and the expected output:
//!
//! * `# NAME HOST=ADDRESS ...` starts a World with these hosts;
//! * `## NOTE, PLACE` starts a block, and `~ TEXT` says how the present output differs from the
//!   note's;
//! * `@TERMINAL LINE` types a line. A terminal is named after its host; `HOST#2` is a second one
//!   there. `^C` is Ctrl-C, `^M` Enter alone, `^[` Escape, `^G^` the key G; an empty line types
//!   nothing, and matches all that the terminal shows;
//! * a line that starts with two spaces is a pattern: the lines of the output have to match the
//!   patterns in this order. `{ID:NAME}` in a pattern stores the node ID at this position; in a
//!   typed line it is replaced by that ID.
//!
//! `docs/notes.md` lists where each block is replayed and what differs; a test compares the two.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::glob::matches_ignoring_case;
use crate::lab::programs;
use crate::sim::{Action, HostSpec, Scenario, World};
use crate::time::Duration;

/// The typed lines and the expected output.
const NOTES: &str = include_str!("notes.txt");
/// The document that lists where each block is replayed.
const TABLE: &str = include_str!("../../../../../docs/notes.md");

/// The blocks that are replayed in one World.
#[derive(Default)]
struct Part {
    name: String,
    hosts: Vec<(String, Ipv4Addr)>,
    blocks: Vec<Block>,
}

/// A block of a note.
#[derive(Default)]
struct Block {
    /// The note, and the position in it.
    note: String,
    /// How the present output differs from the note's; empty if it does not.
    differs: String,
    lines: Vec<Line>,
}

/// A typed line, and the patterns of its output.
struct Line {
    terminal: String,
    typed: String,
    shows: Vec<String>,
}

#[test]
fn the_note_about_data_types_is_replayed_block_by_block() {
    replay("data-types");
}

#[test]
fn the_note_about_three_machines_is_replayed_block_by_block() {
    replay("machines");
}

#[test]
fn the_note_about_one_machine_and_sentinels_is_replayed_block_by_block() {
    replay("one-machine");
}

#[test]
fn the_note_about_create_cluster_is_replayed_block_by_block() {
    replay("create-cluster");
}

#[test]
fn the_note_about_directories_below_tmp_is_replayed_block_by_block() {
    replay("below-tmp");
}

#[test]
fn the_note_about_six_ports_is_replayed_block_by_block() {
    replay("six-ports");
}

#[test]
fn the_note_about_eight_machines_is_replayed_block_by_block() {
    replay("eight-machines");
}

#[test]
fn the_note_about_slots_in_files_is_replayed_block_by_block() {
    replay("three-machines");
}

#[test]
fn the_note_about_redis_trib_is_replayed_block_by_block() {
    replay("trib");
}

#[test]
fn the_note_with_other_users_is_replayed_block_by_block() {
    replay("hadoop");
}

#[test]
fn the_notes_about_twemproxy_are_replayed_block_by_block() {
    replay("twemproxy");
}

#[test]
fn the_notes_about_predixy_are_replayed_block_by_block() {
    replay("predixy");
}

#[test]
fn the_table_of_blocks_names_each_once_with_its_test() {
    let mut expected: Vec<String> = Vec::new();
    for part in parts() {
        for block in part.blocks {
            let Block { note, differs, .. } = block;
            expected.push(format!("| {note} | `{}` | {differs} |", part.name));
        }
    }
    let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let needed = expected.join("\n");
    assert!(rows == expected, "docs/notes.md needs these rows and no others:\n{needed}");
    let mut once = expected.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), expected.len(), "a block stands in two places");
}

fn parts() -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in NOTES.lines() {
        let block = parts.last_mut().and_then(|part| part.blocks.last_mut());
        if let Some(head) = line.strip_prefix("# ") {
            let mut words = head.split(' ');
            let name = words.next().expect("a part has a name").to_owned();
            let host = |word: &str| {
                let (host, address) = word.split_once('=').expect("HOST=ADDRESS");
                (host.to_owned(), address.parse().expect("an address"))
            };
            let hosts = words.map(host).collect();
            parts.push(Part { name, hosts, blocks: Vec::new() });
        } else if let Some(note) = line.strip_prefix("## ") {
            let part = parts.last_mut().expect("a block stands in a part");
            part.blocks.push(Block { note: note.to_owned(), ..Block::default() });
        } else if let Some(differs) = line.strip_prefix("~ ") {
            block.expect("a difference of a block").differs = differs.to_owned();
        } else if let Some(typed) = line.strip_prefix('@') {
            let (terminal, typed) = typed.split_once(' ').unwrap_or((typed, ""));
            let (terminal, typed) = (terminal.to_owned(), typed.to_owned());
            let line = Line { terminal, typed, shows: Vec::new() };
            block.expect("a line of a block").lines.push(line);
        } else if let Some(pattern) = line.strip_prefix("  ") {
            let line = block.and_then(|block| block.lines.last_mut());
            line.expect("a pattern of a line").shows.push(pattern.to_owned());
        } else {
            assert_eq!(
                line, "",
                "a line of notes.txt starts with '# ', '## ', '~ ', '@' or spaces"
            );
        }
    }
    parts
}

/// Replays a part in a World, and checks the output of each line.
fn replay(name: &str) {
    let part = parts().into_iter().find(|part| part.name == name).expect("the part is there");
    let hosts = part.hosts.iter().map(|(name, ip)| HostSpec::new(name, *ip)).collect();
    let scenario = Scenario {
        name: part.name,
        epoch_ms: 1_605_000_000_000,
        hosts,
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    };
    let mut world = World::new(Arc::new(scenario), 7, programs);
    world.run_for(Duration::from_millis(50));
    let mut ids = BTreeMap::new();
    for block in part.blocks {
        for line in &block.lines {
            if let Err(text) = type_line(&mut world, line, &mut ids) {
                let Line { terminal, typed, shows } = line;
                let note = block.note;
                panic!("{note}: '{typed}' at {terminal} does not show {shows:#?}:\n{text}");
            }
        }
    }
}

/// Node IDs by the names that patterns gave them.
type Ids = BTreeMap<String, String>;

/// Types a line, and waits for the expected output.
fn type_line(world: &mut World, line: &Line, ids: &mut Ids) -> Result<(), String> {
    let terminal = &line.terminal;
    if world.tty_named(terminal).is_none() {
        let host = terminal.split('#').next().unwrap_or_default().to_owned();
        let login = Action::Login { host, terminal: terminal.clone(), columns: 200, rows: 400 };
        world.apply(&login).expect("a login");
        wait(world, terminal, "", &["*]#".to_owned()], ids)?;
    }
    if line.typed.is_empty() {
        return wait(world, terminal, "", &line.shows, ids);
    }
    // The prompt itself is not part of the output, hence without its last character.
    let mut before = world.tty_named(terminal).map(|tty| tty.text()).unwrap_or_default();
    before.pop();
    let mut typed = line.typed.clone();
    for (name, id) in &*ids {
        typed = typed.replace(&format!("{{ID:{name}}}"), id);
    }
    assert!(!typed.contains("{ID:"), "'{typed}' names an id that no pattern before it kept");
    let keys = match typed.as_str() {
        "^C" => "\u{3}".to_owned(),
        "^M" => "\r".to_owned(),
        line => format!("{}\r", line.replace("^[", "\u{1b}").replace("^G^", "G")),
    };
    world.apply(&Action::Keys { terminal: terminal.clone(), keys }).expect("a terminal");
    wait(world, terminal, &before, &line.shows, ids)
}

/// Runs the World until a terminal shows new lines that match all patterns.
fn wait(
    world: &mut World,
    terminal: &str,
    before: &str,
    shows: &[String],
    ids: &mut Ids,
) -> Result<(), String> {
    const MAX_POLLS: u32 = 1_200;
    let mut text = String::new();
    for _ in 0..MAX_POLLS {
        world.run_for(Duration::from_millis(50));
        text = world.tty_named(terminal).map(|tty| tty.text()).unwrap_or_default();
        // For a full-screen program, or if old lines have scrolled away, all lines count as new.
        let new = text.strip_prefix(before).unwrap_or(&text);
        let mut lines = new.lines().map(str::trim);
        if shows.iter().all(|pattern| lines.any(|line| fits(pattern, line, ids))) {
            return Ok(());
        }
    }
    Err(text)
}

/// Whether a line matches a pattern. Stores the node ID at the position of `{ID:NAME}`.
fn fits(pattern: &str, line: &str, ids: &mut Ids) -> bool {
    let Some((before, rest)) = pattern.split_once("{ID:") else {
        return matches_ignoring_case(pattern.as_bytes(), line.as_bytes());
    };
    let (name, after) = rest.split_once('}').expect("{ID:NAME}");
    let is_id = |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(id) = line.split([' ', '"']).find(is_id) else { return false };
    let fits = fits(&format!("{before}{id}{after}"), line, ids);
    if fits {
        ids.insert(name.to_owned(), id.to_owned());
    }
    fits
}
