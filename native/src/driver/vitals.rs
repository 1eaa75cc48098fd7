//! Memory and CPU time of this process, as the operating system reports them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use limpid_core::machine::Vitals;
use limpid_core::time::Duration;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Reads [`Vitals`] with two system calls.
#[derive(Debug)]
pub(super) struct Gauge {
    /// `/proc/self/statm`, kept open; `None` on systems without it.
    statm: Option<File>,
    page: u64,
    host_memory: u64,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Gauge {
            statm: File::open("/proc/self/statm").ok(),
            page: rustix::param::page_size() as u64,
            host_memory: host_memory(),
        }
    }

    pub(super) fn read(&self) -> Vitals {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Vitals {
            resident: self.resident_pages().unwrap_or(0).saturating_mul(self.page),
            cpu_system: usage.map(|u| duration(u.system_time())).unwrap_or_default(),
            cpu_user: usage.map(|u| duration(u.user_time())).unwrap_or_default(),
            host_memory: self.host_memory,
        }
    }

    fn resident_pages(&self) -> Option<u64> {
        let mut buffer = [0; 128];
        let len = self.statm.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = str::from_utf8(buffer.get(..len)?).ok()?;
        text.split(' ').nth(1)?.parse().ok()
    }
}

fn duration(time: TimeVal) -> Duration {
    let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(secs) + Duration::from_micros(micros)
}

fn host_memory() -> u64 {
    let info = rustix::system::sysinfo();
    // In units of `mem_unit` bytes; `c_ulong` differs between platforms.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_processor_time() {
        let vitals = Gauge::new().read();
        assert!(vitals.resident > 100_000 && vitals.resident < vitals.host_memory, "{vitals:?}");
        assert!(vitals.cpu_user + vitals.cpu_system > Duration::ZERO, "{vitals:?}");
    }
}
