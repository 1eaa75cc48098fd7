//! A cluster, as a person meets it in the page: its circle of slots, an election, a hundred nodes.

use anyhow::Result;

use crate::page::{Page, in_browser_alone};
use crate::visit::{becomes, begin};

/// Waits until the circle says something of itself, as in `("served", ">", 0)`.
async fn circle(page: &Page, what: &str, relation: &str, number: u32) -> Result<()> {
    let found = format!(
        "+document.querySelector('[data-testid=circle]').dataset.{what} {relation} {number}"
    );
    page.wait_for(&format!("{what} {relation} {number}"), &found).await
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
        // Frames are counted, not judged: machines differ.
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
