//! The fast path from bytes to replies.
//!
//! Nearly always a client sends whole requests that work on keys, and there is no
//! [obstacle](crate::front::Obstacles): no state of the client or of the server in which a command
//! is refused, delayed, or shown to MONITOR. That is looked at once for all that has arrived, and
//! the commands then follow each other with nothing between them but what each one needs. Every
//! other request goes through the dispatch, which makes the checks that the obstacles ask for.

use super::{Client, Command, Run, Server, checks};
use crate::resp::request::{self, Args, FEW, Span};
use crate::time::Now;

/// How a request begins: with the number of its arguments and the name of its command. Requests
/// that are sent together often begin alike.
#[derive(Clone, Copy)]
struct Head<'b> {
    bytes: &'b [u8],
    /// The arguments, with the name.
    count: usize,
    command: &'static Command,
}

impl Server {
    /// Whether no check can refuse or delay a command on keys.
    #[inline(always)]
    pub(super) fn can_skip_checks(&self, client: &Client) -> bool {
        self.is_unobstructed(client, checks::CLUSTER)
    }

    /// The command, if it works on keys alone and the number of its arguments is right.
    #[inline]
    pub(super) fn plain_command(&self, args: Args<'_>) -> Option<&'static Command> {
        self.names.find(args.at(0)).filter(|c| c.plain && c.meta.takes(args.len()))
    }

    /// Carries out the requests at the beginning of `bytes`, as many as `left` says at most, until
    /// one is out of the ordinary. There must be no obstacle.
    pub(super) fn serve_plainly<'b>(
        &mut self,
        now: Now<'_>,
        client: &mut Client,
        bytes: &mut &'b [u8],
        left: &mut u32,
    ) {
        let longest = self.config.settings().data.proto_max_bulk_len;
        let mut spans = [Span::default(); FEW];
        let mut last: Option<Head<'b>> = None;
        // The keys of the first request were prefetched already, or it is the only one.
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
            self.carry_out_plainly(now, client, head.command, args);
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
        self.note_if_prefetch_pays(client);
    }

    /// Calls a command on keys without checks, with all that follows from it.
    #[inline]
    pub(super) fn carry_out_plainly(
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
        // One that waits counts when it has got what it waits for.
        if client.state.blocked.is_none() {
            let took = self.elapsed.saturating_sub(began);
            self.count_call(now, client, command, args, (took, result.is_err()));
        }
        self.follow_up(now, client, command, offset);
    }
}
