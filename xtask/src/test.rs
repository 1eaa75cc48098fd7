//! `cargo xtask test`: everything that must hold before a change is taken, with one summary.
//!
//! Parts run in parallel: the page's programs are compiled during the checks and the test build, and
//! tests that only compute run at low priority during those that wait for real servers and a browser.

mod programs;
mod summary;

use std::fs::File;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lessons::course;
use crate::workspace::{Workspace, print, run, with_output_to};
use crate::{rooms, setup, web};
use programs::{Priority, Program};
use summary::{Failed, Ran, Summary};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose name contains this, and no other checks.
    pub(crate) filter: Option<String>,
}

/// The tests use the page as it is deployed, not a development build.
const PAGE: web::Args = web::Args { dev: false };

/// Sets up, checks, tests, and tells.
pub(crate) fn all(ws: &Workspace, args: &Args) -> Result<()> {
    setup::wasm_target(ws)?;
    let missing = setup::missing_test_programs()?;

    let mut summary = Summary::default();
    thread::scope(|scope| {
        let page = Background::start(ws, scope, "page", || web::programs(ws, &PAGE))?;
        let peers = Background::start(ws, scope, "peers", || {
            setup::install(&missing)?;
            setup::client_libraries(ws)
        })?;
        if args.filter.is_none() {
            checks(ws, &mut summary);
        }
        let mut programs = Vec::new();
        let built = summary.check("test build", || programs::build(ws, &mut programs));

        let page = page.end()?;
        summary.check_on("page", page.took, || {
            let programs = page.result?;
            // It has been built with the tests, unless that failed.
            let drawer = ws.target().join("debug").join("posters");
            let posters = web::posters(ws, built.then_some(&*drawer))?;
            web::finish(ws, &PAGE, programs, posters).map(drop)
        });
        let peers = peers.end()?;
        if summary.check_on("what the tests need", peers.took, || peers.result) {
            tests(ws, args, &programs, &mut summary)?;
        }
        anyhow::Ok(())
    })?;
    summary.tell()
}

/// Work in a background thread.
struct Background<'scope, T> {
    thread: ScopedJoinHandle<'scope, Finished<T>>,
    /// The file with its output, which is shown when it has finished.
    log: PathBuf,
}

/// The result of background work, and how long it took.
struct Finished<T> {
    result: Result<T>,
    took: Duration,
}

impl<'scope, T: Send + 'scope> Background<'scope, T> {
    fn start(
        ws: &Workspace,
        scope: &'scope Scope<'scope, '_>,
        name: &str,
        work: impl FnOnce() -> Result<T> + Send + 'scope,
    ) -> Result<Self> {
        let folder = ws.target().join("xtask");
        std::fs::create_dir_all(&folder)?;
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        eprintln!("Meanwhile: {name} (see {})", log.display());
        let thread = scope.spawn(|| {
            let start = Instant::now();
            let result = with_output_to(file, work);
            Finished { result, took: start.elapsed() }
        });
        Ok(Background { thread, log })
    }

    /// Waits until the work has finished, and shows its output.
    fn end(self) -> Result<Finished<T>> {
        let ended = self.thread.join().unwrap_or_else(|why| resume_unwind(why));
        print(&std::fs::read(&self.log)?);
        Ok(ended)
    }
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
        let doc = ["doc", "--workspace", "--no-deps", "--locked", "--lib", "--bins"];
        // With an example come the features that dependencies have for the tests, with which clippy
        // has checked them already.
        run(ws.cargo().args(doc).arg("--examples").env("RUSTDOCFLAGS", "-D warnings"))
    });
}

fn tests(ws: &Workspace, args: &Args, programs: &[Program], summary: &mut Summary) -> Result<()> {
    let filter = args.filter.as_deref();
    let start = Instant::now();
    let (computing, others): (Vec<_>, Vec<_>) = programs.iter().partition(|p| p.only_computes());
    let run_all = |programs: &[&Program], priority| -> Result<Ran> {
        let mut all = Ran::default();
        for program in programs {
            all.add(program.run(ws, filter, priority)?);
        }
        Ok(all)
    };
    let mut ran = thread::scope(|scope| {
        let computing = Background::start(ws, scope, "computing", || {
            let mut ran = run_all(&computing, Priority::Low)?;
            ran.add(programs::documentation(ws, filter, Priority::Low)?);
            Ok(ran)
        })?;
        let mut ran = run_all(&others, Priority::Usual)?;
        ran.add(computing.end()?.result?);
        anyhow::Ok(ran)
    })?;
    repeat(ws, programs, &mut ran)?;
    summary.add("tests", ran, start.elapsed());
    Ok(())
}

/// How many failed tests are repeated at most. More than these do not fail by chance.
const REPEATED: usize = 3;

/// Runs those of the failed tests once more, alone, that depend on the speed of the machine. A
/// test that then passes counts as passed, and the summary names it as a test to fix.
fn repeat(ws: &Workspace, programs: &[Program], ran: &mut Ran) -> Result<()> {
    let program =
        |test: &Failed| programs.iter().find(|p| p.is_in_real_time() && p.name() == test.program);
    let failed = ran.failed().to_vec();
    if failed.len() > REPEATED || !failed.iter().all(|test| program(test).is_some()) {
        return Ok(());
    }
    for test in &failed {
        let Some(program) = program(test) else { continue };
        if program.passes_alone(ws, &test.name)? {
            ran.passed_alone(test);
        }
    }
    Ok(())
}
