//! The commands of a Sentinel: SENTINEL, and commands that differ from those of a server.

use std::sync::OnceLock;

use super::hello::CHANNEL;
use super::master::Master;
use super::scripts::JobState;
use super::service::{Answer, SentinelServer, SentinelService};
use super::{Sentinel, SimulatedFailure};
use crate::command::meta::{acl, flag};
use crate::command::{CommandError, Group, Row};
use crate::front::table::Groups;
use crate::front::{self, Rows, Table, container, row};
use crate::resp::number::parse_i64;
use crate::resp::reply::Reply;
use crate::time::{Duration, Mono};

type Call<'a> = front::Call<'a, SentinelService>;
type Handler = front::Handler<SentinelService>;
type Result = core::result::Result<(), CommandError>;

/// Commands of the front that a Sentinel has. It has no CONFIG but SENTINEL CONFIG and SENTINEL
/// SET, and publishes nothing but events.
const FRONT_COMMANDS: [&str; 16] = [
    "acl",
    "auth",
    "hello",
    "ping",
    "quit",
    "client",
    "command",
    "info",
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "shutdown",
    "sentinel",
    "role",
    "publish",
];

/// A Sentinel's PUBLISH replaces that of the front.
const GROUPS: Groups<SentinelService> = &[
    Rows::<SentinelService>::CONNECTION,
    Rows::<SentinelService>::ACL,
    Rows::<SentinelService>::CLIENT,
    Rows::<SentinelService>::COMMAND,
    Rows::<SentinelService>::INFO,
    Rows::<SentinelService>::PUBSUB,
    Rows::<SentinelService>::SHUTDOWN,
    ROWS,
];

/// The command table of a Sentinel.
pub(super) fn table() -> &'static Table<SentinelService> {
    static TABLE: OnceLock<Table<SentinelService>> = OnceLock::new();
    // As in Redis, commands on keys do not exist.
    let offered = |name: &str| match name.contains('|') {
        true => name != "client|no-touch",
        false => FRONT_COMMANDS.contains(&name),
    };
    TABLE.get_or_init(|| Table::selected(&[], GROUPS, offered))
}

const ADMIN: u32 = flag::ADMIN;

/// The commands of a Sentinel's own.
static ROWS: &[Row<Handler>] = &[
    row(Group::Sentinel, "sentinel", -2, container)
        .flags(ADMIN)
        .since("2.8.4")
        .complexity("That of the subcommand.")
        .summary("A container for the commands of Sentinel.")
        .subcommands(SENTINEL),
    row(Group::Server, "role", 1, role)
        .flags(flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST)
        .acl(acl::DANGEROUS)
        .since("2.8.12")
        .summary("Returns the role sentinel, and the names of the monitored masters."),
    row(Group::Pubsub, "publish", 3, publish)
        .flags(flag::PUBSUB | flag::LOADING | flag::STALE | flag::FAST)
        .since("2.0.0")
        .summary("Accepts a hello message of another Sentinel.")
        .syntax("channel message"),
];

const SENTINEL: &[Row<Handler>] = &[
    sub("ckquorum", 3, ckquorum, "2.8.4")
        .summary("Checks whether enough Sentinels are reachable for a failover.")
        .syntax("master-name"),
    sub("config", -4, config, "6.2.0")
        .summary("Shows or sets options of the Sentinel itself.")
        .syntax(
            "<action: SET <param: parameter value [parameter value ...]> | GET <parameter: parameter [parameter ...]>>",
        ),
    sub("debug", -2, debug, "7.0.0")
        .summary("Shows or sets the time constants.")
        .syntax("[<data: parameter value> ...]"),
    sub("failover", 3, failover, "2.8.4")
        .summary("Starts a failover without asking the other Sentinels.")
        .syntax("master-name"),
    sub("flushconfig", 2, flushconfig, "2.8.4").summary("Writes the configuration and the state to the file."),
    sub("get-master-addr-by-name", 3, get_master_addr, "2.8.4")
        .summary("Returns the address of a master.")
        .syntax("master-name"),
    sub("help", 2, help, "6.2.0").summary("Describes the subcommands."),
    sub("info-cache", -3, info_cache, "3.2.0")
        .summary("Returns the last INFO of masters and their replicas.")
        .syntax("nodename [nodename ...]"),
    sub("is-master-down-by-addr", 6, is_master_down, "2.8.4")
        .summary("Returns whether this Sentinel considers a master to be down, and its vote.")
        .syntax("ip port current-epoch runid"),
    sub("master", 3, master, "2.8.4")
        .summary("Describes a master.")
        .syntax("master-name"),
    sub("masters", 2, masters, "2.8.4").summary("Describes all masters."),
    sub("monitor", 6, monitor, "2.8.4")
        .summary("Starts to monitor a master.")
        .syntax("name ip port quorum"),
    sub("myid", 2, myid, "6.2.0").summary("Returns the ID of the Sentinel."),
    sub("pending-scripts", 2, pending_scripts, "2.8.4").summary("Shows the queue of scripts."),
    sub("remove", 3, remove, "2.8.4")
        .summary("Removes a master, which is then not monitored any more.")
        .syntax("master-name"),
    sub("replicas", 3, replicas, "5.0.0")
        .summary("Describes the replicas of a master.")
        .syntax("master-name"),
    sub("reset", 3, reset, "2.8.4")
        .summary("Forgets the replicas and Sentinels discovered for the masters that match.")
        .syntax("pattern"),
    sub("sentinels", 3, sentinels, "2.8.4")
        .summary("Describes the other Sentinels of a master.")
        .syntax("master-name"),
    sub("set", -5, set, "2.8.4")
        .summary("Sets options of a master.")
        .syntax("master-name <data: option value> ..."),
    sub("simulate-failure", -3, simulate_failure, "3.2.0")
        .summary("Makes the Sentinel crash in a failover.")
        .syntax("[mode ...]"),
    sub("slaves", 3, replicas, "2.8.0")
        .summary("Describes the replicas of a master.")
        .syntax("master-name")
        .deprecated("5.0.0", "`SENTINEL REPLICAS`"),
];

const fn sub(
    name: &'static str,
    arity: i16,
    handler: Handler,
    since: &'static str,
) -> Row<Handler> {
    row(Group::Sentinel, name, arity, handler).flags(ADMIN).since(since)
}

const NO_MASTER: CommandError = CommandError::text("ERR No such master with that name");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An error with Redis's text. Some texts include their code.
fn error(words: &str) -> CommandError {
    let coded = words.starts_with("INPROG") || words.starts_with("NOGOODSLAVE");
    CommandError::composed(if coded { words.to_owned() } else { format!("ERR {words}") })
}

/// The master with the name in the first argument.
fn named<'f>(
    front: &'f SentinelServer,
    call: &Call<'_>,
) -> core::result::Result<&'f Master, CommandError> {
    front.service.sentinel.master(call.arg(2)).ok_or(NO_MASTER)
}

/// Replies with an array of the descriptions of several instances.
fn describe_all<T>(
    call: &mut Call<'_>,
    all: impl IntoIterator<Item = T>,
    describe: impl Fn(Mono, T, &mut Reply<'_>),
) -> Result {
    let (now, all) = (call.now.mono, all.into_iter().collect::<Vec<T>>());
    let mut reply = call.reply();
    reply.array(all.len());
    all.into_iter().for_each(|one| describe(now, one, &mut reply));
    Ok(())
}

fn masters(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let sentinel = &front.service.sentinel;
    describe_all(call, sentinel.masters(), |now, master, reply| {
        sentinel.describe_master(now, master, reply);
    })
}

fn master(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let master = named(front, call)?;
    let now = call.now.mono;
    front.service.sentinel.describe_master(now, master, &mut call.reply());
    Ok(())
}

fn replicas(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let (sentinel, master) = (&front.service.sentinel, named(front, call)?);
    let announced = master.replicas.values().filter(|replica| replica.report.announced);
    describe_all(call, announced, |now, replica, reply| {
        sentinel.describe_replica(now, master, replica, reply);
    })
}

fn sentinels(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let (sentinel, master) = (&front.service.sentinel, named(front, call)?);
    describe_all(call, master.sentinels.values(), |now, other, reply| {
        sentinel.describe_sentinel(now, other, reply);
    })
}

fn get_master_addr(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let sentinel = &front.service.sentinel;
    let found = sentinel.master(call.arg(2)).map(|master| master.current_addr());
    let found = found.map(|addr| (sentinel.common.host(addr), addr.port));
    let mut reply = call.reply();
    match found {
        None => reply.null_array(),
        Some((host, port)) => {
            reply.array(2);
            reply.bulk(host.as_bytes());
            reply.bulk_integer(i64::from(port));
        }
    }
    Ok(())
}

fn myid(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    call.reply().bulk(front.service.sentinel.id().as_bytes());
    Ok(())
}

fn is_master_down(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let port = parse_i64(call.arg(3)).ok_or(CommandError::NotAnInteger)?;
    let epoch = parse_i64(call.arg(4)).ok_or(CommandError::NotAnInteger)?;
    let (host, candidate) = (text(call.arg(2)), text(call.arg(5)));
    let candidate = (candidate != "*").then_some(candidate.as_str());
    let port = u16::try_from(port).unwrap_or(0);
    let epoch = u64::try_from(epoch).unwrap_or(0);
    let sentinel = &mut front.service.sentinel;
    let verdict = sentinel.is_master_down(&host, port, epoch, candidate);
    match &verdict.ballot {
        Some(ballot) if !sentinel.is_saved(ballot.state) => {
            let state = ballot.state;
            front.service.answer_when_saved(state, call.client, Answer::Verdict(verdict));
        }
        _ => sentinel.write_down_reply(&verdict, &mut call.reply()),
    }
    Ok(())
}

impl Sentinel {
    /// Replies whether this Sentinel considers the master to be down, and with its vote if that may
    /// be sent.
    pub(super) fn write_down_reply(&self, verdict: &super::DownReply, reply: &mut Reply<'_>) {
        let ballot = verdict.ballot.as_ref().and_then(|_| self.ballot(&verdict.master));
        reply.array(3);
        reply.integer(i64::from(verdict.down));
        let leader = ballot.as_ref().and_then(|ballot| ballot.leader.as_deref());
        reply.bulk(leader.unwrap_or("*").as_bytes());
        let epoch = ballot.map_or(0, |ballot| ballot.epoch);
        reply.integer(i64::try_from(epoch).unwrap_or(i64::MAX));
    }
}

fn reset(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let count = front.service.sentinel.reset(call.arg(2));
    call.reply().integer(count as i64);
    Ok(())
}

fn failover(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    front.service.sentinel.failover(call.arg(2)).map_err(error)?;
    call.ok()
}

fn monitor(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let number = |at, what| parse_i64(call.arg(at)).ok_or(CommandError::text(what));
    let quorum = number(5, "ERR Invalid quorum")?;
    let port = number(4, "ERR Invalid port")?;
    let (name, host) = (text(call.arg(2)), text(call.arg(3)));
    let sentinel = &mut front.service.sentinel;
    if quorum > 0 && sentinel.addr(&host, 1).is_err() {
        return Err(CommandError::text("ERR Invalid IP address or hostname specified"));
    }
    sentinel.monitor(&name, &host, port, quorum).map_err(error)?;
    sentinel.publish_monitored(name.as_bytes());
    save_and_answer(front, call);
    Ok(())
}

fn remove(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    if !front.service.sentinel.remove(call.arg(2)) {
        return Err(NO_MASTER);
    }
    save_and_answer(front, call);
    Ok(())
}

fn flushconfig(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    save_and_answer(front, call);
    Ok(())
}

/// Replies with OK once the state is on disk.
fn save_and_answer(front: &mut SentinelServer, call: &mut Call<'_>) {
    let state = front.service.sentinel.save();
    front.service.answer_when_saved(state, call.client, Answer::Ok);
}

fn ckquorum(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let (usable, quorum, majority) = named(front, call)?.usable_sentinels();
    if quorum && majority {
        let line = format!(
            "OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
        );
        call.reply().simple(&line);
        return Ok(());
    }
    let mut reasons = Vec::new();
    if !quorum {
        reasons
            .push("Not enough available Sentinels to reach the specified quorum for this master");
    }
    if !majority {
        reasons
            .push("Not enough available Sentinels to reach the majority and authorize a failover");
    }
    let reasons = reasons.join(". ");
    Err(CommandError::composed(format!("NOQUORUM {usable} usable Sentinels. {reasons}")))
}

fn set(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    named(front, call)?;
    let words: Vec<&[u8]> = call.args.from(3).iter().collect();
    let scripts = front.service.sentinel.scripts_to_set(&words);
    if !scripts.is_empty() {
        front.check_scripts(call.client, call.args.from(2), scripts);
        return Ok(());
    }
    let outcome = front.service.sentinel.set(call.arg(2), &words, &|_| false);
    let state = outcome.changed.then(|| front.service.sentinel.save());
    match (outcome.error, state) {
        (Some(error), _) => return Err(CommandError::composed(error)),
        (None, Some(state)) => {
            front.service.answer_when_saved(state, call.client, Answer::Ok);
        }
        (None, None) => save_and_answer(front, call),
    }
    Ok(())
}

fn config(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let action = call.arg(2).to_ascii_lowercase();
    match action.as_slice() {
        b"set" if call.args.len() >= 5 => config_set(front, call),
        b"get" => config_get(front, call),
        _ => Err(CommandError::text(
            "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...]/ SET <param> <value> \
             [<param> <value> ...] are supported.",
        )),
    }
}

fn config_set(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let words: Vec<&[u8]> = call.args.from(3).iter().collect();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let levels: [&[u8]; 5] = [b"debug", b"verbose", b"notice", b"warning", b"nothing"];
    let is_level = |option: &[u8]| option.eq_ignore_ascii_case(b"loglevel");
    for pair in words.chunks(2) {
        let option = pair[0];
        let shown = text(option);
        let value = pair.get(1).copied();
        let good = match is_level(option) {
            true => Some(value.is_some_and(|v| levels.iter().any(|l| l.eq_ignore_ascii_case(v)))),
            false => Sentinel::check_config(option, value.unwrap_or_default()),
        };
        let Some(good) = good else {
            return Err(error(&format!("Invalid argument '{shown}' to SENTINEL CONFIG SET")));
        };
        if seen.contains(&option.to_ascii_lowercase()) {
            return Err(error(&format!("Duplicate argument '{shown}' to SENTINEL CONFIG SET")));
        }
        seen.push(option.to_ascii_lowercase());
        let Some(value) = value else {
            return Err(error(&format!("Missing argument '{shown}' value")));
        };
        if !good {
            let value = text(value);
            let words = format!("Invalid value '{value}' to SENTINEL CONFIG SET '{shown}'");
            return Err(error(&words));
        }
    }
    for pair in words.chunks_exact(2) {
        if is_level(pair[0]) {
            let level = pair[1].to_ascii_lowercase();
            let config = std::sync::Arc::make_mut(&mut front.config);
            config.set("loglevel", &level).map_err(|why| error(&why.0))?;
        } else {
            front.service.sentinel.set_config(pair[0], pair[1]);
        }
    }
    save_and_answer(front, call);
    Ok(())
}

fn config_get(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let patterns: Vec<&[u8]> = call.args.from(3).iter().collect();
    let mut found = front.service.sentinel.get_config(&patterns);
    if patterns.iter().any(|p| crate::glob::matches_ignoring_case(p, b"loglevel")) {
        found.push(("loglevel", text(front.config.get("loglevel").unwrap_or_default())));
    }
    let mut reply = call.reply();
    reply.map(found.len());
    for (option, value) in found {
        reply.bulk(option.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn info_cache(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let sentinel = &front.service.sentinel;
    let now = call.now.mono;
    let wanted: Vec<&[u8]> = call.args.from(2).iter().collect();
    let masters: Vec<_> =
        sentinel.masters().filter(|master| wanted.contains(&master.name().as_bytes())).collect();
    let mut reply = call.reply();
    reply.array(masters.len() * 2);
    for master in masters {
        reply.bulk(master.name().as_bytes());
        let replicas = master.replicas.values().map(|replica| &replica.report);
        let reports = core::iter::once(&master.report).chain(replicas);
        reply.array(master.replicas.len() + 1);
        for report in reports {
            let age = report.refreshed.map_or(Duration::ZERO, |at| now.since(at));
            reply.array(2);
            reply.integer(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            match &report.text {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

fn pending_scripts(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let now = call.now.mono;
    let jobs = front.service.sentinel.scripts().jobs();
    let mut reply = call.reply();
    reply.array(jobs.len());
    for job in jobs {
        reply.map(5);
        reply.bulk(b"argv");
        reply.array(job.argv.len());
        job.argv.iter().for_each(|word| reply.bulk(word.as_bytes()));
        let (flags, pid, time, ms) = match job.state {
            JobState::Running { since, pid, .. } => {
                ("running", pid.unwrap_or_default(), "run-time", now.since(since))
            }
            JobState::Scheduled(at) => {
                ("scheduled", 0, "run-delay", at.map_or(Duration::ZERO, |at| at.since(now)))
            }
        };
        reply.bulk(b"flags");
        reply.bulk(flags.as_bytes());
        reply.bulk(b"pid");
        reply.bulk_integer(i64::from(pid));
        reply.bulk(time.as_bytes());
        reply.bulk_integer(i64::try_from(ms.as_millis()).unwrap_or(i64::MAX));
        reply.bulk(b"retry-num");
        reply.bulk_integer(i64::from(job.tries));
    }
    Ok(())
}

fn simulate_failure(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let mut failure = SimulatedFailure::default();
    for mode in call.args.from(2).iter() {
        match mode.to_ascii_lowercase().as_slice() {
            b"crash-after-election" => failure.after_election = true,
            b"crash-after-promotion" => failure.after_promotion = true,
            b"help" => {
                let mut reply = call.reply();
                reply.array(2);
                reply.bulk(b"crash-after-election");
                reply.bulk(b"crash-after-promotion");
                return Ok(());
            }
            _ => return Err(CommandError::text("ERR Unknown failure simulation specified")),
        }
    }
    front.service.sentinel.simulate(failure);
    call.ok()
}

fn debug(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let periods = front.service.sentinel.periods_mut();
    if call.args.len() == 2 {
        let list = periods.list();
        let mut reply = call.reply();
        reply.map(list.len());
        for (name, value) in list {
            reply.bulk(name.as_bytes());
            reply.bulk_integer(i64::try_from(value.as_millis()).unwrap_or(i64::MAX));
        }
        return Ok(());
    }
    let words: Vec<&[u8]> = call.args.from(2).iter().collect();
    for pair in words.chunks(2) {
        let [option, value] = pair else { return Err(unknown_period(pair[0])) };
        let Some(period) = periods.get_mut(option) else { return Err(unknown_period(option)) };
        let ms = parse_i64(value).filter(|ms| *ms > 0).ok_or_else(|| {
            let (value, option) = (text(value), text(option));
            error(&format!("Invalid argument '{value}' for SENTINEL DEBUG '{option}'"))
        })?;
        *period = Duration::from_millis(ms.unsigned_abs());
    }
    call.ok()
}

fn unknown_period(option: &[u8]) -> CommandError {
    let option = text(option);
    error(&format!("Unknown option or number of arguments for SENTINEL DEBUG '{option}'"))
}

fn role(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    let masters = front.service.sentinel.masters();
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk(b"sentinel");
    reply.array(masters.len());
    for master in masters {
        reply.bulk(master.name().as_bytes());
    }
    Ok(())
}

fn publish(front: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    if call.arg(1) != CHANNEL.as_bytes() {
        return Err(CommandError::text(
            "ERR Only HELLO messages are accepted by Sentinel instances.",
        ));
    }
    front.service.sentinel.hello(call.arg(2));
    call.reply().integer(1);
    Ok(())
}

fn help(_: &mut SentinelServer, call: &mut Call<'_>) -> Result {
    call.reply().help(
        "SENTINEL",
        &[
            "CKQUORUM <master-name>",
            "    Check whether enough Sentinels are reachable for the quorum, and for the majority that",
            "    a failover needs.",
            "CONFIG SET param value [param value ...]",
            "    Set options of this Sentinel.",
            "CONFIG GET <param> [param param param ...]",
            "    Show options of this Sentinel.",
            "DEBUG [<param> <value> ...]",
            "    Show the time constants in milliseconds, or set some of them.",
            "GET-MASTER-ADDR-BY-NAME <master-name>",
            "    Return the IP address and the port of a master.",
            "FAILOVER <master-name>",
            "    Start a failover without asking the other Sentinels.",
            "FLUSHCONFIG",
            "    Write the configuration and the state to the file.",
            "INFO-CACHE <master-name>",
            "    Return the last INFO of masters and their replicas.",
            "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
            "    Return whether this Sentinel considers a master to be down, and its vote.",
            "MASTER <master-name>",
            "    Describe a master.",
            "MASTERS",
            "    Describe all masters.",
            "MONITOR <name> <ip> <port> <quorum>",
            "    Start to monitor a master.",
            "MYID",
            "    Return the ID of this Sentinel.",
            "PENDING-SCRIPTS",
            "    Show the queue of scripts.",
            "REMOVE <master-name>",
            "    Remove a master, which is then not monitored any more.",
            "REPLICAS <master-name>",
            "    Describe the replicas of a master.",
            "RESET <pattern>",
            "    Forget the replicas and Sentinels discovered for the masters whose names match.",
            "SENTINELS <master-name>",
            "    Describe the other Sentinels that monitor a master.",
            "SET <master-name> <option> <value> [<option> <value> ...]",
            "    Set options of a master.",
            "SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
            "    Make this Sentinel crash in its next failover.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_offers_what_it_can_do_and_nothing_else() {
        for name in FRONT_COMMANDS {
            assert!(table().by_name(name).is_some(), "{name}");
        }
        for name in [
            "get",
            "set",
            "config",
            "echo",
            "select",
            "monitor",
            "spublish",
            "slowlog",
            "client|no-touch",
        ] {
            assert!(table().by_name(name).is_none(), "{name}");
        }
        assert!(table().by_name("sentinel|is-master-down-by-addr").is_some());
    }
}
