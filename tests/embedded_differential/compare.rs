//! Whether two replies are the same, as far as commands promise.

use oxcart::{Error, codec::resp::Value};

use crate::grammar::{Call, is_word};

pub(crate) type Reply = Result<Value, Error>;

/// Which commands an `EXEC` answers for.
#[derive(Default)]
pub(crate) struct Transaction {
    queued: Option<Vec<Call>>,
}

impl Transaction {
    /// The commands that the reply of `call` belongs to: itself, or those of the transaction that it ends.
    pub(crate) fn calls_of(&mut self, call: &Call, reply: &Reply) -> Vec<Call> {
        let name = call.first().map(Vec::as_slice).unwrap_or_default();
        if is_word(name, &["EXEC"]) && matches!(reply, Ok(Value::Array(_))) {
            return self.queued.take().unwrap_or_default();
        }
        if is_word(name, &["MULTI"]) && reply.is_ok() {
            self.queued = Some(Vec::new());
        } else if let Some(queued) = &mut self.queued
            && *reply == Ok(Value::Simple("QUEUED".into()))
        {
            queued.push(call.clone());
        } else if is_word(name, &["EXEC", "DISCARD"]) {
            self.queued = None;
        }
        vec![call.clone()]
    }
}

/// Why two replies differ; `None` when they are the same.
pub(crate) fn difference(calls: &[Call], ours: &Reply, theirs: &Reply) -> Option<String> {
    if calls.iter().any(is_another_matter) {
        return None;
    }
    let same = match (ours, theirs) {
        (Ok(Value::Array(ours)), Ok(Value::Array(theirs))) if calls.len() > 1 => {
            ours.len() == theirs.len()
                && calls.iter().zip(ours.iter().zip(theirs)).all(|(call, (ours, theirs))| same(call, ours, theirs))
        }
        (Ok(ours), Ok(theirs)) => {
            calls.first().is_some_and(|call| match (ours, theirs) {
                // A transaction of one command.
                (Value::Array(a), Value::Array(b)) if a.len() == 1 && b.len() == 1 => {
                    same(call, ours, theirs) || same(call, &a[0], &b[0])
                }
                _ => same(call, ours, theirs),
            }) || (calls.is_empty() && ours == theirs)
        }
        (Err(ours), Err(theirs)) => ours.message() == theirs.message(),
        _ => false,
    };
    (!same).then(|| format!("embedded: {}\n  redis:    {}", readable(ours), readable(theirs)))
}

/// What a server older than 7.2 does not know; and the list of commands, which is as long as an engine knows commands.
fn is_another_matter(call: &Call) -> bool {
    let word = word_of(call);
    if is_word(name_of(call), &["COMMAND"]) && !is_word(word, &["GETKEYS"]) {
        return true;
    }
    // Which takes one argument more there.
    if is_word(word, &["GETKEYS"]) && call.len() == 3 {
        return true;
    }
    is_word(name_of(call), &["ZRANK", "ZREVRANK"]) && call.len() > if is_word(&call[0], &["EVAL"]) { 6 } else { 3 }
}

/// What a command is, also where a script runs it.
fn name_of(call: &Call) -> &[u8] {
    let name = call.first().map(Vec::as_slice).unwrap_or_default();
    if is_word(name, &["EVAL"]) { call.get(3).map(Vec::as_slice).unwrap_or_default() } else { name }
}

/// The word behind the name.
fn word_of(call: &Call) -> &[u8] {
    let at = if call.first().is_some_and(|name| is_word(name, &["EVAL"])) { 4 } else { 1 };
    call.get(at).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a reply depends on the engine, its version or the time, so that only its type can be the same.
fn is_its_own(call: &Call) -> bool {
    let (name, word) = (name_of(call), word_of(call));
    is_word(name, &["DUMP", "RANDOMKEY", "INFO", "LASTSAVE", "MEMORY", "SLOWLOG"])
        || is_word(name, &["OBJECT"]) && is_word(word, &["ENCODING", "REFCOUNT", "FREQ", "IDLETIME"])
        || is_word(name, &["CLIENT"]) && is_word(word, &["ID", "INFO", "LIST"])
}

/// Whether places are told in no order, or only some of them.
fn is_unsorted(call: &Call) -> bool {
    is_word(name_of(call), &["GEOSEARCH", "GEORADIUS", "GEORADIUS_RO", "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"])
}

fn same(call: &Call, ours: &Value, theirs: &Value) -> bool {
    let name = name_of(call);
    // What a limiter says: yes or no, what is left, and three times.
    if call.iter().any(|arg| arg.starts_with(b"limit:"))
        && let (Value::Array(ours), Value::Array(theirs)) = (ours, theirs)
        && ours.len() == 5
        && theirs.len() == 5
    {
        let near = |at: usize| match (&ours[at], &theirs[at]) {
            (Value::Int(ours), Value::Int(theirs)) => ours.abs_diff(*theirs) <= 3000,
            (ours, theirs) => ours == theirs,
        };
        return ours[..2] == theirs[..2] && (2..5).all(near);
    }
    // Versions of tags, holders of locks, rests of groups and events are numbered by the clock.
    let by_clock = |arg: &Vec<u8>| {
        [&b"cache:"[..], b"lock:", b"limit:", b"stream:", b"bull:q:groups:", b"bull:q:marker"]
            .iter()
            .any(|prefix| arg.starts_with(prefix))
            || arg.ends_with(b":events")
    };
    if call.iter().any(by_clock) && !is_word(name, &["PTTL"]) {
        // What is left of a holder's time.
        if let (Value::Int(ours), Value::Int(theirs)) = (ours, theirs) {
            return ours == theirs || (*ours > 1 && *theirs > 1 && ours.abs_diff(*theirs) <= 3000);
        }
        return equal(&without_times(&timeless(ours)), &without_times(&timeless(theirs)), false);
    }
    if is_its_own(call) {
        return std::mem::discriminant(ours) == std::mem::discriminant(theirs);
    }
    if is_unsorted(call) && call.iter().any(|arg| is_word(arg, &["COUNT"])) {
        return length(ours) == length(theirs);
    }
    if is_word(name, &["HRANDFIELD", "SRANDMEMBER", "ZRANDMEMBER", "TIME"]) {
        return length(ours) == length(theirs);
    }
    // A part of the keys, which each engine draws in its own order.
    let from_the_middle = call.iter().any(|arg| arg == b"-1");
    if is_word(name, &["SCAN", "HSCAN", "SSCAN", "ZSCAN"])
        && (from_the_middle || is_partial(ours) || is_partial(theirs))
    {
        return true;
    }
    // The clocks of two processes.
    if is_word(name, &["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"])
        && let (Value::Int(ours), Value::Int(theirs)) = (ours, theirs)
    {
        return (ours.signum() == theirs.signum() || ours.min(theirs) >= &0) && (ours.abs_diff(*theirs) <= 3000);
    }
    let unordered = [
        "KEYS", "HKEYS", "HVALS", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "SPOP",
        "HGETALL",
    ];
    if is_word(name, &["XPENDING", "XINFO"]) {
        return is_word(&call[0], &["EVAL"]) || equal(&timeless(ours), &timeless(theirs), false);
    }
    // A set that is sorted by nothing.
    let by_nothing = is_word(name, &["SORT"]) && call.iter().any(|arg| arg == b"nosort");
    equal(ours, theirs, by_nothing || is_unsorted(call) || is_word(name, &unordered))
}

/// A reply with every number as long as a time of today, in milliseconds or microseconds, made the same.
fn without_times(value: &Value) -> Value {
    match value {
        Value::Bulk(text) => {
            let mut parts: Vec<&[u8]> =
                text.chunk_by(|left, right| left.is_ascii_digit() == right.is_ascii_digit()).collect();
            for at in 0..parts.len() {
                if [13, 16].contains(&parts[at].len()) && parts[at][0].is_ascii_digit() {
                    parts[at] = b"#";
                    // The number of an entry within its millisecond.
                    if parts.len() == at + 3 && parts[at + 1] == b"-" {
                        parts[at + 2] = b"#";
                    }
                }
            }
            Value::Bulk(parts.concat())
        }
        Value::Double(text) if text.len() == 13 => Value::Simple("#".into()),
        // Such as when a group's rest is over, of which the server says what is left.
        Value::Int(1_000_000_000_000..10_000_000_000_000) => Value::Simple("#".into()),
        Value::Array(items) => Value::Array(items.iter().map(without_times).collect()),
        Value::Map(pairs) => {
            Value::Map(pairs.iter().map(|(name, value)| (without_times(name), without_times(value))).collect())
        }
        other => other.clone(),
    }
}

/// What is told of a group without what clocks say, what a server older than 7.2 does not tell, and how a tree is built.
fn timeless(told: &Value) -> Value {
    let changing = ["idle", "seen-time", "inactive", "active-time", "radix-tree-keys", "radix-tree-nodes"];
    match told {
        Value::Map(pairs) => {
            let lasting = |name: &Value| !matches!(name, Value::Bulk(name) if is_word(name, &changing));
            let pairs = pairs.iter().filter(|(name, _)| lasting(name));
            Value::Map(pairs.map(|(name, value)| (name.clone(), timeless(value))).collect())
        }
        Value::Array(items) => match &items[..] {
            [id, consumer @ Value::Bulk(_), Value::Int(_), deliveries @ Value::Int(_)] => {
                Value::Array(vec![id.clone(), consumer.clone(), deliveries.clone()])
            }
            [id, Value::Int(_), deliveries @ Value::Int(_)] => Value::Array(vec![id.clone(), deliveries.clone()]),
            items => Value::Array(items.iter().map(timeless).collect()),
        },
        other => other.clone(),
    }
}

/// Whether a scan goes on after this reply.
fn is_partial(scanned: &Value) -> bool {
    matches!(scanned, Value::Array(parts) if parts.first() != Some(&Value::Bulk(b"0".to_vec())))
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) | Value::Set(items) => Some(items.len()),
        Value::Nil => None,
        _ => Some(usize::MAX),
    }
}

fn equal(ours: &Value, theirs: &Value, unordered: bool) -> bool {
    match (ours, theirs) {
        (Value::Double(a), Value::Double(b)) => same_number(a, b),
        // Behind its name, a counter of elements keeps its last estimate, or that there is none.
        (Value::Bulk(a), Value::Bulk(b)) if a.starts_with(b"HYLL") && b.starts_with(b"HYLL") => {
            a.get(16..) == b.get(16..)
        }
        (Value::Bulk(a), Value::Bulk(b)) => {
            a == b
                || matches!((std::str::from_utf8(a), std::str::from_utf8(b)), (Ok(a), Ok(b)) if (a.contains('.') || b.contains('.')) && same_number(a, b))
        }
        (Value::Array(a), Value::Array(b)) if unordered => sorted(a) == sorted(b),
        (Value::Set(a), Value::Set(b)) => sorted(a) == sorted(b),
        (Value::Map(a), Value::Map(b)) => {
            let flat = |pairs: &[(Value, Value)]| {
                let pairs: Vec<Value> = pairs.iter().map(|(k, v)| Value::Array(vec![k.clone(), v.clone()])).collect();
                sorted(&pairs)
            };
            flat(a) == flat(b)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b, false)),
        (Value::Error(a), Value::Error(b)) => a.message() == b.message(),
        (a, b) => a == b,
    }
}

#[expect(clippy::float_cmp, reason = "the same double in other digits")]
fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

/// Items by their text, at every level: hashes and sets have no order.
fn sorted(items: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::Array(items) | Value::Set(items) => format!("{:?}", sorted(items)),
            Value::Double(digits) => format!("{:?}", digits.parse::<f64>()),
            Value::Bulk(text) => {
                // Long ones are what no integer holds, in the digits that one version or the other chooses.
                let is_float = |text: &&str| text.contains('.') || text.len() >= 19;
                match std::str::from_utf8(text).ok().filter(is_float).map(str::parse::<f64>) {
                    Some(Ok(number)) => format!("{number:?}"),
                    _ => format!("{text:?}"),
                }
            }
            other => format!("{other:?}"),
        })
        .collect();
    texts.sort();
    texts
}

/// What shows all that is stored under these keys.
pub(crate) fn dump_calls(keys: &Reply) -> Vec<Call> {
    let Ok(Value::Array(keys)) = keys else { return Vec::new() };
    let mut calls = Vec::new();
    for key in keys {
        let Value::Bulk(key) = key else { continue };
        let with = |words: &str| -> Call {
            words.split(' ').map(|word| if word == "@" { key.clone() } else { word.as_bytes().to_vec() }).collect()
        };
        calls.push(with("TYPE @"));
        calls.push(with("PTTL @"));
        // Those of another type answer WRONGTYPE, the same way.
        calls.push(if key.starts_with(b"q") { with("PFCOUNT @") } else { with("GET @") });
        calls.extend(["LRANGE @ 0 -1", "HGETALL @", "SMEMBERS @", "ZRANGE @ 0 -1 WITHSCORES"].map(with));
        calls.extend(["XRANGE @ - +", "XINFO STREAM @ FULL COUNT 0"].map(with));
    }
    calls
}

/// A reply for people.
fn readable(reply: &Reply) -> String {
    fn show(value: &Value) -> String {
        let list = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>().join(" ");
        match value {
            Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            Value::Array(items) => format!("[{}]", list(items)),
            Value::Set(items) => format!("{{{}}}", list(items)),
            Value::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(name, value)| show(name) + ": " + &show(value)).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Value::Error(error) => format!("error {}", error.message()),
            other => format!("{other:?}"),
        }
    }
    reply.as_ref().map_or_else(|error| format!("error {}", error.message()), show)
}
