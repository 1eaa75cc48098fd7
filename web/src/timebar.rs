//! The time bar: play, step, speed, and the session as a rail with a draggable knob.

use limpid_core::sim::Step;
use web_sys::{Element, HtmlInputElement};
use yew::prelude::*;

use crate::figures::{self, Speed};
use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::live::live;
use crate::marks::MarkKind;
use crate::page::{Page, Topic, use_page};

/// The least time that the rail spans, in nanoseconds, however short the session is.
const SHORTEST: u64 = 100_000_000;

/// The time bar.
pub(crate) fn time_bar() -> Html {
    live(&[Topic::Prefs, Topic::Time, Topic::Open], draw_time_bar)
}

fn draw_time_bar(page: &Page) -> Html {
    let view = page.view();
    let locale = view.prefs.locale;
    let playing = view.playing;
    let on = |act: fn(&Page)| {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| act(&page))
    };
    let button = |icon: Icon, text: Text, id: &'static str, class: Option<&'static str>, act| {
        html! {
            <button class={classes!("button", class)} title={locale.say(text)}
                aria-label={locale.say(text)} data-testid={id} onclick={on(act)}>
                { glyph(icon) }
            </button>
        }
    };
    let (now, past) = {
        let lab = page.lab();
        (lab.now(), lab.is_past())
    };
    let onspeed = {
        let page = page.clone();
        Callback::from(move |event: InputEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            page.set_speed(Speed::step(input.value_as_number() as u8));
        })
    };
    let there = figures::duration(view.speed.a_second());
    let means = match view.frame.behind.filter(|_| playing) {
        Some(pace) => {
            let pace = figures::duration(core::time::Duration::from_nanos(pace));
            locale.fill(words::SPEED_BEHIND, &[("there", &pace)])
        }
        None => locale.fill(common::SPEED_MEANS, &[("there", &there)]),
    };
    let spoken = format!("{} · {means}", view.speed.pace(locale));
    html! {
        <section class="time" aria-label={locale.say(words::TIME_BAR)}>
            <button class="button play" data-testid="play" aria-pressed={playing.to_string()}
                title={locale.say(if playing { words::PAUSE } else { words::PLAY })}
                aria-label={locale.say(if playing { words::PAUSE } else { words::PLAY })}
                onclick={on(|page| { let playing = page.view().playing; page.play(!playing) })}>
                { glyph(if playing { Icon::Pause } else { Icon::Play }) }
            </button>
            { button(Icon::StepBack, words::STEP_BACK, "step-back", None, step_back) }
            { button(Icon::StepForward, words::STEP_FORWARD, "step-forward", None, step_forward) }
            { button(Icon::JumpBack, words::JUMP_BACK, "jump-back", Some("optional"), |page| jump(page, false)) }
            <Rail />
            { button(Icon::JumpForward, words::JUMP_FORWARD, "jump-forward", Some("optional"), |page| jump(page, true)) }
            if past {
                { button(Icon::ToLive, words::TO_LIVE, "to-live", None, to_live) }
            }
            { timelines() }
            <time class={classes!("clock", past.then_some("past"))} data-testid="clock">
                { if playing { figures::passing(now) } else { figures::moment(now) } }
                if past {
                    <span class="unseen">{ locale.say(words::TIME_PAST) }</span>
                }
            </time>
            <label class="speed">
                <span class="unseen">{ locale.say(words::SPEED) }</span>
                <input type="range" min="0" max={(Speed::STEPS - 1).to_string()} step="1"
                    value={view.speed.index().to_string()} aria-valuetext={spoken}
                    data-testid="speed" oninput={onspeed} />
                <output data-testid="speed-means" title={means.clone()}>
                    <b>{ view.speed.pace(locale) }</b>
                    <span>{ means }</span>
                </output>
            </label>
        </section>
    }
}

/// Steps one event forward and pauses.
pub(crate) fn step_forward(page: &Page) {
    page.play(false);
    page.step(true);
}

/// Steps to the next change of state, anywhere.
pub(crate) fn step_to_change(page: &Page) {
    page.play(false);
    page.step_to(Step::Change);
}

/// Steps to the next event at the selected body, or at the focused one.
pub(crate) fn step_at_node(page: &Page) {
    let body = {
        let view = page.view();
        view.selected.iter().next().copied().or_else(|| view.focus_body())
    };
    let host = body.and_then(|body| page.lab().units().get(body).map(|unit| unit.host));
    let Some(host) = host else { return };
    page.play(false);
    page.step_to(Step::AtHost(host));
}

/// Steps one event back.
pub(crate) fn step_back(page: &Page) {
    page.play(false);
    page.step(false);
}

/// Jumps to the nearest mark before or after the present moment.
pub(crate) fn jump(page: &Page, forward: bool) {
    let target = {
        let lab = page.lab();
        let now = lab.now();
        let marks = lab.marks();
        let mut marks = marks.iter().map(|mark| mark.at);
        match forward {
            true => marks.find(|&at| at > now),
            false => marks.rfind(|&at| at < now),
        }
    };
    page.play(false);
    match (target, forward) {
        (Some(at), _) => page.seek(at),
        (None, true) => to_live(page),
        (None, false) => page.seek(0),
    }
}

/// Jumps to the end of the known future.
pub(crate) fn to_live(page: &Page) {
    let end = page.lab().end();
    page.seek(end);
}

/// The control for kept futures (branches), if there are any.
fn timelines() -> Html {
    live(&[Topic::Prefs, Topic::Time], draw_timelines)
}

fn draw_timelines(page: &Page) -> Html {
    let branches = page.lab().branches();
    if branches == 0 {
        return Html::default();
    }
    let locale = page.locale();
    let onclick = {
        let page = page.clone();
        Callback::from(move |_: MouseEvent| page.switch_branch())
    };
    let text = locale.fill(words::OTHER_TIMELINES, &[("n", &branches.to_string())]);
    html! {
        <button class="button" data-testid="timelines" title={text.clone()} aria-label={text}
            {onclick}>
            { glyph(Icon::Branch) }{ branches }
        </button>
    }
}

/// The session from its beginning to its end, with marks and a knob.
#[component]
fn Rail() -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Time, Topic::Events, Topic::Camera]);
    let rail = use_node_ref();
    let width = use_state_eq(|| 600.0f64);
    let dragging = use_state_eq(|| false);
    {
        let (rail, width) = (rail.clone(), width.clone());
        use_effect(move || {
            if let Some(rail) = rail.cast::<Element>() {
                width.set(f64::from(rail.client_width()).max(40.0));
            }
        });
    }
    let (now, end) = {
        let lab = page.lab();
        (lab.now(), lab.end().max(SHORTEST))
    };
    let wide = *width;
    let x_of = |ns: u64| (ns as f64 / end as f64).min(1.0) * wide;
    let seek_to = {
        let (page, rail) = (page.clone(), rail.clone());
        move |event: &PointerEvent| {
            let Some(rail) = rail.cast::<Element>() else { return };
            let rect = rail.get_bounding_client_rect();
            let part = (f64::from(event.client_x()) - rect.left()) / rect.width().max(1.0);
            let known = page.lab().end();
            let at = (part.clamp(0.0, 1.0) * end as f64) as u64;
            page.seek(at.min(known));
        }
    };
    let onpointerdown = {
        let (page, dragging, seek_to) = (page.clone(), dragging.clone(), seek_to.clone());
        Callback::from(move |event: PointerEvent| {
            if let Some(target) = event.current_target() {
                let element: Element = wasm_bindgen::JsCast::unchecked_into(target);
                let _ = element.set_pointer_capture(event.pointer_id());
            }
            page.play(false);
            dragging.set(true);
            seek_to(&event);
        })
    };
    let onpointermove = {
        let dragging = dragging.clone();
        Callback::from(move |event: PointerEvent| {
            if *dragging {
                seek_to(&event);
            }
        })
    };
    let onpointerup = {
        let dragging = dragging.clone();
        Callback::from(move |_: PointerEvent| dragging.set(false))
    };
    let onkeydown = {
        let page = page.clone();
        Callback::from(move |event: KeyboardEvent| {
            let step = (page.lab().end() / 50).max(1_000);
            let now = page.lab().now();
            let to = match event.key().as_str() {
                "ArrowLeft" | "ArrowDown" => now.saturating_sub(step),
                "ArrowRight" | "ArrowUp" => now + step,
                "Home" => 0,
                "End" => u64::MAX,
                _ => return,
            };
            event.prevent_default();
            event.stop_propagation();
            page.play(false);
            let end = page.lab().end();
            page.seek(to.min(end));
        })
    };
    let locale = page.locale();
    let lab = page.lab();
    let spoken = locale.fill(
        words::TIME_NOW,
        &[("now", &figures::moment(now)), ("end", &figures::moment(lab.end()))],
    );
    let knob = x_of(now);
    html! {
        <div class="rail" ref={rail} role="slider" tabindex="0" data-testid="rail"
            aria-label={locale.say(words::TIME_BAR)} aria-valuemin="0"
            aria-valuemax={(lab.end() / 1_000).to_string()}
            aria-valuenow={(now / 1_000).to_string()} aria-valuetext={spoken}
            {onpointerdown} {onpointermove} {onpointerup} {onkeydown}>
            <svg aria-hidden="true">
                { for ticks(end).into_iter().map(|ns| html! {
                    <g key={ns}>
                        <path class="tick" d={format!("M{0:.1} 27V31", x_of(ns))} />
                        <text class="tick-name" x={format!("{:.1}", x_of(ns))} y="41">
                            { figures::duration(core::time::Duration::from_nanos(ns)) }
                        </text>
                    </g>
                }) }
                <path class="track" d={format!("M0 20H{wide:.0}")} />
                <path class="done" d={format!("M0 20H{knob:.1}")} />
                { for lab.marks().iter().map(|mark| {
                    let x = x_of(mark.at);
                    let (path, title) = sign(mark.kind, x);
                    html! {
                        <path class={mark.kind.name()} d={path}>
                            if let Some(title) = title { <title>{ locale.say(title) }</title> }
                        </path>
                    }
                }) }
                <circle class="knob" cx={format!("{knob:.1}")} cy="20" r="8" />
            </svg>
        </div>
    }
}

/// The shape of a mark, and its name if the shape does not explain itself.
fn sign(kind: MarkKind, x: f64) -> (String, Option<Text>) {
    match kind {
        MarkKind::Fault => (format!("M{x:.1} 13.500l4-7.500h-8z"), None),
        MarkKind::Command => (format!("M{x:.1} 8V14"), None),
        MarkKind::Suspected => {
            (format!("M{x:.1} 6.500a3.5 3.5 0 1 0 .1 0z"), Some(words::MARK_SUSPECTED))
        }
        MarkKind::Unreachable => {
            (format!("M{x:.1} 6.500a3.5 3.5 0 1 0 .1 0z"), Some(words::MARK_PFAIL))
        }
        MarkKind::Failed => (format!("M{x:.1} 6l4 4-4 4-4-4z"), Some(words::MARK_FAIL)),
        MarkKind::Slots => {
            (format!("M{:.1} 8h3v4h-3zm4 0h3v4h-3z", x - 3.5), Some(words::MARK_SLOTS))
        }
        MarkKind::Down => (format!("M{x:.1} 6l4 4-4 4-4-4z"), Some(words::MARK_DOWN)),
        MarkKind::Vote => (format!("M{:.1} 10l2.500 3 5-6", x - 3.5), Some(words::MARK_VOTE)),
        MarkKind::Switch => {
            (format!("M{:.1} 13v-7l3 3 2.500-4 2.500 4 3-3v7z", x - 5.5), Some(words::MARK_SWITCH))
        }
    }
}

/// The ticks of the rail: between three and seven round times.
fn ticks(end: u64) -> Vec<u64> {
    let raw = (end / 6).max(1) as f64;
    let mut magnitude = 1.0;
    while magnitude * 10.0 <= raw {
        magnitude *= 10.0;
    }
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|&step| step >= raw)
        .unwrap_or(raw) as u64;
    (1..).map(|n| n * step).take_while(|&at| at as f64 <= end as f64 * 0.97).collect()
}

mod words {
    crate::i18n::texts! {
        PAUSE: "Pause", "暂停";
        PLAY: "Play", "播放";
        STEP_FORWARD: "One event forward", "前进一个事件";
        STEP_BACK: "One event back", "后退一个事件";
        TO_LIVE: "To the present", "回到当前";
        SPEED: "Speed", "速度";
        SPEED_BEHIND: "busy: {there} a second", "繁忙：现实 1 秒仅 {there}";
        TIME_BAR: "Time", "时间";
        TIME_NOW: "{now} of {end}", "{now} / {end}";
        TIME_PAST: "in the past", "这是过去";
        JUMP_BACK: "Previous marker", "上一个标记";
        JUMP_FORWARD: "Next marker", "下一个标记";
        MARK_SUSPECTED: "down for one Sentinel (SDOWN)", "主观下线（SDOWN）";
        MARK_DOWN: "down for enough Sentinels (ODOWN)", "客观下线（ODOWN）";
        MARK_PFAIL: "a node cannot reach another one (PFAIL)", "疑似下线（PFAIL）";
        MARK_FAIL: "down for a majority of the primaries (FAIL)", "过半主节点判定下线（FAIL）";
        MARK_SLOTS: "slots have another owner", "槽位归属变更";
        MARK_VOTE: "a vote", "投票";
        MARK_SWITCH: "a new master", "主节点切换";
        OTHER_TIMELINES: "Other timelines: {n}. Switch to the latest", "其他时间线：{n} 条。切换到最近一条";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(ticks(1_000), [200, 400, 600, 800]);
        for end in [100_000_000, 123_456_789, 999_999_999_999] {
            let count = ticks(end).len();
            assert!((2..=7).contains(&count), "{count} ticks for {end}");
        }
    }
}
