//! `queue/add_jobs` for jobs that wait at once, with an id of their own or the next one.

use hashbrown::HashSet;

use super::arguments::{KeyOf, amount, event_bound, whole};
use crate::{codec::resp::Value, connection::NativeCall};

/// Jobs of one call at most; what Lua unpacks has its limits, too.
const MOST: usize = 1000;

/// What the script is called with.
struct Arguments<'a> {
    profiles: Vec<Profile<'a>>,
    jobs: Vec<Job<'a>>,
}

struct Profile<'a> {
    name: &'a [u8],
    opts: &'a [u8],
    lifo: bool,
    /// None of what only the Lua does.
    plain: bool,
}

struct Job<'a> {
    own_id: &'a [u8],
    data: &'a [u8],
    timestamp: &'a [u8],
    profile: usize,
}

impl<'a> Arguments<'a> {
    fn read(args: &[&'a [u8]]) -> Option<Self> {
        let [_now, profile_count, rest @ ..] = args else { return None };
        let (profiles, jobs) = rest.split_at_checked(amount(profile_count)?.checked_mul(8)?)?;
        let profiles: Vec<_> = profiles
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&[name, opts, delay, priority, lifo, deduplication, _, _]| Profile {
                name,
                opts,
                lifo: lifo == b"1",
                plain: delay == b"0" && priority == b"0" && deduplication.is_empty(),
            })
            .collect();
        let (jobs, []) = jobs.as_chunks::<4>() else { return None };
        let jobs: Option<Vec<_>> = jobs
            .iter()
            .map(|&[own_id, data, timestamp, profile]| {
                let profile = amount(profile)?.checked_sub(1)?;
                profiles.get(profile)?.plain.then_some(Job { own_id, data, timestamp, profile })
            })
            .collect();
        jobs.filter(|jobs| (1..=MOST).contains(&jobs.len())).map(|jobs| Self { profiles, jobs })
    }
}

pub(in crate::queue) fn add_jobs(call: &mut NativeCall<'_, '_>, keys: &[&[u8]], args: &[&[u8]]) -> Option<Value> {
    let &[counter, wait, _prioritized, _pc, _delayed, _active, meta, marker, events, prefix] = keys else {
        return None;
    };
    let Arguments { profiles, jobs } = Arguments::read(args)?;

    let bound = event_bound(call, meta)?;
    call.list_length(wait)?;
    call.sorted_length(marker)?;
    call.can_append(events, 2 * jobs.len())?;
    let stored = call.text(counter)?.map_or(Some(0), whole)?;
    let by = i64::try_from(jobs.len()).ok()?;
    let sum = stored.checked_add(by).filter(|sum| *sum > 0 && *sum < 1 << 53)?;
    let ids: Vec<Vec<u8>> = jobs
        .iter()
        .zip(stored + 1..)
        .map(|(job, number)| match job.own_id {
            b"" => itoa::Buffer::new().format(number).as_bytes().to_vec(),
            own => own.to_vec(),
        })
        .collect();
    let mut key_of = KeyOf::new(prefix);
    let has_own = jobs.iter().any(|job| !job.own_id.is_empty());
    for id in &ids {
        let key = key_of.job(id);
        // One that would be the name of something else, too.
        if call.exists(key)? || (has_own && keys.contains(&key)) {
            return None;
        }
    }
    if has_own && ids.iter().collect::<HashSet<_>>().len() < ids.len() {
        return None;
    }

    call.count_up(counter, sum, by);
    for (job, id) in jobs.iter().zip(&ids) {
        let profile = &profiles[job.profile];
        call.set_fields(
            key_of.job(id),
            &[
                [b"name", profile.name],
                [b"data", job.data],
                [b"opts", profile.opts],
                [b"timestamp", job.timestamp],
                [b"delay", b"0"],
                [b"priority", b"0"],
            ],
        );
    }
    let told: Vec<[&[u8]; 6]> = jobs
        .iter()
        .zip(&ids)
        .map(|(job, id)| [&b"event"[..], b"added", b"jobId", id, b"name", profiles[job.profile].name])
        .collect();
    let waiting: Vec<[&[u8]; 4]> = ids.iter().map(|id| [&b"event"[..], b"waiting", b"jobId", id]).collect();
    call.append(events, told.iter().zip(&waiting).flat_map(|(added, waiting)| [&added[..], &waiting[..]]));
    for front in [true, false] {
        // The list's head is the end of the line.
        let same = jobs.iter().zip(&ids).filter(|(job, _)| profiles[job.profile].lifo != front);
        let same: Vec<&[u8]> = same.map(|(_, id)| id.as_slice()).collect();
        if !same.is_empty() {
            call.push(wait, &same, front);
        }
    }
    call.add_members(marker, &[(0.0, b"0", b"0")]);
    call.trim(events, bound);
    Some(Value::Array(ids.into_iter().map(Value::Bulk).collect()))
}
