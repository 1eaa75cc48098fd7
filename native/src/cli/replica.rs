//! `--replica`: prints the stream of writes that a replica receives.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use limpid_core::client::{Format, Output};
use limpid_core::resp::value::Value;

use super::client::{Client, strerror};
use super::options::Options;
use super::{fail, print};

/// Length in bytes of the mark that ends a diskless transfer (`$EOF:`), whose length is not known
/// beforehand.
pub(super) const MARK: usize = 40;

/// The longest line of the handshake, in bytes.
const MAX_LINE: usize = 4096;

/// How often a replica sends REPLCONF ACK, as those of Redis do.
const ACK_PERIOD: Duration = Duration::from_secs(1);

/// Requests a full synchronization, drops the data set, and prints the writes that follow.
pub(super) fn follow(client: &mut Client, _: &Options) -> i32 {
    match run(client) {
        Ok(()) => 0,
        Err(message) => fail(&message),
    }
}

fn run(client: &mut Client) -> Result<(), String> {
    for option in [["REPLCONF", "capa", "eof"], ["REPLCONF", "rdb-filter-only", ""]] {
        // A server that does not know these options sends its data set anyway.
        if let Ok(Value::Error(text)) = client.command(&option) {
            let [_, name, _] = option;
            eprintln!("REPLCONF {name} error: {}", String::from_utf8_lossy(&text));
        }
    }
    let failed = |error: io::Error| format!("Error: {}", strerror(&error));
    match ask_for_copy(client)? {
        Transfer::Mark(mark) => {
            eprintln!(
                "Full resync with master, discarding bytes of bulk transfer until EOF marker..."
            );
            let dropped = drop_until(client, &mark).map_err(failed)?;
            eprintln!("Full resync done after {dropped} bytes. Logging commands from master.");
        }
        Transfer::Length(length) => {
            eprintln!("Full resync with master, discarding {length} bytes of bulk transfer...");
            io::copy(&mut (&mut client.stream).take(length), &mut io::sink()).map_err(failed)?;
            eprintln!("Full resync done. Logging commands from master.");
        }
    }
    let format = Format::new(Output::Csv);
    client.stream.set_read_timeout(ACK_PERIOD).map_err(failed)?;
    loop {
        match client.reply() {
            Ok(value) => {
                print(&String::from_utf8_lossy(&format.reply(&value)));
            }
            // The primary sends nothing before an acknowledgement, and may not have read the last
            // one.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                client.send(&["REPLCONF", "ACK", "0"]).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// How the end of the data set that SYNC sends is recognized.
pub(super) enum Transfer {
    /// It has this many bytes.
    Length(u64),
    /// It ends with this mark.
    Mark(Vec<u8>),
}

/// Requests the data set, and reads how its end will be recognized.
pub(super) fn ask_for_copy(client: &mut Client) -> Result<Transfer, String> {
    client.stream.write_all(b"SYNC\r\n").map_err(|_| "Error writing to master".to_string())?;
    let line = line(client).map_err(|_| "Error reading bulk length while SYNCing".to_string())?;
    let header = String::from_utf8_lossy(&line).into_owned();
    if header.starts_with('-') {
        return Err(format!("SYNC with master failed: {header}"));
    }
    Ok(match line.strip_prefix(b"$EOF:").and_then(|mark| mark.get(..MARK)) {
        Some(mark) => Transfer::Mark(mark.to_vec()),
        None => Transfer::Length(header.trim_start_matches('$').parse().unwrap_or(0)),
    })
}

/// Reads a line byte by byte, so that nothing after it is consumed.
fn line(client: &mut Client) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < MAX_LINE {
        client.stream.read_exact(&mut byte)?;
        match byte {
            // A primary that is still preparing sends empty lines.
            [b'\n'] if line.is_empty() => {}
            [b'\n'] => break,
            [byte] => line.push(byte),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Discards bytes up to and including the mark; returns how many.
fn drop_until(client: &mut Client, mark: &[u8]) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut tail, mut dropped) = (Vec::new(), 0);
    loop {
        let n = client.stream.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        dropped += n as u64;
        tail.extend_from_slice(buffer.get(..n).unwrap_or_default());
        // The primary sends nothing after the mark before the first acknowledgement.
        if tail.ends_with(mark) {
            return Ok(dropped);
        }
        let keep = tail.len().saturating_sub(mark.len());
        tail.drain(..keep);
    }
}
