//! Replication, persistence and the ledger of writes in the page.

use anyhow::{Result, ensure};

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, all_on_stage, becomes, begin, terminal};

async fn follows(page: &Page, link: &str, state: &str) -> Result<()> {
    becomes(page, &format!("follow-{link}"), "state", state).await
}

async fn has_role(page: &Page, node: &str, role: &str) -> Result<()> {
    becomes(page, &format!("node-{node}"), "role", role).await
}

/// How many writes the ledger counts under a heading.
async fn count(page: &Page, name: &str) -> Result<i64> {
    let value = page
        .eval(&format!("+document.querySelector('[data-testid=ledger-{name}]').dataset.count"))
        .await?;
    Ok(value.as_i64().unwrap_or_default())
}

#[test]
fn what_the_primary_is_told_its_replicas_know() {
    in_browser("replicas", async |page| {
        page.open("?locale=en").await?;
        page.eval(
            "(() => {
                const select = document.querySelector('[data-testid=topology]');
                select.value = 'replicas-2';
                select.dispatchEvent(new Event('change', { bubbles: true }));
                return true;
            })()",
        )
        .await?;
        has_role(page, "redis-1", "primary").await?;
        for replica in ["redis-2", "redis-3"] {
            has_role(page, replica, "replica").await?;
            follows(page, &format!("redis-1-{replica}"), "online").await?;
        }
        page.click("[data-testid=entry]").await?;
        page.line(":speed 500ms").await?;
        page.line("SET city 北京").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        terminal(page, "redis-2").await?;
        page.line("GET city").await?;
        page.wait_for_text("[data-testid=screen-redis-2]", "\\xe5\\x8c\\x97").await?;
        page.line("SET city 上海").await?;
        page.wait_for_text("[data-testid=screen-redis-2]", "READONLY").await?;
        page.screenshot("replicas").await?;
        Ok(())
    });
}

#[test]
fn a_cut_link_lags_and_a_mended_one_catches_up_from_the_backlog() {
    in_browser("lag", async |page| {
        begin(page, "&topology=replicas-2").await?;
        follows(page, "redis-1-redis-3", "online").await?;
        page.line(":speed 1s").await?;
        page.line(":partition redis-1 | redis-3").await?;
        page.wait_for(
            "the lag to grow",
            "+document.querySelector('[data-testid=follow-redis-1-redis-3]').dataset.lag > 500",
        )
        .await?;
        page.screenshot("lag").await?;
        // After repl-timeout the replica notices it, too.
        follows(page, "redis-1-redis-3", "down").await?;
        page.screenshot("link-down").await?;
        page.line(":heal").await?;
        follows(page, "redis-1-redis-3", "online").await?;
        page.wait_for(
            "no lag to speak of",
            "+document.querySelector('[data-testid=follow-redis-1-redis-3]').dataset.lag < 300",
        )
        .await?;
        page.line(":inspect redis-3").await?;
        page.click("[data-testid=inspect-log]").await?;
        page.wait_for_text(
            "[data-testid=inspector]",
            "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization",
        )
        .await?;
        page.click("[data-testid=inspect-replication]").await?;
        page.wait_for_text("[data-testid=offsets]", "redis-1").await?;
        page.wait_for_text("[data-testid=replication]", "master_link_status").await?;
        page.screenshot("replication").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":inspect redis-1").await?;
        page.wait_for_text("[data-testid=backlog]", "redis-2: online").await?;
        page.screenshot("backlog").await?;
        Ok(())
    });
}

#[test]
fn a_snapshot_and_an_append_only_file_can_be_looked_into() {
    in_browser("files", async |page| {
        begin(page, "&topology=replicas-2").await?;
        page.line(":speed 500ms").await?;
        page.line("SET greeting hello EX 3600").await?;
        page.line("BGSAVE").await?;
        page.wait_for_text(SCREEN, "Background saving started").await?;
        page.line(":files redis-1").await?;
        page.line(":play").await?;
        page.wait_for_text("[data-testid=files]", "dump.rdb").await?;
        page.wait_for_text("[data-testid=files]", "redis.conf").await?;
        page.screenshot("files").await?;
        page.click("[data-testid='file-dump.rdb']").await?;
        page.wait_for_text("[data-testid=file-content]", "aux redis-ver").await?;
        page.screenshot("dump").await?;
        for line in ["greeting string hello  PXAT", "end, checksum right"] {
            // A hundred records at a time.
            page.wait_for(
                line,
                &format!(
                    "document.querySelector('[data-testid=file-content]').innerText.includes('{line}')
                        || (document.querySelector('[data-testid=file-next]')?.click(), false)"
                ),
            )
            .await?;
        }
        page.click("[data-testid=files-back]").await?;
        page.click("[data-testid='file-appendonly.aof.manifest']").await?;
        page.wait_for_text("[data-testid=file-content]", "type i").await?;
        page.click("[data-testid=files-back]").await?;
        page.click("[data-testid='file-appendonly.aof.1.incr.aof']").await?;
        page.wait_for_text("[data-testid=file-content]", "SETBIT marks:writer-").await?;
        page.screenshot("append-only").await?;
        Ok(())
    });
}

#[test]
fn the_ledger_tells_which_acknowledged_writes_a_crash_took() {
    in_browser("ledger", async |page| {
        begin(page, "&topology=replicas-2").await?;
        page.line(":speed 500ms").await?;
        page.click("[data-testid=ledger-open]").await?;
        page.wait_for(
            "writes that all servers hold",
            "+document.querySelector('[data-testid=ledger-everywhere]').dataset.count > 5",
        )
        .await?;
        ensure!(count(page, "lost").await? == 0, "something is lost already");
        page.screenshot("ledger").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":partition redis-1 | redis-2,redis-3").await?;
        page.line("SET only here").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.wait_for_text("[data-testid=ledger-rows]", "SET only here").await?;
        page.line(":crash redis-1").await?;
        page.line(":stop").await?;
        page.wait_for(
            "the write among the lost",
            "[...document.querySelectorAll('[data-testid=ledger-rows] tr[data-lost=true]')]
                .some(row => row.innerText.includes('SET only here'))",
        )
        .await?;
        let lost = count(page, "lost").await?;
        ensure!(lost > 0, "nothing is lost");
        page.screenshot("ledger-lost").await?;
        // A rewind restores the past.
        page.line(":go 3.5s").await?;
        page.wait_for(
            "nothing lost in the past",
            "+document.querySelector('[data-testid=ledger-lost]').dataset.count === 0",
        )
        .await
    });
}

#[test]
fn replicated_topologies_fit_every_screen() {
    in_browser("replicated-sizes", async |page| {
        for (width, height) in [(1280, 800), (390, 844)] {
            page.resize(width, height).await?;
            for topology in ["replicas-2", "replicas-5", "chain-3", "machines-3"] {
                page.open(&format!("?locale=en&topology={topology}")).await?;
                page.wait_for("roles", "document.querySelector('[data-role=replica]')").await?;
                all_on_stage(page).await?;
                page.screenshot(&format!("{topology}-{width}")).await?;
            }
        }
        Ok(())
    });
}
