//! Sees to it that the page in `dist/` is embedded anew when it has changed.

fn main() {
    // The folder is there even if no page was built, so that cargo can watch it.
    let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo::warning=cannot make {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=../dist");
}
