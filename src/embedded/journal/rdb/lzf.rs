//! LZF, in which long strings are compressed.

/// The most bytes that one byte of compressed text can become: two make 264 at most, and a third is always needed.
const MOST: usize = 132;

/// The `length` bytes that `packed` stands for; `None` where it does not stand for that many.
pub(super) fn decompress(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > packed.len().saturating_mul(MOST) {
        return None;
    }
    let mut whole = Vec::with_capacity(length);
    let mut rest = packed.iter().copied();
    while let Some(control) = rest.next() {
        let control = usize::from(control);
        if control < 32 {
            // A run of bytes as they are.
            let run = control + 1;
            let taken = whole.len();
            whole.extend(rest.by_ref().take(run));
            if whole.len() != taken + run {
                return None;
            }
        } else {
            // A repetition of what was there before.
            let mut run = (control >> 5) + 2;
            if run == 9 {
                run += usize::from(rest.next()?);
            }
            let back = ((control & 0x1f) << 8 | usize::from(rest.next()?)) + 1;
            let start = whole.len().checked_sub(back)?;
            if whole.len() + run > length {
                return None;
            }
            for at in start..start + run {
                let byte = whole[at];
                whole.push(byte);
            }
        }
        if whole.len() > length {
            return None;
        }
    }
    (whole.len() == length).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn runs_and_repetitions() {
        assert_eq!(decompress(b"\x02abc", 3).unwrap(), b"abc");
        assert_eq!(decompress(b"\x00a\xe0\x01\x00", 11).unwrap(), b"aaaaaaaaaaa");
        assert_eq!(decompress(b"\x01ab\x40\x01", 6).unwrap(), b"ababab");
        for (packed, length) in [
            (&b"\x02ab"[..], 3),
            (b"\x00a", 2),
            (b"\x00a\x20\x05", 4),
            (b"\x00a\xe0", 20),
            (b"\x00a\x20\x00", 3),
            (b"\x00a", 1 << 40),
        ] {
            assert_eq!(decompress(packed, length), None, "{packed:?}");
        }
    }
}
