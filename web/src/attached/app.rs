//! The root component of the attached page: fetches the reports every second, and draws them.

use std::collections::VecDeque;

use gloo::timers::callback::Interval;
use limpid_core::deployment::{Deployment, Kind, Report, changes};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use yew::prelude::*;

use super::changes::{Line, change_list};
use super::scene::{Homes, layout, scene};
use super::{map, panel};
use crate::i18n::Locale;
use crate::icon::{Icon, glyph};
use crate::prefs::{Prefs, Theme};
use crate::units::BodyId;

/// Milliseconds between two requests for the reports.
const PERIOD: u32 = 1_000;
/// The most changes that are remembered.
const REMEMBERED: usize = 500;

/// The page.
pub(super) struct App {
    prefs: Prefs,
    /// The deployment by the last reports; `None` before the first answer.
    shown: Option<Deployment>,
    homes: Homes,
    changes: VecDeque<Line>,
    /// The error of the last request, if it failed.
    trouble: Option<String>,
    /// The address of the node in the panel.
    chosen: Option<String>,
    /// Whether a request is in flight.
    asking: bool,
    _clock: Interval,
}

/// An event of the page.
pub(super) enum Message {
    /// A request is due.
    Ask,
    /// The reports, or why there are none.
    Got(Result<Vec<Report>, String>),
    /// A node was chosen on the map or in a list; `None` closes the panel.
    Choose(Option<String>),
    /// Switches the language.
    Language,
    /// Switches the theme.
    Theme,
}

impl Component for App {
    type Message = Message;
    type Properties = ();

    fn create(ctx: &Context<Self>) -> Self {
        let prefs = Prefs::load();
        prefs.apply();
        ctx.link().send_message(Message::Ask);
        let link = ctx.link().clone();
        App {
            prefs,
            shown: None,
            homes: Homes::default(),
            changes: VecDeque::new(),
            trouble: None,
            chosen: None,
            asking: false,
            _clock: Interval::new(PERIOD, move || link.send_message(Message::Ask)),
        }
    }

    fn update(&mut self, ctx: &Context<Self>, message: Message) -> bool {
        match message {
            Message::Ask => {
                if !core::mem::replace(&mut self.asking, true) {
                    ctx.link().send_future(async { Message::Got(reports().await) });
                }
                false
            }
            Message::Got(answer) => {
                self.asking = false;
                self.take(answer)
            }
            Message::Choose(address) => {
                self.chosen = address;
                true
            }
            Message::Language => {
                self.prefs.locale = self.prefs.locale.other();
                self.prefer()
            }
            Message::Theme => {
                self.prefs.theme = if self.prefs.is_dark() { Theme::Light } else { Theme::Dark };
                self.prefer()
            }
        }
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let locale = self.prefs.locale;
        let choose = ctx.link().callback(Message::Choose);
        let nothing = Deployment::default();
        let deployment = self.shown.as_ref().unwrap_or(&nothing);
        html! {
            <div class="page attached" data-testid="attached">
                { self.top(ctx, deployment) }
                <main class="stage">
                    if deployment.nodes.is_empty() {
                        <p class="empty">{ locale.say(words::WAITING) }</p>
                    } else {
                        { self.map(deployment, &choose) }
                    }
                    if let Some(trouble) = &self.trouble {
                        <p class="trouble" role="alert" data-testid="attached-trouble">
                            { locale.fill(words::TROUBLE, &[("why", trouble)]) }
                        </p>
                    }
                </main>
                { panel::panel(deployment, self.chosen.as_deref(), locale, &choose) }
                { change_list(&self.changes, locale, &choose) }
            </div>
        }
    }
}

impl App {
    /// Takes an answer. Returns whether anything that is drawn has changed.
    fn take(&mut self, answer: Result<Vec<Report>, String>) -> bool {
        let reports = match answer {
            Ok(reports) => reports,
            Err(why) => return self.trouble.replace(why) != self.trouble,
        };
        let had_trouble = self.trouble.take().is_some();
        let now = Deployment::of(&reports);
        self.homes.learn(&now);
        if let Some(before) = &self.shown {
            let time = clock();
            for change in changes(before, &now) {
                self.changes.push_front(Line { time: time.clone(), change });
            }
            self.changes.truncate(REMEMBERED);
        }
        let changed = self.shown.as_ref() != Some(&now);
        self.shown = Some(now);
        changed || had_trouble
    }

    fn prefer(&self) -> bool {
        self.prefs.save();
        self.prefs.apply();
        true
    }

    fn map(&self, deployment: &Deployment, choose: &Callback<Option<String>>) -> Html {
        let scene = scene(deployment, &self.homes);
        let place = |address: &String| {
            scene.bodies.iter().find(|body| body.address == *address).map(|body| body.id)
        };
        let chosen: Option<BodyId> = self.chosen.as_ref().and_then(place);
        map::map(&scene, layout(deployment), self.prefs.locale, chosen, choose)
    }

    fn top(&self, ctx: &Context<Self>, deployment: &Deployment) -> Html {
        let locale = self.prefs.locale;
        let count = |kind| deployment.nodes.iter().filter(|node| node.kind == kind).count();
        let silent = deployment.nodes.iter().filter(|node| node.report.error.is_some()).count();
        let (servers, sentinels) = (count(Kind::Server), count(Kind::Sentinel));
        let theme = if self.prefs.is_dark() { Icon::Sun } else { Icon::Moon };
        html! {
            <header class="top">
                <div class="brand"><h1>{ "Limpid" }</h1></div>
                <p class="tagline" data-testid="attached-count" data-servers={servers.to_string()}
                    data-sentinels={sentinels.to_string()} data-silent={silent.to_string()}>
                    { self.gist(locale, servers, sentinels, silent) }
                </p>
                <a class="button" href="./" data-testid="to-lab">{ locale.say(words::TO_LAB) }</a>
                <button class="button" title={locale.say(words::LANGUAGE_LABEL)} data-testid="language"
                    lang={locale.other().tag()} onclick={ctx.link().callback(|_| Message::Language)}>
                    { locale.say(words::LANGUAGE) }
                </button>
                <button class="button" title={locale.say(words::THEME)} data-testid="theme"
                    aria-label={locale.say(words::THEME)}
                    onclick={ctx.link().callback(|_| Message::Theme)}>
                    { glyph(theme) }
                </button>
            </header>
        }
    }

    fn gist(&self, locale: Locale, servers: usize, sentinels: usize, silent: usize) -> String {
        let text = match (sentinels, silent) {
            (0, 0) => words::SERVERS,
            (0, _) => words::SERVERS_SILENT,
            (_, 0) => words::WATCHED,
            (_, _) => words::WATCHED_SILENT,
        };
        let number = |n: usize| n.to_string();
        let (servers, sentinels, silent) = (number(servers), number(sentinels), number(silent));
        locale.fill(text, &[("servers", &servers), ("sentinels", &sentinels), ("silent", &silent)])
    }
}

/// Fetches the reports from the program that serves the page.
async fn reports() -> Result<Vec<Report>, String> {
    let said = |error: wasm_bindgen::JsValue| {
        js_sys::Reflect::get(&error, &"message".into())
            .ok()
            .and_then(|message| message.as_string())
            .unwrap_or_default()
    };
    let window = gloo::utils::window();
    let response = JsFuture::from(window.fetch_with_str("./attached.json")).await.map_err(said)?;
    let response: web_sys::Response = response.unchecked_into();
    if !response.ok() {
        return Err(format!("attached.json: {}", response.status()));
    }
    let text = JsFuture::from(response.text().map_err(said)?).await.map_err(said)?;
    serde_json::from_str(&text.as_string().unwrap_or_default()).map_err(|error| error.to_string())
}

/// The local time of day.
fn clock() -> String {
    let now = js_sys::Date::new_0();
    format!("{:02}:{:02}:{:02}", now.get_hours(), now.get_minutes(), now.get_seconds())
}

mod words {
    crate::i18n::texts! {
        WAITING: "Asking the nodes …", "正在询问各节点…";
        TROUBLE: "limpid playground does not answer ({why}). What you see may be old.",
            "limpid playground 没有回应（{why}）。看到的可能已经过时。";
        TO_LAB: "To the lab", "前往实验室";
        LANGUAGE: "中文", "English";
        LANGUAGE_LABEL: "Language: switch to Chinese", "语言：切换到英文";
        THEME: "Light or dark", "浅色或深色";
        SERVERS: "A real deployment: servers: {servers}", "真实部署：{servers} 台服务器";
        SERVERS_SILENT: "A real deployment: servers: {servers}, silent: {silent}",
            "真实部署：{servers} 台服务器，{silent} 台无响应";
        WATCHED: "A real deployment: servers: {servers}, Sentinels: {sentinels}",
            "真实部署：{servers} 台服务器，{sentinels} 个哨兵";
        WATCHED_SILENT: "A real deployment: servers: {servers}, Sentinels: {sentinels}, silent: {silent}",
            "真实部署：{servers} 台服务器，{sentinels} 个哨兵，{silent} 个无响应";
    }
}
