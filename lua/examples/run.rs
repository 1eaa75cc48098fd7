//! Runs a Lua file: `cargo run --release -p limpid-lua --example run -- file.lua`. For comparisons
//! with other interpreters; besides the libraries it only has `print` and `os.clock`.

use std::io::Write as _;
use std::time::Instant;

use limpid_lua::{Lua, Step, Value};

const PRINT: u32 = 1;
const CLOCK: u32 = 2;

fn main() {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: run file.lua");
        std::process::exit(2);
    };
    let source = match std::fs::read(&path) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("cannot read {path}: {error}");
            std::process::exit(1);
        }
    };
    let mut lua = Lua::new();
    let globals = lua.globals();
    let print = lua.host_function(PRINT);
    lua.raw_set_name(globals, "print", print);
    let os = lua.table(0, 1);
    let clock = lua.host_function(CLOCK);
    lua.raw_set_name(os, "clock", clock);
    lua.raw_set_name(globals, "os", Value::Table(os));
    for name in ["arg", "package", "debug"] {
        let table = lua.table(0, 0);
        lua.raw_set_name(globals, name, Value::Table(table));
    }
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let main = match lua.load(&source, format!("@{name}").as_bytes()) {
        Ok(main) => main,
        Err(message) => {
            eprintln!("{}", String::from_utf8_lossy(&message));
            std::process::exit(1);
        }
    };
    lua.start(main, &[]);
    let started = Instant::now();
    let mut out = std::io::stdout().lock();
    loop {
        match lua.run(1_000_000) {
            Step::Done => break,
            Step::Paused | Step::Line => {}
            Step::Host(CLOCK) => {
                lua.host_return(&[Value::Num(started.elapsed().as_secs_f64())]);
            }
            Step::Host(_) => {
                let mut line = Vec::new();
                for (i, &value) in lua.host_args().iter().enumerate() {
                    if i > 0 {
                        line.push(b'\t');
                    }
                    match lua.to_text(value) {
                        Some(text) => line.extend(text),
                        None => line.extend(match value {
                            Value::Bool(b) => b.to_string().into_bytes(),
                            other => other.type_name().as_bytes().to_vec(),
                        }),
                    }
                }
                line.push(b'\n');
                if out.write_all(&line).is_err() {
                    return;
                }
                lua.host_return(&[]);
            }
            Step::Failed(failure) => {
                let text = lua.to_text(failure.value).unwrap_or_default();
                eprintln!("{}", String::from_utf8_lossy(&text));
                std::process::exit(1);
            }
        }
    }
}
