//! Numbers as C's `%g` writes them.

use std::io::Write as _;

/// Appends `number` as `%.{precision}g`: that many significant digits, without trailing zeros. `precision` is 1 to 17.
pub(super) fn write(into: &mut Vec<u8>, number: f64, precision: usize) {
    if number.is_nan() {
        into.extend_from_slice(if number.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if number.is_infinite() {
        into.extend_from_slice(if number > 0.0 { b"inf" } else { b"-inf" });
        return;
    }
    // The most common case: a small integer.
    #[expect(clippy::cast_possible_truncation, reason = "whole and far below the range's end")]
    if precision >= 9 && number.fract() == 0.0 && number.abs() < 1e9 && !(number == 0.0 && number.is_sign_negative()) {
        into.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        return;
    }
    // One digit before the point: the exponent that %g decides by is that of the *rounded* number.
    let mut scientific = [0_u8; 40];
    let mut cursor = &mut scientific[..];
    write!(cursor, "{:.*e}", precision - 1, number).expect("17 digits, two signs and an exponent fit");
    let length = 40 - cursor.len();
    let text = &scientific[..length];
    let split = text.iter().position(|&byte| byte == b'e').unwrap_or(length);
    let exponent: i32 =
        std::str::from_utf8(text.get(split + 1..).unwrap_or_default()).ok().and_then(|e| e.parse().ok()).unwrap_or(0);
    let (negative, mantissa) = match &text[..split] {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut digits = [0_u8; 20];
    let mut count = 0;
    for &byte in mantissa.iter().filter(|&&byte| byte != b'.') {
        digits[count] = byte;
        count += 1;
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    let digits = &digits[..count];
    if negative {
        into.push(b'-');
    }
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
    if exponent < -4 || exponent >= i32::try_from(precision).unwrap_or(i32::MAX) {
        into.push(digits[0]);
        if digits.len() > 1 {
            into.push(b'.');
            into.extend_from_slice(&digits[1..]);
        }
        into.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if places < 10 {
            into.push(b'0');
        }
        into.extend_from_slice(itoa::Buffer::new().format(places).as_bytes());
    } else if exponent < 0 {
        into.extend_from_slice(b"0.");
        into.resize(into.len() + places - 1, b'0');
        into.extend_from_slice(digits);
    } else if digits.len() <= places + 1 {
        into.extend_from_slice(digits);
        into.resize(into.len() + places + 1 - digits.len(), b'0');
    } else {
        into.extend_from_slice(&digits[..=places]);
        into.push(b'.');
        into.extend_from_slice(&digits[places + 1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn writes_what_c_writes() {
        let rows: &[(f64, usize, &str)] = &[
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.0, 14, "1"),
            (-17.0, 14, "-17"),
            (0.1, 14, "0.1"),
            (0.1, 17, "0.10000000000000001"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (0.0001, 14, "0.0001"),
            (0.000_012_5, 14, "1.25e-05"),
            (3.999_999_999_999_999_6, 14, "4"),
            (1e100, 14, "1e+100"),
            (5e-324, 14, "4.9406564584125e-324"),
            (1234.5, 3, "1.23e+03"),
            (f64::NEG_INFINITY, 14, "-inf"),
        ];
        for &(number, precision, expected) in rows {
            let mut text = Vec::new();
            write(&mut text, number, precision);
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{number:?} with {precision} digits");
        }
    }
}
