//! Scripts and functions.

use super::persistence::restarted;
use super::*;

/// Runs a script without keys and returns the reply.
fn eval(d: &mut Driver, conn: ConnId, script: &str) -> String {
    d.send(conn, &encoded(&["eval", script, "0"]))
}

#[test]
fn scripts_are_traced_on_request() {
    let mut d = Driver::new("");
    let conn = d.connect();
    eval(&mut d, conn, "return 0");
    d.server.trace_scripts();
    assert_eq!(d.server.script_views().count(), 0, "nothing was kept before");
    d.line(conn, "set n 41");
    eval(&mut d, conn, "redis.call('incr', 'n') return {redis.call('get', 'n'), 'two words'}");
    eval(&mut d, conn, "redis.call('lpush', 'n', 'two words')");
    eval(&mut d, conn, "for i = 1, 103 do redis.call('ping') end return {double=0.5}");
    let views: Vec<_> = d.server.script_views().cloned().collect();
    let [last, failed, first] = &views[..] else { panic!("{views:?}") };
    let steps = |view: &super::super::ScriptView| -> Vec<(String, String)> {
        let text = |reply: &[u8]| String::from_utf8_lossy(reply).into_owned();
        view.steps.iter().map(|step| (step.command.clone(), text(&step.reply))).collect()
    };
    let told = |command: &str, reply: &str| (command.to_owned(), reply.to_owned());
    assert_eq!(steps(first), [told("incr n", ":42\r\n"), told("get n", "$2\r\n42\r\n")]);
    assert_eq!(first.result.as_deref(), Some(&b"*2\r\n$2\r\n42\r\n$9\r\ntwo words\r\n"[..]));
    let [(command, refused)] = &steps(failed)[..] else { panic!("{failed:?}") };
    assert_eq!(command, "lpush n \"two words\"");
    assert!(refused.starts_with("-WRONGTYPE"), "{refused}");
    let result = String::from_utf8_lossy(failed.result.as_deref().expect("it ended"));
    assert!(result.starts_with("-WRONGTYPE") && result.contains("script: "), "{result}");
    assert_eq!((last.steps.len(), last.more), (100, 3));
    assert_eq!(last.result.as_deref(), Some(&b"$3\r\n0.5\r\n"[..]));
}

#[test]
fn scripts_reply_as_in_redis() {
    let mut d = Driver::new("");
    let conn = d.connect();
    d.line(conn, "lpush l 1");
    for (script, reply) in [
        ("return 3.99", ":3\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return -0.5", ":0\r\n"),
        ("return 1e20", ":-9223372036854775808\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        ("return {1,2,{3,'x'},nil,4}", "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\nx\r\n"),
        ("return {'a',false,'b'}", "*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n"),
        ("return {ok='fine'}", "+fine\r\n"),
        ("return {err='a b'}", "-a b\r\n"),
        ("return {double=3.5}", "$3\r\n3.5\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return redis.status_reply('x')", "+x\r\n"),
        ("return redis.error_reply('x')", "-ERR x\r\n"),
        ("return redis.error_reply('X y')", "-X y\r\n"),
        ("return redis.error_reply('-x y')", "-x y\r\n"),
        ("return redis.status_reply()", "-ERR wrong number or type of arguments\r\n"),
        ("return redis.call('ping')", "+PONG\r\n"),
        ("return redis.sha1hex('')", "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"),
        ("redis.call('set','a',2^53) return redis.call('get','a')", "$16\r\n9007199254740992\r\n"),
        (
            "redis.call('set','a',0.1) return redis.call('get','a')",
            "$19\r\n0.10000000000000001\r\n",
        ),
        (
            "return redis.pcall('get')",
            "-ERR Wrong number of args calling Redis command from script\r\n",
        ),
        (
            "return redis.pcall('nope').err",
            "$44\r\nERR Unknown Redis command called from script\r\n",
        ),
        (
            "local ok,e=pcall(redis.call,'nope') return e",
            "$44\r\nERR Unknown Redis command called from script\r\n",
        ),
        ("return {redis.call('get','no'),redis.call('exists','a')}", "*2\r\n$-1\r\n:1\r\n"),
        ("return coroutine.wrap(function() return redis.call('exists','a') end)()", ":1\r\n"),
        ("return loadstring('return redis.call(\"exists\",\"a\")')()", ":1\r\n"),
        ("return redis.acl_check_cmd('set','x','y')", ":1\r\n"),
        (
            "return cjson.encode({a={1,2,{}},b='x/y\"'})",
            "$27\r\n{\"a\":[1,2,{}],\"b\":\"x\\/y\\\"\"}\r\n",
        ),
        (
            "syntax error",
            "-ERR Error compiling script (new function): user_script:1: '=' expected near 'error'\r\n",
        ),
        ("return redis.error_reply('a\\nb c')", "-a b c\r\n"),
        (
            "return foo",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'foo' \
             script: 47e30a5d10d5694f99208f9adc4fe3bf2450edbd, on @user_script:1.\r\n",
        ),
        (
            "foo=1",
            "-ERR user_script:1: Attempt to modify a readonly table script: \
             5bddd8336e5f711bfa499383fc73c17560c6250b, on @user_script:1.\r\n",
        ),
        (
            "error('x')",
            "-ERR user_script:1: x script: 9851144f39f03a0d597a980c5aa79c80cb696891, on \
             @user_script:1.\r\n",
        ),
        (
            "error({err='MY E'})",
            "-MY E script: d6972e3927adef3a4138d7f32abfe088974fe879, on @user_script:1.\r\n",
        ),
        (
            "return redis.call('subscribe','x')",
            "-ERR This Redis command is not allowed from script script: \
             2f334966be3d5602175118691c9d198b0a695e53, on @user_script:1.\r\n",
        ),
        (
            "return redis.call({})",
            "-ERR Lua redis lib command arguments must be strings or integers script: \
             80747816df1f4411f7c442b928fce6a814214839, on @user_script:1.\r\n",
        ),
        (
            "return redis.call('incr','l')",
            "-WRONGTYPE Operation against a key holding the wrong kind of value script: \
             3537a55c0ac8f7dbdba6d317d1ccb9ac5a0f4cc3, on @user_script:1.\r\n",
        ),
        (
            "#!lua flags=no-writes\nreturn redis.call(\"set\",\"a\",2)",
            "-ERR Write commands are not allowed from read-only scripts. script: \
             657897c486af1f70a3d7963401f0468af1be80fb, on @user_script:2.\r\n",
        ),
        ("#!lua flags=bad\nreturn 1", "-ERR Unexpected flag in script shebang: bad\r\n"),
        ("#!foo\nreturn 1", "-ERR Unexpected engine in script shebang: #!foo\r\n"),
        ("#!lua", "-ERR Invalid script shebang\r\n"),
        ("#!lua\nreturn 5", ":5\r\n"),
    ] {
        let got = eval(&mut d, conn, script);
        assert_eq!(got, reply, "{script}");
    }
    assert_eq!(d.line(conn, "eval x -1"), "-ERR Number of keys can't be negative\r\n");
    let too_few = "-ERR Number of keys can't be greater than number of args\r\n";
    assert_eq!(d.line(conn, "eval x 2 a"), too_few);
    let missing = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    assert_eq!(d.line(conn, "evalsha ffffffffffffffffffffffffffffffffffffffff 0"), missing);
    eval(&mut d, conn, "redis.call('select',3) redis.call('set','in3','1')");
    assert_eq!(d.line(conn, "exists in3"), ":0\r\n");
    d.line(conn, "select 3");
    assert_eq!(d.line(conn, "exists in3"), ":1\r\n");
}

#[test]
fn a_long_script_holds_back_clients_then_answers_busy_and_can_be_killed() {
    let mut d = Driver::new("");
    let (a, b) = (d.connect(), d.connect());
    d.send(
        a,
        &encoded(&["eval", "pcall(function() while true do end end) while true do end", "0"]),
    );
    assert_eq!(d.line(b, "get x"), "");
    d.pass(Duration::from_millis(100));
    assert_eq!(d.take(b), "");
    d.pass(Duration::from_secs(5));
    // Requests sent before the threshold are answered like those sent after it.
    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                NOSAVE.\r\n";
    assert_eq!(d.take(b), busy);
    assert_eq!(d.line(b, "get x"), busy);
    assert!(d.line(b, "function kill").starts_with("-BUSY"));
    assert_eq!(d.line(b, "script kill"), "+OK\r\n");
    d.pass(Duration::from_millis(100));
    let killed = d.take(a);
    assert!(
        killed.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "),
        "{killed}"
    );
    assert_eq!(d.line(b, "get x"), "$-1\r\n");
    assert!(d.line(b, "script kill").starts_with("-NOTBUSY"));
}

#[test]
fn a_script_in_slices_is_atomic_and_can_be_cloned_in_the_middle() {
    let config = "appendonly yes\nsave \"\"\nenable-debug-command yes";
    let script = "local t = 0 for i = 1, 300 do redis.call('incr', KEYS[1]) \
                  for j = 1, 10000 do t = t + j end end return redis.call('get', KEYS[1])";
    let mut d = Driver::new(config);
    let (a, b) = (d.connect(), d.connect());
    d.send(a, b"multi\r\nset before 1\r\n");
    d.send(a, &encoded(&["eval", script, "1", "counter"]));
    assert_eq!(d.send(a, b"get counter\r\nexec\r\n").matches("QUEUED").count(), 1);
    assert_eq!(d.line(b, "get counter"), "");
    let mut clone = d.clone();
    for d in [&mut d, &mut clone] {
        d.pass(Duration::from_secs(4));
        let reply = d.take(a);
        assert_eq!(reply, "$3\r\n300\r\n$3\r\n300\r\n");
        assert_eq!(d.take(b), "$3\r\n300\r\n");
    }
    let digest = d.line(b, "debug digest");
    assert_eq!(clone.line(b, "debug digest"), digest);
    let mut again = restarted(&d, config);
    let conn = again.connect();
    assert_eq!(again.line(conn, "debug digest"), digest);
}

const LIBRARY: &str = "#!lua name=mine
redis.register_function('keys', function(keys, args) return {keys[1], args[1]} end)
redis.register_function{function_name='reads', flags={'no-writes'}, callback=function()
  return redis.call('set', 'x', 1)
end}
local count = 0
redis.register_function('count', function() count = count + 1 return count end)";

#[test]
fn functions_are_called_listed_and_saved_with_the_data() {
    let config = "appendonly yes\nsave \"\"\nenable-debug-command yes";
    let mut d = Driver::new(config);
    let conn = d.connect();
    assert_eq!(d.send(conn, &encoded(&["function", "load", LIBRARY])), "$4\r\nmine\r\n");
    let again = d.send(conn, &encoded(&["function", "load", LIBRARY]));
    assert_eq!(again, "-ERR Library 'mine' already exists\r\n");
    assert_eq!(d.line(conn, "fcall keys 1 k v"), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    assert_eq!(d.line(conn, "fcall count 0"), ":1\r\n");
    assert_eq!(d.line(conn, "fcall count 0"), ":2\r\n");
    let refused = "-ERR Write commands are not allowed from read-only scripts. script: reads, on \
                   @user_function:4.\r\n";
    assert_eq!(d.line(conn, "fcall reads 0"), refused);
    let refused = "-ERR Can not execute a script with write flag using *_ro command.\r\n";
    assert_eq!(d.line(conn, "fcall_ro keys 1 k v"), refused);
    assert_eq!(d.line(conn, "fcall none 0"), "-ERR Function not found\r\n");
    for (code, error) in [
        ("return 1", "-ERR Missing library metadata\r\n"),
        ("#!lua\nreturn 1", "-ERR Library name was not given\r\n"),
        ("#!foo name=a\nreturn 1", "-ERR Engine 'foo' not found\r\n"),
        ("#!lua name=l x=y\nreturn 1", "-ERR Invalid metadata value given: x=y\r\n"),
        ("#!lua name=l\nreturn 1", "-ERR No functions registered\r\n"),
        (
            "#!lua name=l\nredis.register_function('keys', function() end)",
            "-ERR Function keys already exists\r\n",
        ),
        (
            "#!lua name=l\nfoo=1",
            "-ERR Error registering functions: ERR user_function:2: Attempt to modify a readonly \
             table\r\n",
        ),
        (
            "#!lua name=l\nredis.call('get','x')",
            "-ERR Error registering functions: ERR user_function:2: Script attempted to access \
             nonexistent global variable 'call'\r\n",
        ),
        (
            "#!lua name=l\nsyntax",
            "-ERR Error compiling function: user_function:2: '=' expected near '<eof>'\r\n",
        ),
    ] {
        assert_eq!(d.send(conn, &encoded(&["function", "load", code])), error, "{code}");
    }
    let list = d.line(conn, "function list libraryname MI*");
    assert!(list.contains("mine") && list.contains("no-writes"), "{list}");
    let mut again = restarted(&d, config);
    let conn = again.connect();
    assert_eq!(again.line(conn, "fcall count 0"), ":1\r\n");
    assert_eq!(again.line(conn, "debug reload"), "+OK\r\n");
    assert_eq!(again.line(conn, "function list"), d.line(ConnId::accepted(1), "function list"));
    assert_eq!(again.line(conn, "function delete mine"), "+OK\r\n");
    assert_eq!(again.line(conn, "function list"), "*0\r\n");
}

#[test]
fn a_reload_with_noflush_keeps_libraries() {
    let mut d = Driver::new("save \"\"\nenable-debug-command yes");
    let conn = d.connect();
    let load = |d: &mut Driver, name: &str, value: u8| {
        let code = format!(
            "#!lua name={name}\nredis.register_function('{name}', function() return {value} end)"
        );
        let reply = d.send(conn, &encoded(&["function", "load", "replace", &code]));
        assert_eq!(reply, format!("${}\r\n{name}\r\n", name.len()));
    };
    load(&mut d, "kept", 1);
    assert_eq!(d.line(conn, "debug reload"), "+OK\r\n");
    load(&mut d, "more", 2);
    assert_eq!(
        d.line(conn, "debug reload nosave noflush"),
        "-ERR Error trying to load the RDB dump, check server logs.\r\n"
    );
    assert!(d.log.iter().any(|line| line.contains("library 'kept' that already exists")));
    load(&mut d, "kept", 3);
    assert_eq!(d.line(conn, "debug reload nosave noflush merge"), "+OK\r\n");
    assert_eq!(d.line(conn, "fcall kept 0"), ":1\r\n");
    assert_eq!(d.line(conn, "fcall more 0"), ":2\r\n");
}

#[test]
fn a_pause_of_writes_holds_commands_that_may_replicate() {
    let mut d = Driver::new("");
    let (a, b) = (d.connect(), d.connect());
    let writer = "#!lua name=w\nredis.register_function('w', function() return 'wrote' end)";
    let reader = "#!lua name=r\nredis.register_function{function_name='r', flags={'no-writes'}, \
                  callback=function() return 'read' end}";
    d.send(a, &encoded(&["function", "load", writer]));
    d.send(a, &encoded(&["function", "load", reader]));
    let held: [&[&str]; 7] = [
        &["publish", "c", "m"],
        &["spublish", "c", "m"],
        &["pfcount", "h"],
        &["eval", "return 1", "0"],
        &["eval", "#!lua\nreturn 2", "0"],
        &["evalsha", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"],
        &["fcall", "w", "0"],
    ];
    let goes_on: [(&[&str], &str); 5] = [
        (&["eval", "#!lua flags=no-writes\nreturn 3", "0"], ":3\r\n"),
        (&["eval_ro", "return redis.call('get', 'k')", "1", "k"], "$-1\r\n"),
        (&["fcall", "r", "0"], "$4\r\nread\r\n"),
        (&["fcall_ro", "r", "0"], "$4\r\nread\r\n"),
        (&["eval", "#!lua flags=nonsense\nreturn 3", "0"], ""),
    ];
    for command in held {
        d.line(a, "client pause 100000 write");
        assert_eq!(d.send(b, &encoded(command)), "", "{command:?}");
        d.line(a, "client unpause");
        assert_ne!(d.take(b), "", "{command:?}");
    }
    for (command, reply) in goes_on {
        d.line(a, "client pause 100000 write");
        assert_eq!(d.send(b, &encoded(command)), reply, "{command:?}");
        d.line(a, "client unpause");
        d.take(b);
    }
    // EXEC waits according to the flags of its scripts.
    for (script, waits) in [("#!lua flags=no-writes\nreturn 4", false), ("return 5", true)] {
        d.line(b, "multi");
        d.send(b, &encoded(&["eval", script, "0"]));
        d.line(a, "client pause 100000 write");
        assert_eq!(d.line(b, "exec").is_empty(), waits, "{script}");
        d.line(a, "client unpause");
        assert_eq!(d.take(b).is_empty(), !waits, "{script}");
    }
}

#[test]
fn script_flags_are_checked_when_it_is_queued() {
    let mut d = Driver::new("min-replicas-to-write 1");
    let conn = d.connect();
    let refused = "-NOREPLICAS Not enough good replicas to write.\r\n";
    assert_eq!(eval(&mut d, conn, "#!lua\nreturn 1"), refused);
    assert_eq!(eval(&mut d, conn, "return 1"), ":1\r\n");
    assert_eq!(d.line(conn, "multi"), "+OK\r\n");
    assert_eq!(eval(&mut d, conn, "#!lua\nreturn 1"), refused);
    assert!(d.line(conn, "exec").starts_with("-EXECABORT "));
}

#[test]
fn a_stale_replica_runs_scripts_that_may_be_stale_but_no_command_on_data_in_them() {
    let mut d = Driver::new("replica-serve-stale-data no");
    let conn = d.connect();
    d.line(conn, "replicaof 127.0.0.1 1");
    let mut eval = |source: &str| d.send(conn, &encoded(&["eval", source, "0"]));
    assert!(eval("#!lua flags=no-writes\nreturn 1").starts_with("-MASTERDOWN "));
    assert!(eval("return 1").starts_with("-MASTERDOWN "));
    assert_eq!(eval("#!lua flags=no-writes,allow-stale\nreturn 1"), ":1\r\n");
    let get = eval("#!lua flags=no-writes,allow-stale\nreturn redis.call('get', 'x')");
    assert!(get.starts_with("-ERR Can not execute the command on a stale replica"), "{get}");
    let ping = eval("#!lua flags=no-writes,allow-stale\nreturn redis.call('info', 'server')");
    assert!(ping.contains("redis_version"), "{ping}");
}

#[test]
fn an_invalid_hostname_is_refused() {
    let mut d = Driver::new("");
    let conn = d.connect();
    for (name, why) in [
        ("x".repeat(256), "Hostnames must be less than 256 characters"),
        ("?.com".into(), "Hostnames may only contain alphanumeric characters, hyphens or dots"),
    ] {
        let reply = d.line(conn, &format!("config set cluster-announce-hostname {name}"));
        assert!(reply.contains(why), "{reply}");
    }
    assert_eq!(d.line(conn, "config set cluster-announce-hostname a-1.example"), "+OK\r\n");
}
