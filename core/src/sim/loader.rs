//! Looking up commands: names in `PATH`, executables, and scripts with a `#!` line.

use crate::machine::SpawnError;

use super::disk::{Disk, resolve};

/// The beginning of the file of a program that a World can run; the program's name and a line feed
/// follow.
pub const EXECUTABLE: &[u8] = b"\x7fELF limpid ";

/// The directories that are searched if the environment has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How deeply scripts may be interpreted by scripts.
const DEPTH: u32 = 4;

/// A command, looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Loaded {
    /// The program that the World starts.
    pub(super) program: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
}

/// The path of the file that a command's name refers to in a directory.
pub fn find_program(disk: &Disk, dir: &str, path: Option<&str>, name: &str) -> Option<String> {
    if name.contains('/') {
        return Some(resolve(dir, name));
    }
    let places = path.unwrap_or(PATH).split(':');
    places
        .map(|place| resolve(dir, &format!("{place}/{name}")))
        .find(|path| disk.stat(path).is_ok_and(|stat| !stat.dir && stat.mode & 0o111 != 0))
}

pub(super) fn load(
    disk: &Disk,
    dir: &str,
    env: &[(String, String)],
    name: &str,
    args: &[String],
) -> Result<Loaded, SpawnError> {
    let path = env.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_str());
    let mut file = find_program(disk, dir, path, name).ok_or(SpawnError::NotFound)?;
    let mut args = args.to_vec();
    for _ in 0..DEPTH {
        let stat = disk.stat(&file).map_err(|_| SpawnError::NotFound)?;
        if stat.dir || stat.mode & 0o111 == 0 {
            return Err(SpawnError::Denied);
        }
        let head = disk.read_piece(&file, 0, 256).unwrap_or_default();
        let first = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if let Some(program) = first.strip_prefix(EXECUTABLE) {
            return Ok(Loaded { program: String::from_utf8_lossy(program).into_owned(), args });
        }
        let line = String::from_utf8_lossy(first).into_owned();
        let mut words = line.strip_prefix("#!").unwrap_or("/bin/sh").split_whitespace();
        let interpreter = words.next().unwrap_or("/bin/sh");
        let mut given: Vec<String> = words.map(Into::into).collect();
        given.push(file);
        given.append(&mut args);
        args = given;
        file = resolve(dir, interpreter);
    }
    Err(SpawnError::Denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path_and_scripts_by_their_first_line() {
        let mut disk = Disk::default();
        disk.install("/bin/sh", b"\x7fELF limpid sh\n", 0o755);
        disk.install("/usr/local/bin/redis-server", b"\x7fELF limpid redis-server\n", 0o755);
        disk.install("/etc/init.d/redis_6379", b"#!/bin/sh -e\necho $1\n", 0o755);
        disk.install("/root/notes", b"text", 0o644);
        let load = |name: &str| load(&disk, "/etc", &[], name, &["start".to_owned()]);
        let loaded = load("redis-server").unwrap();
        assert_eq!((loaded.program.as_str(), loaded.args), ("redis-server", vec!["start".into()]));
        let loaded = load("./init.d/redis_6379").unwrap();
        assert_eq!(loaded.program, "sh");
        assert_eq!(loaded.args, ["-e", "/etc/init.d/redis_6379", "start"]);
        assert_eq!(load("nosuch"), Err(SpawnError::NotFound));
        assert_eq!(load("/root/notes"), Err(SpawnError::Denied));
    }
}
