//! The file system of one host: what processes see, and what survives a power loss.
//!
//! There are two versions of everything: the page cache, which is what every process sees, and the
//! durable state. A file's bytes become durable by [`Disk::sync`], a directory's names by
//! [`Disk::sync_dir`]; nothing else makes anything durable, since no process may rely on more.
//! After a power loss, a directory whose names were not synced may be in an earlier state, and of
//! appended bytes that were not synced any prefix may be left.

mod durable;
mod links;

use crate::machine::{DiskError, DiskErrorKind, FileStat};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Wall;

use super::content::Content;

/// A file system. Paths are absolute and normalized: see [`resolve`].
#[derive(Clone, Debug, Default)]
pub struct Disk {
    nodes: SortedMap<NodeId, Node>,
    next: u64,
    /// Names as processes see them.
    names: SortedMap<String, Entry>,
    /// Names that are durable.
    durable: SortedMap<String, Entry>,
    /// Changes of names that are not durable yet, oldest first.
    changes: Vec<Change>,
    /// The host's wall clock at the last operation.
    clock: Wall,
    /// The wall clock when the disk was created.
    born: Wall,
    /// Files that are locked by a process.
    locks: SortedSet<NodeId>,
    /// Bytes of all contents, including those that are referenced only from a directory's unsynced
    /// state.
    held: u64,
}

/// An inode number: a file's content, whatever its names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NodeId(u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    Dir,
    File(NodeId),
    /// A symbolic link, whose content is the target path.
    Link(NodeId),
}

#[derive(Clone, Debug)]
struct Node {
    content: Content,
    /// Permissions: the nine bits of `chmod`.
    mode: u16,
    /// When the content was last modified.
    modified: Wall,
    /// The length of the durable prefix of `content`.
    synced: u64,
    /// The durable content if it is not a prefix of `content`, since the file was truncated.
    shadow: Option<Content>,
    /// The number of open file handles.
    open: u32,
}

/// An atomic change of names.
#[derive(Clone, Debug)]
struct Change {
    /// The directories whose sync makes the change durable.
    dirs: SortedSet<String>,
    /// The names with their new entries.
    sets: Vec<(String, Option<Entry>)>,
}

/// An entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// The name without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub dir: bool,
    /// Its length in bytes.
    pub len: u64,
    /// How many of these bytes are certain to survive a power loss.
    pub synced: u64,
    /// Permissions: the nine bits of `chmod`.
    pub mode: u16,
    /// When its content was last modified.
    pub modified: Wall,
}

impl Disk {
    /// The mode of a new file.
    const MODE: u16 = 0o644;
    /// The reported length of a directory.
    const DIR_LEN: u64 = 4096;

    /// A disk with these files, all of them durable.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut disk = Disk::default();
        for (path, bytes) in files {
            let path = resolve("/", path);
            // On an empty disk of sufficient size this succeeds for every valid path.
            let made = disk.make_dir(parent(&path)).and_then(|()| disk.create(&path));
            if let Ok(node) = made {
                let written = disk.append(node, bytes, u64::MAX);
                debug_assert!(written.is_ok());
                disk.sync(node);
            }
        }
        disk.durable.clone_from(&disk.names);
        disk.changes.clear();
        disk
    }

    /// Bytes of all files that have a name or are open.
    pub fn used(&self) -> u64 {
        let named: SortedSet<NodeId> = self
            .names
            .values()
            .filter_map(|entry| match entry {
                Entry::File(id) | Entry::Link(id) => Some(*id),
                Entry::Dir => None,
            })
            .collect();
        let seen = |id: &NodeId, node: &Node| node.open > 0 || named.contains(id);
        self.nodes.iter().filter(|(id, n)| seen(id, n)).map(|(_, n)| n.content.len).sum()
    }

    /// Whether the path is a directory, or a symbolic link to one.
    pub fn is_dir(&self, path: &str) -> bool {
        let followed = self.follow(path);
        followed.is_ok_and(|path| *path == *"/" || self.names.get(&*path) == Some(&Entry::Dir))
    }

    /// The entries of a directory, sorted by name.
    pub fn list(&self, path: &str) -> Result<Vec<FileInfo>, DiskError> {
        self.expect_dir(path)?;
        let path = &*self.follow(path)?;
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let inside =
            self.names.range_from(prefix.as_str()).take_while(|(p, _)| p.starts_with(&prefix));
        Ok(inside
            .filter_map(|(p, entry)| {
                let name = p.get(prefix.len()..).filter(|n| !n.contains('/'))?.to_string();
                let stat = self.stat_entry(p, *entry);
                let synced = match entry {
                    Entry::Dir => 0,
                    Entry::File(id) | Entry::Link(id) => self.nodes.get(id).map_or(0, |n| n.synced),
                };
                let FileStat { dir, len, mode, modified, .. } = stat;
                let len = if dir { 0 } else { len };
                Some(FileInfo { name, dir, len, synced, mode, modified })
            })
            .collect())
    }

    /// The metadata of a file or directory, following symbolic links.
    pub fn stat(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_name(&self.follow(path)?)
    }

    fn stat_name(&self, path: &str) -> Result<FileStat, DiskError> {
        match self.names.get(path) {
            Some(entry) => Ok(self.stat_entry(path, *entry)),
            None if path == "/" => Ok(self.stat_entry(path, Entry::Dir)),
            None => {
                self.expect_dir(parent(path))?;
                Err(not_found())
            }
        }
    }

    /// The modification time of a directory is that of the newest file directly in it.
    fn stat_entry(&self, path: &str, entry: Entry) -> FileStat {
        match entry {
            Entry::File(id) | Entry::Link(id) => {
                let node = self.nodes.get(&id);
                FileStat {
                    dir: false,
                    link: entry == Entry::Link(id),
                    len: node.map_or(0, |n| n.content.len),
                    mode: node.map_or(Self::MODE, |n| n.mode),
                    modified: node.map_or(Wall(0), |n| n.modified),
                }
            }
            Entry::Dir => {
                let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
                let inside = self
                    .names
                    .range_from(prefix.as_str())
                    .take_while(|(p, _)| p.starts_with(&prefix))
                    .filter(|(p, _)| !p[prefix.len()..].contains('/'));
                let times = inside.filter_map(|(_, entry)| match entry {
                    Entry::File(id) | Entry::Link(id) => self.nodes.get(id).map(|n| n.modified),
                    Entry::Dir => None,
                });
                let modified = times.max().unwrap_or(self.born);
                FileStat { dir: true, link: false, len: Self::DIR_LEN, mode: 0o755, modified }
            }
        }
    }

    /// All paths, each with whether it is a directory.
    pub fn tree(&self) -> impl Iterator<Item = (&str, bool)> {
        self.names.iter().map(|(path, entry)| (path.as_str(), *entry == Entry::Dir))
    }

    /// Reads a whole file.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, DiskError> {
        let node = self.find(path)?;
        Ok(self.nodes.get(&node).map(|n| n.content.read(0, n.content.len)).unwrap_or_default())
    }

    /// Reads a part of a file, up to its end.
    pub fn read_piece(&self, path: &str, offset: u64, len: u64) -> Result<Vec<u8>, DiskError> {
        Ok(self.read(self.find(path)?, offset, len))
    }

    /// Creates a durable file, as an installation does, unless it exists.
    pub(super) fn install(&mut self, path: &str, bytes: &[u8], mode: u16) {
        if self.names.get(path).is_some() {
            return;
        }
        let made = self.make_dir(parent(path)).and_then(|()| self.create(path));
        if let Ok(id) = made {
            // An installation ignores the capacity.
            let _ = self.append(id, bytes, u64::MAX);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.mode = mode;
            }
            self.sync(id);
            let mut up = parent(path).to_string();
            loop {
                // It was created above.
                let _ = self.sync_dir(&up);
                if up == "/" {
                    break;
                }
                up = parent(&up).to_string();
            }
        }
    }

    /// Replaces the content of a file, durably.
    pub(super) fn rewrite(&mut self, path: &str, bytes: &[u8]) {
        // The file may not exist.
        let _ = self.remove(path);
        self.install(path, bytes, 0o644);
    }

    /// Sets the clock of the disk to its host's wall clock.
    pub(super) fn set_clock(&mut self, now: Wall) {
        if self.clock == Wall(0) {
            self.born = now;
            for node in self.nodes.values_mut() {
                node.modified = now;
            }
        }
        self.clock = now;
    }

    pub(super) fn set_mode(&mut self, path: &str, mode: u16) -> Result<(), DiskError> {
        if self.is_dir(path) {
            return Ok(());
        }
        let node = self.find(path)?;
        if let Some(node) = self.nodes.get_mut(&node) {
            node.mode = mode & 0o777;
        }
        Ok(())
    }

    pub(super) fn lock(&mut self, node: NodeId) -> Result<(), DiskError> {
        if self.locks.insert(node) {
            return Ok(());
        }
        Err(error(DiskErrorKind::Denied, "Resource temporarily unavailable"))
    }

    pub(super) fn unlock(&mut self, node: NodeId) {
        self.locks.remove(&node);
    }

    pub(super) fn find(&self, path: &str) -> Result<NodeId, DiskError> {
        let path = &*self.follow(path)?;
        match self.names.get(path) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Dir) => Err(is_a_directory()),
            None if path == "/" => Err(is_a_directory()),
            // A dangling link was followed to a path without an entry.
            Some(Entry::Link(_)) | None => {
                self.expect_dir(parent(path))?;
                Err(not_found())
            }
        }
    }

    /// Creates an empty file, or truncates an existing one.
    pub(super) fn create(&mut self, path: &str) -> Result<NodeId, DiskError> {
        match self.find(path) {
            Ok(node) => {
                self.truncate(node, 0);
                Ok(node)
            }
            Err(e) if e.kind == DiskErrorKind::NotFound => {
                let path = self.follow(path)?.into_owned();
                self.expect_dir(parent(&path))?;
                let id = self.new_node();
                self.change(vec![(path, Some(Entry::File(id)))]);
                Ok(id)
            }
            Err(e) => Err(e),
        }
    }

    /// A new empty file without a name.
    fn new_node(&mut self) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, Node::new(self.clock));
        id
    }

    pub(super) fn open(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.open += 1;
        }
    }

    pub(super) fn close(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.open = node.open.saturating_sub(1);
        }
        self.collect(node);
    }

    pub(super) fn len(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |n| n.content.len)
    }

    /// Appends all of the bytes, or nothing if they do not fit.
    pub(super) fn append(
        &mut self,
        node: NodeId,
        bytes: &[u8],
        capacity: u64,
    ) -> Result<(), DiskError> {
        let mut room = capacity.saturating_sub(self.held);
        if room < bytes.len() as u64 {
            room = capacity.saturating_sub(self.used());
        }
        if room < bytes.len() as u64 {
            return Err(no_space());
        }
        let now = self.clock;
        if let Some(node) = self.nodes.get_mut(&node) {
            node.modified = now;
            node.content.append(bytes);
            self.held += bytes.len() as u64;
        }
        Ok(())
    }

    pub(super) fn read(&self, node: NodeId, offset: u64, len: u64) -> Vec<u8> {
        self.nodes.get(&node).map(|n| n.content.read(offset, len)).unwrap_or_default()
    }

    pub(super) fn truncate(&mut self, node: NodeId, len: u64) {
        let Some(node) = self.nodes.get_mut(&node) else { return };
        self.held -= node.content.len;
        if len < node.synced && node.shadow.is_none() {
            let mut durable = node.content.clone();
            durable.truncate(node.synced);
            node.shadow = Some(durable);
        }
        node.content.truncate(len);
        node.modified = self.clock;
        node.synced = node.synced.min(len);
        self.held += node.content.len;
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let (from, to) = (&*self.follow_parent(from)?, &*self.follow_parent(to)?);
        let Some(&entry) = self.names.get(from) else { return Err(not_found()) };
        self.expect_dir(parent(to))?;
        if from == to {
            return Ok(());
        }
        let inside = format!("{from}/");
        if to.starts_with(&inside) {
            return Err(error(DiskErrorKind::Io, "Invalid argument"));
        }
        match (entry, self.names.get(to)) {
            (Entry::File(_) | Entry::Link(_), Some(Entry::Dir)) => return Err(is_a_directory()),
            (Entry::Dir, Some(Entry::File(_) | Entry::Link(_))) => return Err(not_a_directory()),
            (Entry::Dir, Some(Entry::Dir)) if !self.list(to)?.is_empty() => {
                return Err(error(DiskErrorKind::Io, "Directory not empty"));
            }
            _ => {}
        }
        let mut sets = vec![(from.to_string(), None), (to.to_string(), Some(entry))];
        let moved =
            self.names.range_from(inside.as_str()).take_while(|(p, _)| p.starts_with(&inside));
        for (path, entry) in moved {
            sets.push((path.clone(), None));
            sets.push((format!("{to}/{}", &path[inside.len()..]), Some(*entry)));
        }
        self.change(sets);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let path = &*self.follow_parent(path)?;
        match self.names.get(path) {
            None => {
                self.expect_dir(parent(path))?;
                Err(not_found())
            }
            Some(Entry::Dir) if !self.list(path)?.is_empty() => {
                Err(error(DiskErrorKind::Io, "Directory not empty"))
            }
            Some(_) => {
                self.change(vec![(path.into(), None)]);
                Ok(())
            }
        }
    }

    /// Creates a directory and its parents.
    pub(super) fn make_dir(&mut self, path: &str) -> Result<(), DiskError> {
        let path = &*self.follow(path)?.into_owned();
        let ends = path.match_indices('/').map(|(i, _)| i).skip(1).chain([path.len()]);
        for end in ends {
            let dir = path.get(..end).unwrap_or(path);
            match self.names.get(dir) {
                _ if self.is_dir(dir) => {}
                Some(_) => return Err(not_a_directory()),
                None => self.change(vec![(dir.into(), Some(Entry::Dir))]),
            }
        }
        Ok(())
    }

    fn expect_dir(&self, path: &str) -> Result<(), DiskError> {
        if self.is_dir(path) {
            return Ok(());
        }
        let path = &*self.follow(path)?;
        let mut above = path;
        while above != "/" {
            if let Some(Entry::File(_)) = self.names.get(above) {
                return Err(not_a_directory());
            }
            above = parent(above);
        }
        Err(not_found())
    }
}

impl Node {
    fn new(now: Wall) -> Self {
        Node {
            content: Content::default(),
            mode: Disk::MODE,
            modified: now,
            synced: 0,
            shadow: None,
            open: 0,
        }
    }
}

/// Normalizes a path to an absolute one: no `.`, no `..`, no double or trailing slash.
pub fn resolve(cwd: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_string() } else { format!("{cwd}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The parent directory of a normalized path.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(i) => path.get(..i).unwrap_or("/"),
    }
}

pub(super) fn error(kind: DiskErrorKind, message: &str) -> DiskError {
    DiskError { kind, message: message.into() }
}

fn not_found() -> DiskError {
    error(DiskErrorKind::NotFound, "No such file or directory")
}

fn not_a_directory() -> DiskError {
    error(DiskErrorKind::NotADirectory, "Not a directory")
}

fn is_a_directory() -> DiskError {
    error(DiskErrorKind::NotADirectory, "Is a directory")
}

pub(super) fn no_space() -> DiskError {
    error(DiskErrorKind::NoSpace, "No space left on device")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn paths_are_made_normal() {
        for (cwd, path, normal) in [
            ("/data", "dump.rdb", "/data/dump.rdb"),
            ("/data", "/etc//redis.conf", "/etc/redis.conf"),
            ("/data/x", "../y/./z/", "/data/y/z"),
            ("/", "../..", "/"),
        ] {
            assert_eq!(resolve(cwd, path), normal);
        }
    }

    #[test]
    fn names_are_kept_in_directories() {
        let mut disk = Disk::new([("/etc/a.conf", &b"a"[..]), ("/etc/b.conf", b"bb")]);
        disk.make_dir("/data/sub").unwrap();
        disk.create("/data/sub/file").unwrap();
        let names = |disk: &Disk, dir: &str| -> Vec<String> {
            disk.list(dir).unwrap().into_iter().map(|file| file.name).collect()
        };
        assert_eq!(names(&disk, "/"), ["data", "etc"]);
        assert_eq!(names(&disk, "/etc"), ["a.conf", "b.conf"]);
        assert_eq!(disk.used(), 3);
        disk.rename("/data", "/moved").unwrap();
        assert_eq!(names(&disk, "/moved/sub"), ["file"]);
        assert_eq!(disk.remove("/moved/sub").unwrap_err().message, "Directory not empty");
        disk.rename("/etc/a.conf", "/etc/b.conf").unwrap();
        assert_eq!(disk.read_file("/etc/b.conf").unwrap(), b"a");
        assert_eq!(disk.used(), 1);
        assert_eq!(disk.list("/data").unwrap_err().kind, DiskErrorKind::NotFound);
        assert_eq!(disk.make_dir("/etc/b.conf/x").unwrap_err().message, "Not a directory");
        assert_eq!(disk.rename("/moved", "/moved/in").unwrap_err().message, "Invalid argument");
    }

    #[test]
    fn links_are_followed_except_for_operations_on_names() {
        let mut disk = Disk::new([("/opt/redis-7/redis.conf", &b"port 1"[..])]);
        disk.make_link("/opt/redis", "redis-7").unwrap();
        disk.make_link("/etc", "opt/redis").unwrap();
        assert_eq!(disk.read_file("/etc/redis.conf").unwrap(), b"port 1");
        assert!(disk.is_dir("/etc") && disk.stat("/etc").unwrap().dir);
        assert!(disk.stat_link("/etc").unwrap().link && !disk.stat_link("/etc").unwrap().dir);
        assert_eq!(disk.read_link("/etc").unwrap(), "opt/redis");
        assert_eq!(disk.read_link("/opt").unwrap_err().message, "Invalid argument");

        // Operations on a path behind a link affect the target directory.
        disk.create("/etc/new").unwrap();
        disk.make_dir("/etc/sub/deep").unwrap();
        assert!(disk.is_dir("/opt/redis-7/sub/deep"));
        disk.rename("/etc/new", "/opt/redis/old").unwrap();
        assert!(disk.stat("/opt/redis-7/old").is_ok());
        disk.remove("/opt/redis/old").unwrap();
        assert_eq!(disk.list("/etc").unwrap().len(), 2);

        // A dangling link is a name; writing through it creates its target.
        disk.make_link("/late", "/tmp.txt").unwrap();
        assert_eq!(disk.stat("/late").unwrap_err().kind, DiskErrorKind::NotFound);
        assert!(disk.stat_link("/late").unwrap().link);
        disk.create("/late").unwrap();
        assert_eq!(disk.stat("/tmp.txt").unwrap().len, 0);
        assert_eq!(disk.make_link("/late", "/x").unwrap_err().message, "File exists");

        // A circular link is an error.
        disk.make_link("/a", "b").unwrap();
        disk.make_link("/b", "a").unwrap();
        let loops = disk.stat("/a/x").unwrap_err().message;
        assert_eq!(loops, "Too many levels of symbolic links");

        // A link that was not synced may be gone after a power loss, unlike its target.
        disk.remove("/etc").unwrap();
        assert!(disk.stat("/opt/redis/redis.conf").is_ok());
        disk.sync_dir("/opt").unwrap();
        disk.lose_power(&mut Rng::new(1), false);
        assert_eq!(disk.read_file("/opt/redis/redis.conf").unwrap(), b"port 1");
    }

    #[test]
    fn an_open_file_outlives_its_name() {
        let mut disk = Disk::default();
        let node = disk.create("/f").unwrap();
        disk.open(node);
        disk.remove("/f").unwrap();
        disk.sync_dir("/").unwrap();
        disk.append(node, b"x", 10).unwrap();
        assert_eq!(disk.read(node, 0, 10), b"x");
        assert_eq!(disk.used(), 1);
        disk.close(node);
        assert_eq!(disk.used(), 0);
        assert!(disk.nodes.is_empty());
    }

    #[test]
    fn a_disk_takes_what_fits_whole_and_nothing_else() {
        let mut disk = Disk::default();
        let node = disk.create("/f").unwrap();
        assert_eq!(disk.append(node, b"12345", 3).unwrap_err().kind, DiskErrorKind::NoSpace);
        assert_eq!(disk.read(node, 0, 10), b"");
        disk.append(node, b"123", 3).unwrap();
        disk.remove("/f").unwrap();
        let node = disk.create("/g").unwrap();
        assert!(disk.append(node, b"12", 3).is_ok(), "what was removed leaves room");
    }

    /// A random operation on a file, or on the names of two files.
    #[derive(Clone, Debug)]
    enum Do {
        Append(usize, u8),
        Truncate(usize, u64),
        Sync(usize),
        Rename,
        SyncDir,
    }

    fn doing() -> impl Strategy<Value = Do> {
        prop_oneof![
            (1..9_000usize, any::<u8>()).prop_map(|(n, byte)| Do::Append(n, byte)),
            (0..2usize, 0..9_000u64).prop_map(|(file, len)| Do::Truncate(file, len)),
            (0..2usize).prop_map(Do::Sync),
            Just(Do::Rename),
            Just(Do::SyncDir),
        ]
    }

    proptest! {
        #[test]
        fn a_power_loss_takes_only_what_was_not_synced(
            doings in prop::collection::vec(doing(), 0..30),
            seed: u64,
            scattered: bool,
        ) {
            let mut disk = Disk::new([("/a", &b""[..]), ("/b", b"")]);
            let nodes = [disk.find("/a").unwrap(), disk.find("/b").unwrap()];
            let mut cache: [Vec<u8>; 2] = Default::default();
            // For each file the shortest length since its last sync, and its content.
            let mut durable: [(usize, Vec<u8>); 2] = Default::default();
            let mut renamed = false;
            for doing in doings {
                match doing {
                    Do::Append(n, byte) => {
                        let bytes = vec![byte; n];
                        disk.append(nodes[0], &bytes, u64::MAX).unwrap();
                        cache[0].extend_from_slice(&bytes);
                    }
                    Do::Truncate(file, len) => {
                        disk.truncate(nodes[file], len);
                        cache[file].resize(len as usize, 0);
                        durable[file].0 = durable[file].0.min(len as usize);
                    }
                    Do::Sync(file) => {
                        disk.sync(nodes[file]);
                        durable[file] = (cache[file].len(), cache[file].clone());
                    }
                    Do::Rename if !renamed => {
                        disk.rename("/a", "/c").unwrap();
                        renamed = true;
                    }
                    Do::Rename => {}
                    Do::SyncDir => disk.sync_dir("/").unwrap(),
                }
                prop_assert_eq!(&disk.read(nodes[0], 0, u64::MAX), &cache[0]);
            }
            disk.lose_power(&mut Rng::new(seed), scattered);
            let names: Vec<String> = disk.list("/").unwrap().into_iter().map(|f| f.name).collect();
            prop_assert!(names == ["a", "b"] || renamed && names == ["b", "c"]);
            for file in 0..2 {
                let left = disk.read(nodes[file], 0, u64::MAX);
                let (safe, old) = &durable[file];
                prop_assert_eq!(left.get(..*safe), old.get(..*safe));
                let of_cache = left.len() <= cache[file].len()
                    && (scattered || cache[file].starts_with(&left));
                prop_assert!(of_cache || left == *old);
            }
        }
    }
}
