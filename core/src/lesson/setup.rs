//! The World of a lesson: a topology of the lab, or hosts described in the file.

use std::net::Ipv4Addr;

use crate::lab;
use crate::sim::{HostSpec, LinkSpec, ProcessSpec, Scenario};
use crate::time::Duration;

use super::error::LessonError;
use super::yaml::{Map, Node};

/// The host of the person's redis-cli terminals.
pub(super) const DESK: &str = "you";
/// The maximum number of hosts.
const MAX_HOSTS: usize = 64;
/// The maximum of `warm-up`.
const MAX_WARM_UP: Duration = Duration::from_secs(60);

/// The maximum of `latency`.
const MAX_LATENCY: Duration = Duration::from_secs(1);

/// The topologies that a lesson can name, and how many seconds each needs until all nodes are
/// connected.
const TOPOLOGIES: &[(&str, MakeScenario, u64)] = &[
    ("server-1", || lab::sandbox(1), 1_000),
    ("servers-3", || lab::sandbox(3), 1_000),
    ("replicas-2", || lab::replicas(2), 4_000),
    ("chain-3", || lab::chain(3), 4_000),
    ("machines-3", || lab::machines(3), 4_000),
    ("sentinels-3", lab::sentinels, 13_000),
    ("sentinels-masters", lab::two_masters, 13_000),
    ("cluster-3-1", || lab::cluster(3, 1), 4_000),
    ("busy-cluster-3-1", || lab::busy_cluster(3, 1), 4_000),
    ("empty-nodes-6", || lab::empty_nodes(6), 1_000),
    ("sharding", lab::sharding, 1_000),
    ("twemproxy", lab::twemproxy, 1_000),
    ("predixy-sentinels", lab::predixy_over_sentinels, 13_000),
    ("predixy-cluster", lab::predixy_over_cluster, 4_000),
];

/// A function that builds a scenario.
type MakeScenario = fn() -> Scenario;

/// The initial World of a lesson.
pub(super) struct Setup {
    pub topology: Option<String>,
    pub scenario: Scenario,
    pub warm_up: Duration,
}

/// Parses `scenario`, `hosts`, `latency` and `warm-up` of the front matter.
pub(super) fn read(front: &Map<'_>) -> Result<Setup, LessonError> {
    let mut setup = match (front.get("scenario"), front.get("hosts")) {
        (Some(name), None) => named(name)?,
        (None, Some(hosts)) => described(hosts)?,
        (Some(node), Some(_)) => {
            let what = "there are both 'scenario' and 'hosts'";
            return Err(LessonError::new(node.line, what, "keep one of them"));
        }
        (None, None) => {
            let what = "neither 'scenario' nor 'hosts' says where the lesson plays";
            return Err(LessonError::new(front.line, what, "add 'scenario: replicas-2' or hosts"));
        }
    };
    // By default, slow enough to be watched, as between two regions.
    let latency = match front.get("latency") {
        Some(node) => duration(node, "latency", MAX_LATENCY)?,
        None => Duration::from_millis(10),
    };
    let jitter = latency * 3 / 10;
    setup.scenario.link = LinkSpec { latency, jitter, ..LinkSpec::default() };
    if let Some(node) = front.get("warm-up") {
        setup.warm_up = duration(node, "warm-up", MAX_WARM_UP)?;
    }
    setup.scenario.hosts.push(HostSpec::new(DESK, Ipv4Addr::new(10, 0, 9, 1)));
    Ok(setup)
}

/// Parses a duration such as `3s`, up to a maximum.
pub(super) fn duration(node: &Node, what: &str, most: Duration) -> Result<Duration, LessonError> {
    let text = node.text(what)?;
    let time = crate::sim::parse_duration(text).filter(|time| *time <= most);
    time.ok_or_else(|| {
        let what = format!("{what} is '{text}'");
        LessonError::new(node.line, what, format!("write a time such as 3s, up to {most:?}"))
    })
}

fn named(node: &Node) -> Result<Setup, LessonError> {
    let name = node.text("scenario")?;
    let found = TOPOLOGIES.iter().find(|(known, ..)| *known == name);
    let Some((_, scenario, warm_up)) = found else {
        let known: Vec<&str> = TOPOLOGIES.iter().map(|(known, ..)| *known).collect();
        let remedy = format!("scenarios are {}", known.join(", "));
        return Err(LessonError::new(node.line, format!("there is no scenario '{name}'"), remedy));
    };
    Ok(Setup {
        topology: Some(name.to_owned()),
        scenario: scenario(),
        warm_up: Duration::from_millis(*warm_up),
    })
}

fn described(node: &Node) -> Result<Setup, LessonError> {
    let mut hosts: Vec<HostSpec> = Vec::new();
    for item in node.items("hosts")? {
        let map = item.map("a host", &["name", "ip", "files", "run"])?;
        let name_node = map.need("a host", "name")?;
        let name = name_node.text("name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name == DESK || name.len() > 40 || !name.chars().all(plain) {
            let what = format!("a host cannot be called '{name}'");
            let remedy = format!("use letters, digits and '-', and not '{DESK}'");
            return Err(LessonError::new(name_node.line, what, remedy));
        }
        let number = u8::try_from(hosts.len() + 1).unwrap_or(u8::MAX);
        let ip = match map.get("ip") {
            None => Ipv4Addr::new(10, 0, 0, number),
            Some(node) => {
                let text = node.text("ip")?;
                text.parse().map_err(|_| {
                    let what = format!("'{text}' is not an IPv4 address");
                    LessonError::new(node.line, what, "write one such as 10.0.0.1")
                })?
            }
        };
        if hosts.len() >= MAX_HOSTS || hosts.iter().any(|host| host.name == name || host.ip == ip) {
            let what = format!("host '{name}' has a name or an address that is taken");
            return Err(LessonError::new(name_node.line, what, "give it others"));
        }
        let mut host = HostSpec::new(name, ip);
        if let Some(files) = map.get("files") {
            for item in files.items("files")? {
                let file = item.map("a file", &["path", "text"])?;
                let path = file.need("a file", "path")?;
                let place = path.text("path")?;
                if !place.starts_with('/') {
                    let what = format!("the path '{place}' does not begin with '/'");
                    return Err(LessonError::new(path.line, what, "write a whole path"));
                }
                let text = file.need("a file", "text")?.text("text")?;
                host.files.insert(place.to_owned(), text.to_owned());
            }
        }
        if let Some(run) = map.get("run") {
            for item in run.items("run")? {
                let process = process(&host, item)?;
                if host.processes.iter().any(|known| known.name == process.name) {
                    let what = format!("two processes are called '{}'", process.name);
                    return Err(LessonError::new(item.line, what, "give one a 'name'"));
                }
                host.processes.push(process);
            }
        }
        hosts.push(host);
    }
    let scenario = Scenario {
        name: "lesson".into(),
        // 2024-01-01 00:00:00 UTC
        epoch_ms: 1_704_067_200_000,
        hosts,
        link: LinkSpec::default(),
        links: Vec::new(),
        tcp: Default::default(),
    };
    Ok(Setup { topology: None, scenario, warm_up: Duration::from_secs(1) })
}

/// Parses a process: `redis-server /data/redis.conf`, or a map with `command`, `name`, `dir` and
/// `delay`.
fn process(host: &HostSpec, node: &Node) -> Result<ProcessSpec, LessonError> {
    let (command, name, dir, delay) = match &node.kind {
        super::yaml::Kind::Scalar(text) => (text.clone(), None, None, None),
        _ => {
            let map = node.map("a process", &["command", "name", "dir", "delay"])?;
            let command = map.need("a process", "command")?.text("command")?.to_owned();
            let delay = map.get("delay").map(|node| duration(node, "delay", MAX_WARM_UP));
            (command, map.text("name")?, map.text("dir")?, delay.transpose()?)
        }
    };
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else {
        let remedy = "write one such as redis-server /data/redis.conf";
        return Err(LessonError::new(node.line, "a process has no command", remedy));
    };
    let args: Vec<&str> = words.collect();
    let name =
        name.unwrap_or_else(|| format!("{}:{}", host.name, port_or_name(program, &args, host)));
    let mut process = ProcessSpec::new(&name, program, &args);
    if let Some(dir) = dir {
        process.dir = dir;
    } else if let Some((dir, _)) = args.first().and_then(|file| file.rsplit_once('/'))
        && host.files.contains_key(args[0])
    {
        // The working directory is that of the configuration file.
        process.dir = if dir.is_empty() { "/".into() } else { dir.into() };
    }
    process.delay = delay.unwrap_or_default();
    Ok(process)
}

/// The part of a process name that is unique on its host: the port of a server, or the program's
/// name.
fn port_or_name(program: &str, args: &[&str], host: &HostSpec) -> String {
    let usual = match program {
        "redis-server" => "6379",
        "redis-sentinel" => "26379",
        other => return other.to_owned(),
    };
    let option = args.iter().position(|arg| *arg == "--port").and_then(|at| args.get(at + 1));
    let file = args.first().and_then(|path| host.files.get(*path));
    let line = file.and_then(|text| text.lines().find_map(|line| line.strip_prefix("port ")));
    option.copied().or(line).map_or(usual, str::trim).to_owned()
}
