//! `--rdb` and `--functions-rdb`: writes the server's data set, or only its functions, to a file.

use std::fs::File;
use std::io::{self, Read, Write};

use limpid_core::resp::value::Value;

use super::client::{Client, strerror};
use super::fail;
use super::options::Options;
use super::replica::{MARK, Transfer, ask_for_copy};

/// Transfers the data set.
pub(super) fn fetch(client: &mut Client, options: &Options) -> i32 {
    report(transfer(client, options, &[]))
}

/// Transfers the functions.
pub(super) fn fetch_functions(client: &mut Client, options: &Options) -> i32 {
    report(transfer(client, options, &["REPLCONF", "rdb-filter-only", "functions"]))
}

fn report(done: Result<(), String>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(message) => fail(&message),
    }
}

fn transfer(client: &mut Client, options: &Options, filter: &[&str]) -> Result<(), String> {
    let path = options.rdb_file.as_deref().unwrap_or("-");
    let options = [&["REPLCONF", "capa", "eof"][..], &["REPLCONF", "rdb-only", "1"], filter];
    for option in options.into_iter().filter(|option| !option.is_empty()) {
        eprintln!("sending {}", option.join(" "));
        let refused = match client.command(option) {
            Ok(Value::Error(text)) => String::from_utf8_lossy(&text).into_owned(),
            Ok(_) => continue,
            Err(error) => return Err(format!("Error: {}", strerror(&error))),
        };
        eprintln!("{} error: {refused}", option[..2].join(" "));
        // If the filter is refused, the file would hold something else than asked for.
        if !filter.is_empty() && option == filter {
            return Err("Failed requesting functions only RDB from server, aborting".into());
        }
    }
    let copy = ask_for_copy(client)?;
    match &copy {
        Transfer::Length(length) => {
            eprintln!("SYNC sent to master, writing {length} bytes to '{path}'");
        }
        Transfer::Mark(_) => eprintln!(
            "SYNC sent to master, writing bytes of bulk transfer until EOF marker to '{path}'"
        ),
    }
    let mut file: Box<dyn Write> = match path {
        "-" => Box::new(io::stdout().lock()),
        path => {
            let opened = File::create(path);
            Box::new(
                opened.map_err(|error| format!("Error opening '{path}': {}", strerror(&error)))?,
            )
        }
    };
    match copy {
        Transfer::Length(length) => {
            let written = io::copy(&mut (&mut client.stream).take(length), &mut file);
            if written.map_err(|error| failed(path, &error))? < length {
                return Err(failed(path, &io::ErrorKind::UnexpectedEof.into()));
            }
            eprintln!("Transfer finished with success.");
        }
        Transfer::Mark(mark) => {
            let written = copy_until(client, &mark, &mut file);
            let written = written.map_err(|error| failed(path, &error))?;
            eprintln!("Transfer finished with success after {written} bytes");
        }
    }
    file.flush().map_err(|error| failed(path, &error))
}

fn failed(path: &str, error: &io::Error) -> String {
    format!("Error transferring to '{path}': {}", strerror(error))
}

/// Writes what comes before the mark; returns how many bytes that were.
fn copy_until(client: &mut Client, mark: &[u8], file: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut held: Vec<u8> = Vec::new();
    let mut written = 0;
    loop {
        let n = client.stream.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(buffer.get(..n).unwrap_or_default());
        // The server sends nothing after the mark. The last bytes, as many as the mark has, are
        // held back until it is known whether they are the mark.
        let ends = held.ends_with(mark);
        let sure: Vec<u8> = held.drain(..held.len().saturating_sub(MARK)).collect();
        file.write_all(&sure)?;
        written += sure.len() as u64;
        if ends {
            return Ok(written);
        }
    }
}
