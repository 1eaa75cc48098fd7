//! ACL users and their rules in the page.

use anyhow::{Result, ensure};

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, begin};

/// Types a command and waits until the terminal shows the answer.
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
        // Granting the missing rule suffices.
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        say(page, "AUTH default x", "OK").await?;
        say(page, "ACL SETUSER ada ~other", "OK").await?;
        say(page, "AUTH ada secret", "OK").await?;
        say(page, "GET other", "(nil)").await?;
        Ok(())
    });
}

#[test]
fn users_fit_every_screen_in_both_languages_and_themes() {
    in_browser("users-sizes", async |page| {
        for (width, height, locale, theme) in
            [(1280, 800, "zh", "dark"), (390, 844, "en", "dark"), (390, 844, "zh", "light")]
        {
            page.resize(width, height).await?;
            page.open(&format!("?locale={locale}&theme={theme}")).await?;
            if width < 600 {
                page.click("[data-testid=pane-terminal]").await?;
            }
            page.click("[data-testid=entry]").await?;
            let rules = "on >secret +get +set ~mine:* (%R~a-long-pattern:* &news.* +@read)";
            say(page, &format!("ACL SETUSER ada {rules}"), "OK").await?;
            say(page, "AUTH ada secret", "OK").await?;
            say(page, "GET other", "NOPERM").await?;
            say(page, "PUBLISH news.today hello", "to run the 'publish'").await?;
            page.line(":inspect redis-1").await?;
            page.click("[data-testid=inspect-users]").await?;
            page.wait_for_text("[data-testid=denials]", "ACL SETUSER ada +publish").await?;
            let fits = page
                .eval(
                    "[...document.querySelectorAll('.users *')].every(e => \
                     e.scrollWidth <= document.querySelector('.users').clientWidth + 1)",
                )
                .await?;
            page.screenshot(&format!("users-{locale}-{theme}-{width}")).await?;
            ensure!(fits == true, "something is wider than the panel at {width}");
        }
        Ok(())
    });
}
