//! The sandbox of the page: commands, faults, time, languages and themes.

use anyhow::{Result, ensure};
use thirtyfour::Key;

use crate::page::{Page, in_browser, in_browser_alone};
use crate::visit::{SCREEN, all_on_stage, becomes, begin, now, terminal};

async fn has_state(page: &Page, node: &str, state: &str) -> Result<()> {
    becomes(page, node, "state", state).await
}

#[test]
fn a_command_is_answered_and_its_messages_can_be_opened() {
    in_browser("command", async |page| {
        begin(page, "").await?;
        page.keys("SET greeting ").await?;
        page.wait_for_text("[data-testid=hint]", "value").await?;
        page.line("hello").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.line("get greeting").await?;
        // Messages move along the link, so each check clicks at another point of it.
        page.wait_for(
            "a message that can be clicked",
            "(() => {
                if (document.querySelector('[data-testid=message-card]')) return true;
                const at = name => {
                    const mark = document.querySelector(`[data-testid=node-${name}] > g > :nth-child(2)`);
                    const r = mark.getBoundingClientRect();
                    return [r.x + r.width / 2, r.y + r.height / 2];
                };
                const [a, b] = [at('redis-1'), at('you')];
                window.look = ((window.look ?? 0) + 7) % 100;
                const t = window.look / 100;
                const press = { clientX: a[0] + (b[0] - a[0]) * t, clientY: a[1] + (b[1] - a[1]) * t,
                    bubbles: true, pointerId: 1 };
                const stage = document.getElementById('stage');
                stage.dispatchEvent(new PointerEvent('pointerdown', press));
                stage.dispatchEvent(new PointerEvent('pointerup', press));
                return false;
            })()",
        )
        .await?;
        page.wait_for(
            "a decoded message",
            "/greeting|hello/.test(document.querySelector('[data-testid=message-decoded]').innerText)",
        )
        .await?;
        page.wait_for_text("[data-testid=message-bytes]", "0000  ").await?;
        page.screenshot("message").await?;
        page.click("[data-testid=play]").await?;
        page.wait_for_text(SCREEN, "\"hello\"").await
    });
}

#[test]
fn a_cut_link_stalls_and_a_mended_one_goes_on() {
    in_browser("cut", async |page| {
        begin(page, "").await?;
        page.line(":speed 500ms").await?;
        page.line(":partition you | redis-1").await?;
        page.wait_for(
            "the link to be cut",
            "document.querySelector('[data-testid=link-redis-1-you]').dataset.state === 'cut'",
        )
        .await?;
        page.line("PING").await?;
        let before = now(page).await?;
        page.wait_for(
            "a second of virtual time",
            &format!("+document.querySelector('[role=slider]').ariaValueNow > {before} + 1e6"),
        )
        .await?;
        let screen = page.eval(&format!("document.querySelector('{SCREEN}').innerText")).await?;
        ensure!(!screen.as_str().unwrap_or_default().contains("PONG"), "it went through: {screen}");
        page.screenshot("cut").await?;
        // Lines that begin with a colon are for the World, also while redis-cli waits.
        page.line(":heal").await?;
        page.wait_for_text(SCREEN, "PONG").await
    });
}

#[test]
fn rewinding_shows_the_past_and_acting_there_asks() {
    in_browser("rewind", async |page| {
        begin(page, "").await?;
        page.line(":speed 200ms").await?;
        page.line("set k 1").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.line(":crash redis-2").await?;
        has_state(page, "node-redis-2", "crashed").await?;
        let crashed = now(page).await?;
        page.line(":go 500ms").await?;
        has_state(page, "node-redis-2", "online").await?;
        ensure!(now(page).await? < crashed, "time did not go back");
        page.wait_for(
            "no reply on the screen",
            &format!("!document.querySelector('{SCREEN}').innerText.includes('OK')"),
        )
        .await?;
        page.screenshot("past").await?;

        page.line("set k 2").await?;
        page.click("[data-testid=past-branch]").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.wait_for("the other timeline", "document.querySelector('[data-testid=timelines]')")
            .await?;
        has_state(page, "node-redis-2", "online").await
    });
}

#[test]
fn the_same_reply_shows_again_after_rewinding() {
    in_browser("again", async |page| {
        begin(page, "").await?;
        // At such a speed that the reply is back before the screen is drawn without it.
        page.line(":speed 10s").await?;
        page.line("set k 1").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.line(":go 500ms").await?;
        page.line("set k 2").await?;
        page.click("[data-testid=past-discard]").await?;
        page.wait_for_text(SCREEN, "set k 2").await?;
        page.wait_for_text(SCREEN, "OK").await
    });
}

#[test]
fn the_history_is_searched_and_escape_stays_in_the_line() {
    in_browser("search", async |page| {
        begin(page, "").await?;
        page.line("set greeting hello").await?;
        page.line("ping").await?;
        page.driver.active_element().await?.send_keys(Key::Control + "r").await?;
        page.keys("gree").await?;
        page.wait_for_text("[data-testid=prompt]", "set greeting hello").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        page.wait_for(
            "the line that was found",
            "document.activeElement.id === 'entry'
                && document.activeElement.value === 'set greeting hello'",
        )
        .await
    });
}

#[test]
fn a_link_that_cannot_be_read_opens_its_scenario() {
    in_browser("broken-link", async |page| {
        begin(page, "#v=1&topology=3&at=whenever").await?;
        page.wait_for_text("[data-testid=toast]", "This link cannot be read").await?;
        page.line("ping").await?;
        page.wait_for_text(SCREEN, "PONG").await
    });
}

#[test]
fn beside_an_open_inspector_nothing_is_covered() {
    in_browser("covered", async |page| {
        begin(page, "&topology=replicas-2").await?;
        page.line(":inspect redis-2").await?;
        page.click("[data-testid=node-redis-2]").await?;
        page.wait_for(
            "the actions beside the tools, and all tabs",
            "(() => {
                const box = css => document.querySelector(css).getBoundingClientRect();
                const tabs = document.querySelector('[data-testid=inspector] .tabs');
                return box('.tools').right <= box('[data-testid=acts]').left
                    && tabs.scrollWidth <= tabs.clientWidth
                    && document.querySelector('[data-testid=inspect-log]');
            })()",
        )
        .await?;
        page.screenshot("inspector").await?;
        Ok(())
    });
}

#[test]
fn languages_and_themes_are_switched_and_remembered() {
    in_browser("languages", async |page| {
        page.open("?locale=en").await?;
        page.wait_for_text("h2", "Events").await?;
        page.open("").await?;
        page.click("[data-testid=language]").await?;
        page.wait_for_text("h2", "事件").await?;
        page.wait_for("the document's language", "document.documentElement.lang === 'zh-CN'")
            .await?;
        page.prefer("prefers-color-scheme", "dark").await?;
        page.click("[data-testid=theme]").await?;
        let background = "getComputedStyle(document.body).backgroundColor";
        page.wait_for("light", &format!("{background} === 'rgb(251, 251, 248)'")).await?;
        page.screenshot("chinese-light").await?;
        page.open("").await?;
        page.wait_for_text("h2", "事件").await?;
        page.wait_for("light again", &format!("{background} === 'rgb(251, 251, 248)'")).await
    });
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    in_browser("keyboard", async |page| {
        page.open("?locale=en").await?;
        page.wait_for("the map", "document.querySelector('[data-testid=node-redis-1]')").await?;
        page.eval("document.querySelector('[data-testid=node-redis-1]').focus()").await?;
        page.keys(Key::Down.value().to_string()).await?;
        page.wait_for(
            "redis-2 in focus",
            "document.activeElement.dataset.testid === 'node-redis-2'",
        )
        .await?;
        page.keys("m").await?;
        page.wait_for("the menu", "document.activeElement.getAttribute('role') === 'menuitem'")
            .await?;
        for _ in 0..3 {
            page.keys(Key::Down.value().to_string()).await?;
        }
        page.keys(Key::Enter.value().to_string()).await?;
        has_state(page, "node-redis-2", "crashed").await?;
        page.wait_for("the focus back", "document.activeElement.dataset.testid === 'node-redis-2'")
            .await?;
        page.keys(" ").await?;
        page.wait_for("the actions", "document.querySelector('[data-testid=act-restart]')").await?;
        page.keys("?").await?;
        page.wait_for("the keys", "document.querySelector('[data-testid=help-dialog]')").await?;
        page.screenshot("help").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        page.keys("/").await?;
        page.wait_for("the terminal", "document.activeElement.id === 'entry'").await?;
        page.line(":restart redis-2").await?;
        has_state(page, "node-redis-2", "online").await
    });
}

#[test]
fn every_topology_fits_every_screen() {
    in_browser("sizes", async |page| {
        for (width, height) in [(1440, 900), (1024, 768), (390, 844)] {
            page.resize(width, height).await?;
            for servers in [1, 3, 12, 48] {
                page.open(&format!("?locale=en&servers={servers}")).await?;
                let count = "document.querySelectorAll('[data-testid^=node-redis-]').length";
                page.wait_for("the servers", &format!("{count} === {servers}")).await?;
                all_on_stage(page).await?;
                page.screenshot(&format!("{servers}-servers-{width}")).await?;
            }
        }
        Ok(())
    });
}

#[test]
fn forty_eight_busy_servers_leave_time_in_every_frame() {
    in_browser_alone("busy", async |page| {
        page.open("?locale=en&servers=48&debug").await?;
        page.click("[data-testid=entry]").await?;
        page.line(":speed 1s").await?;
        page.wait_for(
            "three seconds of virtual time",
            "+document.querySelector('[role=slider]').ariaValueNow > 3e6",
        )
        .await?;
        page.screenshot("busy").await?;
        let panel = page.eval("document.querySelector('[data-testid=debug]').innerText").await?;
        println!("{}", panel.as_str().unwrap_or_default());
        Ok(())
    });
}

#[test]
fn two_fingers_zoom_the_map() {
    in_browser("pinch", async |page| {
        page.open("?locale=en").await?;
        page.wait_for("the map", "document.querySelector('[data-testid=node-redis-1]')").await?;
        let scale = "+/scale\\(([\\d.]+)/.exec(
            document.querySelector('[data-testid=map] > g').getAttribute('transform'))[1]";
        let before = page.eval(scale).await?.as_f64().unwrap_or_default();
        page.eval(
            "(() => {
                const stage = document.getElementById('stage');
                const box = stage.getBoundingClientRect();
                const touch = (kind, id, x) => stage.dispatchEvent(new PointerEvent(kind, {
                    pointerId: id, pointerType: 'touch', isPrimary: id === 11, bubbles: true,
                    clientX: box.x + x, clientY: box.y + 60 }));
                window.touch = touch;
                touch('pointerdown', 11, 300);
                touch('pointerdown', 12, 400);
                return true;
            })()",
        )
        .await?;
        // The gesture starts with the next drawing.
        page.wait_for(
            "the map twice as large",
            &format!("(touch('pointermove', 11, 250), touch('pointermove', 12, 450), {scale} > {before} * 1.8)"),
        )
        .await?;
        page.eval("(touch('pointerup', 11, 250), touch('pointerup', 12, 450), true)").await?;
        page.wait_for("nothing selected", "!document.querySelector('[data-testid=acts]')").await
    });
}

#[test]
fn the_tab_of_the_terminal_in_front_is_in_sight_however_many_there_are() {
    in_browser("many-tabs", async |page| {
        begin(page, "&topology=12").await?;
        let in_sight = |node: &str| {
            format!(
                "(() => {{
                    const bar = document.querySelector('.terminals .tabs').getBoundingClientRect();
                    const tab = document.querySelector('[data-testid=tab-{node}]').getBoundingClientRect();
                    return tab.left >= bar.left - 1 && tab.right <= bar.right + 1;
                }})()"
            )
        };
        for n in 1..=12 {
            let node = format!("redis-{n}");
            terminal(page, &node).await?;
            page.wait_for(&format!("the tab of {node} in sight"), &in_sight(&node)).await?;
        }
        ensure!(page.eval(&in_sight("redis-1")).await? == false, "there is room for all");
        terminal(page, "redis-1").await?;
        page.wait_for("the tab of redis-1 in sight", &in_sight("redis-1")).await
    });
}
