//! The append-only file: the log of write commands on disk.
//!
//! * `writing`: commands are buffered while inputs are handled, appended at the end of the
//!   event-loop iteration, and fsynced as `appendfsync` says;
//! * `gate`: replies that promise what is not durable yet are held back in their outboxes;
//! * `starting`: reading the files when the server starts; `replay` executes the commands of
//!   `part`, a state machine that reads one file; `reload` continues after loading;
//! * `rewrite`: AOF rewrite, as a state machine that knows only the files; `backoff`: its delay
//!   after failures; `rewriting`: the server's side of it;
//! * `switching`: CONFIG SET appendonly.
//!
//! The format of the files is documented in [`persist::aof`](crate::persist::aof).

mod backoff;
mod gate;
mod part;
mod reload;
mod replay;
mod rewrite;
mod rewriting;
mod starting;
mod switching;
mod writing;

use gate::Gate;
pub(super) use gate::Held;
use replay::Load;
use rewrite::Rewrite;
pub(super) use rewriting::ROWS;
use writing::Log;

use super::Server;
use super::config::Fsync;
use crate::command::CommandError;
use crate::command::effects::Propagated;
use crate::command::feed::Feed;
use crate::front::info_text::Text;
use crate::machine::{DiskDone, DiskError, LogLevel};
use crate::persist::aof::{Manifest, write_timestamp};
use crate::time::Now;

/// The state of the append-only file.
#[derive(Clone, Debug, Default)]
pub(super) struct Aof {
    state: State,
    manifest: Manifest,
    /// The parent directory of the files, if it is no longer the working directory.
    home: Option<String>,
    feed: Feed,
    /// The last timestamp annotation that was written, in seconds since 1970.
    timestamp: u64,
    log: Log,
    gate: Gate,
    rewrite: Rewrite,
    /// Whether the files are being read because the server starts.
    starting: bool,
    /// The load in progress.
    load: Option<Box<Load>>,
    /// The client whose DEBUG LOADAOF waits to start.
    reload: Option<u64>,
    /// Whether all clients are held back for it.
    reload_holds: bool,
    /// Total size of all parts in bytes.
    current_size: u64,
    /// Their size after the last rewrite.
    base_size: u64,
}

/// Whether the append-only file is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Off.
    #[default]
    Off,
    /// Turned on, but the first base is still being written. Until then, commands go to a temporary
    /// file.
    WaitRewrite,
    /// On.
    On,
}

/// Whether the append-only file allows a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AofAtShutdown {
    /// Everything is durable.
    Ready,
    /// An fsync is in progress; [`Server::shutdown_aof_done`] will be called.
    Wait,
    /// The server must not shut down.
    Refused,
}

/// What to continue when a disk operation has completed.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Appending commands, fsync, undoing a failed write.
    Log(writing::Step),
    /// A rewrite.
    Rewrite(Box<rewrite::Step>),
    /// Reading the files at the start.
    Start(Box<starting::Step>),
    /// Loading a part.
    Replay(replay::Step),
}

impl Aof {
    /// Whether there are commands that have not been handed to the disk.
    #[inline]
    pub(super) fn has_unwritten(&self) -> bool {
        self.log.has_unwritten()
    }

    fn is_starting(&self) -> bool {
        self.starting
    }
}

impl Server {
    /// Whether the append-only file is off, or being turned off.
    #[inline]
    pub(super) fn aof_is_off(&self) -> bool {
        self.service.aof.state == State::Off
    }

    /// Whether commands have to be appended.
    pub(super) fn aof_follows(&self) -> bool {
        self.service.aof.log.is_open() && self.service.aof.state != State::Off
    }

    /// Appends commands to the file.
    #[inline]
    pub(super) fn feed_aof(&mut self, commands: &[Propagated], whole: bool) {
        if !self.aof_follows() {
            return;
        }
        let aof = &mut self.service.aof;
        let log = &mut aof.log;
        let stamped = self.config.settings().aof.aof_timestamp_enabled;
        let seconds = self.now.1.as_secs();
        log.feed(self.now.0, |buffer| {
            if stamped && aof.timestamp < seconds {
                aof.timestamp = seconds;
                write_timestamp(buffer, seconds);
            }
            aof.feed.write(buffer, commands, whole);
        });
        self.aof_gate_changed();
    }

    /// Makes everything durable because the server is shutting down. With `force`, it shuts down
    /// even if that fails.
    pub(super) fn aof_at_shutdown(&mut self, now: Now<'_>, force: bool) -> AofAtShutdown {
        if self.service.aof.rewrite.is_on() {
            if self.service.aof.state == State::WaitRewrite {
                if !force {
                    self.log(LogLevel::Warning, || "Writing initial AOF, can't exit.".to_owned());
                    return AofAtShutdown::Refused;
                }
                self.log(LogLevel::Warning, || "Writing initial AOF. Exit anyway.".to_owned());
            }
            self.log(LogLevel::Warning, || {
                "There is a child rewriting the AOF. Killing it!".to_owned()
            });
            self.abort_switch(now);
            self.kill_rewrite(now);
        }
        if self.service.aof.state == State::Off || !self.service.aof.log.is_open() {
            return AofAtShutdown::Ready;
        }
        self.notice(|| "Calling fsync() on the AOF file.".to_owned());
        self.service.aof.log.ending = true;
        self.drive_log();
        self.end_if_durable(now);
        AofAtShutdown::Wait
    }

    /// Continues a shutdown that waits for the fsync, once that has succeeded or failed.
    fn end_if_durable(&mut self, now: Now<'_>) {
        let log = &self.service.aof.log;
        if log.ending && (log.has_failed() || log.is_durable()) {
            self.service.aof.log.ending = false;
            self.shutdown_aof_done(now);
        }
    }

    /// Continues what waited for a disk operation.
    pub(super) fn aof_disk_done(
        &mut self,
        now: Now<'_>,
        step: Step,
        result: Result<DiskDone, DiskError>,
    ) {
        match step {
            Step::Log(step) => self.log_disk_done(now, step, result),
            Step::Rewrite(step) => self.rewrite_disk_done(now, *step, result),
            Step::Start(step) => self.start_disk_done(now, *step, result),
            Step::Replay(step) => self.replay_disk_done(now, step, result),
        }
    }

    /// Whether the last write or fsync has failed.
    #[inline]
    pub(super) fn aof_has_failed(&self) -> bool {
        self.service.aof.state != State::Off && self.service.aof.log.has_failed()
    }

    /// Why write commands are refused, if writing the file fails.
    pub(super) fn aof_refusal(&self) -> Option<CommandError> {
        if self.service.aof.state == State::Off {
            return None;
        }
        let error = self.service.aof.log.error()?;
        let text = format!("MISCONF Errors writing to the AOF file: {error}");
        Some(CommandError::composed(text))
    }

    /// The replication offset up to which everything is durable here; `None` if there is no file.
    pub(super) fn fsynced_offset(&self) -> Option<i64> {
        (self.service.aof.state == State::On).then_some(self.service.aof.log.synced_offset)
    }

    /// The fields of INFO that are always present.
    pub(super) fn aof_fields(&self, text: &mut Text) {
        let Aof { state, rewrite, log, .. } = &self.service.aof;
        let status = |ok| if ok { "ok" } else { "err" };
        text.field("aof_enabled", u8::from(*state != State::Off));
        text.field("aof_rewrite_in_progress", u8::from(rewrite.is_on()));
        text.field("aof_rewrite_scheduled", u8::from(rewrite.scheduled));
        text.field("aof_last_rewrite_time_sec", rewrite.took.unwrap_or(-1));
        text.field("aof_current_rewrite_time_sec", rewrite.takes(self.now.1).unwrap_or(-1));
        text.field("aof_last_bgrewrite_status", status(!rewrite.failed));
        text.field("aof_rewrites", rewrite.count);
        text.field("aof_rewrites_consecutive_failures", rewrite.backoff.failures());
        text.field("aof_last_write_status", status(!log.has_failed()));
        text.field("aof_last_cow_size", rewrite.copied);
    }

    /// The fields of INFO that are present if the file is on.
    pub(super) fn aof_size_fields(&self, text: &mut Text) {
        if self.service.aof.state == State::Off {
            return;
        }
        let Aof { rewrite, log, current_size, base_size, .. } = &self.service.aof;
        text.field("aof_current_size", current_size);
        text.field("aof_base_size", base_size);
        text.field("aof_pending_rewrite", u8::from(rewrite.scheduled));
        text.field("aof_buffer_length", log.waiting());
        // There is no rewrite buffer: commands that arrive during a rewrite go to a file of their
        // own.
        text.field("aof_rewrite_buffer_length", 0);
        text.field("aof_pending_bio_fsync", u8::from(log.is_syncing()));
        text.field("aof_delayed_fsync", log.delayed);
    }

    /// Bytes of commands that are not written yet.
    pub(super) fn aof_memory(&self) -> usize {
        self.service.aof.log.waiting()
    }
}
