//! A host of a World: its clock, disk and ports.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::rng::Rng;
use crate::sorted::SortedSet;
use crate::time::Mono;

use super::action::DiskFault;
use super::device::Operation;
use super::disk::Disk;
use super::scenario::{DiskSpec, HostSpec};

/// A host of a World.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) spec: Arc<HostSpec>,
    pub(super) on: bool,
    /// How often it has booted.
    pub(super) boots: u32,
    pub(super) clock: Clock,
    pub(super) disk: Arc<Disk>,
    pub(super) device: DiskSpec,
    pub(super) fault: DiskFault,
    /// Disk operations in progress, in their order.
    pub(super) operations: VecDeque<Operation>,
    pub(super) device_free: Mono,
    pub(super) next_operation: u64,
    pub(super) disk_rng: Rng,
    pub(super) ports: SortedSet<u16>,
    pub(super) next_port: u16,
    pub(super) next_pid: u32,
}

/// The deviation of a host's wall clock from true time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) skew_us: i64,
    pub(super) drift_ppm: i64,
    /// The time since which it drifts at this rate.
    pub(super) since: Mono,
}

impl Host {
    pub(super) fn new(spec: Arc<HostSpec>, disk_rng: Rng) -> Self {
        Host {
            on: false,
            boots: 0,
            clock: Clock { skew_us: spec.skew_us, drift_ppm: spec.drift_ppm, since: Mono::ZERO },
            disk: Arc::new(spec.new_disk()),
            device: spec.disk.clone(),
            fault: DiskFault::None,
            operations: VecDeque::new(),
            device_free: Mono::ZERO,
            next_operation: 0,
            disk_rng,
            ports: SortedSet::new(),
            next_port: 0,
            next_pid: 100,
            spec,
        }
    }
}

impl HostSpec {
    /// The initial disk of the host.
    pub(super) fn new_disk(&self) -> Disk {
        Disk::new(self.files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())))
    }
}

impl Clock {
    /// How far it is ahead of true time, in microseconds.
    pub(super) fn ahead(&self, now: Mono) -> i64 {
        let drifted = i128::from(now.since(self.since).as_micros() as u64)
            * i128::from(self.drift_ppm)
            / 1_000_000;
        self.skew_us.saturating_add(i64::try_from(drifted).unwrap_or(0))
    }
}
