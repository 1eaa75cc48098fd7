//! The source trees of twemproxy and predixy on an installed machine: the programs are already
//! built, and their configuration files are examples.

use crate::sim::EXECUTABLE;

const TWEMPROXY: &str = "/root/soft/twemproxy/twemproxy";
const PREDIXY: &str = "/root/soft/predixy/predixy-1.0.5";

/// All files, with their modes.
pub(super) fn files() -> Vec<(String, Vec<u8>, u16)> {
    let text = |path: String, text: &str| (path, text.as_bytes().to_vec(), 0o644);
    let program =
        |path: String, name: &str| (path, [EXECUTABLE, name.as_bytes(), b"\n"].concat(), 0o755);
    vec![
        program(format!("{TWEMPROXY}/src/nutcracker"), "nutcracker"),
        text(format!("{TWEMPROXY}/README.md"), "twemproxy, built already: src/nutcracker.\n"),
        text(format!("{TWEMPROXY}/conf/nutcracker.yml"), NUTCRACKER_YML),
        text(format!("{TWEMPROXY}/conf/nutcracker.leaf.yml"), LEAF_YML),
        text(format!("{TWEMPROXY}/conf/nutcracker.root.yml"), ROOT_YML),
        text(format!("{TWEMPROXY}/scripts/nutcracker.init"), NUTCRACKER_INIT),
        program(format!("{PREDIXY}/bin/predixy"), "predixy"),
        text(format!("{PREDIXY}/README.md"), "predixy, built already: bin/predixy.\n"),
        text(format!("{PREDIXY}/conf/predixy.conf"), PREDIXY_CONF),
        text(format!("{PREDIXY}/conf/sentinel.conf"), SENTINEL_CONF),
        text(format!("{PREDIXY}/conf/cluster.conf"), CLUSTER_CONF),
        text(format!("{PREDIXY}/conf/try.conf"), TRY_CONF),
    ]
}

const NUTCRACKER_YML: &str = "\
alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1
";

const LEAF_YML: &str = "\
leaf:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6379:1 server1
   - 127.0.0.1:6380:1 server2
";

const ROOT_YML: &str = "\
root:
  listen: 127.0.0.1:22122
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  auto_eject_hosts: false
  redis: true
  servers:
   - 127.0.0.1:22121:1
";

const NUTCRACKER_INIT: &str = r#"#!/bin/sh
# chkconfig: 345 90 10
# Starts and stops twemproxy.
CONF=/etc/nutcracker/nutcracker.yml
LOG=/var/log/nutcracker.log

case "$1" in
    start)
        if pgrep nutcracker > /dev/null; then
            echo "nutcracker is already running"
        else
            echo "Starting nutcracker"
            nutcracker -d -c $CONF -o $LOG
        fi
        ;;
    stop)
        echo "Stopping nutcracker"
        pkill nutcracker
        ;;
    restart)
        $0 stop
        $0 start
        ;;
    status)
        if pgrep nutcracker > /dev/null; then
            echo "nutcracker is running"
        else
            echo "nutcracker is stopped"
            exit 3
        fi
        ;;
    *)
        echo "Usage: $0 start|stop|restart|status"
        exit 2
        ;;
esac
"#;

const PREDIXY_CONF: &str = "\
# A configuration file for predixy: a directive a line, and files that are included.

Name PredixyExample
# Bind 127.0.0.1:7617
WorkerThreads 1

# One pool of servers: take the # away from one of these, and put it before the others.
# Include cluster.conf
# Include sentinel.conf
Include try.conf
";

const SENTINEL_CONF: &str = "\
# Servers that Sentinels watch. Each group is one primary with its replicas, and is named as the
# Sentinels name it. Take the # away, and write your own addresses and groups.

#SentinelServerPool {
#    Databases 16
#    Hash crc16
#    HashTag \"{}\"
#    Distribution modula
#    MasterReadPriority 60
#    StaticSlaveReadPriority 50
#    DynamicSlaveReadPriority 50
#    RefreshInterval 1
#    ServerTimeout 1
#    ServerFailureLimit 10
#    ServerRetryTimeout 1
#    KeepAlive 120
#    Sentinels {
#        + 127.0.0.1:26379
#        + 127.0.0.1:26380
#        + 127.0.0.1:26381
#    }
#    Group shard001 {
#    }
#    Group shard002 {
#    }
#}
";

const CLUSTER_CONF: &str = "\
# The nodes of a Redis Cluster: a few are enough, the others are found.

#ClusterServerPool {
#    MasterReadPriority 60
#    StaticSlaveReadPriority 50
#    DynamicSlaveReadPriority 50
#    RefreshInterval 1
#    ServerTimeout 1
#    ServerFailureLimit 10
#    ServerRetryTimeout 1
#    KeepAlive 120
#    Servers {
#        + 127.0.0.1:30001
#        + 127.0.0.1:30002
#        + 127.0.0.1:30003
#    }
#}
";

const TRY_CONF: &str = "\
# One server, for a first look.

ClusterServerPool {
    RefreshInterval 1
    Servers {
        + 127.0.0.1:6379
    }
}
";
