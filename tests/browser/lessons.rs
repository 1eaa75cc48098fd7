//! Lessons, as a person does them in the page.

use anyhow::{Result, ensure};
use limpid_core::rng::Rng;
use thirtyfour::Key;

use crate::page::{Page, in_browser};
use crate::visit::{now, terminal};

/// Waits until so many steps of the open lesson are done.
async fn done(page: &Page, steps: usize) -> Result<()> {
    let progress = "document.querySelector('[data-testid=lesson-progress]')";
    page.wait_for(&format!("{steps} steps"), &format!("{progress}.dataset.done === '{steps}'"))
        .await
}

/// Puts the keyboard's focus on a button, as often as it takes with Tab, and presses Enter.
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

        // Back to before the second step: its tick goes, and comes again with the time.
        page.line(&format!(":go {after_first}us")).await?;
        done(page, 1).await?;
        page.line(":play").await?;
        done(page, 2).await?;
        // What is typed in the past is asked about first.
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
        // The page's first program can open this one, and needs the whole program for the other.
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
        // The page draws on while Worlds run inside its own.
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
