//! Users of a running program: which client is logged in as whom, what was denied, and the
//! `aclfile`.

use std::sync::Arc;

use super::disk::UsersWork;
use super::{Client, ClientState, CloseState, Command, DiskWork, Front, Service};
use crate::acl::{Catalog, Context, Denied, Env, Log, LogEntry, Reason, Request, User, Users};
use crate::command::CommandError;
use crate::front::config::file::quoted;
use crate::machine::{DiskDone, DiskError, DiskOp, LogLevel};
use crate::resp::request::Args;
use crate::time::Now;

/// The users of a program, and its log of denied requests.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    users: Users,
    log: Log,
    /// The `requirepass` that was last applied to the default user.
    password: Option<Vec<u8>>,
    ready: bool,
}

impl Acl {
    pub(super) fn new(commands: &dyn Catalog) -> Self {
        let users = Users::new(Env { commands, all_channels: false });
        Self { users, log: Log::default(), password: None, ready: false }
    }

    /// All users.
    pub(crate) fn users(&self) -> &Users {
        &self.users
    }

    /// The log of denied requests.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Recomputes a client's permissions from its user. True if that user no longer exists.
    fn update<S: Service>(&self, client: &mut Client<S>) -> bool {
        let Some(user) = &client.user else { return false };
        let known = self.users.get(user.name()).filter(|known| known.id() == user.id());
        let gone = known.is_none();
        if gone {
            client.authenticated = false;
        }
        let user = known.unwrap_or(self.users.default_user());
        client.unrestricted =
            (client.authenticated || self.users.is_open()) && user.allows_everything();
        client.user = Some(Arc::clone(user));
        gone
    }
}

impl<S: Service> Front<S> {
    /// The context in which this program interprets rules.
    pub(super) fn acl_env(&self) -> Env<'static> {
        Env { commands: S::table(), all_channels: self.settings().acl_pubsub_default }
    }

    // ---- Clients ----

    /// Logs a client in as the default user: when it connects, and after RESET.
    pub(crate) fn log_in_as_default(&self, client: &mut Client<S>) {
        client.user = Some(Arc::clone(self.acl.users.default_user()));
        client.authenticated = self.acl.users.is_open();
        self.acl.update(client);
    }

    /// Whether a client has to authenticate before it may do anything.
    pub(crate) fn must_log_in(&self, client: &Client<S>) -> bool {
        !client.authenticated && !self.acl.users.is_open()
    }

    /// Logs a client in. `command` is the command by which it authenticates.
    pub(super) fn log_in(
        &mut self,
        now: Now<'_>,
        client: &mut Client<S>,
        name: &[u8],
        password: &[u8],
        command: &[u8],
    ) -> bool {
        match self.acl.users.authenticate(name, password) {
            Some(user) => {
                client.user = Some(Arc::clone(user));
                client.authenticated = true;
                self.acl.update(client);
                true
            }
            None => {
                let context = Context::of(client.state.in_transaction());
                let shown = String::from_utf8_lossy(command).to_ascii_lowercase();
                self.note_denial(now, client, Reason::Login, context, name, &shown, command);
                false
            }
        }
    }

    /// Recomputes the permissions of a client that is taken out of its slot.
    pub(super) fn update_rights(&self, client: &mut Client<S>) {
        if self.acl.update(client) {
            client.close_state = CloseState::AfterReply;
        }
    }

    /// Recomputes the permissions of all clients, and disconnects those whose user no longer
    /// exists. `caller` is the client that is taken out of its slot, if any.
    fn users_changed(&mut self, caller: Option<&mut Client<S>>) {
        for slot in self.clients.slots() {
            if self.clients.get_mut(slot).is_some_and(|client| self.acl.update(client)) {
                self.cut_off(slot);
            }
        }
        if let Some(caller) = caller {
            self.update_rights(caller);
        }
    }

    // ---- Checks ----

    /// Whether the user of a client may run a command.
    pub(crate) fn permits(
        &self,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
    ) -> Result<(), Denied> {
        match &client.user {
            Some(user) if !client.unrestricted => {
                user.check(&mut Request::new(command.info(), args))
            }
            _ => Ok(()),
        }
    }

    /// As [`Front::permits`], and records a denial in the log.
    pub(crate) fn check_permission(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        command: &'static Command<S>,
        args: Args<'_>,
        context: Context,
    ) -> Result<(), Denied> {
        self.permits(client, command, args).inspect_err(|denied| {
            let object = match denied.reason {
                Reason::Command => command.name.as_bytes(),
                _ => denied.blamed(args),
            };
            let name = client.user.as_ref().map_or(&[][..], |user| user.name());
            self.note_denial(now, client, denied.reason, context, name, &command.name, object);
        })
    }

    /// The error message for a denied command, without an error code.
    pub(crate) fn denial(
        client: &Client<S>,
        command: &Command<S>,
        args: Args<'_>,
        denied: Denied,
    ) -> Vec<u8> {
        let name = client.user.as_ref().map_or(&[][..], |user| user.name());
        denied.message(name, &command.name, args, false)
    }

    #[allow(clippy::too_many_arguments)] // All that an entry of the log says.
    fn note_denial(
        &mut self,
        now: Now<'_>,
        client: &Client<S>,
        reason: Reason,
        context: Context,
        user: &[u8],
        command: &str,
        object: &[u8],
    ) {
        *match reason {
            Reason::Command => &mut self.stats.denied_commands,
            Reason::Key => &mut self.stats.denied_keys,
            Reason::Channel => &mut self.stats.denied_channels,
            Reason::Login => &mut self.stats.denied_logins,
        } += 1;
        let at = now.wall.as_millis();
        let entry = LogEntry {
            id: 0,
            count: 0,
            reason,
            context,
            command: command.to_owned(),
            object: object.to_vec(),
            user: user.to_vec(),
            client: super::clients::describe(client, Some(now.mono)),
            created: at,
            updated: at,
        };
        let max = self.settings().acllog_max_len;
        self.acl.log.add(entry, max);
    }

    // ---- Changes ----

    /// ACL SETUSER. The error is the message for the client.
    pub(super) fn set_user(
        &mut self,
        caller: &mut Client<S>,
        name: &[u8],
        rules: &[&[u8]],
    ) -> Result<(), Vec<u8>> {
        let before = self.acl.users.get(name).cloned();
        let env = self.acl_env();
        self.acl.users.set(name, rules, env)?;
        if let (Some(before), Some(after)) = (before, self.acl.users.get(name).cloned()) {
            self.end_forbidden_subscriptions(caller, &before, &after);
        }
        self.users_changed(Some(caller));
        Ok(())
    }

    /// Disconnects the clients of a user that are subscribed to channels which it may no longer
    /// use.
    fn end_forbidden_subscriptions(&mut self, caller: &mut Client<S>, before: &User, after: &User) {
        if after.allows_channels_of(before) {
            return;
        }
        let forbidden = |client: &Client<S>| {
            client.user.as_ref().is_some_and(|user| user.id() == after.id())
                && client.subscriptions.as_deref().is_some_and(|subscriptions| {
                    subscriptions
                        .all()
                        .any(|(name, is_pattern)| !after.may_subscribe(name, is_pattern))
                })
        };
        let slots: Vec<u32> =
            self.clients.iter().filter(|client| forbidden(client)).map(|c| c.slot).collect();
        for slot in slots {
            self.cut_off(slot);
        }
        if forbidden(caller) {
            caller.close_state = CloseState::AfterReply;
        }
    }

    /// ACL DELUSER. Returns how many users were deleted.
    pub(super) fn delete_users<'n>(
        &mut self,
        caller: &mut Client<S>,
        names: impl Iterator<Item = &'n [u8]>,
    ) -> usize {
        let deleted = names.filter(|name| self.acl.users.remove(name)).count();
        if deleted > 0 {
            self.users_changed(Some(caller));
        }
        deleted
    }

    /// Applies `requirepass` to the default user if it has changed.
    pub(super) fn password_changed(&mut self) {
        let password = self.settings().requirepass.clone();
        if password != self.acl.password {
            let env = self.acl_env();
            self.acl.users.set_default_password(password.as_deref(), env);
            self.acl.password = password;
            self.users_changed(None);
        }
    }

    // ---- Files ----

    /// Whether the users have been loaded. If not, `listen` is called again once they are, or the
    /// process exits.
    pub(super) fn users_are_ready(&mut self) -> bool {
        if self.acl.ready {
            return true;
        }
        let config = Arc::clone(&self.config);
        let path = self.settings().aclfile.clone();
        let env = self.acl_env();
        if path.is_some() && !config.users().is_empty() {
            let text = "Users are declared in the configuration file, and it names a file of users \
                        ('aclfile') as well. Declare them in one of the two only.";
            return self.cannot_start(text.to_owned());
        }
        match self.acl.users.declare(config.users(), env) {
            Err(error) => {
                let error = String::from_utf8_lossy(&error).into_owned();
                self.log(LogLevel::Warning, || error);
                let text = "Critical error while loading ACLs. Exiting.";
                return self.cannot_start(text.to_owned());
            }
            Ok(disabled) => {
                for name in disabled {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    self.notice(|| {
                        format!(
                            "The user '{name}' is disabled (there is no 'on' modifier in the user \
                             description). Make sure this is not a configuration error."
                        )
                    });
                }
            }
        }
        match path {
            None => self.acl.ready = true,
            Some(path) => {
                self.front_disk_op(DiskOp::Load { path }, DiskWork::Users(UsersWork::Start));
            }
        }
        self.acl.ready
    }

    fn cannot_start(&mut self, text: String) -> bool {
        self.log(LogLevel::Warning, || text);
        self.exit(1);
        false
    }

    /// Starts to read or write the `aclfile`. False if there is none.
    pub(super) fn begin_users_work(&mut self, work: UsersWork) -> bool {
        let Some(path) = self.settings().aclfile.clone() else { return false };
        let what = match work {
            UsersWork::Save(_) => DiskOp::Replace { path, bytes: self.acl.users.file_text() },
            UsersWork::Start | UsersWork::Load(_) => DiskOp::Load { path },
        };
        self.front_disk_op(what, DiskWork::Users(work));
        true
    }

    /// Reading or writing the `aclfile` has ended.
    pub(super) fn users_disk_done(
        &mut self,
        now: Now<'_>,
        work: UsersWork,
        result: Result<DiskDone, DiskError>,
    ) {
        match work {
            UsersWork::Start => match self.replace_users(result) {
                Ok(()) => {
                    self.acl.ready = true;
                    self.listen();
                }
                Err(error) => {
                    let error = String::from_utf8_lossy(&error).into_owned();
                    self.cannot_start(format!(
                        "Aborting Redis startup because of ACL errors: {error}"
                    ));
                }
            },
            UsersWork::Load(client) => self.loaded(now, client, result),
            UsersWork::Save(client) => {
                let result = result.map(drop).map_err(|error| {
                    self.log(LogLevel::Warning, || {
                        format!("Writing ACL file for ACL SAVE: {error}")
                    });
                    CommandError::text(
                        "ERR There was an error trying to save the ACLs. Please check the server \
                         logs for more information",
                    )
                });
                self.answer(now, client, result);
            }
        }
    }

    /// Answers an ACL LOAD. If the client's user no longer exists, it is disconnected after the
    /// reply.
    fn loaded(&mut self, now: Now<'_>, client: u64, result: Result<DiskDone, DiskError>) {
        let mut caller = self.clients.by_id(client).and_then(|slot| self.clients.take(slot));
        let result = self.replace_users(result);
        let gone = caller.as_mut().is_some_and(|caller| self.acl.update(caller));
        if let Some(caller) = caller {
            self.clients.put(caller);
        }
        let error = |error: Vec<u8>| CommandError::Text([b"ERR ", &error[..]].concat().into());
        if gone {
            // Commands that the client has pipelined after this one must not run as another user.
            let slot = self.clients.by_id(client);
            if let Some(client) = slot.and_then(|slot| self.clients.get_mut(slot)) {
                client.requests.clear();
            }
        }
        self.answer(now, client, result.map_err(error));
        if gone
            && let Some(mut caller) =
                self.clients.by_id(client).and_then(|slot| self.clients.take(slot))
        {
            caller.close_state = CloseState::AfterReply;
            self.flush(now, &mut caller);
            self.clients.put(caller);
        }
    }

    /// Replaces the users with those of the `aclfile`.
    fn replace_users(&mut self, result: Result<DiskDone, DiskError>) -> Result<(), Vec<u8>> {
        let path = self.settings().aclfile.clone().unwrap_or_default();
        let text = match result {
            Ok(DiskDone::Data(text)) => text,
            Ok(_) => Vec::new(),
            Err(error) => {
                let error = &error.message;
                return Err(
                    format!("Error loading ACLs, opening file '{path}': {error}").into_bytes()
                );
            }
        };
        let env = self.acl_env();
        self.acl.users = self.acl.users.read_file(&path, &text, env)?;
        self.users_changed(None);
        Ok(())
    }

    /// The `user` lines that CONFIG REWRITE writes: none if there is an `aclfile`.
    pub(crate) fn user_lines(&self) -> Vec<String> {
        if self.settings().aclfile.is_some() {
            return Vec::new();
        }
        self.acl.users.lines().map(|line| as_config_line(&line)).collect()
    }
}

/// Quotes a line of rules for a configuration file.
fn as_config_line(line: &[u8]) -> String {
    let word = |word: &[u8]| {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'');
        match word.iter().all(plain) {
            true => String::from_utf8_lossy(word).into_owned(),
            false => quoted(word),
        }
    };
    line.split(|byte| *byte == b' ').map(word).collect::<Vec<_>>().join(" ")
}
