//! A sorted set: a tree that knows how many members stand below each of its nodes, and a table from member to node.
//!
//! The tree is a treap: ordered by score and member, shaped by random priorities, so that it is balanced whatever order
//! members arrive in. Every node carries the size of its subtree, which makes a rank, the member at a rank and the size of
//! a range all walks from the root: O(log n). Nodes live in one array and name each other by slot. A slot is a member's
//! for as long as it stays in the set, also when its score changes; `ZSCAN` counts slots, and so misses no member that is
//! there from its start to its end.

use std::cmp::Ordering;

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::Blob;

const NONE: u32 = u32::MAX;
const LISTPACK_MEMBERS: usize = 128;
const LISTPACK_VALUE: usize = 64;

/// One end of a range of scores.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct ScoreBound {
    pub score: f64,
    pub exclusive: bool,
}

/// One end of a range of members that all have the same score.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) enum LexBound<'a> {
    Lowest,
    Highest,
    Inclusive(&'a [u8]),
    Exclusive(&'a [u8]),
}

#[derive(Clone, Debug)]
struct Node {
    member: Blob,
    score: f64,
    left: u32,
    right: u32,
    /// Nodes of this subtree; 0 marks a free slot.
    size: u32,
    priority: u32,
}

/// Members in order of score, and of their bytes where scores are equal.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct SortedSet {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    members: HashTable<u32>,
    hasher: DefaultHashBuilder,
    listpack: bool,
    /// Of all members.
    bytes: usize,
}

impl Default for SortedSet {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NONE,
            members: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            listpack: true,
            bytes: 0,
        }
    }
}

impl SortedSet {
    /// An empty set that is no listpack, for results that are not stored.
    pub(in crate::embedded) fn unpacked() -> Self {
        Self { listpack: false, ..Self::default() }
    }

    pub(in crate::embedded) fn len(&self) -> usize {
        self.members.len()
    }

    /// Of all members.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::embedded) fn score(&self, member: &[u8]) -> Option<f64> {
        self.slot(member).map(|slot| self.node(slot).score)
    }

    /// Adds a member or changes its score, and says whether it is new.
    pub(in crate::embedded) fn set(&mut self, member: &[u8], score: f64) -> bool {
        // A listpack has no negative zero.
        let score = if self.listpack { score + 0.0 } else { score };
        if let Some(slot) = self.slot(member) {
            if self.node(slot).score.to_bits() != score.to_bits() {
                self.root = self.detach(self.root, slot);
                let node = self.node_mut(slot);
                (node.score, node.left, node.right, node.size) = (score, NONE, NONE, 1);
                self.root = self.attach(self.root, slot);
            }
            return false;
        }
        self.bytes += member.len();
        let node = Node { member: member.into(), score, left: NONE, right: NONE, size: 1, priority: fastrand::u32(..) };
        let slot = if let Some(slot) = self.free.pop() {
            *self.node_mut(slot) = node;
            slot
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
        };
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let hash = hasher.hash_one(member);
        self.members.insert_unique(hash, slot, |&slot| hasher.hash_one(&*nodes[slot as usize].member));
        self.root = self.attach(self.root, slot);
        self.listpack &= self.members.len() <= LISTPACK_MEMBERS && member.len() <= LISTPACK_VALUE;
        true
    }

    /// Removes a member and gives its score.
    pub(in crate::embedded) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let slot = self.slot(member)?;
        Some(self.take(slot).1)
    }

    /// Takes out the member of lowest or highest score.
    pub(in crate::embedded) fn pop(&mut self, highest: bool) -> Option<(Blob, f64)> {
        let mut slot = self.root;
        if slot == NONE {
            return None;
        }
        loop {
            let node = self.node(slot);
            match if highest { node.right } else { node.left } {
                NONE => return Some(self.take(slot)),
                next => slot = next,
            }
        }
    }

    /// How many members are lower.
    pub(in crate::embedded) fn rank(&self, member: &[u8]) -> Option<usize> {
        let slot = self.slot(member)?;
        let (score, member) = (self.node(slot).score, &*self.node(slot).member);
        Some(self.partition(|other, name| order((other, name), (score, member)) == Ordering::Less))
    }

    /// Where a range of scores stands, as ranks `from..until`.
    pub(in crate::embedded) fn score_range(&self, min: ScoreBound, max: ScoreBound) -> (usize, usize) {
        let from = self.partition(|score, _| score < min.score || (min.exclusive && score <= min.score));
        let until = self.partition(|score, _| score < max.score || (!max.exclusive && score <= max.score));
        (from, until.max(from))
    }

    /// Where a range of members stands, as ranks `from..until`.
    pub(in crate::embedded) fn lex_range(&self, min: LexBound<'_>, max: LexBound<'_>) -> (usize, usize) {
        let from = self.partition(|_, member| match min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member < bound,
            LexBound::Exclusive(bound) => member <= bound,
        });
        let until = self.partition(|_, member| match max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member <= bound,
            LexBound::Exclusive(bound) => member < bound,
        });
        (from, until.max(from))
    }

    /// Members from rank `from` on, at most `count`; with `reverse`, ranks count from the highest.
    pub(in crate::embedded) fn range(&self, from: usize, count: usize, reverse: bool) -> Range<'_> {
        let mut range =
            Range { set: self, path: Vec::new(), left: count.min(self.len().saturating_sub(from)), reverse };
        let (mut slot, mut skip) = (self.root, from);
        while slot != NONE {
            let (first, second) = range.children(slot);
            let ahead = self.size(first);
            if skip > ahead {
                skip -= ahead + 1;
                slot = second;
            } else {
                range.path.push(slot);
                if skip == ahead {
                    break;
                }
                slot = first;
            }
        }
        range
    }

    pub(in crate::embedded) fn iter(&self) -> Range<'_> {
        self.range(0, usize::MAX, false)
    }

    /// The member at a rank below [`len`](Self::len).
    pub(in crate::embedded) fn at(&self, rank: usize) -> (&[u8], f64) {
        self.range(rank, 1, false).next().unwrap_or((&[], 0.0))
    }

    /// How many slots a scan walks over.
    pub(in crate::embedded) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The member of a slot below [`slots`](Self::slots), if there is one.
    pub(in crate::embedded) fn in_slot(&self, slot: usize) -> Option<(&[u8], f64)> {
        let node = &self.nodes[slot];
        (node.size > 0).then_some((&*node.member, node.score))
    }

    pub(super) fn encoding(&self) -> &'static str {
        if self.listpack { "listpack" } else { "skiplist" }
    }

    pub(in crate::embedded) fn is_listpack(&self) -> bool {
        self.listpack
    }

    fn slot(&self, member: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(member);
        self.members.find(hash, |&slot| *self.nodes[slot as usize].member == *member).copied()
    }

    fn take(&mut self, slot: u32) -> (Blob, f64) {
        self.root = self.detach(self.root, slot);
        let nodes = &self.nodes;
        let hash = self.hasher.hash_one(&*nodes[slot as usize].member);
        if let Ok(entry) = self.members.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        let node = self.node_mut(slot);
        node.size = 0;
        let taken = (std::mem::take(&mut node.member), node.score);
        self.bytes -= taken.0.len();
        taken
    }

    fn node(&self, slot: u32) -> &Node {
        &self.nodes[slot as usize]
    }

    fn node_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    fn size(&self, slot: u32) -> usize {
        if slot == NONE { 0 } else { self.node(slot).size as usize }
    }

    fn resize(&mut self, slot: u32) {
        let node = self.node(slot);
        let size = self.size(node.left) + self.size(node.right) + 1;
        self.node_mut(slot).size = u32::try_from(size).unwrap_or(NONE);
    }

    fn order_of(&self, slot: u32, other: u32) -> Ordering {
        let (left, right) = (self.node(slot), self.node(other));
        order((left.score, &left.member), (right.score, &right.member))
    }

    /// How many members `is_before` holds for; it must hold for the lowest ones and for no other.
    fn partition(&self, is_before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut slot, mut count) = (self.root, 0);
        while slot != NONE {
            let node = self.node(slot);
            if is_before(node.score, &node.member) {
                count += self.size(node.left) + 1;
                slot = node.right;
            } else {
                slot = node.left;
            }
        }
        count
    }

    /// Puts a single node into the tree under `root` and gives the new root.
    fn attach(&mut self, root: u32, slot: u32) -> u32 {
        if root == NONE {
            return slot;
        }
        if self.node(slot).priority > self.node(root).priority {
            let (left, right) = self.split(root, slot);
            let node = self.node_mut(slot);
            (node.left, node.right) = (left, right);
            self.resize(slot);
            return slot;
        }
        if self.order_of(slot, root) == Ordering::Less {
            let left = self.attach(self.node(root).left, slot);
            self.node_mut(root).left = left;
        } else {
            let right = self.attach(self.node(root).right, slot);
            self.node_mut(root).right = right;
        }
        self.node_mut(root).size += 1;
        root
    }

    /// Takes a node out of the tree under `root` and gives the new root.
    fn detach(&mut self, root: u32, slot: u32) -> u32 {
        if root == slot {
            return self.merge(self.node(slot).left, self.node(slot).right);
        }
        if self.order_of(slot, root) == Ordering::Less {
            let left = self.detach(self.node(root).left, slot);
            self.node_mut(root).left = left;
        } else {
            let right = self.detach(self.node(root).right, slot);
            self.node_mut(root).right = right;
        }
        self.node_mut(root).size -= 1;
        root
    }

    /// Cuts the tree under `root` in two: what stands before `slot`, which is not in it, and what stands behind.
    fn split(&mut self, root: u32, slot: u32) -> (u32, u32) {
        if root == NONE {
            return (NONE, NONE);
        }
        if self.order_of(root, slot) == Ordering::Less {
            let (before, behind) = self.split(self.node(root).right, slot);
            self.node_mut(root).right = before;
            self.resize(root);
            (root, behind)
        } else {
            let (before, behind) = self.split(self.node(root).left, slot);
            self.node_mut(root).left = behind;
            self.resize(root);
            (before, root)
        }
    }

    /// Joins two trees, every member of the first lower than all of the second.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NONE {
            return right;
        }
        if right == NONE {
            return left;
        }
        let root = if self.node(left).priority > self.node(right).priority {
            let joined = self.merge(self.node(left).right, right);
            self.node_mut(left).right = joined;
            left
        } else {
            let joined = self.merge(left, self.node(right).left);
            self.node_mut(right).left = joined;
            right
        };
        self.resize(root);
        root
    }
}

fn order(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    // Scores are never NaN; the two zeros are equal.
    left.0.partial_cmp(&right.0).unwrap_or(Ordering::Equal).then_with(|| left.1.cmp(right.1))
}

/// Members in order, or in reverse.
pub(in crate::embedded) struct Range<'a> {
    set: &'a SortedSet,
    /// The next node last, and below it the ancestors that come after it.
    path: Vec<u32>,
    left: usize,
    reverse: bool,
}

impl Range<'_> {
    fn children(&self, slot: u32) -> (u32, u32) {
        let node = self.set.node(slot);
        if self.reverse { (node.right, node.left) } else { (node.left, node.right) }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let slot = self.path.pop()?;
        let mut next = self.children(slot).1;
        while next != NONE {
            self.path.push(next);
            next = self.children(next).0;
        }
        let node = self.set.node(slot);
        Some((&node.member, node.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Range<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_ranges_agree_with_a_sorted_list() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut set = SortedSet::default();
        let mut model: Vec<(f64, Vec<u8>)> = Vec::new();
        for _ in 0..4000 {
            let member = random.u16(..600).to_string().into_bytes();
            if random.u8(..4) == 0 {
                let place = model.iter().position(|(_, other)| *other == member);
                assert_eq!(set.remove(&member).is_some(), place.is_some());
                if let Some(place) = place {
                    model.remove(place);
                }
            } else {
                let score = f64::from(random.u8(..50));
                model.retain(|(_, other)| *other != member);
                model.push((score, member.clone()));
                set.set(&member, score);
            }
        }
        model.sort_by(|left, right| order((left.0, &left.1), (right.0, &right.1)));
        let list = |range: Range<'_>| range.map(|(member, score)| (score, member.to_vec())).collect::<Vec<_>>();
        assert_eq!(list(set.iter()), model);
        for (rank, (_, member)) in model.iter().enumerate() {
            assert_eq!(set.rank(member), Some(rank));
        }
        for from in [0, 1, 17, model.len() - 1, model.len(), model.len() + 3] {
            let expected: Vec<_> = model.iter().skip(from).take(20).cloned().collect();
            assert_eq!(list(set.range(from, 20, false)), expected);
            let expected: Vec<_> = model.iter().rev().skip(from).take(20).cloned().collect();
            assert_eq!(list(set.range(from, 20, true)), expected);
        }
        let bound = |score, exclusive| ScoreBound { score, exclusive };
        let (from, until) = set.score_range(bound(10.0, true), bound(20.0, false));
        let expected = model.iter().filter(|(score, _)| *score > 10.0 && *score <= 20.0).count();
        assert_eq!(until - from, expected);
        assert_eq!(set.at(from).1.to_string(), "11");
    }
}
