//! The append-only file: the stream of commands on disk.
//!
//! * `writing`: commands gather while inputs are handled, are appended when there are no more, and
//!   are made durable as `appendfsync` says;
//! * `gate`: replies that promise what is not durable yet stay in their outboxes;
//! * `starting`: what is done with the files when the server starts; `replay` carries
//!   out again what `part`, a machine that reads one file, yields; `reload` goes on from there;
//! * `rewrite`: all data anew, so that old commands can go: a machine that knows only the files;
//!   `backoff`: how long it waits after failures; `rewriting`: the server around it;
//! * `switching`: on and off.
//!
//! How the files look is told in [`persist::aof`](crate::persist::aof).

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

/// All that is known of the append-only file.
#[derive(Clone, Debug, Default)]
pub(super) struct Aof {
    state: State,
    manifest: Manifest,
    /// The directory above that of the files, if it is not the working directory any more.
    home: Option<String>,
    feed: Feed,
    /// The last moment that was written into the file, in seconds since 1970.
    timestamp: u64,
    log: Log,
    gate: Gate,
    rewrite: Rewrite,
    /// Whether the files are being looked at, because the server starts.
    starting: bool,
    /// What is being loaded.
    load: Option<Box<Load>>,
    /// The client whose DEBUG LOADAOF waits to begin.
    reload: Option<u64>,
    /// Whether all clients wait for it.
    reload_holds: bool,
    /// Bytes in all parts.
    current_size: u64,
    /// How many there were after the last rewrite.
    base_size: u64,
}

/// Whether there is an append-only file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No.
    #[default]
    Off,
    /// Not before the first base is written. Until then, commands go to a temporary file.
    WaitRewrite,
    /// Yes.
    On,
}

/// What the append-only file says when the server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AofAtShutdown {
    /// Everything is on disk.
    Ready,
    /// It is being made durable; [`Server::shutdown_aof_done`] will be called.
    Wait,
    /// The server must not end.
    Refused,
}

/// What waits for a disk operation.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Commands are appended, their end made durable, a failed write undone.
    Log(writing::Step),
    /// All data is written anew.
    Rewrite(Box<rewrite::Step>),
    /// The files are looked at.
    Start(Box<starting::Step>),
    /// They are loaded.
    Replay(replay::Step),
}

impl Aof {
    /// Whether commands wait to be handed to the disk.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.log.has_news()
    }

    fn is_starting(&self) -> bool {
        self.starting
    }
}

impl Server {
    /// Whether there is no append-only file, or none any more.
    #[inline]
    pub(super) fn aof_is_off(&self) -> bool {
        self.service.aof.state == State::Off
    }

    /// Whether the append-only file wants commands.
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

    /// The server is to end: what was written has to be made durable. With `force`, it ends whatever
    /// becomes of that.
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
        self.pump_log();
        self.end_if_durable(now);
        AofAtShutdown::Wait
    }

    /// Lets the shutdown go on if it waits for what is durable now, or cannot be made so.
    fn end_if_durable(&mut self, now: Now<'_>) {
        let log = &self.service.aof.log;
        if log.ending && (log.has_failed() || log.is_durable()) {
            self.service.aof.log.ending = false;
            self.shutdown_aof_done(now);
        }
    }

    /// Goes on with what waited for a disk operation.
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

    /// Whether the file cannot be written.
    #[inline]
    pub(super) fn aof_has_failed(&self) -> bool {
        self.service.aof.state != State::Off && self.service.aof.log.has_failed()
    }

    /// Why commands that write are refused, if the file cannot be written.
    pub(super) fn aof_refusal(&self) -> Option<CommandError> {
        if self.service.aof.state == State::Off {
            return None;
        }
        let error = self.service.aof.log.error()?;
        let text = format!("MISCONF Errors writing to the AOF file: {error}");
        Some(CommandError::composed(text))
    }

    /// Up to which offset the stream of replication is durable here; `None` if there is no file.
    pub(super) fn fsynced_offset(&self) -> Option<i64> {
        (self.service.aof.state == State::On).then_some(self.service.aof.log.synced_offset)
    }

    /// What INFO tells whether there is a file or not.
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

    /// What INFO tells besides if there is a file.
    pub(super) fn aof_size_fields(&self, text: &mut Text) {
        if self.service.aof.state == State::Off {
            return;
        }
        let Aof { rewrite, log, current_size, base_size, .. } = &self.service.aof;
        text.field("aof_current_size", current_size);
        text.field("aof_base_size", base_size);
        text.field("aof_pending_rewrite", u8::from(rewrite.scheduled));
        text.field("aof_buffer_length", log.waiting());
        // There is no such buffer any more: what comes during a rewrite goes to a file of its own.
        text.field("aof_rewrite_buffer_length", 0);
        text.field("aof_pending_bio_fsync", u8::from(log.is_syncing()));
        text.field("aof_delayed_fsync", log.delayed);
    }

    /// Bytes of commands that wait to be written.
    pub(super) fn aof_memory(&self) -> usize {
        self.service.aof.log.waiting()
    }
}
