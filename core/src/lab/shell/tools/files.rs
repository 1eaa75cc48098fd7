//! Programs that create, copy, move, remove and change files and directories.

use crate::machine::{DiskError, DiskErrorKind, DiskOp, FileStat};

use super::super::os::Os;
use super::{BoxFuture, absolute, base, join, parse, path_error};

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

pub(super) fn remove<'a>(
    os: &'a Os,
    path: &'a str,
    dir: bool,
) -> BoxFuture<'a, Result<(), DiskError>> {
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
) -> BoxFuture<'a, Result<(), String>> {
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
            // The copy exists even if its mode cannot be set, so that error is ignored.
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

/// Applies an operation to each source and its target, for `cp` and `mv`.
async fn transfer(
    os: &Os,
    operands: &[String],
    act: impl Fn(String, String) -> BoxFuture<'static, Result<(), String>> + Send,
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

/// Parses a mode of `chmod`: `755`, `+x`, `u+rw,go-w`.
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
