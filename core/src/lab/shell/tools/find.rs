//! `find`: searches directories recursively.

use crate::machine::{Command, Stdio};

use super::super::expand::matches;
use super::super::os::Os;
use super::files::remove;
use super::{BoxFuture, base, join, path_error};

#[derive(Default)]
struct Finding {
    name: Option<(String, bool)>,
    /// The letter of `-type`: `f`, `d` or `l`.
    kind: Option<char>,
    max_depth: Option<usize>,
    delete: bool,
    exec: Option<Vec<String>>,
}

pub(super) async fn find(os: Os) -> i32 {
    let mut roots = Vec::new();
    let mut wanted = Finding::default();
    let mut args = os.args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-name" | "-iname" => {
                let pattern = args.next().cloned().unwrap_or_default();
                wanted.name = Some((pattern, arg == "-iname"));
            }
            "-type" => match args.next().map(String::as_str) {
                Some("f") => wanted.kind = Some('f'),
                Some("d") => wanted.kind = Some('d'),
                Some("l") => wanted.kind = Some('l'),
                other => {
                    let kind = other.unwrap_or_default();
                    return os.fail(format!("unknown argument to -type: {kind}; f, d or l")).await;
                }
            },
            "-maxdepth" => wanted.max_depth = args.next().and_then(|depth| depth.parse().ok()),
            "-delete" => wanted.delete = true,
            "-print" => {}
            "-exec" => {
                let words = args.by_ref().take_while(|arg| *arg != ";" && *arg != "+");
                wanted.exec = Some(words.cloned().collect());
            }
            flag if flag.starts_with('-') => {
                return os.fail(format!("the test {flag} is not supported here")).await;
            }
            root => roots.push(root.to_owned()),
        }
    }
    if roots.is_empty() {
        roots.push(".".into());
    }
    let mut status = 0;
    for root in roots {
        if !os.exists(&root).await {
            status = path_error(&os, "", &root, "No such file or directory").await;
            continue;
        }
        search(&os, &root, 0, &wanted).await;
    }
    status
}

fn search<'a>(os: &'a Os, path: &'a str, depth: usize, wanted: &'a Finding) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let stat = os.stat_link(path).await;
        let dir = stat.as_ref().is_ok_and(|stat| stat.dir);
        let kind = match stat {
            Ok(stat) if stat.link => 'l',
            _ if dir => 'd',
            _ => 'f',
        };
        let name_fits = wanted.name.as_ref().is_none_or(|(pattern, fold)| {
            let name = base(path);
            if *fold {
                matches(&pattern.to_lowercase(), &name.to_lowercase())
            } else {
                matches(pattern, name)
            }
        });
        let fits = name_fits && wanted.kind.is_none_or(|wanted| wanted == kind);
        if fits && !wanted.delete {
            match &wanted.exec {
                None => os.println(path),
                Some(words) => run(os, words, path).await,
            }
        }
        if dir && wanted.max_depth.is_none_or(|most| depth < most) {
            for name in os.list(path).await.unwrap_or_default() {
                search(os, &join(path, &name), depth + 1, wanted).await;
            }
        }
        if fits && wanted.delete {
            let _ = remove(os, path, dir).await;
        }
        os.flush_if_full().await;
    })
}

async fn run(os: &Os, words: &[String], path: &str) {
    let words: Vec<String> = words.iter().map(|word| word.replace("{}", path)).collect();
    let Some((program, args)) = words.split_first() else { return };
    os.flush().await;
    let command = Command {
        args: args.to_vec(),
        env: os.env.to_vec(),
        stdin: Stdio::Inherit,
        stdout: Stdio::Inherit,
        stderr: Stdio::Inherit,
        group: crate::machine::Group::Same,
        ..Command::new(program, &[])
    };
    match os.spawn(command).await {
        Ok((child, _)) => {
            os.wait_end(child).await;
        }
        Err(error) => os.print_error(format!("'{program}': {error}")).await,
    }
}
