//! `queue/finish_jobs` for jobs that completed, have neither parent nor children, and stay or go as their policy says.

use hashbrown::{HashMap, HashSet};

use super::{
    arguments::{KeyOf, SUFFIXES, amount, event_bound, exact, is_ambiguous, whole},
    take::{Take, TakeKeys},
};
use crate::{codec::resp::Value, connection::NativeCall};

/// Outcomes of one call at most.
const MOST: usize = 1000;
/// From so many on, the tail of the active list is looked at once for all.
const AT_ONCE: usize = 4;

/// What the script is called with.
struct Arguments<'a> {
    profiles: Vec<Profile<'a>>,
    outcomes: Vec<Outcome<'a>>,
    keep: Keep,
}

struct Profile<'a> {
    token: &'a [u8],
    attempts: &'a [u8],
    /// It had the fields of a plain job only when it was taken.
    is_plain: bool,
}

struct Outcome<'a> {
    id: &'a [u8],
    at: &'a [u8],
    score: f64,
    result: &'a [u8],
    profile: usize,
}

/// Which finished jobs stay, the same for all outcomes of a call.
#[derive(Clone, Copy, PartialEq)]
struct Keep {
    /// -1 for any number.
    count: i64,
    /// Seconds.
    age: Option<i64>,
    /// Jobs that go at once at most.
    evicted: usize,
}

impl Keep {
    fn read(count: &[u8], age: &[u8], evicted: &[u8]) -> Option<Self> {
        let age = if age.is_empty() { None } else { Some(whole(age)?) };
        Some(Self { count: whole(count)?, age, evicted: amount(evicted).filter(|most| *most > 0)? })
    }
}

impl<'a> Arguments<'a> {
    fn read(profile_count: &[u8], rest: &[&'a [u8]]) -> Option<Self> {
        let (profiles, outcomes) = rest.split_at_checked(amount(profile_count)?.checked_mul(11)?)?;
        let mut keep = None;
        let profiles: Option<Vec<_>> = profiles
            .as_chunks::<11>()
            .0
            .iter()
            .map(|&[token, kind, _stacktrace, attempts, _due, _lifo, count, age, evicted, deduplication, is_plain]| {
                let own = Keep::read(count, age, evicted)?;
                let same = *keep.get_or_insert(own) == own;
                let plain = kind == b"completed" && deduplication.is_empty() && same;
                plain.then_some(Profile { token, attempts, is_plain: is_plain == b"1" })
            })
            .collect();
        let profiles = profiles?;
        let (outcomes, []) = outcomes.as_chunks::<4>() else { return None };
        let outcomes: Option<Vec<_>> = outcomes
            .iter()
            .map(|&[id, at, result, profile]| {
                let profile = amount(profile)?.checked_sub(1)?;
                profiles.get(profile)?;
                Some(Outcome { id, at, score: exact(whole(at)?), result, profile })
            })
            .collect();
        let outcomes = outcomes.filter(|outcomes| (1..=MOST).contains(&outcomes.len()))?;
        Some(Self { profiles, outcomes, keep: keep? })
    }
}

pub(in crate::queue) fn finish_jobs(call: &mut NativeCall<'_, '_>, keys: &[&[u8]], args: &[&[u8]]) -> Option<Value> {
    let &[
        wait,
        active,
        prioritized,
        pc,
        delayed,
        meta,
        marker,
        _limiter,
        events,
        stalled,
        completed,
        _failed,
        _waiting_children,
        _metrics_completed,
        _metrics_failed,
        prefix,
    ] = keys
    else {
        return None;
    };
    let [time, metrics, wanted, ahead, token, lock_ms, worker_name, limiter_max, _limiter_ms, profile_count, rest @ ..] =
        args
    else {
        return None;
    };
    if *metrics != b"0" || !limiter_max.is_empty() {
        return None;
    }
    let Arguments { profiles, outcomes, keep } = Arguments::read(profile_count, rest)?;
    let take = Take::read(time, wanted, ahead, token, lock_ms, worker_name)?;
    let takes = *wanted != b"0" || *ahead != b"0";
    let take_keys = TakeKeys { wait, active, prioritized, pc, delayed, marker, events, prefix };
    let now = whole(time)?;

    let bound = event_bound(call, meta)?;
    call.is_set_or_missing(stalled)?;
    call.can_append(events, outcomes.len() + take_room(&take_keys, call)?)?;
    call.sorted_length(completed)?;
    let ids: HashSet<&[u8]> = outcomes.iter().map(|outcome| outcome.id).collect();
    let may_go = |id: &[u8]| ids.contains(id) || call.has_member(completed, id);
    let plan = take.plan(call, &take_keys, may_go)?;
    let mut key_of = KeyOf::new(prefix);
    let plain_size = if worker_name.is_empty() { 8 } else { 9 };
    for outcome in &outcomes {
        let profile = &profiles[outcome.profile];
        let job = call.hash(key_of.job(outcome.id))??;
        // With no more fields it has neither a parent nor a child that failed.
        let is_plain = profile.is_plain && job.count() == plain_size;
        let has_parent = !is_plain && job.get(b"parentKey").is_some();
        let is_ours = call.text(key_of.part(outcome.id, b":lock"))? == Some(profile.token);
        let has_children = call.exists(key_of.part(outcome.id, b":dependencies"))?
            || (!is_plain && call.exists(key_of.part(outcome.id, b":unsuccessful"))?);
        if has_parent || !is_ours || has_children || is_ambiguous(outcome.id) {
            return None;
        }
    }
    if ids.len() < outcomes.len() || !are_active(call, active, &outcomes, &ids)? {
        return None;
    }
    let going = evictions(call, completed, &outcomes, keep, now)?;

    leave(call, active, &outcomes);
    for outcome in &outcomes {
        call.delete(key_of.part(outcome.id, b":lock"));
    }
    call.remove_from_set(stalled, &outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>());
    if keep.count == 0 {
        for outcome in &outcomes {
            delete_job(call, &mut key_of, outcome.id);
        }
    } else {
        for outcome in &outcomes {
            let attempts = profiles[outcome.profile].attempts;
            let fields = [[b"returnvalue", outcome.result], [b"finishedOn", outcome.at], [b"atm", attempts]];
            call.set_fields(key_of.job(outcome.id), &fields);
        }
        let members: Vec<_> = outcomes.iter().map(|outcome| (outcome.score, outcome.at, outcome.id)).collect();
        call.add_members(completed, &members);
    }
    let told: Vec<[&[u8]; 8]> = outcomes
        .iter()
        .map(|outcome| {
            let (id, result) = (outcome.id, outcome.result);
            [&b"event"[..], b"completed", b"jobId", id, b"returnvalue", result, b"prev", b"active"]
        })
        .collect();
    call.append(events, told.iter().map(|fields| &fields[..]));
    evict(call, completed, &mut key_of, going);

    let jobs = if takes { plan.take(call) } else { vec![Value::Int(0), Value::Int(0)] };
    if jobs.len() == 2 {
        // Everything that is asked here was looked at as what it is.
        let waiting = call.list_length(wait)? + call.sorted_length(prioritized)?;
        if waiting > 0 {
            call.add_members(marker, &[(0.0, b"0", b"0")]);
        } else if call.list_length(active)? == 0 {
            call.append(events, [&[&b"event"[..], b"drained"][..]]);
        }
    }
    call.trim(events, bound);
    let results = outcomes.iter().map(|_| Value::Int(1)).collect();
    Some(Value::Array(vec![Value::Array(results), Value::Array(jobs)]))
}

/// Events that taking and draining may add.
fn take_room(keys: &TakeKeys<'_>, call: &NativeCall<'_, '_>) -> Option<usize> {
    call.list_length(keys.wait).map(|waiting| waiting + 1)
}

/// Whether every job stands where it is looked for first.
fn are_active(
    call: &NativeCall<'_, '_>,
    active: &[u8],
    outcomes: &[Outcome<'_>],
    ids: &HashSet<&[u8]>,
) -> Option<bool> {
    let count = if outcomes.len() < AT_ONCE { usize::MAX } else { 2 * outcomes.len() };
    let mut found = HashSet::with_capacity(ids.len());
    for id in call.list_tail(active, count)? {
        if let Some(id) = ids.get(id) {
            found.insert(*id);
        }
    }
    Some(found.len() == ids.len())
}

fn leave(call: &mut NativeCall<'_, '_>, active: &[u8], outcomes: &[Outcome<'_>]) {
    if outcomes.len() < AT_ONCE {
        for outcome in outcomes {
            call.remove_last(active, outcome.id);
        }
        return;
    }
    let mut left: HashMap<&[u8], bool> = outcomes.iter().map(|outcome| (outcome.id, false)).collect();
    // Of two with one id the other one stays.
    call.retain_tail(active, 2 * outcomes.len(), |id| {
        left.get_mut(id).is_none_or(|gone| std::mem::replace(gone, true))
    });
}

/// How many finished jobs go, the oldest first.
fn evictions(
    call: &NativeCall<'_, '_>,
    completed: &[u8],
    outcomes: &[Outcome<'_>],
    keep: Keep,
    now: i64,
) -> Option<usize> {
    let stored = call.sorted_length(completed)?;
    if keep.count == 0 {
        return Some(0);
    }
    if let Some(age) = keep.age {
        let until = exact(now.checked_sub(age.checked_mul(1000)?)?);
        let oldest = call.sorted_head(completed, 1)?.map(|(_, score)| score);
        if oldest.chain(outcomes.iter().map(|outcome| outcome.score)).any(|score| score <= until) {
            return None;
        }
    }
    if keep.count < 0 {
        return Some(0);
    }
    // A job that finished before, and was put back by hand, is there already.
    let mut key = outcomes.iter().map(|outcome| outcome.id);
    if key.any(|id| call.has_member(completed, id)) {
        return None;
    }
    let over = (stored + outcomes.len()).saturating_sub(usize::try_from(keep.count).ok()?);
    Some(over.min(keep.evicted.min((2 * outcomes.len()).max(50))))
}

fn evict(call: &mut NativeCall<'_, '_>, completed: &[u8], key_of: &mut KeyOf, count: usize) {
    let Some(oldest) = call.sorted_head(completed, count) else { return };
    let ids: Vec<Vec<u8>> = oldest.map(|(id, _)| id.to_vec()).collect();
    if ids.is_empty() {
        return;
    }
    for id in &ids {
        delete_job(call, key_of, id);
    }
    call.remove_members(completed, &ids.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

fn delete_job(call: &mut NativeCall<'_, '_>, key_of: &mut KeyOf, id: &[u8]) {
    call.delete(key_of.job(id));
    for suffix in SUFFIXES {
        call.delete(key_of.part(id, suffix));
    }
}
