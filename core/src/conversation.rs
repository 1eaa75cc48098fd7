//! Conversations: dialogues written as `async fn` that can be cloned (checkpointed).
//!
//! A [`Conversation`] runs an `async fn` that makes requests and awaits the answers. Its owner
//! carries out the requests and passes the answers in. A future cannot be cloned, so a clone keeps
//! the function and all answers so far; when it is next driven it creates a new future and replays
//! the same answers in the same order. For this to reach the same state, the function must depend
//! on nothing but its arguments and the answers.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sorted::SortedMap;

/// A request of a conversation, numbered in the order in which they are made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// The handle by which an `async fn` makes requests. Cheap to clone.
pub struct Line<Q, A> {
    shared: Arc<Mutex<Shared<Q, A>>>,
}

/// A running `async fn`, with its requests and answers.
pub struct Conversation<Q, A, R> {
    script: Script<Q, A, R>,
    /// All answers so far, in the order in which they arrived; shared between clones.
    log: Arc<Vec<(RequestId, A)>>,
    /// How many requests the owner has taken.
    taken: u64,
    live: Option<Live<Q, A, R>>,
    result: Option<R>,
    over: bool,
}

type Running<R> = Pin<Box<dyn Future<Output = R> + Send>>;
type Script<Q, A, R> = Arc<dyn Fn(Line<Q, A>) -> Running<R> + Send + Sync>;

struct Live<Q, A, R> {
    /// The lock is never contended: it makes a future, which is only `Send`, also `Sync`.
    future: Mutex<Running<R>>,
    shared: Arc<Mutex<Shared<Q, A>>>,
}

struct Shared<Q, A> {
    next: u64,
    requests: VecDeque<(RequestId, Q)>,
    answers: SortedMap<RequestId, A>,
}

impl<Q, A: Clone, R> Conversation<Q, A, R> {
    /// A conversation that has not begun.
    pub fn new<F>(script: impl Fn(Line<Q, A>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
    {
        Conversation {
            script: Arc::new(move |line| Box::pin(script(line))),
            log: Arc::default(),
            taken: 0,
            live: None,
            result: None,
            over: false,
        }
    }

    /// The next request to carry out, or `None` if the function waits for answers.
    pub fn poll_request(&mut self) -> Option<(RequestId, Q)> {
        if self.live.is_none() && !self.over {
            self.revive();
        }
        let shared = &self.live.as_ref()?.shared;
        let request = lock(shared).requests.pop_front()?;
        self.taken = request.0.0 + 1;
        Some(request)
    }

    /// Passes in the answer to a request.
    pub fn answer(&mut self, request: RequestId, answer: A) {
        if self.over {
            return;
        }
        if self.live.is_none() {
            self.revive();
        }
        Arc::make_mut(&mut self.log).push((request, answer.clone()));
        self.resume(request, answer);
    }

    /// The function's return value, once, when it has returned. Its last requests can still be
    /// taken.
    pub fn take_result(&mut self) -> Option<R> {
        if self.live.is_none() && !self.over {
            self.revive();
        }
        self.result.take()
    }

    /// Whether the function has returned.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// How many answers a clone has to replay.
    pub fn answers(&self) -> usize {
        self.log.len()
    }

    /// Creates the future, and replays the answers.
    fn revive(&mut self) {
        let shared = Arc::new(Mutex::new(Shared {
            next: 0,
            requests: VecDeque::new(),
            answers: SortedMap::new(),
        }));
        let future = (self.script)(Line { shared: shared.clone() });
        self.live = Some(Live { future: Mutex::new(future), shared });
        self.poll();
        let log = self.log.clone();
        for (request, answer) in log.iter() {
            self.resume(*request, answer.clone());
        }
        if let Some(live) = &self.live {
            let taken = self.taken;
            lock(&live.shared).requests.retain(|(id, _)| id.0 >= taken);
        }
    }

    fn resume(&mut self, request: RequestId, answer: A) {
        if let Some(live) = &self.live {
            lock(&live.shared).answers.insert(request, answer);
        }
        self.poll();
    }

    fn poll(&mut self) {
        if self.over {
            return;
        }
        let Some(live) = &mut self.live else { return };
        let future = live.future.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            self.result = Some(result);
            self.over = true;
        }
    }
}

impl<Q, A: Clone, R: Clone> Clone for Conversation<Q, A, R> {
    fn clone(&self) -> Self {
        Conversation {
            script: self.script.clone(),
            log: self.log.clone(),
            taken: self.taken,
            live: None,
            result: self.result.clone(),
            // Requests that were not taken are made again.
            over: self.over && self.is_drained(),
        }
    }
}

impl<Q, A, R> Conversation<Q, A, R> {
    fn is_drained(&self) -> bool {
        self.live.as_ref().is_none_or(|live| lock(&live.shared).requests.is_empty())
    }
}

impl<Q, A, R> fmt::Debug for Conversation<Q, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("answers", &self.log.len())
            .field("over", &self.over)
            .finish()
    }
}

impl<Q, A> Line<Q, A> {
    /// Makes a request; await the result for the answer. The request is carried out even if the
    /// answer is not awaited.
    pub fn ask(&self, request: Q) -> Answer<Q, A> {
        Answer { id: self.tell(request), shared: self.shared.clone() }
    }

    /// Makes a request whose answer, if any, does not matter.
    pub fn tell(&self, request: Q) -> RequestId {
        let mut shared = lock(&self.shared);
        let id = RequestId(shared.next);
        shared.next += 1;
        shared.requests.push_back((id, request));
        id
    }
}

impl<Q, A> Clone for Line<Q, A> {
    fn clone(&self) -> Self {
        Line { shared: self.shared.clone() }
    }
}

impl<Q, A> fmt::Debug for Line<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

/// The answer to a request, as a future.
pub struct Answer<Q, A> {
    id: RequestId,
    shared: Arc<Mutex<Shared<Q, A>>>,
}

impl<Q, A> Answer<Q, A> {
    /// The request's number.
    pub fn id(&self) -> RequestId {
        self.id
    }
}

impl<Q, A> Future for Answer<Q, A> {
    type Output = A;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<A> {
        match lock(&self.shared).answers.remove(&self.id) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl<Q, A> fmt::Debug for Answer<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.id).finish()
    }
}

/// Waits for whichever of two futures is ready first, and says which. The first wins a tie.
pub async fn first<A, B>(a: A, b: B) -> Either<A::Output, B::Output>
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    let (mut a, mut b) = (a, b);
    core::future::poll_fn(move |context| {
        if let Poll::Ready(result) = Pin::new(&mut a).poll(context) {
            return Poll::Ready(Either::First(result));
        }
        Pin::new(&mut b).poll(context).map(Either::Second)
    })
    .await
}

/// Which of two futures was ready first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Waits for all answers, in the order of the requests.
pub async fn all<Q, A>(answers: impl IntoIterator<Item = Answer<Q, A>>) -> Vec<A> {
    let mut all = Vec::new();
    for answer in answers {
        all.push(answer.await);
    }
    all
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sum(line: Line<&'static str, u32>) -> u32 {
        let (a, b) = (line.ask("a"), line.ask("b"));
        let sum = a.await + b.await;
        match first(line.ask("c"), line.ask("d")).await {
            Either::First(c) => sum + c,
            Either::Second(d) => sum * d,
        }
    }

    fn next(it: &mut Conversation<&'static str, u32, u32>) -> (RequestId, &'static str) {
        it.poll_request().unwrap()
    }

    #[test]
    fn answers_may_come_in_any_order() {
        let mut it = Conversation::new(sum);
        let (a, b) = (next(&mut it), next(&mut it));
        assert_eq!((a.1, b.1), ("a", "b"));
        assert_eq!(it.poll_request(), None);
        it.answer(b.0, 2);
        it.answer(a.0, 1);
        next(&mut it);
        let d = next(&mut it);
        it.answer(d.0, 10);
        assert_eq!(it.take_result(), Some(30));
        assert!(it.is_over());
    }

    #[test]
    fn a_clone_goes_on_as_the_original_would() {
        let mut it = Conversation::new(sum);
        let a = next(&mut it);
        let early = it.clone();
        let b = next(&mut it);
        it.answer(b.0, 2);
        it.answer(a.0, 1);
        let c = next(&mut it);
        let mut late = it.clone();
        // The original had taken the request c, and not d.
        assert_eq!(next(&mut late).1, "d");
        it.answer(c.0, 5);
        late.answer(c.0, 5);
        assert_eq!((it.take_result(), late.take_result()), (Some(8), Some(8)));
        let mut early = early;
        assert_eq!(next(&mut early).1, "b");
    }
}
