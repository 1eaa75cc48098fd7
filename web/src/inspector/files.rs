//! The Files tab: a host's directory tree, and the contents of a file.

use yew::prelude::*;

use super::Tab;
use crate::figures;
use crate::files::{Content, FileRow, Form};
use crate::i18n::{Locale, common};
use crate::icon::{Icon, glyph};
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-files",
    title: common::FILES,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels, Topic::Open], files),
    suits: |_| true,
};

/// The files, or the one that is open.
fn files(page: &Page, body: BodyId) -> Html {
    let file = page.view().file.clone();
    match file {
        None => tree(page, body),
        Some((path, from)) => look(page, body, &path, from),
    }
}

fn show(page: &Page, file: Option<(String, u64)>) -> Callback<MouseEvent> {
    let page = page.clone();
    Callback::from(move |_: MouseEvent| {
        page.change(Topic::Open, |view| view.file = file.clone());
    })
}

fn tree(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let rows = page.lab().files(body);
    if rows.is_empty() {
        return html! { <p class="empty">{ locale.say(words::NO_FILES) }</p> };
    }
    html! {
        <>
            <table class="facts files" data-testid="files">
                <thead><tr>
                    <th scope="col">{ locale.say(words::FILE) }</th>
                    <th scope="col" class="num">{ locale.say(words::SIZE) }</th>
                    <th scope="col" class="num">{ locale.say(words::NOT_SYNCED) }</th>
                </tr></thead>
                <tbody>{ for rows.iter().map(|row| file_row(page, locale, row)) }</tbody>
            </table>
            <p class="dim">{ locale.say(words::SYNCED_NOTE) }</p>
        </>
    }
}

fn file_row(page: &Page, locale: Locale, row: &FileRow) -> Html {
    let indent = format!("padding-left:{}px", row.depth * 14);
    if row.dir {
        return html! {
            <tr key={row.path.clone()} class="dir">
                <td style={indent} colspan="3">{ format!("{}/", row.name) }</td>
            </tr>
        };
    }
    let unsynced = row.len.saturating_sub(row.synced);
    html! {
        <tr key={row.path.clone()}>
            <td style={indent}>
                <button class="linklike" data-testid={format!("file-{}", row.name)}
                    onclick={show(page, Some((row.path.clone(), 0)))}>{ &row.name }</button>
            </td>
            <td class="num">{ figures::bytes(row.len) }</td>
            <td class={classes!("num", (unsynced > 0).then_some("alarming"))}>{ match unsynced {
                0 => locale.say(words::ALL_SYNCED).to_owned(),
                n => figures::bytes(n),
            } }</td>
        </tr>
    }
}

fn look(page: &Page, body: BodyId, path: &str, from: u64) -> Html {
    let locale = page.locale();
    let content = page.lab().content(body, path, from);
    html! {
        <div class="file" data-testid="file">
            <div class="filehead">
                <button class="button framed" data-testid="files-back" onclick={show(page, None)}>
                    { glyph(Icon::JumpBack) }{ locale.say(words::ALL_FILES) }
                </button>
                <code>{ path }</code>
            </div>
            { match &content {
                Some(content) => pieces(page, locale, path, from, content),
                None => html! { <p class="empty">{ locale.say(words::FILE_GONE) }</p> },
            } }
        </div>
    }
}

fn pieces(page: &Page, locale: Locale, path: &str, from: u64, content: &Content) -> Html {
    let form = locale.say(match content.form {
        Form::Rdb => words::FORM_RDB,
        Form::Commands => words::FORM_COMMANDS,
        Form::Text => words::FORM_PLAIN,
        Form::Bytes => words::FORM_BYTES,
    });
    let plain = content.form == Form::Text;
    html! {
        <>
            <p class="dim">{ form }</p>
            if content.lines.is_empty() && content.broken.is_none() {
                <p class="empty">{ locale.say(words::FILE_EMPTY) }</p>
            }
            <ol class={classes!("content", plain.then_some("plain"))} data-testid="file-content">
                { for content.lines.iter().map(|(at, line)| html! {
                    <li key={*at}>
                        if !plain { <span class="at">{ at }</span> }
                        <span>{ line }</span>
                    </li>
                }) }
            </ol>
            if let Some(why) = &content.broken {
                <p class="alarming" data-testid="file-broken">
                    { locale.fill(words::FILE_BROKEN, &[("why", why)]) }
                </p>
            }
            <div class="pager">
                if from > 0 {
                    <button class="button framed" onclick={show(page, Some((path.to_owned(), 0)))}>
                        { locale.say(words::FROM_START) }
                    </button>
                }
                if let Some(next) = content.next {
                    <button class="button framed" data-testid="file-next"
                        onclick={show(page, Some((path.to_owned(), next)))}>
                        { locale.say(words::FURTHER_ON) }
                    </button>
                }
            </div>
        </>
    }
}

mod words {
    crate::i18n::texts! {
        FILE: "File", "文件";
        SIZE: "Size", "大小";
        NOT_SYNCED: "Not on disk", "未落盘";
        ALL_SYNCED: "–", "–";
        SYNCED_NOTE: "What is not on disk yet is lost with the power.", "尚未落盘的部分会随断电丢失。";
        NO_FILES: "The disk is empty.", "磁盘是空的。";
        ALL_FILES: "All files", "全部文件";
        FILE_GONE: "This file is not there (any more).", "文件不存在（或已删除）。";
        FILE_EMPTY: "The file is empty.", "文件是空的。";
        FILE_BROKEN: "The rest cannot be read: {why}", "其余部分无法读取：{why}";
        FROM_START: "From the start", "回到开头";
        FURTHER_ON: "Further on", "继续";
        FORM_RDB: "A snapshot (RDB), record by record, each behind its offset", "快照（RDB），逐条记录及其偏移量";
        FORM_COMMANDS: "Commands (AOF), each behind its offset", "命令（AOF）及其偏移量";
        FORM_PLAIN: "Text", "文本";
        FORM_BYTES: "Bytes, each line behind its offset", "字节及其偏移量";
    }
}
