//! Parses the page's `index.html`, whose `data-trunk` attributes serve both Trunk and `cargo xtask
//! web`.

use std::ops::Range;

/// An element with the attribute `data-trunk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Its range in the text, with its end tag if it has one.
    pub(crate) range: Range<usize>,
    /// `link` or `script`.
    pub(crate) tag: String,
    attributes: Vec<(String, String)>,
}

impl Marked {
    /// The value of an attribute; empty if the attribute has none, `None` if it is missing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The attributes for the browser, in the form of a tag.
    pub(crate) fn others(&self, but: &[&str]) -> String {
        let kept = self.attributes.iter().filter(|(name, _)| {
            !name.starts_with("data-trunk")
                && !name.starts_with("data-target")
                && !but.contains(&name.as_str())
        });
        kept.map(|(name, value)| match value.as_str() {
            "" => format!(" {name}"),
            value => format!(" {name}=\"{value}\""),
        })
        .collect()
    }
}

/// All elements with `data-trunk`, in order.
pub(crate) fn marked(html: &str) -> Vec<Marked> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = html[at..].find('<').map(|i| at + i) {
        let rest = &html[start..];
        if rest.starts_with("<!--") {
            at = start + rest.find("-->").map_or(rest.len(), |i| i + 3);
            continue;
        }
        let Some(len) = rest.find('>').map(|i| i + 1) else { break };
        at = start + len;
        let inside = rest[1..len - 1].trim_end_matches('/');
        let tag: String =
            inside.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        if tag != "link" && tag != "script" {
            continue;
        }
        let attributes = attributes(&inside[tag.len()..]);
        if tag == "script"
            && let Some(end) = html[at..].find("</script>")
        {
            at += end + "</script>".len();
        }
        if attributes.iter().any(|(name, _)| name == "data-trunk") {
            found.push(Marked { range: start..at, tag, attributes });
        }
    }
    found
}

/// Replaces ranges of the text, from the last to the first.
pub(crate) fn replace(html: &str, with: Vec<(Range<usize>, String)>) -> String {
    let mut out = html.to_owned();
    for (range, text) in with.into_iter().rev() {
        out.replace_range(range, &text);
    }
    out
}

fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
        if end == 0 {
            return found;
        }
        let name = text[..end].to_ascii_lowercase();
        text = &text[end..];
        let mut value = "";
        if let Some(after) = text.strip_prefix('=') {
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            let after = if quote.is_some() { &after[1..] } else { after };
            let end = match quote {
                Some(quote) => after.find(quote),
                None => after.find(char::is_whitespace),
            };
            value = &after[..end.unwrap_or(after.len())];
            text = &after[end.map_or(after.len(), |end| end + usize::from(quote.is_some()))..];
        }
        found.push((name, value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_elements_are_found_with_their_attributes_and_others_are_left_alone() {
        let html = r#"<head><!-- <link data-trunk rel="css" href="no.css"> -->
            <link rel="x" href="y"><link data-trunk rel="css" href='a.css' media="print" />
            <script data-trunk src="b.js" defer></script><script>1 < 2</script></head>"#;
        let found = marked(html);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].get("rel"), found[0].get("href")), (Some("css"), Some("a.css")));
        assert_eq!(found[0].others(&["rel", "href"]), " media=\"print\"");
        assert_eq!(found[1].tag, "script");
        assert_eq!(found[1].others(&["src"]), " defer");
        assert!(html[found[1].range.clone()].ends_with("</script>"));
        let with = found.into_iter().map(|m| (m.range, String::from("|"))).collect();
        let out = replace(html, with);
        assert_eq!(out.matches('|').count(), 2);
        assert!(!out.contains("a.css") && out.contains("no.css"));
    }
}
