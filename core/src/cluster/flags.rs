//! Node flags, such as `master` and `fail?`.

use core::fmt;

/// The flags of a node, with the bits of the bus protocol.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NodeFlags(pub u16);

impl NodeFlags {
    /// The node itself.
    pub const MYSELF: NodeFlags = NodeFlags(1 << 4);
    /// A primary.
    pub const MASTER: NodeFlags = NodeFlags(1);
    /// A replica.
    pub const SLAVE: NodeFlags = NodeFlags(1 << 1);
    /// This node cannot reach it; others may.
    pub const PFAIL: NodeFlags = NodeFlags(1 << 2);
    /// The majority of the primaries could not reach it.
    pub const FAIL: NodeFlags = NodeFlags(1 << 3);
    /// The handshake with it has not ended: its ID is not known yet.
    pub const HANDSHAKE: NodeFlags = NodeFlags(1 << 5);
    /// Its address is not known.
    pub const NOADDR: NodeFlags = NodeFlags(1 << 6);
    /// A MEET is to be sent to it.
    pub const MEET: NodeFlags = NodeFlags(1 << 7);
    /// A primary that replicas may migrate to.
    pub const MIGRATE_TO: NodeFlags = NodeFlags(1 << 8);
    /// A replica that does not start elections.
    pub const NOFAILOVER: NodeFlags = NodeFlags(1 << 9);
    /// It understands the extensions of PING.
    pub const EXTENSIONS: NodeFlags = NodeFlags(1 << 10);

    const NAMES: [(NodeFlags, &str); 8] = [
        (NodeFlags::MYSELF, "myself"),
        (NodeFlags::MASTER, "master"),
        (NodeFlags::SLAVE, "slave"),
        (NodeFlags::PFAIL, "fail?"),
        (NodeFlags::FAIL, "fail"),
        (NodeFlags::HANDSHAKE, "handshake"),
        (NodeFlags::NOADDR, "noaddr"),
        (NodeFlags::NOFAILOVER, "nofailover"),
    ];

    /// Whether any of these flags is set.
    #[inline]
    pub const fn any(self, flags: NodeFlags) -> bool {
        self.0 & flags.0 != 0
    }

    /// The union of both sets of flags.
    pub const fn and(self, flags: NodeFlags) -> NodeFlags {
        NodeFlags(self.0 | flags.0)
    }

    /// Sets flags.
    pub fn set(&mut self, flags: NodeFlags) {
        self.0 |= flags.0;
    }

    /// Clears flags.
    pub fn clear(&mut self, flags: NodeFlags) {
        self.0 &= !flags.0;
    }

    /// The flag with this name in `nodes.conf`, in any case; `noflags` is none.
    pub fn from_name(name: &str) -> Option<NodeFlags> {
        if name.eq_ignore_ascii_case("noflags") {
            return Some(NodeFlags::default());
        }
        let mut names = Self::NAMES.iter();
        names.find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
    }
}

impl fmt::Display for NodeFlags {
    /// The flags as `CLUSTER NODES` prints them: `myself,master`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(flag, _)| self.any(*flag)).peekable();
        if names.peek().is_none() {
            return f.write_str("noflags");
        }
        while let Some((_, name)) = names.next() {
            f.write_str(name)?;
            if names.peek().is_some() {
                f.write_str(",")?;
            }
        }
        Ok(())
    }
}
