//! Meta-commands: lines that begin with a colon and are for the World or the page, not for Redis.

use core::time::Duration;

use limpid_core::sim::{ACTION_USAGES, Action, ActionError, Timed, nearest_verb};

use crate::topology::Topology;

/// A parsed meta-command.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Meta {
    /// Carry out an action of the World.
    Act(Action),
    /// Show the help.
    Help,
    /// Start time.
    Play,
    /// Pause time.
    Stop,
    /// Set the virtual time that passes in a second.
    Speed(Duration),
    /// Go to a moment.
    Go(Duration),
    /// Undo the last action.
    Undo,
    /// Open another topology.
    Open(Topology),
    /// Show the ledger of writes.
    Ledger,
    /// Open the inspector of a body, by its name.
    Inspect(String),
    /// Show the files of a body's host, or one of them.
    Files(String, Option<String>),
}

/// The meta-commands of the page itself, with their syntax. [`ACTION_USAGES`] has the others.
pub(crate) const OWN: &[(&str, &str)] = &[
    ("help", "help"),
    ("play", "play"),
    ("stop", "stop"),
    ("speed", "speed <time>"),
    ("go", "go <time>"),
    ("undo", "undo"),
    ("open", "open <topology>"),
    ("ledger", "ledger"),
    ("inspect", "inspect <node>"),
    ("files", "files <node> [<path>]"),
];

/// Parses a line, with or without its colon.
pub(crate) fn parse(line: &str) -> Result<Meta, ActionError> {
    let line = line.trim().trim_start_matches(':').trim();
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match (verb, rest) {
        ("help" | "?", _) => Ok(Meta::Help),
        ("play", "") => Ok(Meta::Play),
        ("stop", "") => Ok(Meta::Stop),
        ("undo", "") => Ok(Meta::Undo),
        ("speed", _) => time(rest, "speed 10ms").map(Meta::Speed),
        ("go", _) => time(rest, "go 1.5s").map(Meta::Go),
        ("ledger", "") => Ok(Meta::Ledger),
        ("open", name) => Topology::named(name).map(Meta::Open).ok_or_else(|| {
            let example = "open replicas-2";
            ActionError::Invalid { what: "a topology", value: name.to_owned(), example }
        }),
        ("inspect", name) if !name.is_empty() => Ok(Meta::Inspect(name.to_owned())),
        ("files", names) if !names.is_empty() => {
            let (node, path) = names.split_once(char::is_whitespace).unwrap_or((names, ""));
            let path = Some(path.trim().to_owned()).filter(|path| !path.is_empty());
            Ok(Meta::Files(node.to_owned(), path))
        }
        _ => line.parse().map(Meta::Act).map_err(|error| match error {
            ActionError::UnknownAction { verb, .. } => {
                let known = [OWN, ACTION_USAGES].concat();
                let nearest = nearest_verb(&verb, &known).unwrap_or("help");
                ActionError::UnknownAction { verb, nearest }
            }
            error => error,
        }),
    }
}

fn time(text: &str, example: &'static str) -> Result<Duration, ActionError> {
    // Uses the parser of a timed action, which begins with a time.
    let timed = format!("{text} heal").parse::<Timed>();
    timed.map(|timed| Duration::from_nanos(timed.at.0)).map_err(|_| ActionError::Invalid {
        what: "a time",
        value: text.to_owned(),
        example,
    })
}

/// The lines that Tab offers as completions of a meta-command.
pub(crate) fn complete(line: &str, names: &[String]) -> Vec<String> {
    let typed = line.trim_start_matches(':');
    let Some((verb, rest)) = typed.split_once(' ') else {
        let verbs = OWN.iter().chain(ACTION_USAGES).map(|(verb, _)| *verb);
        return verbs.filter(|verb| verb.starts_with(typed)).map(|v| format!(":{v} ")).collect();
    };
    if verb == "open" {
        let fits = Topology::all().map(Topology::name).filter(|name| name.starts_with(rest));
        return fits.map(|name| format!(":open {name}")).collect();
    }
    // Names may be in lists, so the word being typed begins after a space, a comma or a bar.
    let at = rest.rfind([' ', ',', '|']).map_or(0, |at| at + 1);
    let (kept, begun) = rest.split_at(at);
    let fits = names.iter().filter(|name| name.starts_with(begun) && *name != begun);
    fits.map(|name| format!(":{verb} {kept}{name}")).collect()
}

/// The hint for what may follow, shown in grey.
pub(crate) fn hint(line: &str) -> Option<String> {
    let typed = line.trim_start_matches(':');
    let verb = typed.split_whitespace().next()?;
    let (_, usage) = OWN.iter().chain(ACTION_USAGES).find(|(known, _)| *known == verb)?;
    let words = typed.split_whitespace().count();
    let left: Vec<&str> = usage.split_whitespace().skip(words).collect();
    let space = if typed.ends_with(' ') { "" } else { " " };
    (!left.is_empty()).then(|| format!("{space}{}", left.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_commands_are_understood() {
        assert_eq!(
            parse(":crash redis-1"),
            Ok(Meta::Act(Action::Crash { host: "redis-1".into() }))
        );
        assert_eq!(parse(": help"), Ok(Meta::Help));
        assert_eq!(parse(":speed 10ms"), Ok(Meta::Speed(Duration::from_millis(10))));
        assert_eq!(
            parse(":open chain-3"),
            Ok(Meta::Open(Topology::named("chain-3").expect("a topology")))
        );
        let files = Meta::Files("redis-1".into(), Some("/data/dump.rdb".into()));
        assert_eq!(parse(":files redis-1 /data/dump.rdb"), Ok(files));
        assert!(matches!(parse(":speed fast"), Err(ActionError::Invalid { .. })));
        for (typed, meant) in [(":crahs redis-1", "crash"), (":hel", "help"), (":ledgr", "ledger")]
        {
            let error = parse(typed).expect_err(typed);
            assert!(error.to_string().ends_with(&format!("did you mean '{meant}'?")), "{error}");
        }
    }

    #[test]
    fn tab_completes_verbs_and_names() {
        let names = ["redis-1".to_owned(), "redis-2".to_owned(), "app-1".to_owned()];
        assert_eq!(complete(":cr", &names), [":crash "]);
        assert_eq!(complete(":open ch", &names), [":open chain-3"]);
        assert_eq!(complete(":crash re", &names), [":crash redis-1", ":crash redis-2"]);
        assert_eq!(complete(":partition redis-1,a", &names), [":partition redis-1,app-1"]);
    }

    #[test]
    fn what_is_missing_is_shown() {
        assert_eq!(hint(":latency a").as_deref(), Some(" <host> <time> [<jitter>]"));
        assert_eq!(hint(":crash ").as_deref(), Some("<host>"));
        assert_eq!(hint(":crash redis-1"), None);
        assert_eq!(hint(":nonsense"), None);
    }
}
