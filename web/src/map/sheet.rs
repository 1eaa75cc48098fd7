//! The map as tables: the same bodies and links in text form.

use yew::prelude::*;

use crate::i18n::{Locale, Text, common};
use crate::live::live;
use crate::page::{Page, Target, Topic};
use crate::scene::{Body, Scene};
use crate::terminal;

/// The tables.
pub(crate) fn sheet() -> Html {
    live(&[Topic::Prefs, Topic::Scene, Topic::Open], draw_sheet)
}

fn draw_sheet(page: &Page) -> Html {
    let view = page.view();
    let locale = view.prefs.locale;
    let scene = &view.scene;
    let head = |text: Text| html! { <th scope="col">{ locale.say(text) }</th> };
    let menu = |page: &Page, target: Target| {
        let page = page.clone();
        let onclick = Callback::from(move |event: MouseEvent| {
            let at = crate::layout::Point::new(event.client_x().into(), event.client_y().into());
            page.change(Topic::Open, |view| view.menu = Some((target, at)));
        });
        html! {
            <button class="button framed" aria-haspopup="menu" {onclick}>
                { locale.say(common::ACTIONS) }
            </button>
        }
    };
    html! {
        <div class="sheet" data-testid="sheet">
            <table>
                <caption>{ locale.say(common::MAP) }</caption>
                <thead><tr>
                    { head(common::NODE) }{ head(words::ROLE) }{ head(words::ADDRESS) }
                    { head(words::STATE) }{ head(words::DOING) }{ head(common::ACTIONS) }
                </tr></thead>
                <tbody>
                    { for scene.bodies.iter().map(|body| {
                        let open = {
                            let (page, id) = (page.clone(), body.id);
                            Callback::from(move |_: MouseEvent| terminal::open(&page, id))
                        };
                        html! {
                            <tr key={body.name.clone()}>
                                <th scope="row">{ &body.name }</th>
                                <td>{ locale.say(body.role().text) }</td>
                                <td class="mono">{ &body.address }</td>
                                <td>{ locale.say(body.health.text()) }</td>
                                <td>{ doing(locale, scene, body) }</td>
                                <td>
                                    { menu(page, Target::Body(body.id)) }
                                    if body.has_terminal() {
                                        { " " }
                                        <button class="button framed" onclick={open}>
                                            { locale.say(common::OPEN_TERMINAL) }
                                        </button>
                                    }
                                </td>
                            </tr>
                        }
                    }) }
                </tbody>
            </table>
            <table>
                <caption>{ locale.say(words::LINKS) }</caption>
                <thead><tr>
                    { head(words::LINK) }{ head(words::STATE) }{ head(common::ACTIONS) }
                </tr></thead>
                <tbody>
                    { for scene.links.iter().map(|link| {
                        let (a, b) = (scene.name(link.a), scene.name(link.b));
                        html! {
                            <tr key={format!("{a}-{b}")}>
                                <th scope="row">{ format!("{a} – {b}") }</th>
                                <td>{ link.state(locale, a, b) }</td>
                                <td>{ menu(page, Target::Link(link.a, link.b)) }</td>
                            </tr>
                        }
                    }) }
                </tbody>
            </table>
        </div>
    }
}

/// A body's state, and the primary that it follows.
fn doing(locale: Locale, scene: &Scene, body: &Body) -> String {
    if body.health.is_down() {
        return String::new();
    }
    let mut parts = vec![body.line(locale)];
    parts.extend(body.second_line(locale));
    let follow = scene.follows.iter().find(|follow| follow.to == body.id);
    if let Some((follow, primary)) =
        follow.and_then(|follow| Some((follow, scene.body(follow.from)?)))
    {
        let state = locale.say(follow.state.text());
        let values = [("a", primary.name.as_str()), ("b", body.name.as_str()), ("state", state)];
        parts.push(locale.fill(common::FOLLOW_SPOKEN, &values));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

mod words {
    crate::i18n::texts! {
        ROLE: "Role", "角色";
        STATE: "State", "状态";
        ADDRESS: "Address", "地址";
        DOING: "Doing", "情况";
        LINKS: "Links", "链路";
        LINK: "Link", "链路";
    }
}
