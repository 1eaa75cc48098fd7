//! Hash tags.

use memchr::memchr;

/// The two characters that enclose the part of a key that is hashed, so that related keys are on
/// one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashTag {
    /// The character before the part.
    pub open: u8,
    /// The character behind it.
    pub close: u8,
}

impl HashTag {
    /// The braces of Redis Cluster.
    pub const CLUSTER: HashTag = HashTag { open: b'{', close: b'}' };

    /// A tag from its text, which is exactly two characters (bytes) long.
    pub fn parse(text: &[u8]) -> Option<HashTag> {
        match *text {
            [open, close] => Some(HashTag { open, close }),
            _ => None,
        }
    }

    /// The hashed part of `key`: the bytes between the first opening character and the first
    /// closing one after it, or the whole key if there are none. The rule is the same in twemproxy,
    /// predixy and Redis Cluster.
    #[inline]
    pub fn part<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        self.find(key).unwrap_or(key)
    }

    fn find<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let start = memchr(self.open, key)? + 1;
        let len = memchr(self.close, &key[start..])?;
        (len > 0).then(|| &key[start..start + len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pair_counts_unless_it_is_empty() {
        let part = |key: &'static str| {
            core::str::from_utf8(HashTag::CLUSTER.part(key.as_bytes())).expect("text")
        };
        assert_eq!(part("{a}b"), "a");
        assert_eq!(part("x{a}{b}"), "a");
        assert_eq!(part("{}abc"), "{}abc");
        assert_eq!(part("{}{abc}"), "{}{abc}");
        assert_eq!(part("{{a}}"), "{a");
        assert_eq!(part("}a{b"), "}a{b");
        let dollars = HashTag::parse(b"$$").expect("two characters");
        assert_eq!(dollars.part(b"a$b$c"), b"b");
        assert_eq!(HashTag::parse(b"{"), None);
    }
}
