//! The queue of notification scripts and client reconfiguration scripts.

use std::collections::VecDeque;

use crate::time::{Duration, Mono};

/// The maximum number of jobs; beyond it the oldest job that is not running is dropped.
const MAX_QUEUE: usize = 256;

/// The maximum number of running jobs.
const MAX_RUNNING: usize = 16;

/// The maximum number of attempts of a job.
const MAX_RETRY: u32 = 10;

/// A job of the queue: one execution of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number, which is never reused.
    pub id: u64,
    /// The script's path and its arguments.
    pub argv: Vec<String>,
    /// The number of attempts so far.
    pub tries: u32,
    /// Its state.
    pub state: JobState,
}

/// The state of a [`Job`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits to be started, at this time or immediately.
    Scheduled(Option<Mono>),
    /// It is running.
    Running {
        /// When it was started.
        since: Mono,
        /// The process id.
        pid: Option<u32>,
        /// Whether it was killed because of its timeout.
        killed: bool,
    },
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// It was terminated by this signal.
    Signalled(i32),
    /// It could not be started, for this reason.
    NotStarted(String),
}

impl Ended {
    /// The signal that terminated it, or 0, and its exit status, or 0.
    pub(super) fn numbers(&self) -> (i32, i32) {
        match self {
            Ended::Exited(status) => (0, *status),
            Ended::Signalled(signal) => (*signal, 0),
            // Like Redis, reports signal 99 for a script that could not be started.
            Ended::NotStarted(_) => (99, 0),
        }
    }
}

/// The queue of scripts.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    jobs: VecDeque<Job>,
    last: u64,
}

/// The result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobResult {
    /// It succeeded, or will be retried.
    Fine,
    /// It failed permanently: the script, the signal, the status.
    Failed(String, i32, i32),
}

impl Scripts {
    /// All jobs, oldest first.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Job> {
        self.jobs.iter()
    }

    /// The number of running jobs.
    pub fn running(&self) -> usize {
        self.jobs.iter().filter(|job| matches!(job.state, JobState::Running { .. })).count()
    }

    pub(super) fn schedule(&mut self, argv: Vec<String>) {
        self.last += 1;
        let state = JobState::Scheduled(None);
        self.jobs.push_back(Job { id: self.last, argv, tries: 0, state });
        if self.jobs.len() > MAX_QUEUE {
            let oldest =
                self.jobs.iter().position(|job| matches!(job.state, JobState::Scheduled(_)));
            if let Some(oldest) = oldest {
                self.jobs.remove(oldest);
            }
        }
    }

    /// Takes the jobs that are due.
    pub(super) fn start(&mut self, now: Mono) -> Vec<Job> {
        let mut room = MAX_RUNNING.saturating_sub(self.running());
        let mut started = Vec::new();
        for job in &mut self.jobs {
            let due = match job.state {
                JobState::Scheduled(at) => at.is_none_or(|at| at <= now),
                JobState::Running { .. } => false,
            };
            if due && room > 0 {
                room -= 1;
                job.tries += 1;
                job.state = JobState::Running { since: now, pid: None, killed: false };
                started.push(job.clone());
            }
        }
        started
    }

    /// The scripts that have exceeded the timeout, with their process IDs. Each is returned once.
    pub(super) fn overdue(&mut self, now: Mono, limit: Duration) -> Vec<(String, u32)> {
        let mut overdue = Vec::new();
        for job in &mut self.jobs {
            if let JobState::Running { since, pid: Some(pid), killed } = &mut job.state
                && !*killed
                && now.since(*since) > limit
            {
                *killed = true;
                overdue.push((job.argv.first().cloned().unwrap_or_default(), *pid));
            }
        }
        overdue
    }

    /// The process ID of a running job.
    pub(super) fn pid(&self, id: u64) -> Option<u32> {
        self.jobs.iter().find(|job| job.id == id).and_then(|job| match job.state {
            JobState::Running { pid, .. } => pid,
            JobState::Scheduled(_) => None,
        })
    }

    pub(super) fn started(&mut self, id: u64, process: u32) {
        let job = self.jobs.iter_mut().find(|job| job.id == id);
        if let Some(JobState::Running { pid, .. }) = job.map(|job| &mut job.state) {
            *pid = Some(process);
        }
    }

    /// Ends a job. It is retried later if a signal killed it, or its exit status is 1.
    pub(super) fn ended(
        &mut self,
        now: Mono,
        id: u64,
        how: &Ended,
        retry_delay: Duration,
    ) -> JobResult {
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else {
            return JobResult::Fine;
        };
        let job = &mut self.jobs[at];
        let (signal, status) = how.numbers();
        let started = !matches!(how, Ended::NotStarted(_));
        let again = started && (signal != 0 || status == 1);
        if again && job.tries < MAX_RETRY {
            let delay = retry_delay.saturating_mul(1 << (job.tries.saturating_sub(1)).min(16));
            job.state = JobState::Scheduled(Some(now + delay));
            return JobResult::Fine;
        }
        let path = job.argv.first().cloned().unwrap_or_default();
        self.jobs.remove(at);
        match (signal, status) {
            (0, 0) => JobResult::Fine,
            (signal, status) => JobResult::Failed(path, signal, status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Mono {
        Mono::ZERO + Duration::from_secs(seconds)
    }

    fn queue(jobs: usize) -> Scripts {
        let mut scripts = Scripts::default();
        for n in 0..jobs {
            scripts.schedule(vec!["/bin/tell".into(), n.to_string()]);
        }
        scripts
    }

    #[test]
    fn sixteen_jobs_run_at_once_and_the_oldest_waiting_ones_are_dropped() {
        let mut scripts = queue(300);
        assert_eq!(scripts.jobs().len(), 256);
        let started = scripts.start(at(0));
        assert_eq!((started.len(), started[0].argv[1].as_str()), (16, "44"));
        assert_eq!(scripts.ended(at(1), started[0].id, &Ended::Exited(0), DELAY), JobResult::Fine);
        assert_eq!(scripts.start(at(1)).len(), 1);
    }

    #[test]
    fn a_failed_script_is_retried_with_a_growing_delay() {
        let mut scripts = queue(1);
        let mut now = 0;
        for tries in 1..=10 {
            let [job] = &scripts.start(at(now))[..] else { panic!("it is due at {now}") };
            assert_eq!(job.tries, tries);
            let verdict = scripts.ended(at(now), job.id, &Ended::Exited(1), DELAY);
            if tries == 10 {
                assert_eq!(verdict, JobResult::Failed("/bin/tell".into(), 0, 1));
                break;
            }
            let delay = 30 << (tries - 1);
            assert!(scripts.start(at(now + delay - 1)).is_empty());
            now += delay;
        }
        assert_eq!(scripts.jobs().len(), 0);
    }

    #[test]
    fn a_script_that_takes_too_long_is_told_to_end_once() {
        let mut scripts = queue(1);
        let job = scripts.start(at(0)).remove(0);
        scripts.started(job.id, 42);
        assert!(scripts.overdue(at(60), Duration::from_secs(60)).is_empty());
        let overdue = scripts.overdue(at(61), Duration::from_secs(60));
        assert_eq!(overdue, [("/bin/tell".to_owned(), 42)]);
        assert!(scripts.overdue(at(62), Duration::from_secs(60)).is_empty());
        assert_eq!(scripts.ended(at(62), job.id, &Ended::Signalled(9), DELAY), JobResult::Fine);
        assert_eq!(scripts.running(), 0);
    }

    #[test]
    fn what_cannot_be_started_is_not_tried_again() {
        let mut scripts = queue(1);
        let job = scripts.start(at(0)).remove(0);
        let verdict = scripts.ended(at(0), job.id, &Ended::NotStarted("no shell".into()), DELAY);
        assert_eq!(verdict, JobResult::Failed("/bin/tell".into(), 99, 0));
        assert_eq!(scripts.jobs().len(), 0);
    }
}
