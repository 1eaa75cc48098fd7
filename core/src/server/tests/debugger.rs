//! SCRIPT DEBUG: stepping through a script.

use super::{Driver, encoded};
use crate::machine::Machine;
use crate::time::Duration;

const SCRIPT: &str =
    "local n = redis.call('incr', KEYS[1])\nlocal t = {n, 'x'}\nredis.debug(t)\nreturn n";

/// The debugger's reply to a command, line by line.
fn debug(d: &mut Driver, conn: crate::machine::ConnId, words: &[&str]) -> Vec<String> {
    let mut reply = d.send(conn, &encoded(words));
    d.pass(Duration::from_millis(1));
    reply += &d.take(conn);
    reply.lines().map(str::to_owned).collect()
}

#[test]
fn a_client_steps_through_a_script() {
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    assert_eq!(d.line(conn, "script debug sync"), "+OK\r\n");
    let first = debug(&mut d, conn, &["eval", SCRIPT, "1", "k"]);
    let line_1 = "+-> 1   local n = redis.call('incr', KEYS[1])";
    assert_eq!(first, ["*2", "+* Stopped at 1, stop reason = step over", line_1]);
    // Nothing has been executed yet, and other clients have to wait.
    assert!(d.line(other, "get k").starts_with("-BUSY"));
    let shown = debug(&mut d, conn, &["redis", "get", "k"]);
    assert_eq!(shown, ["*2", "+<redis> get k", "+<reply> NULL"]);
    let unknown = debug(&mut d, conn, &["redis", "nosuch", "x"]);
    let error = "+<error> Unknown Redis command called from script";
    assert_eq!(unknown, ["*2", "+<redis> nosuch x", error]);
    let second = debug(&mut d, conn, &["step"]);
    assert_eq!(second[..3], ["*4", "+<redis> incr k", "+<reply> 1"]);
    assert_eq!(second[4], "+-> 2   local t = {n, 'x'}");
    assert_eq!(debug(&mut d, conn, &["print", "n"]), ["*1", "+<value> 1"]);
    assert_eq!(debug(&mut d, conn, &["p", "KEYS"]), ["*1", "+<value> {\"k\"}"]);
    assert_eq!(debug(&mut d, conn, &["p", "nosuch"]), ["*1", "+No such variable."]);
    let list = debug(&mut d, conn, &["break", "4"]);
    assert_eq!(list, ["*2", "+   3   redis.debug(t)", "+  #4   return n"]);
    let eval = debug(&mut d, conn, &["eval", "#ARGV", "+", "1"]);
    assert_eq!(eval, ["*1", "+<retval> 1"]);
    assert_eq!(debug(&mut d, conn, &["trace"])[1], "+In top level:");
    let third = debug(&mut d, conn, &["continue"]);
    assert_eq!(
        third[..3],
        ["*3", "+<debug> line 3: {1; \"x\"}", "+* Stopped at 4, stop reason = break point"]
    );
    let unknown = debug(&mut d, conn, &["nosuch"]);
    let error = "+<error> Unknown Redis Lua debugger command or wrong number of arguments.";
    assert_eq!(unknown, ["*1", error]);
    // The script ends, and with it the session and the connection.
    assert_eq!(debug(&mut d, conn, &["continue"]), ["*1", "+<endsession>", ":1"]);
    assert!(d.is_closed(conn));
    assert_eq!(d.line(other, "get k"), "$1\r\n1\r\n");
}

#[test]
fn a_script_that_is_debugged_can_be_aborted() {
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    d.line(conn, "script debug sync");
    debug(&mut d, conn, &["eval", "while true do\nend", "0"]);
    let last = debug(&mut d, conn, &["abort"]);
    assert_eq!(last[..2], ["*1", "+<endsession>"]);
    assert!(last[2].starts_with("-ERR script aborted for user request"), "{last:?}");
    assert_eq!(d.line(other, "ping"), "+PONG\r\n");
}

#[test]
fn a_script_runs_to_its_end_when_its_client_disconnects() {
    use crate::machine::{Input, NetError};
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    d.line(conn, "script debug sync");
    debug(&mut d, conn, &["eval", "redis.call('set', 'a', 1)\nredis.call('set', 'b', 2)", "0"]);
    d.input(Input::Closed { conn, error: NetError::Eof });
    d.pass(Duration::from_millis(10));
    assert_eq!(d.line(other, "mget a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn changes_on_a_copy_are_dropped_with_the_session() {
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    d.line(other, "select 3");
    d.line(other, "set k 41");
    d.line(conn, "select 3");
    assert_eq!(d.line(conn, "script debug yes"), "+OK\r\n");
    let first = debug(&mut d, conn, &["eval", SCRIPT, "1", "k"]);
    let line_1 = "+-> 1   local n = redis.call('incr', KEYS[1])";
    assert_eq!(first, ["*2", "+* Stopped at 1, stop reason = step over", line_1]);
    // Other clients are served, and the script does not see their writes.
    assert_eq!(d.line(other, "incrby k 1000"), ":1041\r\n");
    let second = debug(&mut d, conn, &["step"]);
    assert_eq!(second[..3], ["*4", "+<redis> incr k", "+<reply> 42"]);
    assert_eq!(debug(&mut d, conn, &["print", "n"]), ["*1", "+<value> 42"]);
    let set = debug(&mut d, conn, &["redis", "set", "k", "7"]);
    assert_eq!(set, ["*2", "+<redis> set k 7", "+<reply> \"+OK\""]);
    assert_eq!(
        debug(&mut d, conn, &["eval", "redis.call('get', 'k')"]).last().unwrap(),
        "+<retval> \"7\""
    );
    let last = debug(&mut d, conn, &["continue"]);
    assert_eq!(last, ["*2", "+<debug> line 3: {42; \"x\"}", "+<endsession>", ":42"]);
    assert!(d.is_closed(conn));
    assert_eq!(d.line(other, "get k"), "$4\r\n1041\r\n");
}

#[test]
fn an_endless_script_on_a_copy_blocks_no_client_and_ends_with_its_own() {
    use crate::machine::{Input, NetError};
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    d.line(conn, "script debug yes");
    debug(&mut d, conn, &["eval", "while true do end", "0"]);
    assert_eq!(debug(&mut d, conn, &["continue"]), [""; 0]);
    d.pass(Duration::from_millis(100));
    assert_eq!(d.line(other, "ping"), "+PONG\r\n");
    d.input(Input::Closed { conn, error: NetError::Eof });
    let busy = d.server.poll_timeout().is_some_and(|at| at <= d.mono + Duration::from_millis(5));
    assert!(!busy, "the copy is still at work");
    assert_eq!(d.line(other, "ping"), "+PONG\r\n");
}

#[test]
fn scripts_on_a_copy_can_be_aborted_and_report_errors() {
    let mut d = Driver::new("");
    let (conn, broken) = (d.connect(), d.connect());
    d.line(conn, "script debug yes");
    debug(&mut d, conn, &["eval", "redis.call('set', 'a', 1)\nreturn 1", "0"]);
    debug(&mut d, conn, &["next"]);
    let last = debug(&mut d, conn, &["abort"]);
    assert_eq!(last[..2], ["*1", "+<endsession>"]);
    assert!(last[2].starts_with("-ERR script aborted for user request"), "{last:?}");
    assert_eq!(d.line(broken, "exists a"), ":0\r\n");
    d.line(broken, "script debug yes");
    let error = debug(&mut d, broken, &["eval", "return (", "0"]);
    assert!(error[0].starts_with("-ERR Error compiling script"), "{error:?}");
    assert_eq!(d.line(broken, "ping"), "+PONG\r\n");
}
