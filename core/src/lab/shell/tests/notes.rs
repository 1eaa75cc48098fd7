//! The command blocks of the course's notes, typed at the terminals of a World: what is typed, and the
//! lines that have to come of it. Each block names the note and the place in it. Ids, times and ports of
//! clients are stars. Where an answer of today's servers differs from the note's, the block says how.
//!
//! What the notes only install is not here (it answers that it is there already). What other tests
//! replay is named in [`ELSEWHERE`].

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::glob::matches_ignoring_case;
use crate::lab::programs;
use crate::sim::{Action, HostSpec, Scenario, World};
use crate::time::Duration;

/// A block of a note.
struct Block {
    /// The note and the place.
    note: &'static str,
    /// What is typed: the terminal, the line, and lines that have to come of it, in their order.
    typed: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// How today's answer differs from what the note shows; empty if it does not.
    differs: &'static str,
}

/// Note 1: one server, its data types, persistence, and a primary with two replicas.
const DATA_TYPES: &[Block] = &[
    Block {
        note: "1, section 1: a password and an address",
        typed: &[
            ("redis", "vim /etc/redis.conf", &["*/etc/redis.conf*"]),
            ("redis", "^G^orequirepass mypass^[:wq", &["*]#"]),
            ("redis", "grep requirepass /etc/redis.conf", &["requirepass mypass"]),
            ("redis", "systemctl start redis", &["*]#"]),
            ("redis", "redis-cli ping", &["*NOAUTH Authentication required*"]),
        ],
        differs: "",
    },
    Block {
        note: "1, section 2 (1): SETNX",
        typed: &[
            ("redis", "redis-cli -a mypass", &["127.0.0.1:6379>"]),
            ("redis", "SETNX mykey tom", &["(integer) 1"]),
            ("redis", "SETNX mykey jerry", &["(integer) 0"]),
            ("redis", "GET mykey", &["\"tom\""]),
            ("redis", "SET mykey jerry", &["OK"]),
            ("redis", "GET mykey", &["\"jerry\""]),
        ],
        differs: "redis-cli also warns that a password on the command line may not be safe",
    },
    Block {
        note: "1, section 2 (2): counting",
        typed: &[
            ("redis", "SET counts 10", &["OK"]),
            ("redis", "INCR counts", &["(integer) 11"]),
            ("redis", "INCR counts", &["(integer) 12"]),
            ("redis", "INCR counts", &["(integer) 13"]),
            ("redis", "INCR counts", &["(integer) 14"]),
            ("redis", "DECR counts", &["(integer) 13"]),
            ("redis", "DECR counts", &["(integer) 12"]),
            ("redis", "DECR counts", &["(integer) 11"]),
            ("redis", "DECR counts", &["(integer) 10"]),
        ],
        differs: "",
    },
    Block {
        note: "1, section 3: a list",
        typed: &[
            ("redis", "LPUSH mylist 10 11 12 14 19 20 30 99 2 29 76", &["(integer) 11"]),
            ("redis", "LINDEX mylist 0", &["\"76\""]),
            ("redis", "LINDEX mylist 1", &["\"29\""]),
            (
                "redis",
                "LINDEX mylist",
                &["(error) ERR wrong number of arguments for 'lindex' command"],
            ),
            ("redis", "LLEN mylist", &["(integer) 11"]),
            (
                "redis",
                "LRANGE mylist 0 5",
                &["1) \"76\"", "2) \"29\"", "3) \"2\"", "4) \"99\"", "5) \"30\"", "6) \"20\""],
            ),
            (
                "redis",
                "LREM mylist 0",
                &["(error) ERR wrong number of arguments for 'lrem' command"],
            ),
            ("redis", "LREM mylist 0 76", &["(integer) 1"]),
            ("redis", "LLEN mylist", &["(integer) 10"]),
        ],
        differs: "the command's name stands in quotes in the errors",
    },
    Block {
        note: "1, section 4: a hash",
        typed: &[
            ("redis", "HSET stu id 1", &["(integer) 1"]),
            ("redis", "HSET stu name 'maxie'", &["(integer) 1"]),
            ("redis", "HGET stu name", &["\"maxie\""]),
            ("redis", "HGET stu id", &["\"1\""]),
            ("redis", "HSET stu age 22", &["(integer) 1"]),
            ("redis", "HVALS stu", &["1) \"1\"", "2) \"maxie\"", "3) \"22\""]),
            (
                "redis",
                "HGETALL stu",
                &[
                    "1) \"id\"",
                    "2) \"1\"",
                    "3) \"name\"",
                    "4) \"maxie\"",
                    "5) \"age\"",
                    "6) \"22\"",
                ],
            ),
        ],
        differs: "the note's fields were there already, so its HSETs answer 0",
    },
    Block {
        note: "1, section 5: sets",
        typed: &[
            ("redis", "SADD students 'tom' 'jerry' 'lucy' 'lily'", &["(integer) 4"]),
            ("redis", "SADD teachers 'sam' 'trump'", &["(integer) 2"]),
            ("redis", "SADD teachers 'lucy' 'tom'", &["(integer) 2"]),
            ("redis", "SMEMBERS teachers", &["4) \"*\""]),
            ("redis", "SUNION students teachers", &["6) \"*\""]),
            ("redis", "SDIFF students teachers", &["1) \"*\"", "2) \"*\""]),
            ("redis", "SDIFF teachers students", &["1) \"*\"", "2) \"*\""]),
        ],
        differs: "members of a set have no order",
    },
    Block {
        note: "1, section 6: a sorted set",
        typed: &[
            (
                "redis",
                "ZADD stus 90 'maxie' 100 'tom' 69 'lily' 85 'jerry' 95 'sam'",
                &["(integer) 5"],
            ),
            ("redis", "ZCARD stus", &["(integer) 5"]),
            ("redis", "ZRANK stus 'tom'", &["(integer) 4"]),
            (
                "redis",
                "ZRANGE stus 0 4",
                &["1) \"lily\"", "2) \"jerry\"", "3) \"maxie\"", "4) \"sam\"", "5) \"tom\""],
            ),
            ("redis", "ZRANGEBYSCORE stus 0 3", &["(empty array)"]),
            ("redis", "ZRANGEBYSCORE stus 60 90", &["1) \"lily\"", "2) \"jerry\"", "3) \"maxie\""]),
        ],
        differs: "redis-cli of today says '(empty array)' for '(empty list or set)'",
    },
    Block {
        note: "1, section 7: clients",
        typed: &[
            ("redis", "CLIENT LIST", &["id=* addr=127.0.0.1:*"]),
            ("redis", "CLIENT SETNAME test-1", &["OK"]),
            ("redis", "CLIENT LIST", &["id=*name=test-1*"]),
            ("redis", "CLIENT KILL ID 999", &["(integer) 0"]),
            ("redis", "exit", &["*]#"]),
        ],
        differs: "a client has more fields, and the id to kill is another",
    },
    Block {
        note: "1, section 8: an append-only file",
        typed: &[
            ("redis", "sed -i 's/^appendonly .*/appendonly yes/' /etc/redis.conf", &["*]#"]),
            ("redis", "grep '^appendonly' /etc/redis.conf", &["appendonly yes"]),
            ("redis", "systemctl restart redis", &["*]#"]),
            ("redis", "ll /var/lib/redis/", &["*appendonlydir*"]),
            (
                "redis",
                "redis-cli -a mypass info Persistence",
                &["# Persistence", "loading:0", "aof_enabled:1"],
            ),
        ],
        differs: "the append-only file of Redis 7 is a directory of files with a manifest",
    },
];

/// Note 1, sections 9 and 10: three machines with a password.
const MACHINES: &[Block] = &[
    Block {
        note: "1, section 9 (1) and (2): the configuration of three machines",
        typed: &[
            (
                "m100",
                "sed -i -e 's/^bind .*/bind 172.16.1.100 127.0.0.1/' -e 's/^protected-mode .*/protected-mode no/' /etc/redis.conf; echo requirepass mypass >> /etc/redis.conf",
                &["*]#"],
            ),
            ("m100", "systemctl start redis.service", &["*]#"]),
            (
                "m70",
                "sed -i 's/^bind .*/bind 172.16.1.70 127.0.0.1/' /etc/redis.conf; printf 'requirepass mypass\\nslaveof 172.16.1.100 6379\\nmasterauth mypass\\nslave-priority 100\\n' >> /etc/redis.conf",
                &["*]#"],
            ),
            ("m70", "systemctl start redis.service", &["*]#"]),
            (
                "m30",
                "sed -i 's/^bind .*/bind 172.16.1.30 127.0.0.1/' /etc/redis.conf; printf 'requirepass mypass\\nslaveof 172.16.1.100 6379\\nmasterauth mypass\\nslave-priority 90\\n' >> /etc/redis.conf",
                &["*]#"],
            ),
            ("m30", "systemctl start redis", &["*]#"]),
            ("m30", "sleep 5", &["*]#"]),
        ],
        differs: "the notes edit with vim, which `vi_edits_a_file` tries",
    },
    Block {
        note: "1, section 9 (3) to (6): what the primary says",
        typed: &[
            ("m100", "redis-cli -a mypass", &["127.0.0.1:6379>"]),
            (
                "m100",
                "INFO Replication",
                &[
                    "# Replication",
                    "role:master",
                    "connected_slaves:2",
                    "slave0:ip=172.16.1.*,port=6379,state=online,*",
                    "slave1:ip=172.16.1.*,port=6379,state=online,*",
                    "repl_backlog_active:1",
                    "repl_backlog_size:1048576",
                ],
            ),
            ("m100", "SET mykey 10", &["OK"]),
            ("m100", "GET mykey", &["\"10\""]),
            ("m70", "redis-cli -a mypass get mykey", &["\"10\""]),
            ("m30", "redis-cli -a mypass get mykey", &["\"10\""]),
        ],
        differs: "",
    },
    Block {
        note: "1, section 10 (1) to (4): a Sentinel beside the primary",
        typed: &[
            ("m100", "SADD students 'tom' 'lucy' 'jerry'", &["(integer) 3"]),
            ("m100", "exit", &["*]#"]),
            ("m70", "redis-cli -a mypass smembers students", &["3) \"*\""]),
            (
                "m100",
                "printf 'port 26379\\nprotected-mode no\\nsentinel monitor mymaster 172.16.1.100 6379 1\\nsentinel auth-pass mymaster mypass\\nsentinel down-after-milliseconds mymaster 5000\\nsentinel parallel-syncs mymaster 1\\nsentinel failover-timeout mymaster 180000\\n' > /etc/redis-sentinel.conf",
                &["*]#"],
            ),
            ("m100", "systemctl start redis-sentinel.service", &["*]#"]),
            ("m100", "sleep 12", &["*]#"]),
            ("m100", "ss -tnl", &["LISTEN*26379*"]),
            ("m100", "redis-cli -p 26379", &["127.0.0.1:26379>"]),
            (
                "m100",
                "SENTINEL masters",
                &[
                    "*\"mymaster\"",
                    "*\"172.16.1.100\"",
                    "*\"num-slaves\"",
                    "*\"2\"",
                    "*\"quorum\"",
                    "*\"1\"",
                ],
            ),
        ],
        differs: "",
    },
    Block {
        note: "1, section 10 (5) to (7): a failover by hand",
        typed: &[
            ("m100", "SENTINEL failover mymaster", &["OK"]),
            ("m70", "sleep 15", &["*]#"]),
            ("m100", "SENTINEL masters", &["*\"172.16.1.30\""]),
            (
                "m30",
                "redis-cli -a mypass info Replication",
                &["role:master", "connected_slaves:1", "slave0:ip=172.16.1.70,*"],
            ),
            ("m100", "exit", &["*]#"]),
            ("m100", "redis-cli -a mypass CONFIG SET masterauth mypass", &["OK"]),
            ("m100", "redis-cli -a mypass CONFIG REWRITE", &["OK"]),
            ("m70", "sleep 5", &["*]#"]),
            ("m30", "redis-cli -a mypass info Replication", &["role:master", "connected_slaves:2"]),
        ],
        differs: "",
    },
];

/// Note 0: three servers of one machine in the foreground, and Sentinels.
const ONE_MACHINE: &[Block] = &[
    Block {
        note: "0, replication, steps 2 to 4: files in the home directory",
        typed: &[
            ("bogon", "mkdir -p test; cd test", &["*test]#"]),
            (
                "bogon",
                "for p in 6379 6380 6381; do mkdir -p /var/lib/redis/$p; sed -e \"s/6379/$p/g\" -e 's/^appendonly .*/appendonly no/' -e \"s#^dir .*#dir /var/lib/redis/$p#\" /tmp/redis-6.2.4/redis.conf > $p.conf; done; ls",
                &["*6379.conf*6380.conf*6381.conf*"],
            ),
            ("bogon", "grep -E '^(port|dir)' 6380.conf", &["port 6380", "dir /var/lib/redis/6380"]),
        ],
        differs: "the notes copy the installer's files and edit them with vim",
    },
    Block {
        note: "0, replication, step 5: three servers on three screens",
        typed: &[
            ("bogon#1", "redis-server ~/test/6379.conf", &["*Ready to accept connections*"]),
            ("bogon#2", "redis-server ~/test/6380.conf", &["*Ready to accept connections*"]),
            ("bogon#3", "redis-server ~/test/6381.conf", &["*Ready to accept connections*"]),
        ],
        differs: "",
    },
    Block {
        note: "0, replication, steps 6 and 7: follow, and what both log",
        typed: &[
            ("bogon", "redis-cli -p 6380", &["127.0.0.1:6380>"]),
            ("bogon", "REPLICAOF 127.0.0.1 6379", &["OK"]),
            (
                "bogon#1",
                "",
                &[
                    "*Replica 127.0.0.1:6380 asks for synchronization",
                    "*Synchronization with replica 127.0.0.1:6380 succeeded",
                ],
            ),
            (
                "bogon#2",
                "",
                &[
                    "*MASTER <-> REPLICA sync started",
                    "*MASTER <-> REPLICA sync: Finished with success",
                ],
            ),
            (
                "bogon",
                "set k1 222",
                &["(error) READONLY You can't write against a read only replica."],
            ),
            ("bogon", "exit", &["*]#"]),
            ("bogon", "redis-cli -p 6381 replicaof 127.0.0.1 6379", &["OK"]),
            ("bogon#1", "", &["*Synchronization with replica 127.0.0.1:6381 succeeded"]),
        ],
        differs: "the copy is sent without a disk, so the lines about BGSAVE say so",
    },
    Block {
        note: "0, replication, step 8: a replica that was away gets the rest",
        typed: &[
            ("bogon#3", "^C", &["*]#"]),
            ("bogon#1", "", &["*Connection with replica 127.0.0.1:6381 lost."]),
            ("bogon", "redis-cli set k5 123", &["OK"]),
            (
                "bogon#3",
                "redis-server ~/test/6381.conf --replicaof 127.0.0.1 6379",
                &["*Ready to accept connections*", "*MASTER <-> REPLICA sync started"],
            ),
            ("bogon#1", "", &["*Partial resynchronization request from 127.0.0.1:6381 accepted*"]),
            ("bogon", "redis-cli -p 6381 get k5", &["\"123\""]),
        ],
        differs: "",
    },
    Block {
        note: "0, replication, step 9: the primary goes, a person decides",
        typed: &[
            ("bogon#1", "^C", &["*]#"]),
            ("bogon#2", "", &["*Connection with master lost.*"]),
            ("bogon", "redis-cli -p 6381 replicaof no one", &["OK"]),
            ("bogon", "redis-cli -p 6380 replicaof 127.0.0.1 6381", &["OK"]),
            ("bogon", "sleep 3", &["*]#"]),
            ("bogon", "redis-cli -p 6381 info replication", &["role:master", "connected_slaves:1"]),
        ],
        differs: "the note writes 'no noe', which no server takes",
    },
    Block {
        note: "0, Sentinel, steps 1 to 3: three Sentinels find each other",
        typed: &[
            (
                "bogon",
                "for p in 26379 26380 26381; do printf \"port $p\\nsentinel monitor mymaster 127.0.0.1 6381 2\\nsentinel down-after-milliseconds mymaster 5000\\n\" > $p.conf; done",
                &["*]#"],
            ),
            (
                "bogon#4",
                "redis-server ~/test/26379.conf --sentinel",
                &[
                    "*Sentinel ID is *",
                    "*+monitor master mymaster 127.0.0.1 6381 quorum 2",
                    "*+slave slave 127.0.0.1:6380 *",
                ],
            ),
            (
                "bogon#5",
                "redis-server ~/test/26380.conf --sentinel",
                &["*+sentinel sentinel * 127.0.0.1 26379 *"],
            ),
            ("bogon#6", "redis-sentinel ~/test/26381.conf", &["*+sentinel sentinel *"]),
            ("bogon#4", "", &["*+sentinel sentinel * 127.0.0.1 26380 *"]),
        ],
        differs: "the primary is 6381 by now",
    },
    Block {
        note: "0, Sentinel: the channel in which they talk",
        typed: &[
            ("bogon", "redis-cli -p 6381", &["127.0.0.1:6381>"]),
            (
                "bogon",
                "PSUBSCRIBE *",
                &["1) \"psubscribe\"", "3) (integer) 1", "3) \"__sentinel__:hello\""],
            ),
            ("bogon", "^C", &["127.0.0.1:6381>"]),
            ("bogon", "exit", &["*]#"]),
        ],
        differs: "the client of today goes on after Ctrl-C",
    },
    Block {
        note: "0, Sentinel, step 4: the primary goes, and the file is rewritten",
        typed: &[
            ("bogon#3", "^C", &["*]#"]),
            (
                "bogon#4",
                "",
                &[
                    "*+sdown master mymaster 127.0.0.1 6381",
                    "*+switch-master mymaster 127.0.0.1 6381 127.0.0.1 6380",
                ],
            ),
            (
                "bogon",
                "cat 26379.conf",
                &[
                    "port 26379",
                    "sentinel monitor mymaster 127.0.0.1 6380 2",
                    "*sentinel known-replica mymaster 127.0.0.1 6381",
                ],
            ),
        ],
        differs: "",
    },
];

/// Blocks that other tests replay.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "0 and 3: install_server.sh, service, systemctl",
        "shell::tests::the_installer_makes_a_service",
    ),
    ("0 and 3: vi and vim", "shell::tests::vi_edits_a_file"),
    ("0 and 3: twemproxy", "tests/interop/proxies/course.rs"),
    ("0 and 3: predixy", "tests/interop/proxies/course.rs"),
    ("0, 1, 3 and 4: redis-trib.rb and redis-cli --cluster", "tests/interop/cluster.rs"),
    (
        "0 and 3: create-cluster",
        "shell::tests::servers_are_configured_started_and_stopped_as_the_notes_do",
    ),
    (
        "2: three servers below /tmp by xargs and sed",
        "shell::tests::servers_are_configured_started_and_stopped_as_the_notes_do",
    ),
];

#[test]
fn the_note_about_data_types_is_replayed_block_by_block() {
    replay(&[("redis", [172, 16, 1, 100])], DATA_TYPES);
}

#[test]
fn the_note_about_three_machines_is_replayed_block_by_block() {
    let hosts = [("m100", [172, 16, 1, 100]), ("m70", [172, 16, 1, 70]), ("m30", [172, 16, 1, 30])];
    replay(&hosts, MACHINES);
}

#[test]
fn the_note_about_one_machine_and_sentinels_is_replayed_block_by_block() {
    replay(&[("bogon", [192, 168, 80, 100])], ONE_MACHINE);
}

#[test]
fn no_block_stands_in_two_places() {
    let blocks = [DATA_TYPES, MACHINES, ONE_MACHINE].into_iter().flatten();
    let mut notes: Vec<&str> = blocks.map(|block| block.note).collect();
    notes.extend(ELSEWHERE.iter().map(|(note, _)| *note));
    let all = notes.len();
    notes.sort_unstable();
    notes.dedup();
    assert_eq!(notes.len(), all);
}

/// Types blocks in a World, and looks what comes of each line.
fn replay(hosts: &[(&str, [u8; 4])], blocks: &[Block]) {
    let scenario = Scenario {
        name: "notes".into(),
        epoch_ms: 1_605_000_000_000,
        hosts: hosts.iter().map(|(name, ip)| HostSpec::new(name, Ipv4Addr::from(*ip))).collect(),
        link: Default::default(),
        links: Vec::new(),
        tcp: Default::default(),
    };
    let mut world = World::new(Arc::new(scenario), 7, programs);
    world.run_for(Duration::from_millis(50));
    for block in blocks {
        for (terminal, line, shows) in block.typed {
            if let Err(text) = type_line(&mut world, terminal, line, shows) {
                let differs = block.differs;
                panic!(
                    "{}: '{line}' at {terminal} does not show {shows:?} ({differs}):\n{text}",
                    block.note
                );
            }
        }
    }
}

/// Types a line, and waits for what has to come of it. `^C`, `^[` and `^G^` are keys, as is `^` before
/// one of them; an empty line is nothing, and all that the terminal shows counts.
fn type_line(world: &mut World, terminal: &str, line: &str, shows: &[&str]) -> Result<(), String> {
    const LOOKS: u32 = 1_200;
    if world.tty_named(terminal).is_none() {
        let host = terminal.split('#').next().unwrap_or_default().to_owned();
        let login = Action::Login { host, terminal: terminal.to_owned(), columns: 200, rows: 400 };
        world.apply(&login).expect("a login");
        wait(world, terminal, 0, &["*]#"], LOOKS)?;
    }
    let before = match line {
        "" => 0,
        _ => world.tty_named(terminal).map_or(0, |tty| tty.text().len()),
    };
    let keys = match line {
        "" => String::new(),
        "^C" => "\u{3}".to_owned(),
        line => format!("{}\r", line.replace("^[", "\u{1b}").replace("^G^", "G")),
    };
    if !keys.is_empty() {
        world.apply(&Action::Keys { terminal: terminal.to_owned(), keys }).expect("a terminal");
    }
    wait(world, terminal, before, shows, LOOKS)
}

fn wait(
    world: &mut World,
    terminal: &str,
    before: usize,
    shows: &[&str],
    looks: u32,
) -> Result<(), String> {
    let mut text = String::new();
    for _ in 0..looks {
        world.run_for(Duration::from_millis(50));
        text = world.tty_named(terminal).map(|tty| tty.text()).unwrap_or_default();
        // A full-screen program shows less than there was.
        let new = text.get(before.saturating_sub(1)..).unwrap_or(&text);
        let mut lines = new.lines().map(str::trim);
        let all = shows.iter().all(|pattern| {
            lines.any(|line| matches_ignoring_case(pattern.as_bytes(), line.as_bytes()))
        });
        if all {
            return Ok(());
        }
    }
    Err(text)
}
