//! `limpid lesson`: checks lessons, plays them, and writes a template for a new one.

mod native;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use limpid_core::lab;
use limpid_core::lesson::{self, Lesson};

/// What to do with lessons.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Read lessons and play their solutions in a simulated world
    Check {
        /// Files, or folders with files whose names end in .md
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The seed of the world
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Play the solution of a lesson, step by step
    Run {
        /// The file
        file: PathBuf,
        /// Play it with real processes in a scratch directory, and not in a simulated world
        #[arg(long)]
        native: bool,
        /// The seed of the world
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Write a template for a new lesson
    New {
        /// The file to write; it must not exist
        file: PathBuf,
        /// The title of the lesson
        #[arg(long, default_value = "A new lesson")]
        title: String,
    },
}

/// Runs `limpid lesson`.
pub(crate) fn main(action: Action) -> ExitCode {
    let done = match action {
        Action::Check { files, seed } => check(&files, seed),
        Action::Run { file, native, seed } => run(&file, native, seed),
        Action::New { file, title } => new(&file, &title),
    };
    done.unwrap_or_else(|error| {
        eprintln!("limpid lesson: {error:#}");
        ExitCode::FAILURE
    })
}

fn check(places: &[PathBuf], seed: u64) -> Result<ExitCode> {
    let mut files = Vec::new();
    for place in places {
        collect(place, &mut files)?;
    }
    if files.is_empty() {
        bail!("there is no file whose name ends in .md; name one, or write one: limpid lesson new");
    }
    let mut wrong = 0;
    for file in &files {
        match check_one(file, seed) {
            Ok(said) => println!("{}: {said}", file.display()),
            Err(error) => {
                wrong += 1;
                eprintln!("{}: {error:#}", file.display());
            }
        }
    }
    if wrong > 0 {
        eprintln!("{wrong} of {} lessons are wrong", files.len());
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_one(file: &Path, seed: u64) -> Result<String> {
    let lesson = read(file)?;
    let played = lesson::play(&lesson, seed, lab::programs)?;
    let seconds = played.world.now().as_millis() / 1000;
    Ok(format!("{} steps, played in {seconds} s of virtual time", lesson.steps.len()))
}

fn run(file: &Path, natively: bool, seed: u64) -> Result<ExitCode> {
    let name = file.display();
    let lesson = read(file).with_context(|| name.to_string())?;
    if natively {
        let told = |step: &str| println!("{step}: done");
        native::play(&lesson, told).with_context(|| name.to_string())?;
    } else {
        let played =
            lesson::play(&lesson, seed, lab::programs).with_context(|| name.to_string())?;
        for (step, at) in &played.steps {
            println!("{step}: done after {} s", at.as_millis() / 1000);
        }
    }
    println!("{name}: played to its end");
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Lesson> {
    let text = std::fs::read_to_string(file).context("cannot be read as text")?;
    Ok(Lesson::parse(&text)?)
}

/// Adds a file, or all lessons below a folder in the order of their names.
fn collect(place: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !place.is_dir() {
        files.push(place.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(place).with_context(|| format!("cannot list {place:?}"))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "md") {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn new(file: &Path, title: &str) -> Result<ExitCode> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).open(file).and_then(|mut opened| {
        std::io::Write::write_all(&mut opened, lesson::skeleton(title).as_bytes())
    });
    written.with_context(|| format!("cannot write {}; choose a new name", file.display()))?;
    println!("{0} is written; change it, then: limpid lesson check {0}", file.display());
    Ok(ExitCode::SUCCESS)
}
