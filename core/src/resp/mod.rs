//! The Redis serialization protocol, versions 2 and 3: requests in, replies out.
//!
//! * [`request`] parses requests from a stream of bytes, as a server reads them.
//! * [`reply`] encodes replies, as a server writes them.
//! * [`number`] parses and formats numbers exactly as Redis does.
//! * [`value`] decodes replies, as a client reads them.

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
