//! The scripts of locks, each with the types that it wants.

use std::time::Duration;

use super::keys::Keys;
use crate::{
    codec::resp::Value,
    connection::Link,
    error::Result,
    script::lock::{ACQUIRE_LOCK, EXTEND_LOCK, RAISE_FENCE, RELEASE_LOCK},
};

/// How long the number of a lock's last holder is kept: after a longer rest, numbers grow with the server's clock alone.
const KEEP_FENCE: &[u8] = b"604800000";

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// What one server says to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// With the number of this holder.
    Taken(u64),
    /// With what is left of the holder's time.
    Held(Duration),
}

pub(super) async fn acquire(
    link: &dyn Link,
    keys: &Keys,
    resource: &str,
    token: &str,
    ttl: Duration,
    deadline: Duration,
) -> Result<Attempt> {
    let names = [&*keys.lock(resource), &*keys.fence(resource)];
    let arguments = [token.as_bytes(), millis(ttl).as_bytes(), KEEP_FENCE].map(<[u8]>::to_vec);
    let arguments = [&arguments[0][..], &arguments[1][..], &arguments[2][..]];
    Ok(match ACQUIRE_LOCK.with(names, arguments).deadline(deadline).run(link).await? {
        // A lock without an expiry is somebody else's key of that name.
        Value::Int(left) => Attempt::Held(Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX >> 1))),
        number => Attempt::Taken(number.into_text()?.parse().unwrap_or_default()),
    })
}

pub(super) async fn raise_fence(
    link: &dyn Link,
    keys: &Keys,
    resource: &str,
    token: &str,
    number: u64,
    deadline: Duration,
) -> Result<bool> {
    let names = [&*keys.lock(resource), &*keys.fence(resource)];
    let number = number.to_string();
    let call = RAISE_FENCE.with(names, [token.as_bytes(), number.as_bytes(), KEEP_FENCE]);
    Ok(call.deadline(deadline).repeatable().run(link).await?.into_int()? == 1)
}

pub(super) async fn extend(
    link: &dyn Link,
    keys: &Keys,
    resource: &str,
    token: &str,
    ttl: Duration,
    deadline: Duration,
) -> Result<bool> {
    let ttl = millis(ttl);
    let call = EXTEND_LOCK.with([&keys.lock(resource)], [token.as_bytes(), ttl.as_bytes()]);
    Ok(call.deadline(deadline).repeatable().run(link).await?.into_int()? == 1)
}

pub(super) async fn release(
    link: &dyn Link,
    keys: &Keys,
    resource: &str,
    token: &str,
    deadline: Duration,
) -> Result<bool> {
    let call = RELEASE_LOCK.with([&keys.lock(resource)], [token.as_bytes()]);
    Ok(call.deadline(deadline).run(link).await?.into_int()? == 1)
}
