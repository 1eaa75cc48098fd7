//! `limpid shard` in a shell: which node has each key, and which keys move when nodes join or
//! leave.

use crate::sharding::tool::{Request, USAGE};

use super::super::os::Os;

/// The maximum number of generated keys; the World waits for the whole computation.
const MAX_KEYS: u64 = 100_000;

/// The program `limpid`, which has only the command `shard` in a World.
pub(super) async fn limpid(os: Os) -> i32 {
    let Some(("shard", args)) = os.args.split_first().map(|(name, args)| (name.as_str(), args))
    else {
        return os.fail("the command here is 'shard'; see 'limpid shard --help'").await;
    };
    match shard(&os, args).await {
        Ok(text) => {
            os.print(text);
            0
        }
        Err(error) => os.fail(format!("shard: {error}")).await,
    }
}

async fn shard(os: &Os, args: &[String]) -> Result<String, String> {
    let mut request = Request::parse(args.iter().cloned())?;
    if request.help {
        return Ok(USAGE.to_owned());
    }
    if request.count() > MAX_KEYS {
        return Err(format!("--count {}: at most {MAX_KEYS} keys are made here", request.count()));
    }
    for file in core::mem::take(&mut request.files) {
        let keys = os.input(&file).await.map_err(|e| format!("cannot read '{file}': {e}"))?;
        request.add_keys(&keys);
    }
    let plot = request.plot.clone();
    let report = request.run()?;
    if let (Some(path), Some(svg)) = (plot, report.svg) {
        let saved = os.save(&path, svg.into_bytes()).await;
        saved.map_err(|e| format!("cannot write '{path}': {e}"))?;
    }
    Ok(report.text)
}
