//! A program that runs many Worlds one after another: the same accident in each, under another
//! seed, so that a chance can be counted.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::machine::{ConnId, Input, Machine, Outbox, Output, Stream};
use crate::rng::Rng;
use crate::sim::{Action, Launch, LaunchError, Process, World};
use crate::time::{Duration, Mono, Now};

use super::programs::programs;
use super::sentinels::few_sentinels;

/// `worlds [--sentinels <count>] [--down <percent>] [--count <Worlds>]`: in each World every
/// Sentinel loses its power with this chance, and then the primary does. Counted is in how many a
/// replica is promoted.
#[derive(Clone, Debug)]
pub struct Worlds {
    sentinels: u8,
    down: u64,
    count: u64,
    /// Worlds that are over, and those of them that got a new primary.
    over: (u64, u64),
    trial: Option<Trial>,
    outputs: VecDeque<Output>,
    wake: Option<Mono>,
    /// Lines that are being printed.
    printing: u32,
}

/// One World, and what it waits for.
#[derive(Clone, Debug)]
struct Trial {
    world: World,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    /// Servers and Sentinels find each other.
    Meeting { until: Mono },
    /// The accident has happened.
    Replacing { until: Mono },
}

impl Worlds {
    /// Sentinels that one can ask for.
    const SENTINELS: core::ops::RangeInclusive<u8> = 1..=9;
    /// Worlds that one can ask for.
    const COUNT: core::ops::RangeInclusive<u64> = 1..=1_000;
    /// Inner time that one call lets pass.
    const SLICE: Duration = Duration::from_millis(200);
    /// Outer time between two calls.
    const PACE: Duration = Duration::from_millis(1);
    /// Until all Sentinels know each other: each says hello every two seconds.
    const MEETING: Duration = Duration::from_secs(5);
    /// Time for the failover; a second attempt fits in, should the first one split the votes.
    const REPLACING: Duration = Duration::from_secs(15);
    /// Worlds after which it says how far it is.
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
            over: (0, 0),
            trial: None,
            outputs: VecDeque::new(),
            wake: None,
            printing: 0,
        })
    }

    /// Goes on a little with the present World, or begins the next one.
    fn step(&mut self) {
        if self.over.0 == self.count {
            self.wake = None;
            return;
        }
        let seed = self.over.0 + 1;
        let sentinels = self.sentinels;
        let trial = self.trial.get_or_insert_with(|| Trial::new(sentinels, seed));
        trial.world.run_for(Self::SLICE);
        let now = trial.world.now();
        match trial.phase {
            Phase::Meeting { until } if now >= until => {
                trial.break_down(self.down, sentinels, seed);
                trial.phase = Phase::Replacing { until: now + Self::REPLACING };
            }
            Phase::Replacing { until } => {
                let replaced = trial.has_new_primary();
                if replaced || now >= until {
                    self.trial = None;
                    self.ended(replaced);
                }
            }
            Phase::Meeting { .. } => {}
        }
    }

    fn ended(&mut self, replaced: bool) {
        self.over.0 += 1;
        self.over.1 += u64::from(replaced);
        let (over, replaced) = self.over;
        if over == self.count {
            let noun = if self.sentinels == 1 { "Sentinel" } else { "Sentinels" };
            self.print(format!(
                "{} {noun}: a new primary in {replaced} of {over} Worlds\n",
                self.sentinels
            ));
        } else if over.is_multiple_of(Self::REPORT) {
            self.print(format!("... {replaced} of {over}\n"));
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
        let phase = Phase::Meeting { until: world.now() + Worlds::MEETING };
        Trial { world, phase }
    }

    /// Sentinels lose their power, each by the same chance, and then the primary does. The draws of
    /// a seed do not depend on how many Sentinels there are: one more means one more draw.
    fn break_down(&mut self, down: u64, sentinels: u8, seed: u64) {
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
                self.wake = Some(now.mono + Self::PACE);
                self.step();
            }
            Input::Signal(_) => {
                self.wake = None;
                self.outputs.push_back(Output::Exit { code: 130 });
            }
            Input::Written { .. } => {
                self.printing = self.printing.saturating_sub(1);
                if self.printing == 0 && self.over.0 == self.count {
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
