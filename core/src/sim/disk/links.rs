//! Symbolic links of a disk: resolving, reading and creating them.

use std::borrow::Cow;

use super::{Disk, Entry, NodeId, error, not_found, parent, resolve};
use crate::machine::{DiskError, DiskErrorKind, FileStat};

/// How many symbolic links the resolution of a path may follow.
const MAX_LINKS: usize = 40;

impl Disk {
    /// Resolves all symbolic links in a path; the last component need not exist.
    pub(super) fn follow<'p>(&self, path: &'p str) -> Result<Cow<'p, str>, DiskError> {
        // Every existing name is stored under its resolved path.
        if matches!(self.names.get(path), Some(Entry::Dir | Entry::File(_))) || path == "/" {
            return Ok(Cow::Borrowed(path));
        }
        let mut path = Cow::Borrowed(path);
        for _ in 0..MAX_LINKS {
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

    /// Resolves the symbolic links in a path, except its last component.
    pub(super) fn follow_parent(&self, path: &str) -> Result<String, DiskError> {
        let up = parent(path);
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok(resolve(&self.follow(up)?, name))
    }

    /// The target of a symbolic link.
    fn target(&self, link: NodeId) -> String {
        String::from_utf8_lossy(&self.read(link, 0, u64::MAX)).into_owned()
    }

    /// The metadata of a path without following a symbolic link at its end.
    pub(in crate::sim) fn stat_link(&self, path: &str) -> Result<FileStat, DiskError> {
        self.stat_name(&self.follow_parent(path)?)
    }

    /// Reads the target of a symbolic link.
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

    /// Creates a symbolic link.
    pub(in crate::sim) fn make_link(&mut self, path: &str, target: &str) -> Result<(), DiskError> {
        let path = self.follow_parent(path)?;
        self.expect_dir(parent(&path))?;
        if self.names.get(&path).is_some() || path == "/" {
            return Err(error(DiskErrorKind::Io, "File exists"));
        }
        let id = self.new_node();
        // A link takes no more room than its name, so the capacity is ignored.
        self.append(id, target.as_bytes(), u64::MAX)?;
        self.sync(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.mode = 0o777;
        }
        self.change(vec![(path, Some(Entry::Link(id)))]);
        Ok(())
    }
}
