//! The bar at the top: name, scenario, language, theme, share, help.

use web_sys::HtmlSelectElement;
use yew::prelude::*;

use crate::i18n::common;
use crate::icon::{Icon, glyph};
use crate::lab::Topology;
use crate::live::live;
use crate::page::{Page, Side, Topic};
use crate::prefs::Theme;
use crate::questions::{self, QUESTIONS, Question};
use crate::topology::Group;
use crate::whole;

/// The bar at the top.
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
    let (theme_icon, theme_text) = match prefs.theme {
        Theme::System => (Icon::Half, words::THEME_SYSTEM),
        Theme::Light => (Icon::Sun, words::THEME_LIGHT),
        Theme::Dark => (Icon::Moon, words::THEME_DARK),
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
            <button class="button optional" title={locale.say(words::START_OVER)}
                aria-label={locale.say(words::START_OVER)} data-testid="start-over"
                onclick={on(|page| { let current = page.lab().topology(); page.open(current) })}>
                { glyph(Icon::Restart) }
            </button>
            <button class="button optional" title={locale.say(words::SHARE_HINT)} data-testid="share"
                aria-label={locale.say(words::SHARE_HINT)}
                onclick={on(|page| page.change(Topic::Open, |view| view.sharing = true))}>
                { glyph(Icon::Share) }
            </button>
            <button class="button" title={locale.say(words::LANGUAGE_LABEL)} data-testid="language"
                lang={locale.other().tag()}
                onclick={on(|page| page.prefer(|prefs| prefs.locale = prefs.locale.other()))}>
                { locale.say(words::LANGUAGE) }
            </button>
            <button class="button" title={locale.say(theme_text)} data-testid="theme"
                aria-label={locale.say(theme_text)} onclick={on(next_theme)}>
                { glyph(theme_icon) }
            </button>
            <button class="button" title={locale.say(common::HELP)} data-testid="help"
                aria-label={locale.say(common::HELP)}
                onclick={on(|page| page.change(Topic::Open, |view| view.help = true))}>
                { glyph(Icon::Help) }
            </button>
        </header>
    }
}

/// From the system's theme to the other one first, so that a click always changes something.
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
