//! `SORT`: the elements of a list, set or sorted set, by themselves or by what other keys hold.

use std::cmp::Ordering;

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk_or_nil, count},
    data::{Data, Hash, List, Text},
    failure::{Answer, Failure, SYNTAX, WRONG_TYPE},
    number::parse_float,
    table::{GROWS, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] =
    &[Row::new("sort", -2, WRITE | GROWS, ONE, sort), Row::new("sort_ro", -2, READ, ONE, sort_read_only)];

#[derive(Default)]
struct Options<'a> {
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    limit: Option<(i64, i64)>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a [u8]], may_store: bool) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut rest = args;
        while let [word, behind @ ..] = rest {
            rest = behind;
            match behind {
                _ if is(word, "ASC") => options.descending = false,
                _ if is(word, "DESC") => options.descending = true,
                _ if is(word, "ALPHA") => options.alpha = true,
                [start, length, after @ ..] if is(word, "LIMIT") => {
                    options.limit = Some((int(start)?, int(length)?));
                    rest = after;
                }
                [key, after @ ..] if is(word, "STORE") && may_store => {
                    options.store = Some(key);
                    rest = after;
                }
                [pattern, after @ ..] if is(word, "BY") => {
                    options.by = Some(pattern);
                    rest = after;
                }
                [pattern, after @ ..] if is(word, "GET") => {
                    options.get.push(pattern);
                    rest = after;
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

/// What an element is ordered by.
enum Weight {
    Number(f64),
    /// `None` where the key does not exist, which comes first.
    Text(Option<Vec<u8>>),
}

fn sort(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    run(context, args, true)
}

fn sort_read_only(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    run(context, args, false)
}

fn run(context: &mut Context<'_>, args: Args<'_>, may_store: bool) -> Answer {
    let options = Options::parse(&args[2..], may_store)?;
    let (mut elements, is_set) = elements(context, args[1])?;
    // A pattern without a star asks for no order; a set that is stored gets one all the same, so that it is the same
    // everywhere.
    let unordered = options.by.is_some_and(|pattern| !pattern.contains(&b'*'));
    let by_itself = unordered && is_set && options.store.is_some();
    if !unordered || by_itself {
        let alpha = options.alpha || by_itself;
        let mut weighed = Vec::with_capacity(elements.len());
        for element in elements {
            let weight = weigh(context, &element, options.by.filter(|_| !by_itself), alpha)?;
            weighed.push((weight, element));
        }
        weighed.sort_by(|left, right| {
            let order = compare(&left.0, &right.0).then_with(|| left.1.cmp(&right.1));
            if options.descending { order.reverse() } else { order }
        });
        elements = weighed.into_iter().map(|(_, element)| element).collect();
    } else if options.descending && !is_set {
        elements.reverse();
    }
    if let Some((start, length)) = options.limit {
        let start = usize::try_from(start).unwrap_or(0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        elements = elements.into_iter().skip(start).take(length).collect();
    }
    let mut found = Vec::with_capacity(elements.len() * options.get.len().max(1));
    for element in elements {
        if options.get.is_empty() {
            found.push(Some(element));
        } else {
            found.extend(options.get.iter().map(|pattern| look_up(context, pattern, &element)));
        }
    }
    let Some(target) = options.store else {
        return Ok(Value::Array(found.iter().map(|item| bulk_or_nil(item.as_deref())).collect()));
    };
    let list: List = found.iter().map(|item| item.as_deref().unwrap_or_default()).collect();
    let length = list.len();
    context.store(target, Data::List(list));
    Ok(count(length))
}

/// The elements, and whether they come from a set.
fn elements(context: &mut Context<'_>, key: &[u8]) -> Result<(Vec<Vec<u8>>, bool), Failure> {
    let now = context.now;
    match context.db().entry(key, now).map(|entry| &entry.data) {
        None => Ok((Vec::new(), false)),
        Some(Data::List(list)) => Ok((list.iter().map(<[u8]>::to_vec).collect(), false)),
        Some(Data::Set(set)) => Ok((set.iter().map(<[u8]>::to_vec).collect(), true)),
        Some(Data::SortedSet(set)) => Ok((set.iter().map(|(member, _)| member.to_vec()).collect(), false)),
        Some(_) => Err(WRONG_TYPE),
    }
}

fn weigh(context: &mut Context<'_>, element: &[u8], by: Option<&[u8]>, alpha: bool) -> Result<Weight, Failure> {
    let text = match by {
        Some(pattern) => look_up(context, pattern, element),
        None => Some(element.to_vec()),
    };
    if alpha {
        return Ok(Weight::Text(text));
    }
    let failure = Failure::fixed("ERR One or more scores can't be converted into double");
    match text {
        None => Ok(Weight::Number(0.0)),
        // As `strtod` reads it: up to a zero byte, nothing is zero, and space may come first.
        Some(text) => match text.split(|&byte| byte == 0).next().unwrap_or_default() {
            [] => Ok(Weight::Number(0.0)),
            text => parse_float(text.trim_ascii_start()).map(Weight::Number).ok_or(failure),
        },
    }
}

fn compare(left: &Weight, right: &Weight) -> Ordering {
    match (left, right) {
        (Weight::Number(left), Weight::Number(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (Weight::Text(left), Weight::Text(right)) => left.cmp(right),
        // All elements are weighed alike.
        _ => Ordering::Equal,
    }
}

/// The string at `pattern` with the element in place of its star, or the field behind `->`; `#` is the element.
fn look_up(context: &mut Context<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|&byte| byte == b'*')?;
    let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = behind.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < behind.len());
    let (suffix, field) = match arrow {
        Some(at) => (&behind[..at], Some(&behind[at + 2..])),
        None => (behind, None),
    };
    let key = [before, element, suffix].concat();
    match field {
        Some(field) => context.get::<Hash>(&key).ok()??.get(field).map(<[u8]>::to_vec),
        None => context.get::<Text>(&key).ok()?.map(|text| text.bytes().to_vec()),
    }
}
