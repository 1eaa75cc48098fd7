//! Tests of parsing, playing, rewinding and rejecting lessons.

use crate::lab;
use crate::sim::Session;
use crate::time::Duration;

use super::*;

/// A lesson file with the given steps, and additional front matter.
fn file(front: &str, steps: &str) -> String {
    format!(
        "---\ntitle: T\ngoal: G\nminutes: 3\n{front}hosts:\n  - name: redis-1\n    run:\n      \
         - redis-server --protected-mode no\n---\n{steps}"
    )
}

const STORE: &str = "\
## Store {#store}

Text.

```step
wait:
  - ask: get k
    at: redis-1
    is: v
solution:
  - redis-1> set k v
```

## Type {#type}

```step
wait:
  - typed: get k
    at: redis-1
    shows: '\"v\"'
question:
  text: How many keys?
  answers:
    - {text: one, right: true, because: yes}
    - {text: two, because: no}
hints: [\"Ask `dbsize`.\"]
solution:
  - redis-1> get k
```
";

fn line_of(error: &LessonError, text: &str) -> String {
    text.lines().nth(error.line - 1).unwrap_or_default().trim().to_owned()
}

#[test]
fn the_skeleton_is_a_lesson_whose_solution_plays() {
    let lesson = Lesson::parse(&skeleton("A \"first\" lesson")).expect("it is read");
    assert_eq!(lesson.title, "A  first  lesson");
    let played = play(&lesson, 7, lab::programs).expect("it plays");
    assert_eq!(played.steps.len(), 2);
}

#[test]
fn a_prompt_without_a_number_means_the_first_shell() {
    let steps = "## One {#one}\n\n```step\nwait:\n  - typed: ls\nsolution:\n  - redis-1#1$ ls\n  \
                 - redis-1$ ls\n  - redis-1#2$ ls\n```\n";
    let lesson = Lesson::parse(&file("", steps)).expect("a lesson");
    let told: Vec<String> = lesson.steps[0].solution.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["redis-1$ ls", "redis-1$ ls", "redis-1#2$ ls"]);
}

#[test]
fn a_rewind_undoes_a_step_and_running_on_completes_it_again() {
    let lesson = Lesson::parse(&file("", STORE)).expect("a lesson");
    let mut session = Session::new(lesson.scenario.clone(), 7, lab::programs);
    let mut progress = Progress::default();
    let go = |session: &mut Session, progress: &mut Progress, seconds: u64| {
        session.seek(crate::time::Mono::ZERO + Duration::from_secs(seconds));
        progress.look(&lesson, session.world());
        progress.done()
    };
    assert_eq!(go(&mut session, &mut progress, 1), 0);
    for line in ["run you t redis-cli -h redis-1", "type t get k", "type t set k v"] {
        session.act(line.parse().expect("an action"), crate::sim::Future::Discard).expect("done");
    }
    assert_eq!(go(&mut session, &mut progress, 2), 1);
    // A line typed before the step began does not count.
    let line = "type t get k".parse().expect("an action");
    session.act(line, crate::sim::Future::Discard).expect("done");
    assert_eq!(go(&mut session, &mut progress, 3), 1);
    assert_eq!(progress.met(1), [true]);
    progress.answer(1, Answer(1), session.now());
    assert_eq!(go(&mut session, &mut progress, 3), 1);
    progress.answer(1, Answer(0), session.now());
    assert_eq!(go(&mut session, &mut progress, 4), 2);
    assert!(progress.is_complete(&lesson));

    assert_eq!(go(&mut session, &mut progress, 1), 0);
    assert_eq!(progress.met(0), [false]);
    assert_eq!(go(&mut session, &mut progress, 2), 1);
    // The answer was given later, so it is asked for again.
    assert_eq!(go(&mut session, &mut progress, 4), 1);
    assert_eq!(progress.answered(1), None);
}

#[test]
fn a_lesson_that_is_done_too_early_or_never_is_refused_with_its_line() {
    let early = file(
        "",
        &STORE.replace("get k\n    at: redis-1\n    is: v", "ping\n    at: redis-1\n    is: PONG"),
    );
    let lesson = Lesson::parse(&early).expect("a lesson");
    let error = play(&lesson, 7, lab::programs).expect_err("it is too early");
    assert_eq!(
        error.to_string(),
        "line 10: step 'store' is done before anything was done for it; let it wait for more"
    );
    let text = file("", &STORE.replace("set k v", "set k other"));
    let lesson = Lesson::parse(&text).expect("a lesson");
    let error = play(&lesson, 7, lab::programs).expect_err("it is never done").to_string();
    assert!(
        error.starts_with("line 10: step 'store' is not done 180s after its solution"),
        "{error}"
    );
    assert!(error.contains("redis-1:6379> set k other"), "{error}");
}

#[test]
fn errors_name_the_line_what_is_wrong_and_the_remedy() {
    for (from, to, line, what) in [
        ("ask: get k", "aks: get k", "- aks: get k", "a condition has no 'aks'"),
        ("is: v", "at-least: many", "at-least: many", "'at-least' is 'many'"),
        (
            "at: redis-1\n    is: v",
            "at: redis-9\n    is: v",
            "at: redis-9",
            "there is no host 'redis-9'",
        ),
        ("redis-1> set k v", "set k v", "- set k v", "'set k v' does not say where it is typed"),
        ("{#store}", "", "## Store", "the step 'Store' has no id"),
        ("{#type}", "{#store}", "## Type {#store}", "two steps have the id 'store'"),
        ("right: true, ", "", "- {text: one, because: yes}", "of 2 answers 0 are right"),
        ("Text.", "<b>Text.</b>", "<b>Text.</b>", "there is HTML in the text"),
        (
            "Text.",
            "<script>alert(1)</script>",
            "<script>alert(1)</script>",
            "there is HTML in the text",
        ),
        (
            "Text.",
            "[a](javascript:alert)",
            "[a](javascript:alert)",
            "a link leads to 'javascript:alert'",
        ),
        (
            "Text.",
            "![a](https://x/y.png)",
            "![a](https://x/y.png)",
            "images and footnotes are not used in lessons",
        ),
        (
            "{text: two, because: no}",
            "{text: '[two](term:key)', because: no}",
            "- {text: '[two](term:key)', because: no}",
            "an answer is pressed as a whole, and has a link in it",
        ),
        ("Text.", "# Title", "# Title", "a heading of this level does not belong here"),
        ("is: v", "is: &a v", "is: &a v", "anchors and tags are not allowed"),
    ] {
        let text = file("", &STORE.replacen(from, to, 1));
        let error = Lesson::parse(&text).expect_err(to);
        assert_eq!((&*line_of(&error, &text), &*error.what), (line, what), "{error}");
        assert!(!error.remedy.is_empty());
    }
    let text = file("minuets: 3\n", STORE);
    let error = Lesson::parse(&text).expect_err("a slip");
    assert_eq!(
        error.to_string(),
        "line 5: the front matter has no 'minuets'; keys are title, goal, minutes, builds-on, \
         covers, native, scenario, hosts, latency, warm-up, speed"
    );
    for text in ["", "---\n", "---\ntitle: x\n---\n", "---\n{\n---\n", "\u{0}"] {
        assert!(Lesson::parse(text).is_err(), "{text:?}");
    }
    let long = format!("{}{}", file("", STORE), "x".repeat(Lesson::MAX_BYTES));
    assert!(Lesson::parse(&long).is_err());
    let deep = file("", &format!("{}x\n", "> ".repeat(60)));
    assert!(Lesson::parse(&deep).is_err());
}

#[test]
fn a_text_is_a_tree() {
    let text =
        file("", &format!("One *two* `three`\nfour [five](term:slot).\n\n你好，\n世界\n{STORE}"));
    let lesson = Lesson::parse(&text).expect("a lesson");
    let word = |text: &str| Inline::Text(text.into());
    assert_eq!(
        lesson.intro,
        [
            Block::Paragraph(vec![
                word("One "),
                Inline::Emphasis(vec![word("two")]),
                word(" "),
                Inline::Code("three".into()),
                word(" four "),
                Inline::Link { to: Link::Term("slot".into()), text: vec![word("five")] },
                word("."),
            ]),
            Block::Paragraph(vec![word("你好，世界")]),
        ]
    );
}

#[test]
fn versions_of_a_lesson_may_differ_in_words_only() {
    let one = Lesson::parse(&file("", STORE)).expect("a lesson");
    let other = Lesson::parse(&file("", &STORE.replace("Text.", "文字。"))).expect("a lesson");
    assert_eq!(differences(&one, &other), [""; 0]);
    let changed = STORE.replace("is: v", "is: w").replace("hints: [\"Ask `dbsize`.\"]\n", "");
    let other = Lesson::parse(&file("", &changed)).expect("a lesson");
    assert_eq!(
        differences(&one, &other),
        ["what step 'store' waits for", "the number of hints of step 'type'"]
    );
}

#[test]
fn a_line_that_connects_again_is_typed_at_the_server_that_was_lost() {
    let steps = "\
## Come back {#back}

```step
wait:
  - typed: get k
    at: redis-1
    shows: (nil)
solution:
  - redis-1> ping
  - :crash redis-1
  - redis-1> ping
  - :restart redis-1
  - redis-1> get k
```
";
    let lesson = Lesson::parse(&file("", steps)).expect("a lesson");
    play(&lesson, 7, lab::programs).expect("it plays");
}

#[test]
fn a_write_that_no_server_holds_any_more_is_lost_in_the_ledger() {
    let steps = "\
## Write {#write}

```step
wait:
  - ledger: acknowledged
    at: you
    is: '1'
solution:
  - redis-1> set k v
```

## Lose {#lose}

```step
wait:
  - ledger: lost
    is: '1'
  - process: redis-1:6379
    is: running
solution:
  - :kill redis-1
  - wait 1s
  - :start redis-1
```
";
    let lesson = Lesson::parse(&file("", steps)).expect("a lesson");
    play(&lesson, 7, lab::programs).expect("it plays");
    let unknown = steps.replace("ledger: lost", "ledger: missing");
    let error = Lesson::parse(&file("", &unknown)).expect_err("no such column");
    assert_eq!(line_of(&error, &file("", &unknown)), "- ledger: missing");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn parsing_a_lesson_never_panics(cut in 0usize..700, insert in "[-#`:<>\\[\\]{}&*| \n\\PC]{0,12}") {
        let text = file("", STORE);
        let cut = (0..=cut.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let _ = Lesson::parse(&format!("{}{insert}{}", &text[..cut], &text[cut..]));
    }
}

#[test]
fn a_step_covers_only_what_its_lesson_covers() {
    let steps = STORE.replacen("hints:", "covers: [B1]\nhints:", 1);
    let lesson = Lesson::parse(&file("covers: [A1, B1]\n", &steps)).expect("it is read");
    assert_eq!(lesson.steps[1].covers, ["B1"]);

    let text = file("covers: A1\n", &steps);
    let error = Lesson::parse(&text).expect_err("B1 is not the lesson's");
    assert_eq!(line_of(&error, &text), "## Type {#type}");
    assert!(error.to_string().contains("'B1'"), "{error}");
}

#[test]
fn what_clients_and_proxies_count_is_evidence() {
    let steps = "\
## Wait {#wait}

```step
wait:
  - info: hits
    at: ring
    at-least: 20
  - info: redis-2
    at: ring
    at-least: 10
  - info: replies
    at: busy
    at-least: 10
solution:
  - wait 20s
```
";
    let front = "  - name: redis-2\n    run:\n      - redis-server --protected-mode no\n  - name: ring\n    \
                 run:\n      - command: sharding-client --node redis-1 --node redis-2 --hash murmur\n        \
                 name: ring\n        delay: 20ms\n      - command: traffic -h redis-1\n        name: \
                 busy\n        delay: 20ms\n---\n";
    let text = file("", steps).replacen("---\n## ", &format!("{front}## "), 1);
    let lesson = Lesson::parse(&text).expect("a lesson");
    play(&lesson, 7, lab::programs).expect("it plays");
}
