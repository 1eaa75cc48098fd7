//! What has passed and what has not.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::workspace::step;

/// What has passed and what has not, by step.
#[derive(Default)]
pub(super) struct Summary {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    passed: usize,
    failed: usize,
    took: Duration,
    /// Of tests: what each test program did.
    parts: Vec<Part>,
    /// What to show at the end: an error, or the names of failed tests.
    details: Vec<String>,
}

/// One test program.
#[derive(Debug, PartialEq)]
struct Part {
    /// As in `interop/main.rs`.
    name: String,
    passed: usize,
    failed: usize,
    took: Duration,
}

/// A test that failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed {
    /// The test program, as in [`Part`].
    pub(super) program: String,
    pub(super) name: String,
}

/// What came of tests.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ran {
    parts: Vec<Part>,
    failed: Vec<Failed>,
    /// What the summary says of each of those that failed, or did so at first.
    details: Vec<String>,
}

impl Summary {
    /// Does one thing that succeeds or fails as a whole; true if it succeeded.
    pub(super) fn check(&mut self, name: &'static str, what: impl FnOnce() -> Result<()>) -> bool {
        self.check_on(name, Duration::ZERO, what)
    }

    /// The same for the rest of what has taken some time before, beside something else.
    pub(super) fn check_on(
        &mut self,
        name: &'static str,
        before: Duration,
        what: impl FnOnce() -> Result<()>,
    ) -> bool {
        step(name);
        let start = Instant::now();
        let result = what();
        let ok = result.is_ok();
        self.steps.push(Step {
            name,
            passed: usize::from(ok),
            failed: usize::from(!ok),
            took: before + start.elapsed(),
            parts: Vec::new(),
            details: result.err().map(|error| format!("{error:#}")).into_iter().collect(),
        });
        ok
    }

    /// Counts tests.
    pub(super) fn add(&mut self, name: &'static str, ran: Ran, took: Duration) {
        self.steps.push(Step {
            name,
            passed: ran.parts.iter().map(|part| part.passed).sum(),
            failed: ran.parts.iter().map(|part| part.failed).sum(),
            took,
            parts: ran.parts,
            details: ran.details,
        });
    }

    /// The summary. Its last line is read by machines.
    pub(super) fn tell(&self) -> Result<()> {
        step("Summary");
        for s in &self.steps {
            let mark = if s.failed == 0 { "ok    " } else { "FAILED" };
            let (name, passed, failed, took) = (s.name, s.passed, s.failed, s.took.as_secs());
            println!("{mark} {name:26} {passed:5} passed {failed:3} failed {took:5} s");
            for Part { name, passed, failed, took } in &s.parts {
                let took = took.as_secs();
                println!("         {name:24} {passed:5} passed {failed:3} failed {took:5} s");
            }
            for detail in &s.details {
                println!("       {detail}");
            }
        }
        let passed: usize = self.steps.iter().map(|s| s.passed).sum();
        let failed: usize = self.steps.iter().map(|s| s.failed).sum();
        println!("\n{passed} passed, {failed} failed");
        if failed > 0 {
            bail!("{failed} failed");
        }
        Ok(())
    }
}

impl Ran {
    /// The tests that failed.
    pub(super) fn failed(&self) -> &[Failed] {
        &self.failed
    }

    /// Adds what came of other tests.
    pub(super) fn add(&mut self, other: Ran) {
        self.parts.extend(other.parts);
        self.failed.extend(other.failed);
        self.details.extend(other.details);
    }

    /// Counts a test as passed that failed beside others.
    pub(super) fn passed_alone(&mut self, test: &Failed) {
        let Some(at) = self.failed.iter().position(|failed| failed == test) else { return };
        self.failed.remove(at);
        if let Some(detail) = self.details.iter_mut().find(|detail| **detail == test.name) {
            detail.push_str(": failed beside others, passed alone; to be mended");
        }
        if let Some(part) = self.parts.iter_mut().find(|part| part.name == test.program) {
            part.passed += 1;
            part.failed -= 1;
        }
    }
}

/// What a test program has reported so far, or those programs that cargo makes of documentation.
pub(super) struct Count {
    /// The test program that runs.
    running: String,
    ran: Ran,
}

impl Count {
    pub(super) fn new(program: &str) -> Self {
        Count { running: program.to_owned(), ran: Ran::default() }
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Some(crate_name) = line.trim_start().strip_prefix("Doc-tests ") {
            self.running = format!("{crate_name} (documentation)");
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.failed(name.to_owned());
        }
        if !line.starts_with("test result: ") {
            return;
        }
        // test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in …
        let mut part =
            Part { name: self.running.clone(), passed: 0, failed: 0, took: Duration::default() };
        let mut words = line.split([' ', ';']).filter(|w| !w.is_empty()).peekable();
        while let Some(word) = words.next() {
            if let Some(seconds) = word.strip_suffix('s').and_then(|s| s.parse::<f64>().ok()) {
                part.took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            let Ok(n) = word.parse::<usize>() else { continue };
            match words.peek().copied() {
                Some("passed") => part.passed = n,
                Some("failed") => part.failed = n,
                _ => {}
            }
        }
        // Programs without tests, and all of them but one if a filter is given, say nothing.
        if part.passed + part.failed > 0 {
            self.ran.parts.push(part);
        }
    }

    /// What came of the program, now that it has ended.
    pub(super) fn end(mut self, status: ExitStatus, took: Duration) -> Ran {
        if !status.success() && self.ran.failed.is_empty() {
            // A crash, or a test that did not compile: no line told of it.
            let name = self.running.clone();
            self.ran.parts.push(Part { name: name.clone(), passed: 0, failed: 1, took });
            self.failed(format!("{name} ended with {status}"));
        }
        self.ran
    }

    fn failed(&mut self, name: String) {
        self.ran.details.push(name.clone());
        self.ran.failed.push(Failed { program: self.running.clone(), name });
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn part(name: &str, passed: usize, failed: usize, ms: u64) -> Part {
        Part { name: name.to_owned(), passed, failed, took: Duration::from_millis(ms) }
    }

    fn failed(program: &str, name: &str) -> Failed {
        Failed { program: program.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_a_test_program_prints_is_counted() {
        let mut count = Count::new("limpid_core");
        count.line("test a::b ... ok");
        count.line("test a::c ... FAILED");
        count.line(
            "test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; \
             finished in 0.02s",
        );
        let ran = count.end(ExitStatus::from_raw(101 << 8), Duration::from_secs(1));
        assert_eq!(ran.parts, [part("limpid_core", 12, 1, 20)]);
        assert_eq!(ran.failed, [failed("limpid_core", "a::c")]);

        let mut count = Count::new("documentation");
        count.line("   Doc-tests limpid_core");
        count.line(
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 1.50s",
        );
        count.line("   Doc-tests limpid_lua");
        count.line("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        let ran = count.end(ExitStatus::default(), Duration::from_secs(1));
        assert_eq!(ran.parts, [part("limpid_core (documentation)", 2, 0, 1_500)]);
        assert!(ran.failed.is_empty());
    }

    #[test]
    fn a_program_that_ends_before_it_has_told_its_result_has_failed() {
        let mut count = Count::new("interop/main.rs");
        count.line("test a::b ... ok");
        let ran = count.end(ExitStatus::from_raw(6), Duration::from_secs(3));
        assert_eq!(ran.parts, [part("interop/main.rs", 0, 1, 3_000)]);
        assert!(ran.details[0].starts_with("interop/main.rs ended with "), "{:?}", ran.details);
    }

    #[test]
    fn a_test_that_passes_alone_is_counted_as_passed_and_named() {
        let program = "interop/main.rs";
        let (first, second) = (failed(program, "a::b"), failed(program, "a::c"));
        let mut ran = Ran::default();
        ran.add(Ran {
            parts: vec![part(program, 7, 2, 0)],
            details: vec![first.name.clone(), second.name.clone()],
            failed: vec![first.clone(), second.clone()],
        });
        ran.passed_alone(&first);
        assert_eq!(ran.parts, [part(program, 8, 1, 0)]);
        assert_eq!(ran.failed, [second]);
        assert!(ran.details[0].starts_with("a::b: failed beside others"), "{:?}", ran.details);
        assert_eq!(ran.details[1], "a::c");
        let mut summary = Summary::default();
        summary.add("tests", ran, Duration::ZERO);
        assert!(summary.tell().is_err());
    }
}
