//! Hostile sources and data: no panic, bounded memory, bounded slices.

use limpid_lua::{Lua, Step};
use proptest::prelude::*;

/// Runs a source for a bounded number of slices, within a memory limit.
fn run(source: &[u8]) -> Option<Step> {
    const LIMIT: u64 = 8 << 20;
    let mut lua = Lua::new();
    lua.set_memory_limit(LIMIT);
    let main = lua.load(source, b"=hostile").ok()?;
    lua.start(main, &[]);
    for _ in 0..200 {
        let step = lua.run(5_000);
        // A library function may create one object before the limit is checked.
        assert!(lua.memory() < 3 * LIMIT, "{} bytes", lua.memory());
        if step != Step::Paused {
            return Some(step);
        }
    }
    lua.abort();
    Some(Step::Paused)
}

/// Fragments for sources that nearly compile.
const PIECES: &[&str] = &[
    "local ",
    "a",
    "b",
    "t",
    "=",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "function(",
    "function f(",
    "...",
    "end ",
    "return ",
    "if ",
    "then ",
    "else ",
    "for i=1,9 do ",
    "for k,v in pairs(t) do ",
    "while ",
    "do ",
    "repeat ",
    "until ",
    "break ",
    "1",
    "0x10",
    "'s'",
    "[[x]]",
    "nil ",
    "true ",
    "..",
    "+",
    "-",
    "*",
    "/",
    "^",
    "%",
    "#",
    "not ",
    " and ",
    " or ",
    "==",
    "<",
    ">=",
    ",",
    ";",
    ":",
    ".",
    "\n",
    "pcall(",
    "error(",
    "string.rep(",
    "('x'):rep(1e9)",
    "table.concat(",
    "setmetatable(",
    "coroutine.wrap(",
    "coroutine.yield(",
    "table.sort(",
    "string.format('%99d',",
    "unpack(",
    "cjson.encode(",
    "cmsgpack.unpack(",
    "struct.unpack('i4',",
    "a.b",
    "f()",
    "t[a]",
    "select('#',",
    "loadstring(",
    "string.gsub(",
    "'(.-)%1'",
    "{1,2,3}",
    "1e308",
    "-1",
    "tostring(",
    "next(",
];

proptest! {
    #[test]
    fn any_bytes_compile_or_are_refused(source in prop::collection::vec(any::<u8>(), 0..200)) {
        run(&source);
    }

    #[test]
    fn pieces_of_the_language_run_or_fail(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let source: String = picks.iter().map(|&i| PIECES[i]).collect();
        run(source.as_bytes());
    }

    #[test]
    fn any_pattern_matches_or_is_refused(
        pattern in "[a-c%()\\[\\].*+?^$1b-]{0,14}",
        text in "[a-c()]{0,20}",
    ) {
        let quoted = |s: &str| format!("[==[{s}]==]");
        let (text, pattern) = (quoted(&text), quoted(&pattern));
        run(format!("string.find({text}, {pattern}) string.gsub({text}, {pattern}, '%0')").as_bytes());
    }

    #[test]
    fn any_data_unpacks_or_is_refused(data in prop::collection::vec(any::<u8>(), 0..60)) {
        let text: String = data.iter().map(|b| format!("\\{b:03}")).collect();
        run(format!("pcall(cmsgpack.unpack, '{text}')").as_bytes());
        run(format!("pcall(cjson.decode, '{text}')").as_bytes());
        run(format!("pcall(struct.unpack, '>!4bhilsc0f', '{text}')").as_bytes());
        run(format!("pcall(struct.unpack, '{text}', 'abcdefgh')").as_bytes());
    }
}

#[test]
fn memory_is_limited() {
    for source in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local t = {} while true do t[#t + 1] = #t .. 'x' end",
        "return string.rep('x', 1e12)",
        "local function f(...) return (f(1, ...)) end f()",
        "local t = {} while true do t[{}] = function() return t end end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "local s = string.rep('a', 1e6) while true do s = s:gsub('a', 'aa') end",
    ] {
        let step = run(source.as_bytes());
        assert!(matches!(step, Some(Step::Failed(_))), "{source}: {step:?}");
    }
}

#[test]
fn too_deep_nesting_fails() {
    for source in [
        "local function f() return f() + 1 end f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
        "local function f() return pcall(f) and error('deep') end return f()",
        "local s = string.rep('{', 1000) .. string.rep('}', 1000) return assert(loadstring('return ' .. s))",
        "local function f() return coroutine.wrap(f)() end f()",
        "return string.rep('a?', 5000):find(string.rep('a?', 5000))",
        "local t = {} for i = 1, 3000 do t = {t} end return cjson.encode(t)",
        "return cjson.decode(string.rep('[', 3000))",
        "return cmsgpack.unpack(string.rep('\\145', 5000))",
    ] {
        let step = run(source.as_bytes());
        assert!(matches!(step, Some(Step::Failed(_) | Step::Done)), "{source}: {step:?}");
    }
}
