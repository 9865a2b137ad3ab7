//! Numbers as C's `strtod` reads them.

/// The number at the start of `text` and its length; `None` when there is none.
pub(super) fn parse(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let negative = text.first() == Some(&b'-');
    let body = &text[sign..];
    let (number, length) = if body.get(..2).is_some_and(|two| two.eq_ignore_ascii_case(b"0x")) {
        // Without a digit after it, only the zero counts.
        hexadecimal(&body[2..]).map_or((0.0, 1), |(number, length)| (number, length + 2))
    } else if let Some(found) = word(body) {
        found
    } else {
        decimal(body)?
    };
    Some((if negative { -number } else { number }, sign + length))
}

fn word(body: &[u8]) -> Option<(f64, usize)> {
    let starts = |word: &[u8]| body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if starts(b"infinity") {
        Some((f64::INFINITY, 8))
    } else if starts(b"inf") {
        Some((f64::INFINITY, 3))
    } else if starts(b"nan") {
        // `nan(chars)` counts as one word.
        let tail = body[3..].strip_prefix(b"(").and_then(|rest| {
            let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?;
            (rest[end] == b')').then_some(end + 2)
        });
        Some((f64::NAN, 3 + tail.unwrap_or(0)))
    } else {
        None
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn decimal(body: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(body);
    let mut length = whole;
    if body.get(length) == Some(&b'.') {
        let fraction = digits(&body[length + 1..]);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    length += exponent(&body[length..], b'e');
    let number = std::str::from_utf8(&body[..length]).ok()?.parse().ok()?;
    Some((number, length))
}

/// Length of an exponent, or 0.
fn exponent(text: &[u8], letter: u8) -> usize {
    if !text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match digits(&text[1 + sign..]) {
        0 => 0,
        count => 1 + sign + count,
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 60 bits; those beyond a double's are rounded once")]
fn hexadecimal(body: &[u8]) -> Option<(f64, usize)> {
    let (mut mantissa, mut scale, mut length, mut any) = (0_u64, 0_i32, 0, false);
    let mut in_fraction = false;
    while let Some(&byte) = body.get(length) {
        if let Some(digit) = char::from(byte).to_digit(16) {
            any = true;
            if mantissa >> 56 == 0 {
                mantissa = (mantissa << 4) | u64::from(digit);
                scale -= if in_fraction { 4 } else { 0 };
            } else {
                // Beyond the precision: only its weight counts, and a bit that is lost may not be forgotten in rounding.
                mantissa |= u64::from(digit != 0);
                scale += if in_fraction { 0 } else { 4 };
            }
        } else if byte == b'.' && !in_fraction {
            in_fraction = true;
        } else {
            break;
        }
        length += 1;
    }
    if !any {
        return None;
    }
    let tail = exponent(&body[length..], b'p');
    if tail > 0 {
        let text = std::str::from_utf8(&body[length + 1..length + tail]).ok()?;
        let power: i32 = text.parse().unwrap_or(if text.starts_with('-') { -100_000 } else { 100_000 });
        scale = scale.saturating_add(power);
        length += tail;
    }
    // In two steps, because 2^scale alone may be out of range.
    let half = scale.clamp(-4_000, 4_000) / 2;
    Some((mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(scale.clamp(-4_000, 4_000) - half), length))
}

/// Whether JSON has no such number, though `strtod` reads it: a plus, a leading zero, hexadecimal, `inf`, `nan`.
pub(super) fn is_invalid(text: &[u8]) -> bool {
    let body = match text.first() {
        Some(b'+') => return true,
        Some(b'-') => &text[1..],
        _ => text,
    };
    match body.first().copied().unwrap_or(0) {
        b'0' => matches!(body.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
        0..=b'9' => false,
        _ => body.get(..3).is_some_and(|s| s.eq_ignore_ascii_case(b"inf") || s.eq_ignore_ascii_case(b"nan")),
    }
}
