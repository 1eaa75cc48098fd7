//! Measures the cost of the append-only file.

use std::path::Path;

use anyhow::Result;

use super::load::{Load, Measured, SET_MILLION, SET_MILLION_PIPED};
use super::server::Server;
use super::verdict::{Findings, Ratio, Verdict, another, over};
use super::{Programs, median, order_of};

/// The highest cost of writing the file with `everysec`, and the longest time of an operation with
/// `always`, as multiples of Redis's.
const GOAL: f64 = 1.0;

/// No file, and the values of `appendfsync`.
const POLICIES: [&str; 4] = ["off", "no", "everysec", "always"];

/// The measurements of a round: of both programs with each policy.
type Round = [[Measured; 2]; POLICIES.len()];

/// Prints the cost of SETs with each policy. Returns the rows that missed their goal.
pub(crate) fn policies(
    programs: &Programs,
    benchmark: &Path,
    rounds: usize,
    quick: bool,
) -> Result<Findings> {
    println!(
        "\nSETs of 1 M keys by redis-benchmark, 50 clients, without an append-only file and with each\n\
         appendfsync. \"costs\" is the CPU that an operation takes besides what it takes without a\n\
         file; of always, which waits for the disk, throughput counts."
    );
    println!(
        "{:28} {:>8} {:>8} {:>6}   {:>8} {:>8} {:>6}",
        "server CPU, µs/op", "Limpid", "Redis", "ratio", "Limpid", "Redis", "kop/s"
    );
    println!("{:28} {:>8} {:>8} {:>6} {:>11} {:>6}", "", "", "", "", "half within", "goal");
    let mut found = Findings::default();
    for load in [SET_MILLION, SET_MILLION_PIPED] {
        found.extend(policies_under(programs, benchmark, &load, rounds, quick)?);
    }
    Ok(found)
}

fn policies_under(
    programs: &Programs,
    benchmark: &Path,
    load: &Load,
    rounds: usize,
    quick: bool,
) -> Result<Findings> {
    // The servers without a file, and those with one.
    let without = programs.start_free(&[])?;
    let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let with = programs.start_free(&options)?;
    for server in without.iter().chain(&with) {
        load.prepare(server)?;
    }
    let mut all: Vec<Round> = Vec::new();
    while another(all.len(), rounds, || verdicts(&all)) {
        let mut round = Round::default();
        for (policy, both) in POLICIES.iter().zip(&mut round) {
            for i in order_of(all.len()) {
                let server: &Server = if *policy == "off" { &without[i] } else { &with[i] };
                if *policy != "off" {
                    server.ask(&["CONFIG", "SET", "appendfsync", policy])?;
                }
                // Operations that wait for the fsync are a tenth as fast.
                let slow = if *policy == "always" { 4 } else { 1 };
                both[i] = load.shortened(slow).measure(benchmark, server, quick)?;
            }
        }
        all.push(round);
    }
    let mut found = Findings::default();
    for (n, policy) in POLICIES.iter().enumerate() {
        let title = format!("{}, {policy}", load.name);
        let of = |get: &dyn Fn(&Round, usize) -> f64| {
            [0, 1].map(|who| median(all.iter().map(|round| get(round, who)).collect()))
        };
        let cpu = of(&|round, who| round[n][who].cpu_us);
        let speed = of(&|round, who| round[n][who].per_second / 1e3);
        println!(
            "{title:28} {:>8.3} {:>8.3} {:>6.2}   {:>8.1} {:>8.1} {:>6.2}",
            cpu[0],
            cpu[1],
            cpu[0] / cpu[1],
            speed[0],
            speed[1],
            speed[0] / speed[1],
        );
        if let (Some(what), Some(ratio)) = (what(n), ratio(&all, n)) {
            let both = of(&|round, who| judged(round, n, who).unwrap_or(f64::NAN));
            println!("{:28} {}", format!("  {what}, µs/op"), ratio.row(both, GOAL));
            found.note(&format!("{title} ({what})"), ratio.against(GOAL));
        }
    }
    Ok(found)
}

/// The figure of a policy that is compared with the goal, if any.
fn what(policy: usize) -> Option<&'static str> {
    match POLICIES[policy] {
        "no" | "everysec" => Some("costs"),
        "always" => Some("takes"),
        _ => None,
    }
}

/// That figure, in microseconds per operation.
fn judged(round: &Round, policy: usize, who: usize) -> Option<f64> {
    let Measured { cpu_us, per_second } = round[policy][who];
    what(policy).map(|what| match what {
        "costs" => cpu_us - round[0][who].cpu_us,
        _ => 1e6 / per_second,
    })
}

fn ratio(rounds: &[Round], policy: usize) -> Option<Ratio> {
    let of = |round| Some(over(judged(round, policy, 0)?, judged(round, policy, 1)?));
    let ratios: Option<Vec<f64>> = rounds.iter().map(of).collect();
    ratios.map(|ratios| Ratio::of(&ratios))
}

fn verdicts(rounds: &[Round]) -> Vec<Verdict> {
    let ratios = (0..POLICIES.len()).filter_map(|policy| ratio(rounds, policy));
    ratios.map(|ratio| ratio.against(GOAL)).collect()
}
