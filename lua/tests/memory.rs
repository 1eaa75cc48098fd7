//! The real memory use of the process while scripts reach the memory limit. There is only one test,
//! since the allocator counts for the whole process.

use limpid_lua::{Lua, Step};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The memory limit of the interpreter.
const LIMIT: u64 = 32 << 20;

/// Memory that the interpreter does not account for: the work list of the collector, and copies
/// made while a string or a table is created.
const UNACCOUNTED: u64 = LIMIT / 5 * 2;

#[test]
fn the_process_takes_little_more_than_the_memory_limit() {
    for source in [
        "local t = {} for i = 1, 1e9 do t[#t + 1] = 'string ' .. i end",
        "local t = {} for i = 1, 1e9 do t['string ' .. i] = i end",
        "local t = {} for i = 1, 1e9 do t[#t + 1] = {i} end",
        "local t = {} for i = 1, 1e9 do t[#t + 1] = function() return t, i end end",
        "local t = {} while true do t = {t} end",
        "local s = 'x' while true do s = s .. s end",
    ] {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage() as u64;
        let mut lua = Lua::new();
        lua.set_memory_limit(LIMIT);
        let main = lua.load(source.as_bytes(), b"=memory").expect("it compiles");
        lua.start(main, &[]);
        let end = loop {
            match lua.run(100_000) {
                Step::Paused => {}
                end => break end,
            }
        };
        assert!(matches!(end, Step::Failed(_)), "{source}: {end:?}");
        let took = MEMORY.peak_usage() as u64 - before;
        println!("{took} bytes for {source}");
        assert!(took <= LIMIT + UNACCOUNTED, "{took} bytes for {source}");
    }
}
