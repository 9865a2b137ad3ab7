//! The slow log.

use serde::Serialize;

use crate::{
    codec::resp::Value,
    error::{Error, Result},
};

/// A command that took long. Its arguments are as the server kept them: shortened, and with the names of keys.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowQuery {
    pub node: String,
    pub id: i64,
    /// When it ran, in milliseconds since the epoch.
    pub timestamp: i64,
    /// Milliseconds that it ran for.
    pub duration: f64,
    pub command: String,
    pub args: Vec<String>,
    /// Address, and name, of who sent it; empty where unknown.
    pub client: String,
    pub client_name: String,
}

/// Reads the reply of `SLOWLOG GET`.
pub(super) fn read(node: &str, reply: Value) -> Result<Vec<SlowQuery>> {
    reply.into_items()?.into_iter().map(|entry| read_one(node, entry)).collect()
}

fn read_one(node: &str, entry: Value) -> Result<SlowQuery> {
    let mut fields = entry.into_items()?.into_iter();
    let mut next = || fields.next().ok_or_else(|| Error::unexpected_reply("an entry of the slow log", "fewer fields"));
    let (id, seconds, micros) = (next()?.into_int()?, next()?.into_int()?, next()?.into_int()?);
    let mut words = next()?.into_items()?.into_iter().map(Value::into_text).collect::<Result<Vec<_>>>()?;
    let command = if words.is_empty() { String::new() } else { words.remove(0).to_uppercase() };
    // Servers before 4.0 do not tell these.
    let mut optional = || next().ok().and_then(|value| value.into_text().ok()).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one command")]
    let duration = micros as f64 / 1_000.0;
    Ok(SlowQuery {
        node: node.to_owned(),
        id,
        timestamp: seconds.saturating_mul(1_000),
        duration,
        command,
        args: words,
        client: optional(),
        client_name: optional(),
    })
}
