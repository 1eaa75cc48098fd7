//! Clusters in the page: built by typing, with the circle of slots; an election; resharding under
//! traffic; a minority that stops serving; a hundred nodes.

use anyhow::{Result, ensure};
use limpid_core::sharding::Slot;

use crate::page::{Page, in_browser, in_browser_alone};
use crate::visit::{all_on_stage, becomes, begin, now};

/// Opens a shell on the host of a node, from the node's menu.
async fn shell(page: &Page, node: &str) -> Result<()> {
    let mark = format!("document.querySelector('[data-testid=node-{node}]')");
    page.wait_for(node, &mark).await?;
    page.eval(&format!("{mark}.focus()")).await?;
    page.keys("m").await?;
    page.click("[data-testid=menu-shell]").await?;
    prompt(page, node).await?;
    page.wait_for("the cursor", "document.activeElement.id === 'entry'").await
}

/// Brings the first shell of a host to the front again.
async fn back_to_shell(page: &Page, host: &str) -> Result<()> {
    page.click(&format!("[data-testid=tab-{host}-tty1]")).await?;
    page.click(&cells(host)).await?;
    page.wait_for("the cursor", "document.activeElement.id === 'entry'").await
}

/// Types an action of the World into the first terminal.
async fn orders(page: &Page, line: &str) -> Result<()> {
    page.click("[data-testid=tab-node-1]").await?;
    page.click("[data-testid=entry]").await?;
    page.line(line).await
}

/// The cells of the first terminal of a host.
fn cells(host: &str) -> String {
    format!("[data-testid=shell-{host}-tty1]")
}

/// Waits until the shell of a host waits for a command.
async fn prompt(page: &Page, host: &str) -> Result<()> {
    let last = format!(
        "document.querySelector('{} pre').innerText.trimEnd().split('\\n').at(-1).trimEnd().endsWith(']#')",
        cells(host)
    );
    page.wait_for("a prompt", &last).await
}

/// Runs a command in the shell of a host that is in front, and waits until it is answered.
async fn run(page: &Page, host: &str, line: &str, answer: &str) -> Result<()> {
    page.line(line).await?;
    page.wait_for_text(&cells(host), answer).await?;
    prompt(page, host).await
}

/// Waits until a number of the circle compares as given, as in `("served", ">", 0)`.
async fn circle(page: &Page, what: &str, relation: &str, number: u32) -> Result<()> {
    let found = format!(
        "+document.querySelector('[data-testid=circle]').dataset.{what} {relation} {number}"
    );
    page.wait_for(&format!("{what} {relation} {number}"), &found).await
}

/// Waits until the time bar has a mark of this kind.
async fn is_marked(page: &Page, kind: &str) -> Result<()> {
    page.wait_for(kind, &format!("document.querySelector('[data-testid=rail] .{kind}')")).await
}

async fn has_role(page: &Page, node: &str, role: &str) -> Result<()> {
    becomes(page, &format!("\"node-{node}\""), "role", role).await
}

/// A counter of a client: a field of its INFO in the open inspector.
async fn figure(page: &Page, field: &str) -> Result<i64> {
    let value = page
        .eval(&format!("document.querySelector('.pairs dt[title={field}] + dd').textContent"))
        .await?;
    let text = value.as_str().unwrap_or_default();
    Ok(text.parse().unwrap_or(-1))
}

/// Waits until a field of the open INFO is larger than a number.
async fn grows(page: &Page, field: &str, beyond: i64) -> Result<()> {
    let found =
        format!("+document.querySelector('.pairs dt[title={field}] + dd').textContent > {beyond}");
    page.wait_for(&format!("{field} > {beyond}"), &found).await
}

/// Opens the INFO of a client.
async fn info(page: &Page, client: &str) -> Result<()> {
    orders(page, &format!(":inspect {client}")).await?;
    page.click("[data-testid=inspect-info]").await?;
    page.wait_for_text("[data-testid=inspector] h2", client).await?;
    page.wait_for("its figures", "document.querySelector('.pairs dt[title=errors]')").await
}

#[test]
fn nodes_that_have_not_met_are_made_a_cluster_by_typing() {
    in_browser("cluster-create", async |page| {
        begin(page, "&theme=dark&topology=cluster-empty").await?;
        circle(page, "served", "===", 0).await?;
        page.line(":speed 2s").await?;
        page.line(":play").await?;
        page.screenshot("cluster-empty").await?;
        shell(page, "node-1").await?;
        page.line(
            "redis-cli --cluster create 10.0.0.1:6379 10.0.0.2:6379 10.0.0.3:6379 --cluster-replicas 0",
        )
        .await?;
        let screen = cells("node-1");
        page.wait_for_text(&screen, "(type 'yes' to accept)").await?;
        page.line("yes").await?;
        page.wait_for_text(&screen, "[OK] All 16384 slots covered.").await?;
        // The circle is full, in three hues.
        circle(page, "served", "===", 16384).await?;
        page.wait_for(
            "three owners",
            "new Set([...document.querySelectorAll('[data-testid=circle] .arc.served')]
                .map(arc => [...arc.classList].find(name => name.startsWith('hue-')))).size === 3",
        )
        .await?;
        prompt(page, "node-1").await?;
        run(page, "node-1", "redis-cli -c set k1 a", "OK").await?;
        page.screenshot("cluster-created").await?;
        // The nodes' knowledge is in `nodes.conf`, which the Files tab shows.
        orders(page, ":inspect node-1").await?;
        page.click("[data-testid=inspect-files]").await?;
        page.click("[data-testid=\"file-nodes.conf\"]").await?;
        page.wait_for_text("[data-testid=file-content]", "myself,master").await?;
        page.wait_for_text("[data-testid=file-content]", "0-5460").await?;
        page.screenshot("cluster-nodes-conf").await?;
        Ok(())
    });
}

/// Goes to a moment, in microseconds.
async fn go(page: &Page, moment: i64) -> Result<()> {
    page.line(&format!(":go {moment}us")).await?;
    let there = format!("+document.querySelector('[role=slider]').ariaValueNow === {moment}");
    page.wait_for("the moment", &there).await
}

/// Goes to the first moment of an interval at which a condition holds (from then on), and returns
/// it, with a precision of two milliseconds. A binary search.
async fn go_to_first(page: &Page, between: (i64, i64), holds: &str) -> Result<i64> {
    const PRECISION: i64 = 2_000;
    let (mut before, mut then) = between;
    while then - before > PRECISION {
        let there = before + (then - before) / 2;
        go(page, there).await?;
        match page.eval(holds).await? == true {
            true => then = there,
            false => before = there,
        }
    }
    go(page, then).await?;
    ensure!(page.eval(holds).await? == true, "never between {between:?} µs: {holds}");
    Ok(then)
}

#[test]
fn a_master_that_dies_is_replaced_by_the_votes_of_the_others() {
    in_browser("cluster-election", async |page| {
        begin(page, "&theme=light&topology=cluster-6").await?;
        circle(page, "served", "===", 16384).await?;
        has_role(page, "node-1", "primary").await?;
        has_role(page, "node-4", "replica").await?;
        page.line(":speed 1s").await?;
        page.line(":play").await?;
        page.line(":crash node-1").await?;
        becomes(page, "node-node-1", "state", "crashed").await?;
        let crashed = now(page).await?;
        has_role(page, "node-4", "primary").await?;
        circle(page, "served", "===", 16384).await?;
        for kind in ["pfail", "fail", "vote", "switch"] {
            is_marked(page, kind).await?;
        }
        page.line(":stop").await?;
        let elected = now(page).await?;
        page.screenshot("cluster-elected").await?;
        // Back to the moment of the first PFAIL, which no other node confirms yet, and to the
        // moment of FAIL.
        let judged = "document.querySelector('[data-testid=judged-node-1]')?.dataset.judged";
        let suspected =
            go_to_first(page, (crashed, elected), &format!("{judged} !== undefined")).await?;
        becomes(page, "judged-node-1", "judged", "pfail").await?;
        has_role(page, "node-4", "replica").await?;
        page.screenshot("cluster-pfail").await?;
        go_to_first(page, (suspected, elected), &format!("{judged} === 'fail'")).await?;
        has_role(page, "node-4", "replica").await?;
        page.screenshot("cluster-fail").await?;
        page.line(&format!(":go {elected}us")).await?;
        has_role(page, "node-4", "primary").await?;
        page.line(":play").await?;
        // All running nodes agree on FAIL, and the new master logs it.
        page.line(":inspect node-4").await?;
        page.click("[data-testid=inspect-matrix]").await?;
        becomes(page, "matrix", "disputed", "0").await?;
        page.wait_for(
            "the same word of the dead master from all",
            "(() => {
                const row = [...document.querySelectorAll('[data-testid=matrix] tbody tr')]
                    .find(row => row.querySelector('th').textContent === 'node-1');
                const told = [...row.querySelectorAll('td')].map(cell => cell.textContent);
                return told.length === 5 && told.every(word => word.endsWith(' FAIL'));
            })()",
        )
        .await?;
        page.screenshot("cluster-matrix").await?;
        page.click("[data-testid=inspect-log]").await?;
        page.wait_for_text("[data-testid=inspector]", "Failover election won").await
    });
}

/// The positions of a slot's cell at moments of an interval, each different from the one before.
async fn travels(page: &Page, slot: u16, between: (i64, i64)) -> Result<Vec<f64>> {
    const MOMENTS: i64 = 20;
    let cell = format!("document.querySelector('[data-testid=moving-{slot}]')");
    let (mut ways, mut places) = (Vec::new(), Vec::new());
    for nth in 0..=MOMENTS {
        go(page, between.0 + (between.1 - between.0) * nth / MOMENTS).await?;
        let Some(way) = page.eval(&format!("+{cell}?.dataset.part")).await?.as_f64() else {
            continue;
        };
        let place = page.eval(&format!("{cell}.querySelector('rect').getAttribute('x')")).await?;
        if places.last() != Some(&place) {
            page.screenshot(&format!("cluster-moving-{}", ways.len())).await?;
            ways.push(way);
            places.push(place);
        }
    }
    Ok(ways)
}

/// The first slots of `node-1`, which a resharding takes.
const TAKEN: u16 = 30;

#[test]
fn slots_move_as_cells_while_clients_write_without_an_error() {
    in_browser("cluster-reshard", async |page| {
        begin(page, "&theme=dark&topology=cluster-6").await?;
        circle(page, "served", "===", 16384).await?;
        page.line(":speed 2s").await?;
        page.line(":play").await?;
        shell(page, "node-1").await?;
        // Many keys in one of the slots that will move.
        let tag = (0..).map(|n| format!("t{n}")).find(|tag| {
            let slot = Slot::of(tag.as_bytes()).number();
            (1..TAKEN).contains(&slot)
        });
        let tag = tag.expect("a tag");
        let slot = Slot::of(tag.as_bytes()).number();
        let fill = format!(
            "redis-cli eval \"for i = 1, 400 do redis.call('set', KEYS[1] .. i, 'value') end return 'filled'\" 1 {{{tag}}}"
        );
        run(page, "node-1", &fill, "\"filled\"").await?;
        let before = now(page).await?;
        page.line(&format!(
            "redis-cli --cluster reshard 10.0.0.1:6379 \
             --cluster-from $(redis-cli -h node-1 cluster myid) \
             --cluster-to $(redis-cli -h node-2 cluster myid) \
             --cluster-slots {TAKEN} --cluster-yes",
        ))
        .await?;
        page.wait_for_text(&cells("node-1"), "Moving slot 29").await?;
        prompt(page, "node-1").await?;
        circle(page, "moving", "===", 0).await?;
        let after = now(page).await?;
        let check = "redis-cli --cluster check 10.0.0.1:6379";
        run(page, "node-1", check, "[OK] All 16384 slots covered.").await?;
        let counted = format!("redis-cli -h node-2 cluster countkeysinslot {slot}");
        run(page, "node-1", &counted, "(integer) 400").await?;
        page.screenshot("cluster-moved").await?;
        is_marked(page, "slots").await?;
        for client in ["app-1", "plain-1"] {
            info(page, client).await?;
            let replies = figure(page, "replies").await?;
            grows(page, "replies", replies + 20).await?;
            for bad in ["errors", "writes_gone", "replies_wrong"] {
                let count = figure(page, bad).await?;
                ensure!(count == 0, "{client} counts {bad}: {count}");
            }
        }
        page.screenshot("cluster-moved-client").await?;
        // Replayed moment by moment, until the owner of the first slots changes: the cell of the
        // slot with many keys moved along the circle as its keys did.
        page.click("[data-testid=tab-node-1]").await?;
        page.click("[data-testid=entry]").await?;
        let owned = "document.querySelector('[data-testid=circle] .arc title').textContent.endsWith('node-2')";
        let moved = go_to_first(page, (before, after), owned).await?;
        let ways = travels(page, slot, (moved - 200_000, moved)).await?;
        ensure!(ways.len() > 1, "the cell was seen at {ways:?} only");
        ensure!(ways.is_sorted(), "the cell went back: {ways:?}");
        Ok(())
    });
}

#[test]
fn of_three_nodes_cut_off_from_four_the_three_give_up() {
    in_browser("cluster-minority", async |page| {
        page.open("?locale=zh&theme=light&topology=cluster-6").await?;
        circle(page, "served", "===", 16384).await?;
        orders(page, ":speed 1s").await?;
        page.line(":play").await?;
        // A seventh node, a second replica of the first.
        shell(page, "node-4").await?;
        let screen = cells("node-4");
        page.line("mkdir seventh && cd seventh").await?;
        page.wait_for_text(&screen, "seventh]#").await?;
        page.line(
            "redis-server --port 6380 --cluster-enabled yes --protected-mode no \
             --cluster-node-timeout 3000 --daemonize yes",
        )
        .await?;
        page.wait_for(
            "the seventh node",
            "document.querySelector('[data-testid=\"node-node-4:6380\"]')",
        )
        .await?;
        prompt(page, "node-4").await?;
        let join = "redis-cli --cluster add-node 10.0.0.4:6380 10.0.0.1:6379 --cluster-slave \
             --cluster-master-id $(redis-cli -h node-1 cluster myid)";
        run(page, "node-4", join, "[OK] New node added correctly.").await?;
        has_role(page, "node-4:6380", "replica").await?;
        shell(page, "node-1").await?;
        run(page, "node-1", "redis-cli set k1 a", "MOVED 12706").await?;
        run(page, "node-1", "redis-cli set k2 a", "OK").await?;
        orders(page, ":partition node-1,node-5,node-6,plain-1 | node-2,node-3,node-4,app-1")
            .await?;
        // The four nodes elect another master for the slots of the one on the other side.
        page.wait_for(
            "the heir",
            "['node-4:6379', 'node-4:6380'].some(name =>
                document.querySelector(`[data-testid=\"node-${name}\"]`).dataset.role === 'primary')",
        )
        .await?;
        page.screenshot("cluster-minority").await?;
        // The three nodes have one of three masters and stop serving: it refuses even its own
        // slots.
        orders(page, ":inspect node-1").await?;
        page.click("[data-testid=inspect-slots]").await?;
        page.wait_for(
            "the state of the smaller side",
            "[...document.querySelectorAll('[data-testid=slots] table:first-of-type td')]
                .some(cell => cell.textContent === 'fail')",
        )
        .await?;
        page.screenshot("cluster-minority-slots").await?;
        back_to_shell(page, "node-1").await?;
        run(page, "node-1", "redis-cli set k2 b", "CLUSTERDOWN The cluster is down").await?;
        run(page, "node-1", "redis-cli cluster info | grep state", "cluster_state:fail").await?;
        // The four serve all slots.
        back_to_shell(page, "node-4").await?;
        run(page, "node-4", "redis-cli -h node-2 cluster info | grep state", "cluster_state:ok")
            .await?;
        run(
            page,
            "node-4",
            "redis-cli -c -h node-2 set k2 c && redis-cli -c -h node-2 get k2",
            "\"c\"",
        )
        .await?;
        // When the partition ends, the old master becomes a replica, and all agree.
        orders(page, ":heal").await?;
        has_role(page, "node-1", "replica").await?;
        orders(page, ":inspect node-1").await?;
        page.click("[data-testid=inspect-matrix]").await?;
        becomes(page, "matrix", "disputed", "0").await?;
        page.screenshot("cluster-minority-healed").await?;
        Ok(())
    });
}

#[test]
fn clusters_fit_every_screen_in_both_languages_and_themes() {
    in_browser("cluster-sizes", async |page| {
        for (width, height, locale, theme) in [
            (1280, 800, "en", "dark"),
            (1280, 800, "zh", "light"),
            (390, 844, "zh", "dark"),
            (390, 844, "en", "light"),
        ] {
            page.resize(width, height).await?;
            for topology in ["cluster-empty", "cluster-6", "cluster-12", "cluster-100"] {
                page.open(&format!("?locale={locale}&theme={theme}&topology={topology}")).await?;
                page.wait_for("the circle", "document.querySelector('[data-testid=circle]')")
                    .await?;
                all_on_stage(page).await?;
                page.screenshot(&format!("{topology}-{locale}-{theme}-{width}")).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_hundred_nodes_are_drawn_and_a_cut_between_them_is_seen() {
    in_browser_alone("cluster-hundred", async |page| {
        begin(page, "&topology=cluster-100").await?;
        circle(page, "served", "===", 16384).await?;
        page.line(":partition node-3 | node-40").await?;
        becomes(page, "link-node-3-node-40", "state", "cut").await?;
        page.screenshot("cluster-100-cut").await?;
        page.line(":heal").await?;
        page.wait_for("no link", "!document.querySelector('[data-testid=link-node-3-node-40]')")
            .await?;
        // Frames are counted without a limit, since machines differ.
        let measured = page
            .driver
            .execute_async(
                "const done = arguments[0]; const times = []; let last = performance.now();
                 (function frame(now) {
                    times.push(now - last); last = now;
                    if (times.length < 240) requestAnimationFrame(frame);
                    else {
                        times.sort((a, b) => a - b);
                        done({ median: times[120], p95: times[228], longest: times[239] });
                    }
                 })(last);",
                Vec::new(),
            )
            .await?;
        println!("milliseconds a frame with a hundred nodes: {}", measured.json());
        Ok(())
    });
}
