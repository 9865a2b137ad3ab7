//! The scripts and commands of channels that are kept, each with the types that it wants.

use super::group_options::GroupOptions;
use crate::{
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, Result},
    script::pubsub::{APPEND_MESSAGE, CLAIM_MESSAGES, LEAVE_GROUP},
};

/// Messages looked at in one call.
const LIMIT: &[u8] = b"100";
/// Consumers that were silent for an hour are gone.
const GONE_MS: &[u8] = b"3600000";

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub id: String,
    /// How often it was handed over, this time included.
    pub deliveries: u32,
    pub payload: Vec<u8>,
}

/// What became of messages that were to be taken over.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub taken: Vec<Entry>,
    pub dead: Vec<(String, u32)>,
    /// The stream no longer has so many.
    pub given_up: u64,
}

/// Who reads which stream.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub stream: String,
    pub dead: String,
    pub group: String,
    pub consumer: String,
}

pub(super) async fn append(link: &dyn Link, stream: &str, max_length: u64, payload: &[u8]) -> Result<String> {
    let max_length = max_length.to_string();
    APPEND_MESSAGE.with([stream], [max_length.as_bytes(), payload]).run(link).await?.into_text()
}

pub(super) async fn claim(link: &dyn Link, member: &Member, options: &GroupOptions, ids: &[String]) -> Result<Claimed> {
    let [rest, most, max_dead] =
        [options.claim_after, u64::from(options.max_deliveries), options.max_dead].map(|number| number.to_string());
    let args = [
        member.group.as_bytes(),
        member.consumer.as_bytes(),
        rest.as_bytes(),
        LIMIT,
        most.as_bytes(),
        max_dead.as_bytes(),
        GONE_MS,
    ];
    let reply = CLAIM_MESSAGES.with([&*member.stream, &*member.dead], args, ids).run(link).await?;
    let mut parts = reply.into_items()?.into_iter();
    let mut part = || parts.next().ok_or_else(|| Error::unexpected_reply("claim messages", "too short"));
    let mut claimed = Claimed::default();
    let mut taken = part()?.into_items()?.into_iter();
    while let (Some(id), Some(deliveries), Some(payload)) = (taken.next(), taken.next(), taken.next()) {
        claimed.taken.push(Entry { id: id.into_text()?, deliveries: count(deliveries)?, payload: bytes(payload)? });
    }
    let mut dead = part()?.into_items()?.into_iter();
    while let (Some(id), Some(deliveries)) = (dead.next(), dead.next()) {
        claimed.dead.push((id.into_text()?, count(deliveries)?));
    }
    claimed.given_up = u64::from(count(part()?)?);
    Ok(claimed)
}

pub(super) async fn leave(link: &dyn Link, member: &Member, options: &GroupOptions) -> Result<()> {
    let rest = options.claim_after.to_string();
    let args = [member.group.as_bytes(), member.consumer.as_bytes(), rest.as_bytes()];
    LEAVE_GROUP.with([&*member.stream], args).run(link).await.map(drop)
}

pub(super) fn read_new(member: &Member, count: usize) -> Command {
    Command::new("XREADGROUP")
        .arg("GROUP")
        .arg(&member.group)
        .arg(&member.consumer)
        .arg("COUNT")
        .arg(count.to_string())
        .arg("STREAMS")
        .key(&member.stream)
        .arg(">")
}

pub(super) fn acknowledge(member: &Member, ids: &[String]) -> Command {
    Command::new("XACK").key(&member.stream).arg(&member.group).args(ids).repeatable()
}

/// Tells others that these are being worked on.
pub(super) fn keep(member: &Member, ids: &[String]) -> Command {
    Command::new("XCLAIM")
        .key(&member.stream)
        .arg(&member.group)
        .arg(&member.consumer)
        .arg("0")
        .args(ids)
        .arg("JUSTID")
        .repeatable()
}

/// Makes a group; one that is there stays as it is.
pub(super) async fn create_group(link: &dyn Link, stream: &str, group: &str, position: &str) -> Result<()> {
    let command =
        Command::new("XGROUP").arg("CREATE").key(stream).arg(group).arg(position).arg("MKSTREAM").repeatable();
    match link.call(command).await {
        Err(error) if error.message().starts_with("BUSYGROUP") => Ok(()),
        reply => reply.map(drop),
    }
}

/// The messages of a reply to `XREADGROUP`.
pub(super) fn entries_read(reply: Value) -> Result<Vec<Entry>> {
    if reply.is_nil() {
        return Ok(Vec::new());
    }
    // One stream: its name, then its messages; in RESP3 a map of one.
    let mut streams = reply.into_items()?;
    let messages = match (streams.len(), streams.pop()) {
        (2, Some(messages)) => messages,
        (1, Some(stream)) => {
            stream.into_items()?.pop().ok_or_else(|| Error::unexpected_reply("XREADGROUP", "an empty stream"))?
        }
        _ => return Err(Error::unexpected_reply("XREADGROUP", "not one stream")),
    };
    messages.into_items()?.into_iter().filter_map(|message| entry(message).transpose()).collect()
}

/// A message; `None` for one that the stream no longer has.
pub(super) fn entry(message: Value) -> Result<Option<Entry>> {
    let mut parts = message.into_items()?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
        return Err(Error::unexpected_reply("message of a stream", "too short"));
    };
    if fields.is_nil() {
        return Ok(None);
    }
    let payload = field(fields, b"message")?.unwrap_or_default();
    Ok(Some(Entry { id: id.into_text()?, deliveries: 1, payload }))
}

/// A field of a message by name, of any publisher: where it has none of that name, the first one.
fn field(fields: Value, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut first = None;
    let mut items = fields.into_items()?.into_iter();
    while let (Some(found), Some(value)) = (items.next(), items.next()) {
        let value = bytes(value)?;
        if bytes(found)? == name {
            return Ok(Some(value));
        }
        first.get_or_insert(value);
    }
    Ok(first)
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::Bulk(bytes) => Ok(bytes),
        other => other.into_text().map(String::into_bytes),
    }
}

fn count(value: Value) -> Result<u32> {
    Ok(u32::try_from(value.into_int()?).unwrap_or(u32::MAX))
}
