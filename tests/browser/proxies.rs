//! Proxies and clients that shard in the page.

use anyhow::{Context, Result, ensure};
use thirtyfour::Key;

use crate::page::{Page, in_browser};
use crate::visit::{all_on_stage, becomes, begin, message, step_to_message};

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

/// Waits until this proxy's host has the virtual address, and the other one does not.
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
        // The clients, which only know the virtual address, are served again.
        let before = figure(page, "replies").await?;
        let more = |than: i64| {
            format!(
                "[...document.querySelectorAll('.pane dt')].some(dt => dt.title === 'replies' &&
                    +dt.nextElementSibling.textContent > {than})"
            )
        };
        page.wait_for("replies of the second proxy", &more(before + 20)).await?;
        page.screenshot("address-second").await?;
        // The first proxy has the higher priority, and takes the address back.
        page.line(":restart proxy-1").await?;
        has_the_address(page, "proxy-1", "proxy-2").await?;
        let before = figure(page, "replies").await?;
        page.wait_for("replies of the first proxy", &more(before + 20)).await
    });
}

/// The keys `k1` to `k6` that a message names.
fn keys(text: &str) -> Vec<String> {
    (1..=6).map(|n| format!("k{n}")).filter(|key| text.contains(key)).collect()
}

#[test]
fn a_request_for_several_keys_is_seen_to_split_and_its_replies_to_join() {
    in_browser("proxies-split", async |page| {
        begin(page, "&topology=twemproxy").await?;
        page.wait_for("the proxy", "document.querySelector('[data-role=proxy]')").await?;
        page.line(":speed 500ms").await?;
        page.line(":play").await?;
        // The other clients are stopped.
        for client in ["client-1", "client-2", "client-3"] {
            page.line(&format!(":crash {client}")).await?;
            becomes(page, &format!("node-{client}"), "state", "crashed").await?;
        }
        page.line("MSET k1 v1 k2 v2 k3 v3 k4 v4 k5 v5 k6 v6").await?;
        page.wait_for_text("[data-testid=screen-proxy-1]", "OK").await?;
        page.line(":stop").await?;
        page.line("MGET k1 k2 k3 k4 k5 k6").await?;
        let request = step_to_message(page, "you", "proxy-1", "mget").await?;
        ensure!(keys(&request).len() == 6, "one request for all: {request}");
        page.screenshot("split-request").await?;
        // All parts of the request are sent at the same time.
        let mut asked = keys(&step_to_message(page, "proxy-1", "redis-1", "mget").await?);
        for server in ["redis-2", "redis-3"] {
            let part = message(page, "proxy-1", server, "mget").await?;
            let part = keys(&part.with_context(|| format!("nothing on its way to {server}"))?);
            ensure!(!part.is_empty(), "{server} is asked for nothing");
            asked.extend(part);
        }
        page.screenshot("split-parts").await?;
        asked.sort();
        ensure!(asked == ["k1", "k2", "k3", "k4", "k5", "k6"], "each key once: {asked:?}");
        let reply = step_to_message(page, "proxy-1", "you", "v1").await?;
        let places: Vec<_> = (1..=6).map(|n| reply.find(&format!("v{n}"))).collect();
        ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "in order: {reply}");
        page.screenshot("split-joined").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        page.wait_for_text("[data-testid=screen-proxy-1]", "6) \"v6\"").await
    });
}

/// Edits a file in the open editor of a proxy's configuration, and applies it.
async fn edit(page: &Page, file: &str, change: &str) -> Result<()> {
    page.click("[data-testid=inspect-proxy-files]").await?;
    let area = format!("[data-testid=\"edit-{file}\"]");
    page.element(&area).await?;
    page.eval(&format!(
        "(() => {{
            const area = document.querySelector('{area}');
            area.value = (text => {change})(area.value);
            area.dispatchEvent(new InputEvent('input', {{ bubbles: true }}));
            return true;
        }})()"
    ))
    .await?;
    page.click("[data-testid=proxy-reload]").await
}

#[test]
fn the_inspector_of_a_proxy_shows_its_queues_and_figures_and_reads_an_edited_file() {
    in_browser("proxies-inspector", async |page| {
        for locale in ["en", "zh"] {
            page.open(&format!("?locale={locale}&topology=twemproxy")).await?;
            page.wait_for("the proxy", "document.querySelector('[data-role=proxy]')").await?;
            page.click("[data-testid=entry]").await?;
            page.line(":speed 500ms").await?;
            page.line(":inspect proxy-1").await?;
            page.line(":play").await?;
            // The pool: name and address, and a line for each server with its queues and requests.
            page.wait_for_text("[data-testid=pools] h3", "alpha · 0.0.0.0:22121").await?;
            for server in ["redis-1", "redis-2", "redis-3"] {
                in_use(page, server, true).await?;
            }
            let number = |nth: usize| {
                format!(
                    "+[...document.querySelectorAll('[data-testid=pool-redis-1] td.num')].at({nth}).textContent"
                )
            };
            page.wait_for("requests", &format!("{} > 3", number(2))).await?;
            // A server that is cut off does not answer: its requests wait in the queue.
            page.line(":partition proxy-1 | redis-1").await?;
            page.wait_for("a queue", &format!("{} + {} > 0", number(0), number(1))).await?;
            page.screenshot(&format!("inspector-pools-{locale}")).await?;
            page.line(":heal").await?;
            // Its statistics.
            page.click("[data-testid=inspect-info]").await?;
            for key in ["clients", "fragments", "server_ejects", "requests", "response_bytes"] {
                figure(page, key).await?;
            }
            page.wait_for(
                "requests that were split",
                "+document.querySelector('.pane dt[title=fragments]').nextElementSibling.textContent > 0",
            )
            .await?;
            page.screenshot(&format!("inspector-figures-{locale}")).await?;
            // A file with an error changes nothing, and the log says why.
            edit(page, "nutcracker.yml", "text.replace('murmur', 'sheriff')").await?;
            page.click("[data-testid=inspect-log]").await?;
            page.wait_for_text("[data-testid=inspector]", "is not a valid hash").await?;
            page.click("[data-testid=inspect-pools]").await?;
            in_use(page, "redis-3", true).await?;
            // Adds a server without disconnecting clients.
            edit(
                page,
                "nutcracker.yml",
                "text.replace('sheriff', 'murmur').trimEnd() + '\\n   - 10.0.0.4:6379:1 redis-4\\n'",
            )
            .await?;
            page.click("[data-testid=inspect-pools]").await?;
            in_use(page, "redis-4", true).await?;
            page.screenshot(&format!("inspector-reloaded-{locale}")).await?;
            page.click("[data-testid=entry]").await?;
            page.line(":inspect client-1").await?;
            page.click("[data-testid=inspect-info]").await?;
            page.wait_for_text("[data-testid=inspector] h2", "client-1").await?;
            let before = figure(page, "replies").await?;
            page.wait_for(
                "replies after the reload",
                &format!(
                    "[...document.querySelectorAll('.pane dt')].some(dt => dt.title === 'replies' &&
                        +dt.nextElementSibling.textContent > {})",
                    before + 10
                ),
            )
            .await?;
            ensure!(figure(page, "lost").await? == 0, "a client was disconnected");
        }
        Ok(())
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
