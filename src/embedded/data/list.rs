//! A list: runs of small chunks, in each of which items stand one after the other with their lengths in front.
//!
//! Most lists hold the ids of jobs, a few bytes each: by itself, each would take ten times its size. A chunk is small
//! enough that to move what stands behind a change costs next to nothing, and large enough that a place in a long list is
//! found by walking over few chunks.

use std::collections::VecDeque;

use super::{
    Blob,
    hash::{packed_length, push_packed, read_packed},
};

/// What a list of small elements may weigh before Redis would split it.
const ONE_NODE: usize = 8 * 1024;
/// Bytes of a chunk; one that holds a single item may be larger.
const CHUNK: usize = 1024;

/// A list of byte strings. One pointer, so that keys of other types, which are many, do not pay for its size.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct List(Box<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    /// None of them is empty.
    chunks: VecDeque<Chunk>,
    count: usize,
    /// Of all items, without their lengths.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    packed: Vec<u8>,
    count: usize,
}

impl Chunk {
    fn of(item: &[u8]) -> Self {
        let mut packed = Vec::with_capacity(item.len() + 4);
        push_packed(&mut packed, item);
        Self { packed, count: 1 }
    }

    fn has_room_for(&self, item: &[u8]) -> bool {
        self.packed.len() + item.len() < CHUNK
    }

    fn items(&self) -> Items<'_> {
        Items { packed: &self.packed, at: 0 }
    }

    /// Where an item starts and ends.
    fn place(&self, index: usize) -> (usize, usize) {
        let mut start = 0;
        for _ in 0..index {
            start = read_packed(&self.packed, start).1;
        }
        (start, if index < self.count { read_packed(&self.packed, start).1 } else { start })
    }

    fn insert(&mut self, index: usize, item: &[u8]) {
        if index == self.count {
            push_packed(&mut self.packed, item);
        } else {
            let (start, _) = self.place(index);
            let mut packed = Vec::with_capacity(item.len() + 4);
            push_packed(&mut packed, item);
            self.packed.splice(start..start, packed);
        }
        self.count += 1;
    }

    fn take(&mut self, index: usize) -> Blob {
        let (start, end) = self.place(index);
        let item = read_packed(&self.packed, start).0.into();
        self.packed.drain(start..end);
        self.count -= 1;
        item
    }
}

/// Items of one chunk.
struct Items<'a> {
    packed: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.at == self.packed.len() {
            return None;
        }
        let (item, next) = read_packed(self.packed, self.at);
        self.at = next;
        Some(item)
    }
}

impl List {
    pub(in crate::embedded) fn len(&self) -> usize {
        self.0.count
    }

    /// Of all items.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes
    }

    pub(in crate::embedded) fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    pub(in crate::embedded) fn push(&mut self, item: &[u8], front: bool) {
        let list = &mut *self.0;
        list.bytes += item.len();
        list.count += 1;
        let end = if front { list.chunks.front_mut() } else { list.chunks.back_mut() };
        match end {
            Some(chunk) if chunk.has_room_for(item) => {
                let index = if front { 0 } else { chunk.count };
                chunk.insert(index, item);
            }
            end => {
                // A full one stays as it is for long.
                if let Some(chunk) = end {
                    chunk.packed.shrink_to_fit();
                }
                if front {
                    list.chunks.push_front(Chunk::of(item));
                } else {
                    list.chunks.push_back(Chunk::of(item));
                }
            }
        }
    }

    pub(in crate::embedded) fn pop(&mut self, front: bool) -> Option<Blob> {
        let list = &mut *self.0;
        let chunk = if front { list.chunks.front_mut() } else { list.chunks.back_mut() }?;
        let item = chunk.take(if front { 0 } else { chunk.count - 1 });
        if chunk.count == 0 {
            if front {
                list.chunks.pop_front();
            } else {
                list.chunks.pop_back();
            }
        }
        list.bytes -= item.len();
        list.count -= 1;
        Some(item)
    }

    /// Puts items before all others, one after the other: the last one stands first.
    pub(in crate::embedded) fn push_all_front(&mut self, items: &[&[u8]]) {
        let list = &mut *self.0;
        let mut rest = items;
        while let Some(first) = rest.first() {
            if !list.chunks.front().is_some_and(|chunk| chunk.has_room_for(first)) {
                if let Some(full) = list.chunks.front_mut() {
                    full.packed.shrink_to_fit();
                }
                list.chunks.push_front(Chunk::default());
            }
            let Some(chunk) = list.chunks.front_mut() else { return };
            let mut weight = chunk.packed.len();
            let fits = rest.iter().take_while(|item| {
                let fits = weight == 0 || weight + item.len() < CHUNK;
                weight += packed_length(item.len());
                fits
            });
            let (run, others) = rest.split_at(fits.count());
            let mut packed = Vec::with_capacity(weight - chunk.packed.len());
            run.iter().rev().for_each(|item| push_packed(&mut packed, item));
            chunk.packed.splice(0..0, packed);
            chunk.count += run.len();
            list.count += run.len();
            list.bytes += run.iter().map(|item| item.len()).sum::<usize>();
            rest = others;
        }
    }

    /// Takes up to `wanted` items off the end, the last one first.
    pub(in crate::embedded) fn take_back(&mut self, wanted: usize) -> Vec<Vec<u8>> {
        let list = &mut *self.0;
        let mut taken = Vec::with_capacity(wanted.min(list.count));
        while taken.len() < wanted
            && let Some(chunk) = list.chunks.back_mut()
        {
            let stay = chunk.count.saturating_sub(wanted - taken.len());
            let (start, _) = chunk.place(stay);
            let before = taken.len();
            taken.extend(Items { packed: &chunk.packed, at: start }.map(<[u8]>::to_vec));
            taken[before..].reverse();
            chunk.packed.truncate(start);
            chunk.count = stay;
            if stay == 0 {
                list.chunks.pop_back();
            }
        }
        list.count -= taken.len();
        list.bytes -= taken.iter().map(Vec::len).sum::<usize>();
        taken
    }

    /// Removes those items at `from` and behind it that `keep` does not want, in one pass.
    pub(in crate::embedded) fn retain_from(&mut self, from: usize, mut keep: impl FnMut(&[u8]) -> bool) {
        if from >= self.len() {
            return;
        }
        let (first, skip) = self.locate(from);
        let list = &mut *self.0;
        for (at, chunk) in list.chunks.range_mut(first..).enumerate() {
            let (mut read, _) = chunk.place(if at == 0 { skip } else { 0 });
            let mut write = read;
            while read < chunk.packed.len() {
                let (item, end) = read_packed(&chunk.packed, read);
                let length = item.len();
                if keep(item) {
                    chunk.packed.copy_within(read..end, write);
                    write += end - read;
                } else {
                    chunk.count -= 1;
                    list.count -= 1;
                    list.bytes -= length;
                }
                read = end;
            }
            chunk.packed.truncate(write);
        }
        list.chunks.retain(|chunk| chunk.count > 0);
    }

    /// The chunk of an item below [`len`](Self::len), and its place there. Walks from the nearer end.
    fn locate(&self, index: usize) -> (usize, usize) {
        let chunks = &self.0.chunks;
        if index <= self.len() / 2 {
            let mut before = 0;
            for (at, chunk) in chunks.iter().enumerate() {
                if index < before + chunk.count {
                    return (at, index - before);
                }
                before += chunk.count;
            }
        } else {
            let mut before = self.len();
            for (at, chunk) in chunks.iter().enumerate().rev() {
                before -= chunk.count;
                if index >= before {
                    return (at, index - before);
                }
            }
        }
        (0, 0)
    }

    pub(in crate::embedded) fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        let (at, index) = self.locate(index);
        self.0.chunks[at].items().nth(index)
    }

    /// Replaces the item at `index`, which exists.
    pub(in crate::embedded) fn set(&mut self, index: usize, item: &[u8]) {
        let (at, index) = self.locate(index);
        let chunk = &mut self.0.chunks[at];
        let old = chunk.take(index);
        chunk.insert(index, item);
        self.0.bytes = self.0.bytes + item.len() - old.len();
        self.split(at);
    }

    /// Inserts before the item at `index`, or at the end.
    pub(in crate::embedded) fn insert(&mut self, index: usize, item: &[u8]) {
        if index >= self.len() {
            return self.push(item, false);
        }
        let (at, index) = self.locate(index);
        self.0.chunks[at].insert(index, item);
        self.0.bytes += item.len();
        self.0.count += 1;
        self.split(at);
    }

    /// Makes two of a chunk that has grown too large.
    fn split(&mut self, at: usize) {
        let chunk = &mut self.0.chunks[at];
        if chunk.packed.len() <= 2 * CHUNK || chunk.count < 2 {
            return;
        }
        let half = chunk.count / 2;
        let (start, _) = chunk.place(half);
        let second = Chunk { packed: chunk.packed.split_off(start), count: chunk.count - half };
        chunk.count = half;
        self.0.chunks.insert(at + 1, second);
    }

    pub(in crate::embedded) fn position(&self, item: &[u8]) -> Option<usize> {
        self.iter().position(|other| other == item)
    }

    pub(in crate::embedded) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        Iter {
            chunks: self.0.chunks.iter(),
            front: Vec::new().into_iter(),
            back: Vec::new().into_iter(),
            left: self.len(),
        }
    }

    pub(in crate::embedded) fn range(&self, from: usize, until: usize) -> impl Iterator<Item = &[u8]> {
        let (at, skip) = if from < self.len() { self.locate(from) } else { (self.0.chunks.len(), 0) };
        self.0.chunks.range(at..).flat_map(Chunk::items).skip(skip).take(until.saturating_sub(from))
    }

    /// Keeps the items at `from..until`.
    pub(in crate::embedded) fn keep(&mut self, from: usize, until: usize) {
        let kept = until.min(self.len()).saturating_sub(from);
        for (front, target) in [(false, from + kept), (true, kept)] {
            // Whole chunks at once, and the rest one by one.
            while self.len() > target {
                let list = &mut *self.0;
                let Some(chunk) = (if front { list.chunks.front() } else { list.chunks.back() }) else { break };
                if list.count - chunk.count >= target {
                    list.count -= chunk.count;
                    list.bytes -= chunk.items().map(<[u8]>::len).sum::<usize>();
                    if front {
                        list.chunks.pop_front();
                    } else {
                        list.chunks.pop_back();
                    }
                } else {
                    self.pop(front);
                }
            }
        }
    }

    /// Removes up to `limit` items equal to `item`, from the front or from the back, and says how many.
    pub(in crate::embedded) fn remove(&mut self, item: &[u8], limit: usize, from_back: bool) -> usize {
        let list = &mut *self.0;
        let mut removed = 0;
        let mut step = 0;
        while step < list.chunks.len() && removed < limit {
            let at = if from_back { list.chunks.len() - 1 - step } else { step };
            let chunk = &mut list.chunks[at];
            let mut doomed: Vec<usize> =
                chunk.items().enumerate().filter(|(_, other)| *other == item).map(|(index, _)| index).collect();
            let surplus = doomed.len().saturating_sub(limit - removed);
            if from_back {
                doomed.drain(..surplus);
            } else {
                doomed.truncate(doomed.len() - surplus);
            }
            for index in doomed.iter().rev() {
                chunk.take(*index);
            }
            removed += doomed.len();
            if chunk.count == 0 {
                list.chunks.remove(at);
            } else {
                step += 1;
            }
        }
        list.count -= removed;
        list.bytes -= removed * item.len();
        removed
    }

    /// Redis 7.2's name: one node that holds everything is a listpack.
    pub(super) fn encoding(&self) -> &'static str {
        if self.0.bytes + 3 * self.0.count <= ONE_NODE { "listpack" } else { "quicklist" }
    }
}

/// Items from both ends.
struct Iter<'a> {
    chunks: std::collections::vec_deque::Iter<'a, Chunk>,
    front: std::vec::IntoIter<&'a [u8]>,
    back: std::vec::IntoIter<&'a [u8]>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(item) = self.front.next() {
                self.left -= 1;
                return Some(item);
            }
            let Some(chunk) = self.chunks.next() else {
                let item = self.back.next()?;
                self.left -= 1;
                return Some(item);
            };
            self.front = chunk.items().collect::<Vec<_>>().into_iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.back.next_back() {
                self.left -= 1;
                return Some(item);
            }
            let Some(chunk) = self.chunks.next_back() else {
                let item = self.front.next_back()?;
                self.left -= 1;
                return Some(item);
            };
            self.back = chunk.items().collect::<Vec<_>>().into_iter();
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> FromIterator<&'a [u8]> for List {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(items: T) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.push(item, false));
        list
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::List;

    #[test]
    fn long_lists_agree_with_a_queue_of_items() {
        let mut random = fastrand::Rng::with_seed(5);
        let (mut list, mut model) = (List::default(), VecDeque::<Vec<u8>>::new());
        for round in 0..30_000 {
            let item = if random.u8(..50) == 0 {
                vec![b'x'; random.usize(..3000)]
            } else {
                random.u16(..500).to_string().into_bytes()
            };
            let front = random.bool();
            let index = random.usize(..=model.len());
            match random.u8(..if model.len() > 3000 { 13 } else { 8 }) {
                0..=3 => {
                    list.push(&item, front);
                    if front { model.push_front(item) } else { model.push_back(item) }
                }
                4 => {
                    list.insert(index, &item);
                    model.insert(index, item);
                }
                5 if index < model.len() => {
                    list.set(index, &item);
                    model[index] = item;
                }
                6 => {
                    let limit = random.usize(1..4);
                    let mut left = limit;
                    let mut keep = |other: &Vec<u8>| {
                        let doomed = left > 0 && *other == item;
                        left -= usize::from(doomed);
                        !doomed
                    };
                    if front {
                        let mut kept: Vec<_> = model.iter().rev().filter(|other| keep(other)).cloned().collect();
                        kept.reverse();
                        model = kept.into();
                    } else {
                        model.retain(|other| keep(other));
                    }
                    assert_eq!(list.remove(&item, limit, front), limit - left);
                }
                7 => {
                    let ours = list.pop(front).map(Vec::from);
                    assert_eq!(ours, if front { model.pop_front() } else { model.pop_back() });
                }
                8 => {
                    let many: Vec<Vec<u8>> = (0..random.usize(..300)).map(|one| one.to_string().into_bytes()).collect();
                    list.push_all_front(&many.iter().map(Vec::as_slice).collect::<Vec<_>>());
                    for item in many {
                        model.push_front(item);
                    }
                }
                9 => {
                    let wanted = random.usize(..200);
                    let theirs: Vec<_> = (0..wanted).map_while(|_| model.pop_back()).collect();
                    assert_eq!(list.take_back(wanted), theirs);
                }
                10 => {
                    let keeps = |item: &[u8]| item.len() != 2;
                    let kept = model.split_off(index);
                    list.retain_from(index, keeps);
                    model.extend(kept.into_iter().filter(|item| keeps(item)));
                }
                11 => {
                    let from = random.usize(..=index);
                    list.keep(from, index);
                    model.truncate(index);
                    model.drain(..from);
                }
                _ => assert_eq!(list.get(index), model.get(index).map(Vec::as_slice)),
            }
            assert_eq!(list.len(), model.len());
            assert_eq!(list.bytes(), model.iter().map(Vec::len).sum::<usize>());
            if round % 100 == 0 {
                assert!(list.iter().eq(model.iter().map(Vec::as_slice)));
                assert!(list.iter().rev().eq(model.iter().rev().map(Vec::as_slice)));
                let until = random.usize(index..=model.len());
                assert!(list.range(index, until).eq(model.range(index..until).map(Vec::as_slice)));
                let mut both = list.iter();
                let (mut ends, mut left) = (Vec::new(), model.len());
                while left > 0 {
                    ends.push(if random.bool() { both.next() } else { both.next_back() });
                    left -= 1;
                    assert_eq!(both.len(), left);
                }
                assert!(ends.iter().all(Option::is_some) && both.next().is_none());
            }
        }
    }
}
