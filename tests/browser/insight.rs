//! The inspector's views of data: streams with their groups, values of other types, the steps of
//! scripts, and invalidation messages.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use thirtyfour::Key;

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, begin, step_to_message};

/// The window sizes, languages and themes in which panels are checked.
const LOOKS: [(u32, u32, &str, &str); 4] = [
    (1280, 800, "en", "dark"),
    (1280, 800, "zh", "light"),
    (390, 844, "zh", "dark"),
    (390, 844, "en", "light"),
];

/// Types a command and waits until the terminal shows the answer.
async fn say(page: &Page, line: &str, answer: &str) -> Result<()> {
    page.line(line).await?;
    page.wait_for_text(SCREEN, answer).await
}

/// Opens the page with a size, language and theme, with the cursor in the first server's terminal.
async fn look(page: &Page, (width, height, locale, theme): (u32, u32, &str, &str)) -> Result<()> {
    page.resize(width, height).await?;
    page.open(&format!("?program=whole&locale={locale}&theme={theme}")).await?;
    if width < 600 {
        page.click("[data-testid=pane-terminal]").await?;
    }
    page.click("[data-testid=entry]").await
}

/// Pauses time, so that no row moves under the pointer, and opens a tab of redis-1's inspector.
async fn inspect(page: &Page, tab: &str) -> Result<()> {
    page.line(":stop").await?;
    page.line(":inspect redis-1").await?;
    page.click(&format!("[data-testid=inspect-{tab}]")).await
}

/// Checks that nothing in the inspector is wider than the panel.
async fn fits(page: &Page, what: &str) -> Result<()> {
    let wide = page
        .eval(
            "(() => {
                const pane = document.querySelector('.pane').getBoundingClientRect();
                return [...document.querySelectorAll('.pane *')]
                    .filter(e => e.getBoundingClientRect().right > pane.right + 1)
                    .map(e => e.outerHTML.slice(0, 80));
            })()",
        )
        .await?;
    ensure!(wide == json!([]), "wider than the panel in {what}: {wide}");
    Ok(())
}

/// The text of the first element that a selector finds, once it is there.
async fn text(page: &Page, css: &str) -> Result<String> {
    page.element(css).await?;
    let found = page.eval(&format!("document.querySelector('{css}').textContent")).await?;
    Ok(found.as_str().context("text")?.to_owned())
}

/// A stream of three readings, read by two consumers of one group; `later` is not read yet.
async fn fill_a_stream(page: &Page) -> Result<()> {
    say(page, "XADD readings 1-1 sensor kitchen temperature 21", "\"1-1\"").await?;
    say(page, "XADD readings 2-1 sensor attic temperature 17", "\"2-1\"").await?;
    say(page, "XADD readings 3-1 sensor cellar temperature 9", "\"3-1\"").await?;
    say(page, "XGROUP CREATE readings alarms 0", "OK").await?;
    say(page, "XREADGROUP GROUP alarms ada COUNT 2 STREAMS readings >", "attic").await?;
    say(page, "XREADGROUP GROUP alarms bob COUNT 1 STREAMS readings >", "cellar").await?;
    say(page, "XADD readings 4-1 sensor later temperature 30", "\"4-1\"").await
}

#[test]
fn a_stream_its_groups_and_what_each_consumer_owes_can_be_looked_into() {
    in_browser("insight-stream", async |page| {
        begin(page, "").await?;
        fill_a_stream(page).await?;
        inspect(page, "keys").await?;
        page.wait_for_text("[data-testid=keys]", "stream · 4").await?;
        page.click("[data-testid=key-readings]").await?;
        // The newest entry is at the top; a pending entry names its consumer.
        page.wait_for_text("[data-testid=entries] tbody tr:first-child", "4-1").await?;
        page.wait_for_text("[data-testid=entries] tbody tr:first-child", "later").await?;
        page.wait_for_text("[data-testid=entries] tbody tr:nth-child(2)", "alarms › bob").await?;
        page.wait_for_text("[data-testid=entries] tbody tr:nth-child(4)", "alarms › ada").await?;
        let group = text(page, "[data-testid=group-alarms] dl").await?;
        ensure!(group == "last delivered ID3-1not delivered yet (lag)1pending3", "{group}");
        page.wait_for_text("[data-testid=consumer-ada]", "ada: 2 pending").await?;
        page.wait_for_text("[data-testid=consumer-ada]", "1-1").await?;
        page.wait_for_text("[data-testid=consumer-bob]", "bob: 1 pending").await?;
        page.screenshot("insight-stream-en").await?;
        // An entry that is acknowledged leaves the list; one that is claimed changes hands and is
        // counted again.
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        say(page, "XACK readings alarms 1-1", "(integer) 1").await?;
        say(page, "XCLAIM readings alarms bob 0 2-1", "attic").await?;
        page.wait_for_text("[data-testid=consumer-ada]", "ada: 0 pending").await?;
        page.wait_for_text("[data-testid=consumer-bob]", "bob: 2 pending").await?;
        page.wait_for(
            "two deliveries of 2-1",
            "[...document.querySelectorAll('[data-testid=consumer-bob] tr')].some(row =>
                row.textContent.startsWith('2-1') && row.lastElementChild.textContent === '2')",
        )
        .await?;
        page.click("[data-testid=keys-back]").await?;
        page.wait_for_text("[data-testid=keys]", "readings").await?;
        Ok(())
    });
}

#[test]
fn values_of_every_type_can_be_looked_into() {
    in_browser("insight-values", async |page| {
        page.open("?program=whole&locale=en").await?;
        page.click("[data-testid=entry]").await?;
        say(page, "SET greeting hello", "OK").await?;
        say(page, "RPUSH list first second", "(integer) 2").await?;
        say(page, "SADD set one two three", "(integer) 3").await?;
        say(page, "HSET hash colour green f2 v2 f3 v3 f4 v4", "(integer) 4").await?;
        say(page, "ZADD zset 1.5 ada 2 b 3 c 4 d 5 e", "(integer) 5").await?;
        inspect(page, "keys").await?;
        for (key, kind, shown) in [
            ("greeting", "string, bytes: 5", "hello"),
            ("list", "list, elements: 2", "1second"),
            ("set", "set, elements: 3", "three"),
            ("hash", "hash, elements: 4", "colourgreen"),
            ("zset", "zset, elements: 5", "ada1.5"),
        ] {
            page.click(&format!("[data-testid=key-{key}]")).await?;
            page.wait_for_text("[data-testid=key]", kind).await?;
            page.wait_for_text("[data-testid=key]", shown).await?;
            page.click("[data-testid=keys-back]").await?;
        }
        // The inspector says so when the open key is deleted.
        page.click("[data-testid=key-greeting]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":play").await?;
        say(page, "DEL greeting", "(integer) 1").await?;
        page.wait_for_text("[data-testid=key]", "no such key").await
    });
}

#[test]
fn the_steps_of_a_script_are_the_commands_that_it_calls() {
    in_browser("insight-script", async |page| {
        page.open("?program=whole&locale=en").await?;
        page.click("[data-testid=entry]").await?;
        say(page, "SET stock 5", "OK").await?;
        let script = "local n = redis.call('DECRBY', KEYS[1], ARGV[1]) \
                      redis.call('RPUSH', 'orders', ARGV[1]) return n";
        say(page, &format!("EVAL \"{script}\" 1 stock 2"), "(integer) 3").await?;
        say(page, "EVAL \"return redis.call('INCR', 'orders')\" 0", "WRONGTYPE").await?;
        inspect(page, "scripts").await?;
        // The latest script is first.
        let first = "[data-testid=scripts] li:nth-child(1)";
        page.wait_for_text(&format!("{first} .steps"), "INCR orders").await?;
        page.wait_for_text(&format!("{first} .steps"), "(error) WRONGTYPE").await?;
        page.wait_for_text(&format!("{first} .result"), "(error) WRONGTYPE").await?;
        let second = "[data-testid=scripts] li:nth-child(2)";
        page.wait_for_text(&format!("{second} .call"), "1 stock 2").await?;
        let steps = text(page, &format!("{second} .steps tbody")).await?;
        ensure!(steps == "1DECRBY stock 2(integer) 32RPUSH orders 2(integer) 1", "{steps}");
        page.wait_for_text(&format!("{second} .result"), "(integer) 3").await?;
        page.screenshot("insight-script-en").await?;
        Ok(())
    });
}

#[test]
fn an_invalidation_travels_to_the_client_that_caches_the_key() {
    in_browser("insight-invalidation", async |page| {
        for locale in ["en", "zh"] {
            page.open(&format!("?locale={locale}")).await?;
            page.click("[data-testid=entry]").await?;
            say(page, "HELLO 3", "\"proto\" => (integer) 3").await?;
            say(page, "CLIENT TRACKING ON", "OK").await?;
            say(page, "SET price 5", "OK").await?;
            say(page, "GET price", "\"5\"").await?;
            page.line(":run you other redis-cli -h redis-1").await?;
            page.line(":stop").await?;
            page.line(":type other SET price 6").await?;
            let says = step_to_message(page, "redis-1", "you", "invalidate").await?;
            ensure!(says.starts_with("-> invalidate: 'price'"), "{says}");
            let means = match locale {
                "en" => "the client must drop its copies of: price",
                _ => "客户端须丢弃本地缓存的副本：price",
            };
            ensure!(says.ends_with(means), "{says}");
            let title = text(page, "[data-testid=message-card] h2").await?;
            ensure!(title == "invalidate price", "{title}");
            page.screenshot(&format!("insight-invalidation-{locale}")).await?;
            // redis-cli prints the invalidation before the next reply.
            page.keys(Key::Escape.value().to_string()).await?;
            page.click("[data-testid=entry]").await?;
            page.line(":play").await?;
            say(page, "GET price", "-> invalidate: 'price'").await?;
            page.wait_for_text(SCREEN, "\"6\"").await?;
        }
        Ok(())
    });
}

#[test]
fn what_is_looked_into_fits_every_screen_in_both_languages_and_themes() {
    in_browser("insight-sizes", async |page| {
        for place in LOOKS {
            let (width, _, locale, theme) = place;
            let name = format!("{locale}-{theme}-{width}");
            look(page, place).await?;
            fill_a_stream(page).await?;
            say(page, "XADD readings 5-1 a-field-with-a-long-name-that-does-not-break a-value-that-is-as-long-as-its-field-and-longer", "\"5-1\"").await?;
            let script = "redis.call('SET', KEYS[1], string.rep('x', 300)) return redis.call('GET', KEYS[1])";
            say(page, &format!("EVAL \"{script}\" 1 long"), "xxx").await?;
            inspect(page, "keys").await?;
            page.click("[data-testid=key-readings]").await?;
            page.wait_for_text("[data-testid=consumer-bob]", "3-1").await?;
            page.screenshot(&format!("insight-stream-{name}")).await?;
            fits(page, &name).await?;
            page.eval("document.querySelector('.pane').scrollTo(0, 1e6)").await?;
            page.screenshot(&format!("insight-groups-{name}")).await?;
            page.click("[data-testid=inspect-scripts]").await?;
            page.wait_for_text("[data-testid=scripts]", "SET long").await?;
            page.screenshot(&format!("insight-scripts-{name}")).await?;
            fits(page, &name).await?;
        }
        Ok(())
    });
}
