//! GEOSEARCH and GEORADIUS: find the members in an area, and return or store them.

use super::area::{Area, Shape};
use super::hash::Position;
use super::{parse_position, parse_unit, position_of, write_distance, write_position};
use crate::command::collection::write_item;
use crate::command::sets::store_result;
use crate::command::{Class, CommandError, Ctx};
use crate::resp::number::{parse_double, parse_i64};
use crate::resp::request::Args;
use crate::store::Value;
use crate::store::value::{Item, ZSet, ZSetRef};

/// The search commands, which differ in how the area is given and in what may be stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    /// GEORADIUS; with or without STORE.
    Radius { store: bool },
    /// GEORADIUSBYMEMBER; with or without STORE.
    ByMember { store: bool },
    /// GEOSEARCH
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// The parsed arguments of a search.
#[derive(Default)]
struct Query<'a> {
    centre: Option<Position>,
    /// Whether the centre was given as a member; it is unknown if the key does not exist.
    by_member: bool,
    by_place: bool,
    shape: Option<Shape>,
    /// The unit of distances in the reply, in metres.
    unit: f64,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    order: Option<Order>,
    /// The most members to return; 0 for all.
    count: usize,
    /// ANY: whether any members will do, instead of the nearest.
    any: bool,
    /// The destination key, if the result is stored.
    store: Option<&'a [u8]>,
    /// Whether distances are stored as scores.
    store_distance: bool,
}

/// A member in the area.
struct Found<'a> {
    member: Item<'a>,
    score: f64,
    position: Position,
    /// Its distance from the centre, in metres.
    distance: f64,
}

pub(super) fn georadius(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::Radius { store: true })
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::Radius { store: false })
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::ByMember { store: true })
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::ByMember { store: false })
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::Search)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>) -> Result<(), CommandError> {
    search(ctx, Command::SearchStore)
}

fn search(ctx: &mut Ctx<'_>, command: Command) -> Result<(), CommandError> {
    let args = ctx.args;
    let limits = ctx.limits();
    let source = args.at(if command == Command::SearchStore { 2 } else { 1 });
    let mut db = ctx.keyspace.db(ctx.db);
    let set = db.view::<ZSet>(db.key(source))?;
    let query = Query::parse(args, command, set)?;
    let area = match (query.centre, query.shape) {
        (Some(centre), Some(shape)) => Some(Area::new(centre, shape)),
        // The key is missing, and with it the member at the centre.
        _ => None,
    };
    let found = match (set, area) {
        (Some(set), Some(area)) => query.find(set, &area),
        _ => Vec::new(),
    };
    if let Some(destination) = query.store {
        let mut result = ZSet::new(found.len(), 0, &limits);
        let mut digits = itoa::Buffer::new();
        for one in &found {
            let score = if query.store_distance { one.distance / query.unit } else { one.score };
            result.insert(one.member.bytes(&mut digits), score, &limits);
        }
        result.compact(&limits);
        let count = found.len();
        let value = (count > 0).then_some(Value::ZSet(result));
        let event = match command {
            Command::SearchStore => "geosearchstore",
            _ => "georadiusstore",
        };
        store_result(ctx, destination, event, value, Class::SortedSet);
        ctx.reply.integer(count as i64);
        return Ok(());
    }
    let reply = &mut ctx.reply;
    reply.array(found.len());
    let extras = [query.with_distance, query.with_hash, query.with_place];
    let extras = extras.iter().filter(|wanted| **wanted).count();
    for one in &found {
        if extras > 0 {
            reply.array(extras + 1);
        }
        write_item(reply, one.member);
        if query.with_distance {
            write_distance(reply, one.distance / query.unit);
        }
        if query.with_hash {
            reply.integer(one.score as i64);
        }
        if query.with_place {
            write_position(reply, one.position);
        }
    }
    Ok(())
}

impl<'a> Query<'a> {
    /// Parses the arguments. Members are looked up while parsing, as in Redis, so that a missing
    /// member is reported before a bad option.
    fn parse(
        args: Args<'a>,
        command: Command,
        set: Option<ZSetRef<'_>>,
    ) -> Result<Self, CommandError> {
        let mut query = Query { unit: 1.0, ..Query::default() };
        let mut options = match command {
            Command::Radius { .. } => {
                query.centre = Some(parse_position(args.at(2), args.at(3))?);
                query.circle(args.at(4), args.at(5))?;
                args.from(6)
            }
            Command::ByMember { .. } => {
                if let Some(set) = set {
                    query.member(set, args.at(2))?;
                    query.circle(args.at(3), args.at(4))?;
                }
                args.from(5)
            }
            Command::Search => args.from(2),
            Command::SearchStore => {
                query.store = Some(args.at(1));
                args.from(3)
            }
        };
        while !options.is_empty() {
            let taken = query.option(options, command, set)?;
            options = options.from(taken);
        }
        query.check(args.at(0), command)?;
        Ok(query)
    }

    /// Parses one option and returns how many arguments it takes.
    fn option(
        &mut self,
        options: Args<'a>,
        command: Command,
        set: Option<ZSetRef<'_>>,
    ) -> Result<usize, CommandError> {
        let has = |more: usize| options.len() > more;
        let searching = matches!(command, Command::Search | Command::SearchStore);
        let storing =
            matches!(command, Command::Radius { store: true } | Command::ByMember { store: true });
        match options.at(0).to_ascii_lowercase().as_slice() {
            b"withdist" => self.with_distance = true,
            b"withhash" => self.with_hash = true,
            b"withcoord" => self.with_place = true,
            b"any" => self.any = true,
            b"asc" => self.order = Some(Order::Ascending),
            b"desc" => self.order = Some(Order::Descending),
            b"count" if has(1) => {
                let count = parse_i64(options.at(1)).ok_or(CommandError::NotAnInteger)?;
                if count <= 0 {
                    return Err(CommandError::text("ERR COUNT must be > 0"));
                }
                self.count = usize::try_from(count).unwrap_or(usize::MAX);
                return Ok(2);
            }
            b"store" if storing && has(1) => {
                (self.store, self.store_distance) = (Some(options.at(1)), false);
                return Ok(2);
            }
            b"storedist" if storing && has(1) => {
                (self.store, self.store_distance) = (Some(options.at(1)), true);
                return Ok(2);
            }
            b"storedist" if command == Command::SearchStore => self.store_distance = true,
            b"frommember" if searching && has(1) && !self.by_place => {
                if let Some(set) = set {
                    self.member(set, options.at(1))?;
                }
                self.by_member = true;
                return Ok(2);
            }
            b"fromlonlat" if searching && has(2) && !self.by_member => {
                self.centre = Some(parse_position(options.at(1), options.at(2))?);
                self.by_place = true;
                return Ok(3);
            }
            b"byradius"
                if searching && has(2) && !matches!(self.shape, Some(Shape::Box { .. })) =>
            {
                self.circle(options.at(1), options.at(2))?;
                return Ok(3);
            }
            b"bybox"
                if searching && has(3) && !matches!(self.shape, Some(Shape::Circle { .. })) =>
            {
                self.rectangle(options.at(1), options.at(2), options.at(3))?;
                return Ok(4);
            }
            _ => return Err(CommandError::Syntax),
        }
        Ok(1)
    }

    /// Rejects incompatible options.
    fn check(&self, name: &[u8], command: Command) -> Result<(), CommandError> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            return Err(CommandError::text(match command {
                Command::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD \
                     options"
                }
                _ => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                     WITHCOORD options"
                }
            }));
        }
        if matches!(command, Command::Search | Command::SearchStore) {
            if !self.by_member && !self.by_place {
                let before = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
                return Err(CommandError::quoting(before, name, ""));
            }
            if self.shape.is_none() {
                let before = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
                return Err(CommandError::quoting(before, name, ""));
            }
        }
        if self.any && self.count == 0 {
            return Err(CommandError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Sets the centre to the position of a member.
    fn member(&mut self, set: ZSetRef<'_>, member: &[u8]) -> Result<(), CommandError> {
        const UNKNOWN: CommandError =
            CommandError::text("ERR could not decode requested zset member");
        self.centre = Some(position_of(set, member).ok_or(UNKNOWN)?);
        Ok(())
    }

    fn circle(&mut self, radius: &[u8], unit: &[u8]) -> Result<(), CommandError> {
        let radius = parse_double(radius).ok_or(CommandError::text("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(CommandError::text("ERR radius cannot be negative"));
        }
        self.unit = parse_unit(unit)?;
        self.shape = Some(Shape::Circle { radius: radius * self.unit });
        Ok(())
    }

    fn rectangle(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Result<(), CommandError> {
        let width = parse_double(width).ok_or(CommandError::text("ERR need numeric width"))?;
        let height = parse_double(height).ok_or(CommandError::text("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::text("ERR height or width cannot be negative"));
        }
        self.unit = parse_unit(unit)?;
        self.shape = Some(Shape::Box { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    /// The members in an area, in the order and number asked for.
    fn find<'s>(&self, set: ZSetRef<'s>, area: &Area) -> Vec<Found<'s>> {
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for cell in area.cells() {
            let (from, to) = cell.scores();
            let first = set.count_while(|score, _| score < from);
            for (member, score) in set.iter_from(first) {
                if score >= to || found.len() >= enough {
                    break;
                }
                let position = Position::of_score(score);
                if let Some(distance) = area.distance_within(position) {
                    found.push(Found { member, score, position, distance });
                }
            }
        }
        // The nearest can only be selected after sorting.
        let nearest = (self.count > 0 && !self.any).then_some(Order::Ascending);
        if let Some(order) = self.order.or(nearest) {
            found.sort_by(|a, b| match order {
                Order::Ascending => a.distance.total_cmp(&b.distance),
                Order::Descending => b.distance.total_cmp(&a.distance),
            });
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}
