//! Publish and subscribe: channels and patterns of every service of the process over one subscriber link.

mod channel_prefix;
pub mod durable;
mod flow;
mod options;
mod publisher;
mod subscriber;

pub use channel_prefix::ChannelPrefix;
pub use flow::FlowStats;
pub use options::{FlowOptions, Overflow, PubSubOptions, Serializer};
pub use publisher::Publisher;
pub use subscriber::{Delivery, Gap, Listener, Lost, Subscriber};
