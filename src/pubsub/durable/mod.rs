//! Messages that are kept: a channel as a stream of Redis, read by groups of subscribers.

mod channels;
mod group_options;
mod group_reader;
mod scripts;

pub use channels::{DeadMessage, DurableChannels, GroupInfo};
pub use group_options::GroupOptions;
pub use group_reader::{DurableDelivery, GroupEvent, GroupListener, GroupReader};
