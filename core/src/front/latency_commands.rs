//! The LATENCY command: recorded spikes, and latency histograms of commands.

use super::latency::{Analysis, Sample, Series};
use super::stats::Histogram;
use super::{Call, Command, Front, Handler, Rows, Service, container, row};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};

impl<S: Service> Rows<S> {
    /// LATENCY.
    pub(crate) const LATENCY: &'static [Row<Handler<S>>] =
        &[row(Group::Server, "latency", -2, container)
            .since("2.8.13")
            .complexity("That of the subcommand.")
            .summary("A container for commands on latency.")
            .subcommands(Self::LATENCY_SUBCOMMANDS)];

    const LATENCY_SUBCOMMANDS: &'static [Row<Handler<S>>] = &[
        report("doctor", 2, doctor).since("2.8.13").summary("Explains the spikes, and what helps."),
        report("graph", 3, graph)
            .since("2.8.13")
            .summary("Draws the spikes of an event.")
            .syntax("event"),
        row(Group::Server, "help", 2, help)
            .flags(flag::LOADING | flag::STALE)
            .since("2.8.13")
            .summary("Tells what the subcommands do."),
        report("histogram", -2, histogram)
            .since("7.0.0")
            .complexity("O(N), N being the number of commands that are told of.")
            .summary("Tells how the times that commands took are distributed.")
            .syntax("[command ...]"),
        report("history", 3, history)
            .since("2.8.13")
            .summary("Lists the spikes of an event.")
            .syntax("event"),
        report("latest", 2, latest)
            .since("2.8.13")
            .summary("Tells the newest and the longest spike of each event."),
        row(Group::Server, "reset", -2, reset)
            .flags(ADMIN)
            .since("2.8.13")
            .summary("Forgets the spikes of events, of all if none is named.")
            .syntax("[event ...]")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    ];
}

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;

const fn report<S: Service>(
    name: &'static str,
    arity: i16,
    handler: Handler<S>,
) -> Row<Handler<S>> {
    row(Group::Server, name, arity, handler).flags(ADMIN).tips(&[
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ])
}

fn latest<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let events = front.latency.events();
    let mut reply = call.reply();
    reply.array(events.len());
    for (name, series) in events {
        let Sample { at, millis } = series.last().unwrap_or(Sample { at: 0, millis: 0 });
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.integer(at as i64);
        reply.integer(millis as i64);
        reply.integer(series.max() as i64);
    }
    Ok(())
}

fn history<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let series = front.latency.event(call.arg(2)).cloned().unwrap_or_default();
    let samples = series.samples();
    let mut reply = call.reply();
    reply.array(samples.len());
    for Sample { at, millis } in samples {
        reply.array(2);
        reply.integer(at as i64);
        reply.integer(millis as i64);
    }
    Ok(())
}

fn reset<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let count = if call.args.len() == 2 {
        front.latency.reset_all()
    } else {
        call.args.from(2).iter().filter(|name| front.latency.reset(name)).count()
    };
    call.reply().integer(count as i64);
    Ok(())
}

fn graph<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let name = call.arg(2);
    let Some(series) = front.latency.event(name) else {
        return Err(CommandError::quoting("ERR No samples available for event '", name, "'"));
    };
    let (low, high) = series.range();
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        String::from_utf8_lossy(name),
        series.max(),
        "-".repeat(COLUMNS)
    );
    let samples: Vec<Sample> = series.samples().collect();
    for part in samples.chunks(COLUMNS) {
        draw(part, (low, high), call.now.wall.as_secs(), &mut text);
    }
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// Columns of a graph, one per sample.
const COLUMNS: usize = 80;

/// Lines of a graph, and the marks within one line, from low to high.
const LINES: u64 = 4;
const MARKS: [char; 3] = ['_', 'o', '#'];

/// Draws samples as columns scaled between `low` and `high`, with the age of each below.
fn draw(samples: &[Sample], (low, high): (u64, u64), now: u64, text: &mut String) {
    let marks = MARKS.len() as u64;
    let levels = LINES * marks;
    let level = |sample: &Sample| {
        let height = sample.millis.saturating_sub(low) * levels / (high - low).max(1);
        height.min(levels - 1)
    };
    for line in (0..LINES).rev() {
        text.extend(samples.iter().map(|sample| match level(sample) {
            level if level < line * marks => ' ',
            level if level >= (line + 1) * marks => '|',
            level => MARKS[(level - line * marks) as usize],
        }));
        text.push('\n');
    }
    let ages: Vec<Vec<char>> =
        samples.iter().map(|s| age(now.saturating_sub(s.at)).chars().collect()).collect();
    let longest = ages.iter().map(Vec::len).max().unwrap_or_default();
    text.extend(ages.iter().map(|_| ' '));
    text.push('\n');
    for at in 0..longest {
        text.extend(ages.iter().map(|age| age.get(at).copied().unwrap_or(' ')));
        text.push('\n');
    }
}

/// A duration in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Advice for LATENCY DOCTOR, by prefixes of event names.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["command", "fast-command"],
        "SLOWLOG GET tells which commands were slow. Those that walk through large collections \
         (KEYS, SMEMBERS, LRANGE 0 -1, SORT, long scripts) can be replaced by their SCAN variants, \
         by smaller ranges, or asked of a replica.",
    ),
    (
        &["expire-cycle"],
        "Many keys expire at the same time. Spread their expiry times by a random amount.",
    ),
    (
        &["eviction-cycle"],
        "maxmemory is reached and keys have to go before commands are carried out. Raise \
         maxmemory, or let keys expire before that.",
    ),
    (
        &["aof-write", "aof-write-alone", "aof-write-pending-fsync", "aof-write-active-child"],
        "Writing to the append-only file is slow. Look for other programs that use the same disk, \
         or give the file a faster one.",
    ),
    (
        &["aof-fsync-always"],
        "With appendfsync always every write waits for the disk. If a second may be lost, \
         appendfsync everysec does not.",
    ),
];

fn doctor<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let text = diagnosis(front, call);
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn diagnosis<S: Service>(front: &Front<S>, call: &Call<'_, S>) -> String {
    let threshold = front.settings().latency_monitor_threshold;
    let events: Vec<(&str, &Series)> = front.latency.events().collect();
    if events.is_empty() {
        return if threshold == 0 {
            "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns \
             it on; what takes longer is noted from then on."
                .into()
        } else {
            format!("No spike of {threshold} ms or more was seen. All is well.\n")
        };
    }
    let mut text = String::from("Latency spikes were seen:\n\n");
    for (at, (name, series)) in events.iter().enumerate() {
        let Analysis { spikes, mean, deviation, period, max } = series.analysis(call.now.wall);
        text.push_str(&format!(
            "{}. {name}: {spikes} latency spikes (average {mean}ms, mean deviation {deviation}ms, \
             period {period:.2} sec). Worst all time event {max}ms.\n",
            at + 1
        ));
    }
    text.push_str("\nWhat may help:\n\n");
    for (names, advice) in ADVICE {
        if events.iter().any(|(event, _)| names.contains(event)) {
            text.push_str(&format!("- {advice}\n"));
        }
    }
    if threshold == 0 {
        text.push_str(
            "- The latency monitor is off now: latency-monitor-threshold is 0. What is told here \
             was seen before.\n",
        );
    }
    text
}

fn histogram<S: Service>(front: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    let mut commands: Vec<&'static Command<S>> = Vec::new();
    if call.args.len() == 2 {
        commands.extend(S::table().all());
    }
    for name in call.args.from(2).iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if let Some(command) = S::table().by_name(&name) {
            commands.push(command);
            commands.extend(S::table().subcommands(command));
        }
    }
    let counted: Vec<(&'static str, &Histogram)> = commands
        .into_iter()
        .filter_map(|command| {
            let stats = front.stats.commands().get(usize::from(command.id))?;
            Some((command.name.as_str(), stats.histogram.as_deref()?))
        })
        .collect();
    let mut reply = call.reply();
    reply.map(counted.len());
    for (name, histogram) in counted {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(histogram.count() as i64);
        reply.bulk(b"histogram_usec");
        let classes = histogram.cumulative();
        reply.map(classes.len());
        for (nanos, count) in classes {
            reply.integer((nanos / 1000) as i64);
            reply.integer(count as i64);
        }
    }
    Ok(())
}

fn help<S: Service>(_: &mut Front<S>, call: &mut Call<'_, S>) -> Result<(), CommandError> {
    call.reply().help(
        "LATENCY",
        &[
            "DOCTOR",
            "    Explain the spikes that were seen, and what helps against them.",
            "GRAPH <event>",
            "    Draw the spikes of an event.",
            "HISTORY <event>",
            "    List the spikes of an event: when, and how many milliseconds.",
            "LATEST",
            "    Tell of each event when the newest spike was, how long it was, and how long the",
            "    longest.",
            "RESET [<event> ...]",
            "    Forget the spikes of these events, or of all.",
            "HISTOGRAM [<command> ...]",
            "    Tell how many calls of these commands, or of all, took no longer than so many",
            "    microseconds.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_drawn_as_redis_draws_it() {
        let samples = [(100, 51), (190, 307), (195, 100), (198, 200)];
        let samples = samples.map(|(at, millis)| Sample { at, millis });
        let mut text = String::new();
        draw(&samples, (51, 307), 200, &mut text);
        assert_eq!(text, " #  \n | _\n | |\n_|#|\n    \n1152\nm0ss\n s  \n");
    }
}
