//! DEBUG RELOAD: saving the data, dropping it and loading it again.

use super::super::Call;
use super::super::Server;
use super::loading::After;
use super::save::Save;
use super::snapshot::Purpose;
use crate::command::CommandError;
use crate::store::Flush;
use crate::time::Now;

/// The options of DEBUG RELOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Reload {
    /// The client that waits for it.
    pub(super) client: u64,
    /// Whether the data is dropped before it is loaded again.
    flush: bool,
    /// Whether existing keys and libraries may be replaced.
    merge: bool,
}

/// DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE].
pub(in crate::server) fn reload(
    server: &mut Server,
    call: &mut Call<'_>,
) -> Result<(), CommandError> {
    let mut save = true;
    let mut reload = Reload { client: call.client.id, flush: true, merge: false };
    for option in call.args.from(2).iter() {
        match option.to_ascii_lowercase().as_slice() {
            b"merge" => reload.merge = true,
            b"noflush" => reload.flush = false,
            b"nosave" => save = false,
            _ => {
                return Err(CommandError::text(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    if let Some(refusal) = server.reload_refusal() {
        return Err(refusal);
    }
    if server.snapshot().is_some_and(|job| *job.purpose() == Purpose::Replicas) {
        // A snapshot for replicas would end only when the slowest of them has read it, and no
        // client is served until then.
        server.kill_snapshot(call.now);
    }
    call.client.waiting = true;
    server.service.persistence.reloading = true;
    if save {
        server.begin_foreground_save(call.now, Save::Reload(reload));
    } else {
        server.load_again(call.now, reload);
    }
    Ok(())
}

impl Server {
    /// Drops the data and loads it.
    pub(super) fn load_again(&mut self, now: Now<'_>, reload: Reload) {
        if reload.flush {
            self.forget_data();
        }
        let mut options = self.intake_options(now);
        options.replace = reload.merge;
        if !reload.flush {
            options.libraries.clone_from(&self.service.persistence.libraries);
        }
        self.load_dump(now, options, After::Reload { client: reload.client });
    }

    /// Empties the keyspace before loading. WATCH notices it, but it is not propagated.
    pub(in crate::server) fn forget_data(&mut self) {
        self.invalidate_all(Now::instantaneous(self.now.0, self.now.1), None);
        for db in 0..self.service.keyspace.count() {
            self.watched_db_replaced(None, db as u32);
        }
        self.service.keyspace.flush(None, Flush::Sync);
    }
}
