//! The languages of the page, and texts in both of them.
//!
//! Each part of the page declares its texts in its own file, in a module `words`, with [`texts!`];
//! only those that several parts use are in [`common`]. A text may have placeholders such as
//! `{name}`, filled by [`Locale::fill`]. Output of Redis is never translated.

pub(crate) mod common;

/// A language of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Locale {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

impl Locale {
    /// Its name in the `lang` attribute and the `locale` parameter.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Zh => "zh-CN",
        }
    }

    /// The language of a tag such as `zh-Hans-CN` or `en-GB`, if the page has it.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        match primary.as_str() {
            "en" => Some(Locale::En),
            "zh" => Some(Locale::Zh),
            _ => None,
        }
    }

    /// The other language.
    pub(crate) fn other(self) -> Self {
        match self {
            Locale::En => Locale::Zh,
            Locale::Zh => Locale::En,
        }
    }

    /// A text without placeholders.
    pub(crate) fn say(self, text: Text) -> &'static str {
        match self {
            Locale::En => text.en,
            Locale::Zh => text.zh,
        }
    }

    /// A text with its placeholders filled.
    pub(crate) fn fill(self, text: Text, values: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.say(text);
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
            out.push_str(&rest[..open]);
            let name = &rest[open + 1..close];
            match values.iter().find(|(key, _)| *key == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[open..=close]),
            }
            rest = &rest[close + 1..];
        }
        out + rest
    }
}

/// A text of the page in both languages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    en: &'static str,
    zh: &'static str,
}

impl Text {
    /// Creates a text from English and Chinese. All texts are constants: one does not compile if a
    /// language is empty, or if the two differ in their placeholders.
    pub(crate) const fn new(en: &'static str, zh: &'static str) -> Self {
        assert!(!en.is_empty(), "the English text is empty");
        assert!(!zh.is_empty(), "the Chinese text is empty");
        assert!(holds_placeholders_of(en.as_bytes(), zh.as_bytes()), "a placeholder is missing");
        assert!(holds_placeholders_of(zh.as_bytes(), en.as_bytes()), "a placeholder is missing");
        Text { en, zh }
    }
}

/// Whether `text` holds every placeholder of `other`.
const fn holds_placeholders_of(text: &[u8], other: &[u8]) -> bool {
    let mut open = 0;
    while open < other.len() {
        if other[open] == b'{' {
            let mut length = 0;
            while other[open + length] != b'}' {
                length += 1;
            }
            if !holds(text, other, open, length + 1) {
                return false;
            }
        }
        open += 1;
    }
    true
}

/// Whether `text` holds the `length` bytes of `other` from `from` on.
const fn holds(text: &[u8], other: &[u8], from: usize, length: usize) -> bool {
    let mut at = 0;
    while at + length <= text.len() {
        let mut same = 0;
        while same < length && text[at + same] == other[from + same] {
            same += 1;
        }
        if same == length {
            return true;
        }
        at += 1;
    }
    false
}

/// Declares texts: the name of each, English, Chinese.
macro_rules! texts {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        $(
            #[doc = $en]
            pub(crate) const $name: $crate::i18n::Text = $crate::i18n::Text::new($en, $zh);
        )*
    };
}
pub(crate) use texts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_same_placeholders_in_both_languages() {
        let same = |en: &str, zh: &str| {
            holds_placeholders_of(en.as_bytes(), zh.as_bytes())
                && holds_placeholders_of(zh.as_bytes(), en.as_bytes())
        };
        assert!(same("{b} follows {a}", "{b} 复制 {a}"));
        assert!(!same("{b} follows {a}", "{b} 复制"));
        assert!(!same("{b} follows", "{b} 复制 {a}"));
        assert!(!same("{name}", "{names}"));
    }

    #[test]
    fn placeholders_are_filled() {
        const KEYS: Text = Text::new("{n} keys", "{n} 个键");
        assert_eq!(Locale::En.fill(KEYS, &[("n", "12")]), "12 keys");
        assert_eq!(Locale::Zh.fill(KEYS, &[("n", "12")]), "12 个键");
    }

    #[test]
    fn tags_of_browsers_are_understood() {
        assert_eq!(Locale::from_tag("zh-Hans-CN"), Some(Locale::Zh));
        assert_eq!(Locale::from_tag("zh_TW"), Some(Locale::Zh));
        assert_eq!(Locale::from_tag("EN-gb"), Some(Locale::En));
        assert_eq!(Locale::from_tag("fr"), None);
    }
}
