//! The summary of a chapter, for printing: each lesson with a picture of its World, its steps, the
//! commands, and the answers to its questions.

use std::rc::Rc;

use limpid_core::lesson::{Command, Lesson, Step};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::{Overview, source, text};
use crate::i18n::Locale;
use crate::lab::{Lab, Topology};
use crate::map::picture::Picture;
use crate::page::{Page, Topic};

/// A chapter with its lessons, in one language.
pub(super) struct Summary {
    title: String,
    lessons: Vec<Part>,
}

/// A lesson with the picture of its World at the beginning.
struct Part {
    lesson: Lesson,
    picture: Picture,
}

impl Summary {
    pub(super) fn title(&self) -> &str {
        &self.title
    }
}

/// Opens the summary of a chapter, by its number.
pub(super) fn open(page: &Page, chapter: usize) {
    let locale = page.locale();
    let Some(index) = page.view().study.index.clone() else { return };
    let page = page.clone();
    spawn_local(async move {
        let Some(chapter) = index.chapters.get(chapter) else { return };
        let mut lessons = Vec::new();
        for entry in &chapter.lessons {
            match source::lesson(locale, &entry.id).await {
                Ok(lesson) => {
                    let lab = Lab::fresh(Topology::of_lesson(&entry.id, &lesson));
                    let picture = Picture::of(&lab, locale);
                    lessons.push(Part { lesson, picture });
                }
                Err(trouble) => {
                    page.change(Topic::Open, |view| view.study.trouble = Some(trouble));
                    return;
                }
            }
        }
        let summary = Summary { title: chapter.title.of(locale).clone(), lessons };
        page.change(Topic::Open, |view| {
            view.study.open = None;
            view.study.trouble = None;
            view.study.overview = Overview::Summary(Rc::new(summary));
        });
    });
}

/// Draws a summary.
pub(super) fn draw(page: &Page, summary: &Summary) -> Html {
    let locale = page.locale();
    let print = Callback::from(|_: MouseEvent| {
        // Does nothing where printing is not allowed, as in some iframes.
        let _ = gloo::utils::window().print();
    });
    html! {
        <article class="summary" data-testid="summary">
            <p class="screen-only">
                <button class="button framed" onclick={print} data-testid="print">
                    { locale.say(words::PRINT) }
                </button>
            </p>
            <h1 class="print-only">{ &summary.title }</h1>
            { for summary.lessons.iter().map(|part| one(page, locale, part)) }
        </article>
    }
}

fn one(page: &Page, locale: Locale, Part { lesson, picture }: &Part) -> Html {
    // Waits are for the test that plays the solution, and an empty line only confirms a default.
    let says_something = |command: &&Command| match command {
        Command::Wait(_) => false,
        Command::Shell { line, .. } => !line.is_empty(),
        _ => true,
    };
    let typed: Vec<String> = lesson
        .steps
        .iter()
        .flat_map(|step| &step.solution)
        .filter(says_something)
        .map(ToString::to_string)
        .collect();
    let learned = |step: &Step| {
        let question = step.question.as_ref()?;
        let right = question.answers.iter().find(|answer| answer.right)?;
        Some(html! {
            <li>
                <div class="asked">{ text::blocks(page, &question.text) }</div>
                { text::blocks(page, &right.text) }
                { text::blocks(page, &right.because) }
            </li>
        })
    };
    let learned: Vec<Html> = lesson.steps.iter().filter_map(learned).collect();
    html! {
        <section>
            <h3>{ &lesson.title }</h3>
            <p class="goal">{ &lesson.goal }</p>
            // A small map is not enlarged to the width of the panel.
            <svg class="picture" viewBox={picture.view_box()} role="img"
                style={format!("max-width: {:.0}px", picture.area.2 * 1.2)}
                aria-label={lesson.title.clone()}>
                { picture.drawing.clone() }
            </svg>
            <ol>{ for lesson.steps.iter().map(|step| html! { <li>{ &step.title }</li> }) }</ol>
            <h4>{ locale.say(words::TYPED) }</h4>
            <pre class="lines" tabindex="0"><code>{ typed.join("\n") }</code></pre>
            if !learned.is_empty() {
                <h4>{ locale.say(words::LEARNED) }</h4>
                <ul class="learned">{ for learned }</ul>
            }
        </section>
    }
}

mod words {
    crate::i18n::texts! {
        PRINT: "Print", "打印";
        TYPED: "What is typed", "输入的命令";
        LEARNED: "What to remember", "要记住的";
    }
}
