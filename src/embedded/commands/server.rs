//! What concerns the whole engine.

use std::fmt::Write as _;

use super::super::{
    args::{Args, int, is, text},
    context::{Context, bulk, bulks, count, ok},
    failure::{Answer, Failure, SYNTAX},
    glob::glob_matches,
    memory::{Policy, parse_bytes},
    notifications::Notifications,
    state::Counters,
    table::{self, ADMIN, BLOCKING, FAST, Flags, Keys, NO_SCRIPT, PUBSUB, READ, Row, WRITE},
};
use crate::codec::resp::Value;

/// The Redis whose behaviour this is.
pub(super) const VERSION: &str = super::super::lua::REDIS_VERSION;

pub(super) const ROWS: &[Row] = &[
    Row::new("info", -1, 0, Keys::None, info),
    Row::new("time", 1, FAST, Keys::None, time),
    Row::new("wait", 3, BLOCKING | NO_SCRIPT, Keys::None, wait),
    Row::new("lastsave", 1, FAST, Keys::None, lastsave),
    Row::container(
        "config",
        &[
            Row::new("config|get", -3, ADMIN | NO_SCRIPT, Keys::None, config_get),
            Row::new("config|resetstat", 2, ADMIN | NO_SCRIPT, Keys::None, config_resetstat),
            Row::new("config|set", -4, ADMIN | NO_SCRIPT, Keys::None, config_set),
        ],
    ),
    Row::container("memory", &[Row::new("memory|usage", -3, READ, Keys::At(2, 2, 1), memory_usage)]),
    Row { within: COMMAND_ROWS, ..Row::new("command", -1, 0, Keys::None, command_all) },
];

const COMMAND_ROWS: &[Row] = &[
    Row::new("command|count", 2, 0, Keys::None, command_count),
    Row::new("command|list", -2, 0, Keys::None, command_list),
    Row::new("command|info", -2, 0, Keys::None, command_info),
    Row::new("command|docs", -2, 0, Keys::None, command_docs),
    Row::new("command|getkeys", -3, 0, Keys::None, command_getkeys),
];

fn info(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let wanted: Vec<String> = args[1..].iter().map(|section| text(section).to_ascii_lowercase()).collect();
    let everything = wanted.is_empty() || wanted.iter().any(|name| ["all", "default", "everything"].contains(&&**name));
    let state = &*context.state;
    let uptime = (context.now - state.started_ms) / 1000;
    let sections = [
        (
            "Server",
            format!(
                "redis_version:{VERSION}\r\nredis_mode:standalone\r\nos:{}\r\narch_bits:64\r\nprocess_id:{}\r\n\
                 tcp_port:0\r\nuptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\nengine:embedded\r\n",
                std::env::consts::OS,
                std::process::id(),
                uptime / 86_400
            ),
        ),
        (
            "Clients",
            format!(
                "connected_clients:{}\r\nblocked_clients:{}\r\ntracking_clients:{}\r\n",
                state.sessions.len() + 1,
                state.blocked.len(),
                state.tracking.clients.len()
            ),
        ),
        (
            "Memory",
            format!(
                "used_memory:{}\r\nused_memory_vm_eval:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:{}\r\n",
                state.used_memory(),
                state.scripts.memory(),
                state.memory.limit,
                state.memory.policy.name()
            ),
        ),
        ("Persistence", "loading:0\r\naof_enabled:0\r\n".to_owned()),
        (
            "Stats",
            format!(
                "total_connections_received:{}\r\ntotal_commands_processed:{}\r\nexpired_keys:{}\r\nevicted_keys:{}\r\n\
                 pubsub_channels:{}\r\npubsub_patterns:{}\r\ntracking_total_keys:{}\r\ntracking_total_items:{}\r\n\
                 native_script_calls:{}\r\nnative_script_declines:{}\r\n",
                state.counters.sessions,
                state.counters.commands,
                state.counters.expired,
                state.counters.evicted,
                state.board.channels.len(),
                state.board.patterns.len(),
                state.tracking.len(),
                state.tracking.items(),
                state.counters.native,
                state.counters.declined
            ),
        ),
        ("Replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("Cluster", "cluster_enabled:0\r\n".to_owned()),
        ("Keyspace", keyspace(context)),
    ];
    let mut report = String::new();
    for (name, lines) in sections {
        if everything || wanted.contains(&name.to_ascii_lowercase()) {
            let _ = write!(report, "{}# {name}\r\n{lines}", if report.is_empty() { "" } else { "\r\n" });
        }
    }
    Ok(bulk(report))
}

fn keyspace(context: &Context<'_>) -> String {
    let mut lines = String::new();
    for (index, db) in context.state.dbs.iter().enumerate().filter(|(_, db)| db.len() > 0) {
        let _ = write!(lines, "db{index}:keys={},expires={},avg_ttl=0\r\n", db.len(), db.volatile_len());
    }
    lines
}

/// The clock counts milliseconds, so the microseconds count the commands that asked within one: scripts make numbers of
/// them that must grow. Time stands still within a script and a transaction.
fn time(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    const MICROS: i64 = 1_000_000;
    let begins = context.now * 1_000;
    let told = &mut context.state.told;
    if !std::mem::replace(&mut told.by_this_command, true) {
        told.us = (told.us + 1).clamp(begins, begins + 999);
    }
    let mut digits = itoa::Buffer::new();
    let seconds = bulk(digits.format(told.us.div_euclid(MICROS)));
    Ok(Value::Array(vec![seconds, bulk(digits.format(told.us.rem_euclid(MICROS)))]))
}

/// No replica ever acknowledges; there is none to wait for.
fn wait(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    int(args[1])?;
    let timeout = super::super::number::parse_int(args[2])
        .ok_or(Failure::fixed("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 { Err(Failure::fixed("ERR timeout is negative")) } else { Ok(Value::Int(0)) }
}

fn lastsave(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(Value::Int(context.state.started_ms / 1000))
}

/// Settings that clients ask for, as they are here, and that cannot be changed.
const SETTINGS: &[(&str, &str)] =
    &[("appendonly", "no"), ("databases", "16"), ("proto-max-bulk-len", "536870912"), ("save", ""), ("timeout", "0")];

fn config_get(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let memory = context.state.memory;
    let changeable = [
        ("maxmemory", memory.limit.to_string()),
        ("maxmemory-policy", memory.policy.name().to_owned()),
        ("maxmemory-samples", memory.samples.to_string()),
        ("notify-keyspace-events", context.state.notifications.letters()),
        ("slowlog-log-slower-than", context.state.slow_log.threshold.to_string()),
        ("slowlog-max-len", context.state.slow_log.most.to_string()),
        ("tracking-table-max-keys", context.state.tracking.most_keys.to_string()),
    ];
    let fits = |name: &str| args[2..].iter().any(|pattern| glob_matches(pattern, name.as_bytes(), true));
    let fixed = SETTINGS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let pairs = changeable.into_iter().chain(fixed).filter(|(name, _)| fits(name));
    Ok(context.map(pairs.map(|(name, value)| (bulk(name), bulk(value))).collect()))
}

/// Settings that can be changed.
const CHANGEABLE: [&str; 7] = [
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "notify-keyspace-events",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "tracking-table-max-keys",
];

/// A change of a setting, whose name is among [`CHANGEABLE`].
enum Change {
    Limit(usize),
    Policy(Policy),
    Samples(usize),
    TrackedKeys(usize),
    Events(u16),
    SlowFrom(i64),
    SlowCommands(usize),
}

impl Change {
    fn parse(name: &str, value: &[u8]) -> Result<Self, Failure> {
        let value = text(value);
        let refused =
            |why: &str| Failure::new(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"));
        let number = |least: i64, most: i64| match super::super::number::parse_int(value.as_bytes()) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            Some(_) => Err(refused(&format!("argument must be between {least} and {most} inclusive"))),
            None => Err(refused("argument couldn't be parsed into an integer")),
        };
        let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        match name {
            "maxmemory" => {
                parse_bytes(&value).map(Self::Limit).ok_or_else(|| refused("argument must be a memory value"))
            }
            "maxmemory-policy" => Policy::parse(&value)
                .map(Self::Policy)
                .ok_or_else(|| refused(&format!("argument(s) must be one of the following: {}", Policy::names()))),
            "notify-keyspace-events" => Notifications::parse(value.as_bytes())
                .map(Self::Events)
                .ok_or_else(|| refused("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")),
            "slowlog-log-slower-than" => number(-1, i64::MAX).map(Self::SlowFrom),
            "slowlog-max-len" => number(0, i64::MAX).map(|most| Self::SlowCommands(size(most))),
            "tracking-table-max-keys" => number(0, i64::MAX).map(|most| Self::TrackedKeys(size(most))),
            _ => number(1, 64).map(|samples| Self::Samples(size(samples))),
        }
    }
}

fn config_set(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    // The names first, as Redis does.
    for (at, [name, _]) in pairs.iter().enumerate() {
        let is_twice = pairs[..at].iter().any(|[other, _]| other.eq_ignore_ascii_case(name));
        let given = text(name);
        let name = given.to_ascii_lowercase();
        let refused =
            |why: &str| Failure::new(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"));
        if SETTINGS.iter().any(|(known, _)| *known == name) {
            return Err(refused("can't set immutable config"));
        }
        if !CHANGEABLE.contains(&&*name) {
            return Err(Failure::new(format!("ERR Unknown option or number of arguments for CONFIG SET - '{given}'")));
        }
        if is_twice {
            return Err(refused("duplicate parameter"));
        }
    }
    // All or nothing.
    let changes = pairs.iter().map(|[name, value]| Change::parse(&text(name).to_ascii_lowercase(), value));
    let now = context.now;
    for change in changes.collect::<Result<Vec<_>, _>>()? {
        match change {
            Change::Limit(limit) => context.state.bound_memory(limit, now),
            Change::Policy(policy) => context.state.evict_by(policy, now),
            Change::SlowFrom(threshold) => context.state.slow_log.threshold = threshold,
            Change::SlowCommands(most) => context.state.slow_log.most = most,
            Change::Events(kinds) => context.state.notifications.set(kinds),
            Change::TrackedKeys(most) => context.state.tracking.most_keys = most,
            Change::Samples(samples) => context.state.memory.samples = samples,
        }
    }
    // Redis makes room at once.
    context.state.make_room(now);
    Ok(ok())
}

fn config_resetstat(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let sessions = context.state.counters.sessions;
    // The number of the last client is what the next one's follows.
    context.state.counters = Counters { sessions, ..Counters::default() };
    Ok(ok())
}

fn memory_usage(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    // What a value weighs is known without samples.
    let mut rest = &args[3..];
    while let [word, after @ ..] = rest {
        match after {
            [samples, after @ ..] if is(word, "SAMPLES") && int(samples)? >= 0 => rest = after,
            _ => return Err(SYNTAX),
        }
    }
    let now = context.now;
    let Some(entry) = context.db().entry(args[2], now) else { return Ok(Value::Nil) };
    Ok(count(args[2].len() + entry.data.weight() + 64))
}

fn flag_names(context: &Context<'_>, flags: Flags) -> Value {
    let names = [
        (WRITE, "write"),
        (READ, "readonly"),
        (FAST, "fast"),
        (BLOCKING, "blocking"),
        (NO_SCRIPT, "noscript"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
    ];
    let set = names.iter().filter(|(flag, _)| flags & flag != 0);
    context.set_of(set.map(|(_, name)| Value::Simple((*name).to_owned())).collect())
}

/// A command as `COMMAND INFO` describes it.
fn describe(context: &Context<'_>, row: &Row) -> Value {
    let (first, last, step) = match row.keys {
        Keys::At(first, last, step) => (first, last, step),
        Keys::OneAndCounted(one, _) => (one.cast_signed(), one.cast_signed(), 1),
        Keys::None | Keys::Counted(_) | Keys::Streams => (0, 0, 0),
    };
    let number = |number: i8| Value::Int(i64::from(number));
    Value::Array(vec![
        bulk(row.name),
        number(row.arity),
        flag_names(context, row.flags),
        number(first),
        number(last),
        number(step),
        context.set_of(Vec::new()),
        context.set_of(Vec::new()),
        context.set_of(Vec::new()),
        Value::Array(row.within.iter().map(|row| describe(context, row)).collect()),
    ])
}

fn command_all(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(Value::Array(table::all().map(|row| describe(context, row)).collect()))
}

fn command_count(_: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(count(table::all().count()))
}

/// There are no modules, and nobody's rights go by categories.
fn command_list(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    let pattern = match args[2..] {
        [] => None,
        [filter, by, pattern] if is(filter, "FILTERBY") && is(by, "PATTERN") => Some(pattern),
        [filter, by, _] if is(filter, "FILTERBY") && is(by, "MODULE") => return Ok(Value::Array(Vec::new())),
        _ => return Err(SYNTAX),
    };
    let fits = |name: &&[u8]| pattern.is_none_or(|pattern| glob_matches(pattern, name, true));
    Ok(bulks(table::all().map(|row| row.name.as_bytes()).filter(fits)))
}

fn command_info(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() == 2 {
        return command_all(context, args);
    }
    Ok(Value::Array(
        args[2..].iter().map(|name| table::find(name).map_or(Value::Nil, |row| describe(context, row))).collect(),
    ))
}

/// Texts that only an interactive client shows.
fn command_docs(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(context.map(Vec::new()))
}

fn command_getkeys(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    let row = table::find(args[2]).ok_or(Failure::fixed("ERR Invalid command specified"))?;
    let args = &args[2..];
    if !row.takes(args.len()) {
        return Err(Failure::fixed("ERR Invalid number of arguments specified for command"));
    }
    let keys = row.keys_of(args);
    if !row.counts_right(args) {
        return Err(Failure::fixed("ERR Invalid arguments specified for command"));
    }
    if keys.is_empty() {
        return Err(Failure::fixed("ERR The command has no key arguments"));
    }
    Ok(bulks(keys.into_iter()))
}
