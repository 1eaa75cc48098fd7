//! `cargo xtask course`: generates the table in `docs/course.md` of which lesson teaches what, from
//! the lessons' `covers` and from `docs/curriculum.yaml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use saphyr::Yaml;

use super::{LessonFile, chapters, list, parse, text};
use crate::web::{self, Site};
use crate::workspace::Workspace;

const CURRICULUM: &str = "docs/curriculum.yaml";
const TABLE: &str = "docs/course.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if the table is not what the lessons say.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Writes the table, or checks it. Fails if no step covers a topic of the curriculum.
pub(crate) fn table(ws: &Workspace, args: &Args) -> Result<()> {
    let site = web::files(&ws.root().join("static"))?;
    let curriculum = std::fs::read_to_string(ws.root().join(CURRICULUM)).context(CURRICULUM)?;
    let curriculum = Curriculum::read(&curriculum).context(CURRICULUM)?;
    let covered = covered(&site)?;
    let new = drawn(&curriculum, &covered, &site)?;
    let path = ws.root().join(TABLE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if args.check {
        ensure!(new == old, "{TABLE} is stale: run `cargo xtask course`");
    } else if new != old {
        std::fs::write(&path, new)?;
    }
    let missing: Vec<&str> = curriculum.ids().filter(|id| !covered.contains_key(*id)).collect();
    if !missing.is_empty() {
        bail!("no step of a lesson covers {} of {CURRICULUM}", missing.join(", "));
    }
    if let Some(other) = covered.keys().find(|id| !curriculum.ids().any(|known| known == *id)) {
        bail!("a lesson covers '{other}', which {CURRICULUM} does not name");
    }
    Ok(())
}

/// Groups of topics, each topic with its id and description.
struct Curriculum(Vec<(String, Vec<(String, String)>)>);

impl Curriculum {
    fn read(file: &str) -> Result<Self> {
        let mut groups = Vec::new();
        for group in parse(file)?.as_sequence().context("it is no list of groups")? {
            let pieces = group.as_mapping_get("pieces").and_then(Yaml::as_mapping);
            let pieces = pieces.context("a group has no 'pieces'")?.iter();
            let words = |(id, what): (&Yaml<'_>, &Yaml<'_>)| {
                Some((id.as_str()?.to_owned(), what.as_str()?.to_owned()))
            };
            let pieces = pieces.map(words).collect::<Option<_>>();
            groups.push((text(group, "group")?, pieces.context("a piece is no text")?));
        }
        Ok(Self(groups))
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, pieces)| pieces.iter().map(|(id, _)| id.as_str()))
    }
}

/// The steps that cover each topic: the lesson's id and the step's number.
type Covered = BTreeMap<String, Vec<(String, usize)>>;

fn covered(site: &Site) -> Result<Covered> {
    let mut covered = Covered::new();
    for id in chapters(site)?.iter().flat_map(|chapter| &chapter.lessons) {
        let lesson = LessonFile::read(site, "en", id)?;
        let mut claimed = list(&lesson.front, "covers");
        for (place, step) in lesson.steps.iter().enumerate() {
            let block = parse(&step.block).with_context(|| format!("{id}, step {}", step.id))?;
            for piece in list(&block, "covers") {
                claimed.retain(|claimed| *claimed != piece);
                covered.entry(piece).or_default().push((id.clone(), place));
            }
        }
        ensure!(
            claimed.is_empty(),
            "the lesson '{id}' covers {}, but none of its steps does: add 'covers' to a step",
            claimed.join(", ")
        );
    }
    Ok(covered)
}

fn drawn(curriculum: &Curriculum, covered: &Covered, site: &Site) -> Result<String> {
    let mut out = String::from(
        "# What the course covers\n\nMade by `cargo xtask course` from `docs/curriculum.yaml` and from \
         `covers` in the lessons' files; do not edit it.\n",
    );
    for (group, pieces) in &curriculum.0 {
        write!(out, "\n## {group}\n\n| piece | what | lesson and step |\n|---|---|---|\n")?;
        for (id, what) in pieces {
            let mut where_taught = Vec::new();
            for (lesson, place) in covered.get(id).into_iter().flatten() {
                let file = LessonFile::read(site, "en", lesson)?;
                let (title, step) = (text(&file.front, "title")?, &file.steps[*place].title);
                where_taught.push(format!(
                    "[{title}](../static/lessons/en/{lesson}.md), {}: {step}",
                    place + 1
                ));
            }
            writeln!(out, "| {id} | {what} | {} |", where_taught.join("<br>"))?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curriculum_is_read_in_its_order() {
        let text = "- group: G\n  pieces:\n    B1: one thing\n    A1: another\n";
        let curriculum = Curriculum::read(text).expect("it is read");
        assert_eq!(curriculum.ids().collect::<Vec<_>>(), ["B1", "A1"]);
        assert!(Curriculum::read("- group: G\n").is_err());
    }
}
