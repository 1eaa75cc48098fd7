//! Programs that list names and sizes: `ls`, `stat`, `file`, `du`, `tree`.

use crate::machine::{DiskError, FileStat};
use crate::time::{Date, Wall};

use super::super::edit::width;
use super::super::os::Os;
use super::{BoxFuture, human, join, parse, path_error};

pub(super) async fn ls(os: Os) -> i32 {
    let mut parsed = match parse(&os, "aAlhh1trRdSF", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if parsed.operands.is_empty() {
        parsed.operands.push(".".into());
    }
    let (mut files, mut dirs, mut status) = (Vec::new(), Vec::new(), 0);
    for path in &parsed.operands {
        // A dangling link is listed, too.
        let stat = match os.stat(path).await {
            Ok(stat) if stat.dir && !parsed.has('l') && !parsed.has('d') => Ok(stat),
            _ => os.stat_link(path).await,
        };
        match stat {
            Ok(stat) if stat.dir && !parsed.has('d') => dirs.push(path.clone()),
            Ok(stat) => files.push((path.clone(), stat)),
            Err(error) => status = path_error(&os, "cannot access", path, error).await * 2,
        }
    }
    let show_names = parsed.operands.len() > 1 || parsed.has('R');
    let mut first = files.is_empty();
    if !files.is_empty() {
        show(&os, &parsed, "", files).await;
    }
    let mut at = 0;
    while at < dirs.len() {
        let dir = dirs[at].clone();
        at += 1;
        if !first {
            os.print("\n");
        }
        first = false;
        if show_names {
            os.println(format!("{dir}:"));
        }
        let names = match os.list(&dir).await {
            Ok(names) => names,
            Err(error) => {
                status = path_error(&os, "cannot open directory", &dir, error).await;
                continue;
            }
        };
        let mut entries = Vec::new();
        if parsed.has('a') {
            for name in [".", ".."] {
                if let Ok(stat) = os.stat(&join(&dir, name)).await {
                    entries.push((name.to_owned(), stat));
                }
            }
        }
        for name in names {
            if name.starts_with('.') && !parsed.has('a') && !parsed.has('A') {
                continue;
            }
            if let Ok(stat) = os.stat_link(&join(&dir, &name)).await {
                entries.push((name, stat));
            }
        }
        if parsed.has('R') {
            let inside = entries.iter().filter(|(name, stat)| stat.dir && !name.starts_with('.'));
            let inside: Vec<String> = inside.map(|(name, _)| join(&dir, name)).collect();
            dirs.splice(at..at, inside);
        }
        if parsed.has('l') {
            let blocks: u64 = entries.iter().map(|(_, stat)| stat.len.div_ceil(4096) * 4).sum();
            let blocks = if parsed.has('h') { human(blocks * 1024) } else { blocks.to_string() };
            os.println(format!("total {blocks}"));
        }
        show(&os, &parsed, &dir, entries).await;
    }
    status
}

/// Lists entries of a directory, or the operands if `dir` is empty.
async fn show(os: &Os, parsed: &super::Parsed, dir: &str, mut entries: Vec<(String, FileStat)>) {
    if parsed.has('t') {
        entries.sort_by(|a, b| b.1.modified.cmp(&a.1.modified).then_with(|| a.0.cmp(&b.0)));
    }
    if parsed.has('S') {
        entries.sort_by(|a, b| b.1.len.cmp(&a.1.len).then_with(|| a.0.cmp(&b.0)));
    }
    if parsed.has('r') {
        entries.reverse();
    }
    let colour = |name: &str, stat: &FileStat| {
        let mark = match stat {
            _ if !parsed.has('F') => "",
            stat if stat.link => "@",
            stat if stat.dir => "/",
            stat if stat.mode & 0o111 != 0 => "*",
            _ => "",
        };
        if !os.facts.stdout_is_terminal {
            return format!("{name}{mark}");
        }
        match stat {
            stat if stat.link => format!("\x1b[36;1m{name}\x1b[0m{mark}"),
            stat if stat.dir => format!("\x1b[34;1m{name}\x1b[0m{mark}"),
            stat if stat.mode & 0o111 != 0 => format!("\x1b[32;1m{name}\x1b[0m{mark}"),
            _ => format!("{name}{mark}"),
        }
    };
    if parsed.has('l') {
        let size = |stat: &FileStat| {
            if parsed.has('h') { human(stat.len) } else { stat.len.to_string() }
        };
        let wide = entries.iter().map(|(_, stat)| size(stat).len()).max().unwrap_or(0);
        let (_, now) = os.now().await;
        for (name, stat) in &entries {
            let leads = match stat.link {
                true => {
                    let path = if dir.is_empty() { name.clone() } else { join(dir, name) };
                    format!(" -> {}", os.read_link(&path).await.unwrap_or_default())
                }
                false => String::new(),
            };
            os.println(format!(
                "{} {} root root {:>wide$} {} {}{leads}",
                mode_text(stat),
                if stat.dir { 2 } else { 1 },
                size(stat),
                date_of(stat.modified, now),
                colour(name, stat),
            ));
        }
        return;
    }
    if parsed.has('1') || !os.facts.stdout_is_terminal {
        for (name, stat) in &entries {
            os.println(colour(name, stat));
        }
        return;
    }
    let (columns, _) = os.size().await;
    let cells: Vec<usize> = entries.iter().map(|(name, _)| width(name.chars())).collect();
    let one_row: usize = cells.iter().map(|cell| cell + 2).sum();
    let cell = cells.iter().max().map_or(1, |cell| cell + 2);
    let per_row = if one_row <= columns { entries.len() } else { (columns / cell).max(1) };
    let rows = entries.len().div_ceil(per_row.max(1));
    for row in 0..rows {
        let mut line = String::new();
        let mut pad = 0;
        for column in 0..per_row {
            let at = column * rows + row;
            let Some((name, stat)) = entries.get(at) else { break };
            line.push_str(&" ".repeat(pad));
            line.push_str(&colour(name, stat));
            pad = if one_row <= columns { 2 } else { cell - cells[at] };
        }
        os.println(line);
    }
}

fn mode_text(stat: &FileStat) -> String {
    let bit = |n: u16, c: char| if stat.mode & (1 << n) != 0 { c } else { '-' };
    let bits = (0..9).rev().map(|n| bit(n, ['x', 'w', 'r'][usize::from(n % 3)]));
    let kind = match stat {
        stat if stat.link => 'l',
        stat if stat.dir => 'd',
        _ => '-',
    };
    core::iter::once(kind).chain(bits).collect()
}

fn date_of(at: Wall, now: Wall) -> String {
    let date = Date::of(at);
    let half_a_year = 182 * 86_400 * 1_000_000;
    if now.0.saturating_sub(at.0) > half_a_year {
        return format!("{} {:2}  {}", date.month_name(), date.day, date.year);
    }
    format!("{} {:2} {:02}:{:02}", date.month_name(), date.day, date.hour, date.minute)
}

pub(super) async fn stat(os: Os) -> i32 {
    let mut status = 0;
    for path in os.args.iter() {
        match os.stat_link(path).await {
            Ok(stat) => {
                let (kind, leads) = match stat {
                    stat if stat.link => {
                        let target = os.read_link(path).await.unwrap_or_default();
                        ("symbolic link", format!(" -> {target}"))
                    }
                    stat if stat.dir => ("directory", String::new()),
                    _ => ("regular file", String::new()),
                };
                let date = Date::of(stat.modified);
                os.println(format!("  File: {path}{leads}"));
                os.println(format!("  Size: {:<10}\t{kind}", stat.len));
                os.println(format!("Access: ({:04o}/{})", stat.mode, mode_text(&stat)));
                os.println(format!(
                    "Modify: {}-{:02}-{:02} {:02}:{:02}:{:02}",
                    date.year, date.month, date.day, date.hour, date.minute, date.second
                ));
            }
            Err(error) => status = path_error(&os, "cannot stat", path, error).await,
        }
    }
    status
}

pub(super) async fn file(os: Os) -> i32 {
    for path in os.args.iter() {
        if let Ok(target) = os.read_link(path).await {
            os.println(format!("{path}: symbolic link to {target}"));
            continue;
        }
        let kind = match os.load(path).await {
            Err(_) if os.is_dir(path).await => "directory",
            Err(_) => "cannot open (No such file or directory)",
            Ok(bytes) if bytes.is_empty() => "empty",
            Ok(bytes) if bytes.starts_with(b"\x7fELF") => "ELF 64-bit LSB executable",
            Ok(bytes) if bytes.starts_with(b"#!") => "POSIX shell script, ASCII text executable",
            Ok(bytes) if bytes.starts_with(b"REDIS") => "Redis RDB file",
            Ok(bytes) if core::str::from_utf8(&bytes).is_ok() => "ASCII text",
            Ok(_) => "data",
        };
        os.println(format!("{path}: {kind}"));
    }
    0
}

pub(super) async fn du(os: Os) -> i32 {
    let mut parsed = match parse(&os, "shac", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if parsed.operands.is_empty() {
        parsed.operands.push(".".into());
    }
    let mut status = 0;
    for path in &parsed.operands {
        match measure(&os, path, parsed.has('s'), parsed.has('h')).await {
            Ok(size) => {
                if parsed.has('s') || !os.is_dir(path).await {
                    os.println(format!("{}\t{path}", blocks(size, parsed.has('h'))));
                }
            }
            Err(error) => status = path_error(&os, "cannot access", path, error).await,
        }
    }
    status
}

fn blocks(size: u64, human_size: bool) -> String {
    if human_size { human(size) } else { (size / 1024).to_string() }
}

fn measure<'a>(
    os: &'a Os,
    path: &'a str,
    silent: bool,
    human_size: bool,
) -> BoxFuture<'a, Result<u64, DiskError>> {
    Box::pin(async move {
        let stat = os.stat_link(path).await?;
        let mut size = stat.len.div_ceil(4096) * 4096;
        if stat.dir {
            for name in os.list(path).await? {
                size += measure(os, &join(path, &name), silent, human_size).await?;
            }
            if !silent {
                os.println(format!("{}\t{path}", blocks(size, human_size)));
            }
        }
        Ok(size)
    })
}

pub(super) async fn tree(os: Os) -> i32 {
    let root = os.args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or(".".into());
    if !os.is_dir(&root).await {
        os.println(format!("{root}  [error opening dir]\n\n0 directories, 0 files"));
        return 2;
    }
    os.println(&root);
    let (dirs, files) = branch(&os, &root, String::new()).await;
    let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let dirs = plural(dirs, "directory", "directories");
    os.println(format!("\n{dirs}, {}", plural(files, "file", "files")));
    0
}

fn branch<'a>(os: &'a Os, dir: &'a str, indent: String) -> BoxFuture<'a, (u64, u64)> {
    Box::pin(async move {
        let names = os.list(dir).await.unwrap_or_default();
        let names: Vec<String> = names.into_iter().filter(|name| !name.starts_with('.')).collect();
        let (mut dirs, mut files) = (0, 0);
        for (n, name) in names.iter().enumerate() {
            let last = n + 1 == names.len();
            let path = join(dir, name);
            let leads = os.read_link(&path).await.map(|target| format!(" -> {target}"));
            let leads = leads.unwrap_or_default();
            os.println(format!("{indent}{}{name}{leads}", if last { "└── " } else { "├── " }));
            if os.stat_link(&path).await.is_ok_and(|stat| stat.dir) {
                let deeper = format!("{indent}{}", if last { "    " } else { "│   " });
                let (more_dirs, more_files) = branch(os, &path, deeper).await;
                dirs += 1 + more_dirs;
                files += more_files;
            } else {
                files += 1;
            }
        }
        (dirs, files)
    })
}
