//! Servers behind a proxy are cut off, stopped or killed, change roles or move slots, while clients
//! check that every reply is theirs.

use std::process::Command;
use std::time::{Duration, Instant};

use limpid_core::resp::value::Value;
use limpid_tests::client::text;
use limpid_tests::process::{Kind, Process, binary};
use limpid_tests::wait::until;

use super::course::Groups;
use super::crowd::Crowd;
use super::{Program, client, ports, redis};
use crate::cluster::{self, Cluster};

fn signal(program: &Program, name: &str) {
    let status = Command::new("kill").args([name, &program.child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {name}");
}

/// Fixed servers: connections are cut, one is stopped, one is killed and restarted. The proxy's
/// timeout is longer than a busy machine takes, since a server may still carry out a request after
/// the proxy gave it up, even after later ones.
fn fixed_servers_fail(proxy: impl Fn(u16, &[Program]) -> Program) {
    let [listen] = ports();
    let mut servers: Vec<Program> = ports::<3>().map(|port| redis(port, &[])).into();
    let proxy = proxy(listen, &servers);
    let crowd = Crowd::start(proxy.port);
    for _ in 0..10 {
        for server in &servers {
            let killed =
                server.client().call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            assert!(matches!(killed, Value::Integer(n) if n > 0), "{killed:?}");
            crowd.is_served();
        }
    }
    // A stopped server carries out earlier requests when it continues, perhaps after later ones.
    crowd.may_forget();
    signal(&servers[0], "-STOP");
    crowd.is_refused();
    signal(&servers[0], "-CONT");
    crowd.is_served();
    let port = servers[1].port;
    servers[1].kill();
    crowd.is_refused();
    servers[1] = redis(port, &[]);
    crowd.is_served();
    let seen = crowd.end();
    assert!(seen.replies > seen.errors);
}

#[test]
fn replies_of_twemproxy_are_their_clients_own_whatever_its_servers_do() {
    fixed_servers_fail(|listen, servers| {
        let [stats] = ports();
        let servers: String =
            servers.iter().map(|server| format!("   - 127.0.0.1:{}:1\n", server.port)).collect();
        let config = format!(
            "pool:\n  listen: 127.0.0.1:{listen}\n  redis: true\n  hash: murmur\n  distribution: ketama\n  \
             timeout: 3000\n  server_retry_timeout: 100\n  servers:\n{servers}"
        );
        let stats = stats.to_string();
        let args = ["proxy", "--twemproxy", "n.yml", "-s", &stats, "-a", "127.0.0.1"];
        Program::start(binary(), &args, &[("n.yml", &config)], listen)
    });
}

#[test]
fn replies_of_predixy_are_their_clients_own_whatever_its_servers_do() {
    fixed_servers_fail(|listen, servers| {
        let groups: String = servers
            .iter()
            .enumerate()
            .map(|(n, server)| {
                format!("    Group g{n} {{\n        + 127.0.0.1:{}\n    }}\n", server.port)
            })
            .collect();
        let pool = format!(
            "StandaloneServerPool {{\n    Hash crc16\n    Distribution modula\n    \
             RefreshMethod fixed\n    ServerTimeout 3\n    ServerRetryTimeout 1\n{groups}}}\n"
        );
        predixy(listen, &pool)
    });
}

/// predixy in front of a pool.
fn predixy(listen: u16, pool: &str) -> Program {
    let config = format!("Name Example\nBind 127.0.0.1:{listen}\n{pool}");
    let link = tempfile::TempDir::new().expect("a temporary directory");
    let path = link.path().join("predixy");
    std::os::unix::fs::symlink(binary(), &path).expect("a link");
    Program::start(&path, &["predixy.conf"], &[("predixy.conf", &config)], listen)
}

#[test]
fn replies_of_predixy_are_their_clients_own_while_sentinels_replace_primaries() {
    let mut groups = Groups::start();
    let (proxy, _link) = groups.predixy(&["ooxx", "xxoo"]);
    let crowd = Crowd::start(proxy.port);
    crowd.may_forget();
    // A server closes its clients' connections when Sentinels change its role.
    let is = |server: &Program, role: &str| {
        let mut client = server.client();
        client.send(&["ROLE"]);
        let told = client.read();
        told.is_some_and(|told| told.value.items().is_some_and(|items| text(&items[0]) == role))
    };
    // Primary and replica exchange roles.
    let asked = groups.sentinels[0].client().call(&["SENTINEL", "FAILOVER", "ooxx"]);
    assert_eq!(text(&asked), "OK");
    until(
        || "the roles are exchanged".to_owned(),
        || is(&groups.slaves[0], "master") && is(&groups.masters[0], "slave"),
    );
    crowd.is_served();
    // A primary is stopped until it is replaced, and then continues as if it still were one.
    signal(&groups.masters[1], "-STOP");
    until(|| "another one has its place".to_owned(), || is(&groups.slaves[1], "master"));
    crowd.is_served();
    signal(&groups.masters[1], "-CONT");
    until(|| "it follows".to_owned(), || is(&groups.masters[1], "slave"));
    crowd.is_served();
    groups.slaves[1].kill();
    until(|| "the first one is a primary again".to_owned(), || is(&groups.masters[1], "master"));
    crowd.is_served();
    crowd.end();
}

/// Starts predixy in front of a cluster, with this `ServerTimeout` in seconds, and its clients.
fn before(cluster: &Cluster, timeout_s: u32) -> (Program, Crowd) {
    let [listen] = ports();
    let servers: String = cluster.nodes[..3]
        .iter()
        .map(|node| format!("        + 127.0.0.1:{}\n", node.port()))
        .collect();
    let pool = format!(
        "ClusterServerPool {{\n    RefreshInterval 1\n    ServerTimeout {timeout_s}\n    \
         Servers {{\n{servers}    }}\n}}\n"
    );
    let proxy = predixy(listen, &pool);
    let mut probe = client(listen);
    until(
        || "it knows the cluster".to_owned(),
        || (0..32).all(|n| !probe.call(&["EXISTS", &format!("probe:{n}")]).is_error()),
    );
    let crowd = Crowd::start(listen);
    (proxy, crowd)
}

#[test]
fn clients_of_predixy_do_not_notice_that_slots_move_and_roles_are_exchanged() {
    use Kind::{Limpid, Redis};
    let cluster =
        Cluster::create_with(&[Limpid, Redis, Limpid, Redis, Limpid, Redis], cluster::PATIENT);
    // A primary holds writes back for up to ten seconds for a manual failover that does not succeed.
    let (_proxy, crowd) = before(&cluster, 20);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        cluster.reshard(from, to, 1_500);
        crowd.is_served();
    }
    for replica in &cluster.nodes[3..] {
        takes_over(replica, "CLUSTER FAILOVER");
        crowd.is_served();
    }
    let seen = crowd.end();
    assert_eq!(seen.errors, 0, "of {}", seen.replies);
}

/// Makes a replica take over by a manual failover. It times out after five seconds, which may
/// happen on a busy machine; then it is repeated.
fn takes_over(replica: &Process, how: &str) {
    const GIVEN_UP: Duration = Duration::from_secs(6);
    let ask = || {
        assert_eq!(cluster::call(replica, how), Value::Simple(b"OK".to_vec()));
        Instant::now()
    };
    let mut asked = ask();
    until(
        || format!("it did not take over: {}", cluster::text(replica, "CLUSTER NODES")),
        || {
            let leads = cluster::text(replica, "INFO replication").contains("role:master");
            if !leads && asked.elapsed() > GIVEN_UP {
                asked = ask();
            }
            leads
        },
    );
}

#[test]
fn replies_of_predixy_are_their_clients_own_while_nodes_of_a_cluster_fail() {
    use Kind::{Limpid, Redis};
    let mut cluster = Cluster::create(&[Limpid, Redis, Limpid, Redis, Limpid, Redis]);
    let (_proxy, crowd) = before(&cluster, 3);
    crowd.may_forget();
    cluster.nodes[0].kill();
    is_replaced(&cluster, 0);
    crowd.is_served();
    cluster.nodes[0].restart(true);
    crowd.is_served();
    // A node is stopped until another one has taken over.
    let paused = cluster.nodes[1].pid().to_string();
    let send = |name: &str| {
        let status = Command::new("kill").args([name, &paused]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    };
    send("-STOP");
    is_replaced(&cluster, 1);
    crowd.is_served();
    send("-CONT");
    until(
        || "it follows".to_owned(),
        || cluster::text(&cluster.nodes[1], "INFO replication").contains("role:slave"),
    );
    crowd.is_served();
    crowd.end();
}

/// Waits until another node has taken over from this one, according to the others.
fn is_replaced(cluster: &Cluster, victim: usize) {
    let asked = &cluster.nodes[2];
    let port = format!(":{}@", cluster.nodes[victim].port());
    let nodes = || cluster::text(asked, "CLUSTER NODES");
    until(
        || format!("nobody took over: {}", nodes()),
        || {
            let nodes = nodes();
            let primaries = nodes.lines().filter(|line| line.contains("master"));
            let serves = |line: &&str| !line.contains("fail") && line.contains('-');
            let living = primaries.filter(serves).filter(|line| !line.contains(&port));
            living.filter(|line| line.split(' ').count() > 8).count() == 3
        },
    );
}
