//! Random commands to the embedded engine and to a real Redis: equal replies, equal errors, equal data afterwards.
//!
//! `OXCART_DIFFERENTIAL_COMMANDS` says how many commands a run tries, `OXCART_DIFFERENTIAL_SEED` repeats a run. A sequence
//! that ends in a difference is cut down to what the difference needs before it is shown.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a failed run shows its seed")]

mod compare;
mod grammar;
mod heard;
mod native;
mod scripts;

use std::sync::Arc;

use compare::{Reply, difference, dump_calls};
use fastrand::Rng;
use grammar::{Call, step};
use heard::Heard;
use native::native_of;
use oxcart::{
    clock::Clock,
    connection::{self, Command, Link},
    embedded::Embedded,
    script::ALL,
    testing::RedisServer,
};
use scripts::{Engine, call_of_each, script_call};

const SEQUENCE: usize = 200;
const MOST_SHOWN: usize = 12;

struct Pair {
    redis: Arc<dyn Link>,
    embedded: Arc<dyn Link>,
    /// What both tell of keys: embedded, Redis. Compared where it is listened to.
    heard: Option<(Arc<Heard>, Arc<Heard>)>,
    /// Whether the embedded engine runs natively what it can.
    native: bool,
}

impl Pair {
    async fn run(&self, calls: &[Call]) -> (Vec<Reply>, Vec<Reply>) {
        let command = |call: &Call| {
            let native = if self.native { native_of(call) } else { None };
            Command::default().args(call).native(native)
        };
        let commands: Vec<Command> = calls.iter().map(command).collect();
        let (embedded, redis) = (self.embedded.call_many(&commands), self.redis.call_many(&commands));
        (embedded.await, redis.await)
    }

    /// Runs a sequence on empty databases and describes the first difference.
    async fn compare(&self, calls: &[Call]) -> Option<String> {
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Call>();
        let usual = words(
            "CONFIG SET maxmemory 0 maxmemory-policy noeviction slowlog-log-slower-than 10000 slowlog-max-len 128",
        );
        self.run(&[
            words("DISCARD"),
            words("UNWATCH"),
            words("SELECT 0"),
            words("FLUSHALL"),
            words("CLIENT SETNAME "),
            usual,
        ])
        .await;
        if let Some((ours, theirs)) = &self.heard {
            ours.take(&self.embedded).await;
            theirs.take(&self.redis).await;
        }
        let (embedded, redis) = self.run(calls).await;
        let mut transaction = compare::Transaction::default();
        for ((call, ours), theirs) in calls.iter().zip(embedded).zip(redis) {
            let calls = transaction.calls_of(call, &theirs);
            if let Some(why) = difference(&calls, &ours, &theirs) {
                return Some(format!("{}\n  {why}", show(call)));
            }
        }
        self.run(&[words("DISCARD"), words("UNWATCH")]).await;
        if let Some((ours, theirs)) = &self.heard {
            let (ours, theirs) = (ours.take(&self.embedded).await, theirs.take(&self.redis).await);
            if ours != theirs {
                let at = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
                let few = |events: &[String]| events[at..].iter().take(4).cloned().collect::<Vec<_>>();
                return Some(format!("events\n  embedded: {:?}\n  redis:    {:?}", few(&ours), few(&theirs)));
            }
        }
        for db in ["0", "1"] {
            let (_, keys) = self.run(&[words(&format!("SELECT {db}")), words("KEYS *")]).await;
            let dumps = dump_calls(&keys[1]);
            let (ours, theirs) = self.run(&dumps).await;
            for ((dump, ours), theirs) in dumps.iter().zip(&ours).zip(&theirs) {
                if let Some(why) = difference(std::slice::from_ref(dump), ours, theirs) {
                    return Some(format!("afterwards: {}\n  {why}", show(dump)));
                }
            }
            let (ours, theirs) = self.run(&[words("KEYS *")]).await;
            if let Some(why) = difference(&[words("KEYS *")], &ours[0], &theirs[0]) {
                return Some(format!("afterwards: KEYS\n  {why}"));
            }
        }
        None
    }

    /// Leaves out whatever the difference does not need.
    async fn shrink(&self, mut calls: Vec<Vec<Call>>) -> (Vec<Call>, String) {
        let mut why = self.compare(&calls.concat()).await.unwrap_or_else(|| "it does not happen again".to_owned());
        let mut step = calls.len() / 2;
        while step > 0 {
            let mut at = 0;
            while at < calls.len() {
                let mut fewer = calls.clone();
                fewer.drain(at..(at + step).min(calls.len()));
                match self.compare(&fewer.concat()).await {
                    Some(same) => (calls, why) = (fewer, same),
                    None => at += step,
                }
            }
            step /= 2;
        }
        (calls.concat(), why)
    }
}

fn show(call: &Call) -> String {
    let script = |text: &str| ALL.iter().find(|script| script.text == text).map(|script| format!("<{}> ", script.name));
    let text = |arg: &Vec<u8>| {
        let text = String::from_utf8_lossy(arg);
        script(&text).unwrap_or_else(|| format!("{text:?} "))
    };
    call.iter().map(text).collect()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Tries `total` commands in sequences on an engine of its own, and shows what they do differently.
async fn try_many(total: u64, with_events: bool, sequence: impl FnMut(&mut Rng) -> Vec<Vec<Call>>) {
    try_on(&Embedded::private(Clock::system()), false, total, with_events, sequence).await;
}

async fn try_on(
    embedded: &Embedded,
    native: bool,
    total: u64,
    with_events: bool,
    mut sequence: impl FnMut(&mut Rng) -> Vec<Vec<Call>>,
) {
    let seed = setting("OXCART_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("OXCART_DIFFERENTIAL_SEED={seed}");
    let server = RedisServer::builder().process().start();
    let redis = connection::open(server.options()).unwrap();
    let embedded = embedded.link(0);
    let heard = if with_events { Some((Heard::of(&embedded).await, Heard::of(&redis).await)) } else { None };
    let pair = Pair { redis, embedded, heard, native };
    let mut random = Rng::with_seed(seed);
    let (mut done, mut differences) = (0, Vec::new());
    // One run shows several faults, each by one sequence.
    while done < total && differences.len() < MOST_SHOWN {
        let steps = sequence(&mut random);
        done += steps.len() as u64;
        // What does not come again came from two clocks.
        if pair.compare(&steps.concat()).await.is_some() && pair.compare(&steps.concat()).await.is_some() {
            let (calls, why) = pair.shrink(steps).await;
            let lines: Vec<String> = calls.iter().map(show).collect();
            differences.push(format!("{why}\nafter:\n{}", lines.join("\n")));
        }
    }
    assert!(differences.is_empty(), "seed {seed}:\n{}", differences.join("\n\n"));
}

fn total() -> u64 {
    let usual = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };
    setting("OXCART_DIFFERENTIAL_COMMANDS").unwrap_or(usual)
}

#[tokio::test]
async fn random_commands_do_the_same_in_both_engines() {
    try_many(total(), false, |random| (0..SEQUENCE).map(|_| step(random)).collect()).await;
}

#[tokio::test]
async fn random_commands_cause_the_same_events_in_both_engines() {
    try_many(total() / 4, true, |random| (0..SEQUENCE / 2).map(|_| step(random)).collect()).await;
}

#[tokio::test]
async fn our_scripts_do_the_same_in_both_engines() {
    for engine in Engine::ALL {
        let share = if engine == Engine::Queue { 20 } else { 100 };
        try_many(total() / share, false, |random| {
            let mut now = 1_700_000_000_000;
            let mut next = || {
                now += random.i64(0..1000);
                vec![script_call(random, engine, now)]
            };
            (0..SEQUENCE / 2).map(|_| next()).collect()
        })
        .await;
    }
}

/// Commands that a link shared by all cannot be given at random, each with where it is compared instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("auth", include_str!("../embedded_listener.rs")),
    ("hello", include_str!("../embedded_listener.rs")),
    ("quit", include_str!("../embedded_listener.rs")),
    ("reset", include_str!("../embedded_listener.rs")),
    ("subscribe", include_str!("../embedded_pushes.rs")),
    ("psubscribe", include_str!("../embedded_pushes.rs")),
    ("ssubscribe", include_str!("../embedded_pushes.rs")),
    ("unsubscribe", include_str!("../embedded_pushes.rs")),
    ("punsubscribe", include_str!("../embedded_pushes.rs")),
    ("sunsubscribe", include_str!("../embedded_pushes.rs")),
    ("spublish", include_str!("../embedded_pushes.rs")),
    // Younger than the servers that this is compared with.
    ("client setinfo", include_str!("../embedded.rs")),
    ("client no-touch", include_str!("../embedded.rs")),
    ("client tracking", include_str!("../embedded_pushes.rs")),
];

#[tokio::test]
async fn every_command_is_drawn_or_compared_elsewhere() {
    let link = Embedded::private(Clock::system()).link(0);
    let mut known = Vec::new();
    for row in link.call(Command::new("COMMAND")).await.unwrap().into_items().unwrap() {
        let mut row = row.into_items().unwrap();
        let within = row.pop().unwrap().into_items().unwrap();
        if within.is_empty() || row[0] == oxcart::codec::resp::Value::Bulk(b"command".to_vec()) {
            known.push(row.swap_remove(0).into_text().unwrap());
        }
        for row in within {
            known.push(row.into_items().unwrap().swap_remove(0).into_text().unwrap().replace('|', " "));
        }
    }
    let missing: Vec<_> = known
        .iter()
        .filter(|name| !grammar::has_template(name))
        .filter(|name| {
            let text = ELSEWHERE.iter().find(|(command, _)| command == name).map(|(_, text)| *text);
            // As it is sent: in capitals.
            !text.is_some_and(|text| text.contains(&name.to_uppercase()))
        })
        .collect();
    assert!(missing.is_empty(), "no template in tests/embedded_differential/grammar.rs draws {missing:?}");
}

#[test]
fn every_script_of_ours_can_be_drawn() {
    let mut random = Rng::with_seed(1);
    assert_eq!(call_of_each(&mut random, 1_700_000_000_000).len(), ALL.len());
}
