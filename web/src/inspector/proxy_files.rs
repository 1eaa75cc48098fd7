//! The Configuration tab of a proxy: its files as text, to be edited, and read again without a
//! client being disconnected.

use limpid_core::sim::Action;
use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use super::{Tab, not_running};
use crate::lab::Lab;
use crate::page::{Page, Topic, use_page};
use crate::units::BodyId;

/// The tab.
pub(crate) static TAB: Tab = Tab {
    id: "inspect-proxy-files",
    title: words::TAB_CONFIGURATION,
    draw: |body| html! { <Files {body} /> },
    suits: |_| true,
};

#[derive(Properties, PartialEq)]
struct Props {
    body: BodyId,
}

/// The files of a proxy's configuration, each with its path and text.
fn files(lab: &Lab, body: BodyId) -> Option<Vec<(String, String)>> {
    let unit = lab.units().get(body)?;
    let host = lab.world().host(unit.host)?;
    let folder =
        ["/etc/nutcracker", "/etc/predixy"].into_iter().find(|dir| host.disk.is_dir(dir))?;
    let read = |path: String| {
        let bytes = host.disk.read_file(&path).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    };
    let inside = host.disk.tree().filter(|(path, dir)| !dir && path.starts_with(folder));
    Some(inside.filter_map(|(path, _)| read(path.to_owned())).collect())
}

#[component]
fn Files(props: &Props) -> Html {
    let page = use_page(&[Topic::Prefs, Topic::Scene]);
    let edited = use_state_eq(Vec::<(String, String)>::new);
    let locale = page.locale();
    let body = props.body;
    let Some(files) = files(&page.lab(), body) else { return not_running(locale) };
    let text = |path: &str, saved: &str| {
        let known = edited.iter().find(|(known, _)| known == path);
        known.map_or(saved.to_owned(), |(_, text)| text.clone())
    };
    let save = {
        let (page, edited) = (page.clone(), edited.clone());
        Callback::from(move |_: MouseEvent| {
            let actions = reload(&page, body, &edited);
            page.act(actions);
            edited.set(Vec::new());
        })
    };
    html! {
        <div class="editor" data-testid="proxy-files">
            { for files.iter().map(|(path, saved)| {
                let oninput = {
                    let (edited, path) = (edited.clone(), path.clone());
                    Callback::from(move |event: InputEvent| {
                        let area: HtmlTextAreaElement = event.target_unchecked_into();
                        let mut all = (*edited).clone();
                        all.retain(|(known, _)| *known != path);
                        all.push((path.clone(), area.value()));
                        edited.set(all);
                    })
                };
                let name = path.rsplit('/').next().unwrap_or_default();
                let rows = saved.lines().count().clamp(3, 26).to_string();
                html! {
                    <label key={path.clone()}>
                        <code>{ path }</code>
                        <textarea {rows} spellcheck="false" data-testid={format!("edit-{name}")}
                            value={text(path, saved)} {oninput} />
                    </label>
                }
            }) }
            <button class="button framed" data-testid="proxy-reload" onclick={save}>
                { locale.say(words::RELOAD) }
            </button>
            <p class="dim">{ locale.say(words::RELOAD_NOTE) }</p>
        </div>
    }
}

/// Writes the files and lets the proxy read them.
fn reload(page: &Page, body: BodyId, edited: &[(String, String)]) -> Vec<Action> {
    let lab = page.lab();
    let Some(unit) = lab.units().get(body) else { return Vec::new() };
    let world = lab.world();
    let host = world.host(unit.host).map_or_else(String::new, |host| host.name.to_owned());
    let target = unit.process().and_then(|id| world.proc(id)).map(|proc| proc.name.to_owned());
    let write = |(path, text): &(String, String)| Action::Write {
        host: host.clone(),
        path: path.clone(),
        text: text.clone(),
    };
    let reload = target.map(|target| Action::Reload { target });
    edited.iter().map(write).chain(reload).collect()
}

mod words {
    crate::i18n::texts! {
        TAB_CONFIGURATION: "Configuration", "配置文件";
        RELOAD: "Save and reload (SIGHUP)", "保存并重新加载（SIGHUP）";
        RELOAD_NOTE: "Clients stay connected. What the proxy says of a mistake is in its log; then the old configuration stays.", "客户端连接不会断开。如果配置有误，原因会写入代理日志，旧配置继续生效。";
    }
}
