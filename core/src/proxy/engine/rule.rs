//! The trait for the decisions of a proxy, in contrast to its handling of connections.

use core::fmt;

use super::super::request::{PartialRequest, Request};
use super::{Client, ClientId, ClosedLink, Engine, LinkError, LinkId, Pending};
use crate::machine::{
    ConnId, DiskDone, DiskError, Endpoint, ListenerId, NetError, OpId, Signal, Vitals,
};
use crate::time::{Mono, Now};

/// The decisions of a proxy: where requests are sent, what is answered directly, and how failed
/// backends are treated.
pub trait Rule: Clone + fmt::Debug {
    /// The rule's data about each client.
    type Client: Clone + fmt::Debug;
    /// The rule's data about each backend connection.
    type Link: Clone + fmt::Debug;

    /// The process starts.
    fn start(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// A listener was opened, or could not be.
    fn listening(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        listener: ListenerId,
        result: Result<Endpoint, NetError>,
    );

    /// A client has connected.
    fn accepted(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        conn: ConnId,
        listener: ListenerId,
        peer: &Endpoint,
    ) -> AcceptedClient<Self::Client>;

    /// A client was added to the engine, and can be sent data.
    fn client_added(&mut self, engine: &mut Engine<Self>, now: Now<'_>, client: ClientId) {
        let _ = (engine, now, client);
    }

    /// Handles a request of a client.
    fn request(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow;

    /// A client has sent its last byte. True closes its connection immediately; false closes it
    /// once its requests are answered.
    fn ended(&mut self, engine: &mut Engine<Self>, client: ClientId) -> bool {
        let _ = (engine, client);
        false
    }

    /// Checks an incomplete request. False closes the connection, since the request cannot become
    /// valid.
    fn check_partial(&mut self, engine: &mut Engine<Self>, partial: PartialRequest<'_>) -> bool {
        let _ = (engine, partial);
        true
    }

    /// A client has disconnected.
    fn left(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: &Client<Self::Client>,
        why: DisconnectReason,
    );

    /// A backend connection is established.
    fn connected(&mut self, engine: &mut Engine<Self>, now: Now<'_>, link: LinkId);

    /// Decides what to do with a complete reply.
    fn replied(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        pending: &mut Pending,
        reply: &[u8],
    ) -> ReplyAction;

    /// Handles a reply that no request is waiting for. False closes the connection.
    fn unexpected_reply(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        reply: &[u8],
    ) -> bool {
        let _ = (engine, now, link, reply);
        false
    }

    /// A backend connection was closed, with these pending requests.
    fn lost(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        gone: ClosedLink<Self::Link>,
        why: LinkError,
    );

    /// A disk operation of the rule has finished.
    fn disk(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        let _ = (engine, now, op, result);
    }

    /// Handles a signal of the operating system.
    fn signal(&mut self, engine: &mut Engine<Self>, now: Now<'_>, signal: Signal);

    /// Takes the resource usage of this process, reported by the operating system.
    fn vitals(&mut self, vitals: Vitals) {
        let _ = vitals;
    }

    /// Handles a timeout.
    fn wake(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// When to call [`Rule::wake`].
    fn timeout(&self) -> Option<Mono>;
}

/// Whether a request was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It was handled.
    Done,
    /// Offer it again once all earlier requests are answered. Only allowed if there are any.
    Later,
}

/// How an accepted client is treated.
#[derive(Clone, Debug)]
pub struct AcceptedClient<C> {
    /// The rule's data about it.
    pub data: C,
    /// Whether inline requests are accepted.
    pub inline: bool,
}

/// What to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyAction {
    /// Forward the reply to the client.
    Forward,
    /// Send this to the client instead.
    Replace(&'static [u8]),
    /// Nothing: the rule has handled it.
    Taken,
    /// Close the backend connection; the request stays unanswered.
    Break(LinkError),
}

/// Why a client disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// It closed the connection, or requested that.
    Eof,
    /// The connection failed.
    Broken(NetError),
    /// The proxy closed it, because of what it sent or did not read.
    Refused,
}
