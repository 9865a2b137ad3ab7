//! Links to servers, and the one trait that every engine is written against.

mod command;
mod link;

pub use command::{Batch, Command, CommandFlags, Entry, Route, key_slot, push_bulk, push_header};
pub use link::{
    BlockingLink, BoxFuture, Link, LinkState, Message, MessageSink, ReplySink, StateSink, SubscriptionKind,
    Subscriptions,
};
