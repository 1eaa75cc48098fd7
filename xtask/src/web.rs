//! `cargo xtask web`: the page as a folder of static files.
//!
//! The steps that Trunk would take, without Trunk: compile for wasm32, let wasm-bindgen write the
//! bindings (in process, so that its version is the one in `Cargo.lock` and nothing has to be
//! installed), put the functions into an order that packs well (see [`order`]), give the files
//! names that change with their content, and point `index.html` at them with relative URLs.
//!
//! wasm-opt has no part in it: what it takes away is what gzip would have packed to almost nothing,
//! and the twins that it changes are twins no more. The page weighed a tenth more on the wire.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use wasm_bindgen_cli_support::Bindgen;

use crate::workspace::{Workspace, run, step};
use crate::{html, order, setup};

/// The most that the page's wasm may weigh on the wire, in bytes after gzip.
const WASM_LIMIT: usize = 700 * 1024;

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Args {
    /// Compile quickly instead of small: for working on the page.
    #[arg(long)]
    pub(crate) dev: bool,
}

/// Builds the page and gives the folder in which it lies.
pub(crate) fn build(ws: &Workspace, args: &Args) -> Result<PathBuf> {
    setup::wasm_target(ws)?;
    let compiled = compile(ws, args)?;
    step("Writing dist/");
    let bindings = bindings(ws, &compiled, args)?;
    let site = site(&ws.root().join("static"), bindings)?;
    let dist = ws.root().join("dist");
    write(&dist, &site)?;
    report(&site, args)?;
    Ok(dist)
}

/// Files by their path in `dist/`, with `/` between folders.
type Site = BTreeMap<String, Vec<u8>>;

/// What wasm-bindgen wrote.
struct Bindings {
    js: Vec<u8>,
    wasm: Vec<u8>,
    /// Modules that the bindings import, by their path.
    snippets: Site,
}

fn compile(ws: &Workspace, args: &Args) -> Result<PathBuf> {
    let (profile, folder) = if args.dev { ("dev", "debug") } else { ("web", "web") };
    step(&format!("Compiling the page for {} (profile {profile})", setup::WASM));
    run(ws.cargo().args(["build", "-p", "limpid-web", "--lib", "--locked"]).args([
        "--target",
        setup::WASM,
        "--profile",
        profile,
    ]))?;
    Ok(ws.target().join(setup::WASM).join(folder).join("limpid_web.wasm"))
}

fn bindings(ws: &Workspace, compiled: &Path, args: &Args) -> Result<Bindings> {
    let out = ws.target().join("xtask").join("bindings");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    Bindgen::new()
        .input_path(compiled)
        .out_name("limpid")
        .web(true)?
        .typescript(false)
        .debug(args.dev)
        // The names are needed once more: see `order`.
        .remove_name_section(false)
        .remove_producers_section(!args.dev)
        .generate(&out)
        .context("wasm-bindgen failed")?;
    let wasm = out.join("limpid_bg.wasm");
    if !args.dev {
        std::fs::write(&wasm, order::sort_functions(&read(&wasm)?)?)?;
    }
    let mut snippets = Site::new();
    if out.join("snippets").is_dir() {
        collect(&out, &out.join("snippets"), &mut snippets)?;
    }
    Ok(Bindings { js: read(&out.join("limpid.js"))?, wasm: read(&wasm)?, snippets })
}

/// Puts the static files and the bindings together.
fn site(source: &Path, bindings: Bindings) -> Result<Site> {
    let mut site = Site::new();
    collect(source, source, &mut site)?;
    let index = site.remove("index.html").context("static/index.html is missing")?;
    let index = String::from_utf8(index).context("static/index.html is not UTF-8")?;

    let mut replacements = Vec::new();
    let mut bindings = Some(bindings);
    for element in html::marked(&index) {
        let rel = element.get("rel").unwrap_or_default();
        let file = element.get("href").or(element.get("src")).unwrap_or_default();
        let text = match (element.tag.as_str(), rel) {
            ("link", "rust") => {
                let bindings = bindings.take().context("index.html asks for the page twice")?;
                loader(&mut site, bindings)
            }
            // Every file of static/ is copied anyway; these marks are for Trunk.
            ("link", "copy-file" | "copy-dir") => String::new(),
            ("link", "css" | "icon") => {
                let name = hashed(&mut site, file)?;
                let rel = if rel == "css" { "stylesheet" } else { rel };
                let others = element.others(&["rel", "href"]);
                format!("<link rel=\"{rel}\" href=\"./{name}\"{others}>")
            }
            ("script", _) => {
                let name = hashed(&mut site, file)?;
                format!("<script src=\"./{name}\"{}></script>", element.others(&["src"]))
            }
            (tag, rel) => anyhow::bail!("index.html: no rule for <{tag} data-trunk rel={rel:?}>"),
        };
        replacements.push((element.range, text));
    }
    ensure!(bindings.is_none(), "index.html has no <link data-trunk rel=\"rust\">");
    let index = html::replace(&index, replacements);
    site.insert("index.html".into(), index.into_bytes());
    Ok(site)
}

/// Adds the page's program to the site and gives the elements that start it.
///
/// It is started as Trunk starts it (`window.wasmBindings`, then the event
/// `TrunkApplicationStarted`), but from a file of its own, since a content-security policy forbids
/// inline scripts. If it cannot be started, `<html>` gets the class `failed`, and `index.html`
/// tells what the page needs.
fn loader(site: &mut Site, bindings: Bindings) -> String {
    let Bindings { js, wasm, snippets } = bindings;
    let (js_name, wasm_name) = (name("limpid.js", &js), name("limpid.wasm", &wasm));
    let start = format!(
        r#"import init, * as bindings from "./{js_name}";
try {{
  const wasm = await init({{ module_or_path: new URL("./{wasm_name}", import.meta.url) }});
  window.wasmBindings = bindings;
  dispatchEvent(new CustomEvent("TrunkApplicationStarted", {{ detail: {{ wasm }} }}));
}} catch (error) {{
  document.documentElement.classList.add("failed");
  throw error;
}}
"#
    )
    .into_bytes();
    let start_name = name("start.js", &start);
    let html = format!(
        "<link rel=\"modulepreload\" href=\"./{js_name}\">\n\
         <link rel=\"preload\" href=\"./{wasm_name}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n\
         <script type=\"module\" src=\"./{start_name}\"></script>"
    );
    site.extend([(js_name, js), (wasm_name, wasm), (start_name, start)]);
    site.extend(snippets);
    html
}

/// Renames a file of the site after its content.
fn hashed(site: &mut Site, file: &str) -> Result<String> {
    let file = file.trim_start_matches("./");
    let bytes = site.remove(file).with_context(|| format!("static/{file} is missing"))?;
    let name = name(file, &bytes);
    site.insert(name.clone(), bytes);
    Ok(name)
}

/// `style.css` becomes `style-0123456789abcdef.css`, so that it may be cached for ever.
fn name(file: &str, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    let hash = hasher.finish();
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, "bin"));
    format!("{stem}-{hash:016x}.{extension}")
}

fn collect(root: &Path, dir: &Path, site: &mut Site) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {dir:?}"))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, site)?;
        } else {
            let parts = path.strip_prefix(root)?.iter().map(|part| part.to_string_lossy());
            site.insert(parts.collect::<Vec<_>>().join("/"), read(&path)?);
        }
    }
    Ok(())
}

fn write(dist: &Path, site: &Site) -> Result<()> {
    if dist.exists() {
        std::fs::remove_dir_all(dist).with_context(|| format!("cannot empty {dist:?}"))?;
    }
    for (file, bytes) in site {
        let path = dist.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(dist))?;
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {path:?}"))?;
    }
    Ok(())
}

fn report(site: &Site, args: &Args) -> Result<()> {
    println!("{:>10} {:>10}", "bytes", "gzip");
    let mut total = (0, 0);
    for (file, bytes) in site {
        let packed = gzip(bytes)?;
        println!("{:>10} {packed:>10}  {file}", bytes.len());
        total = (total.0 + bytes.len(), total.1 + packed);
        ensure!(
            args.dev || !file.ends_with(".wasm") || packed <= WASM_LIMIT,
            "{file} is {packed} bytes after gzip, more than the {WASM_LIMIT} that the page may \
             weigh. Look for a dependency that came in lately, or for generic code that is \
             instantiated often."
        );
    }
    println!("{:>10} {:>10}  in all", total.0, total.1);
    Ok(())
}

fn gzip(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {path:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_changes_with_the_content_and_with_nothing_else() {
        assert_eq!(name("a/b.css", b"x"), name("a/b.css", b"x"));
        assert_ne!(name("a/b.css", b"x"), name("a/b.css", b"y"));
        assert!(name("a/b.css", b"x").starts_with("a/b-"));
    }

    #[test]
    fn the_page_in_static_points_at_files_of_its_own_with_relative_urls() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../static");
        let bindings =
            Bindings { js: b"js".to_vec(), wasm: b"wasm".to_vec(), snippets: Site::new() };
        let site = site(&source, bindings).unwrap();
        let index = std::str::from_utf8(&site["index.html"]).unwrap();
        assert!(!index.contains("data-trunk"));
        for attribute in ["href=\"", "src=\""] {
            for rest in index.split(attribute).skip(1) {
                let url = rest.split('"').next().unwrap();
                let Some(file) = url.strip_prefix("./") else {
                    assert!(
                        url.starts_with("https://") || url.starts_with('#'),
                        "{url} is neither relative to the page nor a link that leaves it"
                    );
                    continue;
                };
                assert!(site.contains_key(file), "{url} points at nothing");
            }
        }
    }
}
