//! The bar at the top: name, scenario, language, theme, share, help.

use web_sys::HtmlSelectElement;
use yew::prelude::*;

use crate::i18n::Text;
use crate::icon::{Icon, glyph};
use crate::lab::Topology;
use crate::live::live;
use crate::page::{Page, Topic};
use crate::prefs::Theme;
use crate::share;

/// The bar at the top.
pub(crate) fn top_bar() -> Html {
    live(&[Topic::Prefs, Topic::Scene, Topic::Open], draw_top_bar)
}

fn draw_top_bar(page: &Page) -> Html {
    let prefs = page.view().prefs;
    let locale = prefs.locale;
    let current = page.lab().topology();
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    let choose = {
        let page = page.clone();
        Callback::from(move |event: Event| {
            let select: HtmlSelectElement = event.target_unchecked_into();
            if let Some(topology) = Topology::named(&select.value()) {
                page.open(topology);
            }
        })
    };
    let group = |title: Text, topologies: &[Topology]| {
        html! {
            <optgroup label={locale.say(title)}>
                { for topologies.iter().map(|topology| html! {
                    <option value={topology.name()} selected={*topology == current}>
                        { topology.title(locale) }
                    </option>
                }) }
            </optgroup>
        }
    };
    let ledger = page.view().ledger;
    let toggle_ledger = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.show_ledger(!ledger))
    };
    let (theme_icon, theme_text) = match prefs.theme {
        Theme::System => (Icon::Half, Text::ThemeSystem),
        Theme::Light => (Icon::Sun, Text::ThemeLight),
        Theme::Dark => (Icon::Moon, Text::ThemeDark),
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
            <p class="tagline">{ locale.say(Text::Tagline) }</p>
            <select class="topology" aria-label={locale.say(Text::Scenario)} data-testid="topology"
                title={locale.say(Text::Scenario)} onchange={choose}>
                { group(Text::ScenariosApart, &Topology::APART) }
                { group(Text::ScenariosReplicated, &Topology::REPLICATED) }
            </select>
            <button class="button" title={locale.say(Text::LedgerHint)} data-testid="ledger-open"
                aria-pressed={ledger.to_string()} onclick={toggle_ledger}>
                { glyph(Icon::Ledger) }<span class="wide">{ locale.say(Text::Ledger) }</span>
            </button>
            <button class="button optional" title={locale.say(Text::StartOver)}
                aria-label={locale.say(Text::StartOver)} data-testid="start-over"
                onclick={on(|page| { let current = page.lab().topology(); page.open(current) })}>
                { glyph(Icon::Restart) }
            </button>
            <button class="button optional" title={locale.say(Text::ShareHint)} data-testid="share"
                aria-label={locale.say(Text::ShareHint)} onclick={on(share::copy)}>
                { glyph(Icon::Share) }
            </button>
            <button class="button" title={locale.say(Text::LanguageLabel)} data-testid="language"
                aria-label={locale.say(Text::LanguageLabel)} lang={locale.other().tag()}
                onclick={on(|page| page.prefer(|prefs| prefs.locale = prefs.locale.other()))}>
                { locale.say(Text::Language) }
            </button>
            <button class="button" title={locale.say(theme_text)} data-testid="theme"
                aria-label={locale.say(theme_text)} onclick={on(next_theme)}>
                { glyph(theme_icon) }
            </button>
            <button class="button" title={locale.say(Text::Help)} data-testid="help"
                aria-label={locale.say(Text::Help)}
                onclick={on(|page| page.change(Topic::Open, |view| view.help = true))}>
                { glyph(Icon::Help) }
            </button>
        </header>
    }
}

/// From the system's theme to the other one first: that is what somebody who presses wants to see.
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
