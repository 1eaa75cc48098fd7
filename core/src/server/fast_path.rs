//! The fast path from requests to replies.
//!
//! Nearly always clients send whole requests about keys, and there is no
//! [obstacle](crate::front::Obstacles): no state of the client or the server that requires a
//! command to be refused, delayed, or copied to MONITOR. That is determined once for all requests
//! that have arrived, which are then executed with no overhead in between. All other requests take
//! the general path, which runs the checks that the obstacles trigger.

use super::{Client, Command, Run, Server, checks};
use crate::resp::request::{self, Args, FEW, Span};
use crate::time::Now;

/// The start of a request: the number of its arguments and its command. Pipelined requests often
/// start alike.
#[derive(Clone, Copy)]
struct Head<'b> {
    bytes: &'b [u8],
    /// Number of arguments, including the name.
    count: usize,
    command: &'static Command,
}

impl Server {
    /// Whether no check can refuse or delay a command on keys.
    #[inline(always)]
    pub(super) fn can_skip_checks(&self, client: &Client) -> bool {
        self.is_unobstructed(client, checks::CLUSTER)
    }

    /// The command, if the fast path may call it and the number of arguments is right.
    #[inline]
    pub(super) fn plain_command(&self, args: Args<'_>) -> Option<&'static Command> {
        self.names.find(args.at(0)).filter(|c| c.plain && c.meta.takes(args.len()))
    }

    /// Executes the requests at the start of `bytes`, at most `left`, up to the first that needs
    /// the general path. There must be no obstacle.
    pub(super) fn serve_plain_requests<'b>(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        bytes: &mut &'b [u8],
        left: &mut u32,
    ) {
        let longest = self.config.settings().data.proto_max_bulk_len;
        let mut spans = [Span::default(); FEW];
        let mut last: Option<Head<'b>> = None;
        // The keys of the first request have been prefetched already, or it is the only one.
        let mut prefetched = 1;
        while *left > 0 && !self.is_full(client) {
            let request: &'b [u8] = bytes;
            let (head, used) = match last {
                Some(head) if request.starts_with(head.bytes) => {
                    let Some(places) = spans.get_mut(1..head.count) else { return };
                    let at = head.bytes.len();
                    let used = request::plain_arguments(request, at, places, longest);
                    let Some(used) = used else { return };
                    (head, used)
                }
                _ => {
                    let plain = request::plain(request, &mut spans, longest);
                    let Some((count, used)) = plain else { return };
                    let args = Args::new(request, spans.get(..count).unwrap_or_default());
                    let Some(command) = self.plain_command(args) else { return };
                    let bytes = request.get(..spans[0].end()).unwrap_or_default();
                    (Head { bytes, count, command }, used)
                }
            };
            last = Some(head);
            let args = Args::new(request, spans.get(..head.count).unwrap_or_default());
            if !self.serves_keys(head.command, args) {
                return;
            }
            self.execute_plain(now, client, head.command, args);
            *bytes = request.get(used..).unwrap_or_default();
            *left -= 1;
            if bytes.is_empty() || client.is_held() {
                break;
            }
            prefetched -= 1;
            if prefetched == 0 {
                prefetched = self.prefetch_keys(client, bytes);
            }
        }
        self.update_prefetch_pays(client);
    }

    /// Calls a command on keys without checks, and handles its effects.
    #[inline]
    pub(super) fn execute_plain(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        command: &'static Command,
        args: Args<'_>,
    ) {
        let Run::Data(handler) = command.run else { return };
        client.last_command = Some(command.id);
        let (began, offset) = (self.elapsed, self.service.replication.offset());
        self.prepare_env(now, client);
        let (result, wait) = self.call_handler(now, client, handler, args);
        if let Some(wait) = wait {
            client.argv_bytes = args.bytes();
            self.block(now, client, command, args, wait);
        }
        if let Err(error) = &result {
            self.answer_error(client, error);
        }
        self.elapsed = now.nanos();
        // A command that blocks is counted when it is unblocked.
        if client.state.blocked.is_none() {
            let took = self.elapsed.saturating_sub(began);
            self.count_call(now, client, command, args, (took, result.is_err()));
        }
        self.follow_up(now, client, command, offset);
    }
}
