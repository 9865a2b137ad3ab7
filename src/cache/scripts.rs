//! The cache's scripts, each with the types that it wants.

use std::{sync::Arc, time::Duration};

use super::{cache::Condition, keys::Keys};
use crate::{
    codec::resp::Value,
    connection::Link,
    error::Result,
    script::cache::{INVALIDATE_TAGS, READ_TAGS, WRITE_TAGGED},
};

/// How much longer than an entry the versions of its tags are kept: an entry whose version is gone counts as missing.
const KEEP_BEYOND: Duration = Duration::from_secs(24 * 3600);

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// The versions of `tags`, which an entry that lives `ttl` will carry; and whether the record of one was changed.
pub(super) fn read_tags(
    link: &Arc<dyn Link>,
    keys: &Keys,
    tags: &[String],
    ttl: Duration,
    deadline: Duration,
) -> impl Future<Output = Result<(Vec<String>, bool)>> + Send + use<> {
    let keep = millis(ttl + KEEP_BEYOND);
    let call = READ_TAGS.with([keys.prefix()], [keep.as_bytes()], tags).deadline(deadline).repeatable();
    let reply = call.start(Arc::clone(link));
    async move {
        let mut answer = reply.await?.into_items()?.into_iter();
        let changed = answer.next().map_or(Ok(0), Value::into_int)? == 1;
        Ok((answer.map(Value::into_text).collect::<Result<_>>()?, changed))
    }
}

/// An entry on its way to [`write_tagged`].
pub(super) struct TaggedWrite<'a> {
    pub key: &'a str,
    pub value: &'a [u8],
    pub ttl: Duration,
    pub condition: Condition,
    pub created_ms: i64,
    pub tags: &'a [String],
}

/// What became of a [`TaggedWrite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tagged {
    /// Its condition did not hold.
    Refused,
    Written,
    /// And the record of a version was changed.
    WrittenAndChanged,
}

/// Writes an entry under the present versions of its tags.
pub(super) fn write_tagged(
    link: &Arc<dyn Link>,
    keys: &Keys,
    write: &TaggedWrite<'_>,
) -> impl Future<Output = Result<Tagged>> + Send + use<> {
    let (ttl, keep) = (millis(write.ttl), millis(write.ttl + KEEP_BEYOND));
    let created = write.created_ms.to_string();
    let reply = WRITE_TAGGED
        .with(
            [&keys.entry(write.key), keys.prefix()],
            [
                write.value,
                ttl.as_bytes(),
                write.condition.word().unwrap_or_default().as_bytes(),
                created.as_bytes(),
                keep.as_bytes(),
            ],
            write.tags,
        )
        .start(Arc::clone(link));
    async move {
        Ok(match reply.await?.into_int()? {
            0 => Tagged::Refused,
            1 => Tagged::Written,
            _ => Tagged::WrittenAndChanged,
        })
    }
}

/// Gives `tags` new versions; about how many keys were written under them since the last time.
pub(super) fn invalidate_tags(
    link: &Arc<dyn Link>,
    keys: &Keys,
    tags: &[String],
) -> impl Future<Output = Result<u64>> + Send + use<> {
    let keep = millis(KEEP_BEYOND);
    let reply = INVALIDATE_TAGS.with([keys.prefix()], [keep.as_bytes()], tags).repeatable().start(Arc::clone(link));
    async move { Ok(u64::try_from(reply.await?.into_int()?).unwrap_or(0)) }
}
