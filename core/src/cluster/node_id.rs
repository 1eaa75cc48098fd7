//! Node IDs.

use core::fmt;

use serde::{Serialize, Serializer};

use crate::rng::Rng;

/// The ID of a node or of a shard: forty characters; lower-case hexadecimal digits if Redis or
/// Limpid generated it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; NodeId::LEN]);

impl NodeId {
    /// Length of an ID in characters.
    pub const LEN: usize = 40;

    /// Generates a new ID.
    pub fn random(rng: &mut Rng) -> NodeId {
        NodeId(rng.hex40())
    }

    /// Parses an ID. As in Redis, any lower-case letters and digits are accepted.
    pub fn parse(bytes: &[u8]) -> Option<NodeId> {
        let bytes: [u8; NodeId::LEN] = bytes.try_into().ok()?;
        let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.iter().all(fits).then_some(NodeId(bytes))
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The ID as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forty_lower_case_letters_and_digits() {
        let id = NodeId::random(&mut Rng::new(1));
        assert_eq!(NodeId::parse(id.as_bytes()), Some(id));
        assert_eq!(NodeId::parse(&[b'a'; 39]), None);
        assert_eq!(NodeId::parse(&[b'A'; 40]), None);
        assert_eq!(NodeId::parse(&[0; 40]), None);
        assert!(NodeId::parse(&[b'z'; 40]).is_some());
    }
}
