//! Every Redis key of a lock.

use crate::error::{Error, Result};

/// Longest name of a resource, in bytes.
const MAX_RESOURCE: usize = 512;

/// Names of the keys of one service.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Holds the token of the holder.
    pub(super) fn lock(&self, resource: &str) -> String {
        [&self.prefix, resource].concat()
    }

    /// Holds the number of the last holder. In the slot of the lock, whatever the resource is called.
    pub(super) fn fence(&self, resource: &str) -> String {
        let lock = self.lock(resource);
        if has_tag(&lock) { [&lock, ":fence"].concat() } else { ["{", &lock, "}:fence"].concat() }
    }

    /// Refuses a name that is empty or too long, or has no place for its number in its slot: a lone `}` would end the
    /// tag that holds the name.
    pub(super) fn check(&self, resource: &str) -> Result<()> {
        if resource.is_empty() || resource.len() > MAX_RESOURCE {
            let got = format!("{} bytes long", resource.len());
            return Err(Error::invalid_argument("resource", &got, &format!("1 to {MAX_RESOURCE} bytes")));
        }
        let lock = self.lock(resource);
        if lock.contains('}') && !has_tag(&lock) {
            return Err(Error::invalid_argument(
                "resource",
                "one with a lone `}`",
                "braces around a part, as in `{a}:b`",
            ));
        }
        Ok(())
    }
}

/// Whether a part of a name says which slot it belongs to.
fn has_tag(name: &str) -> bool {
    name.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|end| end > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection::key_slot, error::ErrorCode};

    #[test]
    fn lock_and_fence_share_a_slot() {
        let keys = Keys::new("lock:".to_owned());
        for resource in ["order:1", "{order}:1", "{order}}", "a{b", "{"] {
            let (lock, fence) = (keys.lock(resource), keys.fence(resource));
            assert_eq!(key_slot(lock.as_bytes()), key_slot(fence.as_bytes()), "{resource}");
            assert_ne!(lock, fence);
            keys.check(resource).unwrap();
        }
        for resource in ["a{}b", "}{", "a}b", ""] {
            assert_eq!(keys.check(resource).unwrap_err().code(), ErrorCode::InvalidArgument, "{resource}");
        }
    }
}
