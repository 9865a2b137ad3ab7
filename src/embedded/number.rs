//! Numbers as Redis reads and writes them.

use std::fmt::Write as _;

/// An integer in the one form that Redis accepts: no plus, no leading zero, no space.
pub(super) fn parse_int(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() != text.len();
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 19 && rest.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    let mut number: i64 = 0;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        number = number.checked_mul(10)?;
        number = if negative { number.checked_sub(digit)? } else { number.checked_add(digit)? };
    }
    Some(number)
}

/// A float as `strtod` reads it, without spaces around it and without NaN.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        #[expect(clippy::cast_precision_loss, reason = "the text asks for a float")]
        let number = u64::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+'))? as f64;
        return Some(if text.starts_with('-') { -number } else { number });
    }
    let number: f64 = text.parse().ok()?;
    // A finite number too large for a double is out of range; only the word is infinity.
    let spelt = unsigned.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if number.is_nan() || (number.is_infinite() && !spelt) { None } else { Some(number) }
}

/// A score: the shortest digits that read back as the same double, as Redis 7.2 writes them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the cast back shows that it is exact"
)]
pub(super) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if number.abs() < 4.5e18 && (number as i64) as f64 == number {
        return (number as i64).to_string();
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|&c| c != '.').collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The number is `digits` * 10^scale.
    let scale = exponent.parse::<i32>().unwrap_or(0) - (count - 1);
    let leading = scale + count - 1;
    let mut text = String::from(if number < 0.0 { "-" } else { "" });
    if scale >= 0 && leading.abs() < count + 7 {
        text.push_str(&digits);
        text.extend(std::iter::repeat_n('0', usize::try_from(scale).unwrap_or(0)));
    } else if scale < 0 && (scale > -7 || leading.abs() < 4) {
        let whole = count + scale;
        if whole <= 0 {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', usize::try_from(-whole).unwrap_or(0)));
            text.push_str(&digits);
        } else {
            let (before, after) = digits.split_at(usize::try_from(whole).unwrap_or(0));
            text.push_str(before);
            text.push('.');
            text.push_str(after);
        }
    } else {
        let (first, rest) = digits.split_at(1);
        text.push_str(first);
        if !rest.is_empty() {
            text.push('.');
            text.push_str(rest);
        }
        let _ = write!(text, "e{}{}", if leading < 0 { '-' } else { '+' }, leading.abs());
    }
    text
}

/// The sum of two decimal numbers with up to 17 decimals, without trailing zeros: what `INCRBYFLOAT` stores. Redis adds
/// in 80 bits; sums of ordinary decimals come out the same, and no 0.1 + 0.2 shows binary noise.
pub(super) fn float_sum(stored: &[u8], by: &[u8]) -> Option<FloatSum> {
    let (left, right) = (parse_float(stored)?, parse_float(by)?);
    if let (Some(left), Some(right)) = (fixed(stored), fixed(by))
        && let Some(sum) = left.checked_add(right)
    {
        return Some(FloatSum::Text(fixed_text(sum)));
    }
    let sum = left + right;
    if !sum.is_finite() {
        return Some(FloatSum::NotFinite);
    }
    let text = format!("{sum:.17}");
    Some(FloatSum::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned()))
}

/// What [`float_sum`] gives.
pub(super) enum FloatSum {
    Text(String),
    NotFinite,
}

const FIXED_DECIMALS: usize = 17;

/// A decimal as a multiple of 10^-17, where it is one and is not too large.
fn fixed(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let scale = i32::try_from(FIXED_DECIMALS).ok()? + exponent.clamp(-100, 100) - i32::try_from(decimals.len()).ok()?;
    if !plain(whole) || !plain(decimals) || scale < 0 {
        return None;
    }
    let number: i128 = format!("0{whole}{decimals}").parse().ok()?;
    let number = number.checked_mul(10_i128.checked_pow(u32::try_from(scale).ok()?)?)?;
    Some(if negative { -number } else { number })
}

fn fixed_text(number: i128) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = FIXED_DECIMALS + 1);
    let (whole, decimals) = digits.split_at(digits.len() - FIXED_DECIMALS);
    let decimals = decimals.trim_end_matches('0');
    let sign = if number < 0 { "-" } else { "" };
    if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_form() {
        assert_eq!(parse_int(b"0"), Some(0));
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_int(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1.0"] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn scores_are_written_short() {
        let cases = [
            (3.0, "3"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1.5e-7, "1.5e-7"),
            (0.000_012, "0.000012"),
            (1e21, "1e+21"),
            (1.797e308, "1.797e+308"),
            (123_456.789, "123456.789"),
        ];
        for (number, text) in cases {
            assert_eq!(float_text(number), text);
        }
    }

    #[test]
    fn floats_add_without_noise() {
        let cases = [("0.1", "0.2", "0.3"), ("10.50", "0.1", "10.6"), ("5.0e3", "2.0e2", "5200"), ("-1", "1", "0")];
        for (stored, by, sum) in cases {
            assert!(matches!(float_sum(stored.as_bytes(), by.as_bytes()), Some(FloatSum::Text(text)) if text == sum));
        }
    }
}
