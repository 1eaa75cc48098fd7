//! What a proxy decides, as opposed to how it keeps connections.

use core::fmt;

use super::super::request::{Begun, Request};
use super::{Client, ClientId, Engine, Gone, LinkId, Lost, Pending};
use crate::machine::{
    ConnId, DiskDone, DiskError, Endpoint, ListenerId, NetError, OpId, Signal, Vitals,
};
use crate::time::{Mono, Now};

/// What a proxy decides: where requests go, what is answered at once, what to do about backends.
pub trait Rule: Clone + fmt::Debug {
    /// What the rule keeps of each client.
    type Client: Clone + fmt::Debug;
    /// What the rule keeps of each backend connection.
    type Link: Clone + fmt::Debug;

    /// The process starts.
    fn start(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// A listener is open or not.
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
    ) -> Welcome<Self::Client>;

    /// A client has been received, and can be spoken to.
    fn welcomed(&mut self, engine: &mut Engine<Self>, now: Now<'_>, client: ClientId) {
        let _ = (engine, now, client);
    }

    /// A client asks for something.
    fn request(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: ClientId,
        request: Request<'_>,
    ) -> Flow;

    /// A client sends no more. True closes its connection at once; else it is closed when what it
    /// has asked for is answered.
    fn ended(&mut self, engine: &mut Engine<Self>, client: ClientId) -> bool {
        let _ = (engine, client);
        false
    }

    /// A request has arrived in part. False ends the connection: it cannot become a good one.
    fn begun(&mut self, engine: &mut Engine<Self>, begun: Begun<'_>) -> bool {
        let _ = (engine, begun);
        true
    }

    /// A client is gone.
    fn left(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        client: &Client<Self::Client>,
        why: Left,
    );

    /// A backend connection stands.
    fn connected(&mut self, engine: &mut Engine<Self>, now: Now<'_>, link: LinkId);

    /// A reply has come as a whole. What is to be done with it.
    fn replied(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        pending: &mut Pending,
        reply: &[u8],
    ) -> Verdict;

    /// An unexpected reply has arrived. False closes the connection.
    fn unasked(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        link: LinkId,
        reply: &[u8],
    ) -> bool {
        let _ = (engine, now, link, reply);
        false
    }

    /// A backend connection is gone, with all that was to be answered on it.
    fn lost(&mut self, engine: &mut Engine<Self>, now: Now<'_>, gone: Gone<Self::Link>, why: Lost);

    /// A disk operation that the rule has asked for has ended.
    fn disk(
        &mut self,
        engine: &mut Engine<Self>,
        now: Now<'_>,
        op: OpId,
        result: Result<DiskDone, DiskError>,
    ) {
        let _ = (engine, now, op, result);
    }

    /// The operating system signals.
    fn signal(&mut self, engine: &mut Engine<Self>, now: Now<'_>, signal: Signal);

    /// What the operating system says of this process.
    fn vitals(&mut self, vitals: Vitals) {
        let _ = vitals;
    }

    /// Time has passed.
    fn wake(&mut self, engine: &mut Engine<Self>, now: Now<'_>);

    /// When [`Rule::wake`] is wanted.
    fn timeout(&self) -> Option<Mono>;
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It is taken care of.
    Done,
    /// It is offered again when all before it are answered. Only if any are.
    Later,
}

/// How a client is received.
#[derive(Clone, Debug)]
pub struct Welcome<C> {
    /// What the rule keeps of it.
    pub data: C,
    /// Whether its requests may be lines of words too, as people type them.
    pub inline: bool,
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reply is forwarded to the client.
    Forward,
    /// This is sent to the client in place of the reply.
    Replace(&'static [u8]),
    /// The rule has taken care of it.
    Taken,
    /// The backend connection is closed; the request counts as unanswered.
    Break(Lost),
}

/// Why a client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It closed the connection, or asked the proxy to.
    Eof,
    /// The connection broke.
    Broken(NetError),
    /// The proxy closed it, because of what it sent or did not take.
    Refused,
}
