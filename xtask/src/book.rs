//! Renders the chapter with three labs (`static/book`), so that it can be viewed without mdBook.
//! Uses the same Markdown parser as mdBook.

use anyhow::{Context, Result};
use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd, html};

use crate::web::Site;

const SOURCES: &str = "book/src/";

/// Adds the pages to the site.
pub(crate) fn add_pages(site: &mut Site) -> Result<()> {
    let chapters: Vec<String> = site.keys().filter(|file| is_chapter(file)).cloned().collect();
    for file in chapters {
        let text = std::str::from_utf8(&site[&file]).with_context(|| format!("static/{file}"))?;
        let page = page(text, if file.ends_with("zh.md") { "zh-CN" } else { "en" });
        let name = file.trim_start_matches(SOURCES).trim_end_matches(".md");
        let name = format!("book/{name}.html");
        site.insert(name, page.into_bytes());
    }
    Ok(())
}

fn is_chapter(file: &str) -> bool {
    file.starts_with(SOURCES) && file.ends_with(".md") && !file.ends_with("SUMMARY.md")
}

fn page(text: &str, language: &str) -> String {
    let mut body = String::new();
    html::push_html(&mut body, Parser::new(text));
    format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"book.css\">\n<script async src=\"../embed.js\"></script>\n\
         <main>\n{body}</main>\n</html>\n",
        title(text)
    )
}

/// The text of the first heading, which has no markup.
fn title(text: &str) -> String {
    let mut events = Parser::new(text).skip_while(|event| {
        !matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))
    });
    events.next();
    let inside = events.take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let texts = inside.filter_map(|event| match event {
        Event::Text(text) => Some(text.into_string()),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_becomes_a_page_with_its_labs() {
        let source =
            b"# Two words\n\n<limpid-lab id=\"a\" poster></limpid-lab>\n\nText.\n".to_vec();
        let mut site = Site::from([("book/src/zh.md".to_owned(), source)]);
        add_pages(&mut site).unwrap();
        let page = std::str::from_utf8(&site["book/zh.html"]).unwrap();
        assert!(page.contains("<title>Two words</title>") && page.contains("lang=\"zh-CN\""));
        assert!(page.contains("<limpid-lab id=\"a\" poster></limpid-lab>"), "{page}");
    }
}
