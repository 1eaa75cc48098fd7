//! Rebuilds the binary when the page in `dist/`, which it embeds, has changed.

fn main() {
    // Created even if no page was built: cargo can only watch a folder that exists.
    let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo::warning=cannot make {}: {error}", dist.display());
    }
    // A program that is compiled for looking into reads the page from there when it is asked for.
    let embeds = std::env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_none();
    println!("cargo::rerun-if-changed={}", if embeds { "../dist" } else { "build.rs" });
}
