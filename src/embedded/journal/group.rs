//! Effects of one command, script or transaction, encoded.

/// Effects that become visible together.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Group {
    bytes: Vec<u8>,
    count: usize,
    /// The database that the next reader of the journal stands in; unknown at the start of a file.
    selected: Option<usize>,
}

impl Group {
    /// Adds an effect on a database.
    pub(in crate::embedded) fn push(&mut self, db: usize, args: &[&[u8]]) {
        if self.selected != Some(db) {
            append(&mut self.bytes, &[b"SELECT", itoa::Buffer::new().format(db).as_bytes()]);
            self.selected = Some(db);
        }
        append(&mut self.bytes, args);
        self.count += 1;
    }

    /// The effects so far, wrapped where they are several; the next group begins. `None` when there are none.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        match std::mem::take(&mut self.count) {
            0 => None,
            1 => Some(bytes),
            _ => {
                let mut wrapped = Vec::with_capacity(bytes.len() + 32);
                append(&mut wrapped, &[b"MULTI"]);
                wrapped.extend_from_slice(&bytes);
                append(&mut wrapped, &[b"EXEC"]);
                Some(wrapped)
            }
        }
    }

    /// What was taken last is not in the file, or another file follows: the database must be said again.
    pub(super) fn forget_database(&mut self) {
        self.selected = None;
    }
}

/// Encodes a command.
pub(super) fn append(into: &mut Vec<u8>, args: &[&[u8]]) {
    let mut number = itoa::Buffer::new();
    into.push(b'*');
    into.extend_from_slice(number.format(args.len()).as_bytes());
    for arg in args {
        into.extend_from_slice(b"\r\n$");
        into.extend_from_slice(number.format(arg.len()).as_bytes());
        into.extend_from_slice(b"\r\n");
        into.extend_from_slice(arg);
    }
    into.extend_from_slice(b"\r\n");
}
