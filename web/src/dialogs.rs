//! Dialogs and toasts: the help on keys, the question about the future, sharing, short messages.

use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement};
use yew::prelude::*;

use crate::figures;
use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::page::{Page, Topic, use_page};
use crate::{disk, share, terminal};

/// The dialog that is open, if any, and the toast.
pub(crate) fn dialogs() -> Html {
    live(&[Topic::Prefs, Topic::Open], draw_dialogs)
}

fn draw_dialogs(page: &Page) -> Html {
    let view = page.view();
    html! {
        <>
            if view.help { { help() } }
            if view.sharing { { sharing() } }
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
                    <button class="button" title={page.say(common::CLOSE)}
                        aria-label={page.say(common::CLOSE)} onclick={close}>
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

/// The help: keys and meta-commands.
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
        (&["Space"], words::KEY_SPACE),
        (&[".", ","], words::KEY_STEP),
        (&[">"], words::KEY_CHANGE),
        (&["n"], words::KEY_NODE_STEP),
        (&["←", "→"], words::KEY_ARROWS),
        (&["[", "]"], words::KEY_MARKERS),
        (&["-", "+"], words::KEY_SPEED),
        (&["Tab", "↑↓←→"], words::KEY_TAB),
        (&["t", "i", "l"], words::KEY_NODE),
        (&["/"], words::KEY_TERMINAL),
        (&["f"], words::KEY_FULL),
        (&["v"], words::KEY_TABLE),
        (&["w"], words::KEY_LEDGER),
        (&["?"], words::KEY_HELP),
        (&["Esc"], words::KEY_ESCAPE),
    ];
    html! {
        <Dialog title={locale.say(common::HELP)} name="help-dialog" small=false {onclose}>
            <div class="columns">
                <section>
                    <h3>{ locale.say(words::KEYS_TITLE) }</h3>
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
                    <h3>{ locale.say(words::META_TITLE) }</h3>
                    <dl class="metas">
                        { for terminal::help_lines().iter().map(|(usage, text)| html! {
                            <>
                                <dt><code>{ *usage }</code></dt>
                                <dd>{ locale.say(*text) }</dd>
                            </>
                        }) }
                    </dl>
                    <p>{ locale.say(words::META_NOTE) }</p>
                </section>
            </div>
        </Dialog>
    }
}

/// Asks what to do with the known future, when an action is done in the past.
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
        <Dialog title={locale.say(common::PAST_TITLE)} name="past-dialog" small=true {onclose}>
            <p>{ locale.fill(words::PAST_QUESTION, &[("now", &now), ("end", &end)]) }</p>
            <div class="stack">
                <button class="button primary" data-testid="past-branch" onclick={decide(true)}>
                    { locale.say(words::PAST_BRANCH) }
                </button>
                <button class="button framed" data-testid="past-discard" onclick={decide(false)}>
                    { locale.say(words::PAST_DISCARD) }
                </button>
                <button class="button" onclick={cancel}>{ locale.say(words::CANCEL) }</button>
            </div>
        </Dialog>
    }
}

/// The ways to share the session, and to open a shared one.
fn sharing() -> Html {
    live(&[Topic::Prefs], draw_sharing)
}

fn draw_sharing(page: &Page) -> Html {
    let locale = page.locale();
    let onclose = {
        let page = page.clone();
        Callback::from(move |()| page.change(Topic::Open, |view| view.sharing = false))
    };
    let then_close = |act: fn(&Page)| {
        let (page, onclose) = (page.clone(), onclose.clone());
        Callback::from(move |_: MouseEvent| {
            act(&page);
            onclose.emit(());
        })
    };
    // The button opens the file field, which cannot be styled.
    let choose = Callback::from(|event: MouseEvent| {
        let button: HtmlElement = event.target_unchecked_into();
        let stack = button.closest(".stack").ok().flatten();
        let field = stack.and_then(|stack| stack.query_selector("input").ok().flatten());
        if let Some(field) = field {
            field.unchecked_into::<HtmlElement>().click();
        }
    });
    let onchange = {
        let (page, onclose) = (page.clone(), onclose.clone());
        Callback::from(move |event: Event| {
            let field: HtmlInputElement = event.target_unchecked_into();
            if let Some(file) = field.files().and_then(|files| files.get(0)) {
                disk::open(&page, &file);
                onclose.emit(());
            }
        })
    };
    html! {
        <Dialog title={locale.say(words::SHARE_TITLE)} name="share-dialog" small=true
            onclose={onclose.clone()}>
            <p>{ locale.say(words::SHARE_WHAT) }</p>
            <div class="stack">
                <button class="button primary" data-testid="share-link"
                    onclick={then_close(share::copy)}>{ locale.say(words::SHARE_LINK) }</button>
                <button class="button framed" data-testid="share-save"
                    onclick={then_close(disk::save)}>{ locale.say(words::SHARE_SAVE) }</button>
                <input type="file" accept=".json,application/json" hidden=true
                    aria-label={locale.say(words::SHARE_OPEN)} data-testid="share-file" {onchange} />
                <button class="button framed" data-testid="share-open" onclick={choose}>
                    { locale.say(words::SHARE_OPEN) }
                </button>
            </div>
        </Dialog>
    }
}

/// The toast: a short message that disappears by itself.
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
            <button class="button" title={page.say(words::DISMISS)}
                aria-label={page.say(words::DISMISS)} {onclick}>
                { glyph(Icon::Close) }
            </button>
        </div>
    }
}

fn dismiss(page: &Page) {
    page.change(Topic::Open, |view| view.toast = None);
}

mod words {
    crate::i18n::texts! {
        SHARE_TITLE: "Share this session", "分享本次会话";
        SHARE_WHAT: "Both carry everything that was done, and this moment. A file also carries the place in a lesson and what is open.", "链接和文件都包含全部操作与当前时刻；文件还包含课程进度和打开的面板。";
        SHARE_LINK: "Copy a link", "复制链接";
        SHARE_SAVE: "Save to a file", "保存到文件";
        SHARE_OPEN: "Open a file…", "打开文件……";
        DISMISS: "Dismiss", "知道了";
        PAST_QUESTION: "At {now} something else happened next, up to {end}. What shall become of it?", "从 {now} 到 {end}，后面的事已经发生过。要怎样处理这段“未来”？";
        PAST_BRANCH: "Branch: keep it beside this", "分支：保留原来的走向";
        PAST_DISCARD: "Discard what came after", "丢弃之后发生的一切";
        CANCEL: "Cancel", "取消";
        KEYS_TITLE: "Keys", "按键";
        KEY_SPACE: "play or pause", "播放或暂停";
        KEY_STEP: "one event forward, back", "前进、后退一个事件";
        KEY_CHANGE: "to the next change of state", "到下一次状态变化";
        KEY_NODE_STEP: "to the next event at the selected node", "到所选节点的下一个事件";
        KEY_ARROWS: "5 seconds of the page's time back, forward", "后退、前进 5 秒（页面时间）";
        KEY_MARKERS: "previous, next marker", "上一个、下一个标记";
        KEY_SPEED: "slower, faster", "减速、加速";
        KEY_TAB: "walk through nodes; Enter selects, m opens the menu", "在节点间移动；Enter 选中，m 打开菜单";
        KEY_NODE: "on a node: terminal, inspect, its links", "在节点上：终端、查看、其链路";
        KEY_TERMINAL: "to the terminal", "进入终端";
        KEY_FULL: "full screen", "全屏";
        KEY_TABLE: "table or map", "表格或地图";
        KEY_LEDGER: "ledger of writes", "写入账本";
        KEY_HELP: "this list", "本列表";
        KEY_ESCAPE: "close what is open", "关闭当前面板";
        META_TITLE: "Typed in any terminal", "可在任意终端输入";
        META_NOTE: "Tab completes names; several are separated by commas.", "Tab 键补全名称，多个名称用逗号分隔。";
    }
}
