//! `cargo xtask web`: the page as a folder of static files.
//!
//! The steps that Trunk would take, without Trunk: compile for wasm32, run wasm-bindgen (in process,
//! so that its version is the one in `Cargo.lock` and nothing has to be installed), sort the
//! functions for compression (see [`order`]), give the files names that change with their content,
//! point `index.html` at them with relative URLs, and put a compressed copy of each file beside it
//! (see [`pack`]).
//!
//! wasm-opt is not used: it makes the program smaller and the download larger. What it removes is
//! what a compressor encodes in a few bits, and it rewrites near-identical functions differently.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::pack::{self, Packed};
use crate::workspace::{Workspace, run, step};
use crate::{html, order, setup};

/// The most that the files of the first view may weigh together after gzip, in bytes. The goal is
/// 1,200 KB; the shell of the hosts is to be loaded on first use before anything is added.
const GZIP_LIMIT: usize = 1_250 * 1_000;
/// The same after brotli, where the goal is 950 KB.
const BROTLI_LIMIT: usize = 1_000 * 1_000;

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
    if !args.dev {
        tells_no_paths(ws, &site)?;
        step("Compressing dist/");
        let packed = pack::all(&site);
        write_packed(&dist, &packed)?;
        report(&site, &packed)?;
    }
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
    let mut cargo = ws.cargo();
    cargo.args(["build", "-p", "limpid-web", "--lib", "--locked"]);
    cargo.args(["--target", setup::WASM, "--profile", profile]);
    if !args.dev {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(ws)?);
    }
    run(&mut cargo)?;
    Ok(ws.target().join(setup::WASM).join(folder).join("limpid_web.wasm"))
}

/// The flags of the environment, and those that keep the paths of this machine out of the program:
/// panic messages name source files, and where somebody keeps theirs is nobody else's business.
fn rustflags(ws: &Workspace) -> Result<OsString> {
    const SEPARATOR: &str = "\u{1f}";
    let encoded = std::env::var_os("CARGO_ENCODED_RUSTFLAGS");
    let plain = || std::env::var("RUSTFLAGS").ok();
    let mut flags = encoded.unwrap_or_else(|| {
        let plain = plain().unwrap_or_default();
        plain.split_whitespace().collect::<Vec<_>>().join(SEPARATOR).into()
    });
    for (from, to) in private_paths(ws)? {
        if !flags.is_empty() {
            flags.push(SEPARATOR);
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push(format!("={to}"));
    }
    Ok(flags)
}

/// Folders of this machine in which sources lie, and what the program calls them instead. Of those
/// that contain each other the innermost comes last, as rustc wants it.
fn private_paths(ws: &Workspace) -> Result<Vec<(PathBuf, &'static str)>> {
    let cargo = cargo_home()?;
    let mut paths = vec![(cargo.clone(), "cargo"), (ws.root().to_owned(), "limpid")];
    // Each registry has a folder of its own, named after its address.
    if let Ok(registries) = std::fs::read_dir(cargo.join("registry/src")) {
        paths.extend(registries.flatten().map(|registry| (registry.path(), "crates")));
    }
    Ok(paths)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("there is no home directory; set CARGO_HOME")?;
    Ok(home.join(".cargo"))
}

/// Fails if a file of the site names a folder of this machine.
fn tells_no_paths(ws: &Workspace, site: &Site) -> Result<()> {
    for (path, _) in private_paths(ws)? {
        let path = path.to_string_lossy().into_owned();
        let tells = |bytes: &[u8]| bytes.windows(path.len()).any(|piece| piece == path.as_bytes());
        if let Some((file, _)) = site.iter().find(|(_, bytes)| tells(bytes)) {
            anyhow::bail!(
                "dist/{file} contains the path {path} of this machine. A flag \
                 --remap-path-prefix in xtask/src/web.rs has to cover it."
            );
        }
    }
    Ok(())
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

/// Puts the compressed copies beside the files.
fn write_packed(dist: &Path, packed: &BTreeMap<String, Packed>) -> Result<()> {
    for (file, Packed { gzip, brotli }) in packed {
        for (suffix, bytes) in [("gz", gzip), ("br", brotli)] {
            let path = dist.join(format!("{file}.{suffix}"));
            std::fs::write(&path, bytes).with_context(|| format!("cannot write {path:?}"))?;
        }
    }
    Ok(())
}

/// Prints what each file weighs, and fails if the first view has become too heavy.
fn report(site: &Site, packed: &BTreeMap<String, Packed>) -> Result<()> {
    let first = first_view(site);
    println!("{:>10} {:>10} {:>10}", "bytes", "gzip", "brotli");
    let mut total = (0, 0, 0);
    for (file, bytes) in site {
        let (gzip, brotli) = packed
            .get(file)
            .map_or((bytes.len(), bytes.len()), |packed| (packed.gzip.len(), packed.brotli.len()));
        let when = if first.contains(file) { "" } else { "  (on first use)" };
        println!("{:>10} {gzip:>10} {brotli:>10}  {file}{when}", bytes.len());
        if first.contains(file) {
            total = (total.0 + bytes.len(), total.1 + gzip, total.2 + brotli);
        }
    }
    println!("{:>10} {:>10} {:>10}  for the first view", total.0, total.1, total.2);
    for (name, weight, limit) in [("gzip", total.1, GZIP_LIMIT), ("brotli", total.2, BROTLI_LIMIT)]
    {
        ensure!(
            weight <= limit,
            "the first view of the page weighs {weight} bytes after {name}, more than the {limit} \
             that it may. Load on first use what it can be drawn without, or look for a \
             dependency that came in lately."
        );
    }
    Ok(())
}

/// The files that a browser fetches before anything is seen: `index.html`, those that it names,
/// and those that these name. All other files are fetched when they are used.
fn first_view(site: &Site) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec!["index.html".to_owned()];
    while let Some(file) = open.pop() {
        let Some(bytes) = site.get(&file) else { continue };
        if !found.insert(file) {
            continue;
        }
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        open.extend(site.keys().filter(|name| text.contains(name.as_str())).cloned());
    }
    found
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
    fn the_first_view_is_what_is_named_from_one_file_to_the_next() {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let site = Site::from([
            file("index.html", "<script src=\"./start.js\">"),
            file("start.js", "import \"./a.js\""),
            file("a.js", ""),
            file("lessons/en/first.md", "index.html"),
        ]);
        assert_eq!(
            first_view(&site).into_iter().collect::<Vec<_>>(),
            ["a.js", "index.html", "start.js"]
        );
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
