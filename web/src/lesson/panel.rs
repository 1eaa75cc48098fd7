//! The panel of lessons: the contents, or the steps of the open lesson.

use limpid_core::lesson::{Choice, Focus, Question, Step};
use yew::prelude::*;

use super::{Open, Overview, beside, contents, glossary, natively, summary, text, waits};
use crate::i18n::{Locale, common};
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::page::{Page, Pane as Shown, Side, Topic, View, use_page};
use crate::scroll::into_view;

/// The panel.
pub(crate) fn lesson_panel() -> Html {
    html! { <Panel /> }
}

#[component]
fn Panel() -> Html {
    let page = use_page(&[Topic::Prefs]);
    let locale = page.locale();
    use_effect_with(locale, move |_| super::translate(&page));
    live(&[Topic::Prefs, Topic::Open, Topic::Scene], draw_panel)
}

fn draw_panel(page: &Page) -> Html {
    let view = page.view();
    let locale = view.prefs.locale;
    let study = &view.study;
    let title = match &study.open {
        Some(open) => open.lesson.title.clone(),
        None => study.overview.title(locale),
    };
    let inside = study.open.is_some() || !matches!(study.overview, Overview::Contents);
    // Each has its own pane, which starts scrolled to the top.
    let shown = match (&study.open, &study.overview) {
        (Some(open), _) => open.id.clone(),
        (None, Overview::Contents) => "contents".to_owned(),
        (None, overview) => overview.title(locale),
    };
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    html! {
        <aside class="side lessons" data-testid="lessons" aria-label={locale.say(common::LESSONS)}>
            <header>
                if inside {
                    <button class="button" title={locale.say(words::CONTENTS)}
                        aria-label={locale.say(words::CONTENTS)} data-testid="lesson-contents"
                        onclick={on(super::contents)}>
                        { glyph(Icon::JumpBack) }
                    </button>
                }
                <h2>{ title }</h2>
                <span class="sub"></span>
                if study.open.is_some() {
                    <button class="button" title={locale.say(words::RESTART)}
                        aria-label={locale.say(words::RESTART)} data-testid="lesson-restart"
                        onclick={on(super::restart)}>
                        { glyph(Icon::Restart) }
                    </button>
                }
                <button class="button" title={locale.say(common::CLOSE)} data-testid="lesson-close"
                    aria-label={locale.say(common::CLOSE)}
                    onclick={on(|page| page.show_side(Side::Closed))}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <Pane {shown}>
                if let Some(trouble) = &study.trouble {
                    <p class="empty" role="alert">
                        { locale.fill(words::TROUBLE, &[("what", trouble)]) }
                    </p>
                }
                { match (&study.open, &study.overview) {
                    (Some(open), _) => lesson(page, locale, open),
                    (None, Overview::Contents) => contents::contents(page),
                    (None, Overview::Glossary) => glossary::all(page),
                    (None, Overview::Summary(summary)) => summary::draw(page, summary),
                } }
            </Pane>
            { glossary::card(page) }
        </aside>
    }
}

#[derive(Properties, PartialEq)]
struct PaneProps {
    /// What the pane shows: the contents, a lesson, and so on.
    shown: String,
    children: Html,
}

/// The scrolling pane. The contents keep their scroll position.
#[component]
fn Pane(props: &PaneProps) -> Html {
    let page = use_page(&[]);
    let place = use_node_ref();
    let is_contents = |view: &View| {
        view.study.open.is_none() && matches!(view.study.overview, Overview::Contents)
    };
    let is_first = use_mut_ref(|| true);
    use_effect_with(props.shown.clone(), {
        let (page, place) = (page.clone(), place.clone());
        move |_| {
            let Some(pane) = place.cast::<web_sys::HtmlElement>() else { return };
            let scrolled = {
                let view = page.view();
                is_contents(&view).then_some(view.study.scrolled)
            };
            if let Some(scrolled) = scrolled {
                pane.set_scroll_top(scrolled);
            }
            // The pressed button is gone and took the focus with it, so the pane gets it for Tab.
            if !is_first.replace(false) && is_nowhere() {
                let _ = pane.focus();
            }
        }
    });
    let onscroll = Callback::from(move |event: Event| {
        let pane: web_sys::Element = event.target_unchecked_into();
        let mut view = page.view_mut();
        if is_contents(&view) {
            view.study.scrolled = pane.scroll_top();
        }
    });
    html! {
        <div class="pane" tabindex="0" key={props.shown.clone()} ref={place} {onscroll}>
            { props.children.clone() }
        </div>
    }
}

/// Whether nothing on the page has the focus.
fn is_nowhere() -> bool {
    let document = gloo::utils::document();
    let focused = document.active_element();
    focused.is_none_or(|focused| document.body().is_some_and(|body| *body == focused))
}

fn lesson(page: &Page, locale: Locale, open: &Open) -> Html {
    let lesson = &open.lesson;
    let done = open.progress.done();
    let waits = lesson.steps.iter().filter(|step| !step.open).count();
    let (at, of) = (done.min(waits).to_string(), waits.to_string());
    let complete = open.progress.is_complete(lesson);
    html! {
        <>
            <p class="goal">{ &lesson.goal }</p>
            <p class="dim" role="status" data-testid="lesson-progress" data-done={at.clone()}
                data-complete={complete.to_string()}>
                { match complete {
                    true => locale.say(words::COMPLETE).to_owned(),
                    false => locale.fill(words::DONE_OF, &[("done", &at), ("all", &of)]),
                } }
            </p>
            { text::blocks(page, &lesson.intro) }
            { natively::natively(locale, open) }
            <ol class="steps">
                { for lesson.steps.iter().enumerate().map(|(number, step)| {
                    one_step(page, locale, open, number, step)
                }) }
            </ol>
        </>
    }
}

fn one_step(page: &Page, locale: Locale, open: &Open, number: usize, step: &Step) -> Html {
    let done = open.progress.done();
    // The step that was just done stays expanded with the next one, so that its result can be read.
    let just_done = number + 1 == done && open.shown == done;
    let shown = open.shown == number || just_done;
    let state = match number {
        n if n < done => "done",
        n if n == done => "now",
        _ => "later",
    };
    let unfold = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.change(Topic::Open, |view| {
                if let Some(open) = &mut view.study.open {
                    (open.shown, open.hints, open.solution) = (number, 0, false);
                }
            });
        })
    };
    html! {
        <li class={classes!("step", state)} data-testid={format!("step-{}", step.id)} data-state={state}
            aria-current={(state == "now").then_some("step")}>
            <button class="title" aria-expanded={shown.to_string()} onclick={unfold}>
                { tick(locale, number < done) }<span>{ &step.title }</span>
            </button>
            if state == "now" && number > 0 {
                <Reached />
            }
            if shown {
                <div class="body">
                    { text::blocks(page, &step.text) }
                    { step.question.as_ref().map(|q| question(page, open, number, q)) }
                    { waits::waits(locale, open, number, step) }
                    { help(page, locale, open, step) }
                    { step.beside.map(beside::beside) }
                </div>
            }
        </li>
    }
}

fn question(page: &Page, open: &Open, number: usize, question: &Question) -> Html {
    let chosen = open.progress.answered(number).map(|answer| answer.0);
    let fixed = number != open.progress.done();
    let offer = |(place, offered): (usize, &Choice)| {
        let onclick = {
            let page = page.clone();
            Callback::from(move |_: MouseEvent| super::answer(&page, number, place))
        };
        let is_chosen = chosen == Some(place);
        let right = match (is_chosen, offered.right) {
            (false, _) => None,
            (true, true) => Some("right"),
            (true, false) => Some("wrong"),
        };
        html! {
            <li class={classes!(right)}>
                <button aria-pressed={is_chosen.to_string()} disabled={fixed} {onclick}
                    data-testid={(!fixed).then(|| format!("answer-{place}"))}>
                    { text::blocks(page, &offered.text) }
                </button>
                if is_chosen {
                    <Because key={place}>{ text::blocks(page, &offered.because) }</Because>
                }
            </li>
        }
    };
    html! {
        <div class="question" role="group">
            { text::blocks(page, &question.text) }
            <ul>{ for question.answers.iter().enumerate().map(offer) }</ul>
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct BecauseProps {
    children: Html,
}

/// A hook: the reference of an element that is scrolled into view when it appears.
#[hook]
fn use_scrolled_into_view() -> NodeRef {
    let place = use_node_ref();
    use_effect_with((), {
        let place = place.clone();
        move |()| {
            if let Some(element) = place.cast::<web_sys::Element>() {
                into_view(&element);
            }
        }
    });
    place
}

/// The explanation of an answer, which is scrolled into view when it appears.
#[component]
fn Because(props: &BecauseProps) -> Html {
    let place = use_scrolled_into_view();
    html! { <div class="because" role="status" ref={place}>{ props.children.clone() }</div> }
}

/// The beginning of the present step. When the step is reached, it is scrolled into view with a
/// part of its text; the step that was just done stays in view above, as far as there is room.
#[component]
fn Reached() -> Html {
    let place = use_scrolled_into_view();
    html! { <div class="reached" ref={place}></div> }
}

/// The help of a step: hints, the solution, and what to look at.
fn help(page: &Page, locale: Locale, open: &Open, step: &Step) -> Html {
    let on = |act: fn(&mut Open)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.change(Topic::Open, |view| {
                if let Some(open) = &mut view.study.open {
                    act(open);
                }
            });
        })
    };
    let look = {
        let (page, focus) = (page.clone(), step.focus.clone());
        Callback::from(move |_: MouseEvent| look_at(&page, &focus))
    };
    html! {
        <>
            if open.hints > 0 {
                <ol class="hints">
                    { for step.hints.iter().take(open.hints).map(|hint| html! {
                        <li>{ text::blocks(page, hint) }</li>
                    }) }
                </ol>
            }
            if open.solution {
                <pre class="lines" tabindex="0" data-testid="solution"><code>
                    { for step.solution.iter().map(|command| format!("{command}\n")) }
                </code></pre>
            }
            <p class="helps">
                if open.hints < step.hints.len() {
                    <button class="button framed" data-testid="hint" onclick={on(|open| open.hints += 1)}>
                        { locale.say(words::HINT) }
                    </button>
                }
                if !open.solution && !step.solution.is_empty() {
                    <button class="button framed" data-testid="show-solution"
                        onclick={on(|open| open.solution = true)}>
                        { locale.say(words::SOLUTION) }
                    </button>
                }
                if !step.focus.is_empty() {
                    <button class="button framed" data-testid="look" onclick={look}>
                        { locale.say(words::LOOK) }
                    </button>
                }
            </p>
        </>
    }
}

/// Selects the bodies that a step is about on the map.
fn look_at(page: &Page, focus: &[Focus]) {
    let names = focus.iter().flat_map(|focus| match focus {
        Focus::Node(name) => vec![name.as_str()],
        Focus::Link(a, b) => vec![a.as_str(), b.as_str()],
    });
    let bodies: Vec<_> = {
        let view = page.view();
        names.filter_map(|name| view.scene.named(name)).map(|body| body.id).collect()
    };
    page.change(Topic::Open, |view| {
        view.selected = bodies.into_iter().collect();
        view.pane = Shown::Map;
    });
    page.notify(Topic::Scene);
}

/// The tick of a step or lesson: a circle, with a check mark when it is done.
pub(super) fn tick(locale: Locale, done: bool) -> Html {
    match done {
        true => html! {
            <i class="tick done" role="img" aria-label={locale.say(words::DONE)}>{ "✓" }</i>
        },
        false => html! { <i class="tick" aria-hidden="true"></i> },
    }
}

mod words {
    crate::i18n::texts! {
        CONTENTS: "All lessons", "全部课程";
        RESTART: "Begin this lesson anew", "重新开始这一课";
        TROUBLE: "This could not be loaded: {what}. Check the connection and open it again.", "加载失败：{what}。请检查网络后重新打开。";
        DONE: "done", "已完成";
        DONE_OF: "{done} of {all} steps done", "已完成 {done} / {all} 步";
        COMPLETE: "All steps are done.", "全部步骤已完成。";
        HINT: "A hint", "提示";
        SOLUTION: "Show the solution", "查看答案";
        LOOK: "Show it on the map", "在地图上指出";
    }
}
