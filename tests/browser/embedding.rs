//! Labs embedded in pages of another origin, and the messages of these pages.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::page::{Page, in_browser};
use crate::site::Host;

/// The value of a promise in the embedding page.
async fn awaited(page: &Page, expression: &str) -> Result<Value> {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         (async () => ({expression}))().then(v => done([true, v]), e => done([false, String(e)]));"
    );
    let value = page.driver.execute_async(script, Vec::new()).await?;
    let value = value.json().clone();
    ensure!(value[0] == json!(true), "{expression}: {}", value[1]);
    Ok(value[1].clone())
}

/// Waits until a lab has fired an event `e` for which a JavaScript expression is true.
async fn told(page: &Page, lab: &str, type_: &str, what: &str) -> Result<()> {
    page.wait_for(
        &format!("{type_} of {lab}: {what}"),
        &format!("window.told.some(([lab, type, e]) => lab === '{lab}' && type === '{type_}' && ({what}))"),
    )
    .await
}

/// A page that embeds labs as in `docs/embedding.md`, and records their events.
fn host(lab: &str, labs: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>A course</title>
         <script src=\"host.js\"></script><script async src=\"{lab}embed.js\"></script>
         <h1>A course</h1>{labs}</html>"
    )
}

/// The script of the embedding page, in a file of its own, since its policy allows no inline
/// script.
const HOST_SCRIPT: &str = "
    window.told = [];
    for (const type of ['ready', 'state', 'event', 'goal', 'resize', 'xapi']) {
        addEventListener(`limpid-${type}`, (event) => told.push([event.target.id, type, event.detail]));
    }
    window.raw = [];
    addEventListener('message', ({ data }) => raw.push(data));
    window.lab = (id) => document.getElementById(id);";

#[test]
fn a_course_page_of_another_origin_drives_two_labs_reads_a_grade_and_resumes() {
    in_browser("embedding", async |page| {
        let labs = "<limpid-lab id=\"one\" scenario=\"3\" panes=\"map,terminal\" controls=\"min\" keep=\"one\"></limpid-lab>
             <limpid-lab id=\"two\" lesson=\"replication/cut-link\" locale=\"en\"></limpid-lab>";
        let course = Host::serve(&[("", &host(&page.url(), labs)), ("host.js", HOST_SCRIPT)]);
        page.driver.goto(course.url()).await?;
        told(page, "one", "ready", "e.state.scenario === '3'").await?;
        // The lab has the height that it asked for.
        told(page, "one", "resize", "e.height > 500").await?;
        page.wait_for("the height of the frame",
            "lab('one').shadowRoot.querySelector('iframe').clientHeight === told.findLast(([l, t]) => l === 'one' && t === 'resize')[2].height").await?;
        page.screenshot("embedded").await?;
        // In a narrow window it asks for another height, and gets it.
        let high = "lab('one').shadowRoot.querySelector('iframe').clientHeight";
        let wide = page.eval(high).await?.as_i64().context("a height")?;
        page.resize(500, 900).await?;
        told(page, "one", "resize", &format!("e.height !== {wide}")).await?;
        page.wait_for("the height of the narrow frame", &format!("{high} !== {wide}")).await?;
        page.screenshot("embedded-narrow").await?;
        page.resize(1280, 800).await?;
        page.wait_for("the height of the wide frame", &format!("{high} === {wide}")).await?;

        // Driven by messages.
        let answer = awaited(page, "lab('one').exec('redis-1', 'set greeting hello')").await?;
        ensure!(answer["output"] == "OK", "{answer}");
        let answer = awaited(page, "lab('one').exec('redis-1', 'get greeting')").await?;
        ensure!(answer["output"] == "\"hello\"", "{answer}");
        awaited(page, "lab('one').exec('', ':crash redis-2')").await?;
        told(page, "one", "event", "e.event.kind === 'fault' && e.event.text.includes('redis-2')")
            .await?;
        awaited(page, "lab('one').pause()").await?;
        told(page, "one", "state", "e.state.playing === false").await?;
        awaited(page, "lab('one').seek('1.2s')").await?;
        told(page, "one", "state", "Math.round(e.state.now) === 1200").await?;
        let refused = awaited(page, "lab('one').exec('nowhere', 'ping').catch(String)").await?;
        ensure!(refused.as_str().is_some_and(|why| why.contains("nowhere")), "{refused}");

        // A lesson gives a grade.
        page.eval("lab('two').scrollIntoView()").await?;
        told(page, "two", "ready", "true").await?;
        told(
            page,
            "two",
            "state",
            "e.state.lesson && e.state.lesson.id === 'replication/cut-link'",
        )
        .await?;
        let grade = awaited(page, "lab('two').getGrade()").await?;
        ensure!(grade["done"] == 0 && grade["of"].as_u64() > Some(2), "{grade}");
        awaited(page, "lab('two').play('1s')").await?;
        awaited(page, "lab('two').exec('redis-1', 'set k1 hello')").await?;
        awaited(page, "lab('two').exec('redis-2', 'set key2 ccc')").await?;
        told(page, "two", "goal", "e.done === 1").await?;
        told(page, "two", "xapi", "e.statement.verb.id.endsWith('/completed')").await?;
        let grade = awaited(page, "lab('two').getGrade()").await?;
        ensure!(grade["done"] == 1 && grade["complete"] == false, "{grade}");
        page.screenshot("embedded-lesson").await?;

        // The state is a session that another lab opens.
        let state = awaited(page, "lab('two').getState()").await?;
        ensure!(state.as_str().is_some_and(|s| s.contains("replication/cut-link")), "{state}");

        // After a reload, both continue: one by this page's storage, the other by the lab's own.
        page.wait_for(
            "the session to be kept",
            "localStorage.getItem('limpid-lab:one')?.includes('crash')",
        )
        .await?;
        page.driver.goto(course.url()).await?;
        told(page, "one", "ready", "true").await?;
        page.wait_for("the moment", "Math.round(lab('one').status?.now) === 1200").await?;
        awaited(page, "lab('one').seek('10s')").await?;
        let answer = awaited(page, "lab('one').exec('redis-1', 'get greeting')").await?;
        ensure!(answer["output"] == "\"hello\"", "{answer}");
        page.eval("lab('two').scrollIntoView()").await?;
        told(page, "two", "state", "e.state.lesson?.done === 1").await?;

        // Another lesson adds no entry to the course's history.
        let entries = page.eval("history.length").await?;
        awaited(page, "lab('one').load({ lesson: 'server/first-server' })").await?;
        told(page, "one", "state", "e.state.lesson?.id === 'server/first-server'").await?;
        ensure!(page.eval("history.length").await? == entries, "Back belongs to the course");
        Ok(())
    });
}

#[test]
fn messages_that_are_not_understood_change_nothing() {
    in_browser("strangers", async |page| {
        let labs = "<limpid-lab id=\"one\" scenario=\"1\"></limpid-lab>";
        let stranger = "addEventListener('load', () => parent.frames[0].postMessage({ limpid: 1, type: 'exec', id: 9, at: 'redis-1', line: 'set k stranger' }, '*'));";
        let course = Host::serve(&[("", &host(&page.url(), labs)), ("host.js", HOST_SCRIPT)]);
        let other = Host::serve(&[("", "<script src=\"s.js\"></script>"), ("s.js", stranger)]);
        page.driver.goto(course.url()).await?;
        told(page, "one", "ready", "true").await?;
        // Messages of an unexpected shape, from the right window.
        page.eval(
            "(() => {
                const frame = lab('one').shadowRoot.querySelector('iframe').contentWindow;
                for (const message of [null, 7, 'text', {}, { limpid: 2, type: 'pause' }, { limpid: 1, type: 'toString' },
                    { limpid: 1, type: 'exec', line: 5 }, { limpid: 1, type: 'exec', at: {}, line: 'flushall' },
                    { limpid: 1, type: 'seek', to: ['1s'] }, { limpid: 1, type: 'pause', id: {} },
                    '{\"method\":\"JSInput::constructor\",\"id\":1}', '{\"method\":7}']) frame.postMessage(message, '*');
                return true;
            })()",
        )
        .await?;
        // Messages from a window that is not the lab's parent: another frame of the same page.
        page.eval(&format!(
            "(() => {{ const f = document.createElement('iframe'); f.id = 'other'; f.src = '{}'; document.body.append(f); return true; }})()",
            other.url()
        ))
        .await?;
        page.wait_for("the stranger", "document.getElementById('other')").await?;
        let answer = awaited(page, "lab('one').exec('redis-1', 'get k')").await?;
        ensure!(answer["output"] == "(nil)", "{answer}");
        ensure!(page.eval("lab('one').status.playing").await? == json!(true));
        let replies = page.eval("raw.filter(m => m?.type === 'reply').length").await?;
        ensure!(replies == json!(1), "only what was understood is answered, not {replies}");
        Ok(())
    });
}

#[test]
fn a_sandboxed_lab_runs_without_an_origin_and_remembers_nothing() {
    in_browser("sandboxed", async |page| {
        let labs = "<limpid-lab id=\"one\" scenario=\"1\" sandbox></limpid-lab>";
        let course = Host::serve(&[("", &host(&page.url(), labs)), ("host.js", HOST_SCRIPT)]);
        page.driver.goto(course.url()).await?;
        told(page, "one", "ready", "true").await?;
        let answer = awaited(page, "lab('one').exec('redis-1', 'incr n')").await?;
        ensure!(answer["output"] == "(integer) 1", "{answer}");
        // The whole program is loaded, too.
        awaited(page, "lab('one').exec('redis-1', 'redis-cli incr n', { shell: true })").await?;
        let entries = page.eval("history.length").await?;
        awaited(page, "lab('one').load({ lesson: 'server/first-server' })").await?;
        told(page, "one", "state", "e.state.lesson?.id === 'server/first-server'").await?;
        ensure!(page.eval("history.length").await? == entries, "Back belongs to the course");
        Ok(())
    });
}

#[test]
fn a_poster_stands_for_a_lab_until_it_is_wanted_and_labs_share_one_download() {
    in_browser("posters", async |page| {
        let labs = "<limpid-lab id=\"one\" scenario=\"sentinels-3\" poster></limpid-lab>
             <limpid-lab id=\"two\" scenario=\"replicas-2\" locale=\"zh\" poster></limpid-lab>";
        let course = Host::serve(&[("", &host(&page.url(), labs)), ("host.js", HOST_SCRIPT)]);
        page.driver.goto(course.url()).await?;
        let image = "lab('one').shadowRoot.querySelector('img')";
        page.wait_for("the poster", &format!("{image}.complete && {image}.naturalWidth > 100"))
            .await?;
        page.screenshot("posters").await?;
        ensure!(page.eval("lab('one').shadowRoot.querySelector('iframe')").await? == Value::Null);
        let loaded = page.site().loads_of(".wasm");
        page.eval("lab('one').shadowRoot.querySelector('button').click()").await?;
        told(page, "one", "ready", "e.state.scenario === 'sentinels-3'").await?;
        page.eval("lab('two').shadowRoot.querySelector('button').click()").await?;
        page.eval("lab('two').scrollIntoView()").await?;
        told(page, "two", "ready", "e.state.locale === 'zh-CN'").await?;
        ensure!(page.site().loads_of(".wasm") == loaded + 1, "the program was fetched twice");

        // Out of view its World is paused.
        page.eval("(lab('two').style.marginTop = '4000px', scrollTo(0, 0))").await?;
        page.wait_for(
            "the second lab to be out of sight",
            "lab('two').getBoundingClientRect().top > innerHeight + 500",
        )
        .await?;
        awaited(page, "lab('one').play('1s')").await?;
        let still = "(await new Promise(resolve => {
            const lab2 = lab('two'); let last = -1, same = 0;
            (function look() {
                lab2.getState().then(state => {
                    const at = /at=(\\d+)ns/.exec(state)[1];
                    same = at === last ? same + 1 : 0; last = at;
                    same >= 5 ? resolve(true) : requestAnimationFrame(look);
                });
            })();
        }))";
        ensure!(awaited(page, still).await? == json!(true));
        page.eval("lab('two').scrollIntoView()").await?;
        page.wait_for(
            "time to go on",
            &format!("lab('two').status.now > {}", page.eval("lab('two').status.now").await?),
        )
        .await
    });
}

#[test]
fn course_platforms_are_spoken_to_by_their_own_conventions() {
    in_browser("platforms", async |page| {
        let lab = page.url();
        // Framed as by edX, LTI tools and H5P, without the custom element.
        let script = "
            window.raw = [];
            addEventListener('message', ({ data, source }) => {
                if (source === document.getElementById('lab').contentWindow) raw.push(data);
            });
            window.say = (data) => document.getElementById('lab').contentWindow.postMessage(data, '*');";
        let frame = format!(
            "<!doctype html><script src=\"p.js\"></script><iframe id=\"lab\" width=900 height=600 src=\"{lab}?lesson=server/first-server&amp;locale=en\"></iframe>"
        );
        let platform = Host::serve(&[("", &frame), ("p.js", script)]);
        page.driver.goto(platform.url()).await?;
        page.wait_for("ready", "raw.some(m => m?.type === 'ready')").await?;
        page.wait_for("LTI", "raw.some(m => typeof m === 'string' && JSON.parse(m).subject === 'lti.frameResize' && JSON.parse(m).height > 400)").await?;
        page.wait_for("H5P", "raw.some(m => m?.context === 'h5p' && m.action === 'hello')").await?;
        page.eval("say({ context: 'h5p', action: 'hello' }) ?? true").await?;
        page.wait_for(
            "H5P's size",
            "raw.some(m => m?.context === 'h5p' && m.action === 'resize' && m.scrollHeight > 400)",
        )
        .await?;

        // JSInput through jschannel.
        let asked = |id: u32, method: &str, params: Value| {
            let call =
                json!({ "id": id, "method": format!("JSInput::{method}"), "params": params });
            format!("say({}) ?? true", json!(call.to_string()))
        };
        let replied = |id: u32| {
            format!(
                "raw.filter(m => typeof m === 'string').map(m => JSON.parse(m)).find(m => m.id === {id})?.result"
            )
        };
        page.wait_for("the lesson", "raw.some(m => m?.type === 'state' && m.state.lesson)").await?;
        page.eval(&asked(1, "getGrade", json!(""))).await?;
        page.wait_for("a grade", &format!("JSON.parse({}).of > 1", replied(1))).await?;
        page.eval(&asked(2, "getState", json!(""))).await?;
        page.wait_for("a state", &format!("JSON.parse({}).limpid === 'session'", replied(2)))
            .await?;
        let state = page.eval(&replied(2)).await?;
        page.eval(&asked(3, "setState", state)).await?;
        page.wait_for("it to be set", &format!("{} === ''", replied(3))).await
    });
}

#[test]
fn a_reader_who_may_only_look_cannot_act_and_panes_are_left_out() {
    in_browser("read-only", async |page| {
        page.open("?locale=en&readonly=1&panes=map,terminal&controls=none&topology=replicas-2")
            .await?;
        let shown = |css: &str| {
            format!("getComputedStyle(document.querySelector('{css}')).display !== 'none'")
        };
        page.wait_for("the map", &shown(".stage")).await?;
        for (css, is_shown) in
            [(".top", false), (".time", false), (".events", false), (".terminals", true)]
        {
            ensure!(page.eval(&shown(css)).await? == json!(is_shown), "{css}");
        }
        page.screenshot("read-only").await?;
        // A terminal would be a program of the World.
        page.eval("document.querySelector('[data-testid=node-redis-2]').focus()").await?;
        page.keys("t").await?;
        page.wait_for_text("[data-testid=toast]", "only to be looked at").await
    });
}

#[test]
fn a_chapter_of_a_book_shows_three_live_labs_in_both_languages() {
    in_browser("book", async |page| {
        for (chapter, start, title) in
            [("index.html", "Start this lab", "Three labs"), ("zh.html", "启动实验", "三个实验")]
        {
            page.driver.goto(format!("{}book/{chapter}", page.url())).await?;
            page.wait_for_text("h1", title).await?;
            page.wait_for("the first lab", "document.getElementById('first').status").await?;
            for lab in ["second", "third"] {
                let button =
                    format!("document.getElementById('{lab}').shadowRoot.querySelector('button')");
                page.wait_for(lab, &format!("{button}.textContent.includes('{start}')")).await?;
                page.eval(&format!("({button}.scrollIntoView(), {button}.click())")).await?;
                page.wait_for(lab, &format!("document.getElementById('{lab}').status")).await?;
            }
            page.screenshot(&format!("book-{chapter}")).await?;
        }
        Ok(())
    });
}
