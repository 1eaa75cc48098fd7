//! The commands that are sent to a node for its report.

use crate::resp::value::Value;

use super::report::{Kind, Report, Watched, field};

/// A sequence of commands for one node: [`Inquiry::next`] gives a command and [`Inquiry::answer`]
/// takes its reply, until there is none left. Then [`Inquiry::report`] is complete.
#[derive(Clone, Debug)]
pub struct Inquiry {
    report: Report,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Info,
    ClusterNodes,
    Masters,
    /// The replicas of the master with this index.
    Replicas(usize),
    /// The other Sentinels of the master with this index.
    Sentinels(usize),
    Done,
}

impl Inquiry {
    /// An inquiry for the node at an address.
    pub fn new(address: &str) -> Self {
        let report = Report { address: address.to_owned(), ..Report::default() };
        Inquiry { report, stage: Stage::Info }
    }

    /// The next command, or `None` after the last reply.
    pub fn next(&self) -> Option<Vec<String>> {
        let name = |place: usize| {
            self.report.masters.get(place).map_or_else(String::new, |m| m.name().to_owned())
        };
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Some(match self.stage {
            Stage::Info => words(&["INFO"]),
            Stage::ClusterNodes => words(&["CLUSTER", "NODES"]),
            Stage::Masters => words(&["SENTINEL", "MASTERS"]),
            Stage::Replicas(at) => words(&["SENTINEL", "REPLICAS", &name(at)]),
            Stage::Sentinels(at) => words(&["SENTINEL", "SENTINELS", &name(at)]),
            Stage::Done => return None,
        })
    }

    /// Takes the reply to the command from [`Inquiry::next`].
    ///
    /// # Errors
    /// If the node refuses INFO, or an unexpected reply arrives; the text is for a person. If other
    /// commands are refused, their parts of the report stay empty.
    pub fn answer(&mut self, reply: &Value) -> Result<(), String> {
        let reply = reply.plain();
        self.stage = match self.stage {
            Stage::Info => {
                self.report.info = match reply {
                    Value::Error(error) => return Err(String::from_utf8_lossy(error).into_owned()),
                    other => text(other).ok_or("the reply to INFO is not a text")?,
                };
                match (self.report.kind(), self.report.in_cluster()) {
                    (Kind::Sentinel, _) => Stage::Masters,
                    (Kind::Server, true) => Stage::ClusterNodes,
                    (Kind::Server, false) => Stage::Done,
                }
            }
            Stage::ClusterNodes => {
                self.report.cluster_nodes =
                    text(reply).filter(|_| !reply.is_error()).unwrap_or_default();
                Stage::Done
            }
            Stage::Masters => {
                self.report.masters = tables(reply)
                    .into_iter()
                    .filter(|master| field(master, "name").is_some())
                    .map(|master| Watched { master, ..Watched::default() })
                    .collect();
                self.master_at(0)
            }
            Stage::Replicas(at) => {
                if let Some(watched) = self.report.masters.get_mut(at) {
                    watched.replicas = tables(reply);
                }
                Stage::Sentinels(at)
            }
            Stage::Sentinels(at) => {
                if let Some(watched) = self.report.masters.get_mut(at) {
                    watched.sentinels = tables(reply);
                }
                self.master_at(at + 1)
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    /// The finished report.
    pub fn report(self) -> Report {
        self.report
    }

    fn master_at(&self, at: usize) -> Stage {
        if at < self.report.masters.len() { Stage::Replicas(at) } else { Stage::Done }
    }
}

fn text(value: &Value) -> Option<String> {
    value.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Parses an array of tables, each of which is a map or a flat array of fields and values.
fn tables(reply: &Value) -> Vec<Vec<(String, String)>> {
    let table = |value: &Value| -> Vec<(String, String)> {
        value.pairs().into_iter().filter_map(|(k, v)| Some((text(k)?, text(v)?))).collect()
    };
    reply.items().unwrap_or_default().iter().map(|value| table(value.plain())).collect()
}
