//! Users and their rules, as a person meets them in the page.

use anyhow::Result;

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, begin};

/// Types a command and waits for what the terminal then shows.
async fn say(page: &Page, line: &str, answer: &str) -> Result<()> {
    page.line(line).await?;
    page.wait_for_text(SCREEN, answer).await
}

#[test]
fn a_refused_command_is_explained_with_the_rule_that_is_missing() {
    in_browser("users", async |page| {
        begin(page, "").await?;
        say(page, "ACL SETUSER ada on >secret +get +set ~mine:*", "OK").await?;
        say(page, "AUTH ada secret", "OK").await?;
        say(page, "GET other", "NOPERM No permissions to access a key").await?;
        say(page, "INCR mine:1", "NOPERM User ada has no permissions to run the 'incr'").await?;
        page.line(":inspect redis-1").await?;
        page.click("[data-testid=inspect-users]").await?;
        let denials = "[data-testid=denials]";
        page.wait_for_text(denials, "ACL SETUSER ada +incr").await?;
        page.wait_for_text(denials, "ACL SETUSER ada ~other").await?;
        page.wait_for_text("[data-testid=user-ada]", "~mine:*").await?;
        page.screenshot("users-en").await?;
        // What was told to be missing is enough.
        page.click("[data-testid=entry]").await?;
        say(page, "AUTH default x", "OK").await?;
        say(page, "ACL SETUSER ada ~other", "OK").await?;
        say(page, "AUTH ada secret", "OK").await?;
        say(page, "GET other", "(nil)").await?;
        Ok(())
    });
}
