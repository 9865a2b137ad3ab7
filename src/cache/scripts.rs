//! The cache's scripts, each with the types that it wants.

use std::{sync::Arc, time::Duration};

use super::{
    agenda::{self, AgendaKeys, Claimed, Taken},
    cache::Condition,
    keys::Keys,
};
use crate::{
    codec::resp::Value,
    connection::Link,
    error::Result,
    script::{
        ScriptCall,
        cache::{
            CLAIM_WORK, HOLD_WORK, INVALIDATE_TAGS, RAISE_SWEEP, READ_TAGS, SETTLE_WORK, TAGS_SINCE, WRITE_TAGGED,
        },
    },
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

/// Writes an entry under the present versions of its tags; [`tagged`] reads the reply.
pub(super) fn write_tagged(keys: &Keys, write: &TaggedWrite<'_>) -> ScriptCall {
    let (ttl, keep) = (millis(write.ttl), millis(write.ttl + KEEP_BEYOND));
    let created = write.created_ms.to_string();
    WRITE_TAGGED.with(
        [&keys.entry(write.key), &keys.lease(write.key), keys.prefix()],
        [
            write.value,
            ttl.as_bytes(),
            write.condition.word().unwrap_or_default().as_bytes(),
            created.as_bytes(),
            keep.as_bytes(),
        ],
        write.tags,
    )
}

pub(super) fn tagged(reply: Value) -> Result<Tagged> {
    Ok(match reply.into_int()? {
        0 => Tagged::Refused,
        1 => Tagged::Written,
        _ => Tagged::WrittenAndChanged,
    })
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

/// Puts work on an agenda, as `[id, payload]`; its version, or 0 when there is no room.
pub(super) fn hold_work(
    link: &Arc<dyn Link>,
    keys: &AgendaKeys,
    work: [&str; 2],
    due_ms: i64,
    keeps_due: bool,
    max_items: u64,
) -> impl Future<Output = Result<i64>> + Send + use<> {
    let (due, max) = (due_ms.to_string(), max_items.to_string());
    let keep: &[u8] = if keeps_due { b"1" } else { b"0" };
    let names = [&*keys.items, &*keys.due, &*keys.claimed, &*keys.versions];
    // Sent twice it is the same work.
    let call = HOLD_WORK.with(names, [work[0].as_bytes(), work[1].as_bytes(), due.as_bytes(), keep, max.as_bytes()]);
    let reply = call.repeatable().start(Arc::clone(link));
    async move { reply.await?.into_int() }
}

/// Claims work; when to look again, and the items. `times` are now, up to when it is due, and when the claims are over.
pub(super) async fn claim_work(
    link: &Arc<dyn Link>,
    keys: &AgendaKeys,
    times: [i64; 3],
    count: usize,
) -> Result<Taken> {
    let [now, until, claim] = times.map(|ms| ms.to_string());
    let count = count.to_string();
    let call = CLAIM_WORK.with(
        [&keys.items, &keys.due, &keys.claimed],
        [now.as_bytes(), until.as_bytes(), claim.as_bytes(), count.as_bytes()],
    );
    agenda::claimed(call.start(Arc::clone(link)).await?)
}

/// Ends a claim: 0 when it was over, 1 when the work is gone, 2 when it is still to be done.
pub(super) fn settle_work(
    link: &Arc<dyn Link>,
    keys: &AgendaKeys,
    now_ms: i64,
    item: &Claimed,
    retry_ms: Option<i64>,
) -> impl Future<Output = Result<i64>> + Send + use<> {
    let (now, claim) = (now_ms.to_string(), item.claim_ms.to_string());
    let retry = retry_ms.map(|ms| ms.to_string()).unwrap_or_default();
    let call = SETTLE_WORK.with(
        [&keys.items, &keys.due, &keys.claimed],
        [now.as_bytes(), item.id.as_bytes(), item.version.as_bytes(), claim.as_bytes(), retry.as_bytes()],
    );
    let reply = call.repeatable().start(Arc::clone(link));
    async move { reply.await?.into_int() }
}

/// Ends every lease of the cache.
pub(super) fn raise_sweep(link: &Arc<dyn Link>, keys: &Keys) -> impl Future<Output = Result<()>> + Send + use<> {
    let keep = millis(2 * super::lease::LIFE);
    let reply = RAISE_SWEEP.with([&keys.sweep()], [keep.as_bytes()]).repeatable().start(Arc::clone(link));
    async move { reply.await.map(|_| ()) }
}

/// The versions of tags that were named while a value was loaded; `None` when one was invalidated since `began`.
pub(super) async fn tags_since(
    link: &Arc<dyn Link>,
    keys: &Keys,
    tags: &[String],
    began: &str,
    ttl: Duration,
    deadline: Duration,
) -> Result<Option<Vec<String>>> {
    let keep = millis(ttl + KEEP_BEYOND);
    let call = TAGS_SINCE.with([keys.prefix()], [began.as_bytes(), keep.as_bytes()], tags).deadline(deadline);
    let versions = call.repeatable().start(Arc::clone(link)).await?.into_items()?;
    let versions: Vec<String> = versions.into_iter().map(Value::into_text).collect::<Result<_>>()?;
    Ok((versions.len() == tags.len()).then_some(versions))
}
