//! The view of a shell's terminal: its cells, its cursor, and a field that takes the typing.

use gloo::events::EventListener;
use limpid_core::sim::{Action, Color, Tty};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{ClipboardEvent, HtmlElement, HtmlTextAreaElement};
use yew::prelude::*;

use crate::page::{Page, Topic, use_page};
use crate::units::BodyId;

use super::cells::{self, Look, Row};
use super::keys::{self, Pressed};
use super::press;

/// The fewest columns and rows: programs cannot work with less.
const SMALLEST: (u16, u16) = (20, 5);

#[derive(Properties, PartialEq)]
pub(crate) struct Props {
    pub index: usize,
    /// Whether it is in front and gets the keyboard.
    pub front: bool,
}

/// The terminal of a shell.
#[component]
pub(crate) fn Shell(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Terminals]);
    let (frame, probe) = (use_node_ref(), use_node_ref());
    let field = use_node_ref();
    let (text_size, named) = {
        let terminals = page.terminals();
        let tab = terminals.tabs.get(props.index);
        (
            terminals.text_size,
            tab.map(|tab| (tab.server.clone(), tab.process.clone(), tab.scrolled)),
        )
    };
    let terminal = named.as_ref().map(|(_, terminal, _)| terminal.clone()).unwrap_or_default();
    use_size(&page, &terminal, text_size, &frame, &probe);
    let is_alive = page.lab().world().tty_named(&terminal).is_some_and(Tty::is_alive);
    use_composition(&page, &terminal, is_alive, &field);
    let spoken = use_spoken(&page, &terminal);
    let Some((host, terminal, scrolled)) = named else { return Html::default() };
    let locale = page.locale();
    let index = props.index;

    let lab = page.lab();
    let tty = lab.world().tty_named(&terminal);
    let (rows, cursor) = tty.map_or_else(Default::default, |tty| {
        let cursor = tty.screen().cursor_position();
        if scrolled == 0 {
            return (cells::rows(tty.screen()), cursor);
        }
        let mut screen = tty.screen().clone();
        screen.set_scrollback(scrolled);
        (cells::rows(&screen), cursor)
    });
    drop(lab);

    let onkeydown = {
        let (page, terminal) = (page.clone(), terminal.clone());
        Callback::from(move |event: KeyboardEvent| {
            if event.is_composing() || event.key_code() == 229 {
                return;
            }
            if key_down(&page, index, &terminal, &event) {
                event.prevent_default();
                event.stop_propagation();
            }
        })
    };
    let oninput = {
        let (page, terminal) = (page.clone(), terminal.clone());
        Callback::from(move |event: InputEvent| {
            if !event.is_composing() {
                send_field(&page, &terminal, &event.target_unchecked_into());
            }
        })
    };
    let onpaste = {
        let (page, terminal) = (page.clone(), terminal.clone());
        Callback::from(move |event: Event| {
            let Some(event) = event.dyn_ref::<ClipboardEvent>() else { return };
            let data = event.clipboard_data().and_then(|data| data.get_data("text/plain").ok());
            let Some(text) = data else { return };
            event.prevent_default();
            let tty = page.lab().world().tty_named(&terminal).cloned();
            let bracketed = tty.is_some_and(|tty| tty.screen().bracketed_paste());
            press(&page, &terminal, keys::pasted(&text, bracketed));
        })
    };
    let onwheel = {
        let (page, terminal) = (page.clone(), terminal.clone());
        Callback::from(move |event: WheelEvent| {
            let lines = if event.delta_y() < 0.0 { 3 } else { -3 };
            scroll(&page, index, &terminal, lines);
        })
    };
    let again = {
        let (page, host, terminal) = (page.clone(), host.clone(), terminal.clone());
        Callback::from(move |_: MouseEvent| {
            super::log_in(&page, &host, &terminal);
            crate::terminal::focus_entry();
        })
    };
    let play = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| {
            page.play(true);
            crate::terminal::focus_entry();
        })
    };
    let paused = !page.view().playing;
    let at = format!("left: {}ch; top: calc({} * var(--row))", cursor.1, cursor.0);
    let label = locale.fill(words::SHELL_INPUT, &[("name", &host)]);
    html! {
        <div class="cells" ref={frame} data-testid={format!("shell-{terminal}")} {onwheel}>
            <span class="probe" ref={probe} aria-hidden="true">{ "MMMMMMMMMM" }</span>
            <div class="paper">
                <pre>{ for rows.iter().map(|row| draw_row(&page, &host, row)) }</pre>
                if is_alive {
                    <textarea class="keys" id={props.front.then_some("entry")} style={at}
                        aria-label={label} aria-description={locale.say(words::SHELL_LEAVE)}
                        autocomplete="off" autocapitalize="off" autocorrect="off"
                        spellcheck="false" rows="1" data-testid={format!("keys-{terminal}")}
                        ref={field} {onkeydown} {oninput} {onpaste} />
                }
            </div>
            <div class="spoken" role="log" aria-live="polite">{ spoken }</div>
            if scrolled > 0 {
                <p class="waiting over">{ locale.say(words::SCROLLED) }</p>
            } else if !is_alive {
                <p class="waiting over" data-testid="shell-ended">
                    { locale.say(if tty_known(&page, &terminal) { words::ENDED } else { words::NOT_YET }) }
                    <button class="button framed" id={props.front.then_some("entry")} onclick={again}>
                        { locale.say(words::LOG_IN) }
                    </button>
                </p>
            } else if paused {
                <p class="waiting over" data-testid="terminal-paused">
                    { locale.say(words::PAUSED) }
                    <button class="button framed" onclick={play}>{ locale.say(words::PLAY) }</button>
                </p>
            }
        </div>
    }
}

fn tty_known(page: &Page, terminal: &str) -> bool {
    page.lab().world().tty_named(terminal).is_some()
}

/// Handles a key; true if it has a function.
fn key_down(page: &Page, index: usize, terminal: &str, event: &KeyboardEvent) -> bool {
    let key = event.key();
    if event.meta_key() {
        return false;
    }
    let shift = event.shift_key();
    match key.as_str() {
        // All other keys go to the terminal, so one has to lead out of it.
        "Escape" if shift => {
            crate::map::focus::focus_map(page);
            return true;
        }
        "PageUp" | "PageDown" if shift => {
            let lines = if key == "PageUp" { 10 } else { -10 };
            scroll(page, index, terminal, lines);
            return true;
        }
        // Copying and pasting are left to the browser.
        "c" | "C" if event.ctrl_key() && (shift || is_marked()) => return false,
        "v" | "V" if event.ctrl_key() => return false,
        _ => {}
    }
    let application = {
        let lab = page.lab();
        let tty = lab.world().tty_named(terminal);
        tty.is_some_and(|tty| tty.screen().application_cursor())
    };
    let pressed = Pressed { key: &key, ctrl: event.ctrl_key(), alt: event.alt_key(), shift };
    let Some(bytes) = keys::bytes(pressed, application) else { return false };
    page.change_terminals(|terminals| terminals.scroll(index, 0));
    press(page, terminal, bytes);
    true
}

fn is_marked() -> bool {
    let selection = gloo::utils::window().get_selection().ok().flatten();
    selection.is_some_and(|selection| !String::from(selection.to_string()).is_empty())
}

/// Sends the text of the field to the terminal, and empties it.
fn send_field(page: &Page, terminal: &str, field: &HtmlTextAreaElement) {
    let text = field.value();
    field.set_value("");
    press(page, terminal, text.replace('\n', "\r"));
}

/// Scrolls through lines that have left the screen.
fn scroll(page: &Page, index: usize, terminal: &str, lines: i32) {
    let most = {
        let lab = page.lab();
        let tty = lab.world().tty_named(terminal);
        tty.filter(|tty| !tty.screen().alternate_screen())
            .map_or(0, |tty| tty.screen().scrollback_len())
    };
    let now = page.terminals().tabs.get(index).map_or(0, |tab| tab.scrolled);
    let to = now.saturating_add_signed(lines as isize).min(most);
    if to != now {
        page.change_terminals(|terminals| terminals.scroll(index, to));
    }
}

fn draw_row(page: &Page, host: &str, row: &Row) -> Html {
    html! {
        <div class="line">
            { for row.runs.iter().map(|run| {
                let address = run.look.address.and_then(|number| row.addresses.get(number));
                let body = address.and_then(|(name, port)| body_at(page, host, name, *port));
                let (class, style) = appearance(&run.look);
                match body {
                    Some(body) => {
                        let page = page.clone();
                        let onclick = Callback::from(move |_: MouseEvent| select(&page, body));
                        html! {
                            <a class={classes!(class, "address")} {style} role="button" {onclick}>
                                { &run.text }
                            </a>
                        }
                    }
                    None if class.is_empty() && style.is_none() => html! { { &run.text } },
                    None => html! { <span {class} {style}>{ &run.text }</span> },
                }
            }) }
        </div>
    }
}

/// The body at an address that a program on a host has printed.
fn body_at(page: &Page, host: &str, name: &str, port: u16) -> Option<BodyId> {
    let lab = page.lab();
    let name = if matches!(name, "127.0.0.1" | "localhost") { host } else { name };
    let ip = lab.world().hosts().find(|known| known.name == name).map(|known| known.ip);
    let ip = ip.or_else(|| name.parse().ok())?;
    lab.units().at_address(ip.into(), port)
}

fn select(page: &Page, body: BodyId) {
    page.change(Topic::Open, |view| view.selected = [body].into_iter().collect());
    page.notify(Topic::Scene);
}

/// The class and the style of a run.
fn appearance(look: &Look) -> (String, Option<String>) {
    let mut class = Vec::new();
    let mut style = String::new();
    let (front, back) = match look.inverse {
        true => (look.back, look.front),
        false => (look.front, look.back),
    };
    let mut paint = |colour: Color, letter: char, property: &str| match colour {
        Color::Default if look.inverse => class.push(format!("{letter}-inverse")),
        Color::Default => {}
        Color::Idx(n @ 0..=15) => class.push(format!("{letter}-{n}")),
        Color::Idx(n) => style.push_str(&format!("{property}: {};", indexed(n))),
        Color::Rgb(r, g, b) => style.push_str(&format!("{property}: rgb({r} {g} {b});")),
    };
    paint(front, 'f', "color");
    paint(back, 'b', "background-color");
    for (on, name) in [
        (look.bold, "bold"),
        (look.dim, "faint"),
        (look.italic, "italic"),
        (look.underlined, "underlined"),
        (look.cursor, "cursor"),
        (look.wide, "wide-cell"),
    ] {
        if on {
            class.push(name.to_owned());
        }
    }
    (class.join(" "), Some(style).filter(|style| !style.is_empty()))
}

/// The colours 16 to 255: a cube of 6 × 6 × 6, then greys.
fn indexed(n: u8) -> String {
    if n >= 232 {
        let grey = 8 + 10 * u16::from(n - 232);
        return format!("rgb({grey} {grey} {grey})");
    }
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * u16::from(n) };
    let n = n - 16;
    format!("rgb({} {} {})", level(n / 36), level(n / 6 % 6), level(n % 6))
}

/// A hook that fits the terminal's columns and rows to the space on the page.
#[hook]
fn use_size(page: &Page, terminal: &str, text_size: u8, frame: &NodeRef, probe: &NodeRef) {
    let (page, frame, probe) = (page.clone(), frame.clone(), probe.clone());
    use_effect_with((terminal.to_owned(), text_size), move |(terminal, _)| {
        let terminal = terminal.clone();
        let element = frame.cast::<HtmlElement>();
        let measure = Closure::<dyn FnMut()>::new({
            let element = element.clone();
            move || {
                if let (Some(frame), Some(probe)) = (&element, probe.cast::<HtmlElement>()) {
                    fit(&page, &terminal, frame, &probe);
                }
            }
        });
        let observer = web_sys::ResizeObserver::new(measure.as_ref().unchecked_ref()).ok();
        if let (Some(observer), Some(element)) = (&observer, &element) {
            observer.observe(element);
        }
        move || {
            if let Some(observer) = observer {
                observer.disconnect();
            }
            drop(measure);
        }
    });
}

fn fit(page: &Page, terminal: &str, frame: &HtmlElement, probe: &HtmlElement) {
    const PADDING: (f64, f64) = (24.0, 12.0);
    let cell = probe.get_bounding_client_rect();
    let (width, height) = (cell.width() / 10.0, cell.height());
    if width < 1.0 || height < 1.0 {
        return;
    }
    let room = |size: i32, padding: f64, cell: f64, least: u16| {
        let cells = ((f64::from(size) - padding) / cell).floor();
        (cells.clamp(0.0, 500.0) as u16).max(least)
    };
    let columns = room(frame.client_width(), PADDING.0, width, SMALLEST.0);
    let rows = room(frame.client_height(), PADDING.1, height, SMALLEST.1);
    let known = page.lab().world().tty_named(terminal).map(Tty::size);
    // In the past, the terminal keeps the size that it had.
    if known.is_some_and(|known| known != (columns, rows)) && !page.lab().is_past() {
        page.act(vec![Action::Resize { terminal: terminal.to_owned(), columns, rows }]);
    }
}

/// A hook that sends the text that an input method has composed, and nothing while it is composing.
#[hook]
fn use_composition(page: &Page, terminal: &str, is_alive: bool, field: &NodeRef) {
    let (page, field) = (page.clone(), field.clone());
    use_effect_with((terminal.to_owned(), is_alive), move |(terminal, _)| {
        let terminal = terminal.clone();
        let listener = field.cast::<HtmlTextAreaElement>().map(|element| {
            let typed = element.clone();
            EventListener::new(&element, "compositionend", move |_| {
                send_field(&page, &terminal, &typed);
            })
        });
        move || drop(listener)
    });
}

/// A hook: the text for screen readers, which is the lines that appeared since the last drawing.
#[hook]
fn use_spoken(page: &Page, terminal: &str) -> String {
    let seen = use_mut_ref(|| (0u64, String::new(), String::new()));
    let lab = page.lab();
    let Some(tty) = lab.world().tty_named(terminal) else { return String::new() };
    let mut seen = seen.borrow_mut();
    if seen.0 != tty.shown() {
        let screen = tty.screen().contents();
        let new = match screen.strip_prefix(seen.1.as_str()) {
            Some(new) => new.trim().to_owned(),
            None => {
                let old: Vec<&str> = seen.1.lines().collect();
                let lines = screen.lines().filter(|line| !old.contains(line));
                lines.collect::<Vec<_>>().join("\n")
            }
        };
        *seen = (tty.shown(), screen, new);
    }
    seen.2.clone()
}

mod words {
    crate::i18n::texts! {
        SHELL_INPUT: "Shell of {name}", "{name} 的命令行";
        SHELL_LEAVE: "Shift and Escape lead back to the map", "按 Shift+Esc 回到地图";
        SCROLLED: "Earlier lines; press a key to go back to the present ones.", "正在查看较早的内容，按任意键返回。";
        ENDED: "This session has ended.", "会话已结束。";
        NOT_YET: "At this moment nobody has logged in here.", "此刻还没有人登录。";
        LOG_IN: "Log in", "登录";
        PAUSED: "Time stands still: what is typed is done when it runs.", "时间已停止：继续播放后才会执行输入。";
        PLAY: "Play", "播放";
    }
}
