//! The terminals that are open: which redis-cli each one shows, and what only the page knows of it.
//!
//! What redis-cli says is part of the World and is read from there, so that it follows when one
//! goes back in time. Here is what was typed before, what meta-commands answered, and which tab is
//! in front.

use crate::lab::Lab;

use super::editor::History;

/// The terminals.
pub(crate) struct Desk {
    /// One for each tab, in order.
    pub tabs: Vec<Tab>,
    /// Which tab is in front.
    pub front: usize,
}

/// A terminal.
pub(crate) struct Tab {
    /// The host whose server it talks to.
    pub server: String,
    /// The name of its redis-cli in the World.
    pub process: String,
    /// What was typed.
    pub history: History,
    /// What meta-commands answered.
    pub notes: Vec<Note>,
    /// Blocks of output that Ctrl-L has cleared away.
    pub cleared: usize,
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

impl Desk {
    /// The terminals that a World begins with.
    pub(crate) fn new(lab: &Lab) -> Self {
        let tabs = lab.terminals().into_iter().map(|(server, process)| Tab::new(server, process));
        Desk { tabs: tabs.collect(), front: 0 }
    }

    /// The tab of a server.
    pub(crate) fn find(&self, server: &str) -> Option<usize> {
        self.tabs.iter().position(|tab| tab.server == server)
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
            if self.front > index || self.front == self.tabs.len() {
                self.front = self.front.saturating_sub(1);
            }
        }
    }
}

impl Tab {
    /// A fresh tab.
    pub(crate) fn new(server: String, process: String) -> Self {
        Tab { server, process, history: History::default(), notes: Vec::new(), cleared: 0 }
    }
}
