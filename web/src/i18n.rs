//! What the page says, in both of its languages, side by side.
//!
//! A text may hold placeholders such as `{name}`, filled by [`Locale::fill`]. What Redis says is
//! never translated, so none of it is here.

/// A language of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Locale {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

impl Locale {
    /// As the `lang` attribute and the `locale` parameter name it.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Zh => "zh-CN",
        }
    }

    /// The language that a tag such as `zh-Hans-CN` or `en-GB` asks for, if it is one of ours.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        match primary.as_str() {
            "en" => Some(Locale::En),
            "zh" => Some(Locale::Zh),
            _ => None,
        }
    }

    /// The other language.
    pub(crate) fn other(self) -> Self {
        match self {
            Locale::En => Locale::Zh,
            Locale::Zh => Locale::En,
        }
    }

    /// A text without placeholders.
    pub(crate) fn say(self, text: Text) -> &'static str {
        match self {
            Locale::En => text.en(),
            Locale::Zh => text.zh(),
        }
    }

    /// A text with its placeholders filled.
    pub(crate) fn fill(self, text: Text, values: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.say(text);
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
            out.push_str(&rest[..open]);
            let name = &rest[open + 1..close];
            match values.iter().find(|(key, _)| *key == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&rest[open..=close]),
            }
            rest = &rest[close + 1..];
        }
        out + rest
    }
}

macro_rules! texts {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// Everything that the page says.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Text { $(#[doc = $en] $name,)* }

        impl Text {
            /// Every text, for the tests that compare the languages.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Text] = &[$(Text::$name),*];

            fn en(self) -> &'static str {
                match self { $(Text::$name => $en,)* }
            }

            fn zh(self) -> &'static str {
                match self { $(Text::$name => $zh,)* }
            }
        }
    };
}

texts! {
    Tagline: "A Redis you can see through", "看得透的 Redis";
    SkipToTerminal: "Skip to the terminal", "跳到终端";
    ScenarioServers: "{n} servers", "{n} 台服务器";
    ScenarioServer: "1 server", "1 台服务器";
    Scenario: "What stands on the map", "地图上的场景";
    ScenariosApart: "Servers on their own", "独立服务器";
    ScenariosReplicated: "Replication", "主从复制";
    ScenarioReplicas: "1 primary, {n} replicas", "1 主 {n} 从";
    ScenarioChain: "A chain of {n}", "{n} 级链式复制";
    ScenarioMachines: "{n} machines, 2 servers on each", "{n} 台机器，每台 2 个实例";
    StartOver: "Start over", "重新开始";
    Language: "中文", "English";
    LanguageLabel: "Language: switch to Chinese", "语言：切换到英文";
    ThemeSystem: "Theme: like the system", "外观：跟随系统";
    ThemeLight: "Theme: light", "外观：浅色";
    ThemeDark: "Theme: dark", "外观：深色";
    ShareHint: "Copy a link to this session", "复制本次会话的链接";
    Shared: "Link copied. It opens this session, at this moment.", "链接已复制：打开即可回到此刻的会话。";
    ShareFailed: "The browser did not allow copying. The link is in the address bar.", "浏览器不允许复制，链接已写入地址栏。";
    ShareTooLong: "This session is too long for a link.", "会话太长，无法放进链接。";
    ShareTooNew: "This link was made by another version ({version}); the scenario is opened without its history.", "此链接来自另一版本（{version}），仅打开其场景，不含历史。";
    ShareBroken: "This link cannot be read; the scenario is opened without its history.", "无法读取此链接，仅打开场景，不含历史。";
    Help: "Keys and commands", "按键与命令";
    Close: "Close", "关闭";
    Dismiss: "Dismiss", "知道了";

    PaneMap: "Map", "地图";
    PaneTerminal: "Terminal", "终端";
    PaneEvents: "Log", "日志";
    PaneInspector: "Node", "节点";

    Map: "Map of the servers", "服务器地图";
    MapHint: "Click a node to act on it. Drag a loop around several to cut them off.", "点击节点进行操作；拖出一个圈，可把圈内节点隔离。";
    MapHintTouch: "Tap a node to act on it.", "点按节点进行操作。";
    ZoomIn: "Zoom in", "放大";
    ZoomOut: "Zoom out", "缩小";
    ZoomFit: "Show everything", "显示全部";
    Lasso: "Lasso: drag a loop around nodes", "套索：拖动圈选节点";
    TableView: "Table instead of map", "以表格显示";
    MapView: "Map instead of table", "以地图显示";

    RolePrimary: "primary", "主节点";
    RoleReplica: "replica", "从节点";
    FollowDown: "no link", "未连接";
    FollowHandshake: "handshake", "握手中";
    FollowSync: "copying", "全量同步中";
    FollowOnline: "streaming", "增量同步中";
    FollowSpoken: "{b} follows {a}: {state}", "{b} 复制 {a}：{state}";
    RoleClient: "client", "客户端";
    RoleTerminal: "terminal", "终端";
    StateOnline: "online", "在线";
    StatePaused: "paused", "已暂停";
    StateCrashed: "crashed", "已崩溃";
    StateStopped: "stopped", "已停止";
    KeysCount: "{n} keys", "{n} 个键";
    KeyCount: "1 key", "1 个键";
    OpsCount: "{n}/s", "{n}/秒";
    Waiting: "no reply", "无回复";
    Idle: "idle", "空闲";
    NodeSpoken: "{name}, {role}, {state}", "{name}，{role}，{state}";
    NodeSpokenDoing: "{node}, {line}", "{node}，{line}";
    LinkSpoken: "Link between {a} and {b}, {state}", "{a} 与 {b} 之间的链路，{state}";
    LinkLatency: "latency {latency}", "延迟 {latency}";
    LinkLoss: "loses {loss} %", "丢包 {loss} %";
    LinkCut: "cut", "已断开";
    LinkCutOneWay: "cut from {a} to {b}", "{a} 到 {b} 方向已断开";

    Node: "Node", "节点";
    Role: "Role", "角色";
    State: "State", "状态";
    Address: "Address", "地址";
    Doing: "Doing", "情况";
    Actions: "Actions", "操作";
    Links: "Links", "链路";
    Link: "Link", "链路";

    OpenTerminal: "Open terminal", "打开终端";
    Inspect: "Inspect", "查看";
    Crash: "Crash", "崩溃";
    Restart: "Restart", "重启";
    RestartEmpty: "Restart with an empty disk", "以空磁盘重启";
    KillProcess: "Kill the process", "杀死进程";
    StopProcess: "Ask it to end", "请求进程退出";
    StartProcess: "Start the process", "启动进程";
    WholeMachine: "All of {name}", "整台 {name}";
    Pause: "Pause", "暂停";
    PauseNode: "Freeze", "冻结";
    Resume: "Resume", "恢复";
    Isolate: "Cut off from all", "与其他节点隔离";
    IsolateShort: "Cut off", "隔离";
    Heal: "Heal", "修复";
    CutLink: "Cut", "断开";
    CutOneWay: "Cut {a} → {b} only", "仅断开 {a} → {b}";
    Latency: "Latency", "延迟";
    Loss: "Loss", "丢包";
    LossNone: "none", "无";
    SelectedCount: "{n} selected", "已选 {n} 个";
    ClearSelection: "Clear the selection", "取消选择";

    Play: "Play", "播放";
    StepForward: "One event forward", "前进一个事件";
    StepBack: "One event back", "后退一个事件";
    ToLive: "To the present", "回到当前";
    Speed: "Speed", "速度";
    SpeedMeans: "1 s here = {there} there", "现实 1 秒 = 虚拟 {there}";
    SpeedBehind: "busy: {there} a second", "繁忙：现实 1 秒仅 {there}";
    TimeBar: "Time", "时间";
    TimeNow: "{now} of {end}", "{now} / {end}";
    TimePast: "in the past", "这是过去";
    JumpBack: "Previous marker", "上一个标记";
    JumpForward: "Next marker", "下一个标记";

    PastTitle: "You are in the past", "现在看到的是过去";
    PastQuestion: "At {now} something else happened next, up to {end}. What shall become of it?", "从 {now} 到 {end}，后面的事已经发生过。要怎样处理这段“未来”？";
    PastBranch: "Branch: keep it beside this", "分支：保留原来的走向";
    PastDiscard: "Discard what came after", "丢弃之后发生的一切";
    Cancel: "Cancel", "取消";
    OtherTimelines: "Other timelines: {n}. Switch to the latest", "其他时间线：{n} 条。切换到最近一条";

    Terminals: "Terminals", "终端";
    NewTerminal: "Open a terminal", "打开终端";
    CloseTerminal: "Close the terminal of {name}", "关闭 {name} 的终端";
    TerminalInput: "Command for {name}", "给 {name} 的命令";
    TerminalTeach: "This is a redis-cli connected to {name}. Three things to try:", "这是连接到 {name} 的 redis-cli。不妨试试：";
    TeachSet: "store a value, and watch it travel", "存一个值，看它如何传输";
    TeachGet: "ask for it again", "再把它取回来";
    TeachCrash: "pull the plug, and ask again", "拔掉电源，再问一次";
    TerminalPaused: "Time stands still: press play, and the reply will come.", "时间已停止：按播放键后才会收到回复。";
    PressPlay: "Play", "播放";
    ReverseSearch: "(history search)`{query}': ", "（历史搜索）`{query}'：";
    NoTerminal: "No terminal is open. Choose a node:", "还没有打开终端。请选择节点：";
    Undone: "taken back: {action}", "已撤销：{action}";
    NothingToUndo: "There is nothing to take back.", "没有可撤销的操作。";
    ResizeDrawer: "Height of the drawer: arrow keys change it", "抽屉高度：用方向键调整";
    Suggestions: "Completions", "补全";
    MetaDone: "done", "完成";

    Events: "Events", "事件";
    EventsTeach: "Faults, commands and what the servers log will appear here as time runs.", "随着时间推进，故障、命令与服务器日志会出现在这里。";
    EventsFilterAll: "All", "全部";
    EventsFilterFaults: "Faults", "故障";
    EventsFilterLogs: "Logs", "日志";
    JumpTo: "Go to {time}", "跳到 {time}";

    EventHostUp: "{name} has power again", "{name} 已恢复供电";
    EventHostDown: "{name} lost its power", "{name} 断电";
    EventStarted: "{name} started its process", "{name} 的进程已启动";
    EventNotStarted: "{name} did not start: {why}", "{name} 未能启动：{why}";
    EventExited: "{name}: the process ended with status {code}", "{name}：进程退出，状态码 {code}";
    EventKilled: "{name}: the process was killed", "{name}：进程被杀死";
    EventPaused: "{name} is frozen", "{name} 已冻结";
    EventResumed: "{name} goes on", "{name} 已恢复运行";
    EventConnectFailed: "{name} could not connect: {why}", "{name} 无法建立连接：{why}";
    EventBroken: "{name} lost a connection: {why}", "{name} 的连接中断：{why}";
    EventDiskFailed: "{name}: the disk failed", "{name}：磁盘出错";
    EventBytesLost: "{name} lost {n} bytes that were not on disk yet", "{name} 丢失了 {n} 字节尚未落盘的数据";
    NetRefused: "refused", "被拒绝";
    NetReset: "reset by the other side", "被对端重置";
    NetClosed: "closed by the other side", "被对端关闭";
    NetTimedOut: "no answer in time", "超时无应答";
    NetUnreachable: "no route", "没有路由";
    NetOther: "the network failed", "网络故障";
    RefusedEmpty: "Nothing was typed. Try :help", "没有输入内容。试试 :help";
    RefusedUnknown: "unknown action '{verb}'; did you mean '{nearest}'?", "没有操作“{verb}”；是否想输入“{nearest}”？";
    RefusedMissing: "'{verb}' needs more; usage: {usage}", "“{verb}”缺少参数；用法：{usage}";
    RefusedSurplus: "'{verb}' does not know what to do with '{value}'; usage: {usage}", "“{verb}”不认识“{value}”；用法：{usage}";
    RefusedInvalid: "'{value}' does not fit; write it like {example}", "“{value}”格式不对；正确写法如 {example}";
    RefusedNoSuch: "there is no '{name}'; there are {known}", "没有“{name}”；现有：{known}";
    RefusedNoMessage: "message {message} is not on its way", "消息 {message} 已不在途中";
    RefusedState: "{name} is not in a state for that", "{name} 当前状态不允许此操作";
    RefusedTaken: "the name '{name}' is taken", "名称“{name}”已被占用";

    InspectorOf: "Inside {name}", "{name} 的内部";
    InspectorTeach: "Choose a node on the map, then Inspect, to look inside it.", "在地图上选择一个节点，再点“查看”，即可看到它的内部。";
    TabInfo: "Info", "概况";
    TabReplication: "Replication", "复制";
    TabFiles: "Files", "文件";
    TabKeys: "Keys", "键";
    TabConfig: "Config", "配置";
    TabConnections: "Connections", "连接";
    TabLog: "Log", "日志";
    Filter: "Filter", "筛选";
    NoKeys: "No keys yet. Type SET greeting hello in its terminal.", "还没有键。在终端输入 SET greeting hello 试试。";
    NoConnections: "Nobody is connected.", "没有连接。";
    NoLog: "It has logged nothing yet.", "尚无日志。";
    NoneMatch: "Nothing matches.", "没有匹配项。";
    MoreKeys: "and {n} more", "另有 {n} 个";
    NotRunning: "It is not running. Restart it to look inside.", "进程未运行，重启后才能查看。";
    Key: "Key", "键";
    Expires: "Expires", "过期";
    Value: "Value", "值";
    Peer: "Peer", "对端";
    Age: "Age", "时长";
    SentBytes: "Sent", "已发";
    ReadBytes: "Read", "已读";

    PrimaryAlone: "A primary that nobody follows.", "主节点，没有从节点。";
    PrimaryOf: "A primary; {n} follow it directly.", "主节点，直接从节点 {n} 个。";
    ReplicaOf: "A replica of {name}: {state}", "{name} 的从节点：{state}";
    HeardOf: ", heard of {time} ago", "，{time}前收到过数据";
    DownSince: ", without its stream for {time}", "，已中断 {time}";
    Offset: "Offset", "偏移量";
    Behind: "Behind", "落后";
    StreamId: "Stream", "复制流";
    StreamIds: "Replication ids", "复制 ID";
    UpToOffset: "up to offset {offset}", "到偏移量 {offset} 为止";
    Unreachable: "does not run", "未运行";
    Backlog: "Backlog", "复制积压缓冲区";
    NoBacklog: "None is kept: no replica has ever come.", "尚未创建：还没有从节点连接过。";
    BacklogHolds: "{len} of {size}", "{len} / {size}";
    FirstOffset: "first offset", "起始偏移量";
    LastOffset: "last offset", "末尾偏移量";
    AckedBy: "{name}: {state}, acknowledged {offset}, {time} ago", "{name}：{state}，{time}前确认到 {offset}";

    File: "File", "文件";
    Size: "Size", "大小";
    NotSynced: "Not on disk", "未落盘";
    AllSynced: "–", "–";
    SyncedNote: "What is not on disk yet is lost with the power.", "尚未落盘的部分会随断电丢失。";
    NoFiles: "The disk is empty.", "磁盘是空的。";
    AllFiles: "All files", "全部文件";
    FileGone: "This file is not there (any more).", "文件不存在（或已删除）。";
    FileEmpty: "The file is empty.", "文件是空的。";
    FileBroken: "The rest cannot be read: {why}", "其余部分无法读取：{why}";
    FromStart: "From the start", "回到开头";
    FurtherOn: "Further on", "继续";
    FormRdb: "A snapshot (RDB), record by record, each behind its offset", "快照（RDB），逐条记录及其偏移量";
    FormCommands: "Commands (AOF), each behind its offset", "命令（AOF）及其偏移量";
    FormPlain: "Text", "文本";
    FormBytes: "Bytes, each line behind its offset", "字节及其偏移量";

    Ledger: "Ledger", "写入账本";
    LedgerHint: "Ledger of writes: who holds what was acknowledged", "写入账本：已确认的写入在谁那里";
    LedgerWhat: "what was acknowledged, and who holds it", "已确认的写入，以及谁持有它";
    LedgerTeach: "Nobody has written yet. Type SET greeting hello in a terminal; where there is replication, clients write by themselves.", "还没有写入。在终端输入 SET greeting hello；在复制场景中，客户端会自动写入。";
    LedgerNote: "Looked up in the servers' memory at this moment. A server that is down may still bring writes back from its disk.", "结果来自此刻各服务器的内存。已停机的服务器重启后，仍可能从磁盘找回写入。";
    Acknowledged: " writes acknowledged", " 次写入已确认";
    AcknowledgedShort: "Acked", "已确认";
    HeldEverywhere: "held by all", "全部持有";
    HeldBySeveral: "held by several", "部分持有";
    HeldByOne: "held by one only", "仅一台持有";
    HeldByNone: "lost", "丢失";
    Lost: "lost", "丢失";
    Writer: "Writer", "写入者";
    LatestWrites: "Latest writes", "最近的写入";
    SaidHeld: "{name} holds it", "{name} 持有";
    SaidMissing: "{name} does not hold it", "{name} 没有";
    SaidOverwritten: "{name} holds something newer", "{name} 已被新值覆盖";
    SaidDown: "{name} does not run", "{name} 未运行";
    SaidApart: "{name} belongs to another shard", "{name} 属于其他分片";

    Message: "Message", "消息";
    From: "From", "来自";
    To: "To", "发往";
    Kind: "Kind", "类别";
    Sent: "Sent", "发出";
    Due: "Due", "到达";
    Decoded: "Decoded", "解码";
    RawBytes: "Raw bytes", "原始字节";
    Bytes: "{n} bytes", "{n} 字节";
    Byte: "1 byte", "1 字节";
    KindRequest: "request", "请求";
    KindReply: "reply", "回复";
    KindStream: "replication", "复制";
    KindBeat: "sign of life", "心跳";
    KindConnect: "transport (TCP)", "传输层（TCP）";
    FareHeld: "held back", "被扣留";
    FareWaiting: "arrived, waiting for one before it", "已到达，等待前一条";
    FareLost: "lost, to be sent again", "已丢失，将重发";
    Hold: "Hold", "扣留";
    Release: "Release", "放行";
    Delay: "Delay 100 ms", "推迟 100 毫秒";
    Drop: "Drop", "丢弃";
    Duplicate: "Duplicate", "复制一份";

    KeysTitle: "Keys", "按键";
    KeySpace: "play or pause", "播放或暂停";
    KeyStep: "one event forward, back", "前进、后退一个事件";
    KeyChange: "to the next change of state", "到下一次状态变化";
    KeyNodeStep: "to the next event at the selected node", "到所选节点的下一个事件";
    KeyArrows: "5 seconds of the page's time back, forward", "后退、前进 5 秒（页面时间）";
    KeyMarkers: "previous, next marker", "上一个、下一个标记";
    KeySpeed: "slower, faster", "减速、加速";
    KeyTab: "walk through nodes; Enter selects, m opens the menu", "在节点间移动；Enter 选中，m 打开菜单";
    KeyNode: "on a node: terminal, inspect, its links", "在节点上：终端、查看、其链路";
    KeyTerminal: "to the terminal", "进入终端";
    KeyFull: "full screen", "全屏";
    KeyTable: "table or map", "表格或地图";
    KeyLedger: "ledger of writes", "写入账本";
    KeyHelp: "this list", "本列表";
    KeyEscape: "close what is open", "关闭当前面板";
    MetaTitle: "Typed in any terminal", "可在任意终端输入";
    MetaNote: "Tab completes names; several are separated by commas.", "Tab 键补全名称，多个名称用逗号分隔。";
    MetaCrash: "power off at once", "立即断电";
    MetaRestart: "start again, with the disk as it was", "以原磁盘重启";
    MetaPause: "freeze the process; :resume lets it go on", "冻结进程；:resume 恢复";
    MetaPartition: "cut every link between two sides", "断开两侧之间的所有链路";
    MetaOneWay: "cut them in one direction only", "只断开一个方向";
    MetaHeal: "mend links: all, or those of a node", "修复链路：全部或某个节点的";
    MetaLatency: "set the latency of a link", "设置链路延迟";
    MetaLoss: "lose packets on a link", "设置链路丢包";
    MetaBandwidth: "set how much a link carries", "设置链路带宽";
    MetaSkew: "set a host's clock ahead or behind", "让主机时钟快或慢";
    MetaHold: "keep a message back; likewise drop, delay, duplicate, release", "扣住一条消息；drop、delay、duplicate、release 同理";
    MetaUndo: "take the last action back", "撤销上一步操作";
    MetaHelp: "this list", "显示本列表";
    MetaSpeed: "how much happens in one second", "每秒推进多少";
    MetaOpen: "open another scenario", "打开另一个场景";
    MetaFiles: "look into a file; without a name, at all of them", "查看文件；不写文件名则列出全部";
    MetaLedger: "who holds which acknowledged write", "查看已确认的写入在谁那里";
    MetaGo: "go to a moment", "跳到某一时刻";

    DebugWorld: "World", "世界";
    DebugDraw: "Draw", "绘制";
    DebugFrame: "Between frames", "帧间隔";
    DebugRate: "Frames a second", "帧率";
    DebugEvents: "Events a second", "事件/秒";
    DebugMessages: "In flight", "传输中";
    DebugMemory: "Memory", "内存";
    DebugTrace: "Trace", "轨迹";

    Failed: "That did not work: {why}", "未能完成：{why}";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = text
            .split('{')
            .skip(1)
            .map(|piece| piece.split('}').next().expect("a closing brace"))
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn both_languages_say_everything_with_the_same_placeholders() {
        for &text in Text::ALL {
            assert!(!text.en().trim().is_empty(), "{text:?} says nothing in English");
            assert!(!text.zh().trim().is_empty(), "{text:?} says nothing in Chinese");
            assert_eq!(placeholders(text.en()), placeholders(text.zh()), "{text:?}");
        }
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(Locale::En.fill(Text::KeysCount, &[("n", "12")]), "12 keys");
        assert_eq!(Locale::Zh.fill(Text::KeysCount, &[("n", "12")]), "12 个键");
    }

    #[test]
    fn tags_of_browsers_are_understood() {
        assert_eq!(Locale::from_tag("zh-Hans-CN"), Some(Locale::Zh));
        assert_eq!(Locale::from_tag("zh_TW"), Some(Locale::Zh));
        assert_eq!(Locale::from_tag("EN-gb"), Some(Locale::En));
        assert_eq!(Locale::from_tag("fr"), None);
    }
}
