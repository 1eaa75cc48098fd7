//! Links and files that carry a session.

use anyhow::ensure;
use thirtyfour::Key;

use crate::page::in_browser;
use crate::visit::{SCREEN, becomes, begin};

#[test]
fn a_link_of_another_core_says_so_and_shows_what_was_done() {
    in_browser("other-core", async |page| {
        let link = "#v=1&core=0.0.9&topology=3&seed=7&at=1.6s&trace=0000000000000001\
                    &do=2ms+run+you+cli-redis-1+redis-cli+-h+redis-1&do=1.2s+type+cli-redis-1+set+k+hello&do=1.5s+crash+redis-2";
        page.open(&format!("?locale=en{link}")).await?;
        page.wait_for_text("[data-testid=toast]", "made by Limpid 0.0.9").await?;
        page.wait_for_text(SCREEN, "set k hello").await?;
        becomes(page, "node-redis-2", "state", "crashed").await?;
        page.open("?locale=en&x=1#z=bm90IGRlZmxhdGVk").await?;
        page.wait_for_text("[data-testid=toast]", "This link cannot be read").await
    });
}

#[test]
fn a_session_is_saved_to_a_file_and_opened_from_it_with_all_that_is_open() {
    in_browser("file", async |page| {
        begin(page, "&lesson=replication/cut-link").await?;
        page.line(":speed 1s").await?;
        page.line("set k1 hello").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.click("[data-testid=text-larger]").await?;
        // The download is intercepted, since the browser would ask where to save the file.
        page.eval(
            "(HTMLAnchorElement.prototype.click = function () {
                window.saved = { name: this.download, text: decodeURIComponent(this.href.split(',').slice(1).join(',')) };
            }, true)",
        )
        .await?;
        page.click("[data-testid=share]").await?;
        page.screenshot("share").await?;
        page.click("[data-testid=share-save]").await?;
        page.wait_for("the file", "window.saved").await?;
        let name = page.eval("saved.name").await?;
        ensure!(name == "limpid-lesson-replication-cut-link.json", "{name}");
        let text = page.eval("saved.text").await?;
        let text = text.as_str().unwrap_or_default().to_owned();
        ensure!(text.contains("\"lesson\":{\"id\":\"replication/cut-link\""), "{text}");

        // Without storage; the first program hands the file over to the whole one.
        page.eval("localStorage.clear() ?? true").await?;
        begin(page, "&x=2").await?;
        let give = |text: &str| {
            let text = serde_json::json!(text);
            format!(
                "(() => {{
                    const field = document.querySelector('[data-testid=share-file]');
                    const files = new DataTransfer();
                    files.items.add(new File([{text}], 'a.json'));
                    field.files = files.files;
                    field.dispatchEvent(new Event('change', {{ bubbles: true }}));
                    return true;
                }})()"
            )
        };
        page.click("[data-testid=share]").await?;
        page.eval(&give("{\"some\":\"thing\"}")).await?;
        page.wait_for_text("[data-testid=toast]", "a.json is no saved session").await?;
        page.click("[data-testid=share]").await?;
        page.eval(&give(&text)).await?;
        page.wait_for_text("[data-testid=lessons]", "A copy, and a cut link").await?;
        page.wait_for_text(SCREEN, "set k1 hello").await?;
        page.wait_for(
            "the size of the text",
            "getComputedStyle(document.querySelector('.panels')).getPropertyValue('--size').trim() === '14px'",
        )
        .await
    });
}

#[test]
fn a_long_session_travels_in_a_packed_link() {
    in_browser("packed-link", async |page| {
        begin(page, "&topology=2").await?;
        for number in 1..=12 {
            page.line(&format!("set key-number-{number} a-value-of-number-{number}")).await?;
        }
        page.line("get key-number-12").await?;
        page.wait_for_text(SCREEN, "\"a-value-of-number-12\"").await?;
        page.line(":crash redis-2").await?;
        becomes(page, "node-redis-2", "state", "crashed").await?;
        page.click("[data-testid=share]").await?;
        page.click("[data-testid=share-link]").await?;
        page.wait_for("a packed link", "location.hash.startsWith('#z=')").await?;
        let link = page.eval("location.hash").await?;
        let link = link.as_str().unwrap_or_default().to_owned();
        ensure!(link.len() < 900, "{} characters: {link}", link.len());

        page.eval("localStorage.clear() ?? true").await?;
        page.open(&format!("?locale=en&x=4{link}")).await?;
        page.wait_for_text(SCREEN, "set key-number-1 a-value-of-number-1").await?;
        page.wait_for_text(SCREEN, "\"a-value-of-number-12\"").await?;
        becomes(page, "node-redis-2", "state", "crashed").await?;
        let toast =
            page.eval("document.querySelector('[data-testid=toast]')?.innerText ?? ''").await?;
        ensure!(!toast.as_str().unwrap_or_default().contains("cannot be read"), "{toast}");
        Ok(())
    });
}

#[test]
fn a_link_that_means_harm_is_text_and_runs_nothing() {
    in_browser("hostile-link", async |page| {
        let image = "%3Cimg%20src%3Dx%20onerror%3D%22window.harmed%3D1%22%3E";
        let typed = format!(
            "#v=1&topology=1&seed=7&at=1.6s&do=2ms+run+you+cli-redis-1+redis-cli+-h+redis-1\
             &do=1.2s+type+cli-redis-1+set+k+{image}"
        );
        let name = format!("#v=1&topology={image}&seed=7&at=1s");
        let core = format!("#v=1&core={image}&topology=1&seed=7&at=1s");
        let action = format!("#v=1&topology=1&seed=7&at=1s&do=2ms+{image}+javascript:alert(1)");
        let asked = format!("&lesson={image}&question={image}&panes={image}&theme={image}");
        for (number, at) in [typed, name, core, action, asked].into_iter().enumerate() {
            page.open(&format!("?locale=en&x={number}{at}")).await?;
            page.wait_for("the map", "document.querySelector('[data-testid=node-redis-1]')")
                .await?;
            if number == 0 {
                page.wait_for_text(SCREEN, "<img src=x").await?;
            }
            let harm = "window.harmed || document.querySelector('img[src=x]') !== null || Boolean(document.querySelector('[href^=\"javascript:\"]'))";
            ensure!(page.eval(harm).await? == false, "{at}");
        }
        Ok(())
    });
}

#[test]
fn a_narrow_window_offers_in_a_menu_what_its_bar_has_no_room_for() {
    in_browser("narrow-menu", async |page| {
        page.resize(390, 844).await?;
        page.open("?locale=en&topology=2").await?;
        let crowded = page
            .eval(
                "[...document.querySelectorAll('.top > *')].filter(e => e.getBoundingClientRect().right > innerWidth).length",
            )
            .await?;
        ensure!(crowded == 0, "{crowded} parts of the bar are cut off");
        page.click("[data-testid=more]").await?;
        page.screenshot("narrow-menu").await?;
        page.click("[data-testid=more-share]").await?;
        page.element("[data-testid=share-link]").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        let open = "!!document.querySelector('[data-testid=more-share]')";
        ensure!(page.eval(open).await? == false, "the menu stays open");
        page.click("[data-testid=more]").await?;
        page.click("[data-testid=more-start-over]").await?;
        page.wait_for("the menu to close", &format!("!{open}")).await?;
        // A click beside it closes it, and does nothing else.
        page.click("[data-testid=more]").await?;
        page.click(".backdrop").await?;
        page.wait_for("the menu to close", &format!("!{open}")).await?;
        ensure!(page.eval("!!document.querySelector('[data-testid=menu]')").await? == false);
        Ok(())
    });
}
