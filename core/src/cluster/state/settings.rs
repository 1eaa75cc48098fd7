//! The directives `cluster-*`.

use crate::cluster::BUS_PORT_OFFSET;

/// The directives that concern the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `port`: the port for clients.
    pub port: u16,
    /// `tls-port`, or 0.
    pub tls_port: u16,
    /// `cluster-port`; 0 means the port for clients plus 10000.
    pub bus_port: u16,
    /// `cluster-node-timeout` in milliseconds.
    pub node_timeout: u64,
    /// `cluster-announce-ip`
    pub announce_ip: Option<String>,
    /// `cluster-announce-port`, or 0.
    pub announce_port: u16,
    /// `cluster-announce-tls-port`, or 0.
    pub announce_tls_port: u16,
    /// `cluster-announce-bus-port`, or 0.
    pub announce_bus_port: u16,
    /// `cluster-announce-hostname`; may be empty.
    pub announce_hostname: String,
    /// `cluster-announce-human-nodename`; may be empty.
    pub announce_human_nodename: String,
    /// `cluster-preferred-endpoint-type`
    pub preferred_endpoint: PreferredEndpoint,
    /// `cluster-require-full-coverage`
    pub require_full_coverage: bool,
    /// `cluster-replica-validity-factor`
    pub replica_validity_factor: u64,
    /// `repl-ping-replica-period` in milliseconds.
    pub replica_ping_period: u64,
    /// `cluster-replica-no-failover`
    pub replica_no_failover: bool,
    /// `cluster-migration-barrier`
    pub migration_barrier: u64,
    /// `cluster-allow-replica-migration`
    pub allow_replica_migration: bool,
    /// `cluster-allow-reads-when-down`
    pub allow_reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`
    pub allow_pubsubshard_when_down: bool,
    /// `cluster-link-sendbuf-limit` in bytes; 0 for none.
    pub link_sendbuf_limit: u64,
    /// `cluster-ping-interval` in milliseconds; 0 means half the node timeout.
    pub ping_interval: u64,
}

/// `cluster-preferred-endpoint-type`: the host in redirections and node lists for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PreferredEndpoint {
    /// The IP address.
    #[default]
    Ip,
    /// The host name.
    Hostname,
    /// No host: the client keeps using the one by which it reached this node.
    Unknown,
}

impl PreferredEndpoint {
    /// The values of `cluster-preferred-endpoint-type`.
    pub const WORDS: [(&'static str, Self); 3] =
        [("ip", Self::Ip), ("hostname", Self::Hostname), ("unknown-endpoint", Self::Unknown)];
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 6379,
            tls_port: 0,
            bus_port: 0,
            node_timeout: 15_000,
            announce_ip: None,
            announce_port: 0,
            announce_tls_port: 0,
            announce_bus_port: 0,
            announce_hostname: String::new(),
            announce_human_nodename: String::new(),
            preferred_endpoint: PreferredEndpoint::Ip,
            require_full_coverage: true,
            replica_validity_factor: 10,
            replica_ping_period: 10_000,
            replica_no_failover: false,
            migration_barrier: 1,
            allow_replica_migration: true,
            allow_reads_when_down: false,
            allow_pubsubshard_when_down: true,
            link_sendbuf_limit: 0,
            ping_interval: 0,
        }
    }
}

impl Settings {
    /// The bus port on which this node listens.
    pub fn listen_port(&self) -> u16 {
        match self.bus_port {
            0 => self.port.saturating_add(BUS_PORT_OFFSET),
            port => port,
        }
    }

    /// The announced ports: for clients, for clients with TLS, of the bus.
    pub(super) fn announced_ports(&self) -> (u16, u16, u16) {
        let or = |announced: u16, port: u16| if announced == 0 { port } else { announced };
        let port = or(self.announce_port, self.port);
        let bus_port = match (self.announce_bus_port, self.bus_port) {
            (0, _) => self.listen_port(),
            (announced, _) => announced,
        };
        (port, or(self.announce_tls_port, self.tls_port), bus_port)
    }

    pub(super) fn ping_interval(&self) -> u64 {
        if self.ping_interval > 0 { self.ping_interval } else { self.node_timeout / 2 }
    }

    /// How long a handshake may take, in milliseconds.
    pub(super) fn handshake_timeout(&self) -> u64 {
        self.node_timeout.max(1_000)
    }
}
