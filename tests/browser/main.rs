//! Tests of the page in a real Chromium.

mod accessibility;
mod attached;
mod cluster;
mod embedding;
mod insight;
mod keyboard;
mod lessons;
mod loading;
mod page;
mod proxies;
mod replication;
mod sandbox;
mod sentinels;
mod sharing;
mod shell;
mod site;
mod terminal;
mod users;
mod visit;
mod whole;

use std::time::Instant;

use page::in_browser;

#[test]
fn the_page_opens_without_errors() {
    in_browser("open", async |page| {
        let start = Instant::now();
        page.open("").await?;
        println!("the page's program ran {:?} after the address was typed", start.elapsed());
        assert_eq!(page.eval("document.title").await?, "Limpid");
        page.screenshot("open").await?;
        Ok(())
    });
}

#[test]
fn what_a_person_does_arrives_in_the_page() {
    in_browser("arrives", async |page| {
        page.open("?x=1#y").await?;
        // An element of the test, on top of the page.
        page.eval(
            "document.body.append(Object.assign(document.createElement('input'), {id: 'probe'})), \
             document.querySelector('#probe').style = 'position: fixed; inset: 0 auto auto 0; z-index: 99999'",
        )
        .await?;
        page.click("#probe").await?;
        page.line("set k 值").await?;
        assert_eq!(page.eval("document.querySelector('#probe').value").await?, "set k 值");
        page.resize(390, 844).await?;
        page.wait_for("a narrow screen", "innerWidth === 390").await?;
        page.prefer("prefers-color-scheme", "light").await?;
        page.wait_for("light", "matchMedia('(prefers-color-scheme: light)').matches").await?;
        page.eval("document.querySelector('#probe').replaceWith('here')").await?;
        page.wait_for_text("body", "here").await
    });
}

#[test]
#[should_panic(expected = "a mishap")]
fn an_error_in_the_page_fails_the_test() {
    in_browser("mishap", async |page| {
        page.open("").await?;
        page.eval("void setTimeout(() => { window.thrown = true; throw Error('a mishap'); })")
            .await?;
        page.wait_for("the error", "window.thrown").await
    });
}

#[test]
fn the_page_gives_the_same_trace_as_the_native_world() {
    in_browser("parity", async |page| {
        page.open("?program=whole").await?;
        let hash = page.eval("window.wasmBindings.limpid_parity_hash()").await?;
        assert_eq!(hash, format!("{:016x}", limpid_core::lab::parity_hash()));
        Ok(())
    });
}
