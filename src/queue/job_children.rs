//! What a parent knows of its children, and what parts them.

use super::{JobRecord, Queue, scripts::Storage};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, Result},
};

/// Members that one scan step asks for.
const SCAN_COUNT: i64 = 500;
/// Jobs that are read in one pipeline.
const READ_SLICE: usize = 500;

/// What `retry` sets back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reset {
    /// The job gets all its attempts again.
    pub attempts_made: bool,
    pub attempts_started: bool,
}

impl Reset {
    /// As the script reads it.
    pub(super) fn letters(self) -> &'static str {
        match (self.attempts_made, self.attempts_started) {
            (false, false) => "",
            (true, false) => "m",
            (false, true) => "s",
            (true, true) => "ms",
        }
    }
}

/// How a child stands with its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// Completed; the value is its result as JSON.
    Processed,
    /// Not finished yet.
    Unprocessed,
    /// Failed, and the parent does not mind; the value is the reason.
    Ignored,
    /// Failed, and the parent with it.
    Failed,
}

impl DependencyKind {
    /// In the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Processed, Self::Unprocessed, Self::Ignored, Self::Failed];

    /// The user's name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Unprocessed => "unprocessed",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn key(self, storage: &Storage, id: &str) -> String {
        let suffix = match self {
            Self::Processed => "processed",
            Self::Unprocessed => "dependencies",
            Self::Ignored => "failed",
            Self::Failed => "unsuccessful",
        };
        format!("{}:{suffix}", storage.keys.job(id))
    }

    fn has_values(self) -> bool {
        matches!(self, Self::Processed | Self::Ignored)
    }
}

/// Keys of children, each with its value where the kind has one.
pub type Children = Vec<(String, Option<String>)>;

/// Some children of one kind, and where to go on: 0 at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyPage {
    pub next: u64,
    pub children: Children,
}

/// A page of children with their jobs; a job that was removed is left out.
#[derive(Clone, Debug, Default)]
pub struct ChildrenPage {
    pub total: i64,
    pub children: Children,
    pub jobs: Vec<(String, JobRecord)>,
}

impl Queue {
    /// All children of one kind.
    pub async fn get_children(&self, id: &str, kind: DependencyKind) -> Result<Children> {
        let key = kind.key(self.storage(), id);
        let command = match kind {
            DependencyKind::Processed | DependencyKind::Ignored => Command::new("HGETALL").key(key),
            DependencyKind::Unprocessed => Command::new("SMEMBERS").key(key),
            DependencyKind::Failed => Command::new("ZRANGE").key(key).int(0).int(-1),
        };
        let found = children(kind, self.storage().link.call(command.repeatable()).await?)?;
        Ok(self.opened_children(found))
    }

    /// About `count` children of a kind, from a cursor on; 0 begins.
    pub async fn scan_children(
        &self,
        id: &str,
        kind: DependencyKind,
        cursor: u64,
        count: i64,
    ) -> Result<DependencyPage> {
        let key = kind.key(self.storage(), id);
        let from = i64::try_from(cursor).unwrap_or(i64::MAX);
        if kind == DependencyKind::Failed {
            let command = Command::new("ZRANGE").key(key).int(from).int(from.saturating_add(count - 1)).repeatable();
            let children = children(kind, self.storage().link.call(command).await?)?;
            let is_last = i64::try_from(children.len()).unwrap_or(i64::MAX) < count;
            let next = if is_last { 0 } else { cursor.saturating_add_signed(count) };
            return Ok(DependencyPage { next, children });
        }
        let name = if kind.has_values() { "HSCAN" } else { "SSCAN" };
        // A cursor is unsigned: as text, for one beyond what an integer argument holds.
        let command = Command::new(name).key(key).arg(cursor.to_string()).arg("COUNT").int(count).repeatable();
        let mut reply = self.storage().link.call(command).await?.into_items()?.into_iter();
        let (Some(next), Some(found)) = (reply.next(), reply.next()) else {
            return Err(Error::unexpected_reply("scan", "of another length"));
        };
        Ok(DependencyPage {
            next: next.into_text()?.parse().unwrap_or(0),
            children: self.opened_children(children(kind, found)?),
        })
    }

    /// With their results as they were before they were stored, where this queue can read them.
    fn opened_children(&self, mut children: Children) -> Children {
        for (_, value) in &mut children {
            if let Some(opened) = value.clone().and_then(|value| self.payload().open(value).ok()) {
                *value = Some(opened);
            }
        }
        children
    }

    /// How many children there are of each kind, in the order of `kinds`.
    pub async fn count_children(&self, id: &str, kinds: &[DependencyKind]) -> Result<Vec<i64>> {
        let commands: Vec<_> = kinds
            .iter()
            .map(|kind| {
                let name = match kind {
                    DependencyKind::Processed | DependencyKind::Ignored => "HLEN",
                    DependencyKind::Unprocessed => "SCARD",
                    DependencyKind::Failed => "ZCARD",
                };
                Command::new(name).key(kind.key(self.storage(), id)).repeatable()
            })
            .collect();
        self.storage().link.call_many(&commands).await.into_iter().map(|reply| reply?.into_int()).collect()
    }

    /// Children `start..=end` of a kind (-1 is the last), with their jobs. Their order is the server's, and holds while
    /// no child changes.
    pub async fn page_children(&self, id: &str, kind: DependencyKind, start: i64, end: i64) -> Result<ChildrenPage> {
        let total = self.count_children(id, &[kind]).await?.first().copied().unwrap_or(0);
        let last = if end < 0 { total.saturating_add(end) } else { end };
        let (skip, wanted) = (start.max(0), last.saturating_sub(start.max(0)).saturating_add(1));
        let mut page = ChildrenPage { total, ..ChildrenPage::default() };
        let (mut cursor, mut seen) = (0, 0);
        let full = |page: &ChildrenPage| i64::try_from(page.children.len()).unwrap_or(i64::MAX) >= wanted;
        while !full(&page) {
            let found = self.scan_children(id, kind, cursor, SCAN_COUNT).await?;
            for child in found.children {
                if seen >= skip && !full(&page) {
                    page.children.push(child);
                }
                seen += 1;
            }
            cursor = found.next;
            if cursor == 0 {
                break;
            }
        }
        let keys: Vec<String> = page.children.iter().map(|(key, _)| key.clone()).collect();
        for slice in keys.chunks(READ_SLICE) {
            let reads: Vec<_> = slice.iter().map(|key| Command::new("HGETALL").key(key).repeatable()).collect();
            for (reply, key) in self.storage().link.call_many(&reads).await.into_iter().zip(slice) {
                let own = key.strip_prefix(&self.storage().keys.prefix);
                let id = own.unwrap_or_else(|| key.rsplit(':').next().unwrap_or_default()).to_owned();
                page.jobs.extend(JobRecord::from_hash(id, reply?)?.map(|job| (key.clone(), self.opened(job))));
            }
        }
        Ok(page)
    }

    /// Whether a job that this process runs has children to wait for; `child` (a full key) asks for that one only.
    ///
    /// # Errors
    /// `JobNotFound`, `JobLockLost`, `JobHasChildren` when a child has failed with its parent.
    pub async fn check_children(&self, id: &str, token: &str, child: Option<&str>) -> Result<bool> {
        let child = child.map(|child| format!("{}{child}", self.options().key_prefix));
        self.storage().check_children(id, token, child.as_deref()).await
    }

    /// Parts a job from its parent. False when the parent does not wait for it.
    pub async fn remove_child_dependency(&self, id: &str) -> Result<bool> {
        self.storage().remove_child_dependency(self.now(), id).await
    }

    /// Removes the children that have neither begun nor finished, with theirs.
    pub async fn remove_unprocessed_children(&self, id: &str) -> Result<()> {
        self.storage().remove_unprocessed_children(self.now(), id).await
    }
}

fn children(kind: DependencyKind, reply: Value) -> Result<Children> {
    let mut items = reply.into_items()?.into_iter();
    let mut children = Vec::with_capacity(items.len());
    while let Some(key) = items.next() {
        let value = if kind.has_values() { items.next().map(Value::into_text).transpose()? } else { None };
        children.push((key.into_text()?, value));
    }
    Ok(children)
}
