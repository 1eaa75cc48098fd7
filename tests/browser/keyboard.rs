//! A whole lesson, from the contents to its end, without a mouse.

use anyhow::{Result, bail};
use thirtyfour::Key;

use crate::page::{Page, in_browser};

/// Moves the focus with Tab until it is on an element that matches a selector.
async fn reach(page: &Page, css: &str) -> Result<()> {
    for _ in 0..600 {
        if page.eval(&format!("document.activeElement.matches({})", serde_json::json!(css))).await?
            == true
        {
            return Ok(());
        }
        page.keys(Key::Tab.value().to_string()).await?;
    }
    bail!("Tab does not lead to '{css}'")
}

async fn press(page: &Page, css: &str) -> Result<()> {
    reach(page, css).await?;
    page.keys(Key::Enter.value().to_string()).await
}

/// Types a line, and waits until the shell's screen ends with `ends`.
async fn line(page: &Page, line: &str, ends: &str) -> Result<()> {
    page.line(line).await?;
    page.wait_for(
        &format!("'{ends}' after {line}"),
        &format!(
            "(text => text.includes({}) && text.endsWith({}))(document.querySelector('[data-testid^=shell-redis-1] pre').innerText.trimEnd())",
            serde_json::json!(line),
            serde_json::json!(ends)
        ),
    )
    .await
}

async fn done(page: &Page, steps: usize) -> Result<()> {
    let progress = "document.querySelector('[data-testid=lesson-progress]')";
    page.wait_for(&format!("{steps} steps"), &format!("{progress}?.dataset.done === '{steps}'"))
        .await
}

#[test]
fn a_whole_lesson_is_done_without_a_mouse() {
    in_browser("keyboard-lesson", async |page| {
        page.open("?locale=en").await?;
        press(page, "[data-testid=lessons-open]").await?;
        page.wait_for_text("[data-testid=lessons]", "A first server").await?;
        press(page, "[data-testid='lesson-server/first-server']").await?;
        done(page, 0).await?;
        // The prompt before a command in the text opens the shell for it.
        press(page, "[data-testid=step-start] .prompt").await?;
        page.wait_for("the cursor", "document.activeElement.id === 'entry'").await?;
        let server = "redis-server --port 6379 --save \"\" --daemonize yes";
        line(page, server, "]#").await?;
        done(page, 1).await?;
        line(page, "redis-cli", "127.0.0.1:6379>").await?;
        line(page, "ping", "PONG\n127.0.0.1:6379>").await?;
        done(page, 2).await?;
        line(page, "set greeting hello", "OK\n127.0.0.1:6379>").await?;
        line(page, "get greeting", "\"hello\"\n127.0.0.1:6379>").await?;
        line(page, "get goodbye", "(nil)\n127.0.0.1:6379>").await?;
        done(page, 3).await?;
        line(page, "shutdown nosave", "not connected>").await?;
        line(page, "exit", "]#").await?;
        line(page, server, "]#").await?;
        line(page, "redis-cli get greeting", "]#").await?;
        page.wait_for_text("[data-testid^=shell-redis-1]", "(nil)").await?;
        // Tab completes in a shell; Shift+Escape leaves it.
        let chord = page.driver.action_chain().key_down(Key::Shift);
        chord.send_keys(Key::Escape).key_up(Key::Shift).perform().await?;
        page.wait_for("the focus to leave", "document.activeElement.id !== 'entry'").await?;
        press(page, "[data-testid=answer-1]").await?;
        page.wait_for(
            "the lesson to be complete",
            "document.querySelector('[data-testid=lesson-progress]').dataset.complete === 'true'",
        )
        .await?;
        page.screenshot("keyboard-lesson").await?;
        Ok(())
    });
}
