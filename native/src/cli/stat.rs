//! `--stat`: prints the server's state, one line per second.

use std::io;
use std::time::Duration;

use limpid_core::resp::value::Value;

use super::client::{Client, strerror};
use super::options::Options;
use super::{fail, print};

/// Lines between two headings.
const HEADING_EVERY: u64 = 20;

/// Prints a line per second, or per interval (`-i`), without end.
pub(super) fn watch(client: &mut Client, options: &Options) -> i32 {
    let pause = if options.interval.is_zero() { Duration::from_secs(1) } else { options.interval };
    let mut requests_before = None;
    for line in 0u64.. {
        let info = match ask(client, options, &["INFO"]) {
            Ok(Value::Error(text)) => {
                return fail(&format!("ERROR: {}", String::from_utf8_lossy(&text)));
            }
            Ok(reply) => String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned(),
            Err(error) => return fail(&format!("\nI/O error: {}", strerror(&error))),
        };
        if line.is_multiple_of(HEADING_EVERY) {
            print(
                "------- data ------ --------------------- load -------------------- - child -\n\
                 keys       mem      clients blocked requests            connections          \n",
            );
        }
        let requests = field(&info, "total_commands_processed");
        let more = requests - requests_before.unwrap_or(requests);
        requests_before = Some(requests);
        print(&format!(
            "{:<11}{:<8} {:<8}{:<8}{:<19} {:<12}{}\n",
            keys(&info),
            human(field(&info, "used_memory")),
            field(&info, "connected_clients"),
            field(&info, "blocked_clients"),
            format!("{requests} (+{more})"),
            field(&info, "total_connections_received"),
            children(&info)
        ));
        std::thread::sleep(pause);
    }
    0
}

/// Sends a command, on a new connection if the old one was lost.
pub(super) fn ask(client: &mut Client, options: &Options, args: &[&str]) -> io::Result<Value> {
    let mut tries = 0u64;
    loop {
        match client.command(args) {
            Ok(reply) => {
                if tries > 0 {
                    print("\r\x1b[0K");
                }
                return Ok(reply);
            }
            Err(error) if error.kind() == io::ErrorKind::Other => return Err(error),
            Err(_) => {}
        }
        loop {
            tries += 1;
            print(&format!("\r\x1b[0KReconnecting... {tries}\r"));
            std::thread::sleep(Duration::from_secs(1));
            if let Ok(again) = Client::open(options) {
                *client = again;
                break;
            }
        }
    }
}

/// The number in an INFO field; 0 if there is none.
fn field(info: &str, name: &str) -> i64 {
    info.lines()
        .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':')?.parse().ok())
        .unwrap_or(0)
}

/// The number of keys in all databases, from lines such as `db0:keys=3,expires=0`.
fn keys(info: &str) -> u64 {
    info.lines()
        .filter_map(|line| {
            let (db, facts) = line.strip_prefix("db")?.split_once(":keys=")?;
            db.parse::<u64>().ok()?;
            facts.split(',').next()?.parse::<u64>().ok()
        })
        .sum()
}

fn children(info: &str) -> &'static str {
    let is = |name| field(info, name) != 0;
    let save = is("rdb_bgsave_in_progress");
    let rewrite = is("aof_rewrite_in_progress");
    match (save, rewrite, is("loading")) {
        (_, _, true) => "LOAD",
        (true, true, _) => "SAVE+AOF",
        (true, false, _) => "SAVE",
        (false, true, _) => "AOF",
        (false, false, false) => "",
    }
}

fn human(bytes: i64) -> String {
    let size = bytes as f64;
    match bytes.unsigned_abs() {
        0..0x400 => format!("{bytes}B"),
        0x400..0x10_0000 => format!("{:.2}K", size / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.2}M", size / 1_048_576.0),
        _ => format!("{:.2}G", size / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let info = "# Memory\r\nused_memory_human:1M\r\nused_memory:1048576\r\n\
                    db0:keys=3,expires=0,avg_ttl=0\r\ndb11:keys=4,expires=1,avg_ttl=0\r\n";
        assert_eq!(field(info, "used_memory"), 1_048_576);
        assert_eq!(field(info, "nothing"), 0);
        assert_eq!(keys(info), 7);
        assert_eq!((human(5).as_str(), human(1_048_576).as_str()), ("5B", "1.00M"));
    }
}
