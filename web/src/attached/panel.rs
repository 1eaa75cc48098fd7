//! The side panel: what a node reports about itself, and what others report about it.

use limpid_core::deployment::{Deployment, Kind, Link, Node};
use yew::prelude::*;

use crate::figures;
use crate::i18n::{Locale, common};
use crate::icon::{Icon, glyph};

/// The panel of the chosen node, or the list of all nodes.
pub(super) fn panel(
    deployment: &Deployment,
    chosen: Option<&str>,
    locale: Locale,
    choose: &Callback<Option<String>>,
) -> Html {
    match chosen.and_then(|address| deployment.node(address)) {
        Some(node) => of_node(deployment, node, locale, choose),
        None => of_all(deployment, locale, choose),
    }
}

fn of_all(deployment: &Deployment, locale: Locale, choose: &Callback<Option<String>>) -> Html {
    html! {
        <aside class="side" aria-label={locale.say(words::ALL)}>
            <header><h2>{ locale.say(words::ALL) }</h2></header>
            <div class="pane">
                <p class="gist">{ locale.say(words::TEACH) }</p>
                <table class="facts">
                    <tbody>
                        { for deployment.nodes.iter().map(|node| {
                            let address = node.report.address.clone();
                            let name = address.clone();
                            let choose = choose.clone();
                            let onclick = Callback::from(move |_: MouseEvent| {
                                choose.emit(Some(address.clone()));
                            });
                            html! {
                                <tr>
                                    <td><button class="linklike" {onclick}>{ name }</button></td>
                                    <td>{ state(deployment, node, locale) }</td>
                                </tr>
                            }
                        }) }
                    </tbody>
                </table>
            </div>
        </aside>
    }
}

fn of_node(
    deployment: &Deployment,
    node: &Node,
    locale: Locale,
    choose: &Callback<Option<String>>,
) -> Html {
    let report = &node.report;
    let close = {
        let choose = choose.clone();
        Callback::from(move |_: MouseEvent| choose.emit(None))
    };
    html! {
        <aside class="side" data-testid="attached-node"
            aria-label={locale.fill(words::OF, &[("node", &report.address)])}>
            <header>
                <h2>{ &report.address }</h2>
                <p class="sub">{ role(node, locale) }</p>
                <button class="button" title={locale.say(common::CLOSE)}
                    aria-label={locale.say(common::CLOSE)} onclick={close}>
                    { glyph(Icon::Close) }
                </button>
            </header>
            <div class="pane" tabindex="0">
                <p class="gist">{ state(deployment, node, locale) }</p>
                { beliefs(node, locale) }
                { judges(deployment, node, locale) }
                { info(&report.info) }
            </div>
        </aside>
    }
}

fn role(node: &Node, locale: Locale) -> &'static str {
    locale.say(match (node.kind, node.is_replica) {
        (Kind::Sentinel, _) => words::SENTINEL,
        (Kind::Server, true) => words::REPLICA,
        (Kind::Server, false) => common::ROLE_PRIMARY,
    })
}

/// The state of a node, in a sentence.
fn state(deployment: &Deployment, node: &Node, locale: Locale) -> String {
    if let Some(why) = &node.report.error {
        return locale.fill(words::SILENT, &[("why", why)]);
    }
    if node.kind == Kind::Sentinel {
        let masters = node.report.masters.iter().map(|master| {
            let (name, at) = (master.name(), master.address());
            format!("{name} → {at}")
        });
        let masters: Vec<String> = masters.collect();
        return locale.fill(words::WATCHES, &[("masters", &masters.join(", "))]);
    }
    let keys = figures::count(node.keys);
    let rate = figures::count(node.rate);
    match node.primary {
        None if node.is_replica => {
            let of = node.report.primary().unwrap_or_default();
            locale.fill(words::FOLLOWS_UNKNOWN, &[("of", &of)])
        }
        None => {
            let replicas = deployment
                .nodes
                .iter()
                .filter_map(|other| deployment.nodes.get(other.primary?.0))
                .filter(|primary| primary.report.address == node.report.address)
                .count()
                .to_string();
            let values = [("keys", keys.as_str()), ("rate", &rate), ("replicas", &replicas)];
            locale.fill(words::PRIMARY_STATE, &values)
        }
        Some((at, link)) => {
            let of = deployment.nodes.get(at).map_or("", |primary| &primary.report.address);
            let (text, lag) = match link {
                Link::Down => (words::FOLLOWS_DOWN, String::new()),
                Link::Sync => (words::FOLLOWS_SYNC, String::new()),
                Link::Online(Some(lag)) if lag > 0 => (words::FOLLOWS_BEHIND, figures::bytes(lag)),
                Link::Online(_) => (words::FOLLOWS, String::new()),
            };
            locale.fill(text, &[("of", of), ("lag", &lag), ("keys", &keys)])
        }
    }
}

/// What a Sentinel believes about its masters, or a cluster node about all nodes.
fn beliefs(node: &Node, locale: Locale) -> Html {
    let report = &node.report;
    if node.kind == Kind::Sentinel {
        return html! {
            { for report.masters.iter().map(|master| {
                let field = |name: &str| html! {
                    <><dt>{ name.to_owned() }</dt><dd>{ master.field(name).to_owned() }</dd></>
                };
                html! {
                    <>
                        <h3>{ locale.fill(words::BELIEVES_OF, &[("master", master.name())]) }</h3>
                        <dl class="pairs">
                            <dt>{ "address" }</dt><dd>{ master.address() }</dd>
                            { for ["flags", "quorum", "num-slaves", "num-other-sentinels", "config-epoch",
                                "down-after-milliseconds", "failover-timeout"].map(field) }
                        </dl>
                    </>
                }
            }) }
        };
    }
    if report.cluster_nodes.is_empty() {
        return Html::default();
    }
    html! {
        <>
            <h3>{ locale.say(words::BELIEVES_NODES) }</h3>
            <div class="wide-table">
                <table class="facts" data-testid="attached-cluster">
                    <tbody>
                        { for report.cluster_nodes.lines().map(|line| {
                            let words: Vec<&str> = line.split(' ').collect();
                            let word = |n: usize| words.get(n).copied().unwrap_or_default();
                            let address = word(1).split('@').next().unwrap_or_default();
                            let flags = word(2).to_owned();
                            let alarming = flags.contains("fail").then_some("alarming");
                            let slots = words.get(8..).unwrap_or_default().join(" ");
                            html! {
                                <tr>
                                    <td>{ address.to_owned() }</td>
                                    <td class={classes!(alarming)}>{ flags }</td>
                                    <td>{ format!("e{}", word(6)) }</td>
                                    <td>{ slots }</td>
                                </tr>
                            }
                        }) }
                    </tbody>
                </table>
            </div>
        </>
    }
}

/// What each Sentinel that answers believes about a server; disagreement is marked.
fn judges(deployment: &Deployment, node: &Node, locale: Locale) -> Html {
    let rows: Vec<(&str, String)> = deployment
        .nodes
        .iter()
        .filter(|judge| judge.report.error.is_none())
        .flat_map(|judge| {
            judge.report.masters.iter().filter_map(|watched| {
                let flags = watched.flags_of(&node.report.address)?;
                Some((judge.report.address.as_str(), format!("{}: {flags}", watched.name())))
            })
        })
        .collect();
    if rows.is_empty() {
        return Html::default();
    }
    let differs = rows.iter().any(|(_, flags)| *flags != rows[0].1);
    html! {
        <>
            <h3>{ locale.say(words::JUDGES) }</h3>
            <table class="facts" data-testid="attached-judges">
                <tbody>
                    { for rows.iter().map(|(judge, flags)| html! {
                        <tr>
                            <td>{ (*judge).to_owned() }</td>
                            <td class={classes!(differs.then_some("alarming"))}>{ flags }</td>
                        </tr>
                    }) }
                </tbody>
            </table>
        </>
    }
}

/// INFO by section.
fn info(text: &str) -> Html {
    html! {
        { for text.split("# ").filter(|section| !section.trim().is_empty()).map(|section| {
            let (title, lines) = section.split_once('\n').unwrap_or((section, ""));
            html! {
                <>
                    <h3>{ title.trim().to_owned() }</h3>
                    <dl class="pairs">
                        { for lines.lines().filter_map(|line| line.trim_end().split_once(':')).map(
                            |(key, value)| html! {
                                <><dt title={key.to_owned()}>{ key.to_owned() }</dt>
                                <dd>{ value.to_owned() }</dd></>
                            }
                        ) }
                    </dl>
                </>
            }
        }) }
    }
}

mod words {
    crate::i18n::texts! {
        ALL: "Nodes", "节点";
        OF: "Node {node}", "节点 {node}";
        TEACH: "Found from the address that was given. Choose one to read what it says of itself, and what the others hold of it.",
            "从给定的地址逐个发现。选择一个节点，查看它自己的说法，以及其他节点对它的看法。";
        SENTINEL: "Sentinel", "哨兵";
        REPLICA: "replica", "从节点";
        SILENT: "does not answer: {why}", "无响应：{why}";
        WATCHES: "watches {masters}", "监视 {masters}";
        PRIMARY_STATE: "{keys} keys, {rate} commands a second, replicas: {replicas}",
            "{keys} 个键，每秒 {rate} 条命令，{replicas} 个从节点";
        FOLLOWS: "replicates {of}, in step; {keys} keys", "复制 {of}，已同步；{keys} 个键";
        FOLLOWS_BEHIND: "replicates {of}, {lag} behind; {keys} keys",
            "复制 {of}，落后 {lag}；{keys} 个键";
        FOLLOWS_SYNC: "gets a copy of the data of {of}", "正在从 {of} 全量同步";
        FOLLOWS_DOWN: "is a replica of {of}, without a link to it", "是 {of} 的从节点，但连接已断开";
        FOLLOWS_UNKNOWN: "is a replica of {of}, which is not known here", "是 {of} 的从节点，此处不认识该主节点";
        BELIEVES_OF: "What it holds of {master}", "它对 {master} 的看法";
        BELIEVES_NODES: "The nodes of the cluster in its eyes", "它眼中的集群节点";
        JUDGES: "What the Sentinels hold of it", "各哨兵对它的看法";
    }
}
