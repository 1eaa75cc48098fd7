//! Questions of the sandbox: each opens a World in which its answer can be seen.
//!
//! A question opens a topology, carries out actions, and says on a card what to watch for and what
//! to try next. Its actions are part of the session like all others, so it can be shared and
//! rewound.

use core::time::Duration;

use limpid_core::sim::Action;
use yew::prelude::*;

use crate::figures::Speed;
use crate::i18n::{Text, common};
use crate::icon::{Icon, glyph};
use crate::lab::{Lab, Topology};
use crate::live::live;
use crate::page::{Page, Topic};
use crate::whole;

/// A question.
pub(crate) struct Question {
    /// Its name in the menu's values and in addresses (`?question=…`).
    pub name: &'static str,
    /// The question.
    pub asks: Text,
    /// The topology that it opens.
    topology: &'static str,
    /// The actions, as they would be typed.
    does: &'static [&'static str],
    /// The speed in virtual milliseconds per second, if the topology's own is too slow for the
    /// answer.
    speed: Option<u64>,
    /// The text of the card: what to watch for and what to try.
    watch: Text,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Question {
    /// The question of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Question> {
        QUESTIONS.iter().find(|question| question.name == name)
    }

    /// The question that the address names.
    pub(crate) fn of_address() -> Option<&'static Question> {
        Self::named(&crate::prefs::parameter("question")?)
    }

    /// The topology that it opens.
    pub(crate) fn topology(&self) -> Topology {
        Topology::named(self.topology).unwrap_or(Topology::USUAL)
    }

    /// Its speed, if that is not the topology's own.
    fn speed(&self) -> Option<Speed> {
        Some(Speed::nearest(Duration::from_millis(self.speed?)))
    }

    fn actions(&self) -> Vec<Action> {
        self.does.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// Opens a question's World and shows its card.
pub(crate) fn ask(page: &Page, question: &'static Question) {
    if question.topology().needs_whole() {
        return whole::ask(page, question.name);
    }
    #[cfg(feature = "whole")]
    crate::lesson::leave(page, question.topology(), "question", question.name);
    page.open_lab(Lab::fresh(question.topology()));
    if let Some(speed) = question.speed() {
        let speed = page.view().embedding.speed(speed);
        page.set_speed(speed);
    }
    page.act(question.actions());
    page.change(Topic::Open, |view| view.asked = Some(question));
}

/// The card of the question that was asked.
pub(crate) fn card() -> Html {
    live(&[Topic::Prefs, Topic::Open], |page| {
        let Some(question) = page.view().asked else { return Html::default() };
        let close = {
            let page = page.clone();
            Callback::from(move |_: MouseEvent| page.change(Topic::Open, |view| view.asked = None))
        };
        html! {
            <section class="asked-card" aria-label={page.say(question.asks)} data-testid="question">
                <b>{ page.say(question.asks) }</b>
                <button class="button" title={page.say(common::CLOSE)} data-testid="question-close"
                    aria-label={page.say(common::CLOSE)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
                <p>{ page.say(question.watch) }</p>
            </section>
        }
    })
}

/// All questions, in the order of the menu.
pub(crate) static QUESTIONS: &[Question] = &[
    Question {
        name: "slow-links",
        asks: words::SLOW_LINKS,
        topology: "replicas-2",
        does: &["latency redis-1 redis-2 400ms", "latency redis-1 redis-3 400ms"],
        speed: None,
        watch: words::SLOW_LINKS_WATCH,
    },
    Question {
        name: "cut-replica",
        asks: words::CUT_REPLICA,
        topology: "replicas-2",
        does: &["partition redis-3"],
        speed: None,
        watch: words::CUT_REPLICA_WATCH,
    },
    Question {
        name: "lossy-link",
        asks: words::LOSSY,
        topology: "replicas-2",
        does: &["loss redis-1 redis-2 20%"],
        speed: None,
        watch: words::LOSSY_WATCH,
    },
    Question {
        name: "middle-of-chain",
        asks: words::CHAIN,
        topology: "chain-3",
        does: &["crash redis-2"],
        speed: None,
        watch: words::CHAIN_WATCH,
    },
    Question {
        name: "nobody-watches",
        asks: words::NOBODY,
        topology: "replicas-2",
        does: &["crash redis-1"],
        speed: None,
        watch: words::NOBODY_WATCH,
    },
    Question {
        name: "primary-dies",
        asks: words::DIES,
        topology: "sentinels-3",
        does: &["crash redis-1"],
        speed: Some(500),
        watch: words::DIES_WATCH,
    },
    Question {
        name: "one-sentinel-left",
        asks: words::ALONE,
        topology: "sentinels-3",
        does: &["crash sentinel-2", "crash sentinel-3", "crash redis-1"],
        speed: Some(500),
        watch: words::ALONE_WATCH,
    },
    Question {
        name: "primary-stalls",
        asks: words::STALLS,
        topology: "sentinels-3",
        does: &["pause redis-1"],
        speed: Some(500),
        watch: words::STALLS_WATCH,
    },
    Question {
        name: "clock-jumps",
        asks: words::CLOCK,
        topology: "sentinels-3",
        does: &["skew sentinel-1 +60s"],
        speed: Some(500),
        watch: words::CLOCK_WATCH,
    },
    Question {
        name: "server-behind-twemproxy",
        asks: words::TWEMPROXY,
        topology: "twemproxy",
        does: &["crash redis-2"],
        speed: None,
        watch: words::TWEMPROXY_WATCH,
    },
    Question {
        name: "primary-behind-predixy",
        asks: words::PREDIXY,
        topology: "predixy-sentinels",
        does: &["crash redis-1"],
        speed: Some(500),
        watch: words::PREDIXY_WATCH,
    },
    Question {
        name: "master-of-cluster",
        asks: words::MASTER,
        topology: "cluster-6",
        does: &["crash node-1"],
        speed: Some(500),
        watch: words::MASTER_WATCH,
    },
    Question {
        name: "cluster-cut-in-two",
        asks: words::IN_TWO,
        topology: "cluster-6",
        does: &["partition node-1,node-5"],
        speed: Some(500),
        watch: words::IN_TWO_WATCH,
    },
];

pub(crate) mod words {
    crate::i18n::texts! {
        TITLE: "Questions", "问题";
        SLOW_LINKS: "What if both links to the primary are slow?", "如果通往主节点的两条链路都很慢？";
        SLOW_LINKS_WATCH: "Writes are acknowledged as fast as before: the primary waits for nobody. Look how far the replicas are behind, then type “wait 2 1000” after a write. Try 2 s of latency.", "写入照样很快得到确认，主节点谁也不等。看看从节点落后多少，再在写入之后输入 wait 2 1000。把延迟改成 2 秒试试。";
        CUT_REPLICA: "What does a replica miss while it is cut off?", "从节点断开期间会错过什么？";
        CUT_REPLICA_WATCH: "redis-3 keeps answering, with old data. Heal the link after some seconds: it gets the missing part from the backlog. Cut it for longer and see when a full resync is needed.", "redis-3 照常回答，但数据是旧的。几秒后恢复链路，它会从积压缓冲区补上缺的部分。断得更久一些，看看什么时候需要全量同步。";
        LOSSY: "What if one in five packets is lost?", "如果五个包丢一个？";
        LOSSY_WATCH: "Nothing is lost in the end: TCP sends again. The stream to redis-2 comes in fits. Compare its offset with that of redis-3.", "最后什么也不会少：TCP 会重发。发往 redis-2 的数据流一阵一阵的。对比它和 redis-3 的偏移量。";
        CHAIN: "What do the replicas behind a dead one get?", "中间的从节点死了，后面的还能收到数据吗？";
        CHAIN_WATCH: "redis-3 and redis-4 hang behind redis-2, which is off. Let redis-3 follow redis-1 (replicaof redis-1 6379) and see whether it needs a full resync.", "redis-3 和 redis-4 接在 redis-2 后面，而它断电了。让 redis-3 改为跟随 redis-1（replicaof redis-1 6379），看看要不要全量同步。";
        NOBODY: "Who takes over when nobody watches?", "没有人监视时，谁来接替？";
        NOBODY_WATCH: "Nobody. The replicas answer reads and refuse writes for as long as you like. Promote one by hand: replicaof no one, then let the other follow it.", "没有人接替。从节点一直能读，但拒绝写入。手动提升一台：replicaof no one，再让另一台跟随它。";
        DIES: "What happens in the seconds after a primary dies?", "主节点死后的几秒里会发生什么？";
        DIES_WATCH: "Each Sentinel first suspects by itself, then they agree, vote, and one of them promotes a replica. Rewind and step with “next change of state”. How long were writes refused?", "每个哨兵先各自怀疑，然后达成一致、投票，由其中一个提升从节点。倒回去，用“下一次状态变化”逐步看。写入中断了多久？";
        ALONE: "Can the last of three Sentinels act?", "三个哨兵只剩一个，还能行动吗？";
        ALONE_WATCH: "sentinel-1 sees that the primary is gone and can do nothing: one of three is no majority, and no quorum of two. Restart one of the others and watch.", "sentinel-1 看到主节点没了却无能为力：三个里的一个不过半，也不够法定数 2。重启另外一个再看。";
        STALLS: "What if the primary only stands still for a while?", "如果主节点只是停顿了一阵？";
        STALLS_WATCH: "To the others, silence is death: a replica is promoted. Then resume redis-1. For a moment there are two primaries; see who corrects whom, and what becomes of writes to the old one.", "对别的节点来说，沉默就等于死亡，于是有从节点被提升。然后恢复 redis-1：一时间有两个主节点。看看谁纠正谁，写进旧主节点的数据会怎样。";
        CLOCK: "What if a Sentinel's clock jumps by a minute?", "如果一个哨兵的时钟跳了一分钟？";
        CLOCK_WATCH: "It no longer trusts its own measurements: TILT. For 30 seconds it watches and does nothing. Crash redis-1 meanwhile: do the other two need it?", "它不再相信自己的计时，进入 TILT：30 秒内只看不动。趁这时弄垮 redis-1：另外两个需要它吗？";
        TWEMPROXY: "What does a client notice when a server behind twemproxy dies?", "twemproxy 后面的服务器死了，客户端会发现什么？";
        TWEMPROXY_WATCH: "Some errors, until the proxy ejects the server from its ring; then its keys are on the others, and empty. Look at the ring in the proxy's inspector, then restart redis-2.", "先有几个错误，直到代理把它剔出哈希环；之后它的键改由其他服务器负责，但都是空的。在代理的检查面板里看哈希环，再重启 redis-2。";
        PREDIXY: "Does a client behind predixy notice a failover?", "predixy 后面的客户端会察觉故障转移吗？";
        PREDIXY_WATCH: "Requests wait in the proxy until the Sentinels have a new primary. Compare the client's slowest request with the time that the election took.", "请求在代理里等着，直到哨兵选出新的主节点。比较客户端最慢的一次请求和选举花的时间。";
        MASTER: "Who replaces a master of a cluster?", "集群里的主节点死了由谁接替？";
        MASTER_WATCH: "There are no Sentinels. The other masters mark it as failed and vote for its replica. Watch the circle: its slots change hands without moving a key.", "这里没有哨兵。其他主节点把它标记为故障，并给它的从节点投票。看槽位圆环：槽位换了主人，键却没有搬动。";
        IN_TWO: "What does each side of a cut cluster still answer?", "集群被切成两半，两边各还能回答什么？";
        IN_TWO_WATCH: "node-1 is alone with node-5, the replica of another master: one of three, so after the node timeout it refuses everything. On the other side its replica node-4 is elected. Heal the network and see who gives way.", "node-1 和别人的从节点 node-5 在一边：三个主节点里只有一个，过了节点超时就拒绝一切请求。另一边选出它的从节点 node-4 接替。恢复网络，看谁让步。";
    }
}

#[cfg(test)]
mod tests {
    use limpid_core::sim::Future;

    use super::*;
    use crate::marks::{Mark, MarkKind};

    #[test]
    fn every_question_opens_a_world_and_can_be_done_to_it() {
        for question in QUESTIONS {
            let topology = Topology::named(question.topology);
            let mut lab = Lab::fresh(topology.expect(question.name));
            assert_eq!(question.actions().len(), question.does.len(), "{}", question.name);
            for action in question.actions() {
                if let Err(error) = lab.act(action, Future::Discard) {
                    panic!("{}: {error}", question.name);
                }
            }
            assert_eq!(Question::named(question.name).map(|found| found.name), Some(question.name));
        }
    }

    /// Questions whose answer is that another server takes over.
    const SUCCESSIONS: [&str; 5] = [
        "primary-dies",
        "primary-stalls",
        "primary-behind-predixy",
        "master-of-cluster",
        "cluster-cut-in-two",
    ];

    #[test]
    fn who_takes_over_is_seen_within_twenty_seconds() {
        const PATIENCE: f64 = 20.0;
        for name in SUCCESSIONS {
            let question = Question::named(name).expect(name);
            let topology = question.topology();
            let mut lab = Lab::fresh(topology);
            let begin = lab.now();
            for action in question.actions() {
                lab.act(action, Future::Discard).expect(name);
            }
            let speed = question.speed().unwrap_or(topology.speed()).a_second();
            let end = begin + (speed.as_secs_f64() * PATIENCE * 1e9) as u64;
            lab.run_until(end, u64::MAX);
            let switched = |mark: &&Mark| mark.at > begin && mark.kind == MarkKind::Switch;
            let marks = lab.marks();
            let found = marks.iter().any(|mark| switched(&mark));
            assert!(found, "{name}: nobody took over in {PATIENCE} s: {marks:?}");
        }
    }
}
