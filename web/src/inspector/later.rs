//! Tabs that the first program cannot draw: opening one fetches the whole program, which then draws
//! it.

use yew::prelude::*;

use super::Tab;
use crate::i18n::common;
use crate::page::{Topic, use_page};
use crate::units::BodyId;
use crate::whole;

/// The Users tab.
pub(crate) static USERS: Tab = Tab {
    id: "inspect-users",
    title: common::USERS,
    draw: |_: BodyId| later(),
    suits: |lab| lab.has_users(),
};

/// The Files tab.
pub(crate) mod files {
    use super::{BodyId, Tab, common, later};

    /// The tab.
    pub(crate) static TAB: Tab = Tab {
        id: "inspect-files",
        title: common::FILES,
        draw: |_: BodyId| later(),
        suits: |_| true,
    };
}

/// A placeholder until the whole program is loaded.
pub(super) fn later() -> Html {
    html! { <Later /> }
}

#[component]
fn Later() -> Html {
    let page = use_page(&[Topic::Prefs]);
    {
        let page = page.clone();
        use_effect_with((), move |()| whole::go_on(&page));
    }
    html! { <p class="empty">{ page.say(whole::words::LOADING) }</p> }
}
