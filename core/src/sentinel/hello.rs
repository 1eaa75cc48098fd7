//! Hello messages, by which Sentinels discover each other and propagate configurations.

use core::fmt;

/// The channel of hello messages.
pub const CHANNEL: &str = "__sentinel__:hello";

/// A hello message: a Sentinel's address and ID, and the configuration of a master that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The host of the Sentinel.
    pub host: String,
    /// The port of the Sentinel.
    pub port: u16,
    /// The ID of the Sentinel.
    pub id: String,
    /// The current epoch of the Sentinel.
    pub epoch: u64,
    /// The name of the master.
    pub master: String,
    /// The host of the master.
    pub master_host: String,
    /// The port of the master.
    pub master_port: u16,
    /// The epoch of this configuration.
    pub config_epoch: u64,
}

impl Hello {
    /// Parses a message. `None` if it is invalid.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(message).ok()?;
        let fields: Vec<&str> = text.split(',').collect();
        let [host, port, id, epoch, master, master_host, master_port, config_epoch] = fields[..]
        else {
            return None;
        };
        Some(Hello {
            host: host.into(),
            port: port.parse().ok()?,
            id: id.into(),
            epoch: epoch.parse().ok()?,
            master: master.into(),
            master_host: master_host.into(),
            master_port: master_port.parse().ok()?,
            config_epoch: config_epoch.parse().ok()?,
        })
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hello { host, port, id, epoch, master, master_host, master_port, config_epoch } = self;
        write!(f, "{host},{port},{id},{epoch},{master},{master_host},{master_port},{config_epoch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let text =
            "127.0.0.1,26379,37e696196543b86ede7c6d3d6c0573f854e3b4d5,1,mymaster,127.0.0.1,6381,1";
        let hello = Hello::parse(text.as_bytes()).expect("a message");
        assert_eq!((hello.port, hello.master_port, hello.config_epoch), (26379, 6381, 1));
        assert_eq!(hello.to_string(), text);
    }

    #[test]
    fn invalid_messages_are_not_parsed() {
        for text in ["", "a,b", "1.1.1.1,x,id,1,m,1.1.1.2,1,1", "1.1.1.1,1,id,1,m,1.1.1.2,1,1,1"] {
            assert_eq!(Hello::parse(text.as_bytes()), None, "{text}");
        }
    }
}
