//! Scenarios: the initial state of a World, as plain data that can be serialized and shared.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The initial state of a World.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The wall clock at virtual time zero, in milliseconds since 1970.
    pub epoch_ms: u64,
    /// The hosts, in the order in which they are displayed and started.
    pub hosts: Vec<HostSpec>,
    /// The default properties of a link between two hosts.
    #[serde(default)]
    pub link: LinkSpec,
    /// Links with other properties.
    #[serde(default)]
    pub links: Vec<LinkRule>,
    /// The properties of TCP.
    #[serde(default)]
    pub tcp: TcpSpec,
}

/// A host, as a scenario describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name, unique in the scenario, which maps and actions use.
    pub name: String,
    /// Its address, unique in the scenario.
    pub ip: Ipv4Addr,
    /// The processes on it, in the order in which they start.
    #[serde(default)]
    pub processes: Vec<ProcessSpec>,
    /// The initial files of its disk, by absolute path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The properties of its disk.
    #[serde(default)]
    pub disk: DiskSpec,
    /// How far its wall clock is ahead of true time, in microseconds.
    #[serde(default)]
    pub skew_us: i64,
    /// How much faster than true time its wall clock runs, in parts per million.
    #[serde(default)]
    pub drift_ppm: i64,
}

/// A process, as a scenario describes it: the specification from which every start creates it anew.
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
    /// The delay of its start after its host.
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
    /// A host without processes.
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
    /// The maximum additional delay of a message; mostly it is far less.
    pub jitter: Duration,
    /// The loss rate of messages, which are retransmitted, in parts per million.
    pub loss_ppm: u32,
    /// Bits per second; `None` for unlimited.
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

/// The properties of the links between two hosts, in both directions, that differ from the
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRule {
    /// One host.
    pub a: String,
    /// The other.
    pub b: String,
    /// The properties.
    pub link: LinkSpec,
}

/// The parameters of TCP. The defaults are Linux's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSpec {
    /// The initial retransmission timeout (RTO), which doubles with each retry (RFC 6298).
    pub rto: Duration,
    /// The maximum retransmission timeout.
    pub rto_max: Duration,
    /// The time without an acknowledgement after which a connection is given up (`tcp_retries2`).
    pub patience: Duration,
    /// The initial retransmission timeout of a connection request.
    pub connect_rto: Duration,
    /// The time after which a connection request is given up (`tcp_syn_retries`).
    pub connect_patience: Duration,
    /// The window size: bytes that may be in flight or unread at the receiver.
    pub window: u32,
    /// The maximum segment size: bytes that one message carries.
    pub segment: u32,
    /// The latency of the loopback interface.
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

/// The properties of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// The time of an operation that touches only the page cache.
    pub access: Duration,
    /// The time of an fsync.
    pub sync: Duration,
    /// The bandwidth of the device in bytes per second.
    pub bandwidth: u64,
    /// The capacity in bytes.
    pub capacity: u64,
    /// Whether a power loss may leave scattered pages of an unsynced append, with zeros in the
    /// gaps, instead of a prefix only.
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
