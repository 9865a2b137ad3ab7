//! The longest common subsequence of two strings: `LCS`.

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk, count},
    data::Text,
    failure::{Answer, Failure, SYNTAX},
    table::{Keys, READ, Row},
};
use super::strings::LONGEST;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[Row::new("lcs", -3, READ, Keys::At(1, 2, 1), lcs)];

#[derive(Default)]
struct Options {
    positions: bool,
    only_length: bool,
    with_lengths: bool,
    min_length: usize,
}

fn options(args: Args<'_>) -> Result<Options, Failure> {
    let mut options = Options::default();
    let mut rest = args[3..].iter();
    while let Some(word) = rest.next() {
        match () {
            () if is(word, "IDX") => options.positions = true,
            () if is(word, "LEN") => options.only_length = true,
            () if is(word, "WITHMATCHLEN") => options.with_lengths = true,
            () if is(word, "MINMATCHLEN") => {
                let Some(length) = rest.next() else { return Err(SYNTAX) };
                options.min_length = usize::try_from(int(length)?).unwrap_or(0);
            }
            () => return Err(SYNTAX),
        }
    }
    if options.positions && options.only_length {
        return Err(Failure::fixed("ERR If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

/// A run of bytes that both strings have: where it starts and ends in each, both ends included.
#[derive(Clone, Copy)]
struct Run {
    first: (usize, usize),
    second: (usize, usize),
}

fn lcs(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut read = |key: &[u8]| match context.get::<Text>(key) {
        Ok(text) => Ok(text.map_or_else(Vec::new, |text| text.bytes().to_vec())),
        Err(_) => Err(Failure::fixed("ERR The specified keys must contain string values")),
    };
    let (first, second) = (read(args[1])?, read(args[2])?);
    let options = options(args)?;
    let width = second.len() + 1;
    if (first.len() + 1).saturating_mul(width).saturating_mul(4) > LONGEST {
        return Err(Failure::fixed("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    // Lengths for each pair of beginnings of the two.
    let mut lengths = vec![0_u32; (first.len() + 1) * width];
    for row in 1..=first.len() {
        for column in 1..=second.len() {
            lengths[row * width + column] = if first[row - 1] == second[column - 1] {
                lengths[(row - 1) * width + column - 1] + 1
            } else {
                lengths[(row - 1) * width + column].max(lengths[row * width + column - 1])
            };
        }
    }
    let length = lengths[first.len() * width + second.len()] as usize;
    if options.only_length {
        return Ok(count(length));
    }
    let (common, runs) = walk_back(&first, &second, &lengths);
    if !options.positions {
        return Ok(bulk(common));
    }
    let place = |at: usize| count(at);
    let shown = runs.into_iter().filter_map(|Run { first, second }| {
        let length = first.1 - first.0 + 1;
        let mut parts = vec![
            Value::Array(vec![place(first.0), place(first.1)]),
            Value::Array(vec![place(second.0), place(second.1)]),
        ];
        if options.with_lengths {
            parts.push(count(length));
        }
        (length >= options.min_length).then_some(Value::Array(parts))
    });
    let shown = shown.collect();
    Ok(context.map(vec![(bulk("matches"), Value::Array(shown)), (bulk("len"), count(length))]))
}

/// The common bytes, and the runs in which they stand, the last first. As Redis walks: of a match right behind another run,
/// its byte counts, and a new run begins with the one after it.
fn walk_back(first: &[u8], second: &[u8], lengths: &[u32]) -> (Vec<u8>, Vec<Run>) {
    let width = second.len() + 1;
    let (mut row, mut column) = (first.len(), second.len());
    let (mut common, mut runs, mut run) = (Vec::new(), Vec::new(), None::<Run>);
    while row > 0 && column > 0 {
        let mut ends = false;
        if first[row - 1] == second[column - 1] {
            common.push(first[row - 1]);
            match &mut run {
                None => run = Some(Run { first: (row - 1, row - 1), second: (column - 1, column - 1) }),
                Some(run) if run.first.0 == row && run.second.0 == column => {
                    run.first.0 -= 1;
                    run.second.0 -= 1;
                }
                Some(_) => ends = true,
            }
            ends |= run.is_some_and(|run| run.first.0 == 0 || run.second.0 == 0);
            row -= 1;
            column -= 1;
        } else {
            if lengths[(row - 1) * width + column] > lengths[row * width + column - 1] {
                row -= 1;
            } else {
                column -= 1;
            }
            ends = run.is_some();
        }
        if ends {
            runs.extend(run.take());
        }
    }
    common.reverse();
    (common, runs)
}
