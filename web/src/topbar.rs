//! The top bar: name, scenario, language, theme, share, help.

use web_sys::{HtmlSelectElement, KeyboardEvent};
use yew::prelude::*;

use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::lab::Topology;
use crate::live::live;
use crate::page::{Page, Side, Topic, use_page};
use crate::prefs::Theme;
use crate::questions::{self, QUESTIONS, Question};
use crate::topology::Group;
use crate::whole;

/// The top bar.
pub(crate) fn top_bar() -> Html {
    live(&[Topic::Prefs, Topic::Scene, Topic::Open], draw_top_bar)
}

fn draw_top_bar(page: &Page) -> Html {
    let prefs = page.view().prefs;
    let locale = prefs.locale;
    let current = page.lab().topology();
    let asked = page.view().asked;
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    let choose = {
        let page = page.clone();
        Callback::from(move |event: Event| {
            let select: HtmlSelectElement = event.target_unchecked_into();
            let chosen = select.value();
            match (Question::named(&chosen), Topology::named(&chosen)) {
                (Some(question), _) => questions::ask(&page, question),
                (None, Some(topology)) => page.open(topology),
                (None, None) => {}
            }
        })
    };
    let group = |group: Group| {
        let topologies = Topology::all().filter(|topology| topology.group() == group);
        html! {
            <optgroup label={locale.say(group.title())}>
                { for topologies.map(|topology| html! {
                    <option value={topology.name()} selected={topology == current && asked.is_none()}>
                        { topology.title(locale) }
                    </option>
                }) }
            </optgroup>
        }
    };
    let ledger = page.view().side == Side::Ledger;
    let toggle_ledger = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.show_ledger(!ledger))
    };
    let lessons = page.view().side == Side::Lesson;
    let toggle_lessons = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| match lessons {
            true => page.show_side(Side::Closed),
            false => whole::lessons(&page),
        })
    };
    html! {
        <header class="top">
            <div class="brand">
                <svg viewBox="0 0 48 48" aria-hidden="true">
                    <circle cx="24" cy="24" r="20" fill="none" stroke="#56B4E9" stroke-width="2.500"
                        opacity=".6" />
                    <circle cx="24" cy="24" r="12.500" fill="#0072B2" />
                    <circle cx="39" cy="10.500" r="4.600" fill="#E69F00" />
                </svg>
                <h1>{ "Limpid" }</h1>
            </div>
            <p class="tagline">{ locale.say(words::TAGLINE) }</p>
            <select class="topology" aria-label={locale.say(words::SCENARIO)} data-testid="topology"
                title={locale.say(words::SCENARIO)} onchange={choose}>
                if Topology::all().all(|topology| topology != current) {
                    <option value={current.name()} selected={true}>{ current.title(locale) }</option>
                }
                { for Group::ALL.into_iter().map(group) }
                <optgroup label={locale.say(questions::words::TITLE)}>
                    { for QUESTIONS.iter().map(|question| html! {
                        <option value={question.name} selected={asked == Some(question)}>
                            { locale.say(question.asks) }
                        </option>
                    }) }
                </optgroup>
            </select>
            <button class="button" title={locale.say(words::LESSONS_HINT)} data-testid="lessons-open"
                aria-pressed={lessons.to_string()} onclick={toggle_lessons}>
                { glyph(Icon::Lesson) }<span class="wide">{ locale.say(common::LESSONS) }</span>
            </button>
            <button class="button" title={locale.say(words::LEDGER_HINT)} data-testid="ledger-open"
                aria-pressed={ledger.to_string()} onclick={toggle_ledger}>
                { glyph(Icon::Ledger) }<span class="wide">{ locale.say(common::LEDGER) }</span>
            </button>
            { for optional(prefs.theme).map(|(icon, text, id, act)| html! {
                <button class="button optional" title={locale.say(text)} data-testid={id}
                    aria-label={locale.say(text)} onclick={on(act)}>
                    { glyph(icon) }
                </button>
            }) }
            <More />
            <button class="button" title={locale.say(words::LANGUAGE_LABEL)} data-testid="language"
                lang={locale.other().tag()}
                onclick={on(|page| page.prefer(|prefs| prefs.locale = prefs.locale.other()))}>
                { locale.say(words::LANGUAGE) }
            </button>
            <button class="button" title={locale.say(common::HELP)} data-testid="help"
                aria-label={locale.say(common::HELP)}
                onclick={on(|page| page.change(Topic::Open, |view| view.help = true))}>
                { glyph(Icon::Help) }
            </button>
        </header>
    }
}

/// The function of an item of the bar.
type Act = fn(&Page);

/// The items that a narrow bar moves into its menu: icon, name, test id, and function.
fn optional(theme: Theme) -> [(Icon, Text, &'static str, Act); 3] {
    let (icon, text) = match theme {
        Theme::System => (Icon::Half, words::THEME_SYSTEM),
        Theme::Light => (Icon::Sun, words::THEME_LIGHT),
        Theme::Dark => (Icon::Moon, words::THEME_DARK),
    };
    let start_over = |page: &Page| {
        let current = page.lab().topology();
        page.open(current);
    };
    let share = |page: &Page| page.change(Topic::Open, |view| view.sharing = true);
    [
        (Icon::Restart, words::START_OVER, "start-over", start_over),
        (Icon::Share, words::SHARE_HINT, "share", share),
        (icon, text, "theme", next_theme),
    ]
}

/// The menu of a narrow bar.
#[component]
fn More() -> Html {
    let page = use_page(&[Topic::Prefs]);
    let open = use_state_eq(|| false);
    let close = {
        let open = open.clone();
        Callback::from(move |_: MouseEvent| open.set(false))
    };
    let toggle = {
        let open = open.clone();
        Callback::from(move |_: MouseEvent| open.set(!*open))
    };
    let onkeydown = {
        let open = open.clone();
        Callback::from(move |event: KeyboardEvent| {
            if *open && event.key() == "Escape" {
                event.prevent_default();
                open.set(false);
            }
        })
    };
    let item = |(icon, text, id, act): (Icon, Text, &'static str, Act)| {
        let (page, open) = (page.clone(), open.clone());
        let label = page.say(text);
        let onclick = Callback::from(move |_: MouseEvent| {
            open.set(false);
            act(&page);
        });
        html! {
            <button role="menuitem" data-testid={format!("more-{id}")} {onclick}>
                { glyph(icon) }{ label }
            </button>
        }
    };
    let label = page.say(words::MORE);
    html! {
        <div class="more" {onkeydown}>
            <button class="button" title={label} aria-label={label} aria-haspopup="menu"
                aria-expanded={open.to_string()} data-testid="more" onclick={toggle}>
                { glyph(Icon::More) }
            </button>
            if *open {
                <div class="backdrop" onclick={close}></div>
                <div class="menu" role="menu">
                    { for optional(page.view().prefs.theme).map(item) }
                </div>
            }
        </div>
    }
}

/// Switches to the next theme: from the system's first to the opposite one, so that every click has
/// a visible effect.
fn next_theme(page: &Page) {
    let dark = page.view().prefs.is_dark();
    page.prefer(|prefs| {
        prefs.theme = match (prefs.theme, dark) {
            (Theme::System, true) => Theme::Light,
            (Theme::System, false) => Theme::Dark,
            (Theme::Light, _) if prefers_dark() => Theme::System,
            (Theme::Dark, _) if !prefers_dark() => Theme::System,
            (Theme::Light, _) => Theme::Dark,
            (Theme::Dark, _) => Theme::Light,
        };
    });
}

fn prefers_dark() -> bool {
    crate::prefs::media_matches("(prefers-color-scheme: dark)")
}

mod words {
    crate::i18n::texts! {
        TAGLINE: "A Redis you can see through", "看得透的 Redis";
        SCENARIO: "What stands on the map", "地图上的场景";
        START_OVER: "Start over", "重新开始";
        MORE: "More", "更多";
        LANGUAGE: "中文", "English";
        LANGUAGE_LABEL: "Language: switch to Chinese", "语言：切换到英文";
        THEME_SYSTEM: "Theme: like the system", "外观：跟随系统";
        THEME_LIGHT: "Theme: light", "外观：浅色";
        THEME_DARK: "Theme: dark", "外观：深色";
        SHARE_HINT: "Share this session: a link, or a file", "分享本次会话：链接或文件";
        LESSONS_HINT: "Lessons: learn Redis by doing", "课程：边做边学 Redis";
        LEDGER_HINT: "Ledger of writes: who holds what was acknowledged", "写入账本：已确认的写入在谁那里";
    }
}
