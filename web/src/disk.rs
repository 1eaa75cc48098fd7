//! Sessions as files on the person's disk: saving one, and opening one.

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{File, HtmlElement};

use crate::page::Page;
use crate::saved::{Saved, Unreadable};

/// The largest file that is opened, in bytes. A session of hours has a tenth of that.
const LARGEST: f64 = 32e6;

/// Lets the browser save the session to a file.
pub(crate) fn save(page: &Page) {
    let name = page.lab().topology().name().replace('/', "-");
    let text = String::from(js_sys::encode_uri_component(&Saved::of(page).text()));
    let link = gloo::utils::document().create_element("a");
    let Ok(link) = link.map(JsCast::unchecked_into::<HtmlElement>) else { return };
    let _ = link.set_attribute("href", &format!("data:application/json;charset=utf-8,{text}"));
    let _ = link.set_attribute("download", &format!("limpid-{name}.json"));
    link.click();
}

/// Opens a session from a file, or says what is wrong with it.
pub(crate) fn open(page: &Page, file: &File) {
    let (page, file) = (page.clone(), file.clone());
    spawn_local(async move {
        let name = file.name();
        let text = match file.size() <= LARGEST {
            true => JsFuture::from(file.text()).await.ok().and_then(|text| text.as_string()),
            false => None,
        };
        match text.ok_or(Unreadable::Other).and_then(|text| Saved::read(&text)) {
            Ok(saved) => saved.open(&page),
            Err(why) => page.toast(refusal(&page, &name, &why)),
        }
    });
}

fn refusal(page: &Page, name: &str, why: &Unreadable) -> String {
    match why {
        Unreadable::Other => page.fill(words::NO_SESSION, &[("file", name)]),
        Unreadable::Later(version) => {
            page.fill(words::LATER, &[("file", name), ("version", &version.to_string())])
        }
    }
}

mod words {
    crate::i18n::texts! {
        NO_SESSION: "{file} is no saved session. Choose a file that was saved here with “Share”.", "{file} 不是保存的会话。请选择通过“分享”保存的文件。";
        LATER: "{file} was saved by a later version of this page (form {version}). Open it there, or ask for a link.", "{file} 由更新版本的页面保存（格式 {version}）。请用新版页面打开，或索取链接。";
    }
}
