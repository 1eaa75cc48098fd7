//! The lessons that come with the page: every one plays, and both languages ask for the same.

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
    /// A World's shell is deep in frames when nothing is inlined.
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
    // Every lesson has a World of its own, so that they can be played side by side.
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
