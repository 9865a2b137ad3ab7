//! The only folder that knows Node-API.
//!
//! [`door`] carries every asynchronous call and every event; the `Native*` classes are thin: they parse options, make an
//! engine object and put it behind the door as a [`door::Target`].

#![allow(unreachable_pub, reason = "`#[napi]` exports only what is `pub`, and nothing in Rust imports this folder")]
#![allow(clippy::needless_pass_by_value, reason = "what Node-API converts for us arrives owned")]

mod cache;
mod cache_agenda;
mod cache_functions;
mod cache_order;
mod connect;
mod cron;
mod door;
mod durable_channels;
mod error;
mod flow_producer;
mod holders;
mod job_calls;
mod job_row;
mod link_events;
mod lock;
mod monitoring;
mod pubsub;
mod queue;
mod queue_beyond;
mod queue_events;
mod queue_inspection;
mod rate_limit;
mod redis;
mod redis_blocking;
mod redis_encoding;
mod redis_transaction;
mod retry_strategy;
mod test_engine;
mod worker;
