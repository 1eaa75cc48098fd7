//! `limpid lesson` with real processes, and `limpid playground --lessons` with a teacher's own
//! lessons.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use limpid_core::lesson::{Lesson, skeleton};
use limpid_tests::process::{Process, binary, free_port};
use limpid_tests::wait::until_some;

/// The lessons of the page, in English.
fn lessons() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons/en");
    let chapters = root.read_dir().expect("a folder of chapters").flatten();
    let files = chapters.flat_map(|chapter| chapter.path().read_dir().into_iter().flatten());
    files.flatten().map(|file| file.path()).collect()
}

#[test]
fn every_lesson_that_needs_no_world_plays_with_real_processes() {
    /// The number of lessons that are played in parallel, since most of the time each only waits.
    const PLAYERS: usize = 4;
    let mut native = Vec::new();
    for file in lessons() {
        let text = std::fs::read_to_string(&file).expect("a text");
        if Lesson::parse(&text).expect("a lesson").native {
            native.push(file);
        }
    }
    let count = native.len();
    let waiting = Mutex::new(native.into_iter());
    let next = || waiting.lock().expect("no player panics with it").next();
    let player = || {
        let mut wrong = Vec::new();
        while let Some(file) = next() {
            let run =
                Command::new(binary()).args(["lesson", "run", "--native"]).arg(&file).output();
            let output = run.expect("limpid starts");
            if !output.status.success() {
                let text = [output.stdout, output.stderr].concat();
                wrong.push(format!("{}\n{}", file.display(), String::from_utf8_lossy(&text)));
            }
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS).map(|_| scope.spawn(player)).collect();
        players.into_iter().flat_map(|player| player.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} lessons say 'native: true'");
}

#[test]
fn a_lesson_with_a_fault_is_refused_natively_with_its_step() {
    let lesson =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../static/lessons/en/replication/cut-link.md");
    let run = |options: &[&str]| {
        let mut limpid = Command::new(binary());
        limpid.args(["lesson", "run"]).args(options).arg(&lesson);
        let output = limpid.output().expect("limpid starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (ok, said) = run(&["--native"]);
    assert!(!ok && said.contains("needs a World"), "{said}");
    let (ok, said) = run(&[]);
    assert!(ok && said.contains("played to its end"), "{said}");
}

/// The response of the page's web server.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_teachers_lessons_are_served_and_a_change_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine").join("first.md");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(&file, skeleton("My first lesson")).expect("written");
    let (port, http) = (free_port(), free_port());
    let folder_text = folder.path().to_string_lossy().into_owned();
    let (port_text, http_text) = (port.to_string(), http.to_string());
    let args =
        ["playground", "--port", &port_text, "--http-port", &http_text, "--lessons", &folder_text];
    let _playground = Process::start(&args, &[], port);
    let index = until_some(|| "the index".to_owned(), || get(http, "/lessons/index.json"));
    assert!(
        index.contains("\"id\":\"mine/first\"") && index.contains("My first lesson"),
        "{index}"
    );
    for language in ["en", "zh"] {
        let lesson = get(http, &format!("/lessons/{language}/mine/first.md")).expect("a lesson");
        assert!(lesson.contains("title: \"My first lesson\""), "{lesson}");
    }
    for other in ["/lessons/en/mine/second.md", "/lessons/en/../../etc/passwd.md"] {
        let answer = get(http, other).expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }

    let state = |answer: String| answer.lines().last().unwrap_or_default().to_owned();
    let before = state(get(http, "/lessons/changed").expect("a state"));
    let path = format!("/lessons/changed?since={before}");
    let waits = std::thread::spawn(move || get(http, &path));
    std::fs::write(&file, skeleton("Another title")).expect("written");
    let after = state(waits.join().expect("a thread").expect("a state"));
    assert_ne!(after, before);
    assert!(get(http, "/lessons/index.json").expect("an index").contains("Another title"));
    // A lesson that cannot be read is listed with its error.
    std::fs::write(&file, "no lesson").expect("written");
    assert!(get(http, "/lessons/index.json").expect("an index").contains("line 1"));
}
