//! Patterns of `KEYS`, `SCAN` and `PSUBSCRIBE`: `*`, `?`, `[a-z]`, `[^a]` and `\`.

/// Whether all of `text` matches. A star is tried again further on only for the last star met, so that a pattern takes
/// time in proportion to its length times the text's, never more.
pub(crate) fn glob_matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if p < pattern.len()
            && let Some(next) = match_one(pattern, p, text[t], ignore_case)
        {
            (p, t) = (next, t + 1);
            continue;
        }
        match &mut star {
            Some((behind, from)) => {
                *from += 1;
                (p, t) = (*behind, *from);
            }
            None => return false,
        }
    }
}

/// Matches one byte against the pattern at `p`, which is no star, and gives the position behind it.
fn match_one(pattern: &[u8], p: usize, byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
    let byte = fold(byte);
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => {
            let mut at = p + 1;
            let negated = pattern.get(at) == Some(&b'^');
            at += usize::from(negated);
            let mut met = false;
            loop {
                match pattern.get(at) {
                    Some(b'\\') if at + 1 < pattern.len() => {
                        met |= fold(pattern[at + 1]) == byte;
                        at += 2;
                    }
                    Some(b']') => {
                        at += 1;
                        break;
                    }
                    // An unclosed set ends with the pattern.
                    None => break,
                    Some(&low) if pattern.get(at + 1) == Some(&b'-') && at + 2 < pattern.len() => {
                        let (low, high) = (fold(low), fold(pattern[at + 2]));
                        met |= (low.min(high)..=low.max(high)).contains(&byte);
                        at += 3;
                    }
                    Some(&one) => {
                        met |= fold(one) == byte;
                        at += 1;
                    }
                }
            }
            (met != negated).then_some(at)
        }
        b'\\' if p + 1 < pattern.len() => (fold(pattern[p + 1]) == byte).then_some(p + 2),
        literal => (fold(literal) == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases = [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a?", "a", false),
            ("**a**", "bab", true),
            ("[a", "a", true),
        ];
        for (pattern, text, met) in cases {
            assert_eq!(glob_matches(pattern.as_bytes(), text.as_bytes(), false), met, "{pattern} {text}");
        }
        assert!(glob_matches(b"GET*", b"get", true));
        let many = b"a*".repeat(40);
        assert!(!glob_matches(&[&many[..], b"b"].concat(), &b"a".repeat(4000), false));
    }
}
