//! A list: both ends in constant time.

use std::collections::VecDeque;

use super::Blob;

/// What a list of small elements may weigh before Redis would split it.
const ONE_NODE: usize = 8 * 1024;

/// A list of byte strings. One pointer, so that keys of other types, which are many, do not pay for its size.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct List(Box<Items>);

#[derive(Clone, Debug, Default)]
struct Items {
    items: VecDeque<Blob>,
    bytes: usize,
}

impl List {
    pub(in crate::embedded) fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Of all items.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes
    }

    pub(in crate::embedded) fn is_empty(&self) -> bool {
        self.0.items.is_empty()
    }

    pub(in crate::embedded) fn push(&mut self, item: &[u8], front: bool) {
        self.0.bytes += item.len();
        if front {
            self.0.items.push_front(item.into());
        } else {
            self.0.items.push_back(item.into());
        }
    }

    pub(in crate::embedded) fn pop(&mut self, front: bool) -> Option<Blob> {
        let item = if front { self.0.items.pop_front() } else { self.0.items.pop_back() }?;
        self.0.bytes -= item.len();
        Some(item)
    }

    pub(in crate::embedded) fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.items.get(index).map(|item| &**item)
    }

    /// Replaces the item at `index`, which exists.
    pub(in crate::embedded) fn set(&mut self, index: usize, item: &[u8]) {
        self.0.bytes = self.0.bytes + item.len() - self.0.items[index].len();
        self.0.items[index] = item.into();
    }

    pub(in crate::embedded) fn insert(&mut self, index: usize, item: &[u8]) {
        self.0.bytes += item.len();
        self.0.items.insert(index, item.into());
    }

    pub(in crate::embedded) fn position(&self, item: &[u8]) -> Option<usize> {
        self.0.items.iter().position(|other| **other == *item)
    }

    pub(in crate::embedded) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.0.items.iter().map(|item| &**item)
    }

    pub(in crate::embedded) fn range(&self, from: usize, until: usize) -> impl Iterator<Item = &[u8]> {
        self.0.items.range(from..until).map(|item| &**item)
    }

    /// Keeps the items at `from..until`.
    pub(in crate::embedded) fn keep(&mut self, from: usize, until: usize) {
        self.0.items.truncate(until);
        self.0.items.drain(..from);
        self.0.bytes = self.0.items.iter().map(|item| item.len()).sum();
    }

    /// Removes up to `limit` items equal to `item`, from the front or from the back, and says how many.
    pub(in crate::embedded) fn remove(&mut self, item: &[u8], limit: usize, from_back: bool) -> usize {
        let same = |(index, other): (usize, &Blob)| (**other == *item).then_some(index);
        // The usual case takes one item out, near an end: no need to look at the whole list.
        let places: Vec<usize> = if from_back {
            self.0.items.iter().enumerate().rev().filter_map(same).take(limit).collect()
        } else {
            let mut places: Vec<usize> = self.0.items.iter().enumerate().filter_map(same).take(limit).collect();
            places.reverse();
            places
        };
        if let [one] = places[..] {
            self.0.items.remove(one);
        } else if !places.is_empty() {
            let mut doomed = places.iter().rev().copied().peekable();
            let mut index = 0;
            self.0.items.retain(|_| {
                let keep = doomed.next_if_eq(&index).is_none();
                index += 1;
                keep
            });
        }
        self.0.bytes -= places.len() * item.len();
        places.len()
    }

    /// Redis 7.2's name: one node that holds everything is a listpack.
    pub(super) fn encoding(&self) -> &'static str {
        if self.0.bytes + 3 * self.0.items.len() <= ONE_NODE { "listpack" } else { "quicklist" }
    }
}

impl<'a> FromIterator<&'a [u8]> for List {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(items: T) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.push(item, false));
        list
    }
}
