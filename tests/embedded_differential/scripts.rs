//! Our scripts with random arguments, over the keys of one queue or one cache.
//!
//! What a key or an argument is drawn from goes by its name in the script's header. A name that is not listed here fails
//! the test: a script whose arguments nobody thought about would only be run with nonsense.

use fastrand::Rng;
use oxcart::script::{ALL, ScriptInfo};

use crate::grammar::Call;

/// Whose data a script works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Queue,
    Cache,
    Lock,
    RateLimit,
    PubSub,
}

impl Engine {
    pub(crate) const ALL: [Self; 5] = [Self::Queue, Self::Cache, Self::Lock, Self::RateLimit, Self::PubSub];

    fn scripts(self) -> Vec<&'static ScriptInfo> {
        let of = |script: &&ScriptInfo| match script.name.split('/').next() {
            Some("cache") => Self::Cache,
            Some("lock") => Self::Lock,
            Some("rate_limit") => Self::RateLimit,
            Some("pubsub") => Self::PubSub,
            _ => Self::Queue,
        };
        ALL.iter().filter(|script| of(script) == self).collect()
    }

    /// What the others have nothing to do without.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Queue => &["queue/add_jobs", "queue/add_flow", "queue/fetch_jobs", "queue/finish_jobs"],
            Self::Cache => &["cache/write_tagged", "cache/lease_missing", "cache/hold_work"],
            Self::Lock => &["lock/acquire_lock"],
            Self::RateLimit => &["rate_limit/acquire_slot"],
            Self::PubSub => &["pubsub/append_message"],
        }
    }
}

/// What the scripts of groups find something to do after.
const OF_GROUPS: [&str; 3] = [
    "XGROUP CREATE stream:a g1 0 MKSTREAM",
    "XREADGROUP GROUP g1 c1 COUNT 2 STREAMS stream:a >",
    "XREADGROUP GROUP g1 c2 COUNT 1 STREAMS stream:a >",
];

/// A call of one of the scripts of an engine. `now` is the time that it is told.
pub(crate) fn script_call(random: &mut Rng, engine: Engine, now: i64) -> Call {
    if engine == Engine::PubSub && random.bool() {
        return OF_GROUPS[random.usize(..OF_GROUPS.len())].split(' ').map(|word| word.as_bytes().to_vec()).collect();
    }
    let scripts = engine.scripts();
    let script = if random.u8(..3) == 0 {
        let name = engine.usual()[random.usize(..engine.usual().len())];
        scripts.iter().find(|script| script.name == name).unwrap()
    } else {
        scripts[random.usize(..scripts.len())]
    };
    call_of(random, script, now)
}

/// How far plain calls have come, if nothing else came between.
#[derive(Default)]
pub(crate) struct Progress {
    added: usize,
    taken: usize,
    finished: usize,
}

/// A call that adds, takes or finishes jobs of which nothing unusual is asked.
pub(crate) fn plain_call(random: &mut Rng, now: i64, progress: &mut Progress) -> Call {
    let name = ["queue/add_jobs", "queue/fetch_jobs", "queue/finish_jobs", "queue/finish_jobs"][random.usize(..4)];
    let script = ALL.iter().find(|script| script.name == name).unwrap();
    let mut call: Call = vec![b"EVAL".to_vec(), script.text.into(), script.keys.len().to_string().into()];
    call.extend(script.keys.iter().map(|key_name| key(random, name, key_name).unwrap().into_bytes()));
    // By calls before this one.
    let taken = progress.taken;
    for name in script.args {
        call.push(match *name {
            "limiter_max" | "limiter_ms" => Vec::new(),
            "token" => b"t1".to_vec(),
            "metrics_points" => b"0".to_vec(),
            "wanted" | "ahead" => {
                let wanted = if *name == "wanted" { random.usize(..6) } else { random.usize(..6).saturating_sub(3) };
                progress.taken = progress.added.min(progress.taken + wanted);
                wanted.to_string().into_bytes()
            }
            name => argument(random, script.name, name, now).unwrap().into_bytes(),
        });
    }
    let most = [1, 3, 12][random.usize(..3)];
    let rounds = random.usize(1..=most);
    let mut items: Vec<String> = Vec::new();
    if name == "queue/add_jobs" {
        for _ in 0..PROFILES {
            let lifo = if random.u8(..12) == 0 { "1" } else { "0" };
            let profile = [&pick(random, &["mail", "sms"]), "{}", "0", "0", lifo, "", "0", ""];
            items.extend(profile.map(str::to_owned));
        }
        progress.added += rounds;
        for _ in 0..rounds {
            let own = if random.u8(..12) == 0 { format!("own{}", random.u8(..5)) } else { String::new() };
            // Short: a real server gives the fields of a hash with a long value in any order.
            let data = "x".repeat(random.usize(..50));
            items.extend([own, format!(r#"{{"to":"{data}"}}"#), now.to_string(), pick(random, &["1", "2"])]);
        }
    } else if name == "queue/finish_jobs" {
        let kept = pick(random, &["-1", "-1", "0", "2", "5"]);
        let age = pick(random, &["", "", "", "3", "1000000"]);
        for attempts in ["1", "2"] {
            let plain = pick(random, &["1", "1", ""]);
            let profile = ["t1", "completed", "", attempts, "0", "0", &kept, &age, "100", "", &plain];
            items.extend(profile.map(str::to_owned));
        }
        let from = progress.finished.saturating_sub(usize::from(random.u8(..8) == 0));
        let until = taken.min(from + rounds);
        progress.finished = progress.finished.max(until);
        for id in from + 1..=until.max(from + 1) {
            items.extend([id.to_string(), (now - i64::from(random.u8(..50))).to_string(), "5".to_owned()]);
            items.push(pick(random, &["1", "2"]));
        }
    }
    call.extend(items.into_iter().map(String::into_bytes));
    call
}

/// A call of each script, so that one without a generator is found whatever is drawn.
pub(crate) fn call_of_each(random: &mut Rng, now: i64) -> Vec<Call> {
    ALL.iter().map(|script| call_of(random, script, now)).collect()
}

fn call_of(random: &mut Rng, script: &ScriptInfo, now: i64) -> Call {
    let mut call: Call = vec![b"EVAL".to_vec(), script.text.into(), script.keys.len().to_string().into()];
    let missing = |what: &str, name: &str| -> ! {
        panic!("{} takes the {what} `{name}`, which tests/embedded_differential/scripts.rs does not draw", script.name)
    };
    for name in script.keys {
        let key = key(random, script.name, name).unwrap_or_else(|| missing("key", name));
        call.push(key.into_bytes());
    }
    for name in script.args {
        let argument = argument(random, script.name, name, now).unwrap_or_else(|| missing("argument", name));
        call.push(argument.into_bytes());
    }
    if let Some(name) = script.rest {
        let items = rest(random, script.name, now).unwrap_or_else(|| missing("variadic argument", name));
        call.extend(items.into_iter().map(String::into_bytes));
    }
    call
}

fn pick(random: &mut Rng, words: &[&str]) -> String {
    words[random.usize(..words.len())].to_owned()
}

fn id(random: &mut Rng) -> String {
    pick(random, &["1", "2", "3", "4", "5", "own"])
}

fn tag(random: &mut Rng) -> String {
    pick(random, &["t1", "t2", "t3"])
}

fn key(random: &mut Rng, script: &str, name: &str) -> Option<String> {
    Some(match name {
        "prefix" if script.starts_with("cache/") => "cache:".to_owned(),
        "items" | "due" | "claimed" | "versions" | "sweep" if script.starts_with("cache/") => format!("cache:#{name}"),
        "lease" | "lock" if script.starts_with("cache/") => {
            format!("cache:#{name}:{}", pick(random, &["a", "b", "c"]))
        }
        "lease_prefix" => "cache:#lease:".to_owned(),
        "entry_prefix" => "cache:".to_owned(),
        "lock" => format!("lock:{}", pick(random, &["a", "b"])),
        "fence" => format!("lock:{}:fence", pick(random, &["a", "b"])),
        "entry" => format!("cache:{}", pick(random, &["a", "b", "c"])),
        "prefix" | "target" => "bull:q:".to_owned(),
        "job" => format!("bull:q:{}", id(random)),
        "window" => "bull:q:de:d1".to_owned(),
        "logs" => format!("bull:q:{}:logs", id(random)),
        "scheduler" => format!("bull:q:repeat:{}", pick(random, &["s1", "s2"])),
        "workers" => "bull:q:oxcart:workers".to_owned(),
        "worker" => format!("bull:q:oxcart:workers:{}", pick(random, &["w1", "w2"])),
        "letters" => "bull:dead:".to_owned(),
        "repeat_set" => "bull:q:repeat".to_owned(),
        "counter" if script.starts_with("rate_limit/") => {
            format!("limit:{}:{}", &script["rate_limit/".len()..], pick(random, &["a", "b"]))
        }
        "stream" => "stream:a".to_owned(),
        "dead" => "stream:a:dead".to_owned(),
        // One that nobody used: it fills by the clock.
        "bucket" => format!("limit:{}", random.u64(..)),
        "slots" => format!("limit:slots:{}", pick(random, &["a", "b"])),
        "counter" => "bull:q:id".to_owned(),
        "set" | "finished_set" => format!("bull:q:{}", pick(random, &["completed", "failed"])),
        "waiting_children" => "bull:q:waiting-children".to_owned(),
        "stalled_check" => "bull:q:stalled-check".to_owned(),
        "metrics_completed" | "metrics_failed" => format!("bull:q:{}", name.replace('_', ":")),
        "wait" | "paused" | "active" | "prioritized" | "pc" | "delayed" | "meta" | "marker" | "limiter" | "events"
        | "stalled" | "completed" | "failed" | "groups" => format!("bull:q:{name}"),
        _ => return None,
    })
}

fn argument(random: &mut Rng, script: &str, name: &str, now: i64) -> Option<String> {
    let words: &[&str] = match name {
        "now" | "now_ms" | "created_ms" => return Some(now.to_string()),
        "next_run" | "due" | "due_ms" | "until_ms" | "before" | "lost" | "run" => {
            return Some((now + random.i64(-2000..5000)).to_string());
        }
        "expected" => {
            return Some(if random.bool() { String::new() } else { (now + random.i64(-2000..5000)).to_string() });
        }
        "retry_ms" => return Some(if random.bool() { String::new() } else { (now + 1000).to_string() }),
        // A claim is known by its end.
        "claim_ms" => &["1700000900000", "1700000901000"],
        "count" => &["1", "5"],
        "max_items" => &["0", "2"],
        "version" => &["1", "2", "3"],
        "payload" => &["{}", "a:b"],
        "swept" => &["", "", "5"],
        "lock_token" => &["", "t1"],
        "began" => &["1", "9000000000000000"],
        "keep_due" | "absent" => &["0", "1"],
        "id" | "taken" => return Some(id(random)),
        "token" => &["t1", "t2"],
        "queue" => &["q"],
        "group" if script.starts_with("pubsub/") => &["g1", "g1", "g2"],
        "group" => &["", "g1", "g2"],
        "concurrency" | "max" => &["", "-", "1", "2"],
        "ms" => &["", "-", "1000"],
        "how" => &["pause", "resume", "1000"],
        "max_waiting" => &["", "", "1", "2"],
        "policy" => &["", "dropOldest"],
        "first" | "last" => &["0", "1", "5"],
        "worker_id" => &["w1", "w2"],
        "rest_ms" => &["0", "0", "3600000"],
        // Longer than a run on a busy machine: two servers do not notice an end in the same call.
        "lock_ms" | "gone_ms" | "interval_ms" | "keep_ms" | "lease_ms" | "window_ms" => &["3600000"],
        "ttl_ms" => &["3600000", "7200000"],
        // Never reached: what is left of its time is told by two clocks.
        "limiter_max" => &["", "1000000"],
        "limiter_ms" => &["", "1000"],
        "limit" if script.starts_with("rate_limit/") => &["1", "2", "50"],
        "wanted" | "ahead" | "earlier" | "limit" | "slice" | "kept" | "kept_delayed" | "max_stalled" => {
            &["0", "1", "2", "50"]
        }
        "keep" => &["", "0", "1", "3"],
        // Never reached: how many more than about so many stay is each server's own matter.
        "max_length" | "max_dead" => &["1000"],
        "max_deliveries" => &["1", "2", "5"],
        "message" => &["{}", "m"],
        "consumer" => &["c1", "c2"],
        "burst" => &["2", "50"],
        "cost" => &["0", "1", "2"],
        // One: two are ordered by the clock.
        "holder" => &["", "h1"],
        "priority" => &["0", "0", "1", "5"],
        "front" | "force" | "with_delayed" | "alone" | "with_children" | "is_over" => &["", "0", "1"],
        "reset" => &["", "m", "s", "ms"],
        "child" => &["", "", "bull:q:1", "bull:q:own"],
        "state" => &["wait", "active", "delayed", "prioritized", "waiting-children", "completed", "failed", "odd"],
        "from" => &["completed", "failed"],
        "delay" | "skip" => &["0", "0", "1000"],
        "profile_count" => return Some(PROFILES.to_string()),
        "metrics_points" => &["0", "3"],
        "cursor" => &["", "0"],
        "data" | "progress" | "row" | "value" | "description" => &["{}", r#"{"a":1}"#, "5", "null"],
        "opts" => &["{}", r#"{"a":1}"#, r#"{"attempts":3}"#],
        "worker_name" => &["", "w"],
        "number" => &["5", "1700000000000000", "9000000000000000"],
        "record" => return Some(format!(r#"{{"scheduledFor":{now}}}"#)),
        "name" => &["mail", "sms"],
        "condition" => &["", "", "NX", "XX"],
        _ => return None,
    };
    Some(pick(random, words))
}

/// Profiles in each call of a script that takes such.
const PROFILES: usize = 2;

/// A script's variadic arguments.
fn rest(random: &mut Rng, script: &str, now: i64) -> Option<Vec<String>> {
    let rounds = random.usize(1..=3);
    let mut repeat = |times: usize, round: &dyn Fn(&mut Rng) -> Vec<String>| -> Vec<String> {
        (0..times).flat_map(|_| round(random)).collect()
    };
    Some(match script {
        "cache/lease_missing" => repeat(rounds, &|random| vec![pick(random, &["a", "b", "c"])]),
        "cache/write_tagged" | "cache/read_tags" | "cache/invalidate_tags" | "cache/tags_since" => {
            repeat(rounds, &|random| vec![tag(random)])
        }
        "pubsub/claim_messages" => repeat(rounds - 1, &|random| vec![pick(random, &["1-1", "2-1"])]),
        "queue/remove_orphaned_jobs" => repeat(rounds, &|random| vec![id(random)]),
        "queue/add_jobs" => {
            let profiles = repeat(PROFILES, &|random| {
                vec![
                    pick(random, &["mail", "sms"]),
                    pick(random, &["{}", r#"{"attempts":2}"#]),
                    pick(random, &["0", "0", "1500"]),
                    pick(random, &["0", "0", "3"]),
                    pick(random, &["0", "1", ""]),
                    pick(random, &["", "", "d1"]),
                    pick(random, &["0", "3600000"]),
                    pick(random, &["", "{}"]),
                ]
            });
            let jobs = repeat(rounds, &|random| {
                let own = pick(random, &["", "", "", "own"]);
                vec![own, r#"{"to":1}"#.to_owned(), now.to_string(), pick(random, &["1", "2"])]
            });
            [profiles, jobs].concat()
        }
        "queue/add_flow" => repeat(rounds, &|random| flow_node(random, now)),
        "queue/finish_jobs" => {
            let profiles = repeat(PROFILES, &|random| {
                vec![
                    pick(random, &["t1", "t2"]),
                    pick(random, &["completed", "failed", "retry", "later", "delayed", "wait", "children"]),
                    pick(random, &["", r#"["stack"]"#]),
                    "1".to_owned(),
                    (now + 1000).to_string(),
                    pick(random, &["0", "1"]),
                    pick(random, &["", "-1", "0", "2"]),
                    pick(random, &["", "0", "10"]),
                    "100".to_owned(),
                    pick(random, &["", "d1"]),
                    pick(random, &["", "1"]),
                ]
            });
            let outcomes = repeat(rounds, &|random| {
                vec![id(random), now.to_string(), pick(random, &["5", "why"]), pick(random, &["1", "2"])]
            });
            [profiles, outcomes].concat()
        }
        "queue/add_each_job" => repeat(rounds, &|random| {
            vec![
                pick(random, &["", "", "", "own"]),
                pick(random, &["mail", "sms"]),
                r#"{"to":1}"#.to_owned(),
                pick(random, &["{}", r#"{"attempts":2}"#]),
                now.to_string(),
                pick(random, &["0", "0", "1500"]),
                pick(random, &["0", "0", "3"]),
                pick(random, &["0", "1", ""]),
                pick(random, &["", "", "d1"]),
                pick(random, &["0", "3600000"]),
                pick(random, &["", "{}"]),
                pick(random, &["", "g1", "g2"]),
                pick(random, &["", "", "1", "2"]),
            ]
        }),
        "queue/bury_jobs" => repeat(rounds, &|random| {
            vec![
                id(random),
                pick(random, &["", "t1", "t2"]),
                "2026-02-07T10:00:00.000Z".to_owned(),
                pick(random, &["why", ""]),
                r#"["stack"]"#.to_owned(),
                "1".to_owned(),
                pick(random, &["", "d1"]),
                "attempts".to_owned(),
            ]
        }),
        "queue/redrive_jobs" => repeat(rounds, &|random| vec![id(random), r#"{"to":1}"#.to_owned()]),
        "queue/extend_locks" => repeat(rounds, &|random| vec![id(random), pick(random, &["t1", "t2"])]),
        "scheduler/upsert_scheduler" => {
            repeat(rounds, &|random| vec![pick(random, &["name", "tz", "limit"]), "1".to_owned()])
        }
        _ => return None,
    })
}

/// One job of `queue/add_flow`.
fn flow_node(random: &mut Rng, now: i64) -> Vec<String> {
    let parent = pick(random, &["", "", "1", "2", "own"]);
    let flags = pick(random, &["", r#","fpof":true"#, r#","cpof":true"#, r#","idof":true"#, r#","rdof":true"#]);
    let [parent_prefix, parent_json] = if parent.is_empty() {
        [String::new(), String::new()]
    } else {
        ["bull:q:".to_owned(), format!(r#"{{"id":"{parent}","queueKey":"bull:q"{flags}}}"#)]
    };
    let outside = if parent.is_empty() { "0".to_owned() } else { pick(random, &["0", "1"]) };
    let own = pick(random, &["", "", "own", "3"]);
    vec![
        outside,
        "bull:q:".to_owned(),
        own,
        pick(random, &["mail", "sms"]),
        r#"{"to":1}"#.to_owned(),
        pick(random, &["{}", r#"{"attempts":2}"#]),
        now.to_string(),
        pick(random, &["0", "0", "1500"]),
        pick(random, &["0", "0", "3"]),
        pick(random, &["0", "1"]),
        pick(random, &["0", "1"]),
        parent_prefix,
        parent,
        parent_json,
        pick(random, &["", "", "d1"]),
        pick(random, &["0", "3600000"]),
        pick(random, &["", "k"]),
        pick(random, &["", "", "g1"]),
        pick(random, &["", "", "2"]),
    ]
}
