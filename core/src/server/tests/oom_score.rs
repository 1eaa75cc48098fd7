//! `oom-score-adj` as the driver is told of it.

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
    // While it is off, other values and other roles change nothing.
    d.line(conn, "config set oom-score-adj-values \"1 2 3\"");
    d.line(conn, "replicaof 127.0.0.1 1");
    assert_eq!(d.oom_scores, []);
}

#[test]
fn a_replica_begins_with_the_score_of_a_replica() {
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
    // The score of the old values is asked for again.
    assert_eq!(d.oom_scores.last(), Some(&OomScore::Relative(0)));
}
