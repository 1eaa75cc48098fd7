//! Geo commands: positions on the earth as members of sorted sets, whose scores are geohashes.
//!
//! * `hash` encodes a position into 52 bits and decodes it.
//! * `area` measures distances and finds the grid cells that cover an area.
//! * `search` holds GEOSEARCH, GEORADIUS and their variants.

mod area;
mod hash;
mod search;

use smallvec::SmallVec;

use super::meta::{acl, flag, key};
use super::zsets::add::{self, Options};
use super::{CommandError, Ctx, Group, Handler, KeySpec, Row};
use crate::resp::Proto;
use crate::resp::number::parse_double;
use crate::resp::reply::Reply;
use crate::store::value::{ZSet, ZSetRef};
use hash::Position;

/// The rows of the geo commands.
pub static ROWS: &[Row<Handler>] = &[
    row("geoadd", -5, geoadd)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::RW | key::UPDATE)])
        .complexity("O(log(N)) for each member, N being the size of the sorted set.")
        .summary("Adds members with their longitudes and latitudes, or moves members.")
        .syntax("key [condition@6.2.0: NX | XX] [change=CH@6.2.0] <data: longitude latitude member> ...")
        .history(&[("6.2.0", "New: `CH`, `NX`, `XX`.")]),
    row("geodist", -4, geodist)
        .flags(flag::READONLY)
        .keys(READ)
        .summary("Gives the distance between two members.")
        .syntax("key member1 member2 [unit: M | KM | FT | MI]"),
    row("geohash", -2, geohash)
        .flags(flag::READONLY)
        .keys(READ)
        .complexity("O(1) for each member.")
        .summary("Gives the places of members as geohash strings.")
        .syntax("key [member] ..."),
    row("geopos", -2, geopos)
        .flags(flag::READONLY)
        .keys(READ)
        .complexity("O(1) for each member.")
        .summary("Gives the longitudes and latitudes of members.")
        .syntax("key [member] ..."),
    row("georadius", -6, search::georadius)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[
            KeySpec::one(1, key::RO | key::ACCESS),
            KeySpec::behind("STORE", 6, key::OW | key::UPDATE),
            KeySpec::behind("STOREDIST", 6, key::OW | key::UPDATE),
        ])
        .complexity(SEARCHING)
        .summary("Finds members within a distance from a place, and can store them.")
        .syntax("key longitude latitude radius <unit: M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block: COUNT count [ANY@6.2.0]] [order: ASC | DESC] [store: STORE storekey=key#key:1 | STOREDIST storedistkey=key#key:2]")
        .history(&[
            ("6.2.0", "New: `ANY` behind `COUNT`."),
            ("7.0.0", "Units may be in upper case."),
        ])
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    row("georadius_ro", -6, search::georadius_ro)
        .flags(flag::READONLY)
        .keys(READ)
        .since("3.2.10")
        .complexity(SEARCHING)
        .summary("Finds members within a distance from a place.")
        .syntax("key longitude latitude radius <unit: M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block: COUNT count [ANY@6.2.0]] [order: ASC | DESC]")
        .history(&[("6.2.0", "New: `ANY` behind `COUNT`.")])
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    row("georadiusbymember", -5, search::georadiusbymember)
        .flags(flag::WRITE | flag::DENYOOM | flag::MOVABLEKEYS)
        .keys(&[
            KeySpec::one(1, key::RO | key::ACCESS),
            KeySpec::behind("STORE", 5, key::OW | key::UPDATE),
            KeySpec::behind("STOREDIST", 5, key::OW | key::UPDATE),
        ])
        .complexity(SEARCHING)
        .summary("Finds members within a distance from a member, and can store them.")
        .syntax("key member radius <unit: M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block: COUNT count [ANY]] [order: ASC | DESC] [store: STORE storekey=key#key:1 | STOREDIST storedistkey=key#key:2]")
        .history(&[("7.0.0", "Units may be in upper case.")])
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        ),
    row("georadiusbymember_ro", -5, search::georadiusbymember_ro)
        .flags(flag::READONLY)
        .keys(READ)
        .since("3.2.10")
        .complexity(SEARCHING)
        .summary("Finds members within a distance from a member.")
        .syntax("key member radius <unit: M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [count-block: COUNT count [ANY]] [order: ASC | DESC]")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    row("geosearch", -7, search::geosearch)
        .flags(flag::READONLY)
        .keys(READ)
        .since("6.2.0")
        .complexity(SEARCHING)
        .summary("Finds members within a circle or a box.")
        .syntax("key <from: FROMMEMBER member | FROMLONLAT <fromlonlat: longitude latitude>> <by: <circle: BYRADIUS radius <unit: M | KM | FT | MI>> | <box: BYBOX width height <unit: M | KM | FT | MI>>> [order: ASC | DESC] [count-block: COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]")
        .history(&[("7.0.0", "Units may be in upper case.")]),
    row("geosearchstore", -8, search::geosearchstore)
        .flags(flag::WRITE | flag::DENYOOM)
        .keys(&[KeySpec::one(1, key::OW | key::UPDATE), KeySpec::one(2, key::RO | key::ACCESS)])
        .since("6.2.0")
        .complexity(SEARCHING)
        .summary("Finds members within a circle or a box, and stores them.")
        .syntax("destination source <from: FROMMEMBER member | FROMLONLAT <fromlonlat: longitude latitude>> <by: <circle: BYRADIUS radius <unit: M | KM | FT | MI>> | <box: BYBOX width height <unit: M | KM | FT | MI>>> [order: ASC | DESC] [count-block: COUNT count [ANY]] [STOREDIST]")
        .history(&[("7.0.0", "Units may be in upper case.")]),
];

const READ: &[KeySpec] = &[KeySpec::one(1, key::RO | key::ACCESS)];

const SEARCHING: &str = "O(N+log(M)), N being the number of members in the cells that cover the area and M the size of the sorted set.";

const fn row(name: &'static str, arity: i16, handler: Handler) -> Row<Handler> {
    Row::new(Group::Geo, name, arity, handler).acl(acl::GEO).since("3.2.0")
}

/// The letters of geohash strings.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

fn geoadd(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while let Some(word) = ctx.args.get(at) {
        let flag = match word.len() {
            2 if word.eq_ignore_ascii_case(b"nx") => &mut options.only_new,
            2 if word.eq_ignore_ascii_case(b"xx") => &mut options.only_existing,
            2 if word.eq_ignore_ascii_case(b"ch") => &mut options.changed,
            _ => break,
        };
        *flag = true;
        at += 1;
    }
    let rest = ctx.args.from(at);
    if !rest.len().is_multiple_of(3) || (options.only_new && options.only_existing) {
        return Err(CommandError::Syntax);
    }
    let mut pairs = SmallVec::<[(f64, &[u8]); 8]>::new();
    for i in 0..rest.len() / 3 {
        let position = parse_position(rest.at(3 * i), rest.at(3 * i + 1))?;
        pairs.push((position.score(), rest.at(3 * i + 2)));
    }
    let before = ctx.effects.dirty;
    add::add(ctx, &pairs, options)?;
    if ctx.effects.dirty > before {
        propagate(ctx, at, &pairs);
    }
    Ok(())
}

/// Replicas and the append-only file get the equivalent ZADD.
fn propagate(ctx: &mut Ctx<'_>, at: usize, pairs: &[(f64, &[u8])]) {
    if !ctx.effects.consumers().propagation {
        return;
    }
    let (db, args) = (ctx.db, ctx.args);
    let mut command: Vec<Vec<u8>> = vec![b"ZADD".to_vec()];
    command.extend((1..at).map(|index| args.at(index).to_vec()));
    for (score, member) in pairs {
        command.push((*score as u64).to_string().into_bytes());
        command.push(member.to_vec());
    }
    ctx.effects.propagate(db, command);
}

fn geodist(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let args = ctx.args;
    let unit = match args.len() {
        4 => 1.0,
        5 => parse_unit(args.at(4))?,
        _ => return Err(CommandError::Syntax),
    };
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(args.at(1)))?;
    let position = |member| position_of(set?, member);
    match (position(args.at(2)), position(args.at(3))) {
        (Some(from), Some(to)) => write_distance(&mut ctx.reply, area::distance(from, to) / unit),
        _ => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let members = ctx.args.from(2);
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(members.len());
    for member in members.iter() {
        let Some(position) = set.and_then(|set| position_of(set, member)) else {
            ctx.reply.null();
            continue;
        };
        let bits = position.standard_hash();
        let mut text = [ALPHABET[0]; 11];
        // The eleven letters hold 55 bits, of which 52 are known; the last letter carries no
        // information.
        for (i, letter) in text.iter_mut().take(10).enumerate() {
            *letter = ALPHABET[(bits >> (52 - 5 * (i + 1))) as usize & 0x1F];
        }
        ctx.reply.bulk(&text);
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    let members = ctx.args.from(2);
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(ctx.args.at(1)))?;
    ctx.reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| position_of(set, member)) {
            Some(position) => write_position(&mut ctx.reply, position),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}

/// The position of a member.
fn position_of(set: ZSetRef<'_>, member: &[u8]) -> Option<Position> {
    set.score(member).map(Position::of_score)
}

/// Parses a longitude and a latitude.
fn parse_position(longitude: &[u8], latitude: &[u8]) -> Result<Position, CommandError> {
    let number = |text| parse_double(text).ok_or(CommandError::NotAFloat);
    let (longitude, latitude) = (number(longitude)?, number(latitude)?);
    Position::new(longitude, latitude).ok_or_else(|| {
        let pair = format!("{longitude:.6},{latitude:.6}");
        CommandError::composed(format!("ERR invalid longitude,latitude pair {pair}"))
    })
}

/// Parses a unit: how many metres it is.
fn parse_unit(text: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&[u8], f64); 4] =
        [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let unit = UNITS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    unit.map(|(_, metres)| *metres)
        .ok_or(CommandError::text("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

fn write_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// Writes longitude and latitude, with 17 digits behind the point but without trailing zeros.
fn write_position(reply: &mut Reply<'_>, position: Position) {
    reply.array(2);
    for degrees in [position.longitude, position.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.proto() {
            Proto::Resp2 => reply.bulk(text.as_bytes()),
            Proto::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}
