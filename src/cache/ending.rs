//! Ending rows of level 3 together with entries in Redis.
//!
//! Redis and the database know nothing of each other, so between the two a reader could carry a value up that is about to
//! end: it takes its lease when Redis has removed the entry already, and finds the row that the database still has. So
//! whoever ends a key leaves a token of it in Redis *first*, for longer than the database may take to answer, and no row of
//! a key with such a token is used:
//!
//! ```text
//! writer   token in Redis, entry and leases go ───────────── row goes ── answered
//! reader                       lease ── token? yes: no row is read
//! reader                                                          lease, token over (30 s) ── reads no row: it is gone
//! ```
//!
//! The same holds for tags. What is carried up gets the versions that its tags have in Redis *before* their tokens and marks
//! were looked at: so rows outlive a Redis that has lost the versions. Patterns are gone through in the database first, and in Redis after that,
//! with a new version of the sweep in between.
//!
//! What did not reach the table is written down in Redis, too: a key without expiry, which everyone looks at before they use
//! a row, until somebody has ended all rows that there were.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::{Duration, sleep};
use uuid::Uuid;

use super::{
    cache::Inner,
    database::{Change, DatabaseTier, Outcome},
    epochs::epochs,
    remover::{Swept, has_part},
};
use crate::{
    codec::resp::Value,
    connection::{BoxFuture, Command},
    embedded::glob_matches,
    error::{Error, Result},
    script::cache::RELEASE,
    service::spawn,
};

/// Life of a token; six times what a change of the database may take.
const TOKEN_LIFE_MS: i64 = 30_000;
/// Between two attempts to make up for what the database missed.
const PAUSE: Duration = Duration::from_secs(1);

/// Rows that are about to end.
pub(super) struct Ending {
    tokens: BoxFuture<'static, Vec<Result<Value>>>,
    keys: Vec<String>,
    tags: Vec<String>,
    rows: BoxFuture<'static, Result<Outcome>>,
}

impl Inner {
    /// Begins to end rows, where there is a level 3. Call it before what ends entries in Redis is sent.
    pub(super) fn begin_ending(self: &Arc<Self>, change: impl FnOnce() -> Change) -> Option<Ending> {
        let tier = self.database.as_ref()?;
        let change = change();
        let tokens = Box::pin(self.leave_tokens(&change));
        let (mut keys, mut tags) = (Vec::new(), Vec::new());
        match &change {
            Change::EndKeys(names) => keys.clone_from(names),
            Change::EndTags(names) => tags.clone_from(names),
            _ => {}
        }
        Some(Ending { tokens, keys, tags, rows: Box::pin(tier.end(change)) })
    }

    /// Waits for rows to end, which they do while Redis answers; with its answer.
    ///
    /// # Errors
    /// That of Redis; or that of the database, if the miss could not be written down in Redis either.
    pub(super) async fn ended<T>(self: &Arc<Self>, ending: Option<Ending>, answer: Result<T>) -> Result<(T, Outcome)> {
        let Some(ending) = ending else { return Ok((answer?, Outcome::default())) };
        let outcome = Box::pin(self.end(ending, answer.is_ok())).await;
        Ok((answer?, outcome?))
    }

    async fn end(self: &Arc<Self>, ending: Ending, is_answered: bool) -> Result<Outcome> {
        let Ending { tokens, keys, tags, rows } = ending;
        let (left, ended) = tokio::join!(tokens, rows);
        if !is_answered {
            // No token kept readers here from copying the row until now.
            for key in &keys {
                epochs().bump(self.watch(key, &[]).key);
            }
            self.end_tags(&tags);
        }
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(error) => self.missed(error).await.map(|()| Outcome::default())?,
        };
        if left.iter().any(Result::is_err) && is_answered && !keys.is_empty() {
            // A server without memory for tokens: what was carried up meanwhile goes now.
            let names = keys.iter().map(|key| self.keys.lease(key)).chain(keys.iter().map(|key| self.keys.entry(key)));
            let unlink = names.fold(Command::new("UNLINK"), Command::key).repeatable();
            self.remote.link().call(unlink).await?;
        }
        Ok(outcome)
    }

    fn leave_tokens(&self, change: &Change) -> impl Future<Output = Vec<Result<Value>>> + Send + use<> {
        let names: Vec<String> = match change {
            Change::EndKeys(keys) => keys.iter().map(|key| self.keys.ending(key)).collect(),
            Change::EndTags(tags) => {
                tags.iter().map(|tag| self.keys.ending(&super::keys::Keys::tag_name(tag))).collect()
            }
            _ => Vec::new(),
        };
        let token = |name: &String| Command::new("SET").key(name).arg("1").arg("PX").int(TOKEN_LIFE_MS).repeatable();
        let commands: Vec<_> = names.iter().map(token).collect();
        let sent = (!commands.is_empty()).then(|| self.remote.link().call_many(&commands));
        async move {
            match sent {
                Some(sent) => sent.await,
                None => Vec::new(),
            }
        }
    }

    /// Tells all who share Redis that the table has rows which should have ended, and begins to end them.
    async fn missed(self: &Arc<Self>, error: Error) -> Result<()> {
        let token = Uuid::new_v4().simple().to_string();
        let flag = Command::new("SET").key(self.keys.database_closed()).arg(&token).repeatable();
        let flagged = self.remote.link().call(flag).await;
        self.mend();
        self.reporter.tell(|| error.clone());
        flagged.map(|_| ()).map_err(|_| error)
    }

    /// Ends all rows that there are, trying until it succeeds, and then says in Redis that it is done.
    pub(super) fn mend(self: &Arc<Self>) {
        let Some(tier) = self.database.clone() else { return };
        if tier.mending.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::downgrade(self);
        drop(spawn(async move {
            loop {
                let Some(inner) = inner.upgrade() else { return };
                let flag = inner.keys.database_closed();
                // Before the rows end: what others miss after that is written down anew.
                let get = Command::new("GET").key(&flag).deadline(inner.remote.deadline()).repeatable();
                let told = inner.remote.link().call(get).await;
                if tier.end_all().await.is_ok() {
                    let token = told.ok().and_then(|token| token.into_optional_text().ok()).flatten();
                    if let Some(token) = token {
                        let call = RELEASE.with([&flag, &flag], [token.as_bytes(), b""]);
                        let link = Arc::clone(inner.remote.link());
                        let _ = call.deadline(inner.remote.deadline()).repeatable().start(link).await;
                    }
                    if !tier.is_closed() {
                        tier.mending.store(false, Ordering::Release);
                        if !tier.is_closed() || tier.mending.swap(true, Ordering::AcqRel) {
                            return;
                        }
                    }
                }
                drop(inner);
                sleep(PAUSE).await;
            }
        }));
    }

    /// Ends all rows whose stored keys match `glob`, and are meant; how many there were.
    pub(super) async fn sweep_database(self: &Arc<Self>, glob: &str, of: &Swept) -> Result<u64> {
        let Some(tier) = &self.database else { return Ok(0) };
        let prefix = self.keys.prefix();
        let is_meant = |name: &str| match of {
            Swept::Entries | Swept::Everything => true,
            Swept::Having { start, part } => has_part(name, start, part),
        };
        let matches =
            |name: &str| glob_matches(glob.as_bytes(), [prefix, name].concat().as_bytes(), false) && is_meant(name);
        let head = literal_head(glob);
        let start = head.strip_prefix(prefix).unwrap_or_default();
        match walk(tier, start, *of == Swept::Everything, matches).await {
            Ok(count) => Ok(count),
            Err(error) => {
                tier.miss();
                self.missed(error).await.map(|()| 0)
            }
        }
    }
}

async fn walk(
    tier: &Arc<DatabaseTier>,
    start: &str,
    everything: bool,
    matches: impl Fn(&str) -> bool + Send,
) -> Result<u64> {
    let begun = tier.end(Change::EndLoads(everything)).await?;
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let names = tier.names(start.to_owned(), after).await?;
        let Some(last) = names.last().cloned() else { return Ok(count) };
        let is_over = !last.starts_with(start);
        let matching: Vec<_> = names.into_iter().filter(|name| matches(name)).collect();
        if !matching.is_empty() {
            count += tier.end(Change::Remove(matching, begun.seen.seq)).await?.count;
        }
        if is_over {
            return Ok(count);
        }
        after = last;
    }
}

/// What all that a glob matches begins with.
fn literal_head(glob: &str) -> String {
    let mut head = String::new();
    let mut left = glob.chars();
    while let Some(one) = left.next() {
        match one {
            '*' | '?' | '[' => break,
            '\\' => head.extend(left.next()),
            one => head.push(one),
        }
    }
    head
}
