//! What lies over the page for a moment: the keys, the question about the future, a word.

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::figures;
use crate::i18n::Text;
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::page::{Page, Topic, use_page};
use crate::terminal;

/// Whatever lies over the page.
pub(crate) fn dialogs() -> Html {
    live(&[Topic::Prefs, Topic::Open], draw_dialogs)
}

fn draw_dialogs(page: &Page) -> Html {
    let view = page.view();
    html! {
        <>
            if view.help { { help() } }
            if view.pending.is_some() { { past() } }
            if view.toast.is_some() { <Toast /> }
        </>
    }
}

#[derive(Properties, PartialEq)]
struct DialogProps {
    title: String,
    name: &'static str,
    small: bool,
    onclose: Callback<()>,
    children: Html,
}

/// A dialog: keeps the focus inside, closes with Escape, and gives the focus back.
#[component]
fn Dialog(props: &DialogProps) -> Html {
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with((), move |()| {
            let before = gloo::utils::document().active_element();
            if let Some(dialog) = node.cast::<HtmlElement>() {
                let _ = dialog.focus();
            }
            move || {
                if let Some(element) = before {
                    let _ = element.unchecked_into::<HtmlElement>().focus();
                }
            }
        });
    }
    let onkeydown = {
        let (node, onclose) = (node.clone(), props.onclose.clone());
        Callback::from(move |event: KeyboardEvent| {
            event.stop_propagation();
            match event.key().as_str() {
                "Escape" => onclose.emit(()),
                "Tab" => {
                    if let Some(dialog) = node.cast::<HtmlElement>() {
                        keep_inside(&dialog, &event);
                    }
                }
                _ => {}
            }
        })
    };
    let close = props.onclose.reform(|_: MouseEvent| ());
    let page = use_page(&[Topic::Prefs]);
    html! {
        <div class="scrim" onclick={close.clone()}>
            <div class={classes!("dialog", props.small.then_some("small"))} ref={node}
                role="dialog" aria-modal="true" aria-label={props.title.clone()} tabindex="-1"
                data-testid={props.name} {onkeydown}
                onclick={|event: MouseEvent| event.stop_propagation()}>
                <header>
                    <h2>{ &props.title }</h2>
                    <button class="button" title={page.say(Text::Close)}
                        aria-label={page.say(Text::Close)} onclick={close}>
                        { glyph(Icon::Close) }
                    </button>
                </header>
                { props.children.clone() }
            </div>
        </div>
    }
}

fn keep_inside(dialog: &HtmlElement, event: &KeyboardEvent) {
    let Ok(buttons) = dialog.query_selector_all("button") else { return };
    let at = |i: u32| buttons.item(i).and_then(|node| node.dyn_into::<HtmlElement>().ok());
    let (Some(first), Some(last)) = (at(0), at(buttons.length().saturating_sub(1))) else { return };
    let active = gloo::utils::document().active_element();
    let is = |element: &HtmlElement| active.as_ref() == Some(element.as_ref());
    let to = match event.shift_key() {
        true if is(&first) || is(dialog) => last,
        false if is(&last) => first,
        _ => return,
    };
    event.prevent_default();
    let _ = to.focus();
}

/// The keys and the meta-commands.
fn help() -> Html {
    live(&[Topic::Prefs], draw_help)
}

fn draw_help(page: &Page) -> Html {
    let locale = page.locale();
    let onclose = {
        let page = page.clone();
        Callback::from(move |()| page.change(Topic::Open, |view| view.help = false))
    };
    let keys: [(&[&str], Text); 15] = [
        (&["Space"], Text::KeySpace),
        (&[".", ","], Text::KeyStep),
        (&[">"], Text::KeyChange),
        (&["n"], Text::KeyNodeStep),
        (&["←", "→"], Text::KeyArrows),
        (&["[", "]"], Text::KeyMarkers),
        (&["-", "+"], Text::KeySpeed),
        (&["Tab", "↑↓←→"], Text::KeyTab),
        (&["t", "i", "l"], Text::KeyNode),
        (&["/"], Text::KeyTerminal),
        (&["f"], Text::KeyFull),
        (&["v"], Text::KeyTable),
        (&["w"], Text::KeyLedger),
        (&["?"], Text::KeyHelp),
        (&["Esc"], Text::KeyEscape),
    ];
    html! {
        <Dialog title={locale.say(Text::Help)} name="help-dialog" small=false {onclose}>
            <div class="columns">
                <section>
                    <h3>{ locale.say(Text::KeysTitle) }</h3>
                    <dl>
                        { for keys.iter().map(|(keys, text)| html! {
                            <>
                                <dt>{ for keys.iter().map(|key| html! { <><kbd>{ *key }</kbd>{ " " }</> }) }</dt>
                                <dd>{ locale.say(*text) }</dd>
                            </>
                        }) }
                    </dl>
                </section>
                <section>
                    <h3>{ locale.say(Text::MetaTitle) }</h3>
                    <dl class="metas">
                        { for terminal::help_lines().iter().map(|(usage, text)| html! {
                            <>
                                <dt><code>{ *usage }</code></dt>
                                <dd>{ locale.say(*text) }</dd>
                            </>
                        }) }
                    </dl>
                    <p>{ locale.say(Text::MetaNote) }</p>
                </section>
            </div>
        </Dialog>
    }
}

/// What shall become of the future, when somebody acts in its past.
fn past() -> Html {
    live(&[Topic::Prefs], draw_past)
}

fn draw_past(page: &Page) -> Html {
    let locale = page.locale();
    let (now, end) = {
        let lab = page.lab();
        (figures::moment(lab.now()), figures::moment(lab.end()))
    };
    let onclose = {
        let page = page.clone();
        Callback::from(move |()| {
            page.change(Topic::Open, |view| view.pending = None);
        })
    };
    let decide = |keep: bool| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.decide(keep))
    };
    let cancel = onclose.reform(|_: MouseEvent| ());
    html! {
        <Dialog title={locale.say(Text::PastTitle)} name="past-dialog" small=true {onclose}>
            <p>{ locale.fill(Text::PastQuestion, &[("now", &now), ("end", &end)]) }</p>
            <div class="stack">
                <button class="button primary" data-testid="past-branch" onclick={decide(true)}>
                    { locale.say(Text::PastBranch) }
                </button>
                <button class="button framed" data-testid="past-discard" onclick={decide(false)}>
                    { locale.say(Text::PastDiscard) }
                </button>
                <button class="button" onclick={cancel}>{ locale.say(Text::Cancel) }</button>
            </div>
        </Dialog>
    }
}

/// A word to the person, which goes by itself.
#[component]
fn Toast() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Open]);
    let text = page.view().toast.clone();
    {
        let page = page.clone();
        use_effect_with(text.clone(), move |_| {
            let timer = gloo::timers::callback::Timeout::new(6_000, move || dismiss(&page));
            move || drop(timer)
        });
    }
    let onclick = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| dismiss(&page))
    };
    html! {
        <div class="toast" role="status" data-testid="toast">
            { text }
            <button class="button" title={page.say(Text::Dismiss)}
                aria-label={page.say(Text::Dismiss)} {onclick}>
                { glyph(Icon::Close) }
            </button>
        </div>
    }
}

fn dismiss(page: &Page) {
    page.change(Topic::Open, |view| view.toast = None);
}
