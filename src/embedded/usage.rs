//! How a key was used, in four bytes: when it was last asked for, or about how often.
//!
//! Which of the two is meant, the database knows. A time counts tenths of seconds. A count is in the lowest byte: it grows
//! by chance, the more seldom the larger it is, so that 255 stands for about a million uses; each minute without use takes
//! one away. The minutes stand above it.

/// Uses that a new key is taken to have had: it must not be the first to go.
const NEW: u8 = 5;
/// How much more seldom each count grows than the one before.
const FACTOR: f64 = 10.0;

/// When a key was used, or how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage(u32);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clocks that wrap are compared by difference"
)]
fn ticks(now: i64, ms: i64) -> u32 {
    (now / ms) as u32
}

fn minutes(now: i64) -> u32 {
    ticks(now, 60_000) & 0x00ff_ffff
}

impl Usage {
    pub(super) fn new(now: i64, counts: bool) -> Self {
        if counts { Self(minutes(now) << 8 | u32::from(NEW)) } else { Self(ticks(now, 100)) }
    }

    /// Of a key that was last used so many seconds ago.
    pub(super) fn idle(now: i64, seconds: i64) -> Self {
        Self(ticks(now.saturating_sub(seconds.saturating_mul(1000)), 100))
    }

    /// Of a key that was used about so often.
    pub(super) fn counted(now: i64, count: u8) -> Self {
        Self(minutes(now) << 8 | u32::from(count))
    }

    /// After one more use.
    pub(super) fn used(self, now: i64, counts: bool) -> Self {
        if !counts {
            return Self(ticks(now, 100));
        }
        let count = self.count(now);
        let grows = count < u8::MAX && fastrand::f64() < 1.0 / (f64::from(count.saturating_sub(NEW)) * FACTOR + 1.0);
        Self(minutes(now) << 8 | u32::from(count + u8::from(grows)))
    }

    /// About how often it was used, on the scale from 0 to 255.
    pub(super) fn count(self, now: i64) -> u8 {
        let idle = minutes(now).wrapping_sub(self.0 >> 8) & 0x00ff_ffff;
        (self.0 & 0xff).saturating_sub(idle).to_le_bytes()[0]
    }

    /// Milliseconds since it was last used.
    pub(super) fn idle_ms(self, now: i64) -> i64 {
        i64::from(ticks(now, 100).wrapping_sub(self.0).cast_signed()).max(0) * 100
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn counts_grow_slower_and_slower_and_fade() {
        let now = 1_700_000_000_000;
        let mut usage = Usage::new(now, true);
        for _ in 0..100 {
            usage = usage.used(now, true);
        }
        let hundred = usage.count(now);
        for _ in 0..10_000 {
            usage = usage.used(now, true);
        }
        assert!((6..=40).contains(&hundred), "{hundred}");
        assert!(usage.count(now) > hundred && usage.count(now) < 120, "{}", usage.count(now));
        assert_eq!(usage.count(now + 3 * 60_000), usage.count(now) - 3);
        assert_eq!(usage.count(now + 10_000 * 60_000), 0);
        assert_eq!(Usage::new(now, false).idle_ms(now + 2500), 2500);
    }
}
