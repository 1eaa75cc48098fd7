//! Connections that are not clients': which part of the server each of them belongs to.
//!
//! Each part keeps its own connections and their outboxes. A new kind of connection needs a variant
//! of [`PeerKind`], a way to recognize its connections, and an arm in each of the two `match`es.

use super::Server;
use crate::front::PeerInput;
use crate::machine::{ConnId, NetError, Outbox};
use crate::time::Now;

/// What a connection that is not a client's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerKind {
    /// To or from another node of the cluster.
    Bus,
    /// To the target of an atomic slot migration.
    Export,
    /// To the target of MIGRATE.
    Migrate,
    /// To the primary, before the replication stream starts.
    Primary,
}

impl Server {
    /// What a connection is for. `None` if it was abandoned, and the driver does not know yet.
    fn peer_kind(&self, conn: ConnId) -> Option<PeerKind> {
        Some(if self.is_bus_conn(conn) {
            PeerKind::Bus
        } else if self.is_handover_conn(conn) {
            PeerKind::Export
        } else if self.is_migrate_conn(conn) {
            PeerKind::Migrate
        } else if self.is_primary_conn(conn) {
            PeerKind::Primary
        } else {
            return None;
        })
    }

    /// Handles an input about a connection that is not a client's.
    pub(super) fn peer_input(&mut self, now: Now<'_>, conn: ConnId, input: PeerInput<'_>) {
        if let PeerInput::Accepted { peer, local, .. } = &input {
            return self.bus_accepted(now, conn, peer, local);
        }
        match self.peer_kind(conn) {
            Some(PeerKind::Bus) => self.bus_input(now, conn, input),
            Some(PeerKind::Export) => self.export_input(now, input),
            Some(PeerKind::Migrate) => self.migrate_input(now, conn, input),
            Some(PeerKind::Primary) => match input {
                PeerInput::Connected { local, peer } => self.link_connected(now, conn, local, peer),
                PeerInput::ConnectFailed(error) => self.connect_failed(conn, error),
                PeerInput::Received(bytes) => self.link_received(now, conn, bytes),
                PeerInput::Ended => self.link_closed(now, conn, NetError::Eof),
                PeerInput::Closed(error) => self.link_closed(now, conn, error),
                PeerInput::Accepted { .. } | PeerInput::Drained => {}
            },
            None => {}
        }
    }

    /// The outbox of a connection that is not a client's.
    pub(super) fn peer_outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        match self.peer_kind(conn)? {
            PeerKind::Bus => self.bus_outbox(conn),
            PeerKind::Export => self.export_outbox(),
            PeerKind::Migrate => self.migrate_outbox(conn),
            PeerKind::Primary => self.link_outbox(conn),
        }
    }
}
