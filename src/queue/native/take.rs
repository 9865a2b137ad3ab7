//! `lib/take` for jobs that wait without priority, in a queue that nothing bounds.

use super::arguments::{KeyOf, amount, exact, is_ambiguous, whole};
use crate::{codec::resp::Value, connection::NativeCall};

/// Jobs of one call at most; the Lua goes on in further rounds.
const MOST: usize = 1000;

/// The fields of a job that was never touched since it was added.
const PLAIN: [&[u8]; 6] = [b"name", b"data", b"opts", b"timestamp", b"delay", b"priority"];

/// What a worker asks for.
pub(super) struct Take<'a> {
    time: &'a [u8],
    now: i64,
    wanted: usize,
    token: &'a [u8],
    lock_ms: i64,
    worker_name: &'a [u8],
}

pub(super) struct TakeKeys<'a> {
    pub(super) wait: &'a [u8],
    pub(super) active: &'a [u8],
    pub(super) prioritized: &'a [u8],
    pub(super) pc: &'a [u8],
    pub(super) delayed: &'a [u8],
    pub(super) marker: &'a [u8],
    pub(super) events: &'a [u8],
    pub(super) prefix: &'a [u8],
}

/// A take in whose way nothing stands.
pub(super) struct Plan<'t, 'a> {
    take: &'t Take<'a>,
    keys: &'t TakeKeys<'a>,
    /// Score of the next delayed job.
    due: Option<f64>,
}

impl<'a> Take<'a> {
    pub(super) fn read(
        time: &'a [u8],
        wanted: &[u8],
        ahead: &[u8],
        token: &'a [u8],
        lock_ms: &[u8],
        worker_name: &'a [u8],
    ) -> Option<Self> {
        let wanted = amount(wanted)?.checked_add(amount(ahead)?).filter(|wanted| *wanted <= MOST)?;
        let lock_ms = whole(lock_ms).filter(|ms| *ms > 0)?;
        Some(Self { time, now: whole(time)?, wanted, token, lock_ms, worker_name })
    }

    /// Looks at everything that taking changes. `may_go` are jobs that may be gone by the time they are taken.
    pub(super) fn plan<'t>(
        &'t self,
        call: &NativeCall<'_, '_>,
        keys: &'t TakeKeys<'a>,
        may_go: impl Fn(&[u8]) -> bool,
    ) -> Option<Plan<'t, 'a>> {
        let due = call.sorted_head(keys.delayed, 1)?.next().map(|(_, score)| score);
        // What is due has to wait with the others first.
        let last_due = exact(self.now.checked_add(1)?.checked_mul(4096)? - 1);
        if due.is_some_and(|score| score <= last_due) {
            return None;
        }
        call.list_length(keys.active)?;
        call.sorted_length(keys.marker)?;
        let waiting = call.list_length(keys.wait)?;
        let prioritized = call.sorted_length(keys.prioritized)?;
        if waiting < self.wanted && prioritized > 0 {
            return None;
        }
        let count = waiting.min(self.wanted);
        call.can_append(keys.events, count)?;
        let mut key_of = KeyOf::new(keys.prefix);
        for id in call.list_tail(keys.wait, count)? {
            if is_ambiguous(id) || may_go(id) {
                return None;
            }
            let job = call.hash(key_of.job(id))??;
            // Whose attempts are counted in another way than ours, Lua reads.
            if job.count() > PLAIN.len() && job.get(b"ats").is_some_and(|started| whole(started).is_none()) {
                return None;
            }
        }
        Some(Plan { take: self, keys, due })
    }
}

impl Plan<'_, '_> {
    /// Takes the jobs, and gives what the script does.
    pub(super) fn take(self, call: &mut NativeCall<'_, '_>) -> Vec<Value> {
        let Self { take, keys, due } = self;
        if take.wanted == 0 {
            return vec![Value::Int(0), Value::Int(0)];
        }
        let mut next_due = 0;
        let ids = call.pop_back(keys.wait, take.wanted);
        let drained = ids.len() < take.wanted;
        let (mut key_of, mut locks) = (KeyOf::new(keys.prefix), KeyOf::new(keys.prefix));
        let mut jobs = Vec::with_capacity(ids.len());
        let expires = call.now().saturating_add(take.lock_ms);
        for id in &ids {
            let key = key_of.job(id);
            let (job, started) = read_job(call, key);
            call.set_text(locks.part(id, b":lock"), take.token, Some(expires));
            let mut number = itoa::Buffer::new();
            let started = number.format(started).as_bytes();
            let fields = [[b"processedOn", take.time], [b"ats", started], [b"pb", take.worker_name]];
            call.set_fields(key, if take.worker_name.is_empty() { &fields[..2] } else { &fields });
            jobs.push(Value::Array(job));
        }
        if !ids.is_empty() {
            let told: Vec<[&[u8]; 6]> =
                ids.iter().map(|id| [&b"event"[..], b"active", b"jobId", id, b"prev", b"waiting"]).collect();
            call.append(keys.events, told.iter().map(|fields| &fields[..]));
            call.push(keys.active, &ids.iter().map(Vec::as_slice).collect::<Vec<_>>(), true);
        }
        if drained {
            call.delete(keys.pc);
            #[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
            let due = due.map_or(0, |score| (score / 4096.0).floor() as i64);
            next_due = due;
        } else {
            call.add_members(keys.marker, &[(0.0, b"0", b"0")]);
        }
        let mut taken = Vec::with_capacity(2 + 2 * ids.len());
        taken.extend([Value::Int(0), Value::Int(next_due)]);
        taken.extend(ids.into_iter().zip(jobs).flat_map(|(id, job)| [Value::Bulk(id), job]));
        taken
    }
}

/// A job as it is told, and how often it will have been started.
fn read_job(call: &NativeCall<'_, '_>, key: &[u8]) -> (Vec<Value>, i64) {
    // It was looked at before.
    let Some(Some(job)) = call.hash(key) else { return (Vec::new(), 1) };
    let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
    if job.count() == PLAIN.len() {
        let mut values = Vec::with_capacity(PLAIN.len() + 1);
        if job.iter().zip(PLAIN).all(|((field, _), plain)| field == plain) {
            values.extend(job.iter().map(|(_, value)| bulk(value)));
        } else {
            values.extend(PLAIN.iter().map_while(|field| job.get(field).map(bulk)));
        }
        if values.len() == PLAIN.len() {
            values.push(Value::Int(1));
            return (values, 1);
        }
    }
    let started = job.get(b"ats").and_then(whole).unwrap_or(0) + 1;
    (job.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]).collect(), started)
}
