//! Sentinels in the page: when they decide that a master is down, and when they do not.

use anyhow::{Result, bail, ensure};
use thirtyfour::prelude::*;

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, all_on_stage, becomes, begin, now};

/// Virtual time in microseconds after which three Sentinels have certainly acted if they can.
const LONG_ENOUGH: i64 = 20_000_000;

async fn has_role(page: &Page, node: &str, role: &str) -> Result<()> {
    becomes(page, &format!("node-{node}"), "role", role).await
}

/// Waits until the time bar has a mark of this kind.
async fn is_marked(page: &Page, kind: &str) -> Result<()> {
    page.wait_for(kind, &format!("document.querySelector('[data-testid=rail] .{kind}')")).await
}

/// Steps to the next change of state repeatedly, until an element of the map has this value.
async fn changes_until(page: &Page, id: &str, what: &str, value: &str) -> Result<()> {
    const MOST: usize = 200;
    let there =
        format!("document.querySelector('[data-testid={id}]')?.dataset.{what} === '{value}'");
    for _ in 0..MOST {
        if page.eval(&there).await? == true {
            return Ok(());
        }
        page.keys(">").await?;
    }
    bail!("{MOST} changes of state, and {id} is not {value}")
}

#[test]
fn a_master_that_dies_is_voted_out_and_without_a_majority_it_is_not() {
    in_browser("sentinels", async |page| {
        begin(page, "&topology=sentinels-3").await?;
        has_role(page, "redis-1", "primary").await?;
        has_role(page, "sentinel-3", "sentinel").await?;
        let calm = now(page).await?;
        page.line(":speed 500ms").await?;
        page.line(":crash redis-1").await?;
        // SDOWN, ODOWN, a leader is elected, a replica is promoted.
        page.wait_for(
            "the master to be down for somebody",
            "document.querySelector('[data-testid=judged-redis-1]')",
        )
        .await?;
        page.screenshot("sentinels-suspect").await?;
        page.wait_for(
            "a new master",
            "['redis-2', 'redis-3'].some(name =>
                document.querySelector(`[data-testid=node-${name}]`).dataset.role === 'primary')",
        )
        .await?;
        for kind in ["suspected", "down", "vote", "switch"] {
            is_marked(page, kind).await?;
        }
        // The list of events has them in the Sentinels' own words.
        for event in ["+sdown master", "+odown master", "+vote-for-leader", "+switch-master"] {
            page.wait_for_text("[data-testid=events]", event).await?;
        }
        page.line(":inspect sentinel-1").await?;
        page.wait_for_text("[data-testid=beliefs-mymaster]", "sentinel-").await?;
        page.screenshot("sentinels-agree").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":inspect redis-1").await?;
        page.click("[data-testid=inspect-watched]").await?;
        page.wait_for_text("[data-testid=watched]", "mymaster").await?;
        page.screenshot("sentinels-watched").await?;

        // Back again, and step by step through the changes of state: one Sentinel reports SDOWN,
        // then ODOWN, one asks for votes and leads, and there is a new master.
        page.click("[data-testid=entry]").await?;
        page.line(&format!(":go {calm}us")).await?;
        has_role(page, "redis-1", "primary").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        changes_until(page, "judged-redis-1", "judged", "sdown").await?;
        page.screenshot("sentinels-sdown").await?;
        changes_until(page, "judged-redis-1", "judged", "odown").await?;
        page.screenshot("sentinels-odown").await?;
        page.wait_for(
            "no new master as yet",
            "document.querySelector('[data-testid=node-redis-2]').dataset.role === 'replica'
                && document.querySelector('[data-testid=node-redis-3]').dataset.role === 'replica'",
        )
        .await?;

        // Back to before the crash, with two of the three cut off: the remaining one must not
        // decide.
        page.click("[data-testid=entry]").await?;
        page.line(&format!(":go {calm}us")).await?;
        has_role(page, "redis-1", "primary").await?;
        has_role(page, "redis-2", "replica").await?;
        page.line(":partition sentinel-2").await?;
        page.click("[data-testid=past-discard]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":partition sentinel-3").await?;
        page.line(":crash redis-1").await?;
        page.line(":speed 5s").await?;
        page.line(":play").await?;
        let from = now(page).await?;
        page.wait_for(
            "enough time for a failover",
            &format!(
                "+document.querySelector('[role=slider]').ariaValueNow > {}",
                from + LONG_ENOUGH
            ),
        )
        .await?;
        becomes(page, "judged-redis-1", "judged", "sdown").await?;
        let promoted = page.eval("document.querySelectorAll('[data-role=primary]').length").await?;
        ensure!(promoted == 1, "{promoted} primaries: a minority has decided");
        for replica in ["redis-2", "redis-3"] {
            has_role(page, replica, "replica").await?;
        }
        let decided = "document.querySelectorAll('[data-testid=rail] :is(.down, .vote, .switch)')";
        let decided = page.eval(&format!("{decided}.length")).await?;
        ensure!(decided == 0, "{decided} decisions on the time bar: a minority has decided");
        page.screenshot("sentinels-minority").await?;
        Ok(())
    });
}

/// How many acknowledged writes the ledger counts as lost.
async fn lost(page: &Page) -> Result<i64> {
    let count = "+document.querySelector('[data-testid=ledger-lost]').dataset.count";
    Ok(page.eval(count).await?.as_i64().unwrap_or_default())
}

/// Cuts the old master off, with the writer and the person's own terminal on its side, until the
/// Sentinels on the other side have made another one.
async fn cut_off(page: &Page) -> Result<()> {
    page.line(":partition redis-1,writer-1,you").await?;
    page.line(":speed 2s").await?;
    page.wait_for(
        "two masters at the same time",
        "document.querySelectorAll('[data-role=primary]').length === 2",
    )
    .await?;
    page.line(":speed 500ms").await?;
    becomes(page, "node-redis-1", "role", "primary").await
}

/// Brings the sides together again, and waits until the old master has become a replica.
async fn rejoin(page: &Page) -> Result<()> {
    page.line(":speed 2s").await?;
    page.line(":heal").await?;
    has_role(page, "redis-1", "replica").await
}

#[test]
fn an_old_master_that_is_cut_off_takes_writes_that_vanish_unless_it_may_not() {
    in_browser("split-brain", async |page| {
        for locale in ["en", "zh"] {
            page.open(&format!("?locale={locale}&topology=sentinels-3")).await?;
            has_role(page, "sentinel-3", "sentinel").await?;
            page.click("[data-testid=ledger-open]").await?;
            page.wait_for(
                "writes that all servers hold",
                "+document.querySelector('[data-testid=ledger-everywhere]').dataset.count > 5",
            )
            .await?;
            let calm = now(page).await?;
            page.click("[data-testid=entry]").await?;

            // The old master still acknowledges the writes of the client on its side.
            cut_off(page).await?;
            page.line("SET city split").await?;
            page.wait_for_text("[data-testid=ledger-rows]", "SET city split").await?;
            ensure!(lost(page).await? == 0, "somebody has them, as yet");
            page.screenshot(&format!("split-brain-{locale}")).await?;
            // The old master takes the new one's data, and the ledger shows the lost writes.
            rejoin(page).await?;
            page.wait_for(
                "the write among the lost",
                "[...document.querySelectorAll('[data-testid=ledger-rows] tr[data-lost=true]')]
                    .some(row => row.innerText.includes('SET city split'))",
            )
            .await?;
            ensure!(lost(page).await? > 1, "those of the writer are lost as well");
            page.line(":stop").await?;
            page.screenshot(&format!("split-brain-lost-{locale}")).await?;

            // The same with `min-replicas-to-write`.
            page.line(&format!(":go {calm}us")).await?;
            has_role(page, "redis-1", "primary").await?;
            has_role(page, "redis-2", "replica").await?;
            page.line("CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 1").await?;
            page.click("[data-testid=past-discard]").await?;
            page.click("[data-testid=entry]").await?;
            cut_off(page).await?;
            page.line("SET city split").await?;
            page.wait_for_text(SCREEN, "NOREPLICAS Not enough good replicas to write.").await?;
            page.screenshot(&format!("split-brain-refused-{locale}")).await?;
            rejoin(page).await?;
            page.wait_for(
                "no such write among the lost",
                "![...document.querySelectorAll('[data-testid=ledger-rows] tr')]
                    .some(row => row.innerText.includes('SET city split'))",
            )
            .await?;
        }
        Ok(())
    });
}

#[test]
fn worlds_with_sentinels_fit_every_screen_in_both_languages_and_themes() {
    in_browser("sentinels-sizes", async |page| {
        for (width, height, locale, theme) in
            [(1280, 800, "en", "dark"), (1280, 800, "zh", "light"), (390, 844, "zh", "dark")]
        {
            page.resize(width, height).await?;
            for topology in ["sentinels-3", "sentinels-5", "sentinels-masters"] {
                page.open(&format!("?locale={locale}&theme={theme}&topology={topology}")).await?;
                page.wait_for("Sentinels", "document.querySelector('[data-role=sentinel]')")
                    .await?;
                all_on_stage(page).await?;
                page.screenshot(&format!("{topology}-{locale}-{theme}-{width}")).await?;
            }
        }
        Ok(())
    });
}
