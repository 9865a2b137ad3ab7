//! What ties a job to the parent that waits for it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The job whose child a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentJob {
    pub id: String,
    /// `prefix:name` of its queue.
    pub queue: String,
}

impl ParentJob {
    pub(super) fn check(&self) -> Result<()> {
        if self.id.is_empty() {
            return Err(Error::invalid_option("parent.id", "empty", "the id of a job"));
        }
        if !self.queue.contains(':') {
            return Err(Error::invalid_option(
                "parent.queue",
                &format!("`{}`", self.queue),
                "`prefix:name` of a queue",
            ));
        }
        Ok(())
    }
}

/// What the failure of a child, for good, means for its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildFailure {
    /// The parent goes on waiting until the child is retried or removed.
    Wait,
    /// The parent fails.
    FailParent,
    /// The parent runs at once, other children unfinished; the reason is among its ignored failures.
    ContinueParent,
    /// The child counts as done; the reason is among the parent's ignored failures.
    Ignore,
    /// The child counts as done, as if it had never been one.
    Remove,
}

impl ChildFailure {
    /// From the four options, in the order of `NAMES`.
    pub(super) fn from_flags(flags: [Option<bool>; 4]) -> Result<Option<Self>> {
        const NAMES: [(&str, ChildFailure); 4] = [
            ("failParentOnFailure", ChildFailure::FailParent),
            ("continueParentOnFailure", ChildFailure::ContinueParent),
            ("ignoreDependencyOnFailure", ChildFailure::Ignore),
            ("removeDependencyOnFailure", ChildFailure::Remove),
        ];
        let mut set = NAMES.into_iter().zip(flags).filter(|(_, flag)| *flag == Some(true)).map(|(name, _)| name);
        match (set.next(), set.next()) {
            (Some((first, _)), Some((second, _))) => {
                Err(Error::invalid_option(second, &format!("given beside `{first}`"), "one of the two"))
            }
            (Some((_, mode)), None) => Ok(Some(mode)),
            _ => Ok(flags.contains(&Some(false)).then_some(Self::Wait)),
        }
    }
}

/// The same as it is stored in a job's options and in what it stores of its parent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "stored as four flags")]
pub(crate) struct ChildFailureFlags {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fpof: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cpof: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    idof: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rdof: bool,
}

impl ChildFailureFlags {
    pub(super) fn of(mode: Option<ChildFailure>) -> Self {
        let is = |other| mode == Some(other);
        Self {
            fpof: is(ChildFailure::FailParent),
            cpof: is(ChildFailure::ContinueParent),
            idof: is(ChildFailure::Ignore),
            rdof: is(ChildFailure::Remove),
        }
    }
}

/// A job's parent as scripts take it.
#[derive(Clone, Debug)]
pub(super) struct StoredParent {
    /// First part of the keys of the parent's queue.
    pub(super) prefix: String,
    pub(super) id: String,
    /// What the child stores of it.
    pub(super) json: String,
}

impl StoredParent {
    pub(super) fn of(parent: &ParentJob, mode: Option<ChildFailure>) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            id: &'a str,
            queue_key: &'a str,
            #[serde(flatten)]
            flags: ChildFailureFlags,
        }
        let json = Json { id: &parent.id, queue_key: &parent.queue, flags: ChildFailureFlags::of(mode) };
        Self {
            prefix: format!("{}:", parent.queue),
            id: parent.id.clone(),
            json: serde_json::to_string(&json).unwrap_or_else(|_| "{}".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stores_what_its_failure_means() {
        let parent = ParentJob { id: "p".to_owned(), queue: "bull:q".to_owned() };
        assert_eq!(
            StoredParent::of(&parent, Some(ChildFailure::FailParent)).json,
            r#"{"id":"p","queueKey":"bull:q","fpof":true}"#
        );
        assert_eq!(StoredParent::of(&parent, Some(ChildFailure::Wait)).json, r#"{"id":"p","queueKey":"bull:q"}"#);
    }

    #[test]
    fn the_four_modes_exclude_each_other() {
        let mode = |flags| ChildFailure::from_flags(flags).unwrap();
        assert_eq!(mode([None, None, Some(true), Some(false)]), Some(ChildFailure::Ignore));
        assert_eq!(mode([Some(false), None, None, None]), Some(ChildFailure::Wait));
        assert_eq!(mode([None; 4]), None);
        let error = ChildFailure::from_flags([Some(true), None, None, Some(true)]).unwrap_err();
        assert!(error.message().contains("`removeDependencyOnFailure` is given beside `failParentOnFailure`"));
    }
}
