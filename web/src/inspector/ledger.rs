//! The ledger of writes, in the side panel.

use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, Text, common};
use crate::icon::{Icon, glyph};
use crate::ledger::{Held, Ledger, Row, Sums};
use crate::live::live;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The panel.
pub(crate) fn ledger_panel() -> Html {
    live(&[Topic::Prefs, Topic::Panels], draw_ledger_panel)
}

fn draw_ledger_panel(page: &Page) -> Html {
    let locale = page.locale();
    let close = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.close_side())
    };
    html! {
        <aside class="side" data-testid="ledger" aria-label={locale.say(common::LEDGER)}>
            { super::way_back(page) }
            <header>
                <h2>{ locale.say(common::LEDGER) }</h2>
                <p class="sub">{ locale.say(words::LEDGER_WHAT) }</p>
                <button class="button" title={locale.say(common::CLOSE)} data-testid="ledger-close"
                    aria-label={locale.say(common::CLOSE)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <div class="pane" tabindex="0">
                { account(page) }
            </div>
        </aside>
    }
}

/// The ledger: totals, writers, and single writes.
pub(crate) fn account(page: &Page) -> Html {
    let locale = page.locale();
    let ledger = page.lab().ledger();
    html! {
        if ledger.sum.acknowledged == 0 {
            <p class="empty">{ locale.say(words::LEDGER_TEACH) }</p>
        } else {
            { sums(locale, ledger.sum) }
            { writers(locale, &ledger) }
            { rows(page, locale, &ledger) }
            <p class="dim">{ locale.say(words::LEDGER_NOTE) }</p>
        }
    }
}

/// The totals as a stacked bar with a count for each part.
fn sums(locale: Locale, sums: Sums) -> Html {
    let whole = sums.acknowledged.max(1) as f64;
    let parts = [
        ("everywhere", words::HELD_EVERYWHERE, sums.everywhere),
        ("several", words::HELD_BY_SEVERAL, sums.several),
        ("single", words::HELD_BY_ONE, sums.single),
        ("lost", words::HELD_BY_NONE, sums.lost),
    ];
    html! {
        <div class="sums">
            <p class="whole" data-testid="ledger-acknowledged" data-count={sums.acknowledged.to_string()}>
                <b>{ figures::count(sums.acknowledged) }</b>{ locale.say(words::ACKNOWLEDGED) }
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
                <th scope="col">{ locale.say(words::WRITER) }</th>
                <th scope="col" class="num">{ locale.say(words::ACKNOWLEDGED_SHORT) }</th>
                <th scope="col" class="num">{ locale.say(words::HELD_BY_ONE) }</th>
                <th scope="col" class="num">{ locale.say(words::HELD_BY_NONE) }</th>
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

/// The latest writes with a mark for each server; lost ones come first.
fn rows(page: &Page, locale: Locale, ledger: &Ledger) -> Html {
    let (view, lab) = (page.view(), page.lab());
    // Servers that no listed write concerns are left out.
    let columns: Vec<(usize, BodyId)> = ledger
        .servers
        .iter()
        .copied()
        .enumerate()
        .filter(|(at, _)| ledger.rows.iter().any(|row| row.held.get(*at) != Some(&Held::Apart)))
        .collect();
    let name = |server: BodyId| lab.units().name(server);
    let hue = |server: BodyId| {
        view.scene.body(server).and_then(|body| body.shard).unwrap_or_default() % 7
    };
    html! {
        <table class="facts writes" data-testid="ledger-rows">
            <thead><tr>
                <th scope="col">{ locale.say(words::LATEST_WRITES) }</th>
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
            if row.lost { <span class="alarming">{ locale.say(words::LOST) }</span> }
        </>
    }
}

fn said(held: Held) -> Text {
    match held {
        Held::Yes => words::SAID_HELD,
        Held::No => words::SAID_MISSING,
        Held::Overwritten => words::SAID_OVERWRITTEN,
        Held::Down => words::SAID_DOWN,
        Held::Apart => words::SAID_APART,
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

/// The end of a name, which distinguishes it from others: `redis-2` is 2, `machine-1:6380` is 1:80.
fn short(name: &str) -> String {
    let after = name.rsplit('-').next().unwrap_or(name);
    match after.split_once(':') {
        Some((machine, port)) => format!("{machine}:{}", port.get(2..).unwrap_or(port)),
        None => after.to_owned(),
    }
}

mod words {
    crate::i18n::texts! {
        LEDGER_WHAT: "what was acknowledged, and who holds it", "已确认的写入，以及谁持有它";
        LEDGER_TEACH: "No write is in the ledger yet. Type SET greeting hello in a terminal; where there is replication or a cluster, clients write by themselves.", "账本里还没有写入。在终端输入 SET greeting hello；在复制或集群场景中，客户端会自动写入。";
        LEDGER_NOTE: "Looked up in the servers' memory at this moment. Of several writes to one key the latest counts. A server that is down may still bring writes back from its disk.", "结果来自此刻各服务器的内存。同一个键多次写入只算最近一次。已停机的服务器重启后，仍可能从磁盘找回写入。";
        ACKNOWLEDGED: " writes acknowledged", " 次写入已确认";
        ACKNOWLEDGED_SHORT: "Acked", "已确认";
        HELD_EVERYWHERE: "held by all", "全部持有";
        HELD_BY_SEVERAL: "held by several", "部分持有";
        HELD_BY_ONE: "held by one only", "仅一台持有";
        HELD_BY_NONE: "lost", "丢失";
        LOST: "lost", "丢失";
        WRITER: "Writer", "写入者";
        LATEST_WRITES: "Latest writes", "最近的写入";
        SAID_HELD: "{name} holds it", "{name} 持有";
        SAID_MISSING: "{name} does not hold it", "{name} 没有";
        SAID_OVERWRITTEN: "{name} holds something newer", "{name} 已被新值覆盖";
        SAID_DOWN: "{name} does not run", "{name} 未运行";
        SAID_APART: "{name} belongs to another shard", "{name} 属于其他分片";
    }
}
