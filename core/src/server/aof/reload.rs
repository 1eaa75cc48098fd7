//! After loading the append-only file, or failing to: at the start of the server, and for DEBUG
//! LOADAOF.

use core::mem;

use super::Server;
use super::replay::After;
use crate::command::CommandError;
use crate::time::Now;

impl Server {
    /// All parts have been loaded; `empty` if they contain nothing.
    pub(super) fn aof_loaded(&mut self, now: Now<'_>, after: After, empty: bool) {
        match after {
            After::Start => {
                if empty {
                    self.notice(|| "DB loaded from append only file: 0.000 seconds".to_owned());
                }
                self.open_after_load();
            }
            After::Debug { client } => {
                self.service.dirty = 0;
                self.notice(|| "Append Only File loaded by DEBUG LOADAOF".to_owned());
                self.end_reload_hold();
                self.reload_over(now);
                self.answer(now, client, Ok(()));
            }
        }
    }

    /// Loading has failed.
    pub(super) fn aof_not_loaded(&mut self, now: Now<'_>, after: After) {
        match after {
            After::Start => self.exit(1),
            After::Debug { client } => {
                self.end_reload_hold();
                self.reload_over(now);
                let error = CommandError::text(
                    "ERR Error trying to load the AOF files, check server logs.",
                );
                self.answer(now, client, Err(error));
            }
        }
    }

    /// DEBUG LOADAOF: writes the buffered commands first.
    pub(in crate::server) fn reload_aof(&mut self, now: Now<'_>, client: u64) {
        self.hold_all();
        self.service.persistence.reloading = true;
        self.service.aof.reload_holds = true;
        self.service.aof.reload = Some(client);
        self.continue_aof(now);
        self.reload_if_written(now);
    }

    /// Ends the hold of DEBUG LOADAOF: from here on, loading itself holds the clients back.
    pub(super) fn end_reload_hold(&mut self) {
        if mem::take(&mut self.service.aof.reload_holds) {
            self.release_all();
        }
    }

    /// Continues DEBUG LOADAOF once everything has been written.
    pub(super) fn reload_if_written(&mut self, now: Now<'_>) {
        if self.service.aof.reload.is_none() {
            return;
        }
        if self.service.aof.log.has_failed() {
            // Commands that cannot be written would be lost.
            if let Some(client) = self.service.aof.reload.take() {
                self.aof_not_loaded(now, After::Debug { client });
            }
            return;
        }
        if !self.service.aof.log.is_written() {
            return;
        }
        if let Some(client) = self.service.aof.reload.take() {
            self.read_manifest(After::Debug { client });
        }
    }
}
