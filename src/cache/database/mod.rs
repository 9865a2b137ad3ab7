//! Level 3: a table in SQLite or PostgreSQL. [`table`] has the rule for when a row is valid.

mod options;
mod place;
mod session;
mod table;
mod tier;
mod writer;

pub use options::Level3Options;
pub(super) use table::{Change, Outcome, Row, Seen};
pub use tier::DatabaseFigures;
pub(super) use tier::DatabaseTier;
