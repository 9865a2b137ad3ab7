//! Our scripts as the embedded engine runs them natively.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fastrand::Rng;
use oxcart::{
    clock::Clock,
    codec::resp::Value,
    connection::{Command, Link, NativeCall, NativeScript},
    embedded::{Embedded, JournalOptions},
    queue::NATIVE_SCRIPTS,
    script::ALL,
    testing::TemporaryDirectory,
};

use crate::{
    SEQUENCE,
    compare::{Reply, dump_calls},
    grammar::Call,
    scripts::{Engine, Progress, plain_call, script_call},
    total, try_on,
};

/// What may run instead of the script that a call has the text of.
pub(crate) fn native_of(call: &Call) -> Option<NativeScript> {
    let script = ALL.iter().find(|script| call.get(1).is_some_and(|text| *text == script.text.as_bytes()))?;
    NATIVE_SCRIPTS.iter().position(|(name, _)| *name == script.name).map(|at| COUNTED[at])
}

/// How often each native script ran, and declined.
static RAN: [AtomicU64; NATIVE_SCRIPTS.len()] = [const { AtomicU64::new(0) }; NATIVE_SCRIPTS.len()];
static DECLINED: [AtomicU64; NATIVE_SCRIPTS.len()] = [const { AtomicU64::new(0) }; NATIVE_SCRIPTS.len()];

fn counted<const N: usize>(call: &mut NativeCall<'_, '_>, keys: &[&[u8]], args: &[&[u8]]) -> Option<Value> {
    let reply = NATIVE_SCRIPTS[N].1(call, keys, args);
    (if reply.is_some() { &RAN[N] } else { &DECLINED[N] }).fetch_add(1, Ordering::Relaxed);
    reply
}

const COUNTED: [NativeScript; NATIVE_SCRIPTS.len()] = [counted::<0>, counted::<1>, counted::<2>];

/// A sequence of which so many percent of the calls leave nothing in the way.
fn sequence(random: &mut Rng, plain: u8) -> Vec<Vec<Call>> {
    let (mut now, mut progress) = (1_700_000_000_000, Progress::default());
    let mut next = || {
        now += random.i64(0..1000);
        vec![if random.u8(..100) < plain {
            plain_call(random, now, &mut progress)
        } else {
            script_call(random, Engine::Queue, now)
        }]
    };
    (0..SEQUENCE / 2).map(|_| next()).collect()
}

/// What is in the way now and then makes the next calls decline.
#[tokio::test]
async fn scripts_do_the_same_natively() {
    for plain in [97, 50] {
        let embedded = Embedded::private(Clock::system());
        try_on(&embedded, true, total() / 20, false, |random| sequence(random, plain)).await;
    }
    for (((name, _), ran), declined) in NATIVE_SCRIPTS.iter().zip(&RAN).zip(&DECLINED) {
        let (ran, declined) = (ran.load(Ordering::Relaxed), declined.load(Ordering::Relaxed));
        println!("{name} ran {ran} times, and declined {declined} times");
        assert!(ran > total() / 1000, "{name} ran {ran} times natively");
        assert!(declined > total() / 1000, "nothing was in the way of {name}");
    }
}

async fn run(link: &Arc<dyn Link>, calls: &[Call]) -> Vec<Reply> {
    let commands: Vec<Command> =
        calls.iter().map(|call| Command::default().args(call).native(native_of(call))).collect();
    link.call_many(&commands).await
}

async fn dump(embedded: &Embedded) -> Vec<(Call, Reply)> {
    let link = embedded.link(0);
    let mut keys = run(&link, &[vec![b"KEYS".to_vec(), b"*".to_vec()]]).await.remove(0);
    if let Ok(Value::Array(keys)) = &mut keys {
        keys.sort_by_key(|key| format!("{key:?}"));
    }
    let calls = dump_calls(&keys);
    let replies = run(&link, &calls).await;
    let sorted = calls.into_iter().zip(replies).map(|(call, reply)| match reply {
        // In any order.
        Ok(Value::Set(mut items)) => {
            items.sort_by_key(|item| format!("{item:?}"));
            (call, Ok(Value::Set(items)))
        }
        reply => (call, reply),
    });
    sorted.collect()
}

#[tokio::test]
async fn a_journal_holds_what_ran_natively() {
    let mut random = Rng::new();
    let seed = random.u64(..);
    random.seed(seed);
    for _ in 0..20 {
        let (directory, clock) = (TemporaryDirectory::new(), Clock::manual(1_700_000_000_000));
        let (written, _) = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).unwrap();
        let link = written.link(0);
        for step in sequence(&mut random, 95) {
            run(&link, &step).await;
            clock.advance_ms(random.i64(0..400));
        }
        let before = dump(&written).await;
        written.close();
        let (read, _) = Embedded::open(directory.path(), clock, JournalOptions::default()).unwrap();
        for ((call, before), (_, after)) in before.iter().zip(dump(&read).await) {
            assert_eq!(
                *before,
                after,
                "seed {seed}: {:?}",
                call.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>()
            );
        }
    }
}
