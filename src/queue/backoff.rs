//! How long a failed job waits.

use super::Backoff;

/// Milliseconds before the attempt that follows `attempts_made`; `None` when the kind is not built in.
pub(super) fn delay_ms(backoff: &Backoff, attempts_made: i64) -> Option<i64> {
    let base = backoff.delay.0.max(0.0);
    let full = match backoff.kind.as_str() {
        "fixed" => base,
        "exponential" => base * 2_f64.powi(i32::try_from(attempts_made - 1).unwrap_or(i32::MAX).clamp(0, 60)),
        _ => return None,
    };
    let jitter = backoff.jitter.0.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "a delay beyond a century is cut off")]
    let delay = (full - full * jitter * fastrand::f64()).min(3.2e12) as i64;
    Some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Number;

    fn backoff(kind: &str, delay: f64, jitter: f64) -> Backoff {
        Backoff { kind: kind.to_owned(), delay: Number(delay), jitter: Number(jitter) }
    }

    #[test]
    fn fixed_stays_and_exponential_doubles() {
        let delays = |kind| (1..=4).map(|made| delay_ms(&backoff(kind, 100.0, 0.0), made).unwrap()).collect::<Vec<_>>();
        assert_eq!(delays("fixed"), [100, 100, 100, 100]);
        assert_eq!(delays("exponential"), [100, 200, 400, 800]);
        assert!(delay_ms(&backoff("exponential", 1000.0, 0.0), 100_000).unwrap() > 0);
    }

    #[test]
    fn jitter_takes_off_at_most_its_share() {
        for _ in 0..200 {
            let delay = delay_ms(&backoff("fixed", 1000.0, 0.5), 1).unwrap();
            assert!((500..=1000).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn other_kinds_are_the_users() {
        assert_eq!(delay_ms(&backoff("mine", 1.0, 0.0), 1), None);
    }
}
