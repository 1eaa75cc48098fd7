//! The terminals that are open: which redis-cli each one shows, and what only the page knows of it.
//!
//! What redis-cli says is part of the World and is read from there, so that it follows when one
//! goes back in time. Here is what was typed before, what meta-commands answered, and which tab is
//! in front.

use crate::lab::Lab;

use super::editor::History;

/// The terminals.
pub(crate) struct Terminals {
    /// One for each tab, in order.
    pub tabs: Vec<Tab>,
    /// Which tab is in front.
    pub front: usize,
    /// The tab that is shown beside it, if one is.
    pub beside: Option<usize>,
    /// The size of the text, in pixels.
    pub text_size: u8,
}

/// A terminal.
pub(crate) struct Tab {
    /// The node that it talks to, or the host that it is a shell of.
    pub server: String,
    /// The name of its redis-cli, or of its terminal, in the World.
    pub process: String,
    /// What was typed.
    pub history: History,
    /// What meta-commands answered.
    pub notes: Vec<Note>,
    /// Blocks of output that Ctrl-L has cleared away.
    pub cleared: usize,
    /// Whether it is the shell of a host; else it is a redis-cli.
    pub is_shell: bool,
    /// How many lines of a shell's terminal are scrolled back.
    #[cfg(feature = "whole")]
    pub scrolled: usize,
}

/// What a meta-command answered.
pub(crate) struct Note {
    /// After how many blocks of redis-cli's output it stands.
    pub after: usize,
    /// The prompt behind which it was typed.
    pub prompt: String,
    /// What was typed.
    pub typed: String,
    /// The answer.
    pub answer: String,
    /// Whether it is a refusal.
    pub refused: bool,
}

impl Terminals {
    /// The usual size of the text, in pixels.
    pub(crate) const TEXT_SIZE: u8 = 13;
    /// The smallest and the largest.
    const TEXT_SIZES: (u8, u8) = (9, 24);

    /// Makes the text larger or smaller by so many pixels.
    pub(crate) fn enlarge(&mut self, by: i8) {
        self.set_text_size(self.text_size.saturating_add_signed(by));
    }

    /// Sets the size of the text, as near as may be.
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

    /// The tabs that are shown, in their order.
    pub(crate) fn shown(&self) -> Vec<usize> {
        let mut shown: Vec<usize> = self.beside.into_iter().chain([self.front]).collect();
        shown.retain(|&index| index < self.tabs.len());
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// Brings a tab to the front; one that is shown beside it keeps its place.
    pub(crate) fn choose(&mut self, index: usize) {
        if self.beside == Some(index) {
            self.beside = Some(self.front);
        }
        self.front = index;
    }

    /// Shows the neighbour of the tab in front beside it, or that alone.
    pub(crate) fn split(&mut self) {
        let neighbour = if self.front == 0 { 1 } else { self.front - 1 };
        self.beside = match self.beside {
            Some(_) => None,
            None => Some(neighbour).filter(|&index| index < self.tabs.len()),
        };
    }

    /// Scrolls a shell's terminal back, to so many lines.
    #[cfg(feature = "whole")]
    pub(crate) fn scroll(&mut self, index: usize, lines: usize) {
        if let Some(tab) = self.tabs.get_mut(index) {
            tab.scrolled = lines;
        }
    }

    /// The terminals that a World begins with.
    pub(crate) fn new(lab: &Lab) -> Self {
        let tabs = lab.terminals().into_iter().map(|(server, process)| Tab::new(server, process));
        let shells = lab.shells().into_iter().map(|(host, terminal)| Tab::shell(host, terminal));
        let tabs = tabs.chain(shells).collect();
        Terminals { tabs, front: 0, beside: None, text_size: Self::TEXT_SIZE }
    }

    /// The tab of a server.
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

    /// Takes a tab away; its neighbour comes to the front.
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
    /// A fresh tab.
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

    /// The tab of a shell: its host, and its terminal in the World.
    pub(crate) fn shell(host: String, terminal: String) -> Self {
        Tab { is_shell: true, ..Tab::new(host, terminal) }
    }

    /// What is written on it.
    pub(crate) fn label(&self) -> String {
        match self.is_shell {
            // The terminal's number tells several of one host apart.
            true => self.process.replacen("-tty", " $", 1),
            false => self.server.clone(),
        }
    }
}
