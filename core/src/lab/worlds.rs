//! The program `worlds`: repeats an experiment in many Worlds with different seeds, to estimate a
//! probability.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{ConnId, Input, Machine, Outbox, Output, Stream};
use crate::rng::Rng;
use crate::sim::{Action, Launch, LaunchError, Process, World};
use crate::time::{Duration, Mono, Now};

use super::programs::programs;
use super::sentinels::few_sentinels;

/// Runs `worlds [--sentinels <count>] [--down <percent>] [--count <Worlds>]`.
///
/// Each World has a primary, a replica and some Sentinels. Every Sentinel loses its power with the
/// given probability, and then the primary loses its power. The program counts the Worlds in which
/// the Sentinels promote the replica. World number n has the seed n, so equal options give equal
/// counts.
#[derive(Clone, Debug)]
pub struct Worlds {
    sentinels: u8,
    down: u64,
    count: u64,
    /// The number of Worlds that have ended, and how many of them got a new primary.
    ended: (u64, u64),
    trial: Option<Trial>,
    outputs: VecDeque<Output>,
    wake: Option<Mono>,
    /// Number of lines whose write has not been confirmed yet.
    printing: u32,
}

/// One World of the experiment.
#[derive(Clone, Debug)]
struct Trial {
    world: World,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    /// Servers and Sentinels discover each other until this time.
    Discovery { until: Mono },
    /// The primary is down, and may be replaced until this time.
    Failover { until: Mono },
}

impl Worlds {
    /// The valid range of `--sentinels`.
    const SENTINELS: core::ops::RangeInclusive<u8> = 1..=9;
    /// The valid range of `--count`.
    const COUNT: core::ops::RangeInclusive<u64> = 1..=1_000;
    /// The number of events of the inner World in one slice.
    const SLICE: u64 = 64;
    /// Outer time between two slices.
    const SLICE_INTERVAL: Duration = Duration::from_millis(1);
    /// The time for discovery: of the Sentinels (each publishes a hello every two seconds) and of
    /// the replica (each Sentinel sends INFO every ten seconds).
    const DISCOVERY: Duration = Duration::from_secs(13);
    /// The time for a failover, including a second election in case of a split vote.
    const FAILOVER: Duration = Duration::from_secs(15);
    /// The number of Worlds between two progress lines.
    const REPORT: u64 = 10;

    pub(super) fn launch(launch: &Launch<'_>) -> Result<Self, LaunchError> {
        let (mut sentinels, mut down, mut count) = (3, 30, 100);
        let mut args = launch.args.iter();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| {
                LaunchError(format!("'{arg}' needs a value, as in --sentinels 3 --down 30%"))
            })?;
            let number = value.strip_suffix('%').unwrap_or(value).parse::<u64>().ok();
            let known = match arg.as_str() {
                "--sentinels" => {
                    let given = number.and_then(|n| u8::try_from(n).ok());
                    let given = given.filter(|n| Self::SENTINELS.contains(n));
                    given.map(|given| sentinels = given)
                }
                "--down" => number.filter(|n| *n <= 100).map(|given| down = given),
                "--count" => number.filter(|n| Self::COUNT.contains(n)).map(|given| count = given),
                _ => {
                    let text = format!("unknown option '{arg}'; use --sentinels, --down, --count");
                    return Err(LaunchError(text));
                }
            };
            known.ok_or_else(|| {
                LaunchError(format!(
                    "'{value}' does not fit {arg}; use --sentinels 1 to 9, --down 0% to 100%, \
                     --count 1 to 1000"
                ))
            })?;
        }
        Ok(Worlds {
            sentinels,
            down,
            count,
            ended: (0, 0),
            trial: None,
            outputs: VecDeque::new(),
            wake: None,
            printing: 0,
        })
    }

    /// Runs a slice of the current World, or starts the next World.
    fn step(&mut self) {
        if self.ended.0 == self.count {
            self.wake = None;
            return;
        }
        let (sentinels, seed) = (self.sentinels, self.ended.0 + 1);
        let trial = self.trial.get_or_insert_with(|| Trial::new(sentinels, seed));
        match trial.phase {
            Phase::Discovery { until } => {
                if trial.world.run_budget(until, Self::SLICE) {
                    trial.inject_faults(self.down, sentinels, seed);
                    trial.phase = Phase::Failover { until: until + Self::FAILOVER };
                }
            }
            Phase::Failover { until } => {
                let over = trial.world.run_budget(until, Self::SLICE);
                let replaced = trial.has_new_primary();
                if over || replaced {
                    self.trial = None;
                    self.count(replaced);
                }
            }
        }
    }

    fn count(&mut self, replaced: bool) {
        self.ended.0 += 1;
        self.ended.1 += u64::from(replaced);
        let (ended, replaced) = self.ended;
        if ended == self.count {
            let noun = if self.sentinels == 1 { "Sentinel" } else { "Sentinels" };
            let sentinels = self.sentinels;
            self.print(format!(
                "{sentinels} {noun}: a new primary in {replaced} of {ended} Worlds\n"
            ));
        } else if ended.is_multiple_of(Self::REPORT) {
            self.print(format!("... {replaced} of {ended}\n"));
        }
    }

    fn print(&mut self, line: String) {
        self.printing += 1;
        self.outputs.push_back(Output::Write { stream: Stream::Stdout, bytes: line.into_bytes() });
    }
}

impl Trial {
    fn new(sentinels: u8, seed: u64) -> Self {
        let world = World::new(Arc::new(few_sentinels(sentinels)), seed, programs);
        let phase = Phase::Discovery { until: world.now() + Worlds::DISCOVERY };
        Trial { world, phase }
    }

    /// Cuts the power of random Sentinels, and then of the primary. With one more Sentinel, the
    /// first random numbers of a seed stay the same.
    fn inject_faults(&mut self, down: u64, sentinels: u8, seed: u64) {
        let mut rng = Rng::new(seed);
        let unlucky = (1..=sentinels).filter(|_| rng.below(100) < down);
        let hosts = unlucky.map(|n| format!("sentinel-{n}")).chain(["redis-1".to_owned()]);
        for host in hosts {
            let done = self.world.apply(&Action::Crash { host });
            debug_assert!(done.is_ok(), "the scenario has this host");
        }
    }

    fn has_new_primary(&self) -> bool {
        self.world.procs().any(|proc| {
            let log = self.world.log(proc.id);
            log.into_iter().flat_map(|log| log.iter()).any(|e| e.text.contains("+switch-master"))
        })
    }
}

impl Machine for Worlds {
    fn handle(&mut self, now: Now<'_>, input: Input<'_>) {
        match input {
            Input::Start => self.wake = Some(now.mono),
            Input::Wake if self.wake.is_some_and(|wake| wake <= now.mono) => {
                self.wake = Some(now.mono + Self::SLICE_INTERVAL);
                self.step();
            }
            Input::Signal(_) => {
                self.wake = None;
                self.outputs.push_back(Output::Exit { code: 130 });
            }
            Input::Written { .. } => {
                self.printing = self.printing.saturating_sub(1);
                if self.printing == 0 && self.ended.0 == self.count {
                    self.outputs.push_back(Output::Exit { code: 0 });
                }
            }
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.wake
    }

    fn outbox(&mut self, _: ConnId) -> Option<&mut Outbox> {
        None
    }
}

impl Process for Worlds {
    fn is_tool(&self) -> bool {
        true
    }
}
