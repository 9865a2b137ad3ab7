//! The table, and when a row in it is valid.
//!
//! A row may be older than what made it invalid: a load that began before an invalidation stores its value after it. So
//! nothing here goes by when something was written. The state of a space (a cache's prefix) has a number that every change
//! raises, `seq`. A load reads it *before* it asks its source, and its row carries what it read. An invalidation raises it
//! *after* the source was changed, and leaves the new number as a mark:
//!
//! ```text
//! load          reads seq 7 ─────────── asks the source: v1 ─────────────────── stores v1 with 7: refused, 7 < 8
//! invalidation              changes the source ─── seq becomes 8, mark of the key: 8
//! ```
//!
//! - The mark of a **key** is what remains of its row: no value, and the number. A row is stored only over a lower number.
//! - The mark of a **tag** is a row of its own. A value is valid only if its number is not below that of any of its tags.
//! - A pattern delete raises `fill_floor`, below which nothing is stored any more, and then removes what matches, in slices.
//! - A flush raises `row_floor` too, below which no row is valid.
//!
//! Marks that are removed (their time is over, or room is needed) raise the floor that keeps their promise: a mark of a key
//! `fill_floor`, a mark of a tag both. So the table is bounded, and forgetting costs misses only.
//!
//! `era` is drawn by lot when the state is made. A PostgreSQL that crashed empties tables that are `UNLOGGED`, and numbers
//! begin anew: a load from before has another era.
//!
//! Every change holds the lock on the state's row (in SQLite, on the file), so changes of one space happen one after the
//! other, and rows and bytes are counted exactly.

use std::collections::{BTreeMap, BTreeSet};

use super::session::{Cell, Pool, Session, Speaker};

/// Names in one statement.
const NAMES: usize = 200;
/// Rows that one statement removes, at most.
pub(super) const SLICE: i64 = 500;
/// Bytes that a row takes beside its name and value.
const OVERHEAD: usize = 64;
/// Longest space and name together: PostgreSQL's indexes take no more.
const LONGEST: usize = 2_000;
/// How long the mark of a key is kept unless room is needed. A load that takes longer may find nothing stored.
const KEY_MARK_MS: i64 = 60_000;
/// How much longer than any row the mark of a tag is kept.
const TAG_MARK_MS: i64 = 3_600_000;

const ENTRY: i64 = 0;
const TAG: i64 = 1;

/// What a load knows of the state from before it asks its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cache) struct Seen {
    pub era: i64,
    pub seq: i64,
}

impl Seen {
    /// For the way through JavaScript.
    pub(in crate::cache) fn to_text(self) -> String {
        format!("{}.{}", self.era, self.seq)
    }

    pub(in crate::cache) fn from_text(text: &str) -> Option<Self> {
        let (era, seq) = text.split_once('.')?;
        Some(Self { era: era.parse().ok()?, seq: seq.parse().ok()? })
    }
}

/// A row that is valid but for its tags.
#[derive(Clone, Debug)]
pub(in crate::cache) struct Row {
    pub seen: Seen,
    pub value: Vec<u8>,
    pub expires_at_ms: i64,
}

/// What a read found.
#[derive(Debug, Default)]
pub(in crate::cache) struct Look {
    /// None where the space has no state yet.
    pub seen: Option<Seen>,
    pub rows: BTreeMap<String, Row>,
}

/// A change of the table.
#[derive(Clone, Debug)]
pub(in crate::cache) enum Change {
    /// Makes the state of the space.
    Begin,
    /// Ends rows, and what is being loaded for them.
    EndKeys(Vec<String>),
    EndTags(Vec<String>),
    /// Ends all that is being loaded; with `true` all rows, too.
    EndLoads(bool),
    /// Removes rows with numbers below.
    Remove(Vec<String>, i64),
    Store {
        name: String,
        value: Vec<u8>,
        tags: Vec<String>,
        expires_at_ms: i64,
        seen: Seen,
    },
    /// Removes a slice of what has expired.
    Expire,
}

impl Change {
    pub(super) fn bytes(&self) -> usize {
        if let Self::Store { value, .. } = self { value.len() } else { 0 }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cache) struct Outcome {
    pub seen: Seen,
    /// Live rows that were ended, or rows that were removed or stored.
    pub count: u64,
}

/// Rows and bytes afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub rows: i64,
    pub bytes: i64,
}

/// One space of the table.
pub(super) struct Table {
    space: String,
    entries: String,
    state: String,
    ttl_ms: i64,
    max_rows: i64,
    max_bytes: i64,
}

struct State {
    era: i64,
    seq: i64,
    fill_floor: i64,
    row_floor: i64,
    rows: i64,
    bytes: i64,
}

impl Table {
    pub(super) fn new(space: &str, settings: &super::options::Settings) -> Self {
        Self {
            space: space.to_owned(),
            entries: format!("\"{}\"", settings.table),
            state: format!("\"{}_state\"", settings.table),
            ttl_ms: i64::try_from(settings.ttl.as_millis()).unwrap_or(i64::MAX / 4),
            max_rows: settings.max_rows,
            max_bytes: settings.max_bytes,
        }
    }

    /// Whether a name can be in an index: what cannot is never stored, and so has nothing to be ended.
    pub(super) fn fits(&self, name: &str) -> bool {
        self.space.len() + name.len() <= LONGEST && !name.contains('\0') && !self.space.contains('\0')
    }

    /// Makes the tables unless they are there.
    pub(super) async fn make(&self, pool: &Pool) -> sqlx::Result<()> {
        let mut session = pool.session().await?;
        let probe = format!("SELECT s.seq FROM {} s, {} e WHERE s.seq < s.seq", self.state, self.entries);
        // Before anything is made: who may not make tables can still use those that are there.
        if session.speaker().fetch(&probe, Vec::new()).await.is_ok() {
            return Ok(());
        }
        let (unlogged, binary, bytes) =
            if pool.is_postgres() { ("UNLOGGED ", " COLLATE \"C\"", "BYTEA") } else { ("", "", "BLOB") };
        let Self { entries, state, .. } = self;
        let index = format!("\"{}_expiry\"", entries.trim_matches('"'));
        let mut work = session.begin().await?;
        let mut to = work.speaker();
        if pool.is_postgres() {
            // `IF NOT EXISTS` is no lock: two who make a table at once would both try.
            to.fetch("SELECT CAST(1 AS BIGINT) FROM pg_advisory_xact_lock(7274629017)", Vec::new()).await?;
        }
        for sql in [
            format!(
                "CREATE {unlogged}TABLE IF NOT EXISTS {entries} (space TEXT{binary} NOT NULL, kind BIGINT NOT NULL, \
                 name TEXT{binary} NOT NULL, seq BIGINT NOT NULL, expires_at BIGINT NOT NULL, size BIGINT NOT NULL, \
                 value {bytes}, PRIMARY KEY (space, kind, name))"
            ),
            format!("CREATE INDEX IF NOT EXISTS {index} ON {entries} (space, expires_at)"),
            format!(
                "CREATE {unlogged}TABLE IF NOT EXISTS {state} (space TEXT{binary} PRIMARY KEY, era BIGINT NOT NULL, \
                 seq BIGINT NOT NULL, fill_floor BIGINT NOT NULL, row_floor BIGINT NOT NULL, row_count BIGINT NOT NULL, \
                 byte_count BIGINT NOT NULL)"
            ),
        ] {
            to.execute(&sql, Vec::new()).await?;
        }
        work.commit().await
    }

    /// Reads rows, and what a load has to know that begins now.
    pub(super) async fn look(&self, session: &mut Session, names: &[&str], now_ms: i64) -> sqlx::Result<Look> {
        let mut look = Look::default();
        // A first statement for the state, should there be no name that fits.
        let chunks: Vec<&[&str]> = if names.is_empty() { vec![&[]] } else { names.chunks(NAMES).collect() };
        for names in chunks {
            let sql = format!(
                "SELECT s.era, s.seq, e.name, e.seq, e.expires_at, e.value FROM {} s LEFT JOIN {} e ON e.space = s.space \
                 AND e.kind = 0 AND e.value IS NOT NULL AND e.seq >= s.row_floor AND e.expires_at > $2 AND e.name IN ({}) \
                 WHERE s.space = $1",
                self.state,
                self.entries,
                places(3, names.len()),
            );
            let mut arguments = vec![Cell::from(&*self.space), now_ms.into()];
            arguments.extend(names.iter().map(|&name| Cell::from(name)));
            for cells in session.speaker().fetch(&sql, arguments).await? {
                let Ok([era, seq, name, row_seq, expires_at, value]) = <[Cell; 6]>::try_from(cells) else { continue };
                let seen = Seen { era: era.int(), seq: seq.int() };
                // The first is the oldest.
                look.seen = look.seen.filter(|first| first.era == seen.era).or(Some(seen));
                if let (Cell::Text(name), Cell::Bytes(value)) = (name, value) {
                    let seen = Seen { era: seen.era, seq: row_seq.int() };
                    look.rows.insert(name, Row { seen, value, expires_at_ms: expires_at.int() });
                }
            }
        }
        Ok(look)
    }

    /// The numbers of tags' marks; and the state, whose era tells whether rows that were read before are still meant, and
    /// its `row_floor`.
    pub(super) async fn tags(
        &self,
        session: &mut Session,
        tags: &[&str],
    ) -> sqlx::Result<(Seen, BTreeMap<String, i64>)> {
        let (mut state, mut marks) = (Seen::default(), BTreeMap::new());
        for tags in tags.chunks(NAMES) {
            let sql = format!(
                "SELECT s.era, s.row_floor, e.name, e.seq FROM {} s LEFT JOIN {} e ON e.space = s.space AND e.kind = 1 \
                 AND e.name IN ({}) WHERE s.space = $1",
                self.state,
                self.entries,
                places(2, tags.len()),
            );
            let mut arguments = vec![Cell::from(&*self.space)];
            arguments.extend(tags.iter().map(|&tag| Cell::from(tag)));
            for cells in session.speaker().fetch(&sql, arguments).await? {
                let Ok([era, floor, name, seq]) = <[Cell; 4]>::try_from(cells) else { continue };
                state = Seen { era: era.int(), seq: floor.int() };
                if let Cell::Text(name) = name {
                    marks.insert(name, seq.int());
                }
            }
        }
        Ok((state, marks))
    }

    /// Names of rows that begin with `start`, after the name `after`, in order.
    pub(super) async fn names(&self, session: &mut Session, start: &str, after: &str) -> sqlx::Result<Vec<String>> {
        let sql = format!(
            "SELECT name FROM {} WHERE space = $1 AND kind = 0 AND value IS NOT NULL AND name >= $2 AND name > $3 \
             ORDER BY name LIMIT $4",
            self.entries
        );
        let arguments = vec![Cell::from(&*self.space), start.into(), after.into(), SLICE.into()];
        let rows = session.speaker().fetch(&sql, arguments).await?;
        let name = |cells: Vec<Cell>| match cells.into_iter().next() {
            Some(Cell::Text(name)) => Some(name),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(name).collect())
    }

    /// Makes changes, all or none; one outcome each.
    pub(super) async fn apply(
        &self,
        session: &mut Session,
        changes: &[Change],
        now_ms: i64,
    ) -> sqlx::Result<(Vec<Outcome>, Size)> {
        let mut work = session.begin().await?;
        let mut to = work.speaker();
        let mut state = self.lock(&mut to).await?;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            // Each has a number of its own: of two who set one key, the later must win.
            state.seq += 1;
            let count = self.change(&mut to, &mut state, change, now_ms).await?;
            outcomes.push(Outcome { seen: Seen { era: state.era, seq: state.seq }, count });
        }
        self.make_room(&mut to, &mut state).await?;
        let sql = format!(
            "UPDATE {} SET seq = $2, fill_floor = $3, row_floor = $4, row_count = $5, byte_count = $6 WHERE space = $1",
            self.state
        );
        let State { seq, fill_floor, row_floor, rows, bytes, .. } = state;
        let numbers = [seq, fill_floor, row_floor, rows, bytes].map(Cell::from);
        to.execute(&sql, [Cell::from(&*self.space)].into_iter().chain(numbers).collect()).await?;
        work.commit().await?;
        Ok((outcomes, Size { rows, bytes }))
    }

    /// Raises the number of the space, which keeps all others from changing it until the end.
    async fn lock(&self, to: &mut Speaker<'_>) -> sqlx::Result<State> {
        let raise = format!(
            "UPDATE {} SET seq = seq + 1 WHERE space = $1 RETURNING era, seq, fill_floor, row_floor, row_count, byte_count",
            self.state
        );
        let space = || vec![Cell::from(&*self.space)];
        let mut rows = to.fetch(&raise, space()).await?;
        if rows.is_empty() {
            let insert = format!(
                "INSERT INTO {} (space, era, seq, fill_floor, row_floor, row_count, byte_count) \
                 VALUES ($1, $2, 1, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
                self.state
            );
            let era = i64::from(fastrand::u32(1..)) << 20 | i64::from(fastrand::u32(..1 << 20));
            let made = to.execute(&insert, vec![Cell::from(&*self.space), era.into()]).await?;
            if made == 1 {
                // Rows without a state: somebody removed it.
                to.execute(&format!("DELETE FROM {} WHERE space = $1", self.entries), space()).await?;
            }
            rows = to.fetch(&raise, space()).await?;
        }
        let numbers: Vec<i64> = rows.into_iter().flatten().map(|cell| cell.int()).collect();
        let Ok([era, seq, fill_floor, row_floor, rows, bytes]) = <[i64; 6]>::try_from(numbers) else {
            return Err(sqlx::Error::RowNotFound);
        };
        Ok(State { era, seq, fill_floor, row_floor, rows, bytes })
    }

    async fn change(&self, to: &mut Speaker<'_>, state: &mut State, change: &Change, now_ms: i64) -> sqlx::Result<u64> {
        match change {
            Change::Begin => Ok(0),
            Change::EndKeys(names) => self.mark(to, state, ENTRY, names, now_ms, KEY_MARK_MS).await,
            Change::EndTags(tags) => self.mark(to, state, TAG, tags, now_ms, self.ttl_ms + TAG_MARK_MS).await,
            Change::EndLoads(rows, ..) => {
                state.fill_floor = state.seq;
                if *rows {
                    state.row_floor = state.seq;
                }
                Ok(0)
            }
            Change::Remove(names, below) => {
                let mut count = 0;
                for names in names.chunks(NAMES) {
                    let condition = format!("value IS NOT NULL AND seq < $2 AND name IN ({})", places(3, names.len()));
                    let sql = format!("DELETE FROM {} WHERE space = $1 AND kind = 0 AND {condition}", self.entries);
                    let mut arguments = vec![Cell::from(&*self.space), (*below).into()];
                    arguments.extend(names.iter().map(|name| Cell::from(&**name)));
                    count += self.delete(to, state, &sql, arguments).await?;
                }
                Ok(count)
            }
            Change::Store { name, value, tags, expires_at_ms, seen } => {
                let size = row_size(name, value.len());
                let overtaken = seen.era != state.era || seen.seq < state.fill_floor.max(state.row_floor);
                if overtaken || size > self.max_bytes || !self.is_newest(to, name, tags, seen.seq).await? {
                    return Ok(0);
                }
                self.forget_sizes(to, state, ENTRY, std::slice::from_ref(name), now_ms).await?;
                let sql = format!(
                    "INSERT INTO {} (space, kind, name, seq, expires_at, size, value) VALUES ($1, 0, $2, $3, $4, $5, $6) \
                     ON CONFLICT (space, kind, name) DO UPDATE SET seq = excluded.seq, expires_at = excluded.expires_at, \
                     size = excluded.size, value = excluded.value",
                    self.entries
                );
                let mut arguments = vec![Cell::from(&*self.space), Cell::from(&**name)];
                arguments.extend([seen.seq, *expires_at_ms, size].map(Cell::from));
                arguments.push(Cell::Bytes(value.clone()));
                to.execute(&sql, arguments).await?;
                state.rows += 1;
                state.bytes += size;
                Ok(1)
            }
            Change::Expire => {
                let sql = format!(
                    "DELETE FROM {0} WHERE space = $1 AND {1}",
                    self.entries,
                    self.soonest("expires_at <= $2", 3)
                );
                let arguments = vec![Cell::from(&*self.space), now_ms.into(), SLICE.into()];
                self.delete(to, state, &sql, arguments).await
            }
        }
    }

    /// Whether neither the key nor one of the tags was changed since.
    async fn is_newest(&self, to: &mut Speaker<'_>, name: &str, tags: &[String], seq: i64) -> sqlx::Result<bool> {
        let sql = format!(
            "SELECT name FROM {} WHERE space = $1 AND seq > $2 AND ((kind = 0 AND name = $3) OR (kind = 1 AND name IN ({})))",
            self.entries,
            places(4, tags.len()),
        );
        let mut arguments = vec![Cell::from(&*self.space), seq.into(), name.into()];
        arguments.extend(tags.iter().map(|tag| Cell::from(&**tag)));
        Ok(to.fetch(&sql, arguments).await?.is_empty())
    }

    /// Leaves marks; how many live rows there were in their place.
    async fn mark(
        &self,
        to: &mut Speaker<'_>,
        state: &mut State,
        kind: i64,
        names: &[String],
        now_ms: i64,
        life_ms: i64,
    ) -> sqlx::Result<u64> {
        let names: BTreeSet<&String> = names.iter().filter(|name| self.fits(name)).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let mut live = 0;
        for names in names.chunks(NAMES / 2) {
            live += self.forget_sizes(to, state, kind, names, now_ms).await?;
            let mut arguments = vec![Cell::from(&*self.space)];
            arguments.extend([kind, state.seq, now_ms.saturating_add(life_ms)].map(Cell::from));
            let mut rows = Vec::with_capacity(names.len());
            for name in names {
                let size = row_size(name, 0);
                let at = arguments.len() + 1;
                rows.push(format!("($1, $2, ${at}, $3, $4, ${}, NULL)", at + 1));
                arguments.extend([Cell::from(&**name), size.into()]);
                state.rows += 1;
                state.bytes += size;
            }
            let sql = format!(
                "INSERT INTO {} (space, kind, name, seq, expires_at, size, value) VALUES {} \
                 ON CONFLICT (space, kind, name) DO UPDATE SET seq = excluded.seq, expires_at = excluded.expires_at, \
                 size = excluded.size, value = NULL",
                self.entries,
                rows.join(", "),
            );
            to.execute(&sql, arguments).await?;
        }
        Ok(live)
    }

    /// Counts rows out that are about to be replaced; how many of them are live.
    async fn forget_sizes(
        &self,
        to: &mut Speaker<'_>,
        state: &mut State,
        kind: i64,
        names: &[String],
        now_ms: i64,
    ) -> sqlx::Result<u64> {
        let sql = format!(
            "SELECT size, CAST(CASE WHEN value IS NOT NULL AND expires_at > $3 AND seq >= $4 THEN 1 ELSE 0 END AS BIGINT) \
             FROM {} WHERE space = $1 AND kind = $2 AND name IN ({})",
            self.entries,
            places(5, names.len()),
        );
        let mut arguments = vec![Cell::from(&*self.space)];
        arguments.extend([kind, now_ms, state.row_floor].map(Cell::from));
        arguments.extend(names.iter().map(|name| Cell::from(&**name)));
        let mut live = 0;
        for cells in to.fetch(&sql, arguments).await? {
            state.rows -= 1;
            state.bytes -= cells[0].int();
            live += u64::from(cells[1].int() == 1);
        }
        Ok(live)
    }

    /// Removes what expires first until rows and bytes are within their bounds.
    async fn make_room(&self, to: &mut Speaker<'_>, state: &mut State) -> sqlx::Result<()> {
        while state.rows > self.max_rows || state.bytes > self.max_bytes {
            let sql = format!("DELETE FROM {} WHERE space = $1 AND {}", self.entries, self.soonest("seq > $2", 3));
            // A little more than is too much, so that not every row that is stored costs a statement; but not much of a
            // small table.
            let count = (state.rows - self.max_rows).max((state.rows / 64).clamp(1, 64)).min(SLICE);
            let arguments = vec![Cell::from(&*self.space), Cell::from(-1), count.into()];
            if self.delete(to, state, &sql, arguments).await? == 0 {
                (state.rows, state.bytes) = (0, 0);
            }
        }
        Ok(())
    }

    /// The rows that expire first among those of the space for which `condition` holds.
    fn soonest(&self, condition: &str, limit: usize) -> String {
        format!(
            "(kind, name) IN (SELECT kind, name FROM {} WHERE space = $1 AND {condition} ORDER BY expires_at LIMIT ${limit})",
            self.entries
        )
    }

    /// Runs a DELETE; the floors take the place of the marks that go.
    async fn delete(
        &self,
        to: &mut Speaker<'_>,
        state: &mut State,
        sql: &str,
        arguments: Vec<Cell>,
    ) -> sqlx::Result<u64> {
        let returning = "RETURNING kind, seq, size, CAST(CASE WHEN value IS NULL THEN 1 ELSE 0 END AS BIGINT)";
        let gone = to.fetch(&format!("{sql} {returning}"), arguments).await?;
        for cells in &gone {
            let (kind, seq, is_mark) = (cells[0].int(), cells[1].int(), cells[3].int() == 1);
            state.rows -= 1;
            state.bytes -= cells[2].int();
            if is_mark {
                state.fill_floor = state.fill_floor.max(seq);
            }
            if kind == TAG {
                state.row_floor = state.row_floor.max(seq);
            }
        }
        Ok(gone.len() as u64)
    }
}

fn row_size(name: &str, value: usize) -> i64 {
    i64::try_from(name.len() + value + OVERHEAD).unwrap_or(i64::MAX)
}

/// `$3, $4, $5`; for none, what equals nothing.
fn places(first: usize, count: usize) -> String {
    if count == 0 {
        return "NULL".to_owned();
    }
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_load_has_seen_comes_back_as_it_was() {
        let seen = Seen { era: 5_000_000_000, seq: 3 };
        assert_eq!(Seen::from_text(&seen.to_text()), Some(seen));
        assert_eq!(Seen::from_text("x"), None);
    }
}
