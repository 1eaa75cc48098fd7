//! `cargo xtask web`: builds the page as a folder of static files.
//!
//! The steps that Trunk would take, without Trunk: compile for wasm32, run wasm-bindgen (in
//! process, so that its version is the one in `Cargo.lock` and nothing has to be installed), sort
//! the functions for compression (see [`order`]), give the files names that change with their
//! content, point `index.html` at them with relative URLs, and put a compressed copy of each file
//! beside it (see [`pack`]).
//!
//! wasm-opt is not used: it makes the program smaller but the compressed download larger. It
//! removes what compression encodes in a few bits, and rewrites near-identical functions in
//! different ways.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::pack::{self, Packed};
use crate::workspace::{Workspace, run, step};
use crate::{html, order, setup};

/// The largest total size of the first view's files after gzip, in bytes.
const GZIP_LIMIT: usize = 1_200 * 1_000;
/// The same after brotli.
const BROTLI_LIMIT: usize = 950 * 1_000;
/// The largest size of the whole program after gzip, in bytes. It is fetched on first use.
const WHOLE_GZIP_LIMIT: usize = 2_200 * 1_000;

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Args {
    /// Compile quickly instead of small: for working on the page.
    #[arg(long)]
    pub(crate) dev: bool,
}

/// Builds the page. Returns its folder.
pub(crate) fn build(ws: &Workspace, args: &Args) -> Result<PathBuf> {
    setup::wasm_target(ws)?;
    let programs = programs(ws, args)?;
    // They need the core once more, for this machine.
    let posters = if args.dev { Site::new() } else { posters(ws, None)? };
    finish(ws, args, programs, posters)
}

/// The page's programs. While one works on the page one is built, which serves as both.
pub(crate) struct Programs {
    first: Option<Bindings>,
    whole: Bindings,
}

/// Compiles the page's programs. This is by far the most of the work, and each is linked on one
/// processor, so that other things may be done meanwhile.
pub(crate) fn programs(ws: &Workspace, args: &Args) -> Result<Programs> {
    let first = match args.dev {
        true => None,
        false => Some(program(ws, Program::First, args)?),
    };
    Ok(Programs { first, whole: program(ws, Program::Whole, args)? })
}

/// Puts the page together from its parts and gives the folder in which it lies.
pub(crate) fn finish(
    ws: &Workspace,
    args: &Args,
    Programs { first, whole }: Programs,
    posters: Site,
) -> Result<PathBuf> {
    step("Writing dist/");
    let mut site = site(&ws.root().join("static"), first, whole)?;
    site.extend(posters);
    let dist = ws.root().join("dist");
    write(&dist, &site)?;
    if !args.dev {
        check_private_paths(ws, &site)?;
        step("Compressing dist/");
        let packed = pack::all(&site);
        write_packed(&dist, &packed)?;
        report(&site, &packed)?;
    }
    Ok(dist)
}

/// Files by their path in `dist/`, with `/` between folders.
pub(crate) type Site = BTreeMap<String, Vec<u8>>;

/// The files of a folder.
pub(crate) fn files(folder: &Path) -> Result<Site> {
    let mut site = Site::new();
    collect(folder, folder, &mut site)?;
    Ok(site)
}

/// One of the two builds of the page's program: see `web/src/whole.rs`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    /// The part that the first view needs.
    First,
    /// Everything, fetched on first use.
    Whole,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::First => "limpid",
            Program::Whole => "limpid-whole",
        }
    }
}

fn program(ws: &Workspace, program: Program, args: &Args) -> Result<Bindings> {
    let compiled = compile(ws, program, args)?;
    bindings(ws, program, &compiled, args)
}

/// The posters of embedded labs: each scenario and each lesson at its first moment. `drawer` is the
/// program that draws them, if it has been built.
pub(crate) fn posters(ws: &Workspace, drawer: Option<&Path>) -> Result<Site> {
    step("Drawing posters");
    let out = ws.target().join("xtask").join("posters");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let mut command = match drawer {
        Some(drawer) => Command::new(drawer),
        None => {
            let mut cargo = ws.cargo();
            cargo.args(["run", "--quiet", "--locked", "-p", "limpid-web", "--bin", "posters"]);
            cargo.args(["--features", "whole", "--"]);
            cargo
        }
    };
    run(command.arg(ws.root().join("static/lessons")).arg(&out))?;
    let mut posters = Site::new();
    collect(&out, &out, &mut posters)?;
    Ok(posters.into_iter().map(|(file, bytes)| (format!("posters/{file}"), bytes)).collect())
}

/// The output of wasm-bindgen.
struct Bindings {
    js: Vec<u8>,
    wasm: Vec<u8>,
    /// Modules that the bindings import, by their path.
    snippets: Site,
}

fn compile(ws: &Workspace, program: Program, args: &Args) -> Result<PathBuf> {
    let (profile, folder) = if args.dev { ("dev", "debug") } else { ("web", "web") };
    let name = program.name();
    step(&format!("Compiling {name} of the page for {} (profile {profile})", setup::WASM));
    let mut cargo = ws.cargo();
    cargo.args(["build", "-p", "limpid-web", "--lib", "--locked"]);
    cargo.args(["--target", setup::WASM, "--profile", profile]);
    if program == Program::Whole {
        cargo.args(["--features", "whole"]);
    }
    if args.dev {
        // In builds for this machine the crate is not optimised: there it only draws for tests.
        cargo.args(["--config", "profile.dev.package.limpid-web.opt-level=1"]);
    } else {
        cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(ws)?);
    }
    run(&mut cargo)?;
    Ok(ws.target().join(setup::WASM).join(folder).join("limpid_web.wasm"))
}

/// The flags of the environment, and those that remap the paths of this machine: panic messages
/// contain the paths of source files, which are private.
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

/// Folders of this machine with sources, and the names that replace them in the program. Of nested
/// folders the innermost comes last, as rustc requires.
fn private_paths(ws: &Workspace) -> Result<Vec<(PathBuf, &'static str)>> {
    let cargo = cargo_home()?;
    let mut paths = vec![(cargo.clone(), "cargo"), (ws.root().to_owned(), "limpid")];
    // Each registry has its own folder, named after its address.
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

/// Fails if a file of the site contains a path of this machine.
fn check_private_paths(ws: &Workspace, site: &Site) -> Result<()> {
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

fn bindings(ws: &Workspace, program: Program, compiled: &Path, args: &Args) -> Result<Bindings> {
    let out = ws.target().join("xtask").join("bindings");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    Bindgen::new()
        .input_path(compiled)
        .out_name(program.name())
        .web(true)?
        .typescript(false)
        .debug(args.dev)
        // Keeps function names for sorting: see `order`.
        .remove_name_section(false)
        .remove_producers_section(!args.dev)
        .generate(&out)
        .context("wasm-bindgen failed")?;
    let wasm = out.join(format!("{}_bg.wasm", program.name()));
    if !args.dev {
        std::fs::write(&wasm, order::sort_functions(&read(&wasm)?)?)?;
    }
    let mut snippets = Site::new();
    if out.join("snippets").is_dir() {
        collect(&out, &out.join("snippets"), &mut snippets)?;
    }
    Ok(Bindings {
        js: read(&out.join(format!("{}.js", program.name())))?,
        wasm: read(&wasm)?,
        snippets,
    })
}

/// Combines the static files and the programs. Without a first program, the whole one serves as
/// both.
fn site(source: &Path, first: Option<Bindings>, whole: Bindings) -> Result<Site> {
    let mut site = files(source)?;
    crate::lessons::add(&mut site)?;
    crate::book::add_pages(&mut site)?;
    let index = site.remove("index.html").context("static/index.html is missing")?;
    let index = String::from_utf8(index).context("static/index.html is not UTF-8")?;

    let mut replacements = Vec::new();
    let mut programs = Some((first, whole));
    for element in html::marked(&index) {
        let rel = element.get("rel").unwrap_or_default();
        let file = element.get("href").or(element.get("src")).unwrap_or_default();
        let text = match (element.tag.as_str(), rel) {
            ("link", "rust") => {
                let (first, whole) =
                    programs.take().context("index.html asks for the page twice")?;
                loader(&mut site, first, whole)?
            }
            // These marks are for Trunk; here every file of static/ is copied.
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
    ensure!(programs.is_none(), "index.html has no <link data-trunk rel=\"rust\">");
    let index = html::replace(&index, replacements);
    site.insert("index.html".into(), index.into_bytes());
    Ok(site)
}

/// Adds the page's programs to the site. Returns the HTML elements that start it.
///
/// The page starts as with Trunk (`window.wasmBindings`, then the event `TrunkApplicationStarted`),
/// but from a script file, since the Content-Security-Policy forbids inline scripts. If starting
/// fails, `<html>` gets the class `failed`, and `index.html` says what the page needs. The first
/// program starts the whole one by `limpidWhole`; `?program=whole` in the address starts that one
/// at once.
fn loader(site: &mut Site, first: Option<Bindings>, whole: Bindings) -> Result<String> {
    let (packing, bridge) = (hashed(site, "packing.js")?, hashed(site, "bridge.js")?);
    let whole = add(site, Program::Whole, whole);
    let first = first.map(|first| add(site, Program::First, first));
    let later = format!(
        r#"export const js = "./{}", wasm = "./{}";
export const packing = "./{packing}", bridge = "./{bridge}";
"#,
        whole.0, whole.1
    );
    let later_name = name(LATER, later.as_bytes());
    let (js_name, wasm_name) = first.as_ref().unwrap_or(&whole);
    let start = format!(
        r##"const first = {{ js: "./{js_name}", wasm: "./{wasm_name}" }};

async function load(program) {{
  const [bindings, response] = await Promise.all([
    import(program.js),
    fetch(new URL(program.wasm, import.meta.url)),
  ]);
  if (!response.ok) throw new Error(`${{response.url}}: ${{response.status}}`);
  // Compiled from the stream where the server names the type, as it should.
  const typed = (response.headers.get("Content-Type") || "").startsWith("application/wasm");
  const module = typed
    ? await WebAssembly.compileStreaming(response)
    : await WebAssembly.compile(await response.arrayBuffer());
  return {{ bindings, module }};
}}

async function run({{ bindings, module }}) {{
  const wasm = await bindings.default({{ module_or_path: module }});
  window.wasmBindings = bindings;
  dispatchEvent(new CustomEvent("TrunkApplicationStarted", {{ detail: {{ wasm }} }}));
}}

const later = () => import("./{later_name}");
let fetched;
let ready;
window.limpidWhole = {{
  fetch() {{
    fetched ??= later().then(load).then(
      (program) => {{ ready = program; }},
      (error) => {{ fetched = undefined; throw error; }},
    );
    return fetched;
  }},
  start() {{ run(ready); }},
}};

window.limpidLink = {{
  pack: async (fragment) => (await import((await later()).packing)).pack(fragment),
}};
// A link that is pasted into the address bar of the page itself.
addEventListener("hashchange", () => {{
  if (/^#[vz]=/.test(location.hash)) location.reload();
}});

try {{
  if (location.hash.startsWith("#z=")) {{
    await (await import((await later()).packing)).unpackAddress();
  }}
  if (window.parent !== window) import((await later()).bridge);
  if (new URLSearchParams(location.search).get("program") === "whole") {{
    await window.limpidWhole.fetch();
    await run(ready);
  }} else {{
    await run(await load(first));
  }}
}} catch (error) {{
  document.documentElement.classList.add("failed");
  throw error;
}}
"##
    )
    .into_bytes();
    let start_name = name("start.js", &start);
    let html = format!(
        "<link rel=\"modulepreload\" href=\"./{js_name}\">\n\
         <link rel=\"preload\" href=\"./{wasm_name}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n\
         <script type=\"module\" src=\"./{start_name}\"></script>"
    );
    site.extend([(later_name, later.into_bytes()), (start_name, start)]);
    Ok(html)
}

/// The module that names the files fetched on first use. Files that only it names are no part of
/// the first view.
const LATER: &str = "later.js";

/// Adds a program's files to the site. Returns the names of its bindings and its module.
fn add(site: &mut Site, program: Program, bindings: Bindings) -> (String, String) {
    let Bindings { js, wasm, snippets } = bindings;
    let file = |extension, bytes: &[u8]| name(&format!("{}.{extension}", program.name()), bytes);
    let (js_name, wasm_name) = (file("js", &js), file("wasm", &wasm));
    site.extend([(js_name.clone(), js), (wasm_name.clone(), wasm)]);
    site.extend(snippets);
    (js_name, wasm_name)
}

/// Renames a file of the site after its content.
fn hashed(site: &mut Site, file: &str) -> Result<String> {
    let file = file.trim_start_matches("./");
    let bytes = site.remove(file).with_context(|| format!("static/{file} is missing"))?;
    let name = name(file, &bytes);
    site.insert(name.clone(), bytes);
    Ok(name)
}

/// A file name with a hash of the content: `style.css` becomes `style-0123456789abcdef.css`, so
/// that it can be cached without limit.
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

/// Writes the compressed copies beside the files.
fn write_packed(dist: &Path, packed: &BTreeMap<String, Packed>) -> Result<()> {
    for (file, Packed { gzip, brotli }) in packed {
        for (suffix, bytes) in [("gz", gzip), ("br", brotli)] {
            let path = dist.join(format!("{file}.{suffix}"));
            std::fs::write(&path, bytes).with_context(|| format!("cannot write {path:?}"))?;
        }
    }
    Ok(())
}

/// Prints the size of each file, and fails if the first view is too large.
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
    let whole: usize = packed
        .iter()
        .filter(|(file, _)| file.starts_with(Program::Whole.name()))
        .map(|(_, packed)| packed.gzip.len())
        .sum();
    ensure!(
        whole <= WHOLE_GZIP_LIMIT,
        "the whole program of the page weighs {whole} bytes after gzip, more than the \
         {WHOLE_GZIP_LIMIT} that it may. Look for a dependency that came in lately."
    );
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

/// The files that a browser fetches for the first view: `index.html`, the files that it names, and
/// those that these name in turn. All other files are fetched on first use.
fn first_view(site: &Site) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec!["index.html".to_owned()];
    while let Some(file) = open.pop() {
        let Some(bytes) = site.get(&file) else { continue };
        let is_later = file.starts_with(LATER.trim_end_matches(".js"));
        if !found.insert(file) || is_later {
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
        let bindings = |text: &str| Bindings {
            js: format!("js of {text}").into_bytes(),
            wasm: format!("wasm of {text}").into_bytes(),
            snippets: Site::new(),
        };
        let site = site(&source, Some(bindings("first")), bindings("whole")).unwrap();
        let first = first_view(&site);
        let when = |start: &str| first.iter().any(|name| name.starts_with(start));
        assert!(when("limpid-") && when("later-"));
        assert!(!when(Program::Whole.name()), "the whole program is fetched on first use");
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
