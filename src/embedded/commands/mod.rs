//! The commands, each beside its row of the table.

#![expect(clippy::unnecessary_wraps, reason = "every command has the signature that the table wants")]

mod bit_fields;
mod bits;
mod blocking_lists;
mod clients;
mod common_subsequence;
mod connection;
mod dumps;
mod expiry;
mod geo;
mod hashes;
mod hyperloglogs;
mod keys;
mod list_moves;
mod lists;
mod pubsub;
mod scan;
mod scripting;
mod server;
mod set_algebra;
mod sets;
mod slow_log;
mod sort;
mod sorted_set_algebra;
mod sorted_set_pops;
mod sorted_set_ranges;
mod sorted_sets;
mod stream_claims;
mod stream_groups;
mod stream_ids;
mod stream_info;
mod stream_reads;
mod streams;
mod strings;
mod tracking;
mod transactions;

use super::{args::Args, context::Context, failure::Answer, table::Row};

/// The rows of every file.
pub(super) const ALL_ROWS: &[&[Row]] = &[
    bit_fields::ROWS,
    bits::ROWS,
    blocking_lists::ROWS,
    clients::ROWS,
    common_subsequence::ROWS,
    connection::ROWS,
    dumps::ROWS,
    expiry::ROWS,
    geo::ROWS,
    hashes::ROWS,
    hyperloglogs::ROWS,
    keys::ROWS,
    list_moves::ROWS,
    lists::ROWS,
    pubsub::ROWS,
    scan::ROWS,
    scripting::ROWS,
    server::ROWS,
    set_algebra::ROWS,
    sets::ROWS,
    slow_log::ROWS,
    sort::ROWS,
    sorted_set_algebra::ROWS,
    sorted_set_pops::ROWS,
    sorted_set_ranges::ROWS,
    sorted_sets::ROWS,
    stream_claims::ROWS,
    stream_groups::ROWS,
    stream_info::ROWS,
    stream_reads::ROWS,
    streams::ROWS,
    strings::ROWS,
    transactions::ROWS,
];

/// What stands in the row of a container without one of its words, which the table refuses before.
pub(super) fn unreachable_container(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    Err(super::failure::Failure::wrong_arity(&super::args::text(args[0])))
}
