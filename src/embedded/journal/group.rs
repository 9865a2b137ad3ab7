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

    /// Moves the effects so far, wrapped where they are several; the next group begins. False when there are none.
    pub(super) fn take_into(&mut self, buffer: &mut Vec<u8>) -> bool {
        let count = std::mem::take(&mut self.count);
        if count > 1 {
            append(buffer, &[b"MULTI"]);
        }
        buffer.append(&mut self.bytes);
        if count > 1 {
            append(buffer, &[b"EXEC"]);
        }
        count > 0
    }

    /// Another file follows: the database must be said again.
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
