//! `limpid shard`: reads files of keys and writes the drawing. The result is computed in the core.

use std::io::Read;
use std::process::ExitCode;

use limpid_core::sharding::tool::{Request, USAGE};

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(args: Vec<String>) -> ExitCode {
    match run(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("limpid shard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result<String, String> {
    let mut request = Request::parse(args)?;
    if request.help {
        return Ok(USAGE.to_owned());
    }
    for file in std::mem::take(&mut request.files) {
        let text = if file == "-" {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text).map(|_| text)
        } else {
            std::fs::read(&file)
        };
        request.add_keys(&text.map_err(|e| format!("cannot read keys from '{file}': {e}"))?);
    }
    let plot = request.plot.clone();
    let report = request.run()?;
    if let (Some(path), Some(svg)) = (plot, report.svg) {
        std::fs::write(&path, svg).map_err(|e| format!("cannot write '{path}': {e}"))?;
    }
    Ok(report.text)
}
