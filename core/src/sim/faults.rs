//! Applies [`Action`]s to a World.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::machine::Signal;
use crate::sorted::SortedSet;
use crate::time::{Duration, Mono};

use super::action::{Action, ActionError};
use super::event::{EventKind, Lost};
use super::host::Host;
use super::ids::{HostId, MessageId, ProcId, Side, TcpId};
use super::proc::{PendingInput, Proc, ProcState};
use super::scenario::{HostSpec, LinkSpec, ProcessSpec};
use super::tcp::{Flight, Phase, Segment, SegmentKind};
use super::world::{Tick, World};

impl World {
    /// Applies an action now. On an error, nothing was changed.
    pub fn apply(&mut self, action: &Action) -> Result<(), ActionError> {
        self.do_action(action)?;
        self.steps += 1;
        self.trace.number(self.now.0);
        self.trace.bytes(action.to_string().as_bytes());
        self.happened(EventKind::Action(action.clone()));
        self.prune();
        Ok(())
    }

    pub(super) fn do_action(&mut self, action: &Action) -> Result<(), ActionError> {
        match action {
            Action::Crash { host } => {
                let id = self.find_host(host)?;
                if !self.at_host(id).on {
                    return Err(wrong_state(host, "down", "restart brings it up"));
                }
                self.power_off(id);
            }
            Action::Restart { host, disk } => {
                let id = self.find_host(host)?;
                if self.at_host(id).on {
                    self.power_off(id);
                }
                if !disk {
                    let host = self.host_mut(id);
                    host.disk = Arc::new(host.spec.new_disk());
                }
                let (at, boots) = (self.now + Self::BOOT, self.at_host(id).boots);
                self.schedule(at, Tick::Boot { host: id, boots });
            }
            Action::Pause { target } => {
                let running = |w: &World, id| w.at_proc(id).state == ProcState::Running;
                for id in self.find_targets(target, running, "not running", "start it first")? {
                    self.proc_mut(id).state = ProcState::Paused;
                    self.happened(EventKind::Paused(id));
                }
            }
            Action::Resume { target } => {
                let paused = |w: &World, id| w.at_proc(id).state == ProcState::Paused;
                for id in self.find_targets(target, paused, "not paused", "pause it first")? {
                    self.proc_mut(id).state = ProcState::Running;
                    self.happened(EventKind::Resumed(id));
                    self.continue_process(id);
                }
            }
            Action::Kill { target } => {
                for id in self.find_targets(target, World::is_alive, "not running", "start it")? {
                    self.kill(id);
                }
            }
            Action::Stop { target } => {
                for id in self.find_targets(target, World::is_alive, "not running", "start it")? {
                    self.notify(id, PendingInput::Signal(Signal::Terminate));
                }
            }
            Action::Reload { target } => {
                for id in self.find_targets(target, World::is_alive, "not running", "start it")? {
                    self.notify(id, PendingInput::Signal(Signal::Hangup));
                }
            }
            Action::Write { host, path, text } => {
                let id = self.find_host(host)?;
                if !self.at_host(id).on {
                    return Err(wrong_state(host, "down", "restart brings it up"));
                }
                Arc::make_mut(&mut self.host_mut(id).disk).rewrite(path, text.as_bytes());
            }
            Action::Start { target } => self.start(target)?,
            Action::Partition { a, b } => {
                let (a, b) = self.find_sets(a, b)?;
                self.cut(&a, &b);
                self.cut(&b, &a);
            }
            Action::PartitionOneWay { from, to } => {
                let (from, to) = self.find_sets(from, to)?;
                self.cut(&from, &to);
            }
            Action::Heal { a, b } => {
                let cuts = if a.is_empty() {
                    self.cuts.iter().copied().collect()
                } else {
                    let (a, b) = self.find_sets(a, b)?;
                    pairs(&a, &b).chain(pairs(&b, &a)).collect::<Vec<_>>()
                };
                self.mend(&cuts);
            }
            Action::Latency { a, b, latency, jitter } => self.change_links(a, b, |link| {
                link.latency = *latency;
                link.jitter = jitter.unwrap_or(link.jitter);
            })?,
            Action::Loss { a, b, ppm } => self.change_links(a, b, |link| link.loss_ppm = *ppm)?,
            Action::Bandwidth { a, b, bits } => {
                self.change_links(a, b, |link| link.bandwidth = *bits)?;
            }
            Action::Skew { host, micros } => {
                let (id, now) = (self.find_host(host)?, self.now);
                let clock = &mut self.host_mut(id).clock;
                (clock.skew_us, clock.since) = (*micros, now);
            }
            Action::Drift { host, ppm } => {
                let (id, now) = (self.find_host(host)?, self.now);
                let clock = &mut self.host_mut(id).clock;
                clock.skew_us = clock.ahead(now);
                (clock.drift_ppm, clock.since) = (*ppm, now);
            }
            Action::Disk { host, fault } => {
                let id = self.find_host(host)?;
                self.host_mut(id).fault = *fault;
            }
            Action::Drop { message } => {
                let (tcp, from) = self.find_message(*message)?;
                self.lose(tcp, from, *message, Lost::Dropped);
            }
            Action::Delay { message, by } => self.delay(*message, *by)?,
            Action::Duplicate { message } => {
                let (tcp, from) = self.find_message(*message)?;
                let due = match self.segment(tcp, from, *message).map(|s| s.flight) {
                    Some(Flight::Flying { due }) => due,
                    _ => self.now,
                };
                // The copy takes slightly longer, as if another switch had sent it.
                let at = due + self.scenario.tcp.loopback;
                self.schedule(at, Tick::Again { tcp, message: *message });
            }
            Action::Hold { message } => {
                let (tcp, from) = self.find_message(*message)?;
                let now = self.now;
                self.change_flight(tcp, from, *message, |flight| match flight {
                    Flight::Flying { due } => Flight::Held { left: due.0.saturating_sub(now.0) },
                    Flight::Lost { .. } | Flight::Waiting => Flight::Held { left: 0 },
                    held @ Flight::Held { .. } => held,
                });
            }
            Action::Release { message } => {
                let (tcp, from) = self.find_message(*message)?;
                let left = match self.segment(tcp, from, *message).map(|s| s.flight) {
                    Some(Flight::Held { left }) => left,
                    _ => {
                        let name = message.to_string();
                        return Err(wrong_state(&name, "not held", "hold it first"));
                    }
                };
                self.fly(tcp, from, *message, self.now + Duration::from_nanos(left));
            }
            Action::Run { host, name, program, args } => {
                let host = self.find_host(host)?;
                self.run(host, name, program, args)?;
            }
            Action::AddHost { name, ip } => self.add_host(name, *ip)?,
            Action::Login { host, terminal, columns, rows } => {
                let id = self.find_host(host)?;
                if !self.at_host(id).on {
                    return Err(wrong_state(host, "down", "restart brings it up"));
                }
                if self.tty_named(terminal).is_some_and(|tty| tty.is_alive() || tty.host() != id)
                    || self.proc_named(terminal).is_some()
                {
                    return Err(ActionError::NameTaken { name: terminal.clone() });
                }
                if let Some(why) = self.log_in(id, terminal, (*columns, *rows)) {
                    return Err(ActionError::NotStarted { name: terminal.clone(), why });
                }
            }
            Action::Keys { terminal, keys } => {
                let tty = self.find_tty(terminal)?;
                self.press(tty, keys.as_bytes());
            }
            Action::Resize { terminal, columns, rows } => {
                let tty = self.find_tty(terminal)?;
                self.resize(tty, *columns, *rows);
            }
            Action::Type { process, line } if self.tty_named(process).is_some() => {
                let tty = self.find_tty(process)?;
                self.press(tty, format!("{line}\r").as_bytes());
            }
            Action::Interrupt { process } if self.tty_named(process).is_some() => {
                let tty = self.find_tty(process)?;
                self.press(tty, b"\x03");
            }
            Action::Type { process, line } => {
                let id = self.find_console(process)?;
                self.notify(id, PendingInput::Line(line.clone()));
            }
            Action::Interrupt { process } => {
                let id = self.find_console(process)?;
                self.notify(id, PendingInput::Interrupt);
            }
        }
        Ok(())
    }

    fn power_off(&mut self, id: HostId) {
        self.disk_loses_power(id);
        let host = self.host_mut(id);
        host.on = false;
        host.ports.clear();
        for proc in self.proc_ids() {
            if self.at_proc(proc).host == id {
                self.lose_power(proc);
            }
        }
        self.lose_messages_to(id);
        self.happened(EventKind::HostDown(id));
    }

    /// Handles the silence of a host without power: messages on their way to it are lost; those
    /// that it sent still arrive.
    fn lose_messages_to(&mut self, id: HostId) {
        let mut over = Vec::new();
        for conn in self.conns.values_mut() {
            for side in [Side::Client, Side::Server] {
                if conn.end(side).host == id {
                    let end = conn.end_mut(side);
                    end.phase = Phase::Dead;
                    (end.proc, end.conn) = (None, None);
                    let flow = conn.flow_mut(side);
                    flow.flight.retain(Segment::is_flying);
                    (flow.blocked, flow.unacked) = (false, None);
                    conn.flow_mut(side.other()).inbox.clear();
                    over.push(conn.id);
                }
            }
        }
        for from in self.host_ids() {
            self.cut_link(from, id, Lost::HostDown);
        }
        for tcp in over {
            self.repeat_handshake(tcp);
            self.forget_if_over(tcp);
        }
    }

    fn start(&mut self, target: &str) -> Result<(), ActionError> {
        let idle = |w: &World, id| !w.is_alive(id);
        for id in self.find_targets(target, idle, "running", "stop or kill it first")? {
            let host = self.at_host(self.at_proc(id).host);
            if !host.on {
                return Err(wrong_state(&host.spec.name, "down", "restart brings it up"));
            }
            self.launch(id);
        }
        Ok(())
    }

    fn run(
        &mut self,
        host: HostId,
        name: &str,
        program: &str,
        args: &[String],
    ) -> Result<(), ActionError> {
        let taken = self.proc_named(name).is_some();
        if taken {
            return Err(ActionError::NameTaken { name: name.into() });
        }
        if !self.at_host(host).on {
            let name = &self.at_host(host).spec.name;
            return Err(wrong_state(name, "down", "restart brings it up"));
        }
        let mut spec = ProcessSpec::new(name, program, &[]);
        spec.args = args.to_vec();
        spec.boot = false;
        let Ok(number) = u32::try_from(self.procs.len()) else { return Ok(()) };
        self.procs.push(Proc::new(host, Arc::new(spec)));
        self.launch(ProcId(number));
        Ok(())
    }

    fn add_host(&mut self, name: &str, ip: Option<Ipv4Addr>) -> Result<(), ActionError> {
        let taken = |name: &str| ActionError::NameTaken { name: name.into() };
        if self.host_named(name).is_some() || name.is_empty() {
            return Err(taken(name));
        }
        let last = self.by_ip.keys().next_back().map_or(0x0a00_0000, |&ip| u32::from(ip));
        let ip = ip.unwrap_or_else(|| Ipv4Addr::from(last.saturating_add(1)));
        if self.by_ip.contains_key(&ip) {
            return Err(taken(&ip.to_string()));
        }
        let Ok(number) = u16::try_from(self.hosts.len()) else { return Err(taken(name)) };
        let rng = self.stream(1, number.into());
        self.hosts.push(Host::new(Arc::new(HostSpec::new(name, ip)), rng));
        Arc::make_mut(&mut self.by_ip).insert(ip, HostId(number));
        self.power_on(HostId(number));
        Ok(())
    }

    fn find_tty(&self, name: &str) -> Result<usize, ActionError> {
        let found = self.ttys().position(|tty| tty.name() == name);
        found.ok_or_else(|| ActionError::NoTerminal {
            name: name.into(),
            known: self.ttys().map(|tty| tty.name().into()).collect(),
        })
    }

    fn cut(&mut self, from: &SortedSet<HostId>, to: &SortedSet<HostId>) {
        for (from, to) in pairs(from, to) {
            if self.cuts.insert((from, to)) {
                if let Some(link) = self.link_mut(from, to) {
                    link.cut = true;
                }
                self.cut_link(from, to, Lost::Partition);
                self.lose_acks(from, to);
            }
        }
    }

    fn mend(&mut self, cuts: &[(HostId, HostId)]) {
        for &(from, to) in cuts {
            if self.cuts.remove(&(from, to)) {
                if let Some(link) = self.link_mut(from, to) {
                    link.cut = false;
                }
                self.mend_link(from, to);
            }
        }
    }

    fn link_mut(&mut self, from: HostId, to: HostId) -> Option<&mut super::link::Link> {
        let number = *self.link_index.get(&(from, to))?;
        self.links.get_mut(number as usize)
    }

    /// Changes the links between two hosts, or between all of them, in both directions.
    fn change_links(
        &mut self,
        a: &str,
        b: &str,
        change: impl Fn(&mut LinkSpec),
    ) -> Result<(), ActionError> {
        let (a, b) = (self.find_any(a)?, self.find_any(b)?);
        for (from, to) in pairs(&a, &b).chain(pairs(&b, &a)).collect::<SortedSet<_>>() {
            if let Some(link) = self.link(from, to).and_then(|n| self.links.get_mut(n as usize)) {
                change(&mut link.spec);
            }
        }
        Ok(())
    }

    fn delay(&mut self, message: MessageId, by: Duration) -> Result<(), ActionError> {
        let (tcp, from) = self.find_message(message)?;
        match self.segment(tcp, from, message).map(|s| s.flight) {
            Some(Flight::Flying { due }) => self.fly(tcp, from, message, due + by),
            Some(Flight::Held { left }) => {
                let more = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
                let left = left.saturating_add(more);
                self.change_flight(tcp, from, message, |_| Flight::Held { left });
            }
            Some(Flight::Lost { again, why }) => {
                let again = again + by;
                self.change_flight(tcp, from, message, |_| Flight::Lost { again, why });
                self.schedule(again, Tick::Resend { tcp, from, message });
            }
            Some(Flight::Waiting) | None => self.fly(tcp, from, message, self.now + by),
        }
        Ok(())
    }

    fn fly(&mut self, tcp: TcpId, from: Side, message: MessageId, due: Mono) {
        self.change_flight(tcp, from, message, |_| Flight::Flying { due });
        self.schedule(due, Tick::Arrive { tcp, from, message });
    }

    fn change_flight(
        &mut self,
        tcp: TcpId,
        from: Side,
        message: MessageId,
        change: impl FnOnce(Flight) -> Flight,
    ) {
        let Some(flow) = self.conns.get_mut(&tcp).map(|conn| conn.flow_mut(from)) else { return };
        let place = flow.position(message);
        if let Some(segment) = place.and_then(|place| flow.flight.get_mut(place)) {
            segment.flight = change(segment.flight);
        }
    }

    fn find_host(&self, name: &str) -> Result<HostId, ActionError> {
        let found = self.hosts().find(|host| host.name == name);
        found.map(|host| host.id).ok_or_else(|| ActionError::NoHost {
            name: name.into(),
            known: self.hosts().map(|host| host.name.into()).collect(),
        })
    }

    fn find_any(&self, name: &str) -> Result<SortedSet<HostId>, ActionError> {
        if name == "*" {
            return Ok(self.host_ids().collect());
        }
        self.find_host(name).map(|id| SortedSet::from([id]))
    }

    /// Two sets of hosts; if the second is not given, it is all other hosts.
    fn find_sets(
        &self,
        a: &[String],
        b: &[String],
    ) -> Result<(SortedSet<HostId>, SortedSet<HostId>), ActionError> {
        let find = |names: &[String]| {
            names.iter().map(|name| self.find_host(name)).collect::<Result<SortedSet<_>, _>>()
        };
        let (a, mut b) = (find(a)?, find(b)?);
        if b.is_empty() {
            b = self.host_ids().filter(|id| !a.contains(id)).collect();
        }
        Ok((a, b))
    }

    /// The process with this name, or those on the host with this name to which the action applies.
    fn find_targets(
        &self,
        name: &str,
        fits: fn(&World, ProcId) -> bool,
        is: &'static str,
        remedy: &'static str,
    ) -> Result<Vec<ProcId>, ActionError> {
        let host = self.host_named(name).map(|host| host.id);
        let named: Vec<ProcId> = self
            .procs()
            .filter(|p| if host.is_some() { Some(p.host) == host } else { p.name == name })
            .map(|p| p.id)
            .collect();
        if named.is_empty() && host.is_none() {
            let known = self.procs().map(|proc| proc.name.into()).collect();
            return Err(ActionError::NoProcess { name: name.into(), known });
        }
        let fitting: Vec<ProcId> = named.into_iter().filter(|&id| fits(self, id)).collect();
        if fitting.is_empty() { Err(wrong_state(name, is, remedy)) } else { Ok(fitting) }
    }

    fn find_console(&mut self, name: &str) -> Result<ProcId, ActionError> {
        let Some(id) = self.proc_named(name).map(|proc| proc.id) else {
            let known = self.procs().map(|proc| proc.name.into()).collect();
            return Err(ActionError::NoProcess { name: name.into(), known });
        };
        match self.proc_mut(id).machine.as_mut().map(|machine| machine.console().is_some()) {
            Some(true) => Ok(id),
            Some(false) => Err(wrong_state(
                name,
                "a program that reads no input",
                "type into a terminal that runs redis-cli",
            )),
            None => Err(wrong_state(name, "not running", "start it first")),
        }
    }

    fn find_message(&self, message: MessageId) -> Result<(TcpId, Side), ActionError> {
        let found = self.message(message).filter(|m| m.kind != SegmentKind::Rst);
        found.map(|m| (m.tcp, m.from)).ok_or(ActionError::NoMessage { message })
    }
}

fn pairs<'a>(
    a: &'a SortedSet<HostId>,
    b: &'a SortedSet<HostId>,
) -> impl Iterator<Item = (HostId, HostId)> + 'a {
    a.iter().flat_map(move |&a| b.iter().map(move |&b| (a, b))).filter(|(a, b)| a != b)
}

fn wrong_state(name: &str, is: &'static str, remedy: &'static str) -> ActionError {
    ActionError::WrongState { name: name.into(), is, remedy }
}
