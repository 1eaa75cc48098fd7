//! Lessons in the page.

use anyhow::{Result, ensure};
use limpid_core::rng::Rng;
use thirtyfour::Key;

use crate::page::{Page, in_browser};
use crate::visit::{SCREEN, begin, now, terminal};

/// Waits until this many steps of the open lesson are done.
async fn done(page: &Page, steps: usize) -> Result<()> {
    let progress = "document.querySelector('[data-testid=lesson-progress]')";
    page.wait_for(&format!("{steps} steps"), &format!("{progress}.dataset.done === '{steps}'"))
        .await
}

/// Moves the focus to a button with Tab, and presses Enter.
async fn press(page: &Page, test_id: &str) -> Result<()> {
    for _ in 0..600 {
        if page.eval("document.activeElement.dataset.testid || ''").await? == test_id {
            return page.keys(Key::Enter.value().to_string()).await;
        }
        page.keys(Key::Tab.value().to_string()).await?;
    }
    anyhow::bail!("Tab does not lead to '{test_id}'")
}

#[test]
fn a_lesson_is_done_by_keyboard_goes_back_with_time_and_goes_on_after_a_reload() {
    in_browser("lesson", async |page| {
        page.open("?locale=en").await?;
        press(page, "lessons-open").await?;
        page.wait_for_text("[data-testid=lessons]", "A copy, and a cut link").await?;
        page.screenshot("lessons-contents").await?;
        press(page, "lesson-replication/cut-link").await?;
        done(page, 0).await?;
        page.screenshot("lesson-begun").await?;
        terminal(page, "redis-1").await?;
        page.line(":speed 1s").await?;
        page.line(":play").await?;
        page.line("set k1 hello").await?;
        terminal(page, "redis-2").await?;
        page.line("set key2 ccc").await?;
        done(page, 1).await?;
        let after_first = now(page).await?;
        page.line("replicaof redis-1 6379").await?;
        page.wait_for_text("[data-testid=screen-redis-2]", "OK").await?;
        page.wait_for(
            "the copy",
            "document.querySelector('[data-testid=follow-redis-1-redis-2]')?.dataset.state \
             === 'online'",
        )
        .await?;
        page.line("keys *").await?;
        done(page, 2).await?;

        // Back to before the second step: its tick disappears, and returns as time runs again.
        page.line(&format!(":go {after_first}us")).await?;
        done(page, 1).await?;
        page.line(":play").await?;
        done(page, 2).await?;
        // Typing in the past first asks what to do with the future.
        page.wait_for(
            "the present",
            "(() => { const bar = document.querySelector('[role=slider]');
               return +bar.ariaValueNow >= +bar.ariaValueMax; })()",
        )
        .await?;

        page.line("set k1 222").await?;
        page.wait_for_text("[data-testid=screen-redis-2]", "READONLY").await?;
        press(page, "answer-0").await?;
        page.wait_for_text("[data-testid=lessons] .because", "It refuses clients").await?;
        page.screenshot("lesson-wrong-answer").await?;
        done(page, 2).await?;
        press(page, "answer-1").await?;
        done(page, 3).await?;

        page.open("?locale=en&lesson=replication/cut-link").await?;
        done(page, 3).await?;
        page.screenshot("lesson-resumed").await?;
        Ok(())
    });
}

#[test]
fn lessons_are_read_in_both_languages_and_themes_wide_and_narrow() {
    in_browser("lesson-looks", async |page| {
        for (locale, title) in [("en", "Three Sentinels"), ("zh", "三个哨兵")] {
            for theme in ["light", "dark"] {
                let at = format!("?locale={locale}&theme={theme}&lesson=sentinel/failover");
                page.resize(1280, 800).await?;
                page.open(&at).await?;
                page.wait_for_text("[data-testid=lessons]", title).await?;
                page.screenshot(&format!("lesson-{locale}-{theme}-wide")).await?;
                page.resize(390, 844).await?;
                page.wait_for("a narrow screen", "innerWidth === 390").await?;
                page.screenshot(&format!("lesson-{locale}-{theme}-narrow")).await?;
                let wide = page
                    .eval(
                        "(() => { const pane = document.querySelector('.lessons .pane');
                           return pane.scrollWidth - pane.clientWidth; })()",
                    )
                    .await?;
                ensure!(wide.as_i64() <= Some(0), "the text is {wide} pixels too wide");
            }
        }
        Ok(())
    });
}

#[test]
fn lessons_are_searched_words_explained_and_a_chapter_summed_up() {
    in_browser("lesson-search", async |page| {
        page.open("?locale=zh&lesson=contents").await?;
        page.click("[data-testid=lesson-search]").await?;
        page.keys("链路 config").await?;
        let found = "document.querySelector('[data-testid=lesson-found]')";
        page.wait_for("something found", &format!("+{found}?.dataset.count > 0")).await?;
        page.screenshot("lesson-search").await?;
        page.keys("  xyzzy").await?;
        page.wait_for("nothing found", &format!("{found}.dataset.count === '0'")).await?;

        page.open("?locale=en&lesson=sentinel/failover").await?;
        page.wait_for_text("[data-testid=lessons]", "Three Sentinels").await?;
        page.click(".lessons .term").await?;
        page.wait_for_text("[data-testid^=word-]", "agrees with other Sentinels").await?;
        page.screenshot("lesson-word").await?;
        page.click("[data-testid^=word-] .inline").await?;
        page.wait_for_text("[data-testid=glossary]", "split brain").await?;

        page.click("[data-testid=lesson-contents]").await?;
        page.click("[data-testid=summary-0]").await?;
        page.wait_for_text("[data-testid=summary]", "redis-server").await?;
        page.screenshot("lesson-summary").await?;
        let drawn = "document.querySelectorAll('[data-testid=summary] .picture .body').length";
        page.wait_for("a picture", &format!("{drawn} > 0")).await
    });
}

#[test]
fn a_question_opens_its_world_and_says_what_to_watch_for() {
    in_browser("question", async |page| {
        // The first program can open this question, and needs the whole program for the other.
        page.open("?locale=en&question=primary-stalls").await?;
        page.wait_for_text("[data-testid=question]", "silence is death").await?;
        let state = "document.querySelector('[data-testid=node-redis-1]').dataset.state";
        page.wait_for("the primary stands still", &format!("{state} === 'paused'")).await?;
        page.screenshot("question").await?;
        page.eval(
            "(() => { const menu = document.querySelector('[data-testid=topology]');
               menu.value = 'cluster-cut-in-two';
               menu.dispatchEvent(new Event('change', {bubbles: true})); })()",
        )
        .await?;
        page.wait_for_text("[data-testid=question]", "node-4 is elected").await?;
        page.wait_for("a cut", "!!document.querySelector('.link[data-state=cut]')").await?;
        page.click("[data-testid=question-close]").await?;
        page.wait_for("no card", "!document.querySelector('[data-testid=question]')").await
    });
}

#[test]
fn in_a_narrow_window_no_word_of_the_map_lies_on_another() {
    in_browser("narrow-words", async |page| {
        page.resize(390, 844).await?;
        page.open("?locale=en&question=nobody-watches&speed=1s").await?;
        let words = "[...document.querySelectorAll('.map text')].filter(t => {
            const caption = t.closest('.caption');
            return getComputedStyle(t).display !== 'none' && (!caption || getComputedStyle(caption).opacity > 0);
        })";
        let says = format!("{words}.filter(t => t.textContent === 'no link').length");
        page.wait_for("both replicas to notice", &format!("{says} >= 2")).await?;
        let covered = page
            .eval(&format!(
                "{words}.flatMap((one, at, all) => all.slice(at + 1).filter(other => {{
                    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
                    return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
                        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
                }}).map(other => `${{one.textContent}} / ${{other.textContent}}`))"
            ))
            .await?;
        ensure!(covered.as_array().is_some_and(Vec::is_empty), "covered: {covered}");
        Ok(())
    });
}

#[test]
fn a_step_opens_its_shell_where_many_worlds_run_inside_one() {
    in_browser("lesson-worlds", async |page| {
        page.open("?locale=en&lesson=ideas/majority").await?;
        page.wait_for_text("[data-testid=waits]", "typed to three-1: sentinel ckquorum").await?;
        page.click("[data-testid=step-hundred] .title").await?;
        page.click("[data-testid=step-hundred] .prompt").await?;
        let shell = "[data-testid=shell-three-1-tty1]";
        page.wait_for_text(shell, "]#").await?;
        page.wait_for("the cursor", "document.activeElement.id === 'entry'").await?;
        page.line("worlds --sentinels 3 --down 25% --count 10").await?;
        page.wait_for(
            "a running program",
            &format!("document.querySelector('{shell} pre').innerText.includes('--count 10')"),
        )
        .await?;
        // The page keeps drawing while Worlds run inside its own.
        let before = now(page).await?;
        page.wait_for(
            "time to pass",
            &format!("+document.querySelector('[role=slider]').ariaValueNow > {before}"),
        )
        .await?;
        let with_majority = |seed: &u64| {
            let mut rng = Rng::new(*seed);
            (0..3).filter(|_| rng.below(100) >= 25).count() >= 2
        };
        let replaced = (1..=10).filter(with_majority).count();
        let result = format!("3 Sentinels: a new primary in {replaced} of 10 Worlds");
        page.wait_for_text(shell, &result).await?;
        page.screenshot("lesson-worlds").await?;
        Ok(())
    });
}

#[test]
fn the_address_names_the_lesson_and_back_leads_to_where_one_came_from() {
    in_browser("lesson-address", async |page| {
        let address = async |has: &str, lacks: &str| {
            let search = "location.search";
            let found =
                format!("{search}.includes('{has}') && !({search} + '&').includes('{lacks}')");
            page.wait_for(&format!("the address with {has}"), &found).await
        };
        let topology = async |name: &str| {
            let found =
                format!("document.querySelector('[data-testid=topology]').value === '{name}'");
            page.wait_for(&format!("the topology {name}"), &found).await
        };
        let pane = "document.querySelector('.lessons .pane')";
        begin(page, "&topology=replicas-2").await?;
        page.line("set here yes").await?;
        page.wait_for_text(SCREEN, "OK").await?;
        page.click("[data-testid=lessons-open]").await?;
        page.wait_for_text("[data-testid=lessons]", "A copy, and a cut link").await?;
        page.eval("document.querySelector('[data-testid=\"lesson-replication/cut-link\"]').scrollIntoView()")
            .await?;
        page.wait_for("the place in the contents", &format!("{pane}.scrollTop > 300")).await?;
        let scrolled = page.eval(&format!("{pane}.scrollTop")).await?;
        page.click("[data-testid='lesson-replication/cut-link']").await?;
        done(page, 0).await?;
        address("lesson=replication/cut-link", "topology=").await?;

        // The sandbox is as it was left, and the contents keep their scroll position.
        page.driver.back().await?;
        topology("replicas-2").await?;
        page.wait_for_text(SCREEN, "set here yes").await?;
        address("topology=replicas-2", "lesson=").await?;
        page.wait_for("the same place", &format!("Math.abs({pane}.scrollTop - {scrolled}) < 2"))
            .await?;
        page.driver.forward().await?;
        done(page, 0).await?;
        page.driver.refresh().await?;
        done(page, 0).await?;
        topology("lesson/replication/cut-link").await?;

        // From lesson to lesson by the contents, and back the same way.
        page.click("[data-testid=lesson-contents]").await?;
        address("lesson=contents", "cut-link").await?;
        page.click("[data-testid='lesson-server/first-server']").await?;
        topology("lesson/server/first-server").await?;
        page.driver.back().await?;
        page.wait_for_text("[data-testid=lessons]", "A copy, and a cut link").await?;
        page.driver.back().await?;
        done(page, 0).await?;
        topology("lesson/replication/cut-link").await?;

        // Something else that is opened has another address.
        page.eval(
            "(() => { const menu = document.querySelector('[data-testid=topology]');
               menu.value = 'primary-stalls';
               menu.dispatchEvent(new Event('change', {bubbles: true})); })()",
        )
        .await?;
        page.wait_for_text("[data-testid=question]", "silence is death").await?;
        address("question=primary-stalls", "lesson=").await?;
        page.driver.back().await?;
        topology("lesson/replication/cut-link").await?;
        page.driver.back().await?;
        topology("replicas-2").await?;
        page.wait_for_text(SCREEN, "set here yes").await
    });
}

#[test]
fn names_in_a_lessons_table_stand_whole() {
    in_browser("lesson-table", async |page| {
        page.open("?locale=en&lesson=predixy/groups").await?;
        page.click("[data-testid=step-configure] .title").await?;
        let names = "[...document.querySelectorAll('.told td:first-child code')]";
        page.wait_for("the table", &format!("{names}.length > 5")).await?;
        let broken = page
            .eval(&format!(
                "{names}.filter(e => e.getClientRects().length > 1).map(e => e.textContent)"
            ))
            .await?;
        ensure!(broken.as_array().is_some_and(Vec::is_empty), "broken in the middle: {broken}");
        let wide = page
            .eval("(() => { const pane = document.querySelector('.lessons .pane'); return pane.scrollWidth - pane.clientWidth; })()")
            .await?;
        ensure!(wide.as_i64() <= Some(0), "the text is {wide} pixels too wide");
        Ok(())
    });
}

#[test]
fn no_line_of_a_lesson_begins_with_the_mark_that_ends_a_term() {
    in_browser("lesson-marks", async |page| {
        page.open("?locale=zh&lesson=hashing/ring").await?;
        page.wait_for("the terms", "document.querySelectorAll('.lessons .term').length > 1")
            .await?;
        // At every width of the panel, punctuation after a term is on the same line as the term.
        let torn = page
            .eval(
                "(() => {
                    const torn = [], pane = document.querySelector('.lessons .pane');
                    for (let width = 250; width <= 390; width += 3) {
                        pane.style.width = `${width}px`;
                        for (const term of pane.querySelectorAll('p .term')) {
                            let last = term;
                            while (!last.nextSibling && last.parentElement !== pane) last = last.parentElement;
                            const behind = document.createRange();
                            behind.setStart(last.nextSibling, 0);
                            behind.setEnd(last.nextSibling, 1);
                            const mark = behind.toString();
                            if (!'，。、；：）'.includes(mark)) continue;
                            const here = term.getBoundingClientRect(), there = behind.getBoundingClientRect();
                            if (there.top > here.bottom) torn.push(`${term.textContent}${mark} at ${width}`);
                        }
                    }
                    return torn;
                })()",
            )
            .await?;
        ensure!(torn.as_array().is_some_and(Vec::is_empty), "a mark begins a line: {torn}");
        Ok(())
    });
}
