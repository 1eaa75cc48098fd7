//! Programs about files and directories.

use core::future::Future;
use core::pin::Pin;

use crate::machine::{Command, DiskError, DiskErrorKind, DiskOp, FileStat, Stdio};
use crate::time::{Date, Wall};

use super::super::edit::width;
use super::super::expand::matches;
use super::super::os::Os;
use super::{absolute, base, human, join, parse, path_error};

/// A future on the heap, for walks through directories.
type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) async fn pwd(os: Os) -> i32 {
    os.println(absolute(&os, "."));
    0
}

pub(super) async fn basename(os: Os) -> i32 {
    let Some(path) = os.args.first() else { return os.fail("missing operand").await };
    let name = base(path);
    let suffix = os.args.get(1).map_or("", String::as_str);
    os.println(name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name));
    0
}

pub(super) async fn dirname(os: Os) -> i32 {
    let Some(path) = os.args.first() else { return os.fail("missing operand").await };
    os.println(match path.trim_end_matches('/').rsplit_once('/') {
        None => ".",
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
    });
    0
}

// --- ls ---------------------------------------------------------------------------------------

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
        // A link that leads nowhere is shown all the same.
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

/// Shows names in a directory; if that is empty, names that were given.
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

// --- making and removing ------------------------------------------------------------------------

pub(super) async fn mkdir(os: Os) -> i32 {
    let parsed = match parse(&os, "pv", "m").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if parsed.operands.is_empty() {
        return os.fail("missing operand").await;
    }
    let mut status = 0;
    for path in &parsed.operands {
        let exists = os.exists(path).await;
        if exists && parsed.has('p') && os.is_dir(path).await {
            continue;
        }
        if exists {
            status = path_error(&os, "cannot create directory", path, "File exists").await;
            continue;
        }
        let full = absolute(&os, path);
        let parent =
            full.rsplit_once('/').map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir });
        if !parsed.has('p') && !os.is_dir(parent).await {
            let error = "No such file or directory";
            status = path_error(&os, "cannot create directory", path, error).await;
            continue;
        }
        let mut missing = Vec::new();
        if parsed.has('v') {
            for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
                let part = &path[..at];
                if !part.is_empty() && !os.exists(part).await {
                    missing.push(part.to_owned());
                }
            }
        }
        match os.make_dir(path).await {
            Ok(()) => {
                for dir in missing {
                    os.println(format!("mkdir: created directory '{dir}'"));
                }
            }
            Err(error) => status = path_error(&os, "cannot create directory", path, error).await,
        }
    }
    status
}

pub(super) async fn rmdir(os: Os) -> i32 {
    let mut status = 0;
    for path in os.args.iter().filter(|path| !path.starts_with('-')) {
        if let Err(error) = os.do_disk(DiskOp::RemoveDir { path: path.clone() }).await {
            status = path_error(&os, "failed to remove", path, error).await;
        }
    }
    status
}

pub(super) async fn rm(os: Os) -> i32 {
    let parsed = match parse(&os, "rRfvi", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let (deep, force) = (parsed.has('r') || parsed.has('R'), parsed.has('f'));
    if parsed.operands.is_empty() && !force {
        return os.fail("missing operand").await;
    }
    let mut status = 0;
    for path in &parsed.operands {
        if absolute(&os, path) == "/" {
            status = os.fail("it is dangerous to operate recursively on '/'").await;
            continue;
        }
        match os.stat_link(path).await {
            Ok(stat) if stat.dir && !deep => {
                status = path_error(&os, "cannot remove", path, "Is a directory").await;
            }
            Ok(stat) => {
                if let Err(error) = remove(&os, path, stat.dir).await {
                    status = path_error(&os, "cannot remove", path, error).await;
                }
            }
            Err(error) if force && error.kind == DiskErrorKind::NotFound => {}
            Err(error) => status = path_error(&os, "cannot remove", path, error).await,
        }
    }
    status
}

fn remove<'a>(os: &'a Os, path: &'a str, dir: bool) -> Later<'a, Result<(), DiskError>> {
    Box::pin(async move {
        if !dir {
            return os.do_disk(DiskOp::Remove { path: path.into() }).await;
        }
        for name in os.list(path).await? {
            let inside = join(path, &name);
            let dir = os.stat_link(&inside).await?.dir;
            remove(os, &inside, dir).await?;
        }
        os.do_disk(DiskOp::RemoveDir { path: path.into() }).await
    })
}

pub(super) async fn touch(os: Os) -> i32 {
    let mut status = 0;
    for path in os.args.iter().filter(|path| !path.starts_with('-')) {
        let text = match os.load(path).await {
            Ok(text) => text,
            Err(error) if error.kind == DiskErrorKind::NotFound => Vec::new(),
            Err(_) => continue,
        };
        if let Err(error) = os.save(path, text).await {
            status = path_error(&os, "cannot touch", path, error).await;
        }
    }
    status
}

// --- copying and moving ----------------------------------------------------------------------------

pub(super) async fn cp(os: Os) -> i32 {
    let parsed = match parse(&os, "rRafpvi", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let deep = parsed.has('r') || parsed.has('R') || parsed.has('a');
    transfer(&os, &parsed.operands, |from, to| {
        let (os, verbose) = (os.clone(), parsed.has('v'));
        Box::pin(async move {
            let stat = os.stat(&from).await.map_err(|e| format!("cannot stat '{from}': {e}"))?;
            if stat.dir && !deep {
                return Err(format!("-r not specified; omitting directory '{from}'"));
            }
            if absolute(&os, &from) == absolute(&os, &to) {
                return Err(format!("'{from}' and '{to}' are the same file"));
            }
            if stat.dir
                && format!("{}/", absolute(&os, &to))
                    .starts_with(&format!("{}/", absolute(&os, &from)))
            {
                return Err(format!("cannot copy a directory, '{from}', into itself, '{to}'"));
            }
            if verbose {
                os.println(format!("'{from}' -> '{to}'"));
            }
            copy(&os, &from, &to, stat).await
        })
    })
    .await
}

fn copy<'a>(
    os: &'a Os,
    from: &'a str,
    to: &'a str,
    stat: FileStat,
) -> Later<'a, Result<(), String>> {
    Box::pin(async move {
        if stat.dir {
            let made = os.make_dir(to).await;
            made.map_err(|error| format!("cannot create directory '{to}': {error}"))?;
            for name in os.list(from).await.unwrap_or_default() {
                let (from, to) = (join(from, &name), join(to, &name));
                if let Ok(stat) = os.stat_link(&from).await {
                    copy(os, &from, &to, stat).await?;
                }
            }
            return Ok(());
        }
        if stat.link {
            let made = async {
                let target = os.read_link(from).await?;
                os.do_disk(DiskOp::MakeLink { target, path: to.into() }).await
            };
            let made = made.await;
            return made.map_err(|error| format!("cannot create symbolic link '{to}': {error}"));
        }
        let bytes = os.load(from).await;
        let bytes = bytes.map_err(|error| format!("cannot open '{from}': {error}"))?;
        let is_new = !os.exists(to).await;
        let saved = os.save(to, bytes).await;
        saved.map_err(|error| format!("cannot create regular file '{to}': {error}"))?;
        if is_new {
            // The copy is there; that its mode could not be set is no reason to say it is not.
            let _ = os.do_disk(DiskOp::SetMode { path: to.into(), mode: stat.mode }).await;
        }
        Ok(())
    })
}

pub(super) async fn mv(os: Os) -> i32 {
    let parsed = match parse(&os, "fivn", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    transfer(&os, &parsed.operands, |from, to| {
        let os = os.clone();
        Box::pin(async move {
            os.stat_link(&from).await.map_err(|error| format!("cannot stat '{from}': {error}"))?;
            let moved = os.do_disk(DiskOp::Rename { from: from.clone(), to: to.clone() }).await;
            moved.map_err(|error| format!("cannot move '{from}' to '{to}': {error}"))
        })
    })
    .await
}

/// Does something with each source and its target, as `cp` and `mv` take them.
async fn transfer(
    os: &Os,
    operands: &[String],
    act: impl Fn(String, String) -> Later<'static, Result<(), String>> + Send,
) -> i32 {
    let (sources, target) = match operands {
        [] => return os.fail("missing file operand").await,
        [one] => return os.fail(format!("missing destination file operand after '{one}'")).await,
        [sources @ .., target] => (sources, target),
    };
    let into = os.is_dir(target).await;
    if sources.len() > 1 && !into {
        return os.fail(format!("target '{target}' is not a directory")).await;
    }
    let mut status = 0;
    for source in sources {
        let to = if into { join(target, base(source)) } else { target.clone() };
        if let Err(error) = act(source.clone(), to).await {
            status = os.fail(error).await;
        }
        os.flush_if_full().await;
    }
    status
}

pub(super) async fn ln(os: Os) -> i32 {
    let parsed = match parse(&os, "sfnvr", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if !parsed.has('s') {
        return os.fail("hard links are not supported here; make a symbolic one with ln -s").await;
    }
    if parsed.has('r') {
        return os
            .fail("the option -r is not supported here; write the path as it shall stand")
            .await;
    }
    let (targets, place) = match &parsed.operands[..] {
        [] => return os.fail("missing file operand").await,
        [one] => (core::slice::from_ref(one), "."),
        [targets @ .., place] => (targets, place.as_str()),
    };
    // With -n a link to a directory is a name like others.
    let is_link = os.stat_link(place).await.is_ok_and(|stat| stat.link);
    let into = os.is_dir(place).await && !(parsed.has('n') && is_link);
    if targets.len() > 1 && !into {
        return os.fail(format!("target '{place}' is not a directory")).await;
    }
    let mut status = 0;
    for target in targets {
        let path = if into { join(place, base(target)) } else { place.to_owned() };
        if parsed.has('f') && os.stat_link(&path).await.is_ok_and(|stat| !stat.dir) {
            // If it cannot be removed, the link cannot be made, which is told below.
            let _ = os.do_disk(DiskOp::Remove { path: path.clone() }).await;
        }
        let made = DiskOp::MakeLink { target: target.clone(), path: path.clone() };
        match os.do_disk(made).await {
            Ok(()) if parsed.has('v') => os.println(format!("'{path}' -> '{target}'")),
            Ok(()) => {}
            Err(error) => {
                let what = format!("failed to create symbolic link '{path}': {error}");
                status = os.fail(what).await;
            }
        }
    }
    status
}

pub(super) async fn readlink(os: Os) -> i32 {
    let parsed = match parse(&os, "fenq", "").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    if parsed.operands.is_empty() {
        return os.fail("missing operand").await;
    }
    let mut status = 0;
    for path in &parsed.operands {
        let found = if parsed.has('f') || parsed.has('e') {
            real_path(&os, path, parsed.has('e')).await
        } else {
            os.read_link(path).await.ok()
        };
        match found {
            Some(text) => os.println(text),
            // As readlink: nothing is said.
            None => status = 1,
        }
    }
    status
}

/// The absolute path behind all symbolic links; none if they go round, or if nothing is there and
/// something `must_exist`. The directory has to be there in any case.
async fn real_path(os: &Os, path: &str, must_exist: bool) -> Option<String> {
    let mut left: Vec<String> = absolute(os, path).split('/').rev().map(str::to_owned).collect();
    let (mut real, mut links) = (String::new(), 0);
    while let Some(name) = left.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                real.truncate(real.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let next = format!("{real}/{name}");
        match os.read_link(&next).await {
            Ok(target) => {
                links += 1;
                if links > 40 {
                    return None;
                }
                if target.starts_with('/') {
                    real.clear();
                }
                left.extend(target.split('/').rev().map(str::to_owned));
            }
            Err(_) if os.exists(&next).await || (left.is_empty() && !must_exist) => real = next,
            Err(_) => return None,
        }
    }
    Some(if real.is_empty() { "/".into() } else { real })
}

pub(super) async fn chmod(os: Os) -> i32 {
    let args: Vec<String> = os.args.iter().filter(|arg| *arg != "-R").cloned().collect();
    let Some((mode, paths)) = args.split_first().filter(|(_, paths)| !paths.is_empty()) else {
        return os.fail("missing operand").await;
    };
    let mut status = 0;
    for path in paths {
        let stat = match os.stat(path).await {
            Ok(stat) => stat,
            Err(error) => {
                status = path_error(&os, "cannot access", path, error).await;
                continue;
            }
        };
        let Some(mode) = new_mode(mode, stat.mode) else {
            return os.fail(format!("invalid mode: '{mode}'; write it like +x, u+w or 755")).await;
        };
        if let Err(error) = os.do_disk(DiskOp::SetMode { path: path.clone(), mode }).await {
            status = path_error(&os, "changing permissions of", path, error).await;
        }
    }
    status
}

/// A mode as `chmod` takes it: `755`, `+x`, `u+rw,go-w`.
fn new_mode(text: &str, old: u16) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).map(|m| m & 0o777);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(at);
        let mut bits = 0;
        for c in rest.chars().skip(1) {
            bits |= match c {
                'r' => 0o444,
                'w' => 0o222,
                'x' | 'X' => 0o111,
                _ => return None,
            };
        }
        let mut mask = if who.is_empty() || who.contains('a') { 0o777 } else { 0 };
        for (c, part) in [('u', 0o700), ('g', 0o070), ('o', 0o007)] {
            if who.contains(c) {
                mask |= part;
            }
        }
        mode = match rest.as_bytes().first() {
            Some(b'+') => mode | bits & mask,
            Some(b'-') => mode & !(bits & mask),
            _ => mode & !mask | bits & mask,
        };
    }
    Some(mode)
}

pub(super) async fn chown(os: Os) -> i32 {
    let paths: Vec<&String> = os.args.iter().filter(|arg| !arg.starts_with('-')).skip(1).collect();
    for path in paths {
        if let Err(error) = os.stat(path).await {
            return path_error(&os, "cannot access", path, error).await;
        }
    }
    0
}

// --- looking ---------------------------------------------------------------------------------------

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
) -> Later<'a, Result<u64, DiskError>> {
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

fn branch<'a>(os: &'a Os, dir: &'a str, indent: String) -> Later<'a, (u64, u64)> {
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

// --- find ------------------------------------------------------------------------------------------

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

fn search<'a>(os: &'a Os, path: &'a str, depth: usize, wanted: &'a Finding) -> Later<'a, ()> {
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
        Err(error) => os.complain(format!("'{program}': {error}")).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_chmod_reads_them() {
        assert_eq!(new_mode("755", 0), Some(0o755));
        assert_eq!(new_mode("+x", 0o644), Some(0o755));
        assert_eq!(new_mode("u+w,go-r", 0o444), Some(0o600));
        assert_eq!(new_mode("a=r", 0o777), Some(0o444));
        assert_eq!(new_mode("u+z", 0), None);
    }
}
