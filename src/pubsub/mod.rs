//! Publish and subscribe: channels and patterns of every service of the process over one subscriber link.

mod channel_prefix;
mod options;
mod publisher;
mod subscriber;

pub use channel_prefix::ChannelPrefix;
pub use options::{PubSubOptions, Serializer};
pub use publisher::Publisher;
pub use subscriber::{Delivery, Gap, Listener, Lost, Subscriber};
