//! Helpers of browser tests: opening the page, terminals, and reading the map.

use anyhow::{Result, bail};
use serde_json::json;

use crate::page::Page;

/// The terminal of the first server.
pub(crate) const SCREEN: &str = "[data-testid=screen-redis-1]";

/// Opens the page in English, with further parameters, and puts the cursor into the terminal.
pub(crate) async fn begin(page: &Page, more: &str) -> Result<()> {
    page.open(&format!("?locale=en{more}")).await?;
    page.click("[data-testid=entry]").await
}

/// Brings the terminal of a node to the front, with the cursor in it.
pub(crate) async fn terminal(page: &Page, node: &str) -> Result<()> {
    page.eval(&format!("document.querySelector('[data-testid=node-{node}]').focus()")).await?;
    page.keys("t").await?;
    page.wait_for_text(&format!("[data-testid=screen-{node}]"), "").await?;
    page.wait_for("the cursor", "document.activeElement.id === 'entry'").await
}

/// Waits until a data attribute of an element, found by its test id, has a value, as in
/// `("node-redis-2", "state", "crashed")`.
pub(crate) async fn becomes(page: &Page, id: &str, what: &str, value: &str) -> Result<()> {
    let found =
        format!("document.querySelector('[data-testid={id}]').dataset.{what} === '{value}'");
    page.wait_for(&format!("{id}: {what} {value}"), &found).await
}

/// Waits until all bodies are completely on the stage.
pub(crate) async fn all_on_stage(page: &Page) -> Result<()> {
    page.wait_for(
        "all bodies to be on the stage",
        "(() => {
            const stage = document.getElementById('stage').getBoundingClientRect();
            return [...document.querySelectorAll('.body .mark, .body .square, .body .lid, .body .frame')].every(body => {
                const r = body.getBoundingClientRect();
                return r.left >= stage.left && r.right <= stage.right
                    && r.top >= stage.top && r.bottom <= stage.bottom;
            });
        })()",
    )
    .await
}

/// Virtual time, in microseconds.
pub(crate) async fn now(page: &Page) -> Result<i64> {
    let value = page.eval("+document.querySelector('[role=slider]').ariaValueNow").await?;
    Ok(value.as_i64().unwrap_or_default())
}

/// The cells of the first terminal of redis-1.
pub(crate) const CELLS: &str = "[data-testid=shell-redis-1-tty1]";

/// Opens the page and a shell on redis-1, from the menu of the node.
pub(crate) async fn shell(page: &Page, more: &str) -> Result<()> {
    page.open(&format!("?program=whole{more}")).await?;
    page.wait_for("the map", "document.querySelector('[data-testid=node-redis-1]')").await?;
    page.eval("document.querySelector('[data-testid=node-redis-1]').focus()").await?;
    page.keys("m").await?;
    page.click("[data-testid=menu-shell]").await?;
    prompt(page).await?;
    page.wait_for("the cursor", "document.activeElement.id === 'entry'").await
}

/// Waits until the shell waits for a command.
pub(crate) async fn prompt(page: &Page) -> Result<()> {
    let last = format!(
        "document.querySelector('{CELLS} pre').innerText.trimEnd().split('\\n').at(-1).trimEnd().endsWith(']#')"
    );
    page.wait_for("a prompt", &last).await
}

/// Runs a command in the shell, and waits until the shell waits for the next.
pub(crate) async fn run(page: &Page, line: &str) -> Result<()> {
    page.line(line).await?;
    page.wait_for_text(CELLS, line).await?;
    prompt(page).await
}

/// The text of the card of a message in flight from one node to another whose text contains `text`
/// (ignoring case), if one can be clicked. Time is paused meanwhile, and every point along the line
/// is tried.
pub(crate) async fn message(
    page: &Page,
    from: &str,
    to: &str,
    text: &str,
) -> Result<Option<String>> {
    let script = "
        const [from, to, text, done] = arguments;
        const at = name => {
            const place = document.querySelector(`[data-testid=node-${name}]`).getScreenCTM();
            return [place.e, place.f];
        };
        const card = () => document.querySelector('[data-testid=message-card]');
        const said = () => {
            const ends = card() && [...card().querySelectorAll('dd')].map(dd => dd.textContent);
            const says = card()?.querySelector('[data-testid=message-decoded]')?.textContent;
            const fits = ends?.[0] === from && ends[1] === to && says?.toLowerCase().includes(text);
            return fits ? says : null;
        };
        (async () => {
            const [a, b] = [at(from), at(to)];
            const stage = document.getElementById('stage');
            const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
            for (let way = 0; way <= length; way += 6) {
                const press = { clientX: a[0] + (b[0] - a[0]) * way / length,
                    clientY: a[1] + (b[1] - a[1]) * way / length, bubbles: true, pointerId: 1 };
                stage.dispatchEvent(new PointerEvent('pointerdown', press));
                stage.dispatchEvent(new PointerEvent('pointerup', press));
                // The card is drawn after the present task.
                await new Promise(resolve => setTimeout(resolve));
                if (said() !== null) break;
            }
            done(said());
        })();";
    let arguments = vec![json!(from), json!(to), json!(text)];
    let found = page.driver.execute_async(script, arguments).await?;
    Ok(found.json().as_str().map(str::to_owned))
}

/// Steps from event to event until such a message is in flight. Returns the text of its card.
pub(crate) async fn step_to_message(
    page: &Page,
    from: &str,
    to: &str,
    text: &str,
) -> Result<String> {
    const MOST: usize = 150;
    for _ in 0..MOST {
        if let Some(says) = message(page, from, to, text).await? {
            return Ok(says);
        }
        page.click("[data-testid=step-forward]").await?;
    }
    bail!("{MOST} events, and '{text}' was not on its way from {from} to {to}")
}
