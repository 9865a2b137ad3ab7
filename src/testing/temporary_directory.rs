//! A directory that goes away with its owner.

use std::path::{Path, PathBuf};

/// An empty directory below the system's temporary one, removed on drop. Its path is short enough for a Unix socket.
#[derive(Debug)]
pub struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    #[expect(clippy::new_without_default, reason = "making one has a visible effect")]
    pub fn new() -> Self {
        let name = format!("oxcart-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temporary directory is writable");
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // A leftover directory is no reason to fail a test.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
