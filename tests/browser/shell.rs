//! Shells of hosts in the page.

use thirtyfour::Key;

use crate::page::in_browser;
use crate::visit::{CELLS, now, prompt, run, shell};

#[test]
fn a_server_started_in_a_shell_appears_and_goes() {
    in_browser("shell-server", async |page| {
        shell(page, "&locale=en&theme=dark").await?;
        run(page, "redis-server --port 6380 --daemonize yes").await?;
        let node = "document.querySelector('[data-testid=\"node-redis-1:6380\"]')";
        page.wait_for("the node", node).await?;
        run(page, "redis-cli -p 6380 set a 1").await?;
        page.wait_for_text(CELLS, "OK").await?;
        run(page, "redis-cli -p 6380 get a").await?;
        page.wait_for_text(CELLS, "\"1\"").await?;
        run(page, "echo 127.0.0.1:6380").await?;
        page.screenshot("shell-server").await?;
        page.click(&format!("{CELLS} a.address")).await?;
        page.wait_for("the node's actions", "document.querySelector('[data-testid=acts]')").await?;
        page.click(CELLS).await?;
        page.wait_for("the cursor", "document.activeElement.id === 'entry'").await?;
        run(page, "redis-cli -p 6380 shutdown nosave").await?;
        page.wait_for("the node to go", &format!("!{node}")).await
    });
}

#[test]
fn full_screen_programs_and_signals_work_and_the_screen_goes_back_in_time() {
    in_browser("shell-screen", async |page| {
        shell(page, "&locale=en&theme=dark").await?;
        run(page, "seq 1 100 > numbers").await?;
        let early = now(page).await?;
        page.line("vi note").await?;
        page.wait_for_text(CELLS, "~").await?;
        page.keys("ihello from vi").await?;
        page.wait_for_text(CELLS, "hello from vi").await?;
        page.screenshot("shell-vi").await?;
        page.keys(Key::Escape.value().to_string()).await?;
        page.line(":wq").await?;
        prompt(page).await?;
        run(page, "cat note").await?;
        page.wait_for_text(CELLS, "hello from vi").await?;
        page.line("less numbers").await?;
        page.wait_for(
            "the first page",
            &format!("document.querySelector('{CELLS} pre').innerText.startsWith('1\\n2\\n')"),
        )
        .await?;
        page.keys(" ").await?;
        page.wait_for(
            "the second page",
            &format!("!document.querySelector('{CELLS} pre').innerText.startsWith('1\\n2\\n')"),
        )
        .await?;
        page.keys("q").await?;
        prompt(page).await?;
        page.line("tail -f numbers").await?;
        page.wait_for_text(CELLS, "100").await?;
        page.driver.active_element().await?.send_keys(Key::Control + "c").await?;
        prompt(page).await?;
        page.keys("ech\u{e004}").await?;
        page.wait_for_text(CELLS, "echo").await?;
        page.driver.active_element().await?.send_keys(Key::Control + "c").await?;
        // A second terminal beside it, with a larger text.
        page.click("[data-testid=split]").await?;
        page.click("[data-testid=text-larger]").await?;
        page.screenshot("shell-beside").await?;

        // Back to before the file was written: the screen shows that moment.
        let chord = page.driver.action_chain().key_down(Key::Shift);
        chord.send_keys(Key::Escape).key_up(Key::Shift).perform().await?;
        page.click("[data-testid=tab-redis-1]").await?;
        page.click("[data-testid=entry]").await?;
        page.line(&format!(":go {early}us")).await?;
        page.click("[data-testid=tab-redis-1-tty1]").await?;
        page.wait_for(
            "the earlier screen",
            &format!(
                "!document.querySelector('{CELLS} pre').innerText.includes('hello from vi')
                && document.querySelector('{CELLS} pre').innerText.includes('seq 1 100')"
            ),
        )
        .await
    });
}

#[test]
fn what_was_printed_and_typed_stays_readable_in_a_narrow_window_and_a_wide_one_again() {
    in_browser("shell-reflow", async |page| {
        page.resize(1280, 800).await?;
        shell(page, "&locale=en&theme=light").await?;
        let printed = "first,second,third,fourth,fifth,sixth,seventh,eighth,ninth,tenth,last";
        run(page, &format!("echo {printed}")).await?;
        let typed = "echo this line is not finished and longer than a phone is wide";
        page.keys(typed).await?;
        // Rows one below the other, without what fills them up.
        let text = format!(
            "[...document.querySelectorAll('{CELLS} pre .line')].map(row => row.innerText.trimEnd())"
        );
        let in_rows = |part: &str| format!("{text}.some(row => row.includes('{part}'))");
        page.wait_for("the line that is typed", &in_rows(typed)).await?;

        page.resize(390, 844).await?;
        // Output wraps into rows; the line editor shows the end of its line on one row.
        let end = "longer than a phone is wide";
        let broken = format!(
            "!{text}.some(row => row.includes('{printed}')) && {text}.join('').includes('{printed}')
                && !{} && {}",
            in_rows(typed),
            in_rows(end)
        );
        page.wait_for("the output over several rows, and the end of the line", &broken).await?;
        page.screenshot("shell-reflow-narrow").await?;
        page.keys(", and goes on").await?;

        page.resize(1280, 800).await?;
        let output = printed;
        page.wait_for("the output on one row", &format!("{text}.includes('{output}')")).await?;
        page.wait_for("the line on one row", &in_rows(&format!("{typed}, and goes on"))).await?;
        page.keys(Key::Enter.value().to_string()).await?;
        let echoed = format!("{}, and goes on", &typed["echo ".len()..]);
        page.wait_for("the answer", &format!("{text}.includes('{echoed}')")).await
    });
}

#[test]
fn a_shell_is_looked_at_in_both_languages_and_themes_and_on_a_phone() {
    in_browser("shell-looks", async |page| {
        for (name, more) in
            [("zh-light", "&locale=zh&theme=light"), ("en-dark", "&locale=en&theme=dark")]
        {
            page.resize(1280, 800).await?;
            shell(page, more).await?;
            run(page, "ls --color=always /").await?;
            run(page, "printf '\\033[31mred\\033[0m \\033[7minverse\\033[0m 你好\\n'").await?;
            page.screenshot(&format!("shell-{name}")).await?;
            page.resize(390, 844).await?;
            page.wait_for("a narrow terminal", &format!(
                "document.querySelector('{CELLS}').scrollWidth <= document.querySelector('{CELLS}').clientWidth"
            ))
            .await?;
            run(page, "ps -ef").await?;
            page.screenshot(&format!("shell-{name}-narrow")).await?;
        }
        Ok(())
    });
}
