use std::fs;

use fastrand::Rng;

use super::{
    super::{JournalOptions, load, open, recorder::append_to, stream_groups},
    Manifest, Part, Snapshot,
};
use crate::{
    clock::Clock,
    embedded::{data::Data, number::float_text, session::Session, state::State},
    testing::TemporaryDirectory,
};

#[allow(dead_code, unreachable_pub, reason = "what the comparison with a server needs")]
#[path = "../../../tests/embedded_differential/grammar.rs"]
mod grammar;

struct Bench {
    state: State,
    session: Session,
    random: Rng,
}

impl Bench {
    fn run(&mut self, call: &[Vec<u8>]) {
        let args: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
        // Many are wrong on purpose.
        let _ = self.state.command(&mut self.session, &args, None);
    }

    fn run_some(&mut self, count: usize) {
        for _ in 0..count {
            if self.random.u8(..5) > 0 {
                for call in grammar::step(&mut self.random) {
                    self.run(&call);
                }
            } else {
                self.run_on_keys();
            }
        }
        self.state.write_journal().unwrap();
    }

    /// What moves, removes and replaces keys that are there.
    fn run_on_keys(&mut self) {
        let db = &self.state.dbs[self.session.db];
        let mut key = || match db.len() {
            0 => "none".to_owned(),
            count => String::from_utf8_lossy(db.at(self.random.usize(..count)).unwrap().0).into_owned(),
        };
        let (one, other) = (key(), key());
        let line = match self.random.u8(..24) {
            0 => "FLUSHALL".to_owned(),
            1 => "FLUSHDB".to_owned(),
            2..=5 => "SWAPDB 0 1".to_owned(),
            6..=8 => format!("RENAME {one} {other}"),
            9..=10 => format!("RENAME {one} fresh"),
            11..=13 => format!("COPY {one} {other} REPLACE"),
            14 => format!("COPY {one} fresh DB 1"),
            15..=16 => format!("MOVE {one} 1"),
            17..=18 => format!("DEL {one} {other}"),
            19..=20 => format!("PEXPIRE {one} 1"),
            21 => format!("SELECT {}", self.random.u8(..2)),
            22 => format!("XSETID {one} 999999999999999-0"),
            _ => format!("SORT {one} BY nosort STORE {other}"),
        };
        self.run(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
    }
}

/// All that has not expired, whatever order it is kept in.
fn shown(state: &State, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, db) in state.dbs.iter().enumerate() {
        for (key, entry) in db.iter(now) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let value = match &entry.data {
                Data::Text(value) => vec![text(value.bytes())],
                Data::List(list) => list.iter().map(text).collect(),
                Data::Set(set) => {
                    let mut members: Vec<String> = set.iter().map(text).collect();
                    members.sort();
                    members
                }
                Data::Hash(hash) => {
                    let mut pairs: Vec<String> =
                        hash.iter().map(|(field, value)| format!("{}={}", text(field), text(value))).collect();
                    pairs.sort();
                    pairs
                }
                Data::SortedSet(set) => {
                    set.iter().map(|(member, score)| format!("{} {}", text(member), float_text(score))).collect()
                }
                Data::Stream(stream) => {
                    let mut bytes = Vec::new();
                    stream_groups::write_stream(&mut bytes, key, stream);
                    vec![text(&bytes)]
                }
            };
            lines.push(format!("{number} {:?} {} {value:?}", text(key), entry.expires));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_copy_is_the_data_of_one_moment_whatever_is_done_meanwhile() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("OXCART_JOURNAL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    for seed in first..first + number("OXCART_JOURNAL_ROUNDS").unwrap_or(30) {
        let directory = TemporaryDirectory::new();
        let clock = Clock::manual(1_700_000_000_000);
        let mut state = State::new(clock.clone());
        open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        let session = Session::new(1, 0, true, None, 0);
        let mut bench = Bench { state, session, random: Rng::with_seed(seed) };
        bench.run_some(150);

        let next = Part { name: "appendonly.aof.2.incr.aof".to_owned(), sequence: 2 };
        let path = directory.path().join(&next.name);
        fs::write(&path, b"").unwrap();
        let (file, _) = append_to(&path).unwrap();
        bench.state.begin_copy(|journal| journal.switch(file)).unwrap();
        let (mut snapshot, mut keys, mut base) = (Snapshot::default(), Vec::new(), Vec::new());
        loop {
            let count = bench.random.usize(..6);
            bench.run_some(count);
            clock.advance_ms(bench.random.i64(..3));
            let is_last = bench.state.take_copied(bench.random.usize(1..400), &mut keys);
            snapshot.write(&keys, &mut base).unwrap();
            keys.clear();
            if is_last {
                break;
            }
        }
        bench.run_some(50);

        let part = Part { name: "appendonly.aof.1.base.aof".to_owned(), sequence: 1 };
        fs::write(directory.path().join(&part.name), &base).unwrap();
        let manifest = Manifest { base: Some(part), increments: vec![next] };
        let mut again = State::new(clock.clone());
        load::load(directory.path(), &manifest, &mut again)
            .unwrap_or_else(|error| panic!("OXCART_JOURNAL_SEED={seed}: {error}"));
        let now = clock.now_ms();
        let (here, there) = (shown(&bench.state, now), shown(&again, now));
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here, there, "OXCART_JOURNAL_SEED={seed}");
        }
        assert_eq!(here.len(), there.len(), "OXCART_JOURNAL_SEED={seed}");
    }
}

/// Bytes of commands that a base of these would have.
fn bytes_of(copied: &[crate::embedded::copying::Copied]) -> usize {
    copied.iter().map(|copied| copied.commands.len()).sum()
}

#[test]
fn large_values_are_copied_in_parts_and_the_rest_when_they_change() {
    const ELEMENTS: usize = 3_000;
    const BUDGET: usize = 3_000;
    // What one command more than the budget can be.
    const SLACK: usize = 2_000;
    let writes = ["RPUSH l more", "SADD s more", "HSET h more 1", "ZADD z 1 more"];
    for write in [None].into_iter().chain(writes.map(Some)) {
        let directory = TemporaryDirectory::new();
        let clock = Clock::manual(1_700_000_000_000);
        let mut state = State::new(clock.clone());
        open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        let mut bench = Bench { state, session: Session::new(1, 0, true, None, 0), random: Rng::with_seed(1) };
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        for number in 0..ELEMENTS {
            for line in ["RPUSH l %", "SADD s m%", "HSET h f% v", "ZADD z % m%"] {
                bench.run(&words(&line.replace('%', &number.to_string())));
            }
        }
        bench.run(&words("PEXPIRE z 1000000"));
        bench.state.write_journal().unwrap();
        let before = shown(&bench.state, clock.now_ms());

        let next = Part { name: "appendonly.aof.2.incr.aof".to_owned(), sequence: 2 };
        fs::write(directory.path().join(&next.name), b"").unwrap();
        let (file, _) = append_to(&directory.path().join(&next.name)).unwrap();
        bench.state.begin_copy(|journal| journal.switch(file)).unwrap();
        let (mut snapshot, mut copied, mut base, mut turns) = (Snapshot::default(), Vec::new(), Vec::new(), 0);
        loop {
            let is_last = bench.state.take_copied(BUDGET, &mut copied);
            let bytes = bytes_of(&copied);
            snapshot.write(&copied, &mut base).unwrap();
            copied.clear();
            turns += 1;
            let may_be_an_image = write.is_some() && turns == 4;
            assert!(bytes <= BUDGET + SLACK || may_be_an_image, "{bytes} bytes in turn {turns}, {write:?}");
            if is_last {
                break;
            }
            if let Some(write) = write.filter(|_| turns == 3) {
                bench.run(&words(write));
            }
        }
        bench.state.write_journal().unwrap();
        assert!(turns > 50 || write.is_some(), "{turns}");
        // The base alone is the data as it was when it was begun.
        let part = Part { name: "appendonly.aof.1.base.aof".to_owned(), sequence: 1 };
        fs::write(directory.path().join(&part.name), &base).unwrap();
        let load = |increments| {
            let mut again = State::new(clock.clone());
            load::load(directory.path(), &Manifest { base: Some(part.clone()), increments }, &mut again).unwrap();
            shown(&again, clock.now_ms())
        };
        assert_eq!(load(Vec::new()), before, "{write:?}");
        assert_eq!(load(vec![next]), shown(&bench.state, clock.now_ms()), "{write:?}");
    }
}
