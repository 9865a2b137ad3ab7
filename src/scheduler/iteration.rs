//! The next job of a scheduler: made when a worker takes the current one or, where runs must not overlap, when it ends.

use serde_json::{Map, Value as Json};

use super::{
    RepeatOptions, RunPolicy, SchedulerRecord, keys, last_run, repair, scheduler,
    scripts::{self, Step},
};
use crate::{
    connection::BoxFuture,
    error::Result,
    queue::{JobRecord, Queue, Recurrence, RunPlan, Settlement, Suspects},
};

/// The [`Recurrence`] that workers are started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextIteration;

impl Recurrence for NextIteration {
    fn plan(&self, queue: &Queue, job: &JobRecord) -> RunPlan {
        let (Some(run), Some(repeat)) = (keys::run_of(&job.id), repeat_of(&job.opts)) else {
            return RunPlan::default();
        };
        let policy = RunPolicy::of_repeat(&repeat);
        // One that has begun before is not late but tried again.
        let is_fresh = job.attempts_made == 0 && job.stalled_count == 0;
        RunPlan {
            is_missed: is_fresh && policy.is_missed(run, queue.now()),
            waits_for_end: policy.waits_for_end(),
            is_tracked: policy.track_runs,
        }
    }

    fn advance<'a>(
        &'a self,
        queue: &'a Queue,
        job: &'a JobRecord,
        at_end: bool,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(advance(queue, job, at_end, None))
    }

    fn drop_missed<'a>(&'a self, queue: &'a Queue, job: &'a JobRecord, token: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let scheduler = job.scheduler_id.as_deref().unwrap_or_default();
            scripts::drop_missed_run(queue, scheduler, &job.id, token).await
        })
    }

    fn record<'a>(
        &'a self,
        queue: &'a Queue,
        job: &'a JobRecord,
        end: Option<(&'a Settlement, &'a str)>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(last_run::record(queue, job, end))
    }

    fn repair<'a>(&'a self, queue: &'a Queue, suspects: &'a mut Suspects) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(repair::sweep(queue, suspects))
    }
}

/// The [`Recurrence`] of workers whose owner tells when runs come, by [`JobScheduler::advance`](super::JobScheduler): no
/// run counts as missed, and none is looked for that went lost, since the time of none is known here.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerIteration;

impl Recurrence for OwnerIteration {
    fn plan(&self, _: &Queue, _: &JobRecord) -> RunPlan {
        RunPlan::default()
    }

    fn advance<'a>(&'a self, _: &'a Queue, _: &'a JobRecord, _: bool) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async { Ok(None) })
    }

    fn drop_missed<'a>(&'a self, _: &'a Queue, _: &'a JobRecord, _: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn record<'a>(
        &'a self,
        _: &'a Queue,
        _: &'a JobRecord,
        _: Option<(&'a Settlement, &'a str)>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn repair<'a>(&'a self, _: &'a Queue, _: &'a mut Suspects) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Gives the id of the job that it made. `chosen` is the next run when a strategy of the caller tells it.
pub(super) async fn advance(
    queue: &Queue,
    job: &JobRecord,
    at_end: bool,
    chosen: Option<i64>,
) -> Result<Option<String>> {
    let (Some(id), Some(run)) = (job.scheduler_id.as_deref(), keys::run_of(&job.id)) else { return Ok(None) };
    let Some(record) = scheduler::read(queue, id).await? else { return Ok(None) };
    // One that is ahead was advanced by whoever took this job first.
    if record.next != Some(run) {
        return Ok(None);
    }
    let repeat = repeat_of(&job.opts).unwrap_or_default();
    let number = |name: &str| repeat.get(name).and_then(Json::as_i64);
    let count = number("count").unwrap_or(record.iterations) + 1;
    if record.repeat.limit.is_some_and(|limit| count > limit) {
        return Ok(None);
    }
    let passed =
        Passed { run, started: job.processed_on.unwrap_or(run), made_up: number("madeUp").unwrap_or(0), at_end };
    let template = Template::of(&record, Some(job));
    let mut after: Option<i64> = None;
    for _ in 0..super::scheduler::SLOTS {
        let now = queue.now();
        let (next, made_up) = match after {
            _ if chosen.is_some() => (record.repeat.within_end(chosen, now), 0),
            None => passed.next(&record.repeat, now)?,
            Some(taken) => (record.repeat.next(taken, now)?, 0),
        };
        let Some(next) = next else { return Ok(None) };
        let repeat = record.repeat.clone().with_grid_of(run);
        let iteration = template.iteration(&repeat, count, made_up, id, next, now);
        match scripts::advance_scheduler(queue, &job.id, &iteration.borrowed(&template, id)).await? {
            Step::Nothing => return Ok(None),
            Step::Done => return Ok(Some(keys::job_id(id, next))),
            Step::SlotUsed => {}
        }
        if chosen.is_some() {
            break;
        }
        after = Some(next);
    }
    Err(scheduler::no_slot(queue, id))
}

/// A run, and what has happened since its time.
struct Passed {
    run: i64,
    started: i64,
    /// Runs made up for in a row, up to this one.
    made_up: i64,
    at_end: bool,
}

impl Passed {
    /// The time of the next run, and how many have then been made up for in a row.
    fn next(&self, repeat: &RepeatOptions, now: i64) -> Result<(Option<i64>, i64)> {
        let policy = &repeat.policy;
        if policy.makes_up(self.made_up) {
            // What came while the run lasted was not missed, unless it is to wait for the run's end.
            let until = if self.at_end && !policy.queues() { self.started } else { now };
            let missed = repeat.after(self.run, self.run, now)?.filter(|&run| run <= until);
            if missed.is_some() {
                return Ok((missed, self.made_up + 1));
            }
        } else if self.at_end && policy.queues() {
            let waiting = repeat.after(self.run, self.run.max(self.started), now)?.filter(|&run| run <= now);
            if waiting.is_some() {
                return Ok((waiting, 0));
            }
        }
        Ok((repeat.next(self.run, now)?, 0))
    }
}

fn repeat_of(opts: &str) -> Option<Map<String, Json>> {
    let mut opts: Map<String, Json> = serde_json::from_str(opts).ok()?;
    match opts.remove("repeat") {
        Some(Json::Object(repeat)) => Some(repeat),
        _ => None,
    }
}

/// What all jobs of a scheduler are made of.
pub(super) struct Template<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a str,
    pub(super) opts: &'a str,
}

/// One job of a scheduler.
pub(super) struct Made {
    run: i64,
    due: i64,
    opts: String,
    priority: i64,
    front: bool,
    group: String,
}

impl<'a> Template<'a> {
    /// From the scheduler or, where that says nothing, from the job before.
    pub(super) fn of(record: &'a SchedulerRecord, job: Option<&'a JobRecord>) -> Self {
        Self {
            name: match job {
                Some(job) if record.name.is_empty() => &job.name,
                _ => &record.name,
            },
            data: record.data.as_deref().or_else(|| job.map(|job| job.data.as_str())).unwrap_or("{}"),
            opts: record.opts.as_deref().unwrap_or("{}"),
        }
    }

    pub(super) fn iteration(
        &self,
        repeat: &RepeatOptions,
        count: i64,
        made_up: i64,
        scheduler: &str,
        run: i64,
        now: i64,
    ) -> Made {
        let due = if repeat.immediately && count == 1 { run } else { repeat.policy.due(run) };
        let mut opts: Map<String, Json> = serde_json::from_str(self.opts).unwrap_or_default();
        let of_group = opts.get("group").and_then(Json::as_object);
        let group = of_group.and_then(|group| group.get("id")).and_then(Json::as_str).unwrap_or_default().to_owned();
        let priority = of_group.unwrap_or(&opts).get("priority").and_then(Json::as_i64).unwrap_or(0);
        let front = opts.get("lifo").and_then(Json::as_bool).unwrap_or(false);
        opts.entry("attempts").or_insert_with(|| 0.into());
        let mut of_repeat = repeat.to_value(count);
        if made_up > 0 {
            of_repeat["madeUp"] = made_up.into();
        }
        for (name, value) in [
            ("repeat", of_repeat),
            ("repeatJobKey", scheduler.into()),
            ("jobId", keys::job_id(scheduler, run).into()),
            ("prevMillis", run.into()),
            ("delay", (due - now).max(0).into()),
            ("timestamp", now.into()),
        ] {
            opts.insert(name.to_owned(), value);
        }
        Made { run, due, opts: Json::Object(opts).to_string(), priority, front, group }
    }
}

impl Made {
    /// As the scripts take it.
    pub(super) fn borrowed<'a>(&'a self, template: &Template<'a>, scheduler: &'a str) -> scripts::Iteration<'a> {
        scripts::Iteration {
            scheduler,
            run: self.run,
            due: self.due,
            name: template.name,
            data: template.data,
            opts: &self.opts,
            priority: self.priority,
            front: self.front,
            group: &self.group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::{MissedRuns, Overlap};

    fn every_ten(missed_runs: Option<MissedRuns>, overlap: Option<Overlap>) -> RepeatOptions {
        let policy = RunPolicy { missed_runs, overlap, max_missed_runs: Some(2), ..RunPolicy::default() };
        RepeatOptions { every: Some(10), offset: Some(0), policy, ..RepeatOptions::default() }
    }

    fn next(repeat: &RepeatOptions, started: i64, made_up: i64, at_end: bool, now: i64) -> (i64, i64) {
        let passed = Passed { run: 100, started, made_up, at_end };
        let (next, made_up) = passed.next(repeat, now).unwrap();
        (next.unwrap(), made_up)
    }

    #[test]
    fn without_policies_one_late_run_stands_for_all() {
        assert_eq!(next(&every_ten(None, None), 135, 0, false, 135), (140, 0));
    }

    #[test]
    fn all_missed_runs_are_made_up_for_up_to_the_bound() {
        let repeat = every_ten(Some(MissedRuns::RunAll), None);
        assert_eq!(next(&repeat, 135, 0, false, 135), (110, 1));
        assert_eq!(next(&repeat, 135, 2, false, 135), (140, 0));
        assert_eq!(next(&repeat, 105, 1, false, 105), (110, 0));
    }

    #[test]
    fn times_within_a_run_are_left_out_or_wait_once() {
        assert_eq!(next(&every_ten(None, Some(Overlap::Skip)), 101, 0, true, 135), (140, 0));
        assert_eq!(next(&every_ten(None, Some(Overlap::Queue)), 101, 0, true, 135), (110, 0));
        // Runs that were missed before this one began are not waiting.
        assert_eq!(next(&every_ten(None, Some(Overlap::Queue)), 121, 0, true, 135), (130, 0));
        assert_eq!(next(&every_ten(None, Some(Overlap::Queue)), 131, 0, true, 135), (140, 0));
    }

    #[test]
    fn what_was_missed_before_a_run_is_made_up_for_after_it() {
        let repeat = every_ten(Some(MissedRuns::RunAll), Some(Overlap::Skip));
        assert_eq!(next(&repeat, 125, 0, true, 135), (110, 1));
        assert_eq!(next(&repeat, 105, 0, true, 135), (140, 0));
    }
}
