//! Verdicts: whether noisy rounds show that a goal is reached.

/// A summary of the ratios of several rounds: Limpid's figure over Redis's in the same round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    /// The median.
    pub(super) median: f64,
    /// The lower quartile; `high` is the upper one.
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Whether a ratio reaches a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Reached,
    Missed,
    /// The goal is between the quartiles of the rounds.
    Undecided,
}

impl Ratio {
    /// Summarizes the ratios of at least one round.
    pub(super) fn of(rounds: &[f64]) -> Ratio {
        let mut rounds = rounds.to_vec();
        rounds.sort_by(f64::total_cmp);
        let last = rounds.len().saturating_sub(1);
        let at = |quarters: usize| {
            // Interpolates between two ratios.
            let (place, rest) = (last * quarters / 4, (last * quarters % 4) as f64 / 4.0);
            let get = |n: usize| rounds.get(n.min(last)).copied().unwrap_or(f64::NAN);
            get(place) + (get(place + 1) - get(place)) * rest
        };
        Ratio { median: at(2), low: at(1), high: at(3) }
    }

    /// Whether the ratio is at most `goal`.
    pub(super) fn against(self, goal: f64) -> Verdict {
        match self {
            Ratio { high, .. } if high <= goal => Verdict::Reached,
            Ratio { low, .. } if low > goal => Verdict::Missed,
            _ => Verdict::Undecided,
        }
    }

    /// The columns of a table's row after its title: the figures of both programs, the ratio, and
    /// the verdict.
    pub(super) fn row(self, [limpid, redis]: [f64; 2], goal: f64) -> String {
        let Ratio { median, low, high } = self;
        let mark = self.against(goal).mark();
        format!(
            "{limpid:>8.2} {redis:>8.2} {median:>6.2} {low:>4.2} - {high:>4.2} {goal:>5.2}{mark}"
        )
    }
}

/// The ratio of two figures. A Redis figure of zero, or below because of noise, is no goal that
/// could be reached.
pub(super) fn over(limpid: f64, redis: f64) -> f64 {
    if redis > 0.0 { limpid / redis } else { f64::INFINITY }
}

/// The rows that missed their goals, and those that are undecided.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) missed: Vec<String>,
    pub(super) undecided: Vec<String>,
}

impl Findings {
    /// Adds the verdict of a row.
    pub(super) fn note(&mut self, row: &str, verdict: Verdict) {
        match verdict {
            Verdict::Reached => {}
            Verdict::Missed => self.missed.push(row.to_owned()),
            Verdict::Undecided => self.undecided.push(row.to_owned()),
        }
    }

    pub(super) fn extend(&mut self, other: Findings) {
        self.missed.extend(other.missed);
        self.undecided.extend(other.undecided);
    }
}

/// The factor by which rounds are increased at most while a verdict is undecided.
const MORE_ROUNDS: usize = 3;

/// Whether to run another round after `done` ones, of which there are at least `rounds`.
pub(super) fn another(done: usize, rounds: usize, verdicts: impl FnOnce() -> Vec<Verdict>) -> bool {
    done < rounds || done < rounds * MORE_ROUNDS && verdicts().contains(&Verdict::Undecided)
}

impl Verdict {
    /// Its mark in a table.
    pub(super) fn mark(self) -> char {
        match self {
            Verdict::Reached => ' ',
            Verdict::Missed => '!',
            Verdict::Undecided => '?',
        }
    }
}

#[test]
fn a_goal_within_the_middle_half_of_the_rounds_is_undecided() {
    let ratio = Ratio::of(&[0.7, 0.9, 0.8, 2.0, 0.6]);
    assert_eq!(ratio, Ratio { median: 0.8, low: 0.7, high: 0.9 });
    assert_eq!(ratio.against(0.9), Verdict::Reached);
    assert_eq!(ratio.against(0.85), Verdict::Undecided);
    assert_eq!(ratio.against(0.65), Verdict::Missed);
    let two = Ratio::of(&[1.0, 2.0]);
    assert_eq!(two, Ratio { median: 1.5, low: 1.25, high: 1.75 });
    assert_eq!(Ratio::of(&[f64::NAN]).against(1.0), Verdict::Undecided);
    assert_eq!(Ratio::of(&[0.1, f64::INFINITY, 0.2, 0.3]).against(1.0), Verdict::Undecided);
}
