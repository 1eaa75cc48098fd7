//! Tools that create, inspect and repair a Redis Cluster: `redis-cli --cluster` and the
//! `redis-trib.rb` of Redis 4.
//!
//! Each tool is an `async fn` of a [conversation](crate::conversation::Conversation): it makes
//! requests ([`Request`]), such as to send commands, print a text or read a line, and awaits their
//! answers ([`Response`]). Two drivers carry the requests out: `native` on sockets, and the lab's
//! shell in a World. The output equals that of Redis's tools, line for line;
//! `tests/interop/cluster/tools.rs` compares the two on equal clusters.
//!
//! * `options`: the command line; `io`: the requests; `node`, `manager`: what is known of a
//!   cluster; one file for each tool or pair of tools.

mod affinity;
mod atomic;
mod backup;
mod check;
mod create;
mod dump;
mod fix;
mod import;
mod io;
mod manager;
mod members;
mod node;
mod options;
mod rebalance;
mod reshard;
mod slots;
#[cfg(test)]
mod tests;
mod trib;

pub use dump::Dump;
pub use io::{ConnectionError, Login, Place, Request, Response, Settings};
pub(crate) use node::Node as ClusterNode;
pub use options::{Dialect, Invocation, Name, Options};
pub use trib::parse_trib;

use crate::conversation::Conversation;

use io::Io;

/// The exit status of a tool.
pub type Status = i32;

/// The tool has printed an error, and ends with status 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failed;

type Outcome<T = ()> = Result<T, Failed>;

/// A tool as a conversation that has not started yet.
pub fn conversation(
    invocation: Invocation,
    settings: Settings,
) -> Conversation<Request, Response, Status> {
    Conversation::new(move |line| run(Io::new(line, settings.clone()), invocation.clone()))
}

async fn run(io: Io, invocation: Invocation) -> Status {
    let Invocation { name, args, options } = invocation;
    let done = match name {
        Name::Create => create::create(io, &args, options).await,
        Name::Check => check::check(io, &args, options).await,
        Name::Info => check::info(io, &args, options).await,
        Name::Fix => check::fix(io, &args, options).await,
        Name::Reshard => reshard::reshard(io, &args, options).await,
        Name::Rebalance => rebalance::rebalance(io, &args, options).await,
        Name::AddNode => members::add_node(io, &args, options).await,
        Name::DelNode => members::del_node(io, &args, options).await,
        Name::Call => members::call(io, &args, options).await,
        Name::SetTimeout => members::set_timeout(io, &args, options).await,
        Name::Import => import::import(io, &args, options).await,
        Name::Backup => backup::backup(io, &args, options).await,
        Name::Help => {
            io.print(io.dialect().help());
            // As redis-cli does.
            return i32::from(io.dialect() == Dialect::Cli);
        }
    };
    i32::from(done.is_err())
}
