//! `limpid check-rdb`, also as `redis-check-rdb`: checks that a file is a valid RDB file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::SystemTime;

use limpid_core::persist::rdb::Checker;
use limpid_core::server::VERSION;

/// Bytes of the file that are read at once.
const PIECE: usize = 1 << 20;

/// Runs the program with the arguments that follow its name.
pub(crate) fn main(program: &str, args: &[OsString]) -> ExitCode {
    let [file] = args else {
        eprintln!("Usage: {program} <rdb-file-name>");
        return ExitCode::FAILURE;
    };
    if file == "-v" || file == "--version" {
        println!("redis-check-rdb {VERSION}");
        return ExitCode::SUCCESS;
    }
    match check(file) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Cannot read {}: {error}. Give the path of an RDB file.", file.display());
            ExitCode::FAILURE
        }
    }
}

fn check(name: &OsString) -> std::io::Result<bool> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut checker = Checker::new(name.as_bytes(), now_ms);
    let mut out = std::io::stdout().lock();
    out.write_all(&checker.take_report())?;
    let mut file = File::open(name)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = match file.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let more = read > 0 && checker.feed(piece.get(..read).unwrap_or_default());
        out.write_all(&checker.take_report())?;
        if !more {
            break;
        }
    }
    let good = checker.end();
    out.write_all(&checker.take_report())?;
    out.flush()?;
    Ok(good)
}
