//! The two builds of the page's program: the handover from the first to the whole one loses
//! nothing.

use crate::page::in_browser;
use crate::visit::{SCREEN, begin, now};

const IS_WHOLE: &str = "window.wasmBindings.limpid_is_whole()";

#[test]
fn the_whole_program_goes_on_where_the_first_one_was() {
    in_browser("whole", async |page| {
        begin(page, "").await?;
        if page.eval(IS_WHOLE).await? == true {
            // `cargo xtask web --dev` builds one program for both.
            return Ok(());
        }
        page.line("set greeting hello").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.click("[data-testid=play]").await?;
        page.click("[data-testid=entry]").await?;
        let before = now(page).await?;
        page.line("eval \"return redis.call('get', KEYS[1])\" 1 greeting").await?;
        page.wait_for("the whole program", IS_WHOLE).await?;
        // The terminal shows the earlier commands, and time is at the same moment.
        page.wait_for_text(SCREEN, "set greeting hello").await?;
        let after = now(page).await?;
        anyhow::ensure!(after >= before, "time went back from {before} to {after}");
        page.click("[data-testid=play]").await?;
        page.wait_for_text(SCREEN, "\"hello\"").await?;
        page.screenshot("whole").await?;
        page.no_errors().await
    });
}
