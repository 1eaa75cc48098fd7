//! Texts that several parts of the page use.

super::texts! {
    HELP: "Keys and commands", "按键与命令";
    CLOSE: "Close", "关闭";
    MAP: "Map of the servers", "服务器地图";
    ROLE_PRIMARY: "primary", "主节点";
    FOLLOW_SPOKEN: "{b} follows {a}: {state}", "{b} 复制 {a}：{state}";
    NODE: "Node", "节点";
    ACTIONS: "Actions", "操作";
    OPEN_TERMINAL: "Open terminal", "打开终端";
    OPEN_SHELL: "Open a shell", "打开命令行";
    INSPECT: "Inspect", "查看";
    CRASH: "Crash", "崩溃";
    RESTART: "Restart", "重启";
    PAUSE_NODE: "Freeze", "冻结";
    RESUME: "Resume", "恢复";
    HEAL: "Heal", "修复";
    SPEED_MEANS: "1 s here = {there} there", "现实 1 秒 = 虚拟 {there}";
    PAST_TITLE: "You are in the past", "现在看到的是过去";
    LESSONS: "Lessons", "课程";
    USERS: "Users", "用户";
    FILES: "Files", "文件";
    LEDGER: "Ledger", "写入账本";
    NOT_RUNNING_SHORT: "does not run", "未运行";
    READ_ONLY: "This lab is only to be looked at.", "此实验仅供观看，不能操作。";
}
