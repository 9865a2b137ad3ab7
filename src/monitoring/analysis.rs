//! What the keys of a database are: how many of which pattern, how large, how long they stay.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    key_scan::{Budget, KeyScan},
    options::AnalysisOptions,
    pattern_tree::{Measure, PatternTree, TTL_GROUPS, TYPES, Tally},
};
use crate::{
    connection::{Command, Link, glob_matches},
    error::{Error, ErrorCode, Result},
};

/// Of each pattern so many keys are measured in any case, so that rare ones have a size; at most this part of all.
const MEASURED_OF_EACH: f64 = 3.0;
const PART_FOR_RARE: f64 = 0.25;
/// Standard deviations on either side that hold 95 of 100.
const DEVIATIONS: f64 = 1.96;

const TTL_NAMES: [&str; TTL_GROUPS] =
    ["none", "below 1h", "1h to 4h", "4h to 12h", "12h to 24h", "1d to 7d", "7d to 30d", "from 30d"];

/// Keys whose names have one shape. Margins are those of 95 %.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPattern {
    pub pattern: String,
    pub count: f64,
    /// `count` give or take this; 0 when every key was seen.
    pub count_margin: f64,
    pub sample_keys: Vec<Box<str>>,
    /// Bytes of a key with its value, of the measured ones; 0 when none was.
    pub avg_size: f64,
    pub avg_size_margin: f64,
    /// Bytes of all of them.
    pub total_size: f64,
    pub measured: f64,
}

/// A part of the keys.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyGroup {
    pub name: &'static str,
    pub count: f64,
    pub size: f64,
}

/// One key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BigKey {
    pub key: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes.
    pub size: f64,
    /// Milliseconds until it expires.
    pub ttl: Option<i64>,
    pub node: String,
}

/// Patterns beyond those that are listed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OtherPatterns {
    pub patterns: usize,
    pub count: f64,
}

/// How far the figures can be trusted.
#[derive(Clone, Debug, Serialize)]
pub struct Confidence {
    /// That of the margins.
    pub level: f64,
    /// Part of the keys whose names were seen, and of those that match, that were measured.
    pub scanned: f64,
    pub measured: f64,
}

/// What was seen of one of the servers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeKeys {
    pub node: String,
    pub total_keys: f64,
    pub scanned_keys: f64,
    pub measured_keys: f64,
    pub complete: bool,
}

/// What is known of the keys of all servers together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyAnalysis {
    pub total_keys: f64,
    pub total_size: f64,
    pub patterns: Vec<KeyPattern>,
    pub other_patterns: OtherPatterns,
    pub types: Vec<KeyGroup>,
    pub ttl_groups: Vec<KeyGroup>,
    pub biggest_keys: Vec<BigKey>,
    pub scanned_keys: f64,
    pub measured_keys: f64,
    /// Every key was seen; else counts are estimates.
    pub complete: bool,
    pub confidence: Confidence,
    pub duration_ms: f64,
    pub nodes: Vec<NodeKeys>,
    pub unavailable: Vec<&'static str>,
}

/// What one server's keys are.
pub(super) struct Seen {
    node: String,
    tree: PatternTree,
    /// Keys that were wanted beyond their chance.
    extra: f64,
    wanted: f64,
    total: f64,
    scanned: f64,
    matched: f64,
    measured: f64,
    complete: bool,
    lacks_sizes: bool,
    biggest: Vec<BigKey>,
}

/// Goes through the keys of one server that are under `prefix`. None when the caller went away.
pub(super) async fn look(
    node: String,
    link: Arc<dyn Link>,
    prefix: &str,
    options: &Arc<AnalysisOptions>,
    budget: Budget,
) -> Result<Option<Seen>> {
    let total = budget.ask(&link, Command::new("DBSIZE").repeatable()).await;
    if budget.stop.is_stopped() {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of keys are below 2^53")]
    let total = total?.into_int()? as f64;
    let mut seen = Seen {
        node,
        tree: PatternTree::default(),
        extra: 0.0,
        wanted: 0.0,
        total,
        scanned: 0.0,
        matched: 0.0,
        measured: 0.0,
        complete: false,
        lacks_sizes: false,
        biggest: Vec::new(),
    };
    let stop = budget.stop.clone();
    let prefix: Arc<str> = prefix.into();
    let mut scan = KeyScan::through(link, budget);
    while let Some(slice) = scan.next().await? {
        let (options, prefix) = (Arc::clone(options), Arc::clone(&prefix));
        // Beside the I/O thread, which has others to serve.
        let counting = tokio::task::spawn_blocking(move || {
            for (name, measure) in slice.measured {
                seen.measure(&name[prefix.len()..], &measure, &options);
            }
            let names = slice.names.into_iter();
            let wanted: Vec<_> = names.filter(|name| seen.count(name, &prefix, &options)).collect();
            (seen, wanted)
        });
        let wanted;
        (seen, wanted) = counting.await.map_err(|_| Error::new(ErrorCode::Internal, "counting keys ended"))?;
        for name in wanted {
            scan.want(name);
        }
    }
    if stop.is_stopped() {
        return Ok(None);
    }
    seen.complete = scan.has_all_names();
    seen.lacks_sizes = scan.refused.is_some();
    // Keys that came while the others were counted.
    seen.total = if seen.complete { seen.scanned } else { seen.total.max(seen.scanned) };
    let ended = tokio::task::spawn_blocking(move || {
        seen.tree.finish(seen.scanned, seen.total);
        seen
    });
    ended.await.map(Some).map_err(|_| Error::new(ErrorCode::Internal, "counting keys ended"))
}

impl Seen {
    /// Counts a name; whether the key is to be measured.
    fn count(&mut self, name: &[u8], prefix: &str, options: &AnalysisOptions) -> bool {
        self.scanned += 1.0;
        let Some(name) = name.strip_prefix(prefix.as_bytes()) else { return false };
        if options.pattern != "*" && !glob_matches(options.pattern.as_bytes(), name, false) {
            return false;
        }
        self.matched += 1.0;
        let of_pattern = self.tree.count(&String::from_utf8_lossy(name));
        let is_rare = of_pattern <= MEASURED_OF_EACH && self.extra < options.samples * PART_FOR_RARE;
        if is_rare && options.samples > 0.0 {
            self.extra += 1.0;
            return true;
        }
        let left = options.samples - self.wanted;
        // Those that match as often as before.
        let coming = (self.total - self.scanned) * self.matched / self.scanned + 1.0;
        let is_wanted = left > 0.0 && fastrand::f64() * coming < left;
        self.wanted += f64::from(u8::from(is_wanted));
        is_wanted
    }

    fn measure(&mut self, name: &[u8], measure: &Measure, options: &AnalysisOptions) {
        self.measured += 1.0;
        let name = String::from_utf8_lossy(name);
        self.tree.measure(&name, measure);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an integer up to 1,000")]
        let most = options.biggest_keys as usize;
        let Some(size) = measure.size.filter(|_| most > 0) else { return };
        #[expect(clippy::cast_precision_loss, reason = "sizes of keys are below 2^53")]
        let size = size as f64;
        if self.biggest.len() < most || self.biggest.last().is_some_and(|least| least.size < size) {
            let at = self.biggest.partition_point(|other| other.size >= size);
            let (key, node) = (name.into_owned(), self.node.clone());
            self.biggest.insert(at, BigKey { key, kind: TYPES[measure.kind], size, ttl: measure.ttl_ms, node });
            self.biggest.truncate(most);
        }
    }
}

impl KeyAnalysis {
    /// The servers together. None of them is an answer without any.
    pub(super) fn of(seen: Vec<Seen>, options: &AnalysisOptions, began: Instant) -> Self {
        let mut report = Self {
            total_keys: 0.0,
            total_size: 0.0,
            patterns: Vec::new(),
            other_patterns: OtherPatterns::default(),
            types: groups(&TYPES),
            ttl_groups: groups(&TTL_NAMES),
            biggest_keys: Vec::new(),
            scanned_keys: 0.0,
            measured_keys: 0.0,
            complete: true,
            confidence: Confidence { level: 0.95, scanned: 1.0, measured: 1.0 },
            duration_ms: 0.0,
            nodes: Vec::new(),
            unavailable: Vec::new(),
        };
        let mut tree = PatternTree::default();
        let (mut all, mut matched) = (0.0, 0.0);
        for server in seen {
            report.scanned_keys += server.scanned;
            report.measured_keys += server.measured;
            report.complete &= server.complete;
            all += server.total;
            matched += server.matched;
            if server.lacks_sizes && report.unavailable.is_empty() {
                report.unavailable.push("sizes");
            }
            report.biggest_keys.extend(server.biggest);
            report.nodes.push(NodeKeys {
                node: server.node,
                total_keys: (server.matched * ratio(server.total, server.scanned)).round(),
                scanned_keys: server.scanned,
                measured_keys: server.measured,
                complete: server.complete,
            });
            tree.merge(server.tree);
        }
        report.take_patterns(tree.into_patterns(), options);
        report.biggest_keys.sort_by(|one, other| other.size.total_cmp(&one.size));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an integer up to 1,000")]
        report.biggest_keys.truncate(options.biggest_keys as usize);
        report.total_keys = report.nodes.iter().map(|node| node.total_keys).sum();
        report.confidence.scanned = ratio(report.scanned_keys, all).min(1.0);
        report.confidence.measured = ratio(report.measured_keys, matched).min(1.0);
        report.duration_ms = duration_ms(began.elapsed());
        report
    }

    fn take_patterns(&mut self, mut patterns: Vec<(String, Tally)>, options: &AnalysisOptions) {
        patterns.sort_by(|one, other| other.1.count.total_cmp(&one.1.count).then_with(|| one.0.cmp(&other.0)));
        let (mut counted, mut represented) = (0.0, 0.0);
        for (_, tally) in &patterns {
            counted += tally.count;
            if tally.measured == 0.0 {
                continue;
            }
            represented += tally.count;
            let each = tally.count / tally.measured;
            for (group, [keys, bytes]) in self.types.iter_mut().zip(tally.kinds) {
                (group.count, group.size) = (group.count + keys * each, group.size + bytes * each);
            }
            for (group, [keys, bytes]) in self.ttl_groups.iter_mut().zip(tally.ttls) {
                (group.count, group.size) = (group.count + keys * each, group.size + bytes * each);
            }
        }
        // Of patterns without a measured key nothing is known but their number: they count as the others.
        let all = ratio(counted, represented);
        for group in self.types.iter_mut().chain(&mut self.ttl_groups) {
            (group.count, group.size) = ((group.count * all).round(), (group.size * all).round());
        }
        self.total_size = self.types.iter().map(|group| group.size).sum();
        self.types.retain(|group| group.count > 0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an integer up to 10,000")]
        let most = options.max_patterns as usize;
        for (_, tally) in patterns.iter().skip(most) {
            self.other_patterns.patterns += 1;
            self.other_patterns.count += tally.count;
        }
        self.other_patterns.count = self.other_patterns.count.round();
        self.patterns = patterns.into_iter().take(most).map(|(pattern, tally)| described(pattern, tally)).collect();
    }
}

fn described(pattern: String, tally: Tally) -> KeyPattern {
    let mean = ratio(tally.bytes, tally.sized);
    KeyPattern {
        pattern,
        count: tally.count.round(),
        count_margin: (DEVIATIONS * tally.variance.sqrt()).round(),
        sample_keys: tally.samples,
        avg_size: mean.round(),
        avg_size_margin: mean_margin(tally.sized, tally.bytes, tally.squares, tally.count).round(),
        total_size: (mean * tally.count).round(),
        measured: tally.measured,
    }
}

/// How far the mean of a sample may be from that of all `total`, with 95 % confidence.
pub(super) fn mean_margin(count: f64, sum: f64, squares: f64, total: f64) -> f64 {
    if count < 2.0 {
        return 0.0;
    }
    let variance = ((squares - sum * sum / count) / (count - 1.0)).max(0.0);
    let left = (1.0 - count / total).max(0.0);
    DEVIATIONS * (variance / count * left).sqrt()
}

pub(super) fn ratio(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of } else { 0.0 }
}

fn groups(names: &[&'static str]) -> Vec<KeyGroup> {
    names.iter().map(|name| KeyGroup { name, count: 0.0, size: 0.0 }).collect()
}

fn duration_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round()
}
