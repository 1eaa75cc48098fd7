//! `cargo xtask test`: all checks and tests that a change must pass, with one summary.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lessons::course;
use crate::workspace::{Workspace, run, step};
use crate::{rooms, setup, web};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose name contains this, and no other checks.
    filter: Option<String>,
}

/// Runs setup, checks and tests, and prints the summary.
pub(crate) fn all(ws: &Workspace, args: &Args) -> Result<()> {
    setup::wasm_target(ws)?;
    setup::test_programs()?;
    setup::client_libraries(ws)?;

    let mut summary = Summary::default();
    if args.filter.is_none() {
        checks(ws, &mut summary);
    }
    summary.check("page", || web::build(ws, &web::Args { dev: false }).map(drop));
    tests(ws, args, &mut summary)?;
    summary.tell()
}

fn checks(ws: &Workspace, summary: &mut Summary) {
    summary.check("cargo fmt", || run(ws.cargo().args(["fmt", "--all", "--", "--check"])));
    summary.check("clippy", || {
        let clippy = ["clippy", "--workspace", "--all-targets", "--locked"];
        run(ws.cargo().args(clippy).args(["--", "-D", "warnings"]))
    });
    summary.check("clippy for the page", || {
        let clippy = ["clippy", "-p", "limpid-web", "--locked", "--target", setup::WASM];
        run(ws.cargo().args(clippy).args(["--", "-D", "warnings"]))?;
        run(ws.cargo().args(clippy).args(["--features", "whole", "--", "-D", "warnings"]))
    });
    summary.check("rooms", || rooms::draw(ws, &rooms::Args { check: true }));
    summary.check("course", || course::table(ws, &course::Args { check: true }));
    summary.check("documentation", || {
        let doc = ["doc", "--workspace", "--no-deps", "--locked"];
        run(ws.cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))
    });
}

fn tests(ws: &Workspace, args: &Args, summary: &mut Summary) -> Result<()> {
    // This command has been compiled already, with features of its dependencies that differ from
    // those that the rest of the workspace asks for; together they would be compiled again.
    let rest = ["--workspace", "--exclude", "xtask", "--features", "limpid-web/whole"];
    // `cargo test` does not build the binary that the tests start.
    let built = summary.check("test build", || {
        let mut build = ws.cargo();
        build.args(["build", "--locked", "--all-targets"]).args(rest);
        // The compiler may crash for a temporary lack of memory or disk space. A second try reuses
        // what was built, so it costs little, and a mistake in the code fails again at once.
        run(&mut build).or_else(|error| {
            eprintln!("{error:#}; once more");
            run(&mut build)
        })
    });
    if built {
        let mut command = ws.cargo();
        command.args(["test", "--locked", "--no-fail-fast"]).args(rest).args(&args.filter);
        command.env("LIMPID_BIN", ws.target().join("debug").join("limpid"));
        let failed = summary.cargo_test("tests", &mut command)?;
        summary.repeat(ws, &rest, &failed)?;
    }
    let mut command = ws.cargo();
    command.args(["test", "--locked", "--package", "xtask"]).args(&args.filter);
    summary.cargo_test("tests of xtask", &mut command).map(drop)
}

/// Test programs whose tests run real servers or a browser in real time, several in parallel: the
/// name that cargo prints, and that of the target.
const IN_REAL_TIME: [(&str, &str); 2] =
    [("browser/main.rs", "browser"), ("interop/main.rs", "interop")];

/// The most failed tests that are repeated. More do not fail by chance.
const REPEATED: usize = 3;

/// The results of all steps.
#[derive(Default)]
struct Summary {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    passed: usize,
    failed: usize,
    took: Duration,
    /// For `cargo test`: the results of each test program.
    parts: Vec<Part>,
    /// Details for the end of the summary: an error, or the names of failed tests.
    details: Vec<String>,
}

/// The results of a test program of `cargo test`.
#[derive(Debug, PartialEq)]
struct Part {
    /// Its name in cargo's output: `tests/browser/main.rs`.
    name: String,
    passed: usize,
    failed: usize,
    took: Duration,
}

impl Summary {
    /// Runs a check that succeeds or fails as a whole; true if it succeeded.
    fn check(&mut self, name: &'static str, what: impl FnOnce() -> Result<()>) -> bool {
        step(name);
        let start = Instant::now();
        let result = what();
        let ok = result.is_ok();
        self.steps.push(Step {
            name,
            passed: usize::from(ok),
            failed: usize::from(!ok),
            took: start.elapsed(),
            parts: Vec::new(),
            details: result.err().map(|error| format!("{error:#}")).into_iter().collect(),
        });
        ok
    }

    /// Runs `cargo test`, shows its output, and counts tests. Returns the tests that failed.
    fn cargo_test(&mut self, name: &'static str, command: &mut Command) -> Result<Vec<Failed>> {
        step(name);
        let start = Instant::now();
        // Cargo prints the name of a test program on standard error, and the program its results on
        // standard output. One pipe for both keeps them in order.
        let (output, into) = std::io::pipe()?;
        command.stdout(into.try_clone()?).stderr(into).stdin(Stdio::null());
        command.env("CARGO_TERM_COLOR", "never");
        let mut child = command.spawn().context("cargo test")?;
        // Closes our copy of the pipe's writing end; otherwise reading would never end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut count = Count::default();
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            count.line(&line);
        }
        let status = child.wait()?;
        if !status.success() && count.failed == 0 {
            // A crash or a compile error, for which there was no line of a failed test.
            count.failed = 1;
            let name = format!("cargo test ended with {status}");
            count.tests.push(Failed { program: String::new(), name });
        }
        self.steps.push(Step {
            name,
            passed: count.passed,
            failed: count.failed,
            took: start.elapsed(),
            parts: count.parts,
            details: count.tests.iter().map(|test| test.name.clone()).collect(),
        });
        Ok(count.tests)
    }

    /// Runs failed tests of [`IN_REAL_TIME`] programs once more, each alone. A test that then
    /// passes counts as passed, and the summary names it as one to be fixed.
    fn repeat(&mut self, ws: &Workspace, rest: &[&str], failed: &[Failed]) -> Result<()> {
        let target = |test: &Failed| {
            let found = IN_REAL_TIME.iter().find(|(program, _)| *program == test.program);
            found.map(|(_, target)| *target)
        };
        if failed.len() > REPEATED || !failed.iter().all(|test| target(test).is_some()) {
            return Ok(());
        }
        for test in failed {
            let Some(target) = target(test) else { continue };
            step(&format!("{} once more, alone", test.name));
            let mut command = ws.cargo();
            command.args(["test", "--locked"]).args(rest).args(["--test", target]);
            command.args(["--", "--exact", &test.name]);
            command.env("LIMPID_BIN", ws.target().join("debug").join("limpid"));
            if command.status().context("cargo test")?.success() {
                self.passed_alone(test);
            }
        }
        Ok(())
    }

    /// Counts a test as passed that had failed in parallel with others.
    fn passed_alone(&mut self, test: &Failed) {
        for step in &mut self.steps {
            let Some(detail) = step.details.iter_mut().find(|detail| **detail == test.name) else {
                continue;
            };
            detail.push_str(": failed beside others, passed alone; to be mended");
            step.passed += 1;
            step.failed -= 1;
            if let Some(part) = step.parts.iter_mut().find(|part| part.name == test.program) {
                part.passed += 1;
                part.failed -= 1;
            }
        }
    }

    /// Prints the summary. Its last line is machine-readable.
    fn tell(&self) -> Result<()> {
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

/// A test that failed.
#[derive(Debug, PartialEq)]
struct Failed {
    /// The test program, as in [`Part`].
    program: String,
    name: String,
}

/// The results that `cargo test` has reported so far.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    tests: Vec<Failed>,
    /// The running test program.
    running: String,
    parts: Vec<Part>,
}

impl Count {
    fn line(&mut self, line: &str) {
        if let Some(program) = running(line) {
            self.running = program;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.tests.push(Failed { program: self.running.clone(), name: name.to_owned() });
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
        self.passed += part.passed;
        self.failed += part.failed;
        // Programs that ran no tests (most of them, with a filter) are left out.
        if part.passed + part.failed > 0 {
            self.parts.push(part);
        }
    }
}

/// The test program in a line of cargo: `Running tests/browser/main.rs (target/…)`,
/// `Running unittests src/lib.rs (target/debug/deps/limpid_core-…)`, `Doc-tests limpid_core`.
fn running(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(doc) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{doc} (documentation)"));
    }
    let (name, binary) = line.strip_prefix("Running ")?.split_once(" (")?;
    // The unit tests of every crate are in src/lib.rs or src/main.rs; the binary's name has the
    // crate.
    let file = binary.trim_end_matches(')').rsplit('/').next()?;
    let own = file.rsplit_once('-').map_or(file, |(own, _)| own);
    Some(if name.starts_with("unittests ") { own.to_owned() } else { name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_lines_are_counted() {
        let mut count = Count::default();
        count.line(
            "     Running unittests src/lib.rs (target/debug/deps/limpid_core-0123456789abcdef)",
        );
        count.line("test a::b ... ok");
        count.line("test a::c ... FAILED");
        count.line(
            "test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; \
             finished in 0.02s",
        );
        count.line("   Doc-tests limpid_core");
        count.line("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        count.line("     Running browser/main.rs (target/debug/deps/browser-0123456789abcdef)");
        count.line(
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 61.50s",
        );
        assert_eq!((count.passed, count.failed), (42, 1));
        let part = |name: &str, passed, failed, ms| Part {
            name: name.to_owned(),
            passed,
            failed,
            took: Duration::from_millis(ms),
        };
        assert_eq!(
            count.parts,
            [part("limpid_core", 12, 1, 20), part("browser/main.rs", 30, 0, 61_500)]
        );
        let failed = Failed { program: "limpid_core".to_owned(), name: "a::c".to_owned() };
        assert_eq!(count.tests, [failed]);
    }

    #[test]
    fn a_test_that_passes_alone_is_counted_as_passed_and_named() {
        let mut summary = Summary::default();
        let part = |passed, failed| Part {
            name: "interop/main.rs".to_owned(),
            passed,
            failed,
            took: Duration::ZERO,
        };
        let names = ["a::b", "a::c"].map(str::to_owned);
        summary.steps.push(Step {
            name: "tests",
            passed: 7,
            failed: 2,
            took: Duration::ZERO,
            parts: vec![part(7, 2)],
            details: names.to_vec(),
        });
        let [first, _] = names;
        let program = "interop/main.rs".to_owned();
        summary.passed_alone(&Failed { program, name: first });
        let step = &summary.steps[0];
        assert_eq!((step.passed, step.failed), (8, 1));
        assert_eq!(step.parts, [part(8, 1)]);
        assert!(step.details[0].starts_with("a::b: failed beside others"), "{:?}", step.details);
        assert_eq!(step.details[1], "a::c");
        assert!(summary.tell().is_err());
    }
}
