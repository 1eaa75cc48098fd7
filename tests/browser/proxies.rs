//! Proxies and clients that shard, as a person meets them in the page.

use anyhow::{Context, Result, ensure};

use crate::page::{Page, in_browser};
use crate::visit::{all_on_stage, becomes, begin};

/// Waits until the proxy uses a server, or does not.
async fn in_use(page: &Page, server: &str, in_use: bool) -> Result<()> {
    becomes(page, &format!("pool-{server}"), "inUse", if in_use { "true" } else { "false" }).await
}

/// A number in the line of INFO that begins with this key.
async fn figure(page: &Page, key: &str) -> Result<i64> {
    let found = page
        .eval(&format!(
            "[...document.querySelectorAll('.pane dt')].find(dt => dt.title === '{key}')
                .nextElementSibling.textContent"
        ))
        .await?;
    let text = found.as_str().context("a figure")?;
    text.parse().with_context(|| format!("{key}: {text}"))
}

#[test]
fn a_server_joins_the_ring_and_what_moves_is_counted() {
    in_browser("proxies-ring", async |page| {
        begin(page, "&topology=twemproxy").await?;
        page.wait_for("the proxy", "document.querySelector('[data-role=proxy]')").await?;
        page.line(":inspect proxy-1").await?;
        page.click("[data-testid=inspect-ring]").await?;
        becomes(page, "ring", "servers", "3").await?;
        page.click("[data-testid=ring-try-redis-4]").await?;
        page.wait_for_text("[data-testid=ring-moves]", "redis-4").await?;
        let moved =
            page.eval("+document.querySelector('[data-testid=ring-moves]').dataset.moved").await?;
        let moved = moved.as_i64().context("a count")?;
        // A quarter of the hundred keys, more or less, and only to the one that joins.
        ensure!((10..45).contains(&moved), "{moved} keys move");
        let elsewhere = page
            .eval(
                "[...document.querySelectorAll('.moves li')]
                    .filter(li => !li.textContent.includes('→ redis-4')).length",
            )
            .await?;
        ensure!(elsewhere == 0, "keys move between servers that stay");
        page.screenshot("ring-moves").await?;
        page.click("[data-testid=ring-add]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        becomes(page, "ring", "servers", "4").await?;
        page.screenshot("ring-joined").await?;
        Ok(())
    });
}

#[test]
fn a_server_that_dies_is_left_out_and_comes_back() {
    in_browser("proxies-ejection", async |page| {
        begin(page, "&topology=twemproxy").await?;
        page.wait_for("the proxy", "document.querySelector('[data-role=proxy]')").await?;
        page.line(":inspect proxy-1").await?;
        in_use(page, "redis-2", true).await?;
        page.click("[data-testid=entry]").await?;
        page.line(":speed 500ms").await?;
        page.line(":crash redis-2").await?;
        page.line(":play").await?;
        in_use(page, "redis-2", false).await?;
        page.screenshot("ejected").await?;
        page.line(":restart redis-2").await?;
        in_use(page, "redis-2", true).await?;
        Ok(())
    });
}

#[test]
fn a_master_fails_over_behind_predixy_and_a_reader_sees_no_error() {
    in_browser("proxies-failover", async |page| {
        begin(page, "&topology=predixy-sentinels").await?;
        page.wait_for("the proxy", "document.querySelector('[data-role=proxy]')").await?;
        becomes(page, "node-redis-1", "role", "primary").await?;
        page.line(":run you reader traffic -h proxy-1 -p 7617 --only reads --patience 20").await?;
        page.line(":speed 500ms").await?;
        page.line(":inspect reader").await?;
        page.click("[data-testid=inspect-info]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        page.wait_for(
            "replies",
            "[...document.querySelectorAll('.pane dt')].some(dt => dt.title === 'replies' &&
                +dt.nextElementSibling.textContent > 20)",
        )
        .await?;
        page.click("[data-testid=entry]").await?;
        page.line(":crash redis-1").await?;
        becomes(page, "node-redis-2", "role", "primary").await?;
        let before = figure(page, "replies").await?;
        page.wait_for(
            "more replies",
            &format!(
                "[...document.querySelectorAll('.pane dt')].some(dt => dt.title === 'replies' &&
                    +dt.nextElementSibling.textContent > {})",
                before + 40
            ),
        )
        .await?;
        ensure!(figure(page, "errors").await? == 0, "the reader got errors");
        ensure!(figure(page, "lost").await? == 0, "the reader lost replies");
        page.screenshot("failover").await?;
        Ok(())
    });
}

/// Waits until this proxy's host has the address that the two share, and the other one has not.
async fn has_the_address(page: &Page, proxy: &str, other: &str) -> Result<()> {
    let text =
        |proxy: &str| format!("document.querySelector('[data-testid=node-{proxy}]').textContent");
    page.wait_for(
        &format!("the address at {proxy}"),
        &format!("{}.includes('VIP') && !{}.includes('VIP')", text(proxy), text(other)),
    )
    .await
}

#[test]
fn the_address_moves_to_the_second_proxy_when_the_host_of_the_first_dies() {
    in_browser("proxies-address", async |page| {
        begin(page, "&topology=twemproxies").await?;
        has_the_address(page, "proxy-1", "proxy-2").await?;
        page.screenshot("address-first").await?;
        page.line(":speed 500ms").await?;
        page.line(":inspect client-1").await?;
        page.click("[data-testid=inspect-info]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":crash proxy-1").await?;
        page.line(":play").await?;
        has_the_address(page, "proxy-2", "proxy-1").await?;
        // The clients, who know nothing but the address, are served again.
        let before = figure(page, "replies").await?;
        let more = |than: i64| {
            format!(
                "[...document.querySelectorAll('.pane dt')].some(dt => dt.title === 'replies' &&
                    +dt.nextElementSibling.textContent > {than})"
            )
        };
        page.wait_for("replies of the second proxy", &more(before + 20)).await?;
        page.screenshot("address-second").await?;
        // The first one has the higher priority, and takes the address back.
        page.line(":restart proxy-1").await?;
        has_the_address(page, "proxy-1", "proxy-2").await?;
        let before = figure(page, "replies").await?;
        page.wait_for("replies of the first proxy", &more(before + 20)).await
    });
}

#[test]
fn worlds_with_proxies_fit_every_screen_in_both_languages_and_themes() {
    in_browser("proxies-sizes", async |page| {
        for (width, height, locale, theme) in
            [(1280, 800, "en", "dark"), (1280, 800, "zh", "light"), (390, 844, "zh", "dark")]
        {
            page.resize(width, height).await?;
            for topology in
                ["sharding", "twemproxy", "twemproxies", "predixy-sentinels", "predixy-cluster"]
            {
                page.open(&format!("?locale={locale}&theme={theme}&topology={topology}")).await?;
                let found = if topology == "sharding" { "node-queue" } else { "node-proxy-1" };
                let found = format!("document.querySelector('[data-testid={found}]')");
                page.wait_for(topology, &found).await?;
                all_on_stage(page).await?;
                page.screenshot(&format!("{topology}-{locale}-{theme}-{width}")).await?;
            }
        }
        Ok(())
    });
}
