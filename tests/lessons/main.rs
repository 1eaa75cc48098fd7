//! Tests of the page's lessons: every solution plays, and both languages have the same conditions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use limpid_core::lab;
use limpid_core::lesson::{Lesson, differences, play};

/// The lessons of a language by `chapter/lesson`.
fn lessons(language: &str) -> BTreeMap<String, Lesson> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons").join(language);
    let mut found = BTreeMap::new();
    for chapter in root.read_dir().expect("a folder of chapters").flatten() {
        for file in chapter.path().read_dir().into_iter().flatten().flatten() {
            let path = file.path();
            let name = path.strip_prefix(&root).expect("it lies there").with_extension("");
            let text = std::fs::read_to_string(&path).expect("a text");
            let lesson =
                Lesson::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.insert(name.to_string_lossy().into_owned(), lesson);
        }
    }
    found
}

#[test]
fn every_solution_plays_and_every_step_is_done_in_its_turn() {
    /// The stack size in bytes: without inlining, a World's shell needs many frames.
    const STACK: usize = 16 << 20;
    let waiting = Mutex::new(lessons("en").into_iter());
    let next = || waiting.lock().expect("no player panics with it").next();
    let player = || {
        let mut wrong = Vec::new();
        while let Some((name, lesson)) = next() {
            if let Err(error) = play(&lesson, 7, lab::programs) {
                wrong.push(format!("{name}: {error}"));
            }
        }
        wrong
    };
    // Every lesson has its own World, so they are played in parallel.
    let players = thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = thread::scope(|scope| {
        let start = |_| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, player);
        let players: Vec<_> = (0..players).map(start).collect();
        let ends = players.into_iter().map(|player| player.expect("a thread").join());
        ends.flat_map(|wrong| wrong.expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_languages_have_the_same_lessons_with_the_same_steps_checks_and_hints() {
    let (english, chinese) = (lessons("en"), lessons("zh"));
    assert_eq!(english.keys().collect::<Vec<_>>(), chinese.keys().collect::<Vec<_>>());
    for (name, lesson) in &english {
        assert_eq!(differences(lesson, &chinese[name]), [""; 0], "{name}");
    }
}

#[test]
fn a_lesson_builds_on_lessons_that_there_are() {
    let lessons = lessons("en");
    for (name, lesson) in &lessons {
        for before in &lesson.builds_on {
            assert!(lessons.contains_key(before), "{name} builds on '{before}'");
        }
    }
}

#[test]
fn a_lesson_is_short_asks_something_helps_and_ends_with_something_left_to_break() {
    for language in ["en", "zh"] {
        for (name, lesson) in lessons(language) {
            let missing = |what: &str| format!("{language}/{name}: {what}");
            assert!((5..=12).contains(&lesson.minutes), "{}", missing("5 to 12 minutes"));
            assert!(
                !lesson.goal.is_empty() && !lesson.intro.is_empty(),
                "{}",
                missing("a beginning")
            );
            let (last, steps) = lesson.steps.split_last().expect("steps");
            assert!(last.open && !last.text.is_empty(), "{}", missing("something left to break"));
            assert!(steps.iter().any(|step| step.question.is_some()), "{}", missing("a question"));
            for step in steps {
                let missing = |what: &str| missing(&format!("{what} in step '{}'", step.id));
                assert!(!step.open && !step.text.is_empty(), "{}", missing("what to do"));
                assert!(!step.hints.is_empty(), "{}", missing("a hint"));
                assert!(
                    !step.solution.is_empty() || step.question.is_some(),
                    "{}",
                    missing("a solution")
                );
                let answers = step.question.iter().flat_map(|question| &question.answers);
                for answer in answers {
                    assert!(!answer.because.is_empty(), "{}", missing("a reason for an answer"));
                }
            }
        }
    }
}

/// The first lesson that links to each word of the glossary, in the order of the contents.
fn first_links(language: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons");
    let contents = std::fs::read_to_string(root.join("contents.yaml")).expect("the contents");
    let mut first = BTreeMap::new();
    let mut chapter = "";
    for line in contents.lines() {
        if let Some(name) = line.strip_prefix("- chapter: ") {
            chapter = name.trim();
        }
        let names =
            line.trim().strip_prefix("lessons: [").and_then(|names| names.strip_suffix(']'));
        for name in names.into_iter().flat_map(|names| names.split(", ")) {
            let file = root.join(language).join(chapter).join(name).with_extension("md");
            let text = std::fs::read_to_string(&file).expect("a lesson of the contents");
            for link in text.split("](term:").skip(1) {
                let id = link.split(')').next().unwrap_or_default().to_owned();
                first.entry(id).or_insert_with(|| format!("{chapter}/{name}"));
            }
        }
    }
    first
}

#[test]
fn words_of_the_glossary_are_linked_first_in_the_same_lesson_in_both_languages() {
    let glossary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons/glossary.yaml");
    let glossary = std::fs::read_to_string(glossary).expect("the glossary");
    let (english, chinese) = (first_links("en"), first_links("zh"));
    assert_eq!(english, chinese);
    let words = glossary.lines().filter_map(|line| line.strip_suffix(':'));
    let words: Vec<&str> = words.filter(|word| !word.starts_with(['#', ' '])).collect();
    let unused: Vec<&&str> = words.iter().filter(|word| !english.contains_key(**word)).collect();
    assert!(unused.is_empty(), "no lesson links to {unused:?}");
    let unknown: Vec<&String> = english.keys().filter(|id| !words.contains(&id.as_str())).collect();
    assert!(unknown.is_empty(), "the glossary has no {unknown:?}");
}
