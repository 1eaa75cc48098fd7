//! The page attached to servers that run outside of it.

use anyhow::Result;
use limpid_tests::client::Client;
use limpid_tests::process::Kind::{Limpid, Redis};
use limpid_tests::process::{Process, free_port};
use serde_json::json;

use crate::page::{Page, in_browser};

/// `limpid playground --attach`, and the address of its page.
fn attach(to: &Process) -> (Process, String) {
    let http = free_port();
    let (to, port) = (to.address().to_string(), http.to_string());
    let mut process =
        Process::start(&["playground", "--attach", &to, "--http-port", &port], &[], http);
    process.wait_for_line("?attached").expect("the address of the page");
    (process, format!("http://127.0.0.1:{http}/?attached"))
}

/// Waits until a node of the map has an attribute with this value.
async fn is(page: &Page, node: &Process, attribute: &str, value: &str) -> Result<()> {
    let css = json!(format!("[data-testid='node-{}']", node.address()));
    let expression =
        format!("document.querySelector({css}).dataset.{attribute} === {}", json!(value));
    let what = format!("{attribute} {value} of {}", node.address());
    page.wait_for(&what, &expression).await
}

#[test]
fn a_real_failover_is_seen_in_the_page() {
    in_browser("attached", async |page| {
        let mut primary = Process::of(Redis, &[]);
        let (host, port) = ("127.0.0.1", primary.port().to_string());
        let replica = Process::of(Limpid, &["--replicaof", host, &port]);
        let lines = format!(
            "sentinel monitor mymaster {host} {port} 1\n\
             sentinel down-after-milliseconds mymaster 1000\n"
        );
        let sentinel = Process::sentinel(Limpid, &lines);
        // One address is enough to find the others.
        let (_attached, url) = attach(&sentinel);
        page.driver.goto(format!("{url}&locale=en")).await?;
        is(page, &primary, "role", "primary").await?;
        is(page, &replica, "role", "replica").await?;
        is(page, &sentinel, "role", "sentinel").await?;
        Client::new(primary.connect()).call(&["SET", "k", "v"]);
        let node = format!("[data-testid='node-{}']", primary.address());
        page.wait_for_text(&node, "1 key").await?;

        // What the node reports about itself, and what the Sentinel reports about it.
        page.click(&node).await?;
        let panel = "[data-testid=attached-node]";
        page.wait_for_text(panel, "redis_version").await?;
        page.wait_for_text("[data-testid=attached-judges]", "mymaster: master").await?;
        page.screenshot("attached-en").await?;

        // The Sentinel finds the replica by INFO, every ten seconds.
        page.wait_for_text(panel, "replicas: 1").await?;
        primary.kill();
        is(page, &primary, "state", "crashed").await?;
        is(page, &replica, "role", "primary").await?;
        let changes = "[data-testid=attached-changes]";
        page.wait_for_text(changes, &format!("{} does not answer", primary.address())).await?;
        page.wait_for_text(changes, &format!("{} became a primary", replica.address())).await?;

        page.click("[data-testid=language]").await?;
        page.wait_for_text(changes, &format!("{} 成为主节点", replica.address())).await?;
        page.resize(390, 844).await?;
        page.wait_for("everything within the width", "document.documentElement.scrollWidth <= 390")
            .await?;
        page.screenshot("attached-zh-narrow").await?;
        Ok(())
    });
}
