//! `import`: moves the keys of a standalone server into a cluster.

use crate::resp::value::Value;
use crate::sharding::Slot;

use super::io::{Io, Login, Place, error_text, text, words};
use super::manager::ClusterManager;
use super::options::Options;
use super::{Failed, Outcome};

pub(super) async fn import(io: Io, args: &[String], options: Options) -> Outcome {
    let Some(from) = options.from.clone() else {
        let what = "Option '--cluster-from' is required for subcommand 'import'.";
        return io.fail(format!("[ERR] {what}"));
    };
    let Some(source) = Place::parse(&from) else {
        return io.fail(
            "[ERR] Invalid --cluster-from host. You need to pass a valid address (ie. \
             120.0.0.1:7000).",
        );
    };
    let password = match options.from_askpass {
        true => Some(io.ask("Please input import source node password: ").await?),
        false => options.from_pass.clone(),
    };
    let login =
        Login { user: options.from_user.clone(), password: password.map(String::into_bytes) };
    let target = super::manager::place_from_args(&io, args)?;
    io.info(format!(">>> Importing data from {source} to cluster {target}"));
    let mut manager = ClusterManager::load(io, args, options).await?;
    if !manager.check(true).await? {
        return Err(Failed);
    }
    let outside = manager.io.with_login(login);
    let info = outside.expect(&source, words("INFO")).await?;
    if text(&info).lines().any(|line| line.trim() == "cluster_enabled:1") {
        return outside.fail("[ERR] The source node should not be a cluster node.");
    }
    if let Value::Integer(size) = outside.expect(&source, words("DBSIZE")).await? {
        outside.warn(format!("*** Importing {size} keys from DB 0"));
    }
    let mut cursor = String::from("0");
    loop {
        let scan = words(&format!("SCAN {cursor} COUNT 1000"));
        let reply = outside.expect(&source, scan).await?;
        let Some([next, keys]) = reply.items() else { return Err(Failed) };
        for key in keys.items().unwrap_or_default().iter().filter_map(Value::bytes) {
            manager.import_key(&outside, &source, key).await?;
        }
        cursor = text(next);
        if cursor == "0" {
            return Ok(());
        }
    }
}

impl ClusterManager {
    async fn import_key(&self, outside: &Io, source: &Place, key: &[u8]) -> Outcome {
        let Some(owner) = self.owners(Slot::of(key)).first().copied() else {
            return Err(Failed);
        };
        let to = self.place(owner);
        let shown = String::from_utf8_lossy(key);
        self.io.print(format!("Migrating {shown} to {to}: "));
        let mut command = words(&format!("MIGRATE {} {}", to.host, to.port));
        command.push(key.to_vec());
        command.extend(words(&format!("0 {}", self.options.timeout)));
        if self.options.copy {
            command.push(b"COPY".to_vec());
        }
        if self.options.replace {
            command.push(b"REPLACE".to_vec());
        }
        command.extend(self.io.login().migrate_option());
        let reply = outside.reply(source, command).await?;
        match error_text(&reply) {
            None => self.io.print("OK\n"),
            Some(error) => {
                self.io.error(format!("Source {source} replied with error:\n{error}"));
            }
        }
        Ok(())
    }
}
