//! The tools that build, inspect and mend a Redis Cluster: `redis-cli --cluster` and the
//! `redis-trib.rb` of Redis 4.
//!
//! Each is an `async fn` of a [conversation](crate::conversation::Conversation) that asks for
//! "send these commands to that node", "print this" and "read a line" ([`Ask`]) and is told what
//! came of it ([`Told`]). What carries the requests out lives elsewhere: `native` on sockets, the
//! lab's shell in a World. The output is that of Redis's tools, line for line;
//! `tests/interop/cluster/tools.rs` compares the two on equal clusters.
//!
//! * `options`: the command line; `desk`: the requests; `node`, `fleet`: what is known of a
//!   cluster; one file for each tool or pair of tools.

mod affinity;
mod backup;
mod check;
mod create;
mod desk;
mod dump;
mod fix;
mod fleet;
mod import;
mod members;
mod node;
mod options;
mod rebalance;
mod reshard;
mod slots;
#[cfg(test)]
mod tests;
mod trib;
mod whole;

pub use desk::{Ask, Login, Place, Settings, Told, Trouble};
pub use dump::Dump;
pub(crate) use node::Node as ClusterNode;
pub use options::{Dialect, Invocation, Name, Options};
pub use trib::parse_trib;

use crate::conversation::Conversation;

use desk::Desk;

/// The exit status of a tool.
pub type Status = i32;

/// The tool has said what is wrong, and ends with status 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failed;

type Outcome<T = ()> = Result<T, Failed>;

/// A tool as a conversation that has not begun.
pub fn conversation(invocation: Invocation, settings: Settings) -> Conversation<Ask, Told, Status> {
    Conversation::new(move |line| run(Desk::new(line, settings.clone()), invocation.clone()))
}

async fn run(desk: Desk, invocation: Invocation) -> Status {
    let Invocation { name, args, options } = invocation;
    let done = match name {
        Name::Create => create::create(desk, &args, options).await,
        Name::Check => check::check(desk, &args, options).await,
        Name::Info => check::info(desk, &args, options).await,
        Name::Fix => check::fix(desk, &args, options).await,
        Name::Reshard => reshard::reshard(desk, &args, options).await,
        Name::Rebalance => rebalance::rebalance(desk, &args, options).await,
        Name::AddNode => members::add_node(desk, &args, options).await,
        Name::DelNode => members::del_node(desk, &args, options).await,
        Name::Call => members::call(desk, &args, options).await,
        Name::SetTimeout => members::set_timeout(desk, &args, options).await,
        Name::Import => import::import(desk, &args, options).await,
        Name::Backup => backup::backup(desk, &args, options).await,
        Name::Help => {
            desk.print(desk.dialect().help());
            // redis-cli ends as if it had failed.
            return i32::from(desk.dialect() == Dialect::Cli);
        }
    };
    i32::from(done.is_err())
}
