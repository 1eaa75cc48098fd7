//! A link: one direction of the connection between two hosts.

use core::time::Duration;

use crate::rng::Rng;
use crate::time::Mono;

use super::ids::HostId;
use super::scenario::LinkSpec;

/// One direction of the connection between two hosts, with its statistics.
#[derive(Clone, Debug)]
pub struct Link {
    /// The sending host.
    pub from: HostId,
    /// The receiving host.
    pub to: HostId,
    /// Its properties.
    pub spec: LinkSpec,
    /// Whether a partition cuts it.
    pub cut: bool,
    /// The number of messages sent on it.
    pub messages: u64,
    /// The number of bytes in them.
    pub bytes: u64,
    /// The number of messages lost on it.
    pub lost: u64,
    /// When the transmission of everything sent so far is complete.
    pub(super) free: Mono,
    pub(super) rng: Rng,
}

impl Link {
    /// The size of Ethernet, IP and TCP headers around each message.
    const HEADERS: u64 = 66;

    pub(super) fn new(from: HostId, to: HostId, spec: LinkSpec, rng: Rng) -> Self {
        Link { from, to, spec, cut: false, messages: 0, bytes: 0, lost: 0, free: Mono::ZERO, rng }
    }

    /// Whether the next message is lost by random loss.
    pub(super) fn loses(&mut self) -> bool {
        self.spec.loss_ppm > 0 && self.rng.below(1_000_000) < u64::from(self.spec.loss_ppm)
    }

    /// Sends a message and returns its arrival time.
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

    /// A random delay, usually small and rarely near the maximum: the square of a uniform draw.
    fn jitter(&mut self) -> Duration {
        if self.spec.jitter.is_zero() {
            return Duration::ZERO;
        }
        let draw = u128::from(self.rng.below(1 << 16));
        let nanos = (self.spec.jitter.as_nanos() * draw * draw) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
