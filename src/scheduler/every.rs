//! When the next run of an interval is. Pure.
//!
//! The runs of an interval stand on a grid: every run is `offset` after a multiple of `every`. A series that was late,
//! or stood still, goes on with the next point of its grid, so it neither drifts nor catches up.

/// The first run. `offset` puts it on that grid; otherwise the run itself makes the grid.
pub(super) fn first(every: i64, offset: Option<i64>, start: i64) -> i64 {
    offset.map_or(start, |offset| on_grid(every, offset, start))
}

/// The run after `previous`.
pub(super) fn next(every: i64, offset: i64, previous: i64, now: i64) -> i64 {
    let due = previous.saturating_add(every);
    if due >= now { due } else { on_grid(every, offset, now) }
}

/// Where a run lies within its slot.
pub(super) fn offset_of(every: i64, run: i64) -> i64 {
    run.rem_euclid(every)
}

/// The first point of the grid that is not before `from`.
fn on_grid(every: i64, offset: i64, from: i64) -> i64 {
    let slot = from - from.rem_euclid(every) + offset.rem_euclid(every);
    if slot < from { slot + every } else { slot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_grid() {
        let start = 1_000_123;
        let offset = offset_of(1_000, start);
        assert_eq!(offset, 123);
        assert_eq!(first(1_000, None, start), start);
        assert_eq!(next(1_000, offset, start, start + 5), start + 1_000);
        // Taken after more than one interval: the missed runs are not made up for.
        assert_eq!(next(1_000, offset, start, start + 3_500), start + 4_000);
        assert_eq!(next(1_000, offset, start, start + 3_000), start + 3_000);
    }

    #[test]
    fn an_offset_chooses_the_grid() {
        assert_eq!(first(60_000, Some(15_000), 120_000), 135_000);
        assert_eq!(first(60_000, Some(15_000), 135_000), 135_000);
        assert_eq!(first(60_000, Some(15_000), 135_001), 195_000);
    }
}
