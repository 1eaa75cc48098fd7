//! Tests of the shell: lines typed on the hosts of a World, and their output.

mod notes;

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::lab::programs;
use crate::machine::TerminalMode;
use crate::sim::{Action, HostSpec, Scenario, World};
use crate::time::Duration;

/// A fixture: a World, and a shell on a terminal in it.
struct Fixture {
    world: World,
}

impl Fixture {
    fn new(hosts: &[&str]) -> Fixture {
        let host = |(n, name): (usize, &&str)| {
            HostSpec::new(name, Ipv4Addr::new(10, 0, 0, u8::try_from(n).unwrap() + 1))
        };
        let scenario = Scenario {
            name: "shell".into(),
            epoch_ms: 1_700_000_000_000,
            hosts: hosts.iter().enumerate().map(host).collect(),
            link: Default::default(),
            links: Vec::new(),
            tcp: Default::default(),
        };
        let mut world = World::new(Arc::new(scenario), 7, programs);
        world.run_for(Duration::from_millis(50));
        let host = hosts[0].to_owned();
        let (columns, rows) = (100, 30);
        let terminal = "t1".to_owned();
        world.apply(&Action::Login { host, terminal, columns, rows }).unwrap();
        let mut fixture = Fixture { world };
        fixture.wait_for_prompt();
        fixture
    }

    fn is_at_prompt(&self) -> bool {
        let tty = self.world.tty_named("t1").unwrap();
        let mut foreground = self.world.foreground_of(tty);
        tty.mode() == TerminalMode::Raw
            && foreground.next().is_some_and(|proc| proc.program == World::LOGIN)
            && foreground.next().is_none()
    }

    fn wait_for_prompt(&mut self) {
        for _ in 0..40_000 {
            self.world.run_for(Duration::from_millis(5));
            if self.is_at_prompt() {
                return;
            }
        }
        panic!("no prompt:\n{}", self.text());
    }

    fn text(&self) -> String {
        self.world.tty_named("t1").unwrap().text()
    }

    fn keys(&mut self, keys: &str) {
        let action = Action::Keys { terminal: "t1".into(), keys: keys.into() };
        self.world.apply(&action).unwrap();
        self.world.run_for(Duration::from_millis(300));
    }

    /// Types a command; returns its output.
    fn run(&mut self, line: &str) -> String {
        self.keys("clear\r");
        self.wait_for_prompt();
        self.keys(&format!("{line}\r"));
        self.wait_for_prompt();
        let text = self.text();
        let end = text.rfind("\n[root@").unwrap_or(text.len());
        let start = text.find('\n').map_or(end, |at| at + 1).min(end);
        text[start..end].trim_end().to_owned()
    }
}

#[track_caller]
fn check(fixture: &mut Fixture, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(fixture.run(line), *expected, "{line}");
    }
}

#[test]
fn symbolic_links_lead_to_files_and_directories() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("mkdir -p /opt/redis-7/bin && echo port 7001 > /opt/redis-7/redis.conf");
    assert_eq!(fixture.run("ln -s redis-7 /opt/redis"), "");
    assert_eq!(fixture.run("cat /opt/redis/redis.conf"), "port 7001");
    assert_eq!(fixture.run("readlink /opt/redis"), "redis-7");
    assert_eq!(fixture.run("readlink -f /opt/redis/redis.conf"), "/opt/redis-7/redis.conf");
    let shown = fixture.run("ls -l /opt | grep redis");
    let link = shown.lines().next().unwrap();
    assert!(link.starts_with("lrwxrwxrwx 1 root root    7 "), "{shown}");
    assert!(link.ends_with(" redis -> redis-7"), "{shown}");
    assert_eq!(fixture.run("ls -F /opt"), "redis@  redis-7/");
    assert_eq!(fixture.run("ls /opt/redis"), "bin  redis.conf");
    assert_eq!(fixture.run("cd /opt/redis && pwd && ls; cd"), "/opt/redis\nbin  redis.conf");
    assert_eq!(fixture.run("[ -L /opt/redis ] && [ -d /opt/redis ] && echo both"), "both");
    assert_eq!(fixture.run("find /opt -type l"), "/opt/redis");
    assert_eq!(fixture.run("file /opt/redis"), "/opt/redis: symbolic link to redis-7");
    assert_eq!(
        fixture.run("ln -s elsewhere /opt/redis/bin"),
        "",
        "into the directory that the link leads to"
    );
    assert_eq!(
        fixture.run("ln -sn redis-6 /opt/redis"),
        "ln: failed to create symbolic link '/opt/redis': File exists"
    );
    assert_eq!(fixture.run("ln -sfn redis-6 /opt/redis; readlink /opt/redis"), "redis-6");
    assert_eq!(fixture.run("cat /opt/redis/x"), "cat: /opt/redis/x: No such file or directory");
    assert_eq!(fixture.run("cp -r /opt /tmp/copy && readlink /tmp/copy/redis"), "redis-6");
    // Only the link is removed, not its target.
    fixture.run("ln -sfn redis-7 /opt/redis");
    assert_eq!(fixture.run("rm -r /opt/redis && ls /opt"), "redis-7");
    assert_eq!(fixture.run("cat /opt/redis-7/redis.conf"), "port 7001");
    assert_eq!(
        fixture.run("ln /opt/redis-7/redis.conf /tmp/hard"),
        "ln: hard links are not supported here; make a symbolic one with ln -s"
    );
}

#[test]
fn words_are_quoted_expanded_and_globbed() {
    let mut fixture = Fixture::new(&["one"]);
    check(
        &mut fixture,
        &[
            ("echo hello   'big  world' \"$HOME\"", "hello big  world /root"),
            ("x=5; echo $x ${x}y ${y:-none} $((x * 2 + 1)) ${#x}", "5 5y none 11 1"),
            ("echo 700{0,1,2} {1..4}", "7000 7001 7002 1 2 3 4"),
            (
                "mkdir -pv a/700{0,1}",
                "mkdir: created directory 'a'\nmkdir: created directory 'a/7000'\nmkdir: created directory 'a/7001'",
            ),
            ("touch a/x.conf a/y.conf; cd a; echo *.conf 7*", "x.conf y.conf 7000 7001"),
            ("echo $(ls | wc -l) files", "4 files"),
            ("echo ~ '~' \\$x", "/root ~ $x"),
            ("f=redis.conf; echo ${f%.conf} ${f#*.} ${f/redis/my}", "redis conf my.conf"),
            ("pwd", "/root/a"),
            ("cd - && cd /tmp && pwd", "/root\n/tmp"),
            ("echo nosuch*", "nosuch*"),
        ],
    );
}

#[test]
fn commands_are_joined_piped_and_redirected() {
    let mut fixture = Fixture::new(&["one"]);
    check(
        &mut fixture,
        &[
            ("true && echo yes || echo no", "yes"),
            ("false && echo yes || echo no; echo $?", "no\n0"),
            ("printf '%s\\n' b a c | sort | head -n 2", "a\nb"),
            ("echo one > f; echo two >> f; cat f; wc -l < f", "one\ntwo\n2"),
            ("nosuch; echo $?", "-bash: nosuch: command not found\n127"),
            (
                "nosuch 2>/dev/null; ls /nosuch > out 2>&1; cat out",
                "ls: cannot access '/nosuch': No such file or directory",
            ),
            ("cat <<EOF\nx is $((1+1))\nEOF", "> x is $((1+1))\n> EOF\nx is 2"),
            ("yes | head -n 2", "y\ny"),
            ("seq 4 | head -n -2", "1\n2"),
            ("seq 4 | head -1", "1"),
            ("(cd /etc; pwd); pwd", "/etc\n/root"),
            ("echo a b c | { read x y; echo \"$y-$x\"; }", "b c-a"),
            ("! true; echo $?", "1"),
            ("ls f | cat | grep f | tr f F", "F"),
            (
                "seq 2 | tee one two; cat one two; seq 9 | tail -1 | tee -a one > two",
                "1\n2\n1\n2\n1\n2",
            ),
            ("cat one two", "1\n2\n9\n9"),
            ("echo abc | xargs kill", "kill: failed to parse argument: 'abc'"),
        ],
    );
}

#[test]
fn loops_branches_functions_and_scripts() {
    let mut fixture = Fixture::new(&["one"]);
    check(
        &mut fixture,
        &[
            ("for p in 7001 7002; do echo port $p; done", "port 7001\nport 7002"),
            ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3"),
            ("if [ -d /etc ]; then echo dir; else echo none; fi", "dir"),
            ("case redis.conf in *.conf) echo conf;; *) echo other;; esac", "conf"),
            ("greet() { echo hello $1; }; greet you", "hello you"),
            (
                "printf 'for a in \"$@\"; do\\n  echo \"<$a>\"\\ndone\\nexit 3\\n' > s.sh; sh s.sh 'a b' c; echo $?",
                "<a b>\n<c>\n3",
            ),
            ("chmod +x s.sh; ./s.sh x; echo $?", "<x>\n3"),
            (
                "for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done",
                "1\n3",
            ),
            ("f() { f; }; f", "-bash: f: maximum function nesting level exceeded"),
            ("select x in a; do :; done", "-bash: select is not supported by this shell"),
            ("((x = 1))", "-bash: (( )) is not supported by this shell"),
            ("trap 'echo late' INT", "-bash: trap: INT: this shell traps EXIT only"),
            ("sh -c 'trap \"echo end\" EXIT; echo begin; exit 3'; echo $?", "begin\nend\n3"),
            ("sh -c 'trap \"echo end\" EXIT; trap; trap - EXIT'", "trap -- 'echo end' EXIT"),
        ],
    );
}

#[test]
fn conditions_in_double_brackets_hold_or_not() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("f='a b.conf'; n=3; touch x.conf");
    for (condition, status) in [
        ("$f == *.conf && ! -e $f", 0),
        ("$f == \"*.conf\"", 1),
        ("$f != a* || -f x.conf", 0),
        ("-z $unset && -n $f", 0),
        ("n -lt 4 && $n -ge 3", 0),
        ("$n -eq 4", 1),
        ("( a < b || x ) && b > a", 0),
        ("redis-7001 =~ ^redis-(7|8)[0-9]{3}$", 0),
        ("redis-9001 =~ ^redis-(7|8)[0-9]{3}$", 1),
        ("$f", 0),
        ("$unset", 1),
        ("-v f && ! -v unset", 0),
        ("-d /etc &&\n -d /var", 0),
        ("a =~ [", 2),
    ] {
        let printed = fixture.run(&format!("[[ {condition} ]] 2>/dev/null; echo $?"));
        assert!(printed.ends_with(&status.to_string()), "[[ {condition} ]]: {printed}");
    }
    check(
        &mut fixture,
        &[
            ("if [[ $n = [0-9] ]]; then echo digit; fi", "digit"),
            ("[[ a b ]]", "-bash: syntax error near unexpected token `b'"),
        ],
    );
}

#[test]
fn jobs_are_stopped_continued_and_ended() {
    let mut fixture = Fixture::new(&["one"]);
    assert!(fixture.run("sleep 100 &").starts_with("[1] "));
    assert_eq!(fixture.run("jobs"), "[1]+  Running                 sleep 100 &");
    fixture.keys("fg\r");
    assert!(!fixture.is_at_prompt());
    fixture.keys("\x1a");
    fixture.wait_for_prompt();
    assert_eq!(fixture.run("jobs"), "[1]+  Stopped                 sleep 100");
    assert_eq!(fixture.run("kill %1; sleep 1"), "[1]+  Terminated              sleep 100");
    assert_eq!(fixture.run("jobs; ps | grep -c sleep"), "0");
    fixture.keys("sleep 100\r");
    assert!(!fixture.is_at_prompt());
    fixture.keys("\x03");
    fixture.wait_for_prompt();
    fixture.keys("echo $?\r");
    assert!(fixture.text().contains("echo $?\n130\n"), "{}", fixture.text());
    for endless in ["while true; do :; done", "while true; do sleep 1; done; echo never"] {
        fixture.keys(&format!("{endless}\r"));
        assert!(!fixture.is_at_prompt());
        fixture.keys("\x03");
        fixture.wait_for_prompt();
    }
    assert!(!fixture.text().ends_with("never\n"), "{}", fixture.text());
    assert_eq!(fixture.run("for i in 1 2; do echo $i; done"), "1\n2");
}

#[test]
fn a_line_is_edited_recalled_searched_and_completed() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("echo first");
    fixture.run("echo second");
    fixture.keys("\x1b[A\x1b[A\x1b[A\r");
    fixture.wait_for_prompt();
    assert!(fixture.text().ends_with("first\n[root@one ~]#"), "{}", fixture.text());
    fixture.keys("\x12sec\r");
    fixture.wait_for_prompt();
    assert!(fixture.text().ends_with("echo second\nsecond\n[root@one ~]#"), "{}", fixture.text());
    fixture.keys("cat /etc/host\t");
    assert!(fixture.text().ends_with("cat /etc/host"), "{}", fixture.text());
    fixture.keys("\t");
    assert!(fixture.text().contains("hostname  hosts"), "{}", fixture.text());
    fixture.keys("n\t\x01X\x0b\x19\x03");
    fixture.wait_for_prompt();
    assert!(fixture.text().ends_with("Xcat /etc/hostname ^C\n[root@one ~]#"), "{}", fixture.text());
    assert_eq!(fixture.run("echo 你好 世界"), "你好 世界");
}

#[test]
fn a_terminal_of_another_width_keeps_what_was_printed_and_the_line_being_typed() {
    let mut fixture = Fixture::new(&["one"]);
    let resize = |fixture: &mut Fixture, columns| {
        let resize = Action::Resize { terminal: "t1".into(), columns, rows: 30 };
        fixture.world.apply(&resize).unwrap();
        fixture.world.run_for(Duration::from_millis(50));
    };
    let printed = "echo a line of more than thirty characters is printed";
    fixture.run(printed);
    fixture.keys("echo a line of more than thirty characters is typed");
    resize(&mut fixture, 30);
    fixture.keys("\x1b[D\x1b[D");
    resize(&mut fixture, 120);
    fixture.keys("\x05 too");
    resize(&mut fixture, 25);
    fixture.keys("\r");
    fixture.wait_for_prompt();
    resize(&mut fixture, 100);
    let typed = "echo a line of more than thirty characters is typed too";
    let answers = (&printed["echo ".len()..], &typed["echo ".len()..]);
    let prompt = "[root@one ~]#";
    let expected =
        format!("{prompt} {printed}\n{}\n{prompt} {typed}\n{}\n{prompt}", answers.0, answers.1);
    assert_eq!(fixture.text(), expected);
}

#[test]
fn a_clone_of_a_world_with_a_shell_goes_on_alike() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("x=1; sleep 50 &");
    fixture.keys("for i in 1 2 3; do echo $x$i; sle");
    let mut twin = Fixture { world: fixture.world.clone() };
    for fixture in [&mut fixture, &mut twin] {
        fixture.keys("ep 1; done\r");
        fixture.wait_for_prompt();
        let before = fixture.world.now();
        fixture.world.run_until(before + Duration::from_secs(60));
        fixture.run("echo end");
    }
    assert_eq!(fixture.text(), twin.text());
    assert_eq!(fixture.world.trace_hash(), twin.world.trace_hash());
}

#[test]
fn servers_are_configured_started_and_stopped_as_the_notes_do() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("cd /tmp; mkdir 7001 7002");
    let printed = fixture.run("echo 7001 7002 | xargs -t -n 1 cp redis-6.2.4/redis.conf");
    assert_eq!(printed, "cp redis-6.2.4/redis.conf 7001\ncp redis-6.2.4/redis.conf 7002");
    fixture.run(r"sed -i -e 's/6379/7001/g' -e 's/dir .\//dir \/tmp\/7001\//g' 7001/redis.conf");
    fixture.run(r"printf '%s\n' 7001 | xargs -I{} -t sed -i '1a replica-announce-ip 10.0.0.1' {}/redis.conf");
    assert_eq!(
        fixture.run("grep -E '^(port|dir|replica-announce)' 7001/redis.conf"),
        "replica-announce-ip 10.0.0.1\nport 7001\ndir /tmp/7001/"
    );
    fixture.run("redis-server 7001/redis.conf > 7001/log &");
    fixture.run("redis-server --port 7002 --replicaof 127.0.0.1 7001 > 7002/log &");
    fixture.run("sleep 3");
    assert_eq!(fixture.run("redis-cli -p 7001 set num 123"), "OK");
    assert_eq!(fixture.run("redis-cli -p 7002 get num"), "\"123\"");
    assert_eq!(
        fixture.run("redis-cli -p 7002 set num 666"),
        "(error) READONLY You can't write against a read only replica."
    );
    assert!(fixture.run("tail -n 1 7001/log").contains("Synchronization with replica"));
    assert_eq!(fixture.run("ps -ef | grep redis-server | grep -v grep | wc -l"), "2");
    assert!(fixture.run("ss -tnl").contains("LISTEN      0      511    127.0.0.1:7001"));
    fixture.run(r"printf '%s\n' 7001 7002 | xargs -I{} redis-cli -p {} shutdown");
    fixture.run("sleep 1");
    assert_eq!(fixture.run("ps -ef | grep redis-server | grep -v grep | wc -l"), "0");
    assert_eq!(
        fixture.run("redis-cli -p 7001 ping"),
        "Could not connect to Redis at 127.0.0.1:7001: Connection refused"
    );
}

#[test]
fn the_installer_makes_a_service() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.keys("cd /root/soft/redis-5.0.5/utils; ./install_server.sh\r");
    for answer in ["6380\r", "\r", "\r", "\r", "\r", "\r"] {
        fixture.keys(answer);
    }
    fixture.wait_for_prompt();
    let text = fixture.text();
    assert!(text.contains("Config file    : /etc/redis/6380.conf"), "{text}");
    assert!(text.contains("Starting Redis server...\nInstallation successful!"), "{text}");
    fixture.run("sleep 1");
    assert_eq!(fixture.run("service redis_6380 status"), "Redis is running on port 6380");
    assert_eq!(
        fixture.run("redis-cli -p 6380 config get dir"),
        "1) \"dir\"\n2) \"/var/lib/redis/6380\""
    );
    assert!(
        fixture
            .run("tail -n 1 /var/log/redis_6380.log")
            .ends_with("Ready to accept connections tcp")
    );
    assert!(fixture.run("/etc/init.d/redis_6380 stop").ends_with("Redis stopped"));
    assert_eq!(fixture.run("service redis_6380 status; echo $?"), "Redis is not running\n3");
    assert_eq!(fixture.run("systemctl start redis; sleep 1; systemctl is-active redis"), "active");
    assert_eq!(fixture.run("redis-cli ping"), "PONG");
}

#[test]
fn a_new_directory_outlives_a_power_loss_together_with_what_was_synced_in_it() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("mkdir -p data/6380; redis-server --dir data/6380 --daemonize yes; sleep 1");
    assert_eq!(fixture.run("redis-cli save"), "OK");
    fixture.world.apply(&Action::Crash { host: "one".into() }).expect("it has power");
    let host = fixture.world.host_named("one").expect("it is there");
    assert!(host.disk.read_file("/root/data/6380/dump.rdb").is_ok());
}

#[test]
fn a_client_sits_at_the_terminal_and_a_shell_on_another_host() {
    let mut fixture = Fixture::new(&["one", "two"]);
    fixture.run("redis-server --bind 0.0.0.0 --protected-mode no > log &");
    fixture.run("sleep 1");
    fixture.keys("redis-cli\r");
    assert!(fixture.text().ends_with("127.0.0.1:6379>"), "{}", fixture.text());
    fixture.keys("set k1 hello\r");
    fixture.keys("LPUSH l a b\rblpop none 0\r");
    assert!(
        fixture.text().contains("127.0.0.1:6379> LPUSH l a b\n(integer) 2"),
        "{}",
        fixture.text()
    );
    fixture.keys("\x03");
    fixture.keys("get k1\r");
    assert!(fixture.text().contains("get k1\n\"hello\"\n"), "{}", fixture.text());
    fixture.keys("exit\r");
    fixture.wait_for_prompt();
    fixture.keys("ssh two\r");
    assert!(fixture.text().ends_with("[root@two ~]#"), "{}", fixture.text());
    fixture.keys("hostname -I; redis-cli -h one get k1\r");
    assert!(fixture.text().ends_with("10.0.0.2\n\"hello\"\n[root@two ~]#"), "{}", fixture.text());
    fixture.keys("exit\r");
    fixture.wait_for_prompt();
    assert!(fixture.text().contains("Connection to two closed."), "{}", fixture.text());
    fixture.run("iptables -A INPUT -s two -j DROP");
    assert_eq!(fixture.world.cuts().count(), 1);
    fixture.run("iptables -F; scp log two:/tmp");
    assert_eq!(fixture.world.cuts().count(), 0);
    assert!(fixture.run("ssh two wc -l /tmp/log").ends_with("/tmp/log"));
}

#[test]
fn vi_edits_a_file() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run(r"printf 'port 6379\ndaemonize yes\nlogfile x\n' > r.conf");
    fixture.keys("vi r.conf\r");
    assert!(fixture.text().contains("\"r.conf\" 3L, 34B"), "{}", fixture.text());
    fixture.keys("/daemon\r");
    fixture.keys("$xxxano\x1b");
    fixture.keys("jdd");
    fixture.keys(":%s/6379/7001/\r:wq\r");
    fixture.wait_for_prompt();
    assert_eq!(fixture.run("cat r.conf"), "port 7001\ndaemonize no");
    fixture.keys("vi r.conf\rdd:q\r");
    assert!(fixture.text().contains("E37: No write since last change"), "{}", fixture.text());
    fixture.keys(":q!\r");
    fixture.wait_for_prompt();
    assert_eq!(fixture.run("wc -l < r.conf"), "2");
}

#[test]
fn keys_are_placed_and_the_proxies_lie_there_to_be_installed() {
    let mut fixture = Fixture::new(&["redis-1"]);
    let text =
        fixture.run("seq 3 | sed 's/^/k/' | limpid shard -n a -n b --hash murmur -k - --add c");
    assert!(text.contains(" of 3 keys move ("), "{text}");
    let text = fixture.run("limpid shard -n a -c 1000000");
    assert_eq!(text, "limpid: shard: --count 1000000: at most 100000 keys are made here");
    fixture.run(
        "mkdir /etc/nutcracker; cd /root/soft/twemproxy/twemproxy; cp conf/* /etc/nutcracker/",
    );
    fixture.run("cp scripts/nutcracker.init /etc/init.d/twemproxy; chmod +x /etc/init.d/twemproxy");
    assert_eq!(fixture.run("service twemproxy start"), "Starting nutcracker");
    let text = fixture.run("redis-cli -p 22121 ping; netstat -lnt | grep -c 22121");
    assert_eq!(text, "PONG\n1");
}

#[test]
fn create_cluster_starts_joins_and_stops_its_nodes() {
    let mut fixture = Fixture::new(&["one"]);
    fixture.run("cd soft/redis-5.0.5/utils/create-cluster");
    fixture.run("echo 'PORT=7000 TIMEOUT=3000 NODES=3 REPLICAS=0' > config.sh");
    let started = "Starting 7001\nStarting 7002\nStarting 7003";
    assert_eq!(fixture.run("./create-cluster start"), started);
    let created = fixture.run("./create-cluster create -f | tail -n 3");
    assert!(created.ends_with("[OK] All 16384 slots covered."), "{created}");
    assert_eq!(fixture.run("./create-cluster call ping"), "PONG\nPONG\nPONG");
    let stopped = "Stopping 7001\nStopping 7002\nStopping 7003";
    assert_eq!(fixture.run("./create-cluster stop"), stopped);
    assert_eq!(fixture.run("./create-cluster clean; ls"), "config.sh  create-cluster");
}
