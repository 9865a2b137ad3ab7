//! Going through a database without stopping the server, in slices.

use std::sync::Arc;

use crate::{
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, Result},
};

/// Keys that one SCAN looks at, and at most about so many that one UNLINK removes.
const SLICE: i64 = 1_000;

/// One slice: the next cursor and what matches.
pub(super) async fn scan(link: &Arc<dyn Link>, cursor: &str, glob: &str) -> Result<(String, Vec<Vec<u8>>)> {
    scan_reply(link.call(scan_command(cursor, glob)).await?)
}

/// Removes the entries that match `glob`, as `is_entry` tells them, and of all else that matches what `goes_too`; how
/// many entries there were.
pub(super) async fn sweep(
    link: &Arc<dyn Link>,
    glob: &str,
    goes_too: impl Fn(&[u8]) -> bool + Send,
    is_entry: impl Fn(&[u8]) -> bool + Send,
) -> Result<u64> {
    let mut removed = 0;
    let (mut cursor, mut found) = scan(link, "0", glob).await?;
    loop {
        let (entries, mut others): (Vec<_>, Vec<_>) = found.into_iter().partition(|key| is_entry(key));
        others.retain(|key| goes_too(key));
        // One slice is removed while the next is looked for.
        let mut commands = Vec::with_capacity(3);
        let done = cursor == "0";
        if !done {
            commands.push(scan_command(&cursor, glob));
        }
        if !entries.is_empty() {
            commands.push(Command::new("UNLINK").args(&entries).repeatable());
        }
        if !others.is_empty() {
            commands.push(Command::new("UNLINK").args(&others).repeatable());
        }
        let mut replies = link.call_many(&commands).await.into_iter();
        let scanned = if done { None } else { replies.next() };
        if !entries.is_empty()
            && let Some(count) = replies.next()
        {
            removed += u64::try_from(count?.into_int()?).unwrap_or(0);
        }
        replies.try_for_each(|reply| reply.map(|_| ()))?;
        match scanned {
            Some(reply) => (cursor, found) = scan_reply(reply?)?,
            None => return Ok(removed),
        }
    }
}

fn scan_command(cursor: &str, glob: &str) -> Command {
    Command::new("SCAN").arg(cursor).arg("MATCH").arg(glob).arg("COUNT").int(SLICE).repeatable()
}

/// The next cursor and the keys of a SCAN reply.
fn scan_reply(reply: Value) -> Result<(String, Vec<Vec<u8>>)> {
    let mut parts = reply.into_items()?.into_iter();
    let (Some(cursor), Some(keys)) = (parts.next(), parts.next()) else {
        return Err(Error::unexpected_reply("SCAN", "an array without cursor and keys"));
    };
    let keys = keys.into_items()?.into_iter().filter_map(|key| match key {
        Value::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    Ok((cursor.into_text()?, keys.collect()))
}
