//! The Beliefs tab of a Sentinel: its masters with their timers, and what each Sentinel believes
//! about them, side by side.

use core::time::Duration;

use limpid_core::sentinel::SentinelView;
use limpid_core::sentinel::view::MasterView;
use yew::prelude::*;

use super::{Tab, not_running};
use crate::figures;
use crate::i18n::{Locale, Text, common};
use crate::kinds::sentinel::Verdict;
use crate::lab::Lab;
use crate::live::live_of;
use crate::page::{Page, Topic};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-beliefs",
    title: words::TAB_BELIEFS,
    draw: |body| live_of(body, &[Topic::Prefs, Topic::Panels], beliefs),
    suits: |_| true,
};

/// How many characters of an id are shown.
const ID: usize = 6;

fn beliefs(page: &Page, body: BodyId) -> Html {
    let locale = page.locale();
    let lab = page.lab();
    let all = lab.sentinels();
    let own = all.iter().find(|(unit, _)| unit.id == body);
    let Some(view) = own.and_then(|(_, view)| view.as_ref()) else { return not_running(locale) };
    let names: Vec<(String, String)> = all
        .iter()
        .filter_map(|(unit, view)| Some((view.as_ref()?.id.clone(), unit.name.clone())))
        .collect();
    let columns: Vec<Column<'_>> = all
        .iter()
        .map(|(unit, view)| Column { name: &unit.name, own: unit.id == body, view: view.as_ref() })
        .collect();
    html! {
        <div data-testid="beliefs">
            <p class="gist">{ locale.fill(words::GIST, &[
                ("id", view.id.get(..ID).unwrap_or_default()),
                ("epoch", &figures::count(view.epoch)),
            ]) }</p>
            if let Some(tilt) = view.tilt {
                <p class="alarming">{ locale.fill(words::TILT, &[("time", &figures::duration(tilt))]) }</p>
            }
            { for view.masters.iter().map(|master| html! {
                <section key={master.seen.name.clone()}>
                    <h3>{ format!("{} · {}", master.seen.name, place(&lab, &master.current)) }</h3>
                    { timers(locale, master) }
                    { side_by_side(&lab, locale, master, &columns, &names) }
                </section>
            }) }
        </div>
    }
}

/// A Sentinel as a column of the table.
struct Column<'a> {
    name: &'a str,
    own: bool,
    view: Option<&'a SentinelView>,
}

/// The running timers of a master, as bars.
fn timers(locale: Locale, master: &MasterView) -> Html {
    let silence = master.seen.silence;
    let rows = [
        Some((words::SILENCE, silence)).filter(|_| !silence.0.is_zero()),
        master.in_state.map(|state| (words::IN_STATE, state)),
    ];
    html! {
        <>
            { for rows.into_iter().flatten().map(|(text, (passed, limit))| bar(locale, text, passed, limit)) }
            if let Some(next) = master.next_attempt {
                <p class="dim">{ locale.fill(words::NEXT_ATTEMPT, &[("time", &figures::duration(next))]) }</p>
            }
        </>
    }
}

fn bar(locale: Locale, text: Text, passed: Duration, limit: Duration) -> Html {
    let part = (passed.as_secs_f64() / limit.as_secs_f64().max(1e-9)).min(1.0) * 100.0;
    html! {
        <div class="running">
            <div class="vessel"><i style={format!("width:{part:.1}%")}></i></div>
            <p class="dim">{ locale.fill(text, &[
                ("passed", &figures::duration(round(passed))), ("limit", &figures::duration(limit)),
            ]) }</p>
        </div>
    }
}

/// Rounds to the millisecond: finer figures could not be read while they change.
fn round(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// What each Sentinel believes about a master. A belief that is not the majority's is marked.
fn side_by_side(
    lab: &Lab,
    locale: Locale,
    master: &MasterView,
    columns: &[Column<'_>],
    names: &[(String, String)],
) -> Html {
    let of = |column: &Column<'_>| -> Option<MasterView> {
        column.view?.masters.iter().find(|known| known.seen.name == master.seen.name).cloned()
    };
    type Belief<'a> = (Text, Box<dyn Fn(&SentinelView, &MasterView) -> String + 'a>);
    let beliefs: Vec<Belief<'_>> = vec![
        (words::MASTER, Box::new(|_, master| place(lab, &master.current))),
        (
            words::VERDICT,
            Box::new(|_, master| match Verdict::of(master) {
                Verdict::Up => "ok".to_owned(),
                Verdict::Subjective => "SDOWN".to_owned(),
                Verdict::Objective => "ODOWN".to_owned(),
                _ => master.failover.word().to_owned(),
            }),
        ),
        (
            words::DOWN_VOTES,
            Box::new(|_, master| format!("{}/{}", master.down_votes, master.quorum)),
        ),
        (words::EPOCH, Box::new(|view, _| view.epoch.to_string())),
        (words::CONFIG_EPOCH, Box::new(|_, master| master.config_epoch.to_string())),
        (
            words::VOTE,
            Box::new(|_, master| match &master.vote {
                None => "–".to_owned(),
                Some(id) => {
                    let known = names.iter().find(|(known, _)| known == id);
                    let name = known.map_or(id.get(..ID).unwrap_or(id), |(_, name)| name);
                    format!("{name} @{}", master.vote_epoch)
                }
            }),
        ),
        (words::REPLICAS, Box::new(|_, master| master.replicas.len().to_string())),
        (words::SENTINELS, Box::new(|_, master| master.sentinels.len().to_string())),
    ];
    html! {
        <div class="wide-table">
        <table class="facts beliefs" data-testid={format!("beliefs-{}", master.seen.name)}>
            <thead><tr>
                <th></th>
                { for columns.iter().map(|column| html! {
                    <th scope="col" class={column.own.then_some("own")}>{ column.name }</th>
                }) }
            </tr></thead>
            <tbody>
                { for beliefs.iter().map(|(text, tell)| {
                    let told: Vec<Option<String>> = columns
                        .iter()
                        .map(|column| Some(tell(column.view?, &of(column)?)))
                        .collect();
                    let usual = most(told.iter().flatten());
                    html! {
                        <tr>
                            <th scope="row">{ locale.say(*text) }</th>
                            { for told.iter().zip(columns).map(|(told, column)| {
                                let odd = told.as_ref().is_some_and(|told| Some(told) != usual.as_ref());
                                html! {
                                    <td class={classes!(odd.then_some("other"), column.own.then_some("own"))}
                                        data-odd={odd.to_string()}>
                                        { told.clone().unwrap_or_else(|| locale.say(common::NOT_RUNNING_SHORT).to_owned()) }
                                    </td>
                                }
                            }) }
                        </tr>
                    }
                }) }
            </tbody>
        </table>
        </div>
    }
}

/// The most frequent belief; of several that are equally frequent, the first.
pub(super) fn most<'a>(told: impl Iterator<Item = &'a String> + Clone) -> Option<String> {
    let count = |what: &String| told.clone().filter(|&told| told == what).count();
    let best = told.clone().map(count).max()?;
    told.clone().find(|what| count(what) == best).cloned()
}

/// The name on the map for an address.
fn place(lab: &Lab, address: &str) -> String {
    let body = address
        .rsplit_once(':')
        .and_then(|(host, port)| lab.units().at(lab.world().scenario(), host, port.parse().ok()?));
    body.map_or_else(|| address.to_owned(), |body| lab.units().name(body).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_say_is_the_measure_of_disagreement() {
        let said = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(most(said(&["a", "b", "b"]).iter()).as_deref(), Some("b"));
        assert_eq!(most(said(&["a", "b"]).iter()).as_deref(), Some("a"));
        assert_eq!(most(said(&[]).iter()), None);
    }
}

mod words {
    crate::i18n::texts! {
        TAB_BELIEFS: "Beliefs", "看法";
        GIST: "Sentinel {id}, in epoch {epoch}. What each one believes, side by side:", "哨兵 {id}，当前纪元 {epoch}。各哨兵的看法并列如下：";
        TILT: "In TILT for {time}: it watches and does not act.", "TILT 模式已持续 {time}：只观察，不行动。";
        SILENCE: "no answer for {passed}; down after {limit}", "无应答 {passed}；满 {limit} 判为下线";
        IN_STATE: "in this step for {passed} of {limit}", "此步骤已进行 {passed}，上限 {limit}";
        NEXT_ATTEMPT: "No failover is tried again for {time}.", "{time} 内不会再次尝试故障转移。";
        MASTER: "master", "主节点";
        VERDICT: "state", "状态";
        DOWN_VOTES: "down for / quorum", "判下线数 / 法定数";
        EPOCH: "epoch", "纪元";
        CONFIG_EPOCH: "config epoch", "配置纪元";
        VOTE: "vote", "投票给";
        REPLICAS: "replicas", "从节点数";
        SENTINELS: "other Sentinels", "其他哨兵数";
    }
}
