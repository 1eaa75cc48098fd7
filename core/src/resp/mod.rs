//! The Redis serialization protocol, versions 2 and 3: requests in, replies out.
//!
//! * [`request`] takes requests out of a stream of bytes, as a server reads them.
//! * [`reply`] writes replies, as a server answers.
//! * [`number`] reads and prints numbers as Redis does, to the last digit.
//! * [`value`] takes replies apart, as a client reads them.

pub mod number;
pub mod quote;
pub mod reply;
pub mod request;
pub mod value;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub enum Proto {
    /// Version 2, which every connection starts with.
    #[default]
    Resp2,
    /// Version 3, asked for with `HELLO 3`.
    Resp3,
}

impl Proto {
    /// The number that `HELLO` takes and gives.
    pub fn number(self) -> u8 {
        match self {
            Proto::Resp2 => 2,
            Proto::Resp3 => 3,
        }
    }
}
