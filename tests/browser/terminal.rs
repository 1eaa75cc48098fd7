//! Keys of a shell beyond typing lines: job control, history search, full-screen programs, pasting.

use anyhow::{Result, ensure};
use thirtyfour::Key;

use crate::page::{Page, in_browser};
use crate::visit::{CELLS, prompt, run, shell};

/// Presses a key together with Ctrl.
async fn ctrl(page: &Page, key: &str) -> Result<()> {
    page.driver.active_element().await?.send_keys(Key::Control + key).await?;
    Ok(())
}

/// Waits until a JavaScript expression of `text`, the shell's screen, is true.
async fn shows(page: &Page, what: &str) -> Result<()> {
    let text = format!("document.querySelector('{CELLS} pre').innerText.trimEnd()");
    page.wait_for(what, &format!("(text => {what})({text})")).await
}

#[test]
fn a_job_is_stopped_brought_back_and_ended() {
    in_browser("terminal-jobs", async |page| {
        shell(page, "&locale=en").await?;
        page.line("sleep 10000").await?;
        shows(page, "text.endsWith('sleep 10000')").await?;
        ctrl(page, "z").await?;
        shows(page, "/\\[1\\]\\+ +Stopped +sleep 10000/.test(text)").await?;
        prompt(page).await?;
        run(page, "jobs").await?;
        page.line("fg").await?;
        shows(page, "text.endsWith('fg\\nsleep 10000')").await?;
        ctrl(page, "c").await?;
        prompt(page).await?;
        run(page, "jobs | wc -l").await?;
        shows(page, "text.includes('wc -l\\n0\\n')").await
    });
}

#[test]
fn what_was_typed_is_searched_backwards() {
    in_browser("terminal-search", async |page| {
        shell(page, "&locale=en").await?;
        run(page, "echo the-first-$((1 + 1))").await?;
        run(page, "echo second").await?;
        ctrl(page, "r").await?;
        shows(page, "text.includes('reverse-i-search')").await?;
        page.keys("fir").await?;
        shows(page, "text.includes(\"`fir': echo the-first-$((1 + 1))\")").await?;
        page.keys(Key::Enter.value().to_string()).await?;
        shows(page, "text.split('the-first-2').length === 3").await?;
        prompt(page).await
    });
}

#[test]
fn watch_draws_anew_until_it_is_left() {
    in_browser("terminal-watch", async |page| {
        shell(page, "&locale=en&speed=1s").await?;
        run(page, "redis-server --port 6380 --daemonize yes").await?;
        page.line("watch -n 1 redis-cli -p 6380 incr rounds").await?;
        shows(page, "text.startsWith('Every 1.0s: redis-cli -p 6380 incr rounds')").await?;
        shows(page, "/\\n[3-9]$/.test(text)").await?;
        ctrl(page, "c").await?;
        prompt(page).await?;
        shows(page, "!text.includes('Every 1.0s')").await
    });
}

#[test]
fn what_is_pasted_waits_for_enter_or_runs_line_by_line() {
    in_browser("terminal-paste", async |page| {
        shell(page, "&locale=en").await?;
        let paste = |text: &str| {
            let text = serde_json::json!(text);
            format!(
                "(() => {{
                    const clipboardData = new DataTransfer();
                    clipboardData.setData('text/plain', {text});
                    const event = new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }});
                    return !document.getElementById('entry').dispatchEvent(event);
                }})()"
            )
        };
        ensure!(page.eval(&paste("echo one-$((20 + 3))")).await? == true, "the page takes it");
        shows(page, "text.endsWith('echo one-$((20 + 3))')").await?;
        page.keys(Key::Enter.value().to_string()).await?;
        shows(page, "text.includes('\\none-23\\n')").await?;
        prompt(page).await?;
        page.eval(&paste("echo two-$((20 + 4))\necho three-$((20 + 5))\n")).await?;
        shows(page, "text.includes('\\ntwo-24\\n') && text.includes('\\nthree-25\\n')").await?;
        prompt(page).await
    });
}

#[test]
fn addresses_select_their_nodes_and_terminals_stand_side_by_side_at_the_size_that_is_chosen() {
    in_browser("terminal-beside", async |page| {
        shell(page, "&locale=en&topology=replicas-2").await?;
        run(page, "echo redis-2:6379").await?;
        page.click(&format!("{CELLS} a.address")).await?;
        page.wait_for(
            "the node to be selected",
            "document.querySelector('[data-testid=node-redis-2]').matches('[aria-pressed=true], [aria-selected=true], .selected, [data-selected=true]')",
        )
        .await?;
        let size = "parseFloat(getComputedStyle(document.querySelector('.panels')).getPropertyValue('--size'))";
        let before = page.eval(size).await?.as_f64().unwrap_or_default();
        page.click("[data-testid=text-larger]").await?;
        page.wait_for("larger text", &format!("{size} > {before}")).await?;
        page.click("[data-testid=split]").await?;
        page.wait_for(
            "two terminals side by side",
            "(() => {
                const seen = [...document.querySelectorAll('.terminal')].map(t => t.getBoundingClientRect()).filter(r => r.width > 100);
                return seen.length === 2 && (seen[0].right <= seen[1].left + 1 || seen[1].right <= seen[0].left + 1);
            })()",
        )
        .await?;
        page.screenshot("terminal-beside").await?;
        Ok(())
    });
}
