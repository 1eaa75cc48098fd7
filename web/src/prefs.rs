//! The person's preferences, language and theme: from the address, from storage, or the browser's.

use crate::i18n::Locale;
use crate::storage;

/// The colour theme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Theme {
    /// As the system is.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Theme::System, Theme::Light, Theme::Dark].into_iter().find(|theme| theme.name() == name)
    }
}

/// Language and theme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Prefs {
    /// The language of the page.
    pub locale: Locale,
    /// The theme.
    pub theme: Theme,
}

impl Prefs {
    const LOCALE: &str = "limpid.locale";
    const THEME: &str = "limpid.theme";

    /// Reads the preferences: the address's parameters first, then the saved choice, then the
    /// browser's languages.
    pub(crate) fn load() -> Self {
        let locale = parameter("locale")
            .or_else(|| storage::get(Self::LOCALE))
            .and_then(|tag| Locale::from_tag(&tag))
            .or_else(browser_locale)
            .unwrap_or(Locale::En);
        let theme = parameter("theme")
            .or_else(|| storage::get(Self::THEME))
            .and_then(|name| Theme::from_name(&name))
            .unwrap_or(Theme::System);
        Prefs { locale, theme }
    }

    /// Saves the preferences in the browser's storage, if it has any.
    pub(crate) fn save(self) {
        storage::set(Self::LOCALE, self.locale.tag());
        storage::set(Self::THEME, self.theme.name());
    }

    /// Sets the document's language, and the theme for the styles.
    pub(crate) fn apply(self) {
        let Some(root) = gloo::utils::document().document_element() else { return };
        let _ = root.set_attribute("lang", self.locale.tag());
        let _ = match self.theme {
            Theme::System => root.remove_attribute("data-theme"),
            theme => root.set_attribute("data-theme", theme.name()),
        };
    }

    /// Whether the page is shown dark now.
    pub(crate) fn is_dark(self) -> bool {
        match self.theme {
            Theme::Dark => true,
            Theme::Light => false,
            Theme::System => media_matches("(prefers-color-scheme: dark)"),
        }
    }
}

/// A query parameter of the page's address.
pub(crate) fn parameter(name: &str) -> Option<String> {
    let query = gloo::utils::window().location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&query).ok()?.get(name)
}

/// Whether a media query matches now.
pub(crate) fn media_matches(query: &str) -> bool {
    gloo::utils::window().match_media(query).ok().flatten().is_some_and(|list| list.matches())
}

fn browser_locale() -> Option<Locale> {
    let languages = gloo::utils::window().navigator().languages();
    languages.iter().filter_map(|tag| tag.as_string()).find_map(|tag| Locale::from_tag(&tag))
}
