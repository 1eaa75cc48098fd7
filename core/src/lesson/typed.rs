//! Extracts the lines that were typed into terminals, with their output, from what terminals show.

use crate::lab::Terminal;
use crate::sim::World;

use super::conditions::collapse;

/// A typed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The host, or the server as `host:port`, that it was for; all of its names.
    pub at: Vec<String>,
    /// The line, with blanks collapsed.
    pub line: String,
    /// The output before the next line.
    pub printed: String,
}

/// The hosts of a lesson: their names, and their addresses as they are printed.
pub type Places = [(String, String)];

/// All lines that are still visible in the terminals of a World.
pub(super) fn typed(world: &World) -> Vec<Typed> {
    let places: Vec<(String, String)> =
        world.hosts().map(|host| (host.name.to_owned(), host.ip.to_string())).collect();
    let mut found = Vec::new();
    for proc in world.procs() {
        let Some(terminal) = world.machine::<Terminal>(proc.id) else { continue };
        let own = world.host(proc.host).map_or("", |host| host.name);
        let mut last = None;
        for block in &terminal.shown().blocks {
            let Some((prompt, line)) = &block.typed else { continue };
            let at = of_prompt(&places, prompt, own, last.as_ref());
            last = Some(at.clone());
            found.push(Typed { at, line: collapse(line), printed: block.printed.clone() });
        }
    }
    for tty in world.ttys() {
        let own = world.host(tty.host()).map_or("", |host| host.name);
        found.extend(rows(&tty.text(), own, &places));
    }
    with_one_shots(found, &places)
}

/// All lines that are visible in the text of a terminal on the host `own`.
pub fn typed_in(text: &str, own: &str, places: &Places) -> Vec<Typed> {
    with_one_shots(rows(text, own, places), places)
}

/// Whether the last row of a terminal is an empty prompt.
pub fn waits_for_line(text: &str) -> bool {
    let last = text.trim_end_matches('\n').lines().last().unwrap_or_default();
    split_prompt(last).is_some_and(|(_, line)| line.trim().is_empty())
}

fn rows(text: &str, own: &str, places: &Places) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut last: Option<Typed> = None;
    let mut place = None;
    for row in text.lines() {
        match split_prompt(row) {
            Some((prompt, line)) => {
                found.extend(last.take());
                let at = of_prompt(places, prompt, own, place.as_ref());
                place = Some(at.clone());
                last = Some(Typed { at, line: collapse(line), printed: String::new() });
            }
            None => {
                if let Some(typed) = &mut last {
                    typed.printed.push_str(row);
                    typed.printed.push('\n');
                }
            }
        }
    }
    found.extend(last);
    found
}

fn with_one_shots(mut found: Vec<Typed>, places: &Places) -> Vec<Typed> {
    let one_shots: Vec<Typed> = found.iter().filter_map(|typed| one_shot(places, typed)).collect();
    found.extend(one_shots);
    found.retain(|typed| !typed.line.is_empty());
    found
}

/// The prompt of a redis-cli that has lost its connection.
const NOT_CONNECTED: &str = "not connected";

/// Splits a row of a terminal into the prompt and the typed text.
fn split_prompt(row: &str) -> Option<(&str, &str)> {
    if row.starts_with('[') {
        let (prompt, line) = row.split_once("]#").or_else(|| row.split_once("]$"))?;
        return prompt.contains('@').then_some((prompt, line));
    }
    let (prompt, line) = row.split_once('>')?;
    if prompt == NOT_CONNECTED {
        return Some((prompt, line));
    }
    let address = prompt.split(['[', '(']).next().unwrap_or_default();
    let (host, port) = address.rsplit_once(':')?;
    let is_address = !host.is_empty() && !host.contains(' ') && port.parse::<u16>().is_ok();
    is_address.then_some((prompt, line))
}

/// The names of the host or server in a prompt. Without a connection it is that of the previous
/// line.
fn of_prompt(
    places: &Places,
    prompt: &str,
    own_name: &str,
    last: Option<&Vec<String>>,
) -> Vec<String> {
    if let Some(last) = last.filter(|_| prompt.starts_with(NOT_CONNECTED)) {
        return last.clone();
    }
    if let Some((_, place)) = prompt.split_once('@') {
        let name = place.split_whitespace().next().unwrap_or(own_name);
        return vec![name.to_owned()];
    }
    let address = prompt.split(['[', '(', '>']).next().unwrap_or_default();
    let Some((host, port)) = address.rsplit_once(':') else { return vec![own_name.to_owned()] };
    place(places, host, port, own_name)
}

fn place(places: &Places, host: &str, port: &str, own: &str) -> Vec<String> {
    let is_own = matches!(host, "127.0.0.1" | "localhost" | "::1");
    let named = places.iter().find(|(name, ip)| name == host || ip == host);
    let name = if is_own { own } else { named.map_or(host, |(name, _)| name.as_str()) };
    vec![name.to_owned(), format!("{name}:{port}")]
}

/// The command that `redis-cli -h redis-1 get k`, typed into a shell, sends to a server.
fn one_shot(places: &Places, typed: &Typed) -> Option<Typed> {
    let mut words = typed.line.split(' ').peekable();
    if words.next()? != "redis-cli" {
        return None;
    }
    let (mut host, mut port) = ("127.0.0.1", "6379");
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        match option {
            "-h" => host = words.next()?,
            "-p" => port = words.next()?,
            "-a" | "-n" | "--user" => drop(words.next()?),
            _ => {}
        }
    }
    let line = words.collect::<Vec<_>>().join(" ");
    let own = typed.at.first().map_or("", |own| own.as_str());
    let at = place(places, host, port, own);
    (!line.is_empty()).then(|| Typed { at, line, printed: typed.printed.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_told_from_output() {
        for (row, expected) in [
            ("[root@redis-1 ~]# ls -l", Some(("[root@redis-1 ~", " ls -l"))),
            ("127.0.0.1:6379> get k", Some(("127.0.0.1:6379", " get k"))),
            ("redis-1:7001[2](TX)> exec", Some(("redis-1:7001[2](TX)", " exec"))),
            ("-> Redirected to slot [12706] located at 10.0.0.3:7003", None),
            ("not connected> get k", Some(("not connected", " get k"))),
            ("\"a > b\"", None),
            ("1) \"x:1\"", None),
        ] {
            assert_eq!(split_prompt(row), expected, "{row}");
        }
    }
}
