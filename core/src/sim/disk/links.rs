//! Symbolic links of a disk: how paths lead through them, and how they are made and read.

use std::borrow::Cow;

use super::{Disk, Entry, NodeId, error, not_found, parent, resolve};
use crate::machine::{DiskError, DiskErrorKind, FileStat};

/// How many symbolic links a path may lead through.
const MOST_LINKS: usize = 40;

impl Disk {
    /// The path without symbolic links: what a link leads to stands in its place, also for a last
    /// name that nothing has.
    pub(super) fn follow<'p>(&self, path: &'p str) -> Result<Cow<'p, str>, DiskError> {
        // What has a name stands in directories, and so behind no link.
        if matches!(self.names.get(path), Some(Entry::Dir | Entry::File(_))) || path == "/" {
            return Ok(Cow::Borrowed(path));
        }
        let mut path = Cow::Borrowed(path);
        for _ in 0..MOST_LINKS {
            let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
            let link = ends.map(|end| &path[..end]).find_map(|name| match self.names.get(name) {
                Some(Entry::Link(id)) => Some((name, *id)),
                _ => None,
            });
            let Some((link, id)) = link else { return Ok(path) };
            let target = self.target(id);
            path = Cow::Owned(resolve(parent(link), &format!("{target}{}", &path[link.len()..])));
        }
        Err(error(DiskErrorKind::Io, "Too many levels of symbolic links"))
    }

    /// The path without symbolic links but for its last name, which may be one.
    pub(super) fn follow_parent(&self, path: &str) -> Result<String, DiskError> {
        let up = parent(path);
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok(resolve(&self.follow(up)?, name))
    }

    /// Where a symbolic link leads.
    fn target(&self, link: NodeId) -> String {
        String::from_utf8_lossy(&self.read(link, 0, u64::MAX)).into_owned()
    }

    /// What is known of a name, which may be a symbolic link.
    pub(in crate::sim) fn stat_link(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_name(&self.follow_parent(path)?)
    }

    /// Where a symbolic link leads.
    pub(in crate::sim) fn read_link(&self, path: &str) -> Result<String, DiskError> {
        let path = self.follow_parent(path)?;
        match self.names.get(&path) {
            Some(Entry::Link(id)) => Ok(self.target(*id)),
            Some(_) => Err(error(DiskErrorKind::Io, "Invalid argument")),
            None => {
                self.expect_dir(parent(&path))?;
                Err(not_found())
            }
        }
    }

    /// Makes a symbolic link.
    pub(in crate::sim) fn make_link(&mut self, path: &str, target: &str) -> Result<(), DiskError> {
        let path = self.follow_parent(path)?;
        self.expect_dir(parent(&path))?;
        if self.names.get(&path).is_some() || path == "/" {
            return Err(error(DiskErrorKind::Io, "File exists"));
        }
        let id = self.new_node();
        // A link takes as little room as its name.
        self.append(id, target.as_bytes(), u64::MAX)?;
        self.sync(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.mode = 0o777;
        }
        self.change(vec![(path, Some(Entry::Link(id)))]);
        Ok(())
    }
}
