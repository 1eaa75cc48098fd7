//! The harness of browser tests: a browser tab with the page, and actions on it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use limpid_tests::process::{PATIENCE, free_port};
use serde_json::{Value, json};
use thirtyfour::ChromeCapabilities;
use thirtyfour::common::command::{Command as WebDriverCommand, ExtensionCommand};
use thirtyfour::extensions::cdp::ChromeDevTools;
use thirtyfour::prelude::*;
use tokio::sync::Semaphore;

use crate::site::Site;

/// The most browsers that run at a time, if there are enough processors.
const MOST_BROWSERS: u32 = 4;

/// The semaphore that limits the number of browsers.
static BROWSERS: LazyLock<(Semaphore, u32)> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let count = u32::try_from(processors).unwrap_or(u32::MAX).min(MOST_BROWSERS);
    (Semaphore::new(count as usize), count)
});

/// The page in a browser.
#[derive(Debug)]
pub(crate) struct Page {
    /// The WebDriver session, for what has no method here.
    pub(crate) driver: WebDriver,
    site: Site,
}

/// Runs a test in a browser of its own, with an empty profile and a window of 1280 × 800.
///
/// The test also fails if the page reported an error on the console. A failed test leaves a
/// screenshot under its name.
pub(crate) fn in_browser(name: &str, test: impl AsyncFnOnce(&Page) -> Result<()>) {
    beside_others(name, 1, test);
}

/// The same for a test that measures time, and runs without other browsers.
pub(crate) fn in_browser_alone(name: &str, test: impl AsyncFnOnce(&Page) -> Result<()>) {
    beside_others(name, BROWSERS.1, test);
}

fn beside_others(name: &str, permits: u32, test: impl AsyncFnOnce(&Page) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let result = runtime.block_on(async {
        let _running = BROWSERS.0.acquire_many(permits).await?;
        let chromedriver = Chromedriver::start().await?;
        let profile = tempfile::tempdir()?;
        let driver = session(&chromedriver, profile.path().to_str().context("path")?).await?;
        let page = Page { driver, site: Site::serve() };
        let mut result = test(&page).await;
        if result.is_ok() {
            result = page.no_errors().await;
        }
        if result.is_err() {
            let _ = page.screenshot(&format!("failed-{name}")).await;
        }
        page.driver.quit().await?;
        result
    });
    if let Err(error) = result {
        panic!("{error:?}");
    }
}

impl Page {
    /// Opens the page (`at` may hold a query and a fragment) and waits until its program runs.
    pub(crate) async fn open(&self, at: &str) -> Result<()> {
        self.driver.goto(format!("{}{at}", self.site.url())).await?;
        self.wait_for("the page's program to start", "window.wasmBindings").await
    }

    /// The page's address.
    pub(crate) fn url(&self) -> String {
        self.site.url()
    }

    /// The web server behind it.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Evaluates a JavaScript expression.
    pub(crate) async fn eval(&self, expression: &str) -> Result<Value> {
        let script = format!("return ({expression});");
        let value = self.driver.execute(script, Vec::new()).await.context(expression.to_owned())?;
        Ok(value.json().clone())
    }

    /// Waits until a JavaScript expression is true, checking once per frame.
    pub(crate) async fn wait_for(&self, what: &str, expression: &str) -> Result<()> {
        let script = format!(
            r"const done = arguments[arguments.length - 1], end = Date.now() + arguments[0];
            (function look() {{
              let ok = false;
              try {{ ok = Boolean({expression}); }} catch (e) {{ if (!(e instanceof TypeError)) throw e; }}
              if (ok) done(true); else if (Date.now() > end) done(false); else setTimeout(look, 16);
            }})();"
        );
        let patience = json!(PATIENCE.as_millis() as u64);
        let seen = self.driver.execute_async(script, vec![patience]).await.context("wait_for")?;
        if seen.json() != &Value::Bool(true) {
            bail!("waited {PATIENCE:?} in vain for {what}: {expression}{}", self.console().await?);
        }
        Ok(())
    }

    /// Waits until there is an element that contains this text.
    pub(crate) async fn wait_for_text(&self, css: &str, text: &str) -> Result<()> {
        let (css, text) = (json!(css), json!(text));
        let found = format!(
            "[...document.querySelectorAll({css})].some(e => e.textContent.includes({text}))"
        );
        self.wait_for(&format!("{text} in {css}"), &found).await
    }

    /// Waits for the first element that matches a CSS selector.
    pub(crate) async fn element(&self, css: &str) -> Result<WebElement> {
        self.wait_for(css, &format!("document.querySelector({})", json!(css))).await?;
        Ok(self.driver.find(By::Css(css)).await?)
    }

    /// Clicks the first element that a CSS selector finds.
    pub(crate) async fn click(&self, css: &str) -> Result<()> {
        self.element(css).await?.click().await.with_context(|| format!("cannot click {css}"))
    }

    /// Presses keys one after the other at the focus. [`Key`] has the special ones.
    pub(crate) async fn keys(&self, keys: impl AsRef<str>) -> Result<()> {
        Ok(self.driver.action_chain().send_keys(keys.as_ref()).perform().await?)
    }

    /// Types a line and presses Enter.
    pub(crate) async fn line(&self, line: &str) -> Result<()> {
        self.keys(format!("{line}{}", Key::Enter.value())).await
    }

    /// Emulates a screen of this size.
    pub(crate) async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await
    }

    /// Emulates a media feature, as in `("prefers-color-scheme", "light")`.
    pub(crate) async fn prefer(&self, feature: &str, value: &str) -> Result<()> {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await
    }

    /// Saves a screenshot as `target/screenshots/<name>.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let file = screenshots()?.join(format!("{name}.png"));
        self.driver.screenshot(&file).await?;
        Ok(file)
    }

    /// Fails if the page has reported an error on the console since the last call.
    pub(crate) async fn no_errors(&self) -> Result<()> {
        let console = self.console().await?;
        ensure!(console.is_empty(), "the page reported errors:{console}");
        Ok(())
    }

    /// Errors on the console since the last call, one per line.
    async fn console(&self) -> Result<String> {
        let answer = self
            .driver
            .handle
            .cmd(WebDriverCommand::ExtensionCommand(Box::new(ConsoleLog)))
            .await?;
        let entries: Vec<Value> = answer.value()?;
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|e| format!("\n  {}", e["message"].as_str().unwrap_or("?"))).collect())
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Result<()> {
        let tools = ChromeDevTools::new(self.driver.handle.clone());
        tools.execute_cdp_with_params(command, parameters).await?;
        Ok(())
    }
}

/// Chromedriver's command that returns the console's log.
#[derive(Debug)]
struct ConsoleLog;

impl ExtensionCommand for ConsoleLog {
    fn parameters_json(&self) -> Option<Value> {
        Some(json!({"type": "browser"}))
    }

    fn method(&self) -> http::Method {
        http::Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/se/log".into()
    }
}

/// A running chromedriver, which ends with this value.
struct Chromedriver {
    child: Child,
    url: String,
}

impl Chromedriver {
    async fn start() -> Result<Self> {
        let port = free_port();
        let child = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start chromedriver; `cargo xtask test` installs it on Debian")?;
        let driver = Chromedriver { child, url: format!("http://127.0.0.1:{port}") };
        let listens = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, listens).await.is_ok();
        ensure!(in_time, "chromedriver did not listen on port {port}");
        Ok(driver)
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn session(chromedriver: &Chromedriver, profile: &str) -> Result<WebDriver> {
    let mut wanted = ChromeCapabilities::new();
    for flag in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--force-color-profile=srgb",
        "--lang=en",
        "--window-size=1280,800",
    ] {
        wanted.add_arg(flag)?;
    }
    wanted.add_arg(&format!("--user-data-dir={profile}"))?;
    wanted.set_base_capability("goog:loggingPrefs", json!({"browser": "ALL"}))?;
    let driver =
        WebDriver::new(&chromedriver.url, wanted).await.context("cannot start Chromium")?;
    // Longer than the timeout of `wait_for`, whose error says what was missing.
    driver.set_script_timeout(PATIENCE * 2).await?;
    Ok(driver)
}

fn screenshots() -> Result<PathBuf> {
    // target/<profile>/deps/<test>
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).context("no target directory around the test")?;
    let dir = target.join("screenshots");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
