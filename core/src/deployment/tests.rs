//! Tests with reports of a primary with replicas and Sentinels, and of a cluster, in the format of
//! Redis 7.

use super::*;
use crate::resp::value::Value;

fn server(address: &str, run_id: &str, more: &str) -> Report {
    let info = format!("# Server\r\nredis_mode:standalone\r\nrun_id:{run_id}\r\n{more}");
    Report { address: address.into(), info, ..Report::default() }
}

fn primary(address: &str, offset: u64) -> Report {
    server(
        address,
        &format!("id-{address}"),
        &format!(
            "role:master\r\nconnected_slaves:2\r\n\
             slave0:ip=127.0.0.1,port=6380,state=online,offset=90,lag=0\r\n\
             slave1:ip=127.0.0.1,port=6381,state=online,offset=100,lag=1\r\n\
             master_repl_offset:{offset}\r\ninstantaneous_ops_per_sec:12\r\n\
             db0:keys=3,expires=0,avg_ttl=0\r\ndb4:keys=2,expires=1,avg_ttl=5\r\n"
        ),
    )
}

fn replica(address: &str, of: u16, link: &str, offset: u64) -> Report {
    server(
        address,
        &format!("id-{address}"),
        &format!(
            "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:{of}\r\n\
             master_link_status:{link}\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:{offset}\r\n"
        ),
    )
}

fn fields(text: &str) -> Vec<(String, String)> {
    text.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(field, value)| (field.into(), value.into()))
        .collect()
}

fn sentinel(address: &str, flags: &str) -> Report {
    let mut report = server(address, &format!("id-{address}"), "");
    report.info = report.info.replace("standalone", "sentinel");
    report.masters = vec![Watched {
        master: fields(&format!("name=mymaster ip=127.0.0.1 port=6379 flags={flags}")),
        replicas: vec![fields("ip=127.0.0.1 port=6380 flags=slave")],
        sentinels: vec![fields("ip=127.0.0.1 port=26380 flags=sentinel")],
    }];
    report
}

#[test]
fn one_node_names_the_others() {
    assert_eq!(primary("127.0.0.1:6379", 100).named(), ["127.0.0.1:6380", "127.0.0.1:6381"]);
    assert_eq!(replica("127.0.0.1:6380", 6379, "up", 1).named(), ["127.0.0.1:6379"]);
    let named = sentinel("127.0.0.1:26379", "master").named();
    assert_eq!(named, ["127.0.0.1:6379", "127.0.0.1:6380", "127.0.0.1:26380"]);
}

#[test]
fn roles_links_and_lags_are_read_off_the_reports() {
    let deployment = Deployment::of(&[
        replica("127.0.0.1:6381", 6379, "down", 60),
        primary("127.0.0.1:6379", 100),
        replica("127.0.0.1:6380", 6379, "up", 90),
        Report::unanswered("127.0.0.1:6382", "Connection refused"),
    ]);
    let [master, first, second, silent] = deployment.nodes.as_slice() else { panic!() };
    assert_eq!((master.keys, master.rate, master.offset), (5, 12, Some(100)));
    assert_eq!(first.primary, Some((0, Link::Online(Some(10)))));
    assert_eq!(second.primary, Some((0, Link::Down)));
    assert_eq!(silent.report.error.as_deref(), Some("Connection refused"));
}

#[test]
fn a_node_with_two_addresses_appears_once() {
    let mut again = primary("localhost:6379", 100);
    again.info = primary("127.0.0.1:6379", 100).info;
    let deployment = Deployment::of(&[
        again,
        primary("127.0.0.1:6379", 100),
        replica("127.0.0.1:6380", 6379, "up", 100),
    ]);
    assert_eq!(deployment.nodes.len(), 2);
    assert_eq!(deployment.nodes[1].primary, Some((0, Link::Online(Some(0)))));
}

#[test]
fn sentinels_that_report_a_server_as_down_are_counted() {
    let deployment = Deployment::of(&[
        primary("127.0.0.1:6379", 100),
        sentinel("127.0.0.1:26379", "s_down,o_down,master"),
        sentinel("127.0.0.1:26381", "master"),
        Report::unanswered("127.0.0.1:26380", "Connection refused"),
    ]);
    let judged = deployment.node("127.0.0.1:6379").and_then(|node| node.judged);
    let wanted = Judgement { watched_by: 2, down_for: 1, objectively: true, in_cluster: false };
    assert_eq!(judged, Some(wanted));
    // It has never answered, but the Sentinels identify it.
    let silent = deployment.node("127.0.0.1:26380").map(|node| node.kind);
    assert_eq!(silent, Some(Kind::Sentinel));
    assert!(deployment.has_sentinels() && !deployment.has_cluster());
}

#[test]
fn cluster_nodes_have_slots_and_report_each_other_as_down() {
    let node = |address: &str, nodes: &str| {
        let mut report =
            server(address, &format!("id-{address}"), "role:master\r\ncluster_enabled:1\r\n");
        report.cluster_nodes = nodes.into();
        report
    };
    let a = node(
        "127.0.0.1:7000",
        "aa 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-9 11-20\n\
         bb 127.0.0.1:7001@17001 master,fail? - 1 2 2 connected 21-16383\n\
         cc :0@0 master,noaddr - 0 0 0 disconnected\n",
    );
    let b = node(
        "127.0.0.1:7001",
        "bb 127.0.0.1:7001@17001 myself,master - 0 0 2 connected 21-16383\n",
    );
    assert_eq!(a.named(), ["127.0.0.1:7001"]);
    let deployment = Deployment::of(&[a, b]);
    let role = deployment.nodes[0].cluster.as_ref().expect("a node of a cluster");
    assert_eq!((role.slots.as_slice(), role.slot_count()), (&[(0, 9), (11, 20)][..], 20));
    let wanted = Judgement { watched_by: 1, down_for: 1, objectively: false, in_cluster: true };
    assert_eq!(deployment.nodes[1].judged, Some(wanted));
}

#[test]
fn a_failover_gives_changes() {
    let before = Deployment::of(&[
        primary("127.0.0.1:6379", 100),
        replica("127.0.0.1:6380", 6379, "up", 100),
        replica("127.0.0.1:6381", 6379, "up", 100),
    ]);
    let mut dead = primary("127.0.0.1:6379", 100);
    dead.error = Some("Connection refused".into());
    let mut promoted = primary("127.0.0.1:6380", 120);
    promoted.info = promoted.info.replace("port=6380", "port=6381");
    let after = Deployment::of(&[dead, promoted, replica("127.0.0.1:6381", 6380, "down", 100)]);
    let address = |port: u16| format!("127.0.0.1:{port}");
    assert_eq!(
        changes(&before, &after),
        [
            Change::Lost(address(6379), "Connection refused".into()),
            Change::Promoted(address(6380)),
            Change::Follows(address(6381), Some(address(6380))),
            Change::LinkLost(address(6381)),
        ]
    );
    assert_eq!(changes(&after, &after), []);
}

#[test]
fn an_inquiry_asks_a_sentinel_for_its_tables() {
    let table = |text: &str| {
        Value::Array(
            fields(text)
                .iter()
                .flat_map(|(k, v)| [k, v])
                .map(|s| Value::bulk(s.as_str()))
                .collect(),
        )
    };
    let mut inquiry = Inquiry::new("127.0.0.1:26379");
    let mut asked = Vec::new();
    while let Some(command) = inquiry.next() {
        let reply = match command.join(" ").as_str() {
            "INFO" => Value::bulk("redis_mode:sentinel\r\n"),
            "SENTINEL MASTERS" => {
                Value::Array(vec![table("name=a port=1"), table("name=b port=2")])
            }
            "SENTINEL REPLICAS a" => Value::Array(vec![table("ip=127.0.0.1 port=3")]),
            _ => Value::Error(b"ERR No such master with that name".to_vec()),
        };
        inquiry.answer(&reply).expect("only INFO may not be refused");
        asked.push(command.join(" "));
    }
    assert_eq!(
        asked,
        [
            "INFO",
            "SENTINEL MASTERS",
            "SENTINEL REPLICAS a",
            "SENTINEL SENTINELS a",
            "SENTINEL REPLICAS b",
            "SENTINEL SENTINELS b",
        ]
    );
    let report = inquiry.report();
    assert_eq!((report.masters[0].replicas.len(), report.masters[1].name()), (1, "b"));
}

#[test]
fn a_refused_info_is_an_error() {
    let mut inquiry = Inquiry::new("127.0.0.1:6379");
    let refused = inquiry.answer(&Value::Error(b"NOAUTH Authentication required.".to_vec()));
    assert_eq!(refused, Err("NOAUTH Authentication required.".to_owned()));
}
