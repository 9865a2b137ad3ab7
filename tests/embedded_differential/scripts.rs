//! Our scripts with random arguments, over the keys of one queue.

use fastrand::Rng;
use oxcart::script::{ALL, ScriptInfo};

use crate::grammar::Call;

/// A call of one of the scripts of queues and schedulers. `now` is the time that it is told.
pub(crate) fn script_call(random: &mut Rng, now: i64) -> Call {
    let scripts: Vec<&ScriptInfo> = ALL.iter().filter(|script| !script.name.starts_with("cache/")).collect();
    // Without jobs the others have nothing to do.
    let wanted = ["queue/add_jobs", "queue/fetch_jobs", "queue/finish_jobs"];
    let script = if random.u8(..3) == 0 {
        let name = wanted[random.usize(..wanted.len())];
        scripts.iter().find(|script| script.name == name).unwrap()
    } else {
        scripts[random.usize(..scripts.len())]
    };
    let mut call: Call = vec![b"EVAL".to_vec(), script.text.into(), script.keys.len().to_string().into()];
    call.extend(script.keys.iter().map(|name| key(random, name).into_bytes()));
    call.extend(script.args.iter().map(|name| argument(random, name, now).into_bytes()));
    call.extend(rest(random, script.name, now).into_iter().map(String::into_bytes));
    call
}

fn pick(random: &mut Rng, words: &[&str]) -> String {
    words[random.usize(..words.len())].to_owned()
}

fn id(random: &mut Rng) -> String {
    pick(random, &["1", "2", "3", "4", "5", "own"])
}

fn key(random: &mut Rng, name: &str) -> String {
    match name {
        "prefix" => "bull:q:".to_owned(),
        "job" => format!("bull:q:{}", id(random)),
        "logs" => format!("bull:q:{}:logs", id(random)),
        "scheduler" => format!("bull:q:repeat:{}", pick(random, &["s1", "s2"])),
        "repeat_set" => "bull:q:repeat".to_owned(),
        "counter" => "bull:q:id".to_owned(),
        "set" | "finished_set" => format!("bull:q:{}", pick(random, &["completed", "failed"])),
        "waiting_children" => "bull:q:waiting-children".to_owned(),
        "stalled_check" => "bull:q:stalled-check".to_owned(),
        other => format!("bull:q:{}", other.replace('_', ":")),
    }
}

fn argument(random: &mut Rng, name: &str, now: i64) -> String {
    match name {
        "now" | "created_ms" => now.to_string(),
        "id" | "taken" => id(random),
        "token" => pick(random, &["t1", "t2"]),
        "lock_ms" | "interval_ms" | "keep_ms" => "30000".to_owned(),
        "next_run" | "due" | "before" | "expected" => (now + random.i64(-2000..5000)).to_string(),
        // Never reached: what is left of its time is told by two clocks.
        "limiter_max" => pick(random, &["", "1000000"]),
        "limiter_ms" => pick(random, &["", "1000"]),
        "wanted" | "limit" | "slice" | "kept" | "max_stalled" => pick(random, &["0", "1", "2", "50"]),
        "priority" => pick(random, &["0", "0", "1", "5"]),
        "front" | "force" | "reset" | "with_delayed" => pick(random, &["", "0", "1"]),
        "state" => pick(
            random,
            &["wait", "active", "delayed", "prioritized", "waiting-children", "completed", "failed", "odd"],
        ),
        "from" => pick(random, &["completed", "failed"]),
        "delay" | "skip" => pick(random, &["0", "0", "1000"]),
        "profile_count" => PROFILES.to_string(),
        "metrics_points" => pick(random, &["0", "3"]),
        "cursor" => pick(random, &["", "0"]),
        "data" | "progress" | "opts" | "row" => pick(random, &["{}", r#"{"a":1}"#, "5", "null"]),
        "worker_name" => pick(random, &["", "w"]),
        _ => pick(random, &["", "0", "1", "3", "name", r#"{"attempts":3}"#]),
    }
}

/// Profiles of `queue/add_jobs` and `queue/finish_jobs` in each call.
const PROFILES: usize = 2;

fn profile(random: &mut Rng, script: &str, now: i64) -> Vec<String> {
    match script {
        "queue/add_jobs" => vec![
            pick(random, &["mail", "sms"]),
            pick(random, &["{}", r#"{"attempts":2}"#]),
            pick(random, &["0", "0", "1500"]),
            pick(random, &["0", "0", "3"]),
            pick(random, &["0", "1", ""]),
            pick(random, &["", "", "d1"]),
            pick(random, &["0", "60000"]),
            pick(random, &["", "{}"]),
        ],
        "queue/finish_jobs" => vec![
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
            String::new(),
            String::new(),
            String::new(),
        ],
        _ => Vec::new(),
    }
}

fn rest(random: &mut Rng, script: &str, now: i64) -> Vec<String> {
    let mut rest = Vec::new();
    for _ in 0..PROFILES {
        rest.extend(profile(random, script, now));
    }
    for _ in 0..random.usize(1..=3) {
        match script {
            "queue/add_jobs" => rest.extend([
                pick(random, &["", "", "", "own"]),
                r#"{"to":1}"#.to_owned(),
                now.to_string(),
                pick(random, &["1", "2"]),
            ]),
            "queue/finish_jobs" => {
                rest.extend([id(random), now.to_string(), pick(random, &["5", "why"]), pick(random, &["1", "2"])])
            }
            "queue/extend_locks" => rest.extend([id(random), pick(random, &["t1", "t2"])]),
            "scheduler/upsert_scheduler" => rest.extend([pick(random, &["name", "tz", "limit"]), "1".to_owned()]),
            _ => {}
        }
    }
    rest
}
