//! Loading time: how long it takes until the page can be used, on a slow network without a cache.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_tests::process::{Process, free_port};
use serde_json::json;

use crate::page::{Page, in_browser_alone};

/// Bytes a second of 10 Mbit/s.
const THROUGHPUT: u32 = 10_000_000 / 8;
/// The time of a round trip.
const LATENCY: Duration = Duration::from_millis(40);
/// The goal for the loading time.
const GOAL: Duration = Duration::from_millis(1_500);
/// The number of visits, of which the best counts, since others may have shared the processor.
const VISITS: usize = 3;

/// Clicks the first node as soon as the map is drawn, and notes when its actions have appeared.
const FIRST_CLICK: &str = "
    const node = document.querySelector('[data-testid=node-redis-1]');
    const answer = document.querySelector('[data-testid=acts]');
    if (answer) { window.interacted ??= performance.now(); return; }
    if (node && !window.clicked) {
        window.clicked = true;
        node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    }
    requestAnimationFrame(look);
";

#[test]
fn the_page_can_be_used_soon_after_its_address_was_typed() {
    in_browser_alone("loading", async |page| {
        let (port, http) = (free_port(), free_port());
        let args = ["playground", "--port", &port.to_string(), "--http-port", &http.to_string()];
        let mut server = Process::start(&args, &[], port);
        server.wait_for_line("http://").map_err(anyhow::Error::msg)?;
        let at = format!("http://127.0.0.1:{http}/?locale=en");

        let script = format!("(function look() {{ {FIRST_CLICK} }})();");
        page.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await?;
        page.devtools("Network.enable", json!({})).await?;
        let slow = json!({
            "offline": false,
            "latency": LATENCY.as_millis(),
            "downloadThroughput": THROUGHPUT,
            "uploadThroughput": THROUGHPUT,
        });
        page.devtools("Network.emulateNetworkConditions", slow).await?;
        let mut best = Duration::MAX;
        for _ in 0..VISITS {
            page.devtools("Network.clearBrowserCache", json!({})).await?;
            best = best.min(visit(page, &at).await?);
        }
        println!(
            "first interaction after {best:?} at 10 Mbit/s with {LATENCY:?} of latency and nothing \
             cached (goal {GOAL:?})"
        );
        ensure!(
            best <= GOAL * 2,
            "the first interaction took {best:?}, twice the goal of {GOAL:?}"
        );
        Ok(())
    });
}

/// Opens the page. Returns the time from the request to the answered click.
async fn visit(page: &Page, at: &str) -> Result<Duration> {
    page.driver.goto("about:blank").await?;
    page.driver.goto(at).await?;
    page.wait_for("the actions of a node", "window.interacted").await?;
    let encodings = page
        .eval(
            "performance.getEntriesByType('resource').filter(e => /\\.(wasm|js|css)$/.test(e.name))
                .every(e => e.encodedBodySize < e.decodedBodySize)",
        )
        .await?;
    ensure!(encodings == true, "some files were sent without compression");
    let ms = page.eval("window.interacted").await?.as_f64().context("a time")?;
    Ok(Duration::from_secs_f64(ms / 1_000.0))
}
