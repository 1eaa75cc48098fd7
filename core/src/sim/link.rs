//! One direction of the way between two hosts.

use core::time::Duration;

use crate::rng::Rng;
use crate::time::Mono;

use super::ids::HostId;
use super::scenario::LinkSpec;

/// One direction of the way between two hosts, with what went over it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it begins.
    pub from: HostId,
    /// Where it ends.
    pub to: HostId,
    /// What it is like.
    pub spec: LinkSpec,
    /// Whether a partition lies across it.
    pub cut: bool,
    /// Messages that were put on it.
    pub messages: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Messages that were lost on it.
    pub lost: u64,
    /// When it will have taken in all that was put on it.
    pub(super) free: Mono,
    pub(super) rng: Rng,
}

impl Link {
    /// Headers of Ethernet, IP and TCP around each message.
    const HEADERS: u64 = 66;

    pub(super) fn new(from: HostId, to: HostId, spec: LinkSpec, rng: Rng) -> Self {
        Link { from, to, spec, cut: false, messages: 0, bytes: 0, lost: 0, free: Mono::ZERO, rng }
    }

    /// Whether chance loses the next message.
    pub(super) fn loses(&mut self) -> bool {
        self.spec.loss_ppm > 0 && self.rng.below(1_000_000) < u64::from(self.spec.loss_ppm)
    }

    /// Puts a message on the link and says when it arrives.
    pub(super) fn carry(&mut self, now: Mono, len: usize) -> Mono {
        self.messages += 1;
        self.bytes += len as u64;
        let mut leaves = now;
        if let Some(bandwidth) = self.spec.bandwidth {
            let bits = (len as u64).saturating_add(Self::HEADERS).saturating_mul(8);
            let nanos = u128::from(bits) * 1_000_000_000 / u128::from(bandwidth.max(1));
            let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
            leaves = self.free.max(now) + Duration::from_nanos(nanos);
            self.free = leaves;
        }
        leaves + self.spec.latency + self.jitter()
    }

    /// Mostly small and now and then up to the worst: the square of a uniform draw.
    fn jitter(&mut self) -> Duration {
        if self.spec.jitter.is_zero() {
            return Duration::ZERO;
        }
        let draw = u128::from(self.rng.below(1 << 16));
        let nanos = (self.spec.jitter.as_nanos() * draw * draw) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
