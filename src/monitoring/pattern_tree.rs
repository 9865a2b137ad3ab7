//! How many keys have which shape, in bounded memory.
//!
//! A tree of the parts of names, with what is known of the keys whose name ends there. Slugs and user names are words like
//! any other: only that there are so many of them, each with hardly a key, says that they stand for one thing. So from time
//! to time, and in the end, the children of a node that have a small share of its keys are folded into one, `{id}`. As most
//! keys are of few kinds, those are never folded, and nothing is lost but the names of what is rare.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use super::key_shape::{ID, MOST_PARTS, parts};

/// Examples that are kept for each pattern, and the longest.
const SAMPLE_KEYS: usize = 5;
const LONGEST_SAMPLE: usize = 512;
/// Nodes of a tree, and the children of one before the small ones are folded.
const MOST_NODES: usize = 20_000;
const MOST_CHILDREN: usize = 512;
const LEAST_CHILDREN: usize = 8;
const LEAST_PARTS: usize = 3;
/// Children of a node that stay by themselves however small they are, and at the root, where they are kinds.
const FEW_WORDS: usize = 48;
const FEW_KINDS: usize = 256;
/// Part of a node's keys below which a child is small.
const SMALL: f64 = 1.0 / 64.0;
/// As many words that differ in the number at their end only, such as `user1`, are one.
const SERIES: usize = 8;

/// Types of keys that are told apart; the last stands for all others.
pub(super) const TYPES: [&str; 7] = ["string", "list", "set", "zset", "hash", "stream", "other"];
/// Ends of the groups by time to live, in seconds; the first group has none, the last no end.
pub(super) const TTL_ENDS: [i64; 7] = [3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600, 7 * 86_400, 30 * 86_400, i64::MAX];
pub(super) const TTL_GROUPS: usize = TTL_ENDS.len() + 1;

/// What was asked of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Index in [`TYPES`].
    pub kind: usize,
    /// Bytes, where the server tells.
    pub size: Option<u64>,
    /// Milliseconds until it expires, where it does.
    pub ttl_ms: Option<i64>,
}

impl Measure {
    fn ttl_group(&self) -> usize {
        self.ttl_ms.map_or(0, |ms| 1 + TTL_ENDS.iter().position(|&end| ms / 1_000 < end).unwrap_or(TTL_ENDS.len() - 1))
    }
}

/// What is known of the keys of one pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub count: f64,
    /// Of `count`, as an estimate from a sample.
    pub variance: f64,
    pub measured: f64,
    /// Of the measured ones, those whose size is known; their bytes, and the sum of the squares of these.
    pub sized: f64,
    pub bytes: f64,
    pub squares: f64,
    pub kinds: [[f64; 2]; TYPES.len()],
    pub ttls: [[f64; 2]; TTL_GROUPS],
    pub samples: Vec<Box<str>>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.variance += other.variance;
        self.measured += other.measured;
        self.sized += other.sized;
        self.bytes += other.bytes;
        self.squares += other.squares;
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            *mine = [mine[0] + theirs[0], mine[1] + theirs[1]];
        }
        for (mine, theirs) in self.ttls.iter_mut().zip(other.ttls) {
            *mine = [mine[0] + theirs[0], mine[1] + theirs[1]];
        }
        let room = SAMPLE_KEYS.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes of keys are below 2^53")]
    fn measure(&mut self, measure: &Measure) {
        let size = measure.size.unwrap_or_default() as f64;
        self.measured += 1.0;
        if measure.size.is_some() {
            self.sized += 1.0;
            self.bytes += size;
            self.squares += size * size;
        }
        let [keys, bytes] = &mut self.kinds[measure.kind];
        (*keys, *bytes) = (*keys + 1.0, *bytes + size);
        let [keys, bytes] = &mut self.ttls[measure.ttl_group()];
        (*keys, *bytes) = (*keys + 1.0, *bytes + size);
    }
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// Keys here and below.
    keys: f64,
    here: Option<Box<Tally>>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PatternTree {
    root: Node,
    nodes: usize,
    /// Bounds that become smaller when there are too many nodes.
    most_children: usize,
    most_parts: usize,
}

impl Default for PatternTree {
    fn default() -> Self {
        Self { root: Node::default(), nodes: 0, most_children: MOST_CHILDREN, most_parts: MOST_PARTS }
    }
}

impl PatternTree {
    /// Counts a key; how many of its pattern, as far as that is known yet, there are now.
    pub(super) fn count(&mut self, key: &str) -> f64 {
        let most = self.most_children;
        let mut node = &mut self.root;
        node.keys += 1.0;
        for (depth, part) in parts(key, self.most_parts).enumerate() {
            if !node.children.contains_key(&*part) {
                if node.children.len() >= most {
                    self.nodes -= fold(node, depth, Some(most / 2));
                }
                if let Entry::Vacant(place) = node.children.entry(part.as_ref().into()) {
                    place.insert(Node::default());
                    self.nodes += 1;
                }
            }
            node = node.children.get_mut(&*part).expect("it is there by now");
            node.keys += 1.0;
        }
        let tally = node.here.get_or_insert_default();
        tally.count += 1.0;
        if tally.samples.len() < SAMPLE_KEYS && key.len() <= LONGEST_SAMPLE {
            tally.samples.push(key.into());
        }
        let count = tally.count;
        while self.nodes > MOST_NODES && self.shrink() {}
        count
    }

    /// Takes a smaller bound; false at the smallest, with which there cannot be too many.
    fn shrink(&mut self) -> bool {
        if self.most_children > LEAST_CHILDREN {
            self.most_children /= 2;
            self.nodes -= fold_all(&mut self.root, 0, Some(self.most_children / 2));
        } else if self.most_parts > LEAST_PARTS {
            self.most_parts -= 1;
            shorten(&mut self.root, self.most_parts);
            self.nodes = count_nodes(&self.root);
        } else {
            return false;
        }
        true
    }

    /// Notes what was asked of a key that was counted.
    pub(super) fn measure(&mut self, key: &str, measure: &Measure) {
        let mut node = &mut self.root;
        for part in parts(key, self.most_parts) {
            // It may have been folded in the meantime.
            let name = [part.as_ref(), &*folded_name(&part, true), &*folded_name(&part, false)]
                .into_iter()
                .find(|name| node.children.contains_key(*name))
                .map(Box::<str>::from);
            let Some(next) = name.and_then(|name| node.children.get_mut(&name)) else { return };
            node = next;
        }
        if let Some(tally) = &mut node.here {
            tally.measure(measure);
        }
    }

    /// Ends the counting: folds what is small, and takes the counts for those of a sample of `seen` keys among `total`.
    pub(super) fn finish(&mut self, seen: f64, total: f64) {
        self.nodes -= fold_all(&mut self.root, 0, None);
        if seen > 0.0 && total > seen {
            scale(&mut self.root, seen, total);
        }
    }

    /// Adds another tree that was finished.
    pub(super) fn merge(&mut self, other: Self) {
        let joined = merge(&mut self.root, other.root);
        self.nodes = self.nodes + other.nodes - joined;
        // What is small on each of several servers may be on too many of them to be kept apart.
        self.nodes -= fold_all(&mut self.root, 0, None);
    }

    /// Every pattern with what is known of it.
    pub(super) fn into_patterns(self) -> Vec<(String, Tally)> {
        let mut patterns = Vec::new();
        collect(self.root, &mut String::new(), &mut patterns);
        patterns
    }
}

/// A part without what it is cut off by, and that.
fn divided(part: &str) -> (&str, &str) {
    part.strip_suffix([':', '/', '|']).map_or((part, ""), |word| (word, &part[word.len()..]))
}

/// The name of what a part is folded into: its series where it has one and `series`, else `{id}`.
fn folded_name(part: &str, series: bool) -> Cow<'static, str> {
    let (word, cut) = divided(part);
    let stem = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if series && !stem.is_empty() && stem.len() < word.len() && !stem.ends_with('}') {
        return Cow::Owned(format!("{stem}{ID}{cut}"));
    }
    if cut.is_empty() { Cow::Borrowed(ID) } else { Cow::Owned(format!("{ID}{cut}")) }
}

/// Folds the small children of a node; how many nodes there are less. While keys still come, the largest `keep` stay
/// however small: they may become large.
fn fold(node: &mut Node, depth: usize, keep: Option<usize>) -> usize {
    let mut less = fold_series(node);
    let few = keep.unwrap_or(if depth == 0 { FEW_KINDS } else { FEW_WORDS });
    // What ends here and what goes on are different things: `user:bob` and `user:bob:cart`.
    for cut in ["", ":", "/", "|"] {
        let id = format!("{ID}{cut}");
        let mut words: Vec<(f64, Box<str>)> = node
            .children
            .iter()
            .filter(|(part, _)| divided(part).1 == cut && ***part != *id)
            .map(|(part, child)| (child.keys, part.clone()))
            .collect();
        if words.len() <= few {
            continue;
        }
        words.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        let total: f64 = words.iter().map(|(keys, _)| keys).sum();
        let small = words.iter().position(|(keys, _)| *keys < total * SMALL).unwrap_or(words.len());
        let from = keep.unwrap_or(small);
        if words.len() >= from + 2 {
            less += join(node, id, words.drain(from..).map(|(_, part)| part));
        }
    }
    less
}

/// Folds `user1`, `user2`, … into `user{id}`.
fn fold_series(node: &mut Node) -> usize {
    let mut series: HashMap<Cow<'static, str>, Vec<Box<str>>> = HashMap::new();
    for part in node.children.keys() {
        let name = folded_name(part, true);
        if !name.starts_with(ID) {
            series.entry(name).or_default().push(part.clone());
        }
    }
    let mut less = 0;
    for (name, parts) in series {
        if parts.len() >= SERIES || node.children.contains_key(&*name) {
            less += join(node, name.into_owned(), parts);
        }
    }
    less
}

/// Makes one child of several; how many nodes there are less.
fn join(node: &mut Node, name: String, parts: impl IntoIterator<Item = Box<str>>) -> usize {
    let mut joined = node.children.remove(&*name);
    let mut less = 0;
    for part in parts {
        let Some(child) = node.children.remove(&part) else { continue };
        match &mut joined {
            Some(joined) => less += 1 + merge(joined, child),
            None => joined = Some(child),
        }
    }
    node.children.extend(joined.map(|joined| (name.into(), joined)));
    less
}

fn fold_all(node: &mut Node, depth: usize, keep: Option<usize>) -> usize {
    let less = fold(node, depth, keep);
    less + node.children.values_mut().map(|child| fold_all(child, depth + 1, keep)).sum::<usize>()
}

/// Adds a node to another; how many nodes below were in both.
fn merge(into: &mut Node, other: Node) -> usize {
    into.keys += other.keys;
    if let Some(tally) = other.here {
        into.here.get_or_insert_default().add(*tally);
    }
    let mut both = 0;
    for (part, child) in other.children {
        if let Some(known) = into.children.get_mut(&part) {
            both += 1 + merge(known, child);
        } else {
            into.children.insert(part, child);
        }
    }
    both
}

/// Makes one part of all that is behind the last of `parts`, as [`parts`](super::key_shape::parts) does.
fn shorten(node: &mut Node, parts: usize) {
    if parts > 1 {
        return node.children.values_mut().for_each(|child| shorten(child, parts - 1));
    }
    let (ending, longer) =
        std::mem::take(&mut node.children).into_iter().partition(|(_, child)| child.children.is_empty());
    node.children = ending;
    let longer: HashMap<Box<str>, Node> = longer;
    if longer.is_empty() {
        return;
    }
    let rest = node.children.entry(ID.into()).or_default();
    for (_, child) in longer {
        rest.keys += child.keys;
        let mut tallies = Vec::new();
        collect(child, &mut String::new(), &mut tallies);
        let here = rest.here.get_or_insert_default();
        for (_, tally) in tallies {
            here.add(tally);
        }
    }
}

fn count_nodes(node: &Node) -> usize {
    node.children.values().map(|child| 1 + count_nodes(child)).sum()
}

/// Makes an estimate for all keys of the counts of a sample drawn without putting back.
fn scale(node: &mut Node, seen: f64, total: f64) {
    node.keys *= total / seen;
    if let Some(tally) = &mut node.here {
        let part = (tally.count / seen).min(1.0);
        tally.variance = total * total * part * (1.0 - part) / seen * ((total - seen) / (total - 1.0).max(1.0));
        tally.count *= total / seen;
    }
    node.children.values_mut().for_each(|child| scale(child, seen, total));
}

fn collect(node: Node, name: &mut String, patterns: &mut Vec<(String, Tally)>) {
    if let Some(tally) = node.here {
        patterns.push((name.clone(), *tally));
    }
    for (part, child) in node.children {
        let length = name.len();
        name.push_str(&part);
        collect(child, name, patterns);
        name.truncate(length);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, and quotients that are exact")]
mod tests {
    use super::*;

    fn found(tree: PatternTree) -> HashMap<String, f64> {
        tree.into_patterns().into_iter().map(|(pattern, tally)| (pattern, tally.count)).collect()
    }

    #[test]
    fn words_are_kinds_while_there_are_few_and_identifiers_when_there_are_many() {
        let mut tree = PatternTree::default();
        for number in 0..10_000 {
            tree.count(&format!("user:profile:{number}"));
            tree.count(&format!("story:detail:the-{}-of-{}", word(number), word(number * 7)));
            tree.count(&format!("user:{}:settings", word(number)));
            tree.count(&format!("design:list:{number}:{}", ["draft", "published"][number % 2]));
        }
        tree.count("config:flags");
        tree.finish(40_001.0, 40_001.0);
        assert!(count_nodes(&tree.root) < 100, "{}", count_nodes(&tree.root));
        let found = found(tree);
        assert_eq!(found["user:profile:{id}"], 10_000.0);
        assert_eq!(found["story:detail:{id}"], 10_000.0);
        assert_eq!(found["user:{id}:settings"], 10_000.0);
        assert_eq!(found["design:list:{id}:draft"], 5_000.0);
        assert_eq!(found["design:list:{id}:published"], 5_000.0);
        assert_eq!(found["config:flags"], 1.0);
        assert_eq!(found.len(), 6, "{found:?}");
    }

    #[test]
    fn words_with_numbers_are_a_series() {
        let mut tree = PatternTree::default();
        for number in 0..300 {
            tree.count(&format!("user{number}"));
            tree.count(&format!("shop:item{number}:price"));
            tree.measure(&format!("user{number}"), &Measure { kind: 0, size: Some(10), ttl_ms: None });
        }
        tree.count("v1");
        tree.count("v2");
        tree.finish(602.0, 602.0);
        let patterns = tree.into_patterns();
        let of = |name: &str| patterns.iter().find(|(pattern, _)| pattern == name).map(|(_, tally)| tally);
        assert_eq!(of("user{id}").unwrap().count, 300.0);
        assert_eq!(of("user{id}").unwrap().bytes, 3_000.0);
        assert_eq!(of("shop:item{id}:price").unwrap().count, 300.0);
        assert!(of("v1").is_some() && of("v2").is_some());
    }

    #[test]
    fn memory_is_bounded_whatever_the_names() {
        let mut tree = PatternTree::default();
        for number in 0..30_000_usize {
            let name: Vec<String> = (0..6).map(|at| word(number.wrapping_mul(31 + at * 17))).collect();
            tree.count(&name.join(":"));
            assert!(tree.nodes <= MOST_NODES);
        }
        assert_eq!(tree.nodes, count_nodes(&tree.root));
        tree.finish(30_000.0, 30_000.0);
        assert_eq!(tree.nodes, count_nodes(&tree.root));
        assert_eq!(found(tree).values().sum::<f64>(), 30_000.0);
    }

    #[test]
    fn counts_of_a_sample_stand_for_all_with_their_variance() {
        let mut tree = PatternTree::default();
        for number in 0..100 {
            tree.count(&format!("{}:{number}", if number < 25 { "a" } else { "b" }));
        }
        tree.finish(100.0, 1_000.0);
        let patterns: HashMap<_, _> = tree.into_patterns().into_iter().collect();
        let tally = &patterns["a:{id}"];
        assert_eq!(tally.count, 250.0);
        let expected = 1_000.0_f64.powi(2) * 0.25 * 0.75 / 100.0 * (900.0 / 999.0);
        assert!((tally.variance - expected).abs() < 1e-6);
        assert_eq!(tally.samples.len(), SAMPLE_KEYS);
    }

    #[test]
    fn trees_of_several_servers_are_added() {
        let one = |from: usize| {
            let mut tree = PatternTree::default();
            (from..from + 100).for_each(|number| {
                tree.count(&format!("user:{}", word(number)));
            });
            tree.finish(100.0, 100.0);
            tree
        };
        let mut tree = one(0);
        tree.merge(one(5_000));
        assert_eq!(found(tree), HashMap::from([("user:{id}".to_owned(), 200.0)]));
    }

    /// A word of its own for each number.
    fn word(number: usize) -> String {
        let mut left = number.wrapping_mul(2_654_435_761) % 1_000_003;
        let mut word = String::new();
        for _ in 0..5 {
            word.push(char::from(b'a' + u8::try_from(left % 26).unwrap()));
            left /= 26;
        }
        word
    }
}
