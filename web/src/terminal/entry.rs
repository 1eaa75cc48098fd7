//! The entry of a terminal: a plain text field with the keys of readline, grey hints after the
//! caret, and completions below.

use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, HtmlInputElement};
use yew::prelude::*;

use crate::page::{Page, Topic, use_page};

use super::editor::{Edit, Line};
use super::{interrupt, meta, submit};

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub index: usize,
}

/// The completions that Tab cycles through.
#[derive(Clone, PartialEq, Debug)]
struct Offers {
    lines: Vec<String>,
    at: usize,
}

/// The entry of a terminal.
#[component]
pub(crate) fn Entry(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Terminals]);
    let field = use_node_ref();
    let text = use_state_eq(String::new);
    let offers = use_state_eq(|| None::<Offers>);
    let index = props.index;
    {
        // Another tab starts with an empty line and without completions.
        let (text, offers) = (text.clone(), offers.clone());
        use_effect_with(index, move |_| {
            text.set(String::new());
            offers.set(None);
        });
    }

    let oninput = {
        let (page, text, offers) = (page.clone(), text.clone(), offers.clone());
        Callback::from(move |event: InputEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            offers.set(None);
            page.change_terminals(|terminals| {
                if let Some(tab) = terminals.tabs.get_mut(index) {
                    tab.history.search_for(&input.value());
                }
            });
            text.set(input.value());
        })
    };
    let (shown, offered) = (text.clone(), offers.clone());
    let onkeydown = {
        let (page, text, offers) = (page.clone(), text.clone(), offers.clone());
        Callback::from(move |event: KeyboardEvent| {
            // While an input method is composing, it gets all keys.
            if event.is_composing() || event.key_code() == 229 {
                return;
            }
            let input: HtmlInputElement = event.target_unchecked_into();
            let mut entry = Keys { page: &page, index, input: &input, offers: &offers };
            if entry.press(&event) {
                event.prevent_default();
                text.set(input.value());
            }
        })
    };
    let onpaste = {
        let page = page.clone();
        Callback::from(move |event: Event| {
            let Some(event) = event.dyn_ref::<ClipboardEvent>() else { return };
            let pasted = event.clipboard_data().and_then(|data| data.get_data("text/plain").ok());
            let Some(pasted) = pasted.filter(|pasted| pasted.trim_end().contains('\n')) else {
                return;
            };
            event.prevent_default();
            let input: HtmlInputElement = event.unchecked_ref::<Event>().target_unchecked_into();
            let lines = Keys { page: &page, index, input: &input, offers: &offers }.paste(&pasted);
            text.set(input.value());
            // Submits the pasted lines one after the other, as if typed.
            lines.iter().for_each(|line| submit(&page, index, line));
        })
    };

    let terminals = page.terminals();
    let Some(tab) = terminals.tabs.get(index) else { return Html::default() };
    let locale = page.locale();
    let console = page.lab().console(&tab.process).unwrap_or_default();
    let searching = tab.history.search().is_some();
    let prompt = match tab.history.search() {
        Some(search) => {
            let found = tab.history.found().unwrap_or_default();
            format!("{}{found}  ", locale.fill(words::REVERSE_SEARCH, &[("query", &search.query)]))
        }
        None if console.waiting => String::new(),
        None => console.prompt.clone(),
    };
    let hint = if searching { None } else { hint(&page, &shown) };
    let typed = (*shown).clone();
    let label = locale.fill(words::TERMINAL_INPUT, &[("name", &tab.server)]);
    html! {
        <>
            if let Some(offers) = &*offered {
                <div class="offers" role="listbox" aria-label={locale.say(words::SUGGESTIONS)}>
                    { for offers.lines.iter().enumerate().map(|(i, line)| html! {
                        <span role="option" aria-selected={(i == offers.at).to_string()}>
                            { line.trim_end() }
                        </span>
                    }) }
                </div>
            }
            <div class="entry">
                <span class="prompt" data-testid="prompt">{ prompt }</span>
                <span class="field">
                    if let Some(hint) = hint {
                        <span class="ghost" aria-hidden="true" data-testid="hint">
                            <i>{ typed.clone() }</i>{ hint }
                        </span>
                    }
                    <input id="entry" type="text" ref={field} value={typed}
                        data-testid="entry" aria-label={label} autocomplete="off"
                        autocapitalize="off" autocorrect="off" spellcheck="false"
                        enterkeyhint="send" {oninput} {onkeydown} {onpaste} />
                </span>
            </div>
        </>
    }
}

/// The hint for what may follow.
fn hint(page: &Page, text: &str) -> Option<String> {
    match text.trim_start() {
        "" => None,
        line if line.starts_with(':') => meta::hint(line),
        line => page.lab().hint(line),
    }
}

/// The handler of keys, with all state that they may change.
struct Keys<'a> {
    page: &'a Page,
    index: usize,
    input: &'a HtmlInputElement,
    offers: &'a UseStateHandle<Option<Offers>>,
}

impl Keys<'_> {
    /// Handles a key; true if it has a function here.
    fn press(&mut self, event: &KeyboardEvent) -> bool {
        let key = event.key();
        if event.alt_key() || event.meta_key() {
            return false;
        }
        if event.ctrl_key() {
            return self.press_with_ctrl(&key.to_ascii_lowercase());
        }
        match key.as_str() {
            "Enter" => self.enter(),
            "Tab" if self.input.value().trim().is_empty() => return false,
            "Tab" => self.complete(if event.shift_key() { -1 } else { 1 }),
            "ArrowUp" => self.edit(Edit::Previous),
            "ArrowDown" => self.edit(Edit::Next),
            "Escape" if self.offers.is_some() => self.offers.set(None),
            "Escape" | "ArrowLeft" | "ArrowRight" | "Home" | "End" => match self.end_search() {
                Some(line) => self.put(&Line::new(line)),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    fn press_with_ctrl(&mut self, key: &str) -> bool {
        let edit = match key {
            "a" => Edit::Start,
            "e" => Edit::End,
            "u" => Edit::KillToStart,
            "k" => Edit::KillToEnd,
            "w" => Edit::KillWord,
            "y" => Edit::Yank,
            "t" => Edit::Transpose,
            "p" => Edit::Previous,
            "n" => Edit::Next,
            "l" => {
                self.clear_screen();
                return true;
            }
            "r" => {
                let index = self.index;
                self.page.change_terminals(|terminals| {
                    if let Some(tab) = terminals.tabs.get_mut(index) {
                        tab.history.search_older();
                    }
                });
                return true;
            }
            "c" => return self.ctrl_c(),
            _ => return false,
        };
        self.edit(edit);
        true
    }

    fn line(&self) -> Line {
        let caret = self.input.selection_start().ok().flatten().unwrap_or(u32::MAX);
        Line::at_utf16(self.input.value(), caret as usize)
    }

    fn put(&self, line: &Line) {
        self.input.set_value(&line.text);
        let caret = u32::try_from(line.caret_utf16()).unwrap_or(u32::MAX);
        // Fails only on a field that is no text field.
        let _ = self.input.set_selection_range(caret, caret);
    }

    fn edit(&mut self, edit: Edit) {
        let mut line = match self.end_search() {
            Some(found) => Line::new(found),
            None => self.line(),
        };
        let index = self.index;
        self.page.change_terminals(|terminals| {
            if let Some(tab) = terminals.tabs.get_mut(index) {
                tab.history.apply(edit, &mut line);
            }
        });
        self.offers.set(None);
        self.put(&line);
    }

    fn enter(&mut self) {
        let line = self.end_search().unwrap_or_else(|| self.input.value());
        self.offers.set(None);
        self.put(&Line::default());
        if !line.trim().is_empty() {
            submit(self.page, self.index, &line);
        }
    }

    /// Inserts pasted lines at the caret. Returns the complete lines, to be submitted; the last one
    /// stays in the field.
    fn paste(&self, pasted: &str) -> Vec<String> {
        let line = self.line();
        let (before, after) = line.text.split_at(line.caret);
        let whole = format!("{before}{pasted}");
        let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        let last = if whole.ends_with('\n') { None } else { lines.pop() };
        self.put(&Line::new(last.unwrap_or_default() + after));
        lines.retain(|line| !line.trim().is_empty());
        lines
    }

    /// Ends a search in progress. Returns the line that it found.
    fn end_search(&self) -> Option<String> {
        let index = self.index;
        self.page.change_terminals(|terminals| {
            let history = &mut terminals.tabs.get_mut(index)?.history;
            history.search()?;
            Some(history.end_search().unwrap_or_default())
        })
    }

    /// Ctrl-C: interrupts a waiting command or discards the line; if text is selected, copies it.
    fn ctrl_c(&mut self) -> bool {
        let selection = gloo::utils::window().get_selection().ok().flatten();
        let marked = selection.is_some_and(|s| !String::from(s.to_string()).is_empty());
        let in_field = self.input.selection_start().ok() != self.input.selection_end().ok();
        if marked || in_field {
            return false;
        }
        self.end_search();
        self.put(&Line::default());
        interrupt(self.page, self.index);
        true
    }

    fn clear_screen(&self) {
        let index = self.index;
        let process = self.page.terminals().tabs.get(index).map(|tab| tab.process.clone());
        let shown = process.and_then(|process| self.page.lab().console(&process));
        let shown = shown.map_or(0, |console| console.blocks.len());
        self.page.change_terminals(|terminals| {
            if let Some(tab) = terminals.tabs.get_mut(index) {
                tab.cleared = shown;
                tab.notes.clear();
            }
        });
    }

    /// Inserts the first completion, then the next ones. A single one is inserted without a list.
    fn complete(&mut self, step: isize) {
        let current = (**self.offers).clone();
        let (lines, at) = match current {
            Some(Offers { lines, at }) => {
                let count = lines.len() as isize;
                (lines, (at as isize + step).rem_euclid(count.max(1)) as usize)
            }
            None => {
                let text = self.input.value();
                let lines = if text.trim_start().starts_with(':') {
                    let names: Vec<String> = {
                        let view = self.page.view();
                        view.scene.names()
                    };
                    meta::complete(text.trim_start(), &names)
                } else {
                    self.page.lab().complete(&text)
                };
                (lines, 0)
            }
        };
        let Some(line) = lines.get(at) else { return };
        self.put(&Line::new(line.clone()));
        self.offers.set((lines.len() > 1).then_some(Offers { lines, at }));
    }
}

mod words {
    crate::i18n::texts! {
        TERMINAL_INPUT: "Command for {name}", "给 {name} 的命令";
        REVERSE_SEARCH: "(history search)`{query}': ", "（历史搜索）`{query}'：";
        SUGGESTIONS: "Completions", "补全";
    }
}
