//! Places: sorted sets whose scores say where.

use super::super::{
    args::{Args, float, is},
    context::{Context, bulk, count},
    data::{Blob, Data, SortedSet},
    failure::{Answer, Failure, SYNTAX},
    geo::{Area, Place},
    number::parse_float,
    table::{GROWS, Keys, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("geoadd", -5, WRITE | GROWS, ONE, geoadd),
    Row::new("geodist", -4, READ, ONE, geodist),
    Row::new("geohash", -2, READ, ONE, geohash),
    Row::new("geopos", -2, READ, ONE, geopos),
    Row::new("georadius", -6, WRITE | GROWS, ONE, georadius),
    Row::new("georadius_ro", -6, READ, ONE, georadius_ro),
    Row::new("georadiusbymember", -5, WRITE | GROWS, ONE, georadiusbymember),
    Row::new("georadiusbymember_ro", -5, READ, ONE, georadiusbymember_ro),
    Row::new("geosearch", -7, READ, ONE, geosearch),
    Row::new("geosearchstore", -8, WRITE | GROWS, Keys::At(1, 2, 1), geosearchstore),
];

/// Metres in a unit of length.
fn unit(word: &[u8]) -> Result<f64, Failure> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let known = units.iter().find(|(name, _)| is(word, name));
    known.map(|(_, metres)| *metres).ok_or(Failure::fixed("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Failure> {
    let (longitude, latitude) = (float(longitude)?, float(latitude)?);
    Place::new(longitude, latitude)
        .ok_or_else(|| Failure::new(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

fn geoadd(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut at = 2;
    while let Some(word) = args.get(at)
        && ["NX", "XX", "CH"].iter().any(|option| is(word, option))
    {
        at += 1;
    }
    let options = &args[2..at];
    let has = |option: &str| options.iter().any(|word| is(word, option));
    let (places, rest) = args[at..].as_chunks::<3>();
    if !rest.is_empty() || (has("NX") && has("XX")) {
        return Err(SYNTAX);
    }
    let mut scores = Vec::with_capacity(places.len());
    for [longitude, latitude, _] in places {
        scores.push(super::super::number::float_text(place(longitude, latitude)?.score()));
    }
    let mut command: Vec<&[u8]> = vec![b"zadd", args[1]];
    command.extend_from_slice(options);
    command.extend(scores.iter().zip(places).flat_map(|(score, [_, _, member])| [score.as_bytes(), member]));
    super::sorted_sets::zadd(context, &command)
}

fn stored(set: Option<&mut SortedSet>, member: &[u8]) -> Option<Place> {
    set.and_then(|set| set.score(member)).map(Place::of_score)
}

fn distance_text(metres: f64, unit: f64) -> Value {
    Value::Bulk(format!("{:.4}", metres / unit).into_bytes())
}

fn geodist(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let unit = match args[4..] {
        [] => 1.0,
        [word] => unit(word)?,
        _ => return Err(SYNTAX),
    };
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(Value::Nil) };
    let places = (set.score(args[2]).map(Place::of_score), set.score(args[3]).map(Place::of_score));
    let (Some(one), Some(other)) = places else { return Ok(Value::Nil) };
    Ok(distance_text(one.distance(other), unit))
}

fn geohash(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut set = context.get::<SortedSet>(args[1])?;
    let hash = |member: &&[u8]| stored(set.as_deref_mut(), member).map_or(Value::Nil, |place| bulk(place.geohash()));
    Ok(Value::Array(args[2..].iter().map(hash).collect()))
}

fn geopos(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut set = context.get::<SortedSet>(args[1])?;
    let places: Vec<_> = args[2..].iter().map(|member| stored(set.as_deref_mut(), member)).collect();
    Ok(Value::Array(places.into_iter().map(|place| place.map_or(Value::Nil, |place| pair(context, place))).collect()))
}

/// Longitude and latitude, in all their digits.
fn pair(context: &Context<'_>, place: Place) -> Value {
    let number = |degrees: f64| {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        if context.session.resp3 { Value::Double(text) } else { Value::Bulk(text.into_bytes()) }
    };
    Value::Array(vec![number(place.longitude), number(place.latitude)])
}

/// A search as the arguments ask for it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was asked for, each by itself")]
struct Search<'a> {
    middle: Option<Place>,
    area: Option<Area>,
    unit: f64,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    /// Whether the nearest come first, or last.
    ascending: Option<bool>,
    count: Option<usize>,
    any: bool,
    /// Where the result goes, and whether with distances as scores.
    store: Option<&'a [u8]>,
    stores_distance: bool,
}

/// What a command knows of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS` and the like: the area comes first. Whether it may store.
    Radius(bool),
    /// `GEOSEARCH`: the area is an option. Whether it stores.
    Search(bool),
}

struct Found {
    member: Blob,
    score: f64,
    place: Place,
    distance: f64,
}

impl<'a> Search<'a> {
    fn radius(&mut self, radius: &[u8], word: &[u8]) -> Result<(), Failure> {
        let radius = parse_float(radius).ok_or(Failure::fixed("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(Failure::fixed("ERR radius cannot be negative"));
        }
        self.unit = unit(word)?;
        self.area = Some(Area::Circle(radius * self.unit));
        Ok(())
    }

    fn rectangle(&mut self, width: &[u8], height: &[u8], word: &[u8]) -> Result<(), Failure> {
        let width = parse_float(width).ok_or(Failure::fixed("ERR need numeric width"))?;
        let height = parse_float(height).ok_or(Failure::fixed("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(Failure::fixed("ERR height or width cannot be negative"));
        }
        self.unit = unit(word)?;
        self.area = Some(Area::Box(width * self.unit, height * self.unit));
        Ok(())
    }

    fn member(&mut self, set: Option<&mut SortedSet>, member: &[u8]) -> Result<(), Failure> {
        // Without a set there is nothing to find, wherever that is.
        let nowhere = Place { longitude: 0.0, latitude: 0.0 };
        self.middle = Some(match set {
            None => nowhere,
            Some(set) => {
                stored(Some(set), member).ok_or(Failure::fixed("ERR could not decode requested zset member"))?
            }
        });
        Ok(())
    }

    fn options(
        &mut self,
        context: &mut Context<'_>,
        key: &[u8],
        words: &'a [&'a [u8]],
        form: Form,
    ) -> Result<(), Failure> {
        let searches = matches!(form, Form::Search(_));
        let (mut from_member, mut from_place, mut by_radius, mut by_box) = (false, false, false, false);
        let mut rest = words;
        while let [word, after @ ..] = rest {
            rest = after;
            match (after, ()) {
                _ if is(word, "WITHDIST") => self.with_distance = true,
                _ if is(word, "WITHHASH") => self.with_score = true,
                _ if is(word, "WITHCOORD") => self.with_place = true,
                _ if is(word, "ANY") => self.any = true,
                _ if is(word, "ASC") => self.ascending = Some(true),
                _ if is(word, "DESC") => self.ascending = Some(false),
                ([number, after @ ..], ()) if is(word, "COUNT") => {
                    let number = super::super::args::int(number)?;
                    let positive = usize::try_from(number).ok().filter(|&number| number > 0);
                    self.count = Some(positive.ok_or(Failure::fixed("ERR COUNT must be > 0"))?);
                    rest = after;
                }
                ([key, after @ ..], ())
                    if form == Form::Radius(true) && (is(word, "STORE") || is(word, "STOREDIST")) =>
                {
                    self.store = Some(key);
                    self.stores_distance = is(word, "STOREDIST");
                    rest = after;
                }
                ([member, after @ ..], ()) if searches && is(word, "FROMMEMBER") && !from_place => {
                    self.member(context.get::<SortedSet>(key)?, member)?;
                    from_member = true;
                    rest = after;
                }
                ([longitude, latitude, after @ ..], ()) if searches && is(word, "FROMLONLAT") && !from_member => {
                    self.middle = Some(place(longitude, latitude)?);
                    from_place = true;
                    rest = after;
                }
                ([radius, unit, after @ ..], ()) if searches && is(word, "BYRADIUS") && !by_box => {
                    self.radius(radius, unit)?;
                    by_radius = true;
                    rest = after;
                }
                ([width, height, unit, after @ ..], ()) if searches && is(word, "BYBOX") && !by_radius => {
                    self.rectangle(width, height, unit)?;
                    by_box = true;
                    rest = after;
                }
                _ if form == Form::Search(true) && is(word, "STOREDIST") => self.stores_distance = true,
                _ => return Err(SYNTAX),
            }
        }
        Ok(())
    }

    fn check(&self, form: Form, command: &[u8]) -> Result<(), Failure> {
        if self.store.is_some() && (self.with_distance || self.with_score || self.with_place) {
            let what = if form == Form::Search(true) { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let why = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(Failure::new(format!("ERR {what} {why}")));
        }
        let command = super::super::args::text(command);
        if matches!(form, Form::Search(_)) && self.middle.is_none() {
            let what = "exactly one of FROMMEMBER or FROMLONLAT can be specified for";
            return Err(Failure::new(format!("ERR {what} {command}")));
        }
        if matches!(form, Form::Search(_)) && self.area.is_none() {
            let what = "exactly one of BYRADIUS and BYBOX can be specified for";
            return Err(Failure::new(format!("ERR {what} {command}")));
        }
        if self.any && self.count.is_none() {
            return Err(Failure::fixed("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Looks at every member: a set in one process is small enough for that.
    fn run(&self, set: &SortedSet) -> Vec<Found> {
        let (Some(middle), Some(area)) = (self.middle, self.area) else { return Vec::new() };
        let within = set.iter().filter_map(|(member, score)| {
            // Others are no places.
            let place = (0.0..4_503_599_627_370_496.0).contains(&score).then(|| Place::of_score(score))?;
            let distance = area.distance(middle, place)?;
            Some(Found { member: member.into(), score, place, distance })
        });
        let enough = self.count.filter(|_| self.any).unwrap_or(usize::MAX);
        let mut found: Vec<Found> = within.take(enough).collect();
        let ascending = self.ascending.or_else(|| (self.count.is_some() && !self.any).then_some(true));
        match ascending {
            Some(true) => found.sort_by(|one, other| one.distance.total_cmp(&other.distance)),
            Some(false) => found.sort_by(|one, other| other.distance.total_cmp(&one.distance)),
            None => {}
        }
        found.truncate(self.count.unwrap_or(usize::MAX));
        found
    }

    fn answer(&self, context: &mut Context<'_>, key: &[u8]) -> Answer {
        let found = context.get::<SortedSet>(key)?.map(|set| self.run(set)).unwrap_or_default();
        if let Some(store) = self.store {
            let number = found.len();
            let mut set = SortedSet::default();
            for Found { member, score, distance, .. } in found {
                set.set(&member, if self.stores_distance { distance / self.unit } else { score });
            }
            context.store(store, Data::SortedSet(Box::new(set)));
            return Ok(count(number));
        }
        let item = |found: Found| {
            let mut parts = vec![bulk(&found.member)];
            if self.with_distance {
                parts.push(distance_text(found.distance, self.unit));
            }
            if self.with_score {
                #[expect(clippy::cast_possible_truncation, reason = "the score of a place is whole")]
                parts.push(Value::Int(found.score as i64));
            }
            if self.with_place {
                parts.push(pair(context, found.place));
            }
            if parts.len() == 1 { parts.swap_remove(0) } else { Value::Array(parts) }
        };
        Ok(Value::Array(found.into_iter().map(item).collect()))
    }
}

fn by_coordinates(context: &mut Context<'_>, args: Args<'_>, form: Form) -> Answer {
    context.get::<SortedSet>(args[1])?;
    let mut search = Search { middle: Some(place(args[2], args[3])?), ..Search::default() };
    search.radius(args[4], args[5])?;
    search.options(context, args[1], &args[6..], form)?;
    search.check(form, args[0])?;
    search.answer(context, args[1])
}

fn by_member(context: &mut Context<'_>, args: Args<'_>, form: Form) -> Answer {
    let mut search = Search::default();
    if let Some(set) = context.get::<SortedSet>(args[1])? {
        search.member(Some(set), args[2])?;
        search.radius(args[3], args[4])?;
    }
    search.options(context, args[1], &args[5..], form)?;
    search.check(form, args[0])?;
    search.answer(context, args[1])
}

fn georadius(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_coordinates(context, args, Form::Radius(true))
}

fn georadius_ro(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_coordinates(context, args, Form::Radius(false))
}

fn georadiusbymember(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_member(context, args, Form::Radius(true))
}

fn georadiusbymember_ro(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_member(context, args, Form::Radius(false))
}

fn geosearch(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut search = Search::default();
    context.get::<SortedSet>(args[1])?;
    search.options(context, args[1], &args[2..], Form::Search(false))?;
    search.check(Form::Search(false), args[0])?;
    search.answer(context, args[1])
}

fn geosearchstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut search = Search { store: Some(args[1]), ..Search::default() };
    context.get::<SortedSet>(args[2])?;
    search.options(context, args[2], &args[3..], Form::Search(true))?;
    search.check(Form::Search(true), args[0])?;
    search.answer(context, args[2])
}
