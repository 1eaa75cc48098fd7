//! The commands that a connection starts with.

/// Commands sent at the start of every connection of a [`Peer`](super::Peer), before any request.
///
/// They are sent together with the first requests, without waiting for replies: a server answers in
/// order, so after a failed AUTH the server itself refuses the requests that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    steps: Vec<Step>,
}

/// One command of a [`Preamble`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command with its arguments.
    pub command: Vec<Vec<u8>>,
    /// Whether the connection is closed if the server answers with an error.
    pub required: bool,
}

impl Preamble {
    /// An empty preamble.
    pub const fn new() -> Self {
        Preamble { steps: Vec::new() }
    }

    /// Adds a command whose failure is only reported.
    #[must_use]
    pub fn command<A: AsRef<[u8]>>(self, words: &[A]) -> Self {
        self.step(words, false)
    }

    /// Adds a command whose failure closes the connection.
    #[must_use]
    pub fn required<A: AsRef<[u8]>>(self, words: &[A]) -> Self {
        self.step(words, true)
    }

    /// `AUTH [user] password`.
    #[must_use]
    pub fn auth(self, user: Option<&[u8]>, password: &[u8]) -> Self {
        match user {
            None => self.required(&[b"AUTH", password]),
            Some(user) => self.required(&[b"AUTH", user, password]),
        }
    }

    /// `HELLO 3`: published messages come as pushes, and maps as maps.
    #[must_use]
    pub fn hello3(self) -> Self {
        self.required(&["HELLO", "3"])
    }

    /// `SELECT db`, unless it is database 0, where a new connection starts.
    #[must_use]
    pub fn select(self, db: u32) -> Self {
        match db {
            0 => self,
            db => self.required(&["SELECT", &db.to_string()]),
        }
    }

    /// `CLIENT SETNAME name`: the name in CLIENT LIST.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.command(&["CLIENT", "SETNAME", name])
    }

    /// The commands, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn step<A: AsRef<[u8]>>(mut self, words: &[A], required: bool) -> Self {
        let command = words.iter().map(|word| word.as_ref().to_vec()).collect();
        self.steps.push(Step { command, required });
        self
    }
}
