//! The contents: all lessons by chapter, with progress, and a search.

use std::rc::Rc;

use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::prelude::*;

use super::panel::tick;
use super::search::Search;
use super::source::Index;
use super::store::{self, Kept};
use super::summary;
use crate::i18n::Locale;
use crate::page::Page;

/// The table of contents, with its search.
pub(super) fn contents(page: &Page) -> Html {
    let locale = page.locale();
    let Some(index) = page.view().study.index.clone() else {
        return html! { <p class="empty">{ locale.say(words::LOADING) }</p> };
    };
    html! {
        <>
            <p class="dim">{ locale.say(words::WHAT) }</p>
            <Search {index} />
            { keeping(page, locale) }
        </>
    }
}

/// The chapters, each with its lessons and its summary.
pub(super) fn chapters(page: &Page, index: &Rc<Index>) -> Html {
    let locale = page.locale();
    let entry = |entry: &super::source::Entry| {
        let done = Kept::was_completed(&entry.id);
        let (page, id) = (page.clone(), entry.id.clone());
        let onclick = Callback::from(move |_: MouseEvent| super::resume(&page, &id));
        let titles = index.chapters.iter().flat_map(|chapter| &chapter.lessons);
        let before: Vec<&str> = titles
            .filter(|other| entry.after.contains(&other.id))
            .map(|other| other.title.of(locale).as_str())
            .collect();
        html! {
            <li>
                <button class="entry-of-lesson" data-testid={format!("lesson-{}", entry.id)} {onclick}>
                    <b>{ tick(locale, done) }{ entry.title.of(locale) }</b>
                    <span>{ entry.goal.of(locale) }</span>
                    <small>
                        { locale.fill(words::MINUTES, &[("n", &entry.minutes.to_string())]) }
                        if !before.is_empty() {
                            { " · " }
                            { locale.fill(words::AFTER, &[("lessons", &before.join(", "))]) }
                        }
                    </small>
                </button>
            </li>
        }
    };
    html! {
        <>
            { for index.chapters.iter().enumerate().map(|(number, chapter)| {
                let done = chapter.lessons.iter().filter(|l| Kept::was_completed(&l.id)).count();
                let minutes: u64 = chapter.lessons.iter().map(|lesson| lesson.minutes).sum();
                let page = page.clone();
                let onclick = Callback::from(move |_: MouseEvent| summary::open(&page, number));
                html! {
                    <section>
                        <h3>{ chapter.title.of(locale) }
                            <small>{ locale.fill(words::CHAPTER, &[
                                ("done", &done.to_string()),
                                ("all", &chapter.lessons.len().to_string()),
                                ("n", &minutes.to_string()),
                            ]) }</small>
                        </h3>
                        <ol class="contents">{ for chapter.lessons.iter().map(entry) }</ol>
                        <button class="inline" {onclick} data-testid={format!("summary-{number}")}>
                            { locale.say(words::SUMMARY) }
                        </button>
                    </section>
                }
            }) }
        </>
    }
}

/// The buttons that copy all progress to the clipboard and read it back.
fn keeping(page: &Page, locale: Locale) -> Html {
    let clipboard = |read: bool| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            let page = page.clone();
            spawn_local(async move {
                let clipboard = gloo::utils::window().navigator().clipboard();
                let done = match read {
                    true => {
                        let text = JsFuture::from(clipboard.read_text()).await;
                        text.ok()
                            .and_then(|text| text.as_string())
                            .is_some_and(|t| store::import(&t))
                    }
                    false => JsFuture::from(clipboard.write_text(&store::export())).await.is_ok(),
                };
                let said = match (done, read) {
                    (true, true) => words::IMPORTED,
                    (true, false) => words::EXPORTED,
                    (false, _) => words::NOT_KEPT,
                };
                page.toast(page.say(said).to_owned());
            });
        })
    };
    html! {
        <p class="keeping">
            <button class="button framed" data-testid="lessons-export" onclick={clipboard(false)}>
                { locale.say(words::EXPORT) }
            </button>
            <button class="button framed" data-testid="lessons-import" onclick={clipboard(true)}>
                { locale.say(words::IMPORT) }
            </button>
        </p>
    }
}

mod words {
    crate::i18n::texts! {
        CHAPTER: "{done} of {all} done · {n} minutes", "已完成 {done} / {all} · {n} 分钟";
        SUMMARY: "Summary to print", "可打印的小结";
        MINUTES: "{n} minutes", "{n} 分钟";
        AFTER: "builds on: {lessons}", "先修：{lessons}";
        EXPORT: "Copy my progress", "复制学习进度";
        IMPORT: "Paste my progress", "粘贴学习进度";
        EXPORTED: "Your progress is on the clipboard. Paste it into a file, or into another browser.", "学习进度已复制，可以存成文件，或粘贴到另一个浏览器。";
        IMPORTED: "Your progress has been taken over.", "学习进度已导入。";
        NOT_KEPT: "That did not work: the clipboard is not allowed, or holds something else.", "操作未成功：浏览器不允许访问剪贴板，或内容不是学习进度。";
        WHAT: "Each lesson runs on real servers in this page and sees by itself what you have done.", "每一课都在本页面里真实运行的服务器上进行，做到哪一步会自动识别。";
        LOADING: "Loading the lessons…", "正在加载课程……";
    }
}
