//! What a World is made from: plain data that can be written down and shared.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A world before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What to call it.
    pub name: String,
    /// The wall clock at virtual time zero, in milliseconds since 1970.
    pub epoch_ms: u64,
    /// The hosts, in the order in which they are shown and started.
    pub hosts: Vec<HostSpec>,
    /// What a link between two hosts is like.
    #[serde(default)]
    pub link: LinkSpec,
    /// Links that differ from that.
    #[serde(default)]
    pub links: Vec<LinkRule>,
    /// How patient the transport is.
    #[serde(default)]
    pub tcp: TcpSpec,
}

/// A host, as a scenario describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name, unique in the scenario; a name of the map and of actions.
    pub name: String,
    /// Its address, unique in the scenario.
    pub ip: Ipv4Addr,
    /// What is started on it, in order.
    #[serde(default)]
    pub processes: Vec<ProcessSpec>,
    /// Files that its disk holds from the start, by absolute path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// How its disk behaves.
    #[serde(default)]
    pub disk: DiskSpec,
    /// How far its wall clock is ahead of true time, in microseconds.
    #[serde(default)]
    pub skew_us: i64,
    /// How much faster than true time its wall clock runs, in parts per million.
    #[serde(default)]
    pub drift_ppm: i64,
}

/// A process, as a scenario describes it: the recipe from which every restart creates it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The program, for example `redis-server`.
    pub program: String,
    /// Its arguments, without the program's name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The directory in which it starts.
    #[serde(default = "ProcessSpec::default_dir")]
    pub dir: String,
    /// Whether it starts with its host.
    #[serde(default = "ProcessSpec::default_boot")]
    pub boot: bool,
    /// How long after its host it starts.
    #[serde(default)]
    pub delay: Duration,
}

impl ProcessSpec {
    /// A process that starts with its host, in the root directory.
    pub fn new(name: &str, program: &str, args: &[&str]) -> Self {
        ProcessSpec {
            name: name.into(),
            program: program.into(),
            args: args.iter().map(|&a| a.into()).collect(),
            dir: Self::default_dir(),
            boot: true,
            delay: Duration::ZERO,
        }
    }

    fn default_dir() -> String {
        "/".into()
    }

    fn default_boot() -> bool {
        true
    }
}

impl HostSpec {
    /// A host with nothing on it.
    pub fn new(name: &str, ip: Ipv4Addr) -> Self {
        HostSpec {
            name: name.into(),
            ip,
            processes: Vec::new(),
            files: BTreeMap::new(),
            disk: DiskSpec::default(),
            skew_us: 0,
            drift_ppm: 0,
        }
    }

    /// The host with one more process.
    #[must_use]
    pub fn with(mut self, process: ProcessSpec) -> Self {
        self.processes.push(process);
        self
    }
}

/// One direction of a link between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Time from one end to the other.
    pub latency: Duration,
    /// What a message may take longer at worst; mostly it is far less.
    pub jitter: Duration,
    /// Messages lost on the way and sent again, in parts per million.
    pub loss_ppm: u32,
    /// Bits a second; `None` for more than anybody could fill.
    pub bandwidth: Option<u64>,
}

impl Default for LinkSpec {
    /// A link within one data centre.
    fn default() -> Self {
        LinkSpec {
            latency: Duration::from_micros(500),
            jitter: Duration::from_micros(100),
            loss_ppm: 0,
            bandwidth: Some(1_000_000_000),
        }
    }
}

/// A link, both ways, that differs from the scenario's usual ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRule {
    /// One host.
    pub a: String,
    /// The other.
    pub b: String,
    /// What it is like.
    pub link: LinkSpec,
}

/// How patient the transport is. The defaults are Linux's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSpec {
    /// First wait before a lost segment is sent again; it doubles with each try (RFC 6298).
    pub rto: Duration,
    /// The longest such wait.
    pub rto_max: Duration,
    /// After how long without an acknowledgement a connection is given up (`tcp_retries2`).
    pub patience: Duration,
    /// First wait before a request to connect is sent again.
    pub connect_rto: Duration,
    /// After how long a request to connect is given up (`tcp_syn_retries`).
    pub connect_patience: Duration,
    /// Bytes that may be on their way or unread at the receiver.
    pub window: u32,
    /// Bytes that one message carries at most.
    pub segment: u32,
    /// Time through the loopback interface.
    pub loopback: Duration,
}

impl Default for TcpSpec {
    fn default() -> Self {
        TcpSpec {
            rto: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            patience: Duration::from_millis(924_600),
            connect_rto: Duration::from_secs(1),
            connect_patience: Duration::from_secs(127),
            window: 1 << 20,
            segment: 64 << 10,
            loopback: Duration::from_micros(10),
        }
    }
}

/// How a disk behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Time for an operation that touches only the page cache.
    pub access: Duration,
    /// Time for an fsync.
    pub sync: Duration,
    /// Bytes a second through the device.
    pub bandwidth: u64,
    /// Bytes that fit on it.
    pub capacity: u64,
    /// Whether a power loss may leave single pages of an unsynced append, with zeros where the
    /// others should be, and not only a part from its beginning.
    pub scattered: bool,
}

impl Default for DiskSpec {
    /// A solid-state disk.
    fn default() -> Self {
        DiskSpec {
            access: Duration::from_micros(20),
            sync: Duration::from_millis(1),
            bandwidth: 500_000_000,
            capacity: 10_000_000_000,
            scattered: false,
        }
    }
}
