//! Evaluation of `[[ ]]`.

use core::cmp::Ordering;

use super::super::syntax::{Comparison, Condition};
use super::super::tools;
use super::*;

impl Shell {
    /// Sets the status to 0 if a condition is true, to 1 if it is false, and to 2 if it is invalid.
    pub(super) async fn run_condition(&mut self, os: &Os, condition: &Condition) -> Flow {
        let (status, error) = match self.holds(os, condition).await {
            Ok(holds) => (i32::from(!holds), None),
            Err(error) => (2, Some(error)),
        };
        if let Some(error) = error {
            self.say(os, &format!("[[: {error}")).await;
        }
        self.status = status;
        Flow::Next
    }

    fn holds<'a>(
        &'a mut self,
        os: &'a Os,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            Ok(match condition {
                Condition::Not(inner) => !self.holds(os, inner).await?,
                Condition::And(left, right) => {
                    self.holds(os, left).await? && self.holds(os, right).await?
                }
                Condition::Or(left, right) => {
                    self.holds(os, left).await? || self.holds(os, right).await?
                }
                Condition::One(op, word) => {
                    let text = self.expand_one(os, word).await?;
                    if op == "-v" {
                        return Ok(self.var(&text).is_some());
                    }
                    tools::holds(os, &[op.clone(), text]).await?
                }
                Condition::Two(left, op, right) => {
                    let left = self.expand_one(os, left).await?;
                    match op {
                        Comparison::Like | Comparison::Unlike => {
                            let pattern = self.expand_pattern(os, right).await?;
                            let like = crate::lab::shell::expand::matches(&pattern, &left);
                            like == (*op == Comparison::Like)
                        }
                        Comparison::Regex => {
                            let pattern = self.expand_one(os, right).await?;
                            tools::regex_finds(&pattern, &left)?
                        }
                        Comparison::Before | Comparison::After => {
                            let right = self.expand_one(os, right).await?;
                            let wanted = match op {
                                Comparison::Before => Ordering::Less,
                                _ => Ordering::Greater,
                            };
                            left.cmp(&right) == wanted
                        }
                        Comparison::Number(op) => {
                            let right = self.expand_one(os, right).await?;
                            let left = crate::lab::shell::arith::eval(&left, self)?;
                            let right = crate::lab::shell::arith::eval(&right, self)?;
                            match op.as_str() {
                                "-eq" => left == right,
                                "-ne" => left != right,
                                "-lt" => left < right,
                                "-le" => left <= right,
                                "-gt" => left > right,
                                _ => left >= right,
                            }
                        }
                    }
                }
            })
        })
    }
}
