//! When the next run of a cron pattern is. Pure.
//!
//! Five fields, or six with seconds first; names, ranges, steps, `L`, `#`, `?` and nicknames such as `@daily`. A day of
//! month and a day of week that are both given are alternatives, as in Vixie's cron and in BullMQ's parser.
//!
//! Where a zone changes its clock: a fixed time that is skipped runs at the first moment after the gap; a time that
//! comes twice runs once for a fixed time, twice for an interval such as `*/5`.

use chrono::{DateTime, Local, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::error::{Error, Result};

/// The first run after `after` (milliseconds); `None` when there is none. Without a zone, that of the process.
pub fn next(pattern: &str, zone: Option<&str>, after: i64) -> Result<Option<i64>> {
    let cron = parse(pattern)?;
    match zone {
        None => next_in(&cron, &Local, after),
        Some(zone) => next_in(&cron, &time_zone(zone)?, after),
    }
}

/// Whether pattern and zone can be used.
pub(super) fn check(pattern: &str, zone: Option<&str>) -> Result<()> {
    parse(pattern)?;
    zone.map(time_zone).transpose().map(drop)
}

fn parse(pattern: &str) -> Result<Cron> {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(pattern).map_err(|error| {
        Error::invalid_option("repeat.pattern", &format!("`{pattern}`"), "a cron pattern of 5 or 6 fields")
            .caused_by(error)
    })
}

fn time_zone(zone: &str) -> Result<Tz> {
    zone.parse().map_err(|_| Error::invalid_option("repeat.tz", &format!("`{zone}`"), "an IANA time zone"))
}

fn next_in<Z: TimeZone>(cron: &Cron, zone: &Z, after: i64) -> Result<Option<i64>>
where
    DateTime<Z>: croner::CronDateTime,
{
    let Some(after) = DateTime::<Utc>::from_timestamp_millis(after) else {
        return Err(Error::invalid_argument("after", &after.to_string(), "a time"));
    };
    Ok(cron.find_next_occurrence(&after.with_timezone(zone), false).ok().map(|next| next.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn runs(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let mut time = at(after);
        let zone_of = time_zone(zone).unwrap();
        (0..count)
            .map(|_| {
                time = next(pattern, Some(zone), time).unwrap().unwrap();
                zone_of.timestamp_millis_opt(time).unwrap().to_rfc3339()
            })
            .collect()
    }

    #[test]
    fn common_patterns() {
        // Expected values as cron-parser 5.10, which BullMQ uses, gives them.
        for (pattern, expected) in [
            ("*/15 * * * *", "2026-03-04T10:30:00+00:00"),
            ("0 9 * * 1-5", "2026-03-05T09:00:00+00:00"),
            ("*/10 * * * * *", "2026-03-04T10:17:40+00:00"),
            ("0 0 1 * *", "2026-04-01T00:00:00+00:00"),
            ("0 0 L * *", "2026-03-31T00:00:00+00:00"),
            ("0 12 * * 1#2", "2026-03-09T12:00:00+00:00"),
            ("0 12 * * 5L", "2026-03-27T12:00:00+00:00"),
            ("0 0 13 * 5", "2026-03-06T00:00:00+00:00"),
            ("@daily", "2026-03-05T00:00:00+00:00"),
            ("@hourly", "2026-03-04T11:00:00+00:00"),
            ("@weekly", "2026-03-08T00:00:00+00:00"),
            ("@monthly", "2026-04-01T00:00:00+00:00"),
            ("@yearly", "2027-01-01T00:00:00+00:00"),
            ("0 0 * * SUN", "2026-03-08T00:00:00+00:00"),
            ("0 0 * * 7", "2026-03-08T00:00:00+00:00"),
            ("30 4 1,15 * *", "2026-03-15T04:30:00+00:00"),
            ("0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
        ] {
            assert_eq!(runs(pattern, "UTC", "2026-03-04T10:17:35Z", 1), [expected], "{pattern}");
        }
    }

    #[test]
    fn a_run_is_after_never_at_the_given_time() {
        assert_eq!(
            next("* * * * *", Some("UTC"), at("2026-01-01T00:00:00Z")).unwrap(),
            Some(at("2026-01-01T00:01:00Z"))
        );
        assert_eq!(
            next("* * * * *", Some("UTC"), at("2026-01-01T00:00:00Z") - 1).unwrap(),
            Some(at("2026-01-01T00:00:00Z"))
        );
    }

    #[test]
    fn a_zone_shifts_the_day() {
        assert_eq!(runs("0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z", 1), ["2026-01-02T09:00:00+09:00"]);
        assert_eq!(runs("0 9 * * *", "America/New_York", "2026-07-01T00:00:00Z", 1), ["2026-07-01T09:00:00-04:00"]);
    }

    #[test]
    fn when_the_clock_goes_forward_a_skipped_time_runs_after_the_gap() {
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
        assert_eq!(
            runs("0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"]
        );
    }

    #[test]
    fn when_the_clock_goes_back_a_fixed_time_runs_once_and_an_interval_goes_on() {
        assert_eq!(
            runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
        assert_eq!(
            runs("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4),
            [
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-25T03:00:00+01:00"
            ]
        );
    }

    #[test]
    fn a_pattern_without_a_run_ends() {
        assert_eq!(next("0 0 30 2 *", Some("UTC"), at("2026-01-01T00:00:00Z")).unwrap(), None);
    }

    #[test]
    fn nonsense_is_refused_with_its_option() {
        for (pattern, zone) in [("* * *", None), ("61 * * * *", None), ("", None), ("* * * * *", Some("Mars/Base"))] {
            let error = check(pattern, zone).unwrap_err();
            assert_eq!(error.code(), crate::ErrorCode::InvalidOption, "{pattern}");
        }
    }
}
