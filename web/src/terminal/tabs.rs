//! The open terminals: the redis-cli or shell of each tab, and the state that only the page has.
//!
//! The output of redis-cli is part of the World and is read from there, so that a rewind applies to
//! it. Here are the history of typed lines, the answers of meta-commands, and which tab is in
//! front.

use crate::lab::Lab;

use super::editor::History;

/// The open terminals.
pub(crate) struct Terminals {
    /// The tabs, in order.
    pub tabs: Vec<Tab>,
    /// The index of the tab in front.
    pub front: usize,
    /// The index of the tab that is shown beside it, if any.
    pub beside: Option<usize>,
    /// The size of the text, in pixels.
    pub text_size: u8,
}

/// A terminal in a tab.
pub(crate) struct Tab {
    /// The node of its redis-cli, or the host of its shell.
    pub server: String,
    /// The name of its redis-cli process, or of its terminal, in the World.
    pub process: String,
    /// The history of typed lines.
    pub history: History,
    /// The answers of meta-commands.
    pub notes: Vec<Note>,
    /// The number of blocks of output that Ctrl-L has cleared.
    pub cleared: usize,
    /// Whether it is the shell of a host and no redis-cli.
    pub is_shell: bool,
    /// By how many lines a shell's terminal is scrolled back.
    #[cfg(feature = "whole")]
    pub scrolled: usize,
}

/// The answer of a meta-command.
pub(crate) struct Note {
    /// The number of blocks of redis-cli's output before it.
    pub after: usize,
    /// The prompt at which the command was typed.
    pub prompt: String,
    /// The typed line.
    pub typed: String,
    /// The answer.
    pub answer: String,
    /// Whether it is an error.
    pub refused: bool,
}

impl Terminals {
    /// The default size of the text, in pixels.
    pub(crate) const TEXT_SIZE: u8 = 13;
    /// The smallest and the largest size.
    const TEXT_SIZES: (u8, u8) = (9, 24);

    /// Changes the size of the text by `by` pixels.
    pub(crate) fn enlarge(&mut self, by: i8) {
        self.set_text_size(self.text_size.saturating_add_signed(by));
    }

    /// Sets the size of the text, within the limits.
    pub(crate) fn set_text_size(&mut self, size: u8) {
        let (least, most) = Self::TEXT_SIZES;
        self.text_size = size.clamp(least, most);
    }

    /// Keeps only the tabs of these processes, in this order.
    pub(crate) fn keep(&mut self, processes: &[String]) {
        let place = |tab: &Tab| processes.iter().position(|process| *process == tab.process);
        self.tabs.retain(|tab| place(tab).is_some());
        self.tabs.sort_by_key(place);
    }

    /// The indices of the tabs that are shown, in their order.
    pub(crate) fn shown(&self) -> Vec<usize> {
        let mut shown: Vec<usize> = self.beside.into_iter().chain([self.front]).collect();
        shown.retain(|&index| index < self.tabs.len());
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// Brings a tab to the front. A tab that is shown beside it stays there.
    pub(crate) fn choose(&mut self, index: usize) {
        if self.beside == Some(index) {
            self.beside = Some(self.front);
        }
        self.front = index;
    }

    /// Shows the next tab beside the one in front, or stops doing so.
    pub(crate) fn split(&mut self) {
        let neighbour = if self.front == 0 { 1 } else { self.front - 1 };
        self.beside = match self.beside {
            Some(_) => None,
            None => Some(neighbour).filter(|&index| index < self.tabs.len()),
        };
    }

    /// Scrolls a shell's terminal back to `lines` lines.
    #[cfg(feature = "whole")]
    pub(crate) fn scroll(&mut self, index: usize, lines: usize) {
        if let Some(tab) = self.tabs.get_mut(index) {
            tab.scrolled = lines;
        }
    }

    /// The terminals of a World that is just being shown.
    pub(crate) fn new(lab: &Lab) -> Self {
        let tabs = lab.terminals().into_iter().map(|(server, process)| Tab::new(server, process));
        let shells = lab.shells().into_iter().map(|(host, terminal)| Tab::shell(host, terminal));
        let tabs = tabs.chain(shells).collect();
        Terminals { tabs, front: 0, beside: None, text_size: Self::TEXT_SIZE }
    }

    /// The index of a server's tab.
    pub(crate) fn find(&self, server: &str) -> Option<usize> {
        self.tabs.iter().position(|tab| tab.server == server && !tab.is_shell)
    }

    /// The tab in front.
    pub(crate) fn front(&self) -> Option<&Tab> {
        self.tabs.get(self.front)
    }

    /// Adds a tab and brings it to the front.
    pub(crate) fn add(&mut self, tab: Tab) {
        self.front = self.tabs.len();
        self.tabs.push(tab);
    }

    /// Removes a tab. If it was in front, its neighbour comes to the front.
    pub(crate) fn close(&mut self, index: usize) {
        if index < self.tabs.len() {
            self.tabs.remove(index);
            self.beside = None;
            if self.front > index || self.front == self.tabs.len() {
                self.front = self.front.saturating_sub(1);
            }
        }
    }
}

impl Tab {
    /// The tab of a redis-cli.
    pub(crate) fn new(server: String, process: String) -> Self {
        Tab {
            server,
            process,
            history: History::default(),
            notes: Vec::new(),
            cleared: 0,
            is_shell: false,
            #[cfg(feature = "whole")]
            scrolled: 0,
        }
    }

    /// The tab of a shell, with its host and its terminal in the World.
    pub(crate) fn shell(host: String, terminal: String) -> Self {
        Tab { is_shell: true, ..Tab::new(host, terminal) }
    }

    /// The label of the tab.
    pub(crate) fn label(&self) -> String {
        match self.is_shell {
            // The terminal's number distinguishes several of one host.
            true => self.process.replacen("-tty", " $", 1),
            false => self.server.clone(),
        }
    }
}
