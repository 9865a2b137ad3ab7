//! What tests need: private servers, and a proxy that misbehaves on request.

mod eventually;
mod postgres_server;
mod proxy;
mod redis_server;
mod temporary_directory;

pub use eventually::eventually;
pub use postgres_server::PostgresServer;
pub use proxy::Proxy;
pub use redis_server::{RedisServer, RedisServerBuilder};
pub use temporary_directory::TemporaryDirectory;
