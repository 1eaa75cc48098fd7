//! The ledger of writes, in the panel at the side.

use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, Text};
use crate::icon::{Icon, glyph};
use crate::ledger::{Held, Ledger, Row, Sums};
use crate::live::live;
use crate::page::{Page, Topic};

/// The panel.
pub(crate) fn ledger_panel() -> Html {
    live(&[Topic::Prefs, Topic::Panels], draw_ledger_panel)
}

fn draw_ledger_panel(page: &Page) -> Html {
    let locale = page.locale();
    let ledger = page.lab().ledger();
    let close = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.show_ledger(false))
    };
    html! {
        <aside class="side" data-testid="ledger" aria-label={locale.say(Text::Ledger)}>
            <header>
                <h2>{ locale.say(Text::Ledger) }</h2>
                <p class="sub">{ locale.say(Text::LedgerWhat) }</p>
                <button class="button" title={locale.say(Text::Close)} data-testid="ledger-close"
                    aria-label={locale.say(Text::Close)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <div class="pane" tabindex="0">
                if ledger.sum.acknowledged == 0 {
                    <p class="empty">{ locale.say(Text::LedgerTeach) }</p>
                } else {
                    { sums(locale, ledger.sum) }
                    { writers(locale, &ledger) }
                    { rows(page, locale, &ledger) }
                    <p class="dim">{ locale.say(Text::LedgerNote) }</p>
                }
            </div>
        </aside>
    }
}

/// The whole as a bar with its parts, each with its count.
fn sums(locale: Locale, sums: Sums) -> Html {
    let whole = sums.acknowledged.max(1) as f64;
    let parts = [
        ("everywhere", Text::HeldEverywhere, sums.everywhere),
        ("several", Text::HeldBySeveral, sums.several),
        ("single", Text::HeldByOne, sums.single),
        ("lost", Text::HeldByNone, sums.lost),
    ];
    html! {
        <div class="sums">
            <p class="whole" data-testid="ledger-acknowledged" data-count={sums.acknowledged.to_string()}>
                <b>{ figures::count(sums.acknowledged) }</b>{ locale.say(Text::Acknowledged) }
            </p>
            <div class="proportion" aria-hidden="true">
                { for parts.iter().filter(|(.., n)| *n > 0).map(|(name, _, n)| html! {
                    <i class={*name} style={format!("flex-grow:{:.4}", *n as f64 / whole)}></i>
                }) }
            </div>
            <dl>
                { for parts.iter().map(|(name, text, n)| html! {
                    <div class={classes!("part", (*n == 0).then_some("none"))}
                        data-testid={format!("ledger-{name}")} data-count={n.to_string()}>
                        <dt><i class={*name}></i>{ locale.say(*text) }</dt>
                        <dd>{ figures::count(*n) }</dd>
                    </div>
                }) }
            </dl>
        </div>
    }
}

fn writers(locale: Locale, ledger: &Ledger) -> Html {
    html! {
        <table class="facts">
            <thead><tr>
                <th scope="col">{ locale.say(Text::Writer) }</th>
                <th scope="col" class="num">{ locale.say(Text::AcknowledgedShort) }</th>
                <th scope="col" class="num">{ locale.say(Text::HeldByOne) }</th>
                <th scope="col" class="num">{ locale.say(Text::HeldByNone) }</th>
            </tr></thead>
            <tbody>
                { for ledger.writers.iter().map(|(name, sums)| html! {
                    <tr key={name.clone()}>
                        <td>{ name }</td>
                        <td class="num">{ figures::count(sums.acknowledged) }</td>
                        <td class="num">{ figures::count(sums.single) }</td>
                        <td class={classes!("num", (sums.lost > 0).then_some("alarming"))}>
                            { figures::count(sums.lost) }
                        </td>
                    </tr>
                }) }
            </tbody>
        </table>
    }
}

/// The latest writes with a mark for each server; what is lost comes first.
fn rows(page: &Page, locale: Locale, ledger: &Ledger) -> Html {
    let (view, lab) = (page.view(), page.lab());
    // Servers that no listed write has to do with only take room.
    let columns: Vec<(usize, usize)> = ledger
        .servers
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| ledger.rows.iter().any(|row| row.held.get(*at) != Some(&Held::Apart)))
        .collect();
    let name = |server: usize| lab.units().get(server).map_or("", |unit| unit.name.as_str());
    let hue = |server: usize| view.scene.bodies.get(server).map_or(0, |body| body.shard % 7);
    html! {
        <table class="facts writes" data-testid="ledger-rows">
            <thead><tr>
                <th scope="col">{ locale.say(Text::LatestWrites) }</th>
                { for columns.iter().map(|(_, server)| html! {
                    <th scope="col" class="mark" title={name(*server).to_owned()}>{ short(name(*server)) }</th>
                }) }
            </tr></thead>
            <tbody>
                { for ledger.rows.iter().map(|row| html! {
                    <tr key={row.id.clone()} class={row.lost.then_some("gone")}
                        data-lost={row.lost.to_string()}>
                        <td>{ what(locale, row) }</td>
                        { for columns.iter().map(|(at, server)| {
                            let held = row.held.get(*at).copied().unwrap_or(Held::Apart);
                            let said = locale.fill(said(held), &[("name", name(*server))]);
                            html! {
                                <td class="mark" title={said.clone()} data-held={held.name()}>
                                    { mark(held, hue(*server)) }<span class="unseen">{ said }</span>
                                </td>
                            }
                        }) }
                    </tr>
                }) }
            </tbody>
        </table>
    }
}

fn what(locale: Locale, row: &Row) -> Html {
    let at = row.at.map(figures::moment);
    html! {
        <>
            <span class="line">{ &row.what }</span>
            <span class="dim">{ match at {
                Some(at) => format!("{} · {at}", row.who),
                None => row.who.clone(),
            } }</span>
            if row.lost { <span class="alarming">{ locale.say(Text::Lost) }</span> }
        </>
    }
}

fn said(held: Held) -> Text {
    match held {
        Held::Yes => Text::SaidHeld,
        Held::No => Text::SaidMissing,
        Held::Overwritten => Text::SaidOverwritten,
        Held::Down => Text::SaidDown,
        Held::Apart => Text::SaidApart,
    }
}

fn mark(held: Held, hue: usize) -> Html {
    html! {
        <svg viewBox="-8 -8 16 16" width="14" height="14" aria-hidden="true">
            { match held {
                Held::Yes => html! { <circle r="5.500" class={format!("hue-{hue}")} /> },
                Held::No => html! { <circle r="5" class="missing" /> },
                Held::Overwritten => html! { <path d="M-5 0H5" class="missing" /> },
                Held::Down => html! { <path d="M-4 -4 4 4M4 -4-4 4" class="missing whole" /> },
                Held::Apart => Html::default(),
            } }
        </svg>
    }
}

/// The end of a name, which tells it from its neighbours: `redis-2` is 2, `machine-1:6380` is 1:80.
fn short(name: &str) -> String {
    let after = name.rsplit('-').next().unwrap_or(name);
    match after.split_once(':') {
        Some((machine, port)) => format!("{machine}:{}", port.get(2..).unwrap_or(port)),
        None => after.to_owned(),
    }
}
