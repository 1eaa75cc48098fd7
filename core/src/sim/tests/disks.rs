//! Tests of disks, from the view of the processes that use them.

use super::super::testing::tiny;
use super::super::world::World;
use super::{act, acts, probe};
use crate::time::Duration;

const ONE: &[(&str, &str)] = &[("a", "probe")];

fn file(world: &World, path: &str) -> Option<String> {
    let bytes = world.host_named("a")?.disk.read_file(path).ok()?;
    String::from_utf8(bytes).ok()
}

#[test]
fn synced_data_survives_a_power_loss() {
    let mut survived = [0; 2];
    for seed in 0..60 {
        let mut world = tiny(seed, ONE);
        acts(&mut world, &["type a open 1 /log", "type a append 1 first,", "type a sync 1"]);
        acts(&mut world, &["type a syncdir /", "type a append 1 second"]);
        act(&mut world, "crash a");
        let left = file(&world, "/log").unwrap_or_default();
        assert!("first,second".starts_with(&left) && left.starts_with("first,"), "{left}");
        survived[usize::from(left == "first,second")] += 1;
    }
    assert!(survived.iter().all(|&n| n > 5), "both happen: {survived:?}");
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_with_its_synced_file() {
    let mut there = [0; 2];
    for seed in 0..60 {
        let mut world = tiny(seed, ONE);
        acts(&mut world, &["type a open 1 /log", "type a append 1 x", "type a sync 1"]);
        act(&mut world, "crash a");
        there[usize::from(file(&world, "/log").is_some())] += 1;
    }
    assert!(there.iter().all(|&n| n > 5), "both happen: {there:?}");
}

#[test]
fn replacing_leaves_the_old_file_or_the_new_one() {
    for seed in 0..40 {
        let mut world = tiny(seed, ONE);
        acts(&mut world, &["type a replace /conf old"]);
        act(&mut world, "type a replace /conf new");
        world.run_for(Duration::from_micros(seed * 100));
        act(&mut world, "crash a");
        let left = file(&world, "/conf");
        assert!(matches!(left.as_deref(), Some("old" | "new")), "{left:?}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_done() {
    let mut world = tiny(1, ONE);
    acts(&mut world, &["type a open 1 /log", "type a append 1 kept", "kill a"]);
    assert_eq!(file(&world, "/log").as_deref(), Some("kept"));
    acts(&mut world, &["start a", "type a load /log"]);
    assert!(probe(&world, "a").was_told("data kept"));
}

#[test]
fn a_host_can_return_with_another_disk() {
    let mut world = tiny(1, ONE);
    acts(&mut world, &["type a replace /conf x", "restart a"]);
    world.run_for(Duration::from_secs(1));
    assert!(file(&world, "/conf").is_some());
    act(&mut world, "restart a --no-disk");
    world.run_for(Duration::from_secs(1));
    assert!(file(&world, "/conf").is_none());
}

#[test]
fn disks_run_full_and_fail() {
    let mut world = tiny(1, ONE);
    acts(&mut world, &["type a open 1 /log", "disk a full", "type a append 1 x"]);
    assert!(probe(&world, "a").was_told("No space left on device"));
    acts(&mut world, &["disk a fail-syncs", "type a append 1 y", "type a sync 1"]);
    assert!(probe(&world, "a").was_told("Input/output error"));
    acts(&mut world, &["disk a fail-reads", "type a load /log", "disk a fail-writes"]);
    acts(&mut world, &["type a append 1 z", "disk a ok", "type a load /log"]);
    assert!(probe(&world, "a").was_told("data y"));
    acts(&mut world, &["disk a slow 300ms", "type a load /log"]);
    let answers = probe(&world, "a").told.iter().filter(|l| l.contains("data y")).count();
    world.run_for(Duration::from_millis(300));
    let later = probe(&world, "a").told.iter().filter(|l| l.contains("data y")).count();
    assert_eq!(later, answers + 1);
}

#[test]
fn nothing_is_written_behind_an_append_that_failed() {
    let mut world = tiny(1, ONE);
    acts(&mut world, &["type a open 1 /log", "type a append 1 whole,", "disk a slow 1s"]);
    acts(&mut world, &["type a append 1 lost,", "type a append 1 behind,", "disk a full"]);
    world.run_for(Duration::from_millis(1_500));
    assert!(probe(&world, "a").was_told("No space left on device"));
    acts(&mut world, &["disk a ok"]);
    world.run_for(Duration::from_secs(2));
    acts(&mut world, &["type a append 1 again"]);
    world.run_for(Duration::from_secs(1));
    assert_eq!(file(&world, "/log").expect("a file"), "whole,again");
}

#[test]
fn a_missing_file_is_a_result_and_no_fault() {
    let mut world = tiny(1, ONE);
    acts(&mut world, &["type a load /nothing", "type a open 1 /none/file", "type a mkdir /x/y"]);
    acts(&mut world, &["type a replace /x/y/z 1", "type a load /x/y/z/w", "type a load /x"]);
    let a = probe(&world, "a");
    assert!(a.was_told("disk 1: No such file or directory"));
    assert!(a.was_told("disk 2: No such file or directory"));
    assert!(a.was_told("disk 5: Not a directory"), "{:?}", a.told);
    assert!(a.was_told("disk 6: Is a directory"));
}
