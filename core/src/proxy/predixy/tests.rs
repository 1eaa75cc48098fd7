//! Tests of configuration files, and of routing by them.

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    let mut read = |path: &str| match path {
        "/etc/p.conf" => Ok(text.as_bytes().to_vec()),
        "/etc/servers.conf" => Ok(SENTINEL.as_bytes().to_vec()),
        other => Err(format!("No such file: {other}")),
    };
    Config::parse("/etc/p.conf", &[], &mut read).map_err(|error| error.to_string())
}

/// The example of the course notes.
const SENTINEL: &str = "\
SentinelServerPool {
    Databases 16
    Hash crc16
    HashTag \"{}\"
    Distribution modula
    MasterReadPriority 60
    StaticSlaveReadPriority 50
    DynamicSlaveReadPriority 50
    RefreshInterval 1
    ServerTimeout 1
    ServerFailureLimit 10
    ServerRetryTimeout 1
    KeepAlive 120
    Sentinels {
        + 127.0.0.1:26379
        + 127.0.0.1:26380
        + 127.0.0.1:26381
    }
    Group ooxx {
    }
    Group xxoo {
    }
}
";

#[test]
fn the_files_of_the_course_are_read() {
    let config = parse("Name PredixyExample\nBind 127.0.0.1:7617\nInclude servers.conf\n");
    let config = config.expect("a good file");
    assert_eq!(config.name, "PredixyExample");
    assert_eq!(config.files, ["/etc/p.conf", "/etc/servers.conf"]);
    assert_eq!((config.pool.databases, config.pool.master_read_priority), (16, 60));
    assert_eq!(config.pool.server_timeout, Some(Duration::from_secs(1)));
    let config::Kind::Groups { sentinels, groups, .. } = &config.pool.kind else { panic!() };
    assert_eq!((sentinels.len(), groups.len()), (3, 2));
    // k1 is in the first group; k2, and every key with the tag {oo}, in the second.
    let topology = Topology::new(&config);
    let mut rng = Rng::new(1);
    let groups = ["k1", "k2", "{oo}k1", "{oo}k2"];
    let groups = groups.map(|key| topology.group_of(key.as_bytes(), &mut rng));
    assert_eq!(groups, [Some(0), Some(1), Some(1), Some(1)]);
}

#[test]
fn errors_name_the_file_and_the_line() {
    let with =
        |line: &str| parse(&format!("{line}\nInclude servers.conf\n")).expect_err("an error");
    assert_eq!(with("Bogus 1"), "/etc/p.conf:1 unknown key Bogus");
    assert_eq!(
        with("WorkerThreads 0"),
        "/etc/p.conf:1 WorkerThreads 0 not in range [1, 2147483647]"
    );
    assert_eq!(with("AllowMissLog yes"), "/etc/p.conf:1 AllowMissLog expect true or false");
    assert_eq!(with("MaxMemory 1Q"), "/etc/p.conf:1 MaxMemory invalid memory value \"1Q\"");
    assert_eq!(with("}"), "parse error unmatched end scope in /etc/p.conf:1");
    assert_eq!(with("Include p.conf"), "include file /etc/p.conf duplicate in /etc/p.conf:1");
    assert_eq!(with("Include none"), "open file /etc/none fail No such file: /etc/none");
    assert_eq!(with("Name \"x\" y"), "parse error in /etc/p.conf:1");
    assert_eq!(with("Authority {"), "parse error some scope no end /etc/p.conf:1");
    assert_eq!(with("LocalDC x"), "LocalDC \"x\" no exists in DataCenter");
    assert_eq!(
        with("CustomCommand {\nget {\n}\n}"),
        "/etc/p.conf:2 custom command get is duplicated"
    );
    assert_eq!(parse("Name x\n").expect_err("an error"), "Must define a server pool");
    let pool = |text: &str| {
        parse(&format!("StandaloneServerPool {{\n{text}\n}}\n")).expect_err("an error")
    };
    assert_eq!(pool("Group a {\n+ 1.1.1.1:1\n}"), "StandaloneServerPool must define RefreshMethod");
    assert_eq!(pool("RefreshMethod fixed\nGroup a {\n}"), "Group(a) must add servers");
    let two = "RefreshMethod fixed\nGroup a {\n+ 1.1.1.1:1\n}\nGroup b {\n+ 1.1.1.1:2\n}";
    assert!(pool(two).contains("must define Dsitribution in multi groups"));
    assert!(pool(&format!("{two}\nDistribution modula")).contains("must define Hash"));
}

#[test]
fn the_topology_is_read_from_cluster_nodes() {
    let config = parse("ClusterServerPool {\nServers {\n+ 10.0.0.1:7000\n}\n}\n").expect("good");
    let mut topology = Topology::new(&config);
    let mut rng = Rng::new(1);
    assert_eq!(topology.group_of(b"k", &mut rng), None);
    let nodes = "\
aaa 10.0.0.1:7000@17000,host myself,master - 0 0 1 connected 0-8191 [93->-bbb]
bbb 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383
ccc 10.0.0.3:7000@17000 slave bbb 0 0 2 connected
ddd :0@0 master,noaddr - 0 0 0 disconnected
";
    assert!(topology.set_cluster(nodes, &config));
    let master = |topology: &Topology, key: &[u8]| {
        let group = topology.group_of(key, &mut Rng::new(1)).expect("a group");
        topology.servers[topology.master(group).expect("a primary")].text.clone()
    };
    // foo is in slot 12182, b in 3300.
    assert_eq!(master(&topology, b"foo"), "10.0.0.2:7000");
    assert_eq!(master(&topology, b"b"), "10.0.0.1:7000");
    // The replica was promoted.
    let nodes = "\
aaa 10.0.0.1:7000@17000 master - 0 0 1 connected 0-8191
bbb 10.0.0.2:7000@17000 master,fail - 0 0 2 disconnected
ccc 10.0.0.3:7000@17000 myself,master - 0 0 3 connected 8192-16383
";
    assert!(topology.set_cluster(nodes, &config));
    assert_eq!(master(&topology, b"foo"), "10.0.0.3:7000");
    assert!(!topology.set_cluster("nonsense", &config));
}

#[test]
fn reads_follow_the_read_priorities() {
    let text = "LocalDC near\nDataCenter {\nDC near {\nAddrPrefix {\n+ 10.0.0.\n}\nReadPolicy {\n\
                near 50\nfar 10\n}\n}\nDC far {\nAddrPrefix {\n+ 10.1.0.\n}\nReadPolicy {\nfar 50\n}\n}\n}\n\
                StandaloneServerPool {\nRefreshMethod fixed\nMasterReadPriority 10\n\
                StaticSlaveReadPriority 50\nGroup g {\n+ 10.1.0.1:1\n+ 10.1.0.2:1\n+ 10.0.0.3:1\n}\n}\n";
    let config = parse(text).expect("a good file");
    let mut topology = Topology::new(&config);
    let mut rng = Rng::new(1);
    let mut reader = |topology: &Topology, pending: [usize; 3]| {
        let of =
            |server: &pool::Server| pending[topology.find(&server.text).expect("a known server")];
        topology.reader(0, &config, &mut rng, of)
    };
    // The only one in the local data center, however busy it is.
    assert_eq!(reader(&topology, [0, 0, 9]), Some(2));
    topology.servers[2].online = false;
    // A replica is preferred to the primary.
    assert_eq!(reader(&topology, [0, 9, 0]), Some(1));
    topology.servers[1].fail = true;
    assert_eq!(reader(&topology, [0, 0, 0]), Some(0));
    assert_eq!(topology.master(0), Some(0));
}
