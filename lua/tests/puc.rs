//! Scripts print what PUC Lua 5.1.5 prints, including error messages, the order of `pairs` and the
//! number of comparisons of a sort; in slices of any size, and in a clone made in the middle.
//!
//! `puc/*.lua` are the scripts, `puc/*.txt` the output of `lua5.1` for them.

use limpid_lua::{Lua, Step, Value};

const PRINT: u32 = 1;
const CLOCK: u32 = 2;

/// A script in progress, and its output so far.
#[derive(Clone)]
struct Run {
    lua: Lua,
    printed: Vec<u8>,
}

impl Run {
    fn new(name: &str, source: &str) -> Run {
        let mut lua = Lua::new();
        let globals = lua.globals();
        let print = lua.host_function(PRINT);
        lua.raw_set_name(globals, "print", print);
        // Part of the stand-alone interpreter; the scripts only check whether it exists.
        let os = lua.table(0, 1);
        let clock = lua.host_function(CLOCK);
        lua.raw_set_name(os, "clock", clock);
        lua.raw_set_name(globals, "os", Value::Table(os));
        for name in ["arg", "package", "debug"] {
            let table = lua.table(0, 0);
            lua.raw_set_name(globals, name, Value::Table(table));
        }
        let main = lua.load(source.as_bytes(), format!("@{name}").as_bytes()).unwrap();
        lua.start(main, &[]);
        Run { lua, printed: Vec::new() }
    }

    /// Runs for this many instructions. Returns whether the script has ended.
    fn step(&mut self, budget: u64) -> bool {
        match self.lua.run(budget) {
            Step::Done => return true,
            Step::Paused | Step::Line => {}
            Step::Host(CLOCK) => self.lua.host_return(&[Value::Num(0.0)]),
            Step::Host(_) => {
                let args = self.lua.host_args().to_vec();
                for (i, value) in args.into_iter().enumerate() {
                    if i > 0 {
                        self.printed.push(b'\t');
                    }
                    self.printed.extend(self.lua.to_text(value).unwrap());
                }
                self.printed.push(b'\n');
                self.lua.host_return(&[]);
            }
            Step::Failed(failure) => {
                self.printed.extend(self.lua.to_text(failure.value).unwrap_or_default());
                return true;
            }
        }
        false
    }

    fn finish(&mut self, budget: u64) -> String {
        while !self.step(budget) {}
        String::from_utf8_lossy(&self.printed).into_owned()
    }
}

const SCRIPTS: [(&str, &str, &str); 2] = [
    ("all.lua", include_str!("puc/snippets.lua"), include_str!("puc/snippets.txt")),
    ("d1.lua", include_str!("puc/language.lua"), include_str!("puc/language.txt")),
];

#[test]
fn scripts_print_what_puc_prints() {
    for (name, source, expected) in SCRIPTS {
        let printed = Run::new(name, source).finish(1 << 40);
        for (ours, theirs) in printed.lines().zip(expected.lines()) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(printed.lines().count(), expected.lines().count(), "{name}");
    }
}

#[test]
fn slices_of_any_size_print_the_same() {
    for (name, source, _) in SCRIPTS {
        let whole = Run::new(name, source).finish(1 << 40);
        for budget in [0, 1, 7, 1000] {
            assert_eq!(Run::new(name, source).finish(budget), whole, "{name} by {budget}");
        }
    }
}

#[test]
fn a_clone_in_the_middle_goes_on_as_the_original() {
    for (name, source, _) in SCRIPTS {
        let mut run = Run::new(name, source);
        let mut clones = Vec::new();
        for turn in 0.. {
            if run.step(503) {
                break;
            }
            if turn % 97 == 0 && clones.len() < 12 {
                clones.push(run.clone());
            }
        }
        let printed = String::from_utf8_lossy(&run.printed).into_owned();
        assert!(!clones.is_empty());
        for mut clone in clones {
            assert_eq!(clone.finish(503), printed, "{name}");
            assert_eq!(clone.lua.memory(), run.lua.memory(), "{name}");
        }
    }
}
