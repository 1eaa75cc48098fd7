//! Job control: background jobs, and waiting for foreground processes.

use super::*;

/// A pipeline that runs in the background or is suspended.
#[derive(Clone, Debug)]
pub(in crate::lab::shell) struct Job {
    pub(in crate::lab::shell) number: usize,
    pub(in crate::lab::shell) text: String,
    /// Its processes: child, process ID, and exit status once it has ended.
    pub(in crate::lab::shell) children: Vec<(ChildId, u32, Option<i32>)>,
    pub(in crate::lab::shell) suspended: bool,
}

impl Shell {
    pub(in crate::lab::shell) async fn run_background(&mut self, os: &Os, item: &Item) {
        os.flush().await;
        let simple = item.rest.is_empty() && item.first.stages.len() == 1;
        let stage = item.first.stages.first();
        let spawned = match stage.filter(|_| simple) {
            // `redis-server &` runs that program directly, without a subshell.
            Some(stage) if matches!(stage.command, Command::Simple { .. }) => {
                self.spawn_stage(os, stage, Stdio::Null, Stdio::Inherit, Group::New).await
            }
            _ => {
                let stdin = Stdio::Null;
                let command = Launch { stdin, group: Group::New, ..self.subshell(&item.text) };
                let name = command.program.clone();
                os.spawn(command).await.map_err(|error| (name, error))
            }
        };
        match spawned {
            Ok((child, pid)) => {
                self.last_background = Some(pid);
                self.status = 0;
                let number = self.add_job(&item.text, vec![(child, pid, None)], false);
                if self.interactive {
                    os.println(format!("[{number}] {pid}"));
                    os.flush().await;
                }
            }
            Err((name, error)) => self.report_spawn_error(os, stage, &name, &error).await,
        }
    }

    pub(in crate::lab::shell) fn add_job(
        &mut self,
        text: &str,
        children: Vec<(ChildId, u32, Option<i32>)>,
        suspended: bool,
    ) -> usize {
        let number = self.jobs.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        self.jobs.push(Job { number, text: text.into(), children, suspended });
        number
    }

    /// Waits until all of these processes have ended, or one was suspended.
    pub(in crate::lab::shell) async fn wait_foreground(
        &mut self,
        os: &Os,
        mut children: Vec<(ChildId, u32, Option<i32>)>,
        text: &str,
    ) {
        let mut suspended = false;
        for (child, _, ended) in &mut children {
            while ended.is_none() && !suspended {
                match os.wait(Some(*child)).await {
                    Some((_, ChildChange::Ended(status))) => *ended = Some(status.code()),
                    Some((_, ChildChange::Suspended)) => suspended = self.interactive,
                    Some((_, ChildChange::Continued)) => {}
                    None => *ended = Some(127),
                }
            }
        }
        if let Some((.., Some(status))) = children.last() {
            self.status = *status;
        }
        if self.interactive {
            os.set_foreground(None).await;
            os.set_mode(TerminalMode::Cooked).await;
            if suspended {
                self.status = 148;
                let number = self.add_job(text, children, true);
                os.print(format!("\n[{number}]+  Stopped                 {text}\n"));
            } else if self.status == 130 {
                self.child_interrupted = true;
                os.print("\n");
            } else if self.status == 137 {
                os.print("Killed\n");
            }
            os.flush().await;
        }
    }

    /// Updates the states of jobs. Returns the lines to print about them.
    pub(in crate::lab::shell) async fn update_jobs(&mut self, os: &Os) -> Vec<String> {
        while let Some((child, change)) = os.poll_child().await {
            self.note_change(child, change);
        }
        let mut lines = Vec::new();
        self.jobs.retain(|job| {
            let Some(status) = job.status() else { return true };
            let state = match status {
                0 => "Done".to_owned(),
                137 => "Killed".to_owned(),
                143 => "Terminated".to_owned(),
                130 => "Interrupt".to_owned(),
                status => format!("Exit {status}"),
            };
            lines.push(format!("[{}]+  {state:<24}{}", job.number, job.text));
            false
        });
        lines
    }

    pub(in crate::lab::shell) fn note_change(&mut self, child: ChildId, change: ChildChange) {
        for job in &mut self.jobs {
            for known in &mut job.children {
                if known.0 == child {
                    match change {
                        ChildChange::Ended(status) => known.2 = Some(status.code()),
                        ChildChange::Suspended => job.suspended = true,
                        ChildChange::Continued => job.suspended = false,
                    }
                }
            }
        }
    }
}

impl Job {
    /// The exit status of its last process, once all have ended.
    pub(in crate::lab::shell) fn status(&self) -> Option<i32> {
        let ended = self.children.iter().all(|(.., status)| status.is_some());
        self.children.last().and_then(|(.., status)| *status).filter(|_| ended)
    }
}
