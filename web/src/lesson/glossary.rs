//! The glossary: the meaning of a word at the bottom of the panel, and the list of all words.

use std::collections::BTreeMap;
use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::Overview;
use super::source::{self, Term};
use crate::i18n::common;
use crate::icon::{Icon, glyph};
use crate::page::{Page, Topic};

/// The words by their ids.
pub(super) type Glossary = BTreeMap<String, Term>;

/// Shows the list of all words.
pub(super) fn show(page: &Page) {
    page.change(Topic::Open, |view| {
        view.study.open = None;
        view.study.term = None;
        view.study.overview = Overview::Glossary;
    });
    fetch(page);
}

/// A word of the glossary in a text: a click shows its meaning.
pub(super) fn link(page: &Page, id: &str, text: Html) -> Html {
    let open = page.view().study.term.as_deref() == Some(id);
    let (page, id) = (page.clone(), id.to_owned());
    let onclick = Callback::from(move |_: MouseEvent| {
        page.change(Topic::Open, |view| {
            view.study.term = (!open).then(|| id.clone());
        });
        fetch(&page);
    });
    html! { <button class="term" aria-expanded={open.to_string()} {onclick}>{ text }</button> }
}

/// The meaning of the word that was clicked.
pub(super) fn card(page: &Page) -> Html {
    let view = page.view();
    let locale = page.locale();
    let study = &view.study;
    let shown = study.term.as_ref().zip(study.glossary.as_ref());
    let Some((id, term)) = shown.and_then(|(id, all)| Some((id, all.get(id)?))) else {
        return Html::default();
    };
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    html! {
        <div class="word" role="status" data-testid={format!("word-{id}")}>
            <b>{ term.name.of(locale) }</b>
            <button class="button" title={locale.say(common::CLOSE)}
                aria-label={locale.say(common::CLOSE)}
                onclick={on(|page| page.change(Topic::Open, |view| view.study.term = None))}>
                { glyph(Icon::Close) }
            </button>
            <p>{ term.means.of(locale) }</p>
            <button class="inline" onclick={on(show)}>{ locale.say(words::ALL) }</button>
        </div>
    }
}

/// The list of all words, sorted by name.
pub(super) fn all(page: &Page) -> Html {
    let locale = page.locale();
    let Some(glossary) = page.view().study.glossary.clone() else { return Html::default() };
    let mut terms: Vec<_> = glossary.iter().collect();
    terms.sort_by_key(|(_, term)| term.name.of(locale).to_lowercase());
    html! {
        <dl class="words" data-testid="glossary">
            { for terms.into_iter().map(|(id, term)| html! {
                <div key={id.clone()} id={format!("word-{id}")}>
                    <dt>{ term.name.of(locale) }
                        // Both languages, since readers meet the other one's words in commands and
                        // logs.
                        if !term.name.of(locale).eq_ignore_ascii_case(term.name.of(locale.other())) {
                            <small lang={locale.other().tag()}>{ term.name.of(locale.other()) }</small>
                        }
                    </dt>
                    <dd>{ term.means.of(locale) }</dd>
                </div>
            }) }
        </dl>
    }
}

/// Fetches the glossary, unless it is loaded.
fn fetch(page: &Page) {
    if page.view().study.glossary.is_some() {
        return;
    }
    let page = page.clone();
    spawn_local(async move {
        let glossary = source::glossary().await;
        page.change(Topic::Open, |view| match glossary {
            Ok(glossary) => view.study.glossary = Some(Rc::new(glossary)),
            Err(trouble) => view.study.trouble = Some(trouble),
        });
    });
}

mod words {
    crate::i18n::texts! {
        ALL: "All words", "全部术语";
    }
}
