//! Small commands about the server: TIME, LOLWUT.

use super::{Call, Handler, row};
use super::{LIMPID_VERSION, Server, VERSION};
use crate::command::meta::flag;
use crate::command::{CommandError, Group, Row};

/// Rows of the command table.
pub(super) static ROWS: &[Row<Handler>] = &[
    row(Group::Server, "lolwut", -1, lolwut)
        .flags(flag::READONLY | flag::FAST)
        .since("5.0.0")
        .summary("Draws a little picture and tells the version.")
        .syntax("[VERSION version]"),
    row(Group::Server, "time", 1, time)
        .flags(flag::LOADING | flag::STALE | flag::FAST)
        .since("2.6.0")
        .summary("Tells the server's time.")
        .tips(&["nondeterministic_output"]),
];

fn time(_: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    let micros = call.now.wall.0;
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_integer((micros / 1_000_000) as i64);
    reply.bulk_integer((micros % 1_000_000) as i64);
    Ok(())
}

fn lolwut(server: &mut Server, call: &mut Call<'_>) -> Result<(), CommandError> {
    // Ripples on clear water, each time others.
    let mut picture = String::new();
    let drops: Vec<(f64, f64)> =
        (0..3).map(|_| (server.rng.unit() * 60.0, server.rng.unit() * 24.0)).collect();
    for y in 0..12 {
        for x in 0..60 {
            let nearest = drops
                .iter()
                .map(|(cx, cy)| {
                    let (dx, dy) = (f64::from(x) - cx, f64::from(y) * 2.0 - cy);
                    (dx * dx + dy * dy).sqrt()
                })
                .fold(f64::MAX, f64::min);
            // Square roots and sums are the same on every platform; sines are not.
            let ring = (nearest / 3.0) as u32;
            picture.push(match ring {
                0 => 'o',
                r if r > 6 => ' ',
                r if r % 2 == 0 => '~',
                _ => ' ',
            });
        }
        let end = picture.trim_end().len();
        picture.truncate(end);
        picture.push('\n');
    }
    let text = format!("{picture}\nRedis ver. {VERSION} (Limpid {LIMPID_VERSION})\n");
    call.reply().verbatim("txt", text.as_bytes());
    Ok(())
}
