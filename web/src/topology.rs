//! The topologies of the page, as data: a new one is a row of [`TOPOLOGIES`].

use core::fmt;
use core::time::Duration;

use limpid_core::lab;
#[cfg(feature = "whole")]
use limpid_core::lesson::Lesson;
use limpid_core::sim::Scenario;

use crate::figures::Speed;
use crate::i18n::{Locale, Text};
use crate::layout::{Layout, apart, circle, replicated, through, watch};
use crate::prefs;
use crate::whole::IS_WHOLE;

pub(crate) use limpid_core::lab::SHELL;

/// A topology: one of [`TOPOLOGIES`], or that of a lesson.
#[derive(Clone, Copy)]
pub(crate) struct Topology(&'static Spec);

/// The description of a topology.
struct Spec {
    /// Its name in addresses and links.
    name: &'static str,
    /// Its group in the menu.
    group: Group,
    /// Its title, and the value of `{n}` in that.
    title: (Text, &'static str),
    /// Hosts and their processes.
    hosts: Hosts,
    /// Whether it needs programs that only the whole program of the page has.
    whole: bool,
    /// Its layout.
    layout: Layout,
    /// The node whose terminal is open at the beginning.
    first: &'static str,
    /// The speed in virtual milliseconds per second at which it is calm, but something happens.
    speed: u64,
    /// Virtual milliseconds that its World runs before it is shown, so that there is traffic and
    /// every replica is in sync.
    warm_up: u64,
}

/// Where the hosts of a topology come from.
#[derive(Clone, Copy)]
enum Hosts {
    /// A function makes them when the topology is opened, with links slow enough to be watched.
    Made(fn() -> Scenario),
    /// A lesson's World.
    #[cfg(feature = "whole")]
    Given(&'static Scenario),
}

impl Hosts {
    fn make(self) -> Scenario {
        match self {
            Hosts::Made(make) => make(),
            #[cfg(feature = "whole")]
            Hosts::Given(scenario) => scenario.clone(),
        }
    }
}

/// A group of topologies in the menu.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// Independent servers.
    Apart,
    /// Servers that replicate.
    Replicated,
    /// Servers that replicate, and Sentinels that watch them.
    Watched,
    /// Servers that share the keys, by the clients' choice or by a proxy's.
    Sharded,
    /// Nodes of a cluster.
    Cluster,
}

/// Common values of independent servers.
const APART: Spec = Spec {
    name: "",
    group: Group::Apart,
    title: (words::SERVERS, ""),
    hosts: Hosts::Made(|| lab::sandbox(3)),
    whole: false,
    layout: apart::flow,
    first: "redis-1",
    speed: 20,
    warm_up: 1_000,
};

/// Servers that replicate.
const REPLICATED: Spec = Spec {
    group: Group::Replicated,
    layout: replicated::streams,
    speed: 50,
    warm_up: 4_000,
    ..APART
};

/// Servers that replicate, watched by Sentinels.
const WATCHED: Spec = Spec {
    group: Group::Watched,
    layout: watch::over_streams,
    // By then the Sentinels know each other, and have polled the primary for its replicas again.
    warm_up: 13_000,
    ..REPLICATED
};

/// Servers that share the keys.
const SHARDED: Spec = Spec {
    group: Group::Sharded,
    layout: through::columns,
    first: "proxy-1",
    speed: 50,
    warm_up: 2_000,
    whole: true,
    ..APART
};

/// Nodes of a cluster.
const CLUSTER: Spec = Spec {
    group: Group::Cluster,
    whole: true,
    layout: circle::cluster,
    first: "node-1",
    speed: 50,
    warm_up: 6_000,
    ..APART
};

/// All topologies, group by group.
static TOPOLOGIES: &[Spec] = &[
    Spec { name: "1", title: (words::SERVER, ""), hosts: Hosts::Made(|| lab::sandbox(1)), ..APART },
    Spec { name: "3", title: (words::SERVERS, "3"), ..APART },
    Spec {
        name: "12",
        title: (words::SERVERS, "12"),
        hosts: Hosts::Made(|| lab::sandbox(12)),
        layout: apart::ring,
        speed: 10,
        ..APART
    },
    Spec {
        name: "48",
        title: (words::SERVERS, "48"),
        hosts: Hosts::Made(|| lab::sandbox(48)),
        layout: apart::rows,
        speed: 5,
        warm_up: 400,
        ..APART
    },
    Spec {
        name: "replicas-2",
        title: (words::REPLICAS, "2"),
        hosts: Hosts::Made(|| lab::replicas(2)),
        ..REPLICATED
    },
    Spec {
        name: "replicas-5",
        title: (words::REPLICAS, "5"),
        hosts: Hosts::Made(|| lab::replicas(5)),
        ..REPLICATED
    },
    Spec {
        name: "chain-3",
        title: (words::CHAIN, "4"),
        hosts: Hosts::Made(|| lab::chain(3)),
        ..REPLICATED
    },
    Spec {
        name: "machines-3",
        title: (words::MACHINES, "3"),
        hosts: Hosts::Made(|| lab::machines(3)),
        layout: replicated::racks,
        first: "machine-1:6379",
        ..REPLICATED
    },
    Spec {
        name: "sentinels-3",
        title: (words::SENTINELS, "3"),
        hosts: Hosts::Made(lab::sentinels),
        ..WATCHED
    },
    Spec {
        name: "sentinels-5",
        title: (words::SENTINELS_ON_MACHINES, "5"),
        hosts: Hosts::Made(lab::sentinels_on_servers),
        layout: watch::over_racks,
        first: "redis-1:6379",
        ..WATCHED
    },
    Spec {
        name: "sentinels-masters",
        title: (words::SENTINELS_OF_TWO, "3"),
        hosts: Hosts::Made(lab::two_masters),
        ..WATCHED
    },
    Spec {
        name: "sharding",
        title: (words::SHARDING, "3"),
        hosts: Hosts::Made(lab::sharding),
        first: "redis-1",
        ..SHARDED
    },
    Spec {
        name: "twemproxy",
        title: (words::TWEMPROXY, "3"),
        hosts: Hosts::Made(lab::twemproxy),
        ..SHARDED
    },
    Spec {
        name: "twemproxies",
        title: (words::TWEMPROXIES, "2"),
        hosts: Hosts::Made(lab::twemproxies),
        // By then a host has taken the virtual address.
        warm_up: 4_000,
        ..SHARDED
    },
    Spec {
        name: "predixy-sentinels",
        title: (words::PREDIXY_SENTINELS, "2"),
        hosts: Hosts::Made(lab::predixy_over_sentinels),
        warm_up: 13_000,
        ..SHARDED
    },
    Spec {
        name: "predixy-cluster",
        title: (words::PREDIXY_CLUSTER, "6"),
        hosts: Hosts::Made(lab::predixy_over_cluster),
        warm_up: 4_000,
        ..SHARDED
    },
    Spec {
        name: "cluster-6",
        title: (words::CLUSTER, "3"),
        hosts: Hosts::Made(|| lab::busy_cluster(3, 1)),
        ..CLUSTER
    },
    Spec {
        name: "cluster-12",
        title: (words::CLUSTER, "6"),
        hosts: Hosts::Made(|| lab::busy_cluster(6, 1)),
        ..CLUSTER
    },
    Spec {
        name: "cluster-100",
        title: (words::NODES, "100"),
        hosts: Hosts::Made(|| lab::busy_cluster(50, 1)),
        speed: 20,
        warm_up: 4_000,
        ..CLUSTER
    },
    Spec {
        name: "cluster-empty",
        title: (words::EMPTY_NODES, "3"),
        hosts: Hosts::Made(|| lab::empty_nodes(3)),
        warm_up: 500,
        ..CLUSTER
    },
];

#[cfg(feature = "whole")]
thread_local! {
    /// The topologies of lessons, each with the title of the lesson in the language it was last
    /// read in.
    static LESSONS: core::cell::RefCell<Vec<(&'static Spec, String)>> = const { core::cell::RefCell::new(Vec::new()) };
}

impl Group {
    /// All groups, in their order.
    pub(crate) const ALL: [Group; 5] =
        [Group::Apart, Group::Replicated, Group::Watched, Group::Sharded, Group::Cluster];

    /// Its title.
    pub(crate) fn title(self) -> Text {
        match self {
            Group::Apart => words::GROUP_APART,
            Group::Replicated => words::GROUP_REPLICATED,
            Group::Watched => words::GROUP_WATCHED,
            Group::Sharded => words::GROUP_SHARDED,
            Group::Cluster => words::GROUP_CLUSTER,
        }
    }
}

impl Topology {
    /// The topology that is opened by default.
    pub(crate) const USUAL: Topology = Topology(&TOPOLOGIES[1]);

    /// The prefix of the names of lessons' topologies.
    pub(crate) const OF_LESSON: &'static str = "lesson/";

    /// The topology of a lesson, whose id is `chapter/lesson`. There is one per lesson until the
    /// page is closed; reading the lesson in the other language changes its title.
    #[cfg(feature = "whole")]
    pub(crate) fn of_lesson(id: &str, lesson: &Lesson) -> Self {
        let name = format!("{}{id}", Self::OF_LESSON);
        let known = LESSONS.with_borrow_mut(|lessons| {
            let (spec, title) = lessons.iter_mut().find(|(spec, _)| spec.name == name)?;
            title.clone_from(&lesson.title);
            Some(Topology(spec))
        });
        if let Some(known) = known {
            return known;
        }
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let like = Self::like(lesson);
        let first = lesson.scenario.hosts.first().map_or(SHELL, |host| leak(&host.name));
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let spec: &'static Spec = Box::leak(Box::new(Spec {
            name: leak(&name),
            group: like.group,
            title: (lesson_words::OF_LESSON, ""),
            hosts: Hosts::Given(Box::leak(Box::new(lesson.scenario.clone()))),
            whole: true,
            layout: like.layout,
            first,
            speed: lesson.speed.map_or(like.speed, millis),
            warm_up: millis(lesson.warm_up),
        }));
        LESSONS.with_borrow_mut(|lessons| lessons.push((spec, lesson.title.clone())));
        Topology(spec)
    }

    /// Looks up the topology of a lesson.
    #[cfg(feature = "whole")]
    fn lesson<T>(name: &str, found: impl FnOnce(&'static Spec, &String) -> T) -> Option<T> {
        LESSONS.with_borrow(|all| {
            all.iter().find(|(spec, _)| spec.name == name).map(|(spec, title)| found(spec, title))
        })
    }

    /// The topology whose layout a lesson uses: the one that it names, or one with similar
    /// programs.
    #[cfg(feature = "whole")]
    fn like(lesson: &Lesson) -> &'static Spec {
        if let Some(topology) = lesson.topology.as_deref().and_then(Self::named) {
            return topology.0;
        }
        let hosts = || lesson.scenario.hosts.iter();
        let shards =
            |program: &str| [lab::NUTCRACKER, lab::PREDIXY, lab::SHARDING].contains(&program);
        let runs = |of: &dyn Fn(&str) -> bool| {
            hosts().flat_map(|host| &host.processes).any(|process| of(&process.program))
        };
        if runs(&shards) {
            return &SHARDED;
        }
        if runs(&|program| program == lab::SENTINEL) {
            return &WATCHED;
        }
        let in_cluster = |text: &String| text.lines().any(|line| line == "cluster-enabled yes");
        if hosts().flat_map(|host| host.files.values()).any(in_cluster) {
            return &CLUSTER;
        }
        &REPLICATED
    }

    /// All topologies of the menu.
    pub(crate) fn all() -> impl Iterator<Item = Topology> {
        TOPOLOGIES.iter().map(Topology)
    }

    /// The topology of that name, if the page offers it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        #[cfg(feature = "whole")]
        if let Some(spec) = Self::lesson(name, |spec, _| spec) {
            return Some(Topology(spec));
        }
        Self::all().find(|topology| topology.name() == name)
    }

    /// The topology that the address names by a parameter.
    pub(crate) fn of_address() -> Option<Self> {
        let name = prefs::parameter("topology").or_else(|| prefs::parameter("servers"))?;
        Self::named(&name)
    }

    /// Whether it needs the whole program, and this is the first one.
    pub(crate) fn needs_whole(self) -> bool {
        !IS_WHOLE && self.0.whole
    }

    /// Its name in addresses and links.
    pub(crate) fn name(self) -> &'static str {
        self.0.name
    }

    /// Its group in the menu.
    pub(crate) fn group(self) -> Group {
        self.0.group
    }

    /// Its title in a language.
    pub(crate) fn title(self, locale: Locale) -> String {
        let (title, n) = self.0.title;
        #[cfg(feature = "whole")]
        if let Some(name) = Self::lesson(self.0.name, |_, title| title.clone()) {
            return locale.fill(title, &[("n", &name)]);
        }
        locale.fill(title, &[("n", n)])
    }

    /// Its layout.
    pub(crate) fn layout(self) -> Layout {
        self.0.layout
    }

    /// The node whose terminal is open at the beginning.
    pub(crate) fn first_node(self) -> &'static str {
        self.0.first
    }

    /// The speed at which it is calm, but something happens.
    pub(crate) fn speed(self) -> Speed {
        Speed::nearest(Duration::from_millis(self.0.speed))
    }

    /// How long its World runs before it is shown.
    pub(crate) fn warm_up(self) -> Duration {
        Duration::from_millis(self.0.warm_up)
    }

    /// The scenario: its World at the beginning.
    pub(crate) fn scenario(self) -> Scenario {
        // A lesson sets its own links.
        #[cfg(feature = "whole")]
        if let Hosts::Given(scenario) = self.0.hosts {
            return scenario.clone();
        }
        lab::as_in_page(self.0.hosts.make())
    }
}

impl PartialEq for Topology {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

mod words {
    crate::i18n::texts! {
        GROUP_APART: "Servers on their own", "独立服务器";
        GROUP_REPLICATED: "Replication", "主从复制";
        GROUP_WATCHED: "Sentinel", "哨兵";
        GROUP_SHARDED: "Sharding and proxies", "分片与代理";
        SHARDING: "Clients that shard over {n} servers", "客户端分片，{n} 台服务器";
        TWEMPROXY: "twemproxy and {n} servers", "twemproxy 与 {n} 台服务器";
        TWEMPROXIES: "{n} twemproxies behind a virtual address", "虚拟 IP 与 {n} 个 twemproxy";
        PREDIXY_SENTINELS: "predixy over {n} Sentinel groups", "predixy 与 {n} 组哨兵主从";
        PREDIXY_CLUSTER: "predixy over a Cluster of {n}", "predixy 与 {n} 节点集群";
        GROUP_CLUSTER: "Cluster", "集群";
        CLUSTER: "{n} primaries, {n} replicas", "{n} 主 {n} 从";
        NODES: "{n} nodes", "{n} 个节点";
        EMPTY_NODES: "{n} nodes that have not met", "{n} 个尚未相识的节点";
        SERVER: "1 server", "1 台服务器";
        SERVERS: "{n} servers", "{n} 台服务器";
        REPLICAS: "1 primary, {n} replicas", "1 主 {n} 从";
        CHAIN: "A chain of {n}", "{n} 级链式复制";
        SENTINELS: "1 primary, 2 replicas, {n} Sentinels", "1 主 2 从，{n} 个哨兵";
        SENTINELS_ON_MACHINES: "{n} Sentinels on 3 machines", "3 台机器上 {n} 个哨兵";
        SENTINELS_OF_TWO: "2 primaries, {n} Sentinels for both", "2 组主从，共用 {n} 个哨兵";
        MACHINES: "{n} machines, 2 servers on each", "{n} 台机器，每台 2 个实例";
    }
}

/// Texts about lessons.
#[cfg(feature = "whole")]
mod lesson_words {
    crate::i18n::texts! {
        OF_LESSON: "Lesson: {n}", "课程：{n}";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_found_by_its_name_and_has_the_node_that_comes_first() {
        for topology in Topology::all() {
            assert_eq!(Topology::named(topology.name()), Some(topology));
            let scenario = topology.scenario();
            let first = topology.first_node();
            let found = scenario.hosts.iter().any(|host| {
                host.name == first || host.processes.iter().any(|process| process.name == first)
            });
            assert!(found, "{topology:?}");
        }
        assert_eq!(Topology::named("5"), None);
    }
}
