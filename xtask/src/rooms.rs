//! `cargo xtask rooms`: draws the dependencies between the core's modules from the paths in the
//! code, and fails if one runs against their order.
//!
//! A *room* is a module at the top level of the core, or of one of its modules that have a drawing
//! of their own. The documentation of the parent module lists the rooms in the order in which they
//! may use each other. An *arrow* is a dependency: a path (`use crate::a::b`, `super::c::d`)
//! outside tests. An arrow that runs back has to be listed in the document with its reason; it is
//! an error if it is not, and so is a listed one that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use syn::visit::{self, Visit};

use crate::workspace::Workspace;

/// The document that has the drawing.
const DOCUMENT: &str = "docs/architecture.md";
const BEGIN: &str = "<!-- rooms: drawn by `cargo xtask rooms` -->";
const END: &str = "<!-- rooms: end -->";

/// The beginning of a line of the document that allows an arrow to run back.
const BACK: &str = "* back: `";

/// The modules whose rooms are drawn, each with its folder under `core/src`.
const DRAWN: [(&str, &str); 3] = [("core", ""), ("front", "front"), ("server", "server")];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if the drawing is not what the code says.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Writes the drawing into the document, or checks that it is up to date.
pub(crate) fn draw(ws: &Workspace, args: &Args) -> Result<()> {
    let source = ws.root().join("core/src");
    let path = ws.root().join(DOCUMENT);
    let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut drawing = String::new();
    let mut faults = Vec::new();
    for (name, folder) in DRAWN {
        let plan = Plan::read(name, &source, folder)?;
        faults.extend(plan.faults(&allowed(&old, name)));
        drawing.push_str(&plan.drawing());
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    let new = replaced(&old, &drawing)?;
    if args.check {
        ensure!(new == old, "the rooms in {DOCUMENT} are stale: run `cargo xtask rooms`");
    } else if new != old {
        std::fs::write(&path, new)?;
    }
    Ok(())
}

/// Replaces the drawing between its marks in the document.
fn replaced(document: &str, drawing: &str) -> Result<String> {
    let missing = || format!("{DOCUMENT} has no lines `{BEGIN}` and `{END}`");
    let (before, rest) = document.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{drawing}{END}{after}"))
}

/// The arrows of one plan that the document allows to run back, by lines such as
/// ``* back: `server` `aof` -> `shutdown`: why``.
fn allowed(document: &str, plan: &str) -> BTreeSet<(String, String)> {
    let arrow = |line: &str| {
        let words: Vec<&str> = line.strip_prefix(BACK)?.split('`').collect();
        match *words.as_slice() {
            [of, _, from, " -> ", to, why, ..] if of == plan && why.len() > 3 => {
                Some((from.to_owned(), to.to_owned()))
            }
            _ => None,
        }
    };
    document.lines().filter_map(arrow).collect()
}

/// The rooms of one module with their dependencies.
#[derive(Debug, Default)]
struct Plan {
    name: String,
    /// The rooms in the order of the documentation, lowest first. Those of one line are on one
    /// floor and may use each other.
    floors: Vec<Vec<String>>,
    /// The dependencies: user and used room.
    arrows: BTreeSet<(String, String)>,
    /// Rooms that the documentation does not list.
    unlisted: BTreeSet<String>,
}

impl Plan {
    fn read(name: &str, source: &Path, folder: &str) -> Result<Self> {
        let root = source.join(folder);
        let entry = root.join(if folder.is_empty() { "lib.rs" } else { "mod.rs" });
        let text = std::fs::read_to_string(&entry).with_context(|| entry.display().to_string())?;
        let modules = modules(&syn::parse_file(&text)?);
        let mut plan = Plan { name: name.to_owned(), ..Plan::default() };
        plan.floors = floors(&text, &modules);
        let listed: BTreeSet<&String> = plan.floors.iter().flatten().collect();
        plan.unlisted =
            modules.names.iter().filter(|room| !listed.contains(room)).cloned().collect();
        let above: Vec<String> =
            folder.split('/').filter(|f| !f.is_empty()).map(str::to_owned).collect();
        for file in files(&root)? {
            let relative = file.strip_prefix(source)?;
            let Some(place) = place(relative) else { continue };
            let Some(room) = place.get(above.len()).cloned() else { continue };
            let text = std::fs::read_to_string(&file)?;
            let parsed = syn::parse_file(&text)
                .with_context(|| format!("cannot parse {}", relative.display()))?;
            for target in paths(&parsed, &place) {
                if let Some(used) = modules.room_of(&target, &above)
                    && used != room
                {
                    plan.arrows.insert((room.clone(), used));
                }
            }
        }
        Ok(plan)
    }

    /// The errors: unlisted rooms, arrows that run back, and unused permissions.
    fn faults(&self, allowed: &BTreeSet<(String, String)>) -> Vec<String> {
        let name = &self.name;
        let mut faults: Vec<String> = self
            .unlisted
            .iter()
            .map(|room| format!("{name}: `{room}` is missing in the list of rooms"))
            .collect();
        for arrow @ (from, to) in &self.arrows {
            if self.runs_back(from, to) && !allowed.contains(arrow) {
                faults.push(format!(
                    "{name}: `{from}` uses `{to}`, which comes after it in the list of rooms; turn \
                     the arrow, or name it with its reason in {DOCUMENT}: {BACK}{name}` `{from}` \
                     -> `{to}`: why"
                ));
            }
        }
        for (from, to) in allowed {
            if !self.arrows.contains(&(from.clone(), to.clone())) {
                faults.push(format!(
                    "{name}: {DOCUMENT} lets `{from}` use `{to}`, which it does not"
                ));
            }
        }
        faults
    }

    fn runs_back(&self, from: &str, to: &str) -> bool {
        let floor =
            |room: &str| self.floors.iter().position(|rooms| rooms.iter().any(|r| r == room));
        floor(from).is_some_and(|below| floor(to).is_some_and(|above| above > below))
    }

    /// The drawing: the rooms, lowest first, each with those that it uses directly; indirect
    /// dependencies are left out.
    fn drawing(&self) -> String {
        let width = self.floors.iter().flatten().map(String::len).max().unwrap_or_default();
        let mut out = format!("```text\n{}\n", self.name);
        for room in self.floors.iter().flatten() {
            let used = self.nearest(room);
            let line = match used.is_empty() {
                true => format!("  {room}"),
                false => format!("  {room:width$} -> {}", used.join(", ")),
            };
            out.push_str(&line);
            out.push('\n');
        }
        out.push_str("```\n\n");
        out
    }

    /// The rooms that a room uses, except those that it also uses indirectly (transitive
    /// reduction).
    fn nearest<'p>(&'p self, room: &'p str) -> Vec<&'p str> {
        let used: Vec<&str> = self.used(room).collect();
        let reached: Vec<BTreeSet<&str>> =
            used.iter().map(|other| self.reach(other, room)).collect();
        // Of two rooms that use each other both are shown.
        let through = |other: usize, to: usize| {
            reached[other].contains(used[to]) && !reached[to].contains(used[other])
        };
        let shown = |to: &usize| !(0..used.len()).any(|other| through(other, *to));
        (0..used.len()).filter(shown).map(|to| used[to]).collect()
    }

    fn used<'p>(&'p self, room: &'p str) -> impl Iterator<Item = &'p str> {
        self.arrows.iter().filter(move |(from, _)| from == room).map(|(_, to)| to.as_str())
    }

    /// All rooms that a room uses directly or indirectly, except through `without` or an arrow that
    /// runs back.
    fn reach<'p>(&'p self, room: &'p str, without: &str) -> BTreeSet<&'p str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![room];
        while let Some(from) = open.pop() {
            for to in self.used(from).filter(|to| !self.runs_back(from, to)) {
                if to != without && seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    }
}

/// The modules that a module declares, and the names that it re-exports from them.
#[derive(Debug, Default)]
struct Modules {
    names: BTreeSet<String>,
    /// Names that `use` brings into the module, each with the room that it comes from.
    reexported: BTreeMap<String, String>,
}

impl Modules {
    /// The room that a path from the crate's root leads to, of those of the module `above`. `None`
    /// if it leads elsewhere, or to an item of the module itself.
    fn room_of(&self, target: &[String], above: &[String]) -> Option<String> {
        let rest = target.strip_prefix(above)?;
        let first = rest.first()?;
        if self.names.contains(first) {
            return Some(first.clone());
        }
        self.reexported.get(first).cloned()
    }
}

fn modules(file: &syn::File) -> Modules {
    let mut found = Modules::default();
    for item in &file.items {
        if let syn::Item::Mod(module) = item
            && !is_test(&module.attrs)
        {
            found.names.insert(module.ident.to_string());
        }
    }
    for item in &file.items {
        let syn::Item::Use(item) = item else { continue };
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for leaf in leaves {
            let path: Vec<&String> = leaf.iter().filter(|part| *part != "self").collect();
            if let [room, .., name] = path.as_slice()
                && found.names.contains(*room)
            {
                found.reexported.insert((*name).clone(), (*room).clone());
            }
        }
    }
    found
}

/// The rooms that a module's documentation lists, floor by floor: the names of modules in backticks
/// at the beginning of each list entry.
fn floors(text: &str, modules: &Modules) -> Vec<Vec<String>> {
    let mut floors: Vec<Vec<String>> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! ")) {
        let entry = line.trim_start();
        // An entry begins with a star, and continues on the next line after a semicolon or a comma.
        let Some(entry) = entry.strip_prefix("* ") else { continue };
        let mut floor = Vec::new();
        for (at, word) in entry.split('`').enumerate() {
            let listed = at % 2 == 1 && modules.names.contains(word);
            if listed {
                floor.push(word.to_owned());
            }
        }
        if !floor.is_empty() {
            floors.push(floor);
        }
    }
    floors
}

/// All source files under a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The module path of a file, from the crate's root. `None` for tests and the root itself.
fn place(relative: &Path) -> Option<Vec<String>> {
    let mut place: Vec<String> = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if place.last().is_some_and(|last| last == "mod") {
        place.pop();
    }
    let is_test = place.iter().any(|part| part == "tests" || part == "testing");
    (!is_test && place != ["lib"]).then_some(place)
}

/// All paths in a file outside tests that begin with `crate` or `super`, resolved from the root.
fn paths(file: &syn::File, place: &[String]) -> Vec<Vec<String>> {
    let mut found = Paths { place: place.to_vec(), found: Vec::new() };
    found.visit_file(file);
    found.found
}

struct Paths {
    place: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let target = match path.first().map(String::as_str) {
            Some("crate") => path.get(1..).unwrap_or_default().to_vec(),
            Some("super") if supers <= self.place.len() => {
                let above = self.place.len() - supers;
                [&self.place[..above], &path[supers..]].concat()
            }
            _ => return,
        };
        self.found.push(target);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.place.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.place.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        leaves.iter().for_each(|leaf| self.add(leaf));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.add(&parts);
        visit::visit_path(self, path);
    }
}

/// Collects the single paths of a `use` tree.
fn flatten(tree: &syn::UseTree, above: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
    match tree {
        syn::UseTree::Path(path) => {
            above.push(path.ident.to_string());
            flatten(&path.tree, above, into);
            above.pop();
        }
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|item| flatten(item, above, into));
        }
        syn::UseTree::Name(name) => into.push([&above[..], &[name.ident.to_string()]].concat()),
        syn::UseTree::Rename(name) => into.push([&above[..], &[name.ident.to_string()]].concat()),
        syn::UseTree::Glob(_) => into.push(above.clone()),
    }
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary source folder, which is removed at the end of a test.
    struct Source(PathBuf);

    impl Source {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("rooms-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            Source(root)
        }

        fn plan(&self) -> Plan {
            Plan::read("core", &self.0, "").expect("a plan")
        }
    }

    impl Drop for Source {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const LIB: &str = "//! Rooms:\n//!\n//! * [`ground`]: first.\n//! * [`upper`]: second.\n\
                       pub mod ground;\npub mod upper;\npub use upper::Shelf;\n";

    fn arrow(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn an_arrow_that_runs_back_is_a_fault_unless_it_is_named() {
        let source = Source::new(
            "back",
            &[
                ("lib.rs", LIB),
                ("ground.rs", "fn f() -> crate::upper::Thing { todo!() }"),
                ("upper.rs", "use super::ground;"),
            ],
        );
        let plan = source.plan();
        assert_eq!(plan.arrows.len(), 2);
        let faults = plan.faults(&BTreeSet::new());
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("`ground` uses `upper`"), "{faults:?}");
        let document = "* back: `core` `ground` -> `upper`: they are friends.";
        assert!(plan.faults(&allowed(document, "core")).is_empty());
        let reasonless = "* back: `core` `ground` -> `upper`";
        assert!(allowed(reasonless, "core").is_empty());
    }

    #[test]
    fn what_is_named_and_not_there_is_a_fault_and_so_is_a_room_without_a_place() {
        let source = Source::new(
            "stale",
            &[
                ("lib.rs", &LIB.replace("pub mod upper;", "pub mod upper;\npub mod cellar;")),
                ("ground.rs", ""),
                ("upper.rs", "use crate::ground::Thing;"),
                ("cellar.rs", ""),
            ],
        );
        let faults = source.plan().faults(&[arrow("ground", "upper")].into());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("`cellar` is missing") && faults[1].contains("does not"));
    }

    #[test]
    fn names_that_are_passed_on_count_and_tests_do_not() {
        let source = Source::new(
            "passed",
            &[
                ("lib.rs", LIB),
                ("ground/mod.rs", "mod deep;\n#[cfg(test)]\nmod tests { use crate::upper::X; }"),
                ("ground/deep.rs", "use super::super::Shelf;"),
                ("ground/tests.rs", "use crate::upper::Y;"),
                ("upper.rs", ""),
            ],
        );
        assert_eq!(source.plan().arrows, [arrow("ground", "upper")].into());
    }

    #[test]
    fn the_drawing_leaves_out_what_is_reached_through_others() {
        let plan = Plan {
            name: "core".into(),
            floors: ["a", "b", "c"].map(|room| vec![room.to_owned()]).to_vec(),
            arrows: [arrow("b", "a"), arrow("c", "b"), arrow("c", "a")].into(),
            unlisted: BTreeSet::new(),
        };
        assert_eq!(plan.drawing(), "```text\ncore\n  a\n  b -> a\n  c -> b\n```\n\n");
        let document = format!("x\n{BEGIN}\nold\n{END}\ny\n");
        let new = replaced(&document, &plan.drawing()).expect("marks");
        assert!(new.contains("c -> b") && !new.contains("old") && new.ends_with("y\n"));
    }
}
