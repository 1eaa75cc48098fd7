//! The drawer under the map: tabs of terminals, and the events beside them.

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::events::Events;
use crate::i18n::common;
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::page::{Page, Topic, use_page};
use crate::scroll::into_view;
use crate::topology::SHELL;

use super::entry::Entry;
use super::screen::Screen;
use super::tabs::Terminals;

/// The drawer.
pub(crate) fn drawer() -> Html {
    html! {
        <section class="drawer">
            <Grip />
            { terminals() }
            <Events />
        </section>
    }
}

fn terminals() -> Html {
    live(&[Topic::Prefs, Topic::Terminals, Topic::Scene], draw_terminals)
}

fn draw_terminals(page: &Page) -> Html {
    let (terminals, view) = (page.terminals(), page.view());
    let locale = view.prefs.locale;
    let front = terminals.front;
    let onclick = Callback::from(|event: MouseEvent| {
        // A click into the terminal focuses its entry field, unless text was selected.
        let selection = gloo::utils::window().get_selection().ok().flatten();
        let marked = selection.is_some_and(|s| !String::from(s.to_string()).is_empty());
        let element = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let control = element.is_some_and(|e| e.closest("button").is_ok_and(|b| b.is_some()));
        if !marked && !control {
            super::focus_entry();
        }
    });
    let owned: Vec<String> =
        (0..terminals.tabs.len()).map(|index| format!("tab-{index}")).collect();
    let owned = owned.join(" ");
    html! {
        <div class="terminals" id="terminals">
            <div class="tabs">
                // The tab list owns the tabs by `aria-owns`, since other buttons are between them.
                if !terminals.tabs.is_empty() {
                    <span role="tablist" aria-label={locale.say(words::TERMINALS)}
                        aria-owns={owned}></span>
                }
                { for terminals.tabs.iter().enumerate().map(|(index, tab)| {
                    let on = index == front;
                    let choose = {
                        let page = page.clone();
                        Callback::from(move |_: MouseEvent| {
                            page.change_terminals(|terminals| terminals.choose(index));
                            super::focus_entry();
                        })
                    };
                    let close = {
                        let page = page.clone();
                        Callback::from(move |_: MouseEvent| page.change_terminals(|terminals| terminals.close(index)))
                    };
                    let shard = view.scene.named(&tab.server).and_then(|body| body.shard);
                    let label = tab.label();
                    let shut = locale.fill(words::CLOSE_TERMINAL, &[("name", &label)]);
                    html! {
                        <div class={classes!("tab", on.then_some("on"))} key={tab.process.clone()}>
                            <button role="tab" aria-selected={on.to_string()} id={format!("tab-{index}")}
                                data-testid={format!("tab-{}", if tab.is_shell { &tab.process } else { &tab.server })} onclick={choose}>
                                <svg class="dot" viewBox="-6 -6 12 12" aria-hidden="true">
                                    <circle r="5" class={match shard {
                                        Some(shard) => format!("hue-{}", shard % 7),
                                        None => "hueless".to_owned(),
                                    }} />
                                </svg>
                                { tab.label() }
                            </button>
                            <button class="button shut" title={shut.clone()} aria-label={shut}
                                onclick={close}>{ glyph(Icon::Close) }</button>
                            if on { <InFront /> }
                        </div>
                    }
                }) }
                { new_terminal() }
                { new_shell(page) }
                { tools(page) }
            </div>
            if terminals.tabs.is_empty() {
                { none_open(page) }
            } else {
                <div class="panels" style={format!("--size: {}px", terminals.text_size)}>
                    { for terminals.shown().into_iter().map(|index| panel(page, index, index == front, &onclick)) }
                </div>
            }
        </div>
    }
}

/// An invisible element that scrolls its tab into view when the tab comes to the front.
#[component]
fn InFront() -> Html {
    let place = use_node_ref();
    use_effect_with((), {
        let place = place.clone();
        move |()| {
            let inside = place.cast::<web_sys::Element>();
            if let Some(tab) = inside.and_then(|inside| inside.parent_element()) {
                into_view(&tab);
            }
        }
    });
    html! { <i hidden={true} ref={place}></i> }
}

/// The panel of a terminal: the one in front, or one beside it.
fn panel(page: &Page, index: usize, front: bool, onclick: &Callback<MouseEvent>) -> Html {
    let (is_shell, key) = {
        let terminals = page.terminals();
        terminals
            .tabs
            .get(index)
            .map_or((false, String::new()), |tab| (tab.is_shell, tab.process.clone()))
    };
    let onclick = if front {
        onclick.clone()
    } else {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.change_terminals(|terminals| terminals.choose(index));
            super::focus_entry();
        })
    };
    let class = classes!("terminal", (!front).then_some("behind"));
    html! {
        <div {class} role="tabpanel" aria-labelledby={format!("tab-{index}")} {key}
            data-testid={if front { "terminal" } else { "terminal-beside" }} {onclick}>
            if is_shell {
                { shell(index, front) }
            } else {
                <Screen {index} key={index} />
                if front { <Entry {index} /> }
            }
        </div>
    }
}

#[cfg(feature = "whole")]
fn shell(index: usize, front: bool) -> Html {
    use super::shell::view::Shell;
    html! { <Shell {index} {front} /> }
}

/// The first program has no shells.
#[cfg(not(feature = "whole"))]
fn shell(_: usize, _: bool) -> Html {
    Html::default()
}

/// The button that opens a shell on the host of the selected body, or on that of the terminal in
/// front.
fn new_shell(page: &Page) -> Html {
    let text = page.say(common::OPEN_SHELL);
    let onclick = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            let host = shell_host(&page);
            super::open_shell(&page, &host);
        })
    };
    html! {
        <button class="button" title={text} aria-label={text} data-testid="new-shell" {onclick}>
            { glyph(Icon::Terminal) }
        </button>
    }
}

fn shell_host(page: &Page) -> String {
    let (view, terminals) = (page.view(), page.terminals());
    let selected = view.selected.iter().find_map(|&body| view.scene.body(body));
    let front = || {
        let tab = terminals.front()?;
        match tab.is_shell {
            true => Some(tab.server.clone()),
            false => view.scene.named(&tab.server).map(|body| body.host.clone()),
        }
    };
    let host = selected.map(|body| body.host.clone()).or_else(front);
    host.unwrap_or_else(|| SHELL.to_owned())
}

/// The buttons for splitting and text size.
fn tools(page: &Page) -> Html {
    let (several, beside) = {
        let terminals = page.terminals();
        (terminals.tabs.len() > 1, terminals.beside.is_some())
    };
    let on = |act: fn(&mut Terminals)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.change_terminals(act);
            super::focus_entry();
        })
    };
    let (split, smaller, larger) =
        (page.say(words::SPLIT), page.say(words::SMALLER), page.say(words::LARGER));
    html! {
        <div class="terminal-tools">
            if several {
                <button class="button" title={split} aria-label={split} data-testid="split"
                    aria-pressed={beside.to_string()} onclick={on(Terminals::split)}>
                    { glyph(Icon::Split) }
                </button>
            }
            <button class="button" title={smaller} aria-label={format!("A−: {smaller}")} data-testid="text-smaller"
                onclick={on(|terminals| terminals.enlarge(-1))}>{ "A−" }</button>
            <button class="button" title={larger} aria-label={format!("A+: {larger}")} data-testid="text-larger"
                onclick={on(|terminals| terminals.enlarge(1))}>{ "A+" }</button>
        </div>
    }
}

/// The list of servers to open a terminal for, shown while no terminal is open.
fn none_open(page: &Page) -> Html {
    let view = page.view();
    let servers = view.scene.bodies.iter().filter(|body| body.has_terminal()).take(12);
    html! {
        <div class="screen teach">
            <p>{ view.prefs.locale.say(words::NO_TERMINAL) }</p>
            <ul>
                { for servers.map(|body| {
                    let id = body.id;
                    let page = page.clone();
                    let onclick = Callback::from(move |_: MouseEvent| super::open(&page, id));
                    html! { <li><button {onclick}>{ &body.name }</button></li> }
                }) }
            </ul>
        </div>
    }
}

/// The button that opens a terminal for the next server without one.
fn new_terminal() -> Html {
    live(&[Topic::Prefs, Topic::Terminals, Topic::Scene], draw_new_terminal)
}

fn draw_new_terminal(page: &Page) -> Html {
    let next = {
        let (view, terminals) = (page.view(), page.terminals());
        view.scene
            .bodies
            .iter()
            .find(|body| body.has_terminal() && terminals.find(&body.name).is_none())
            .map(|body| body.id)
    };
    let Some(next) = next else { return Html::default() };
    let text = page.say(words::NEW_TERMINAL);
    let onclick = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| super::open(&page, next))
    };
    html! {
        <button class="button" title={text} aria-label={text} data-testid="new-terminal" {onclick}>
            { glyph(Icon::Plus) }
        </button>
    }
}

/// The upper edge of the drawer, which resizes it by dragging or with the arrow keys.
#[component]
fn Grip() -> Html {
    let page = use_page(&[Topic::Prefs]);
    let dragging = use_state_eq(|| false);
    // The height of the drawer in percent of the page.
    let share = use_state_eq(|| 0);
    {
        let share = share.clone();
        use_effect_with((), move |()| {
            share.set(share_of(drawer_height().unwrap_or_default()));
        });
    }
    let onpointerdown = {
        let dragging = dragging.clone();
        Callback::from(move |event: PointerEvent| {
            let grip: HtmlElement = event.target_unchecked_into();
            let _ = grip.set_pointer_capture(event.pointer_id());
            dragging.set(true);
        })
    };
    let onpointermove = {
        let (dragging, share) = (dragging.clone(), share.clone());
        Callback::from(move |event: PointerEvent| {
            if *dragging {
                let window = gloo::utils::window();
                let height = window.inner_height().ok().and_then(|v| v.as_f64()).unwrap_or(800.0);
                share.set(set_height(height - f64::from(event.client_y())));
            }
        })
    };
    let onpointerup = {
        let dragging = dragging.clone();
        Callback::from(move |_: PointerEvent| dragging.set(false))
    };
    let now = *share;
    let onkeydown = Callback::from(move |event: KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowUp" => 24.0,
            "ArrowDown" => -24.0,
            _ => return,
        };
        event.prevent_default();
        event.stop_propagation();
        share.set(set_height(drawer_height().unwrap_or(260.0) + step));
    });
    html! {
        <div class="grip" role="separator" aria-orientation="horizontal" tabindex="0"
            aria-label={page.say(words::RESIZE_DRAWER)} aria-controls="terminals"
            aria-valuemin="0" aria-valuemax="100" aria-valuenow={now.to_string()}
            {onpointerdown} {onpointermove} {onpointerup} {onkeydown}></div>
    }
}

fn found(css: &str) -> Option<HtmlElement> {
    gloo::utils::document().query_selector(css).ok().flatten()?.dyn_into().ok()
}

fn drawer_height() -> Option<f64> {
    found(".drawer").map(|drawer| f64::from(drawer.client_height()))
}

/// A height in percent of the page.
fn share_of(height: f64) -> u32 {
    let whole = found(".page").map_or(0, |page| page.client_height());
    (height / f64::from(whole.max(1)) * 100.0).clamp(0.0, 100.0).round() as u32
}

/// Sets the height of the drawer, within its limits. Returns it in percent of the page.
fn set_height(height: f64) -> u32 {
    let Some(page) = found(".page") else { return 0 };
    let whole = f64::from(page.client_height());
    let height = height.clamp(120.0, (whole - 260.0).max(120.0));
    let _ = page.style().set_property("--drawer", &format!("{height:.0}px"));
    share_of(height)
}

mod words {
    crate::i18n::texts! {
        TERMINALS: "Terminals", "终端";
        NEW_TERMINAL: "Open a terminal", "打开终端";
        CLOSE_TERMINAL: "Close the terminal of {name}", "关闭 {name} 的终端";
        SPLIT: "Two terminals side by side", "并排显示两个终端";
        SMALLER: "Smaller text", "缩小文字";
        LARGER: "Larger text", "放大文字";
        NO_TERMINAL: "No terminal is open. Choose a node:", "还没有打开终端。请选择节点：";
        RESIZE_DRAWER: "Height of the drawer: arrow keys change it", "抽屉高度：用方向键调整";
    }
}
