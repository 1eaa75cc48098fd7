//! Symbolic links: `ln` and `readlink`.

use crate::machine::DiskOp;

use super::super::os::Os;
use super::{absolute, base, join, parse};

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
            .fail("the option -r is not supported here; write the path relative to the link")
            .await;
    }
    let (targets, place) = match &parsed.operands[..] {
        [] => return os.fail("missing file operand").await,
        [one] => (core::slice::from_ref(one), "."),
        [targets @ .., place] => (targets, place.as_str()),
    };
    // With -n, a link to a directory is treated as a file.
    let is_link = os.stat_link(place).await.is_ok_and(|stat| stat.link);
    let into = os.is_dir(place).await && !(parsed.has('n') && is_link);
    if targets.len() > 1 && !into {
        return os.fail(format!("target '{place}' is not a directory")).await;
    }
    let mut status = 0;
    for target in targets {
        let path = if into { join(place, base(target)) } else { place.to_owned() };
        if parsed.has('f') && os.stat_link(&path).await.is_ok_and(|stat| !stat.dir) {
            // If it cannot be removed, creating the link fails below, with an error.
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
            // As readlink does, without an error message.
            None => status = 1,
        }
    }
    status
}

/// Resolves all symbolic links of a path. `None` if they form a loop, if the directory does not
/// exist, or if the file does not exist although it `must_exist`.
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
