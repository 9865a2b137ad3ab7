//! Every Redis key of a lock.

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
        // A name with a hash tag of its own keeps it.
        let tagged = lock.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|end| end > 0));
        if tagged { [&lock, ":fence"].concat() } else { ["{", &lock, "}:fence"].concat() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::key_slot;

    #[test]
    fn lock_and_fence_share_a_slot() {
        let keys = Keys::new("lock:".to_owned());
        for resource in ["order:1", "{order}:1", "a{}b", "}{", "a}b", "{"] {
            let (lock, fence) = (keys.lock(resource), keys.fence(resource));
            assert_eq!(key_slot(lock.as_bytes()), key_slot(fence.as_bytes()), "{resource}");
            assert_ne!(lock, fence);
        }
    }
}
