//! What many jobs of one call have in common is sent, and read by the script, once.

/// Looked through for each item, from the newest: items that are alike mostly follow one another.
const LOOKED_AT: usize = 8;

/// Has parts that other items of a call mostly have as well.
pub(super) trait Profiled {
    /// Whether all of those parts are the same.
    fn is_like(&self, other: &Self) -> bool;
}

/// The profiles of one call, each given by the first item that has it.
pub(super) struct Profiles<'a, T> {
    pub(super) known: Vec<&'a T>,
}

impl<T> Default for Profiles<'_, T> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl<'a, T: Profiled> Profiles<'a, T> {
    /// Number of this item's profile; the first is 1.
    pub(super) fn number(&mut self, item: &'a T) -> i64 {
        let newest = self.known.iter().rev().take(LOOKED_AT).position(|known| known.is_like(item));
        let number = if let Some(back) = newest {
            self.known.len() - back
        } else {
            self.known.push(item);
            self.known.len()
        };
        i64::try_from(number).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Profiled for u8 {
        fn is_like(&self, other: &Self) -> bool {
            self == other
        }
    }

    #[test]
    fn items_that_are_alike_share_a_number() {
        let mut profiles = Profiles::default();
        let numbers: Vec<_> = [7, 7, 8, 7, 9].iter().map(|item| profiles.number(item)).collect();
        assert_eq!(numbers, [1, 1, 2, 1, 3]);
        assert_eq!(profiles.known, [&7, &8, &9]);
    }
}
