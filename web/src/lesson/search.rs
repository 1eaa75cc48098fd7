//! The search over all lessons: words in titles, goals and texts, in the page's language, or if
//! there is no match in the other one.

use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::source::{self, Index, Text, Texts};
use super::{contents, glossary};
use crate::i18n::Locale;
use crate::page::{Page, Topic, use_page};

/// The most matches that are shown.
const MOST: usize = 40;
/// Characters before and after a found word that are shown.
const AROUND: usize = 40;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub index: Rc<Index>,
}

/// The search field, and below it the matches, or all lessons.
#[component]
pub(super) fn Search(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open]);
    let sought = use_state_eq(|| page.view().study.sought.clone());
    let locale = page.locale();
    let words = Sought::new(&sought);
    use_effect_with(words.is_empty(), {
        let page = page.clone();
        move |&nothing| {
            if !nothing {
                fetch(&page);
            }
        }
    });
    let oninput = {
        let (page, sought) = (page.clone(), sought.clone());
        Callback::from(move |event: InputEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            page.view_mut().study.sought = input.value();
            sought.set(input.value());
        })
    };
    let texts = page.view().study.texts.clone();
    let label = locale.say(words::SEARCH);
    let show_glossary = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| glossary::show(&page))
    };
    html! {
        <>
            <p class="seeking">
                <input class="find" type="search" placeholder={label} aria-label={label}
                    value={(*sought).clone()} {oninput} data-testid="lesson-search" />
                <button class="button framed" onclick={show_glossary} data-testid="glossary-open">
                    { locale.say(words::GLOSSARY) }
                </button>
            </p>
            { match (words.is_empty(), texts) {
                (true, _) => contents::chapters(&page, &props.index),
                (false, None) => Html::default(),
                (false, Some(texts)) => results(&page, &props.index, &texts, &words),
            } }
        </>
    }
}

/// Fetches the texts of lessons, unless they are loaded.
fn fetch(page: &Page) {
    if page.view().study.texts.is_some() {
        return;
    }
    let page = page.clone();
    spawn_local(async move {
        let texts = source::texts().await;
        page.change(Topic::Open, |view| match texts {
            Ok(texts) => view.study.texts = Some(Rc::new(texts)),
            Err(trouble) => view.study.trouble = Some(trouble),
        });
    });
}

fn results(page: &Page, index: &Index, texts: &Texts, words: &Sought) -> Html {
    let locale = page.locale();
    let found = find(index, texts, words, locale);
    html! {
        <>
            <p class="dim" role="status" data-testid="lesson-found" data-count={found.len().to_string()}>
                { match found.len() {
                    0 => locale.say(words::NOTHING).to_owned(),
                    n => locale.fill(words::FOUND, &[("n", &n.to_string())]),
                } }
            </p>
            <ol class="contents">
                { for found.iter().take(MOST).map(|found| {
                    let (page, id) = (page.clone(), found.id.to_owned());
                    let onclick = Callback::from(move |_: MouseEvent| super::resume(&page, &id));
                    html! {
                        <li>
                            <button class="entry-of-lesson" {onclick}
                                data-testid={format!("found-{}", found.id)}>
                                <b>{ found.title }</b>
                                if let Some(step) = found.step { <small>{ step }</small> }
                                <span>{ found.excerpt(words) }</span>
                            </button>
                        </li>
                    }
                }) }
            </ol>
        </>
    }
}

/// The words of a search in lower case, which must all occur.
struct Sought(Vec<String>);

impl Sought {
    fn new(typed: &str) -> Self {
        Sought(typed.to_lowercase().split_whitespace().map(str::to_owned).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all words occur in a text.
    fn all_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.0.iter().all(|word| text.contains(word.as_str()))
    }
}

/// A match.
#[derive(Debug, PartialEq)]
struct Found<'a> {
    id: &'a str,
    title: &'a str,
    step: Option<&'a str>,
    text: &'a str,
}

impl Found<'_> {
    /// The text around the first of the words.
    fn excerpt(&self, words: &Sought) -> String {
        let lower = self.text.to_lowercase();
        let first = words.0.iter().filter_map(|word| lower.find(word.as_str())).min();
        // Lower case may have another length in bytes, but almost always as many characters.
        let at = first.map_or(0, |at| lower[..at].chars().count());
        let from = at.saturating_sub(AROUND);
        let mut excerpt: String = self.text.chars().skip(from).take(3 * AROUND).collect();
        if from > 0 {
            excerpt.insert(0, '…');
        }
        if from + 3 * AROUND < self.text.chars().count() {
            excerpt.push('…');
        }
        excerpt
    }
}

/// The matches in the language of the page, or if there are none in the other one.
fn find<'a>(index: &'a Index, texts: &'a Texts, words: &Sought, locale: Locale) -> Vec<Found<'a>> {
    let found = find_in(locale, index, texts.of(locale), words, locale);
    match found.is_empty() {
        true => find_in(locale.other(), index, texts.of(locale.other()), words, locale),
        false => found,
    }
}

/// The matches in one language: titles and goals first, then the texts of steps. `locale` is the
/// language of the titles that are shown.
fn find_in<'a>(
    language: Locale,
    index: &'a Index,
    texts: &'a [Text],
    words: &Sought,
    locale: Locale,
) -> Vec<Found<'a>> {
    let entries = || index.chapters.iter().flat_map(|chapter| &chapter.lessons);
    let mut found: Vec<Found<'a>> = Vec::new();
    for entry in entries() {
        let (title, goal) = (entry.title.of(locale), entry.goal.of(language));
        if words.all_in(&format!("{} {goal}", entry.title.of(language))) {
            found.push(Found { id: &entry.id, title, step: None, text: goal });
        }
    }
    for text in texts {
        let Some(entry) = entries().find(|entry| entry.id == text.id) else { continue };
        let title = entry.title.of(locale);
        if words.all_in(&text.intro) {
            found.push(Found { id: &text.id, title, step: None, text: &text.intro });
        }
        for step in &text.steps {
            if words.all_in(&format!("{} {}", step.title, step.text)) {
                let step_title = Some(step.title.as_str());
                found.push(Found { id: &text.id, title, step: step_title, text: &step.text });
            }
        }
    }
    found
}

mod words {
    crate::i18n::texts! {
        SEARCH: "Search the lessons", "搜索课程";
        GLOSSARY: "Glossary", "术语表";
        NOTHING: "Nothing was found.", "没有找到。";
        FOUND: "Found in {n} places", "找到 {n} 处";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(index: &'a Index, texts: &'a Texts, typed: &str) -> Vec<Found<'a>> {
        find(index, texts, &Sought::new(typed), Locale::En)
    }

    #[test]
    fn all_words_must_occur_and_titles_come_first() {
        let index: Index = serde_json::from_str(
            r#"{"chapters": [{"title": {"en": "C", "zh": "章"}, "lessons": [
                {"id": "c/a", "minutes": 5, "after": [], "title": {"en": "Slots", "zh": "槽位"},
                 "goal": {"en": "Find a key.", "zh": "找到键。"}},
                {"id": "c/b", "minutes": 5, "after": [], "title": {"en": "B", "zh": "乙"},
                 "goal": {"en": "G", "zh": "目标"}}]}]}"#,
        )
        .expect("an index");
        let texts: Texts = serde_json::from_str(
            r#"{"en": [{"id": "c/b", "intro": "", "steps": [{"title": "One", "text": "A key has a SLOT."}]}],
                "zh": [{"id": "c/b", "intro": "", "steps": [{"title": "一", "text": "每个键属于一个槽位。"}]}]}"#,
        )
        .expect("texts");
        let slots = found(&index, &texts, "slot KEY");
        let places: Vec<_> = slots.iter().map(|found| (found.id, found.step)).collect();
        assert_eq!(places, [("c/a", None), ("c/b", Some("One"))]);
        assert_eq!(slots[1].excerpt(&Sought::new("slot")), "A key has a SLOT.");
        assert!(found(&index, &texts, "slot nowhere").is_empty());
        // In a page in English, a Chinese word finds what the Chinese lessons say.
        let chinese = found(&index, &texts, "槽位");
        let places: Vec<_> = chinese.iter().map(|found| (found.id, found.title)).collect();
        assert_eq!(places, [("c/a", "Slots"), ("c/b", "B")]);
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        let text = "前".repeat(100) + "槽位" + &"后".repeat(200);
        let found = Found { id: "", title: "", step: None, text: &text };
        let excerpt = found.excerpt(&Sought::new("槽位"));
        assert!(excerpt.starts_with('…') && excerpt.ends_with('…') && excerpt.contains("槽位"));
    }
}
