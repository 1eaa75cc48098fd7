//! What the append-only file costs.

use std::path::Path;

use anyhow::Result;

use super::Programs;
use super::load::{Load, Measured, SET_MILLION, SET_MILLION_PIPED};
use super::server::Server;

/// The most that writing the file may cost with `everysec`, and the most time an operation may take
/// with `always`, as multiples of Redis's.
const GOAL: f64 = 1.0;

/// No file, and the values of `appendfsync`.
const POLICIES: [&str; 4] = ["off", "no", "everysec", "always"];

/// Prints what SETs cost with each policy. Gives what missed its goal.
pub(crate) fn policies(
    programs: &Programs,
    benchmark: &Path,
    rounds: usize,
    quick: bool,
) -> Result<Vec<String>> {
    println!(
        "\nSETs of 1 M keys by redis-benchmark, 50 clients, without an append-only file and with each\n\
         appendfsync. \"costs\" is the CPU that an operation takes besides what it takes without a\n\
         file; of always, which waits for the disk, throughput counts."
    );
    println!(
        "{:22} {:>8} {:>8} {:>6} {:>5}   {:>8} {:>8} {:>6}",
        "server CPU, µs/op", "Limpid", "Redis", "ratio", "goal", "Limpid", "Redis", "kop/s"
    );
    let mut missed = Vec::new();
    for load in [SET_MILLION, SET_MILLION_PIPED] {
        missed.extend(policies_under(programs, benchmark, &load, rounds, quick)?);
    }
    Ok(missed)
}

fn policies_under(
    programs: &Programs,
    benchmark: &Path,
    load: &Load,
    rounds: usize,
    quick: bool,
) -> Result<Vec<String>> {
    // Those without a file, and those with one.
    let without = programs.start_free(&[])?;
    let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let with = programs.start_free(&options)?;
    for server in without.iter().chain(&with) {
        load.prepare(server)?;
    }
    let mut results: [[Vec<Measured>; 2]; POLICIES.len()] = Default::default();
    for round in 0..rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for (policy, results) in POLICIES.iter().zip(&mut results) {
            for i in order {
                let server: &Server = if *policy == "off" { &without[i] } else { &with[i] };
                if *policy != "off" {
                    server.ask(&["CONFIG", "SET", "appendfsync", policy])?;
                }
                // What waits for the fsync is a tenth as fast.
                let slow = if *policy == "always" { 4 } else { 1 };
                results[i].push(load.shortened(slow).measure(benchmark, server, quick)?);
            }
        }
    }
    let results = results.map(|both| both.map(Measured::median));
    let mut missed = Vec::new();
    let off = results[0];
    for (policy, [limpid, redis]) in POLICIES.iter().zip(results) {
        let title = format!("{}, {policy}", load.name);
        let speed = limpid.per_second / redis.per_second;
        let slow = *policy == "always" && speed < 1.0 / GOAL;
        println!(
            "{title:22} {:>8.3} {:>8.3} {:>6.2} {:>5}   {:>8.1} {:>8.1} {speed:>6.2}{}",
            limpid.cpu_us,
            redis.cpu_us,
            limpid.cpu_us / redis.cpu_us,
            "",
            limpid.per_second / 1e3,
            redis.per_second / 1e3,
            if slow { '!' } else { ' ' },
        );
        if slow {
            missed.push(title.clone());
        }
        if *policy == "no" || *policy == "everysec" {
            let costs = [limpid.cpu_us - off[0].cpu_us, redis.cpu_us - off[1].cpu_us];
            let ratio = costs[0] / costs[1];
            let mark = if ratio <= GOAL { ' ' } else { '!' };
            println!(
                "{:22} {:>8.3} {:>8.3} {ratio:>6.2}{mark}{GOAL:>5.1}",
                "  costs", costs[0], costs[1]
            );
            if mark == '!' {
                missed.push(format!("{title} (costs)"));
            }
        }
    }
    Ok(missed)
}
