//! A shell and its small programs, as processes of a World.
//!
//! Every program here is an `async fn` over [`os::Os`], and [`Program`] is the machine around it.
//! The protocol logic of servers and of redis-cli is in other rooms; here is their output on a
//! terminal.
//!
//! | file | noun |
//! |---|---|
//! | `os` | a program's interface to the operating system, and the machine around a program |
//! | `syntax`, `expand`, `arith`, `run`, `builtins` | the shell: grammar, expansion, execution |
//! | `login`, `edit` | the shell on a terminal, and its line editor |
//! | `skeleton`, `proxy_sources` | the files of an installed machine |
//! | `tools` | the small programs, in one file for each group |
//! | `cli` | redis-cli on a terminal |
//! | `cluster` | the cluster tools: `redis-cli --cluster`, `redis-trib.rb` |

mod arith;
mod builtins;
mod cli;
mod cluster;
mod edit;
mod expand;
mod login;
mod os;
mod proxy_sources;
mod run;
mod skeleton;
mod syntax;
#[cfg(test)]
mod tests;
mod tools;

use std::sync::Arc;

use crate::lab::programs::TRIB;
use crate::sim::{Launch, Process, World};

pub use self::skeleton::redis_conf;

use self::os::{Entry, Program};
use self::tools::HostSnapshot;

pub use self::skeleton::CREATE_CLUSTER;

/// The shell's program with this name, if there is one.
pub(super) fn program(launch: &Launch<'_>) -> Option<Box<dyn Process>> {
    let entry: Entry = match launch.program {
        World::LOGIN => {
            let program = Program::new(launch, Arc::new(login::login), HostSnapshot::default());
            return Some(Box::new(program.installing()));
        }
        "sh" => Arc::new(login::sh),
        "redis-cli" if launch.is_child => Arc::new(cli::start),
        TRIB => Arc::new(cluster::trib),
        name => tools::entry(name)?,
    };
    Some(Box::new(Program::new(launch, entry, HostSnapshot::of(launch))))
}

/// The environment of a login shell.
fn login_env() -> Vec<(String, String)> {
    let env = [
        ("HOME", "/root"),
        ("LANG", "en_US.UTF-8"),
        ("LOGNAME", "root"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/root/bin"),
        ("SHELL", "/bin/bash"),
        ("TERM", "xterm-256color"),
        ("USER", "root"),
    ];
    env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
