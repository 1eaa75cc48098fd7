//! The server's checks before a command is called, and the obstacles that trigger them.

use core::ops::ControlFlow;

use super::{Client, Command, Server, transactions};
use crate::command::CommandError;
use crate::command::meta::{flag, special};
use crate::front::{Admission, Check, Obstacles};
use crate::resp::reply::Reply;
use crate::resp::request::Args;
use crate::time::Now;

/// The server is a cluster node: the keys of a command may be served elsewhere. The fast path
/// checks the slot of each key itself, so this obstacle alone does not rule it out.
pub(super) const CLUSTER: Obstacles = Obstacles::of_service(0);
/// The client sent ASKING, or it is a node that this one imports slots from.
const CLUSTER_CLIENT: Obstacles = Obstacles::of_service(1);
/// A script has used up its slice and continues later, or clients debug scripts on copies.
const SCRIPT: Obstacles = Obstacles::of_service(2);
/// Commands of a transaction or a script are being called.
const EXECUTING: Obstacles = Obstacles::of_service(3);
/// All requests are held back (SAVE, DEBUG RELOAD, the start of the server).
const ALL_HELD: Obstacles = Obstacles::of_service(4);
/// `maxmemory` is set: keys may have to be evicted first.
const MAXMEMORY: Obstacles = Obstacles::of_service(5);
/// The tracking table exceeds `tracking-table-max-keys`.
const TRACKED_KEYS: Obstacles = Obstacles::of_service(6);
/// The last save, or writing the append-only file, has failed.
const DISK_ERROR: Obstacles = Obstacles::of_service(7);
/// The data is being loaded.
const LOADING: Obstacles = Obstacles::of_service(8);
/// This server is a replica.
const REPLICA: Obstacles = Obstacles::of_service(9);
/// `min-replicas-to-write` is set: writes need enough replicas with little lag.
const MIN_REPLICAS: Obstacles = Obstacles::of_service(10);
/// The client is a replica, or the primary.
const BETWEEN_SERVERS: Obstacles = Obstacles::of_service(11);

/// The checks in Redis's order, which decides which error a client gets.
pub(super) const CHECKS: &[Check<super::Redis>] = &[
    Check { about: SCRIPT, check: Server::check_script },
    Check { about: CLUSTER, check: Server::check_cluster },
    Check { about: MAXMEMORY, check: Server::check_maxmemory },
    Check { about: TRACKED_KEYS.and(Obstacles::TRACKS), check: Server::check_tracking },
    Check { about: DISK_ERROR, check: Server::check_disk },
    Check { about: REPLICA.and(MIN_REPLICAS).and(BETWEEN_SERVERS), check: Server::check_roles },
    Check { about: LOADING, check: Server::check_loading },
    Check { about: Obstacles::PAUSE, check: Server::check_pause_of_call },
    Check { about: Obstacles::TRANSACTION, check: Server::queue_in_transaction },
];

impl Server {
    /// Examines the obstacles that are states of the server.
    #[inline(always)]
    pub(super) fn look_for_server_obstacles(
        &self,
        client: &Client,
        mut found: impl FnMut(Obstacles, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let settings = self.config.settings();
        let state = &client.state;
        let disk_error = self.service.persistence.saves.failed || self.aof_has_failed();
        found(CLUSTER, self.is_clustered())?;
        found(CLUSTER_CLIENT, state.asking || state.imports)?;
        found(SCRIPT, self.script_is_paused() || self.has_copies())?;
        found(EXECUTING, self.service.executing)?;
        found(ALL_HELD, self.holds_all())?;
        found(MAXMEMORY, settings.maxmemory > 0)?;
        found(TRACKED_KEYS, self.tracking.exceeds(settings.tracking_table_max_keys))?;
        found(DISK_ERROR, disk_error)?;
        found(LOADING, self.is_loading())?;
        found(REPLICA, self.service.replication.is_replica())?;
        found(MIN_REPLICAS, settings.min_replicas_to_write > 0)?;
        found(BETWEEN_SERVERS, state.replica.is_some() || state.from_primary)
    }

    fn check_script(
        &mut self,
        _now: Now<'_>,
        _client: &mut Client,
        command: &'static Command,
        _args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        self.busy_refusal(command).map_or(Ok(Admission::Call), Err)
    }

    /// Redirects a client whose keys are served elsewhere; holds a command back if its slot is
    /// about to change hands.
    fn check_cluster(
        &mut self,
        _now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        if let Some(error) = self.cluster_refusal(client, command, args) {
            return Err(error);
        }
        if self.waits_for_slot(client, command, args) {
            client.held = Some(args.into());
            client.paused = true;
            return Ok(Admission::Held);
        }
        Ok(Admission::Call)
    }

    fn check_maxmemory(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let flags = self.flags_of_call(command, args);
        self.check_memory(now, client, command, flags)?;
        Ok(Admission::Call)
    }

    /// Evicts keys from the tracking table if it exceeds its limit, and sends a tracking client its
    /// invalidations before its command, since they are not part of the command's reply.
    fn check_tracking(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        _command: &'static Command,
        _args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let limit = self.config.settings().tracking_table_max_keys;
        if self.tracking.exceeds(limit) {
            self.limit_tracking(now, Some(&mut *client), limit);
        }
        self.deliver_queued_for_current(client);
        Ok(Admission::Call)
    }

    /// Refuses writes, and PING, while data cannot be written to disk.
    fn check_disk(
        &mut self,
        _now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let Some(error) = self.write_refusal() else { return Ok(Admission::Call) };
        let (queued, _) = queued_flags(client, command);
        let writes = (self.flags_of_call(command, args) | queued) & flag::WRITE != 0;
        if (writes || command.meta.is(special::TELLS_DISK_ERROR)) && !client.state.from_primary {
            return Err(error);
        }
        Ok(Admission::Call)
    }

    fn check_roles(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let flags = self.flags_of_call(command, args);
        let refusal = self.check_role(now.mono, client, flags, queued_flags(client, command));
        refusal.map_or(Ok(Admission::Call), Err)
    }

    fn check_loading(
        &mut self,
        _now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let (queued, lacked) = queued_flags(client, command);
        let flags = self.flags_of_call(command, args);
        self.loading_refusal(flags, queued, lacked).map_or(Ok(Admission::Call), Err)
    }

    /// As the front's check of CLIENT PAUSE, but EXEC has the flags of its queued commands, and a
    /// script those that it declares.
    fn check_pause_of_call(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        let (queued, _) = queued_flags(client, command);
        let flags = self.flags_of_call(command, args);
        Ok(self.hold_if_paused(now, client, flags | queued, args))
    }

    /// Queues a command for EXEC.
    fn queue_in_transaction(
        &mut self,
        _now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<Admission, CommandError> {
        if transactions::is_immediate(command) {
            return Ok(Admission::Call);
        }
        let flags = self.flags_of_call(command, args);
        let Some(transaction) = &mut client.state.transaction else { return Ok(Admission::Call) };
        transaction.queue(command, flags, args);
        let (muted, proto) = (client.is_muted(), client.proto);
        Reply::new(client.out(), &mut self.scratch, proto).muted(muted).simple("QUEUED");
        Ok(Admission::Queued)
    }
}

/// For EXEC, the union of the flags of its queued commands, and the flags that at least one of them
/// lacks. For other commands, none.
fn queued_flags(client: &Client, command: &Command) -> (u32, u32) {
    match &client.state.transaction {
        Some(transaction) if command.meta.is(special::EXEC) => {
            (transaction.flags(), transaction.lacked())
        }
        _ => (0, 0),
    }
}
