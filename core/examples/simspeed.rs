//! Measures how much faster than real time a World of 48 servers with 48 traffic clients runs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use limpid_core::lab;
use limpid_core::sim::World;
use limpid_core::time::Duration;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(60);
    let mut world = World::new(Arc::new(lab::sandbox(48)), 1, lab::programs);
    world.run_for(Duration::from_secs(1));
    let (start, steps) = (Instant::now(), world.steps());
    world.run_for(Duration::from_secs(seconds));
    let took = start.elapsed();
    let events = (world.steps() - steps).max(1);
    println!("{:.0} times real time", seconds as f64 / took.as_secs_f64());
    println!(
        "{} ns an event, {} events a second",
        took.as_nanos() / u128::from(events),
        events / seconds.max(1)
    );
    let start = Instant::now();
    for _ in 0..20 {
        black_box(world.clone());
    }
    println!("{} us a checkpoint", start.elapsed().as_micros() / 20);
    println!("trace {:016x}", world.trace_hash());
}
