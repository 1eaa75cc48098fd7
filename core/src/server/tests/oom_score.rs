//! `oom-score-adj`: what the driver is asked for.

use super::{Driver, OomScore};

#[test]
fn the_score_follows_the_configuration_and_the_role() {
    let mut d = Driver::new("oom-score-adj-values 10 20 30");
    let conn = d.connect();
    assert_eq!(d.oom_scores, []);
    for (line, score) in [
        ("config set oom-score-adj yes", OomScore::Relative(10)),
        ("config set oom-score-adj-values \"15 20 30\"", OomScore::Relative(15)),
        ("replicaof 127.0.0.1 1", OomScore::Relative(20)),
        ("replicaof no one", OomScore::Relative(15)),
        ("config set oom-score-adj absolute", OomScore::Absolute(15)),
        ("config set oom-score-adj no", OomScore::Inherited),
    ] {
        assert_eq!(d.line(conn, line), "+OK\r\n", "{line}");
        assert_eq!(d.oom_scores, [score], "{line}");
        d.oom_scores.clear();
    }
    // While it is off, changed values and roles have no effect.
    d.line(conn, "config set oom-score-adj-values \"1 2 3\"");
    d.line(conn, "replicaof 127.0.0.1 1");
    assert_eq!(d.oom_scores, []);
}

#[test]
fn a_replica_starts_with_the_score_of_a_replica() {
    let d = Driver::new("oom-score-adj relative\nreplicaof 127.0.0.1 1");
    assert_eq!(d.oom_scores, [OomScore::Relative(200)]);
}

#[test]
fn a_score_that_the_kernel_refuses_is_not_configured() {
    let mut d = Driver::new("oom-score-adj yes");
    let conn = d.connect();
    d.oom_refusal = Some("Permission denied");
    let error = "-ERR CONFIG SET failed (possibly related to argument 'oom-score-adj') - Failed to \
                 set current oom_score_adj. Check server logs.\r\n";
    assert_eq!(d.line(conn, "config set oom-score-adj-values \"-1000 0 0\""), error);
    assert!(d.log.iter().any(|line| line == "Unable to write oom_score_adj: Permission denied"));
    let values = d.line(conn, "config get oom-score-adj-values");
    assert!(values.contains("\r\n0 200 800\r\n"), "{values}");
    // The score of the old values is requested again.
    assert_eq!(d.oom_scores.last(), Some(&OomScore::Relative(0)));
}

#[test]
fn a_score_is_restored_when_another_directive_of_its_config_set_fails() {
    for (before, values, inherited) in [
        ("", "oom-score-adj yes", OomScore::Inherited),
        ("oom-score-adj yes", "oom-score-adj-values \"15 200 800\"", OomScore::Relative(0)),
    ] {
        for line in [
            format!("config set {values} appendonly yes"),
            format!("config set appendonly yes {values}"),
        ] {
            let mut d = Driver::new(before);
            let conn = d.connect();
            d.files.unopened = true;
            let reply = d.line(conn, &line);
            let error = "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - ";
            assert!(reply.starts_with(error), "{line}: {reply}");
            assert_eq!(
                d.line(conn, "config get appendonly"),
                "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"
            );
            assert_eq!(d.oom_scores.last(), Some(&inherited), "{line}: {:?}", d.oom_scores);
            // Once the disk has room the same command does both.
            d.files.unopened = false;
            assert_eq!(d.line(conn, &line), "+OK\r\n");
            assert_ne!(d.oom_scores.last(), Some(&inherited), "{line}");
            assert_eq!(super::persistence::info(&mut d, conn, "aof_enabled"), "1");
        }
    }
}

#[test]
fn a_refused_score_does_not_turn_the_append_only_file_on() {
    let mut d = Driver::new("");
    let conn = d.connect();
    d.oom_refusal = Some("Permission denied");
    let reply = d.line(conn, "config set appendonly yes oom-score-adj yes");
    assert!(reply.contains("argument 'oom-score-adj'"), "{reply}");
    assert_eq!(d.line(conn, "config get appendonly"), "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    assert_eq!(super::persistence::info(&mut d, conn, "aof_enabled"), "0");
}
