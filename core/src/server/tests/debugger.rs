//! SCRIPT DEBUG: a script gone through line by line.

use super::{Driver, encoded};
use crate::time::Duration;

const SCRIPT: &str =
    "local n = redis.call('incr', KEYS[1])\nlocal t = {n, 'x'}\nredis.debug(t)\nreturn n";

/// What the debugger answers to a command, a line each.
fn debug(d: &mut Driver, conn: crate::machine::ConnId, words: &[&str]) -> Vec<String> {
    let mut reply = d.send(conn, &encoded(words));
    d.pass(Duration::from_millis(1));
    reply += &d.take(conn);
    reply.lines().map(str::to_owned).collect()
}

#[test]
fn a_script_is_gone_through_line_by_line() {
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    assert_eq!(d.line(conn, "script debug sync"), "+OK\r\n");
    let first = debug(&mut d, conn, &["eval", SCRIPT, "1", "k"]);
    let line_1 = "+-> 1   local n = redis.call('incr', KEYS[1])";
    assert_eq!(first, ["*2", "+* Stopped at 1, stop reason = step over", line_1]);
    // Nothing has been carried out yet, and others have to wait.
    assert!(d.line(other, "get k").starts_with("-BUSY"));
    let shown = debug(&mut d, conn, &["redis", "get", "k"]);
    assert_eq!(shown, ["*2", "+<redis> get k", "+<reply> NULL"]);
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
fn a_script_whose_debugger_leaves_runs_to_its_end() {
    use crate::machine::{Input, NetError};
    let mut d = Driver::new("");
    let (conn, other) = (d.connect(), d.connect());
    d.line(conn, "script debug sync");
    debug(&mut d, conn, &["eval", "redis.call('set', 'a', 1)\nredis.call('set', 'b', 2)", "0"]);
    d.input(Input::Closed { conn, error: NetError::Eof });
    d.pass(Duration::from_millis(10));
    assert_eq!(d.line(other, "mget a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}
