//! `queue/fetch_jobs` for jobs that wait without priority.

use super::{
    arguments::{event_bound, whole},
    take::{Take, TakeKeys},
};
use crate::{codec::resp::Value, connection::NativeCall};

pub(in crate::queue) fn fetch_jobs(call: &mut NativeCall<'_, '_>, keys: &[&[u8]], args: &[&[u8]]) -> Option<Value> {
    let &[wait, active, prioritized, pc, delayed, meta, marker, _limiter, events, prefix] = keys else { return None };
    let &[time, wanted, ahead, token, lock_ms, worker_name, limiter_max, _limiter_ms] = args else { return None };
    if !limiter_max.is_empty() {
        return None;
    }
    event_bound(call, meta)?;
    whole(time)?;
    let take = Take::read(time, wanted, ahead, token, lock_ms, worker_name)?;
    let keys = TakeKeys { wait, active, prioritized, pc, delayed, marker, events, prefix };
    let plan = take.plan(call, &keys, |_| false)?;
    Some(Value::Array(plan.take(call)))
}
