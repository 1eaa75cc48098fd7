//! `posters LESSONS OUT`: writes the posters of all scenarios, and of the lessons of a folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use limpid_web::poster;

fn main() -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [lessons, out] = &folders[..] else {
        eprintln!("usage: posters LESSONS OUT");
        return ExitCode::FAILURE;
    };
    match write_all(lessons, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posters: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(lessons: &Path, out: &Path) -> Result<(), String> {
    for (language, chinese) in [("en", false), ("zh", true)] {
        for name in poster::scenarios() {
            let poster = poster::of_scenario(name, chinese).unwrap_or_default();
            write(&out.join(language).join(format!("{name}.svg")), &poster)?;
        }
        let root = lessons.join(language);
        for chapter in entries(&root)? {
            for file in entries(&chapter)? {
                let id = file.strip_prefix(&root).unwrap_or(&file).with_extension("");
                // Ids use `/` on every system.
                let parts = id.iter().map(|part| part.to_string_lossy().into_owned());
                let id = parts.collect::<Vec<_>>().join("/");
                let text = std::fs::read_to_string(&file).map_err(told(&file))?;
                let poster = poster::of_lesson(&id, &text, chinese).map_err(told(&file))?;
                write(&out.join(language).join("lesson").join(format!("{id}.svg")), &poster)?;
            }
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(told(folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir() || path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    Ok(paths)
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(told(folder))?;
    std::fs::write(file, text).map_err(told(file))
}

fn told<E: std::fmt::Display>(file: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", file.display())
}
