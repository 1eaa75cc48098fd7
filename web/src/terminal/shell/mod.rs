//! Shells of hosts: terminals of the World with a screen of cells.
//!
//! The World has the terminal, its screen (by the `vt100` crate) and the programs. Here it is drawn
//! ([`view`], from the runs of [`cells`]), and keys are converted to bytes ([`keys`]). Everything
//! typed is an action of the session, so a rewind applies to it.

mod cells;
mod keys;
pub(super) mod view;

use limpid_core::sim::Action;

use crate::page::{Page, Pane, Topic};

use super::tabs::Tab;

/// The size of a terminal until the space for it on the page has been measured.
const SIZE: (u16, u16) = (80, 24);

/// Opens a new shell on a host, in a tab of its own.
pub(super) fn open(page: &Page, host: &str) {
    let terminal = free_name(page, host);
    page.change_terminals(|terminals| terminals.add(Tab::shell(host.to_owned(), terminal.clone())));
    page.change(Topic::Open, |view| {
        view.pane = Pane::Terminal;
        view.menu = None;
    });
    log_in(page, host, &terminal);
    super::focus_entry();
}

/// Shows the shell of a host with this number, counted from 1. Opens the shells up to it.
pub(super) fn show(page: &Page, host: &str, number: usize) {
    let shells = || -> Vec<usize> {
        let (lab, terminals) = (page.lab(), page.terminals());
        let alive = |tab: &Tab| {
            lab.world().tty_named(&tab.process).is_some_and(limpid_core::sim::Tty::is_alive)
        };
        let of_host = |tab: &Tab| tab.is_shell && tab.server == host && alive(tab);
        (0..terminals.tabs.len()).filter(|&index| of_host(&terminals.tabs[index])).collect()
    };
    for _ in shells().len()..number {
        open(page, host);
    }
    if let Some(&index) = shells().get(number.saturating_sub(1)) {
        page.change_terminals(|terminals| terminals.choose(index));
        page.change(Topic::Open, |view| {
            view.pane = Pane::Terminal;
            view.menu = None;
        });
        super::focus_entry();
    }
}

/// Types a line into the last opened shell of a host, or into a new one.
pub(super) fn type_line(page: &Page, host: &str, line: &str) {
    let alive = |tab: &Tab| {
        page.lab().world().tty_named(&tab.process).is_some_and(limpid_core::sim::Tty::is_alive)
    };
    let known = {
        let terminals = page.terminals();
        terminals.tabs.iter().rposition(|tab| tab.is_shell && tab.server == host && alive(tab))
    };
    let index = match known {
        Some(index) => {
            page.change_terminals(|terminals| terminals.choose(index));
            index
        }
        None => {
            let terminal = free_name(page, host);
            page.change_terminals(|terminals| {
                terminals.add(Tab::shell(host.to_owned(), terminal.clone()))
            });
            log_in(page, host, &terminal);
            page.terminals().front
        }
    };
    let terminal = page.terminals().tabs.get(index).map(|tab| tab.process.clone());
    if let Some(terminal) = terminal {
        press(page, &terminal, format!("{line}\r"));
    }
}

/// Logs in at a terminal, which starts its shell.
fn log_in(page: &Page, host: &str, terminal: &str) {
    let (columns, rows) =
        page.lab().world().tty_named(terminal).map_or(SIZE, limpid_core::sim::Tty::size);
    page.act(vec![Action::Login {
        host: host.to_owned(),
        terminal: terminal.to_owned(),
        columns,
        rows,
    }]);
}

/// A terminal name that is not in use, neither in the World nor in a tab.
fn free_name(page: &Page, host: &str) -> String {
    let (lab, terminals) = (page.lab(), page.terminals());
    let taken = |name: &str| {
        lab.world().tty_named(name).is_some()
            || terminals.tabs.iter().any(|tab| tab.process == name)
    };
    let mut number = 1;
    loop {
        let name = format!("{host}-tty{number}");
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

/// Sends keys to a terminal.
fn press(page: &Page, terminal: &str, keys: String) {
    if !keys.is_empty() {
        page.act(vec![Action::Keys { terminal: terminal.to_owned(), keys }]);
    }
}
