//! Compound commands: groups, conditions, loops, `case`, functions.

use super::*;

impl Shell {
    pub(in crate::lab::shell) async fn run_compound(
        &mut self,
        os: &Os,
        command: &Command,
        text: &str,
    ) -> Flow {
        match command {
            Command::Simple { .. } => Flow::Next,
            Command::Group(list) => self.run_list(os, list).await,
            Command::Subshell(_) => {
                os.flush().await;
                let text = text.trim();
                let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
                let inner = inner.unwrap_or(text);
                let group = self.group(None);
                let command = Launch { group, ..self.subshell(inner) };
                match os.spawn(command).await {
                    Ok((child, pid)) => {
                        self.wait_foreground(os, vec![(child, pid, None)], text).await;
                    }
                    Err(error) => self.report_spawn_error(os, None, "sh", &error).await,
                }
                Flow::Next
            }
            Command::If { arms, otherwise } => {
                let strict = core::mem::take(&mut self.stop_at_error);
                for (test, body) in arms {
                    let flow = self.run_list(os, test).await;
                    if flow != Flow::Next {
                        self.stop_at_error = strict;
                        return flow;
                    }
                    if self.status == 0 {
                        self.stop_at_error = strict;
                        return self.run_list(os, body).await;
                    }
                }
                self.stop_at_error = strict;
                self.status = 0;
                match otherwise {
                    Some(body) => self.run_list(os, body).await,
                    None => Flow::Next,
                }
            }
            Command::While { until, test, body } => {
                let mut status = 0;
                loop {
                    if os.tick().await {
                        return self.interrupted(os).await;
                    }
                    let strict = core::mem::take(&mut self.stop_at_error);
                    let flow = self.run_list(os, test).await;
                    self.stop_at_error = strict;
                    if flow != Flow::Next {
                        return flow;
                    }
                    if (self.status == 0) == *until {
                        self.status = status;
                        return Flow::Next;
                    }
                    let flow = self.run_list(os, body).await;
                    status = self.status;
                    if let Some(flow) = after_body(flow) {
                        return flow;
                    }
                }
            }
            Command::For { var, words, body } => {
                let values = match words {
                    None => self.params.clone(),
                    Some(words) => match self.expand_all(os, words).await {
                        Ok(values) => values,
                        Err(error) => return self.give_up(os, &error).await,
                    },
                };
                self.status = 0;
                for value in values {
                    if os.tick().await {
                        return self.interrupted(os).await;
                    }
                    self.set(var, &value);
                    let flow = self.run_list(os, body).await;
                    if let Some(flow) = after_body(flow) {
                        return flow;
                    }
                }
                Flow::Next
            }
            Command::Case { word, arms } => {
                let text = match self.expand_one(os, word).await {
                    Ok(text) => text,
                    Err(error) => return self.give_up(os, &error).await,
                };
                self.status = 0;
                for (patterns, body) in arms {
                    for pattern in patterns {
                        let pattern = match self.expand_pattern(os, pattern).await {
                            Ok(pattern) => pattern,
                            Err(error) => return self.give_up(os, &error).await,
                        };
                        if crate::lab::shell::expand::matches(&pattern, &text) {
                            return self.run_list(os, body).await;
                        }
                    }
                }
                Flow::Next
            }
            Command::Condition(condition) => self.run_condition(os, condition).await,
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                self.status = 0;
                Flow::Next
            }
        }
    }
}

/// What a loop does after its body: continue if `None`, or leave with this flow.
fn after_body(flow: Flow) -> Option<Flow> {
    match flow {
        Flow::Next | Flow::Continue(0 | 1) => None,
        Flow::Continue(n) => Some(Flow::Continue(n - 1)),
        Flow::Break(0 | 1) => Some(Flow::Next),
        Flow::Break(u32::MAX) => Some(Flow::Break(u32::MAX)),
        Flow::Break(n) => Some(Flow::Break(n - 1)),
        flow => Some(flow),
    }
}
