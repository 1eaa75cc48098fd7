//! Parsing and formatting numbers as Redis does.

use core::fmt::Write as _;

/// A buffer that holds any double that [`format_double`] prints.
pub type DoubleText = smallvec::SmallVec<[u8; 40]>;

/// Parses a decimal integer as strictly as Redis's `string2ll`: no leading zeros, no plus sign, no
/// spaces, no `-0`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Nineteen digits fit into 64 bits without a sign.
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative {
        (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

/// Parses an unsigned integer with the strictness of [`parse_i64`].
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => text.iter().try_fold(0u64, |value, &digit| {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

/// Parses a double as `strtod` does, consuming the whole text: no NaN, no overflow, no number so
/// small that it becomes zero.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let s = core::str::from_utf8(text).ok()?;
    let unsigned = s.strip_prefix(['-', '+']).unwrap_or(s);
    if unsigned.len() > 2 && unsigned.as_bytes()[0] == b'0' && (unsigned.as_bytes()[1] | 32) == b'x'
    {
        return parse_hex(unsigned.get(2..)?).map(|v| if text[0] == b'-' { -v } else { v });
    }
    let value: f64 = s.parse().ok()?;
    let literal = unsigned.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic());
    if value.is_nan() || (value.is_infinite() && !literal) {
        return None;
    }
    if value == 0.0 {
        let mantissa = s.split(['e', 'E']).next().unwrap_or("");
        if mantissa.bytes().any(|b| matches!(b, b'1'..=b'9')) {
            return None;
        }
    }
    Some(value)
}

/// Parses what follows `0x`: hexadecimal digits with a point, and a binary exponent.
fn parse_hex(s: &str) -> Option<f64> {
    let (digits, exponent) = match s.split_once(['p', 'P']) {
        Some((digits, exponent)) => {
            let e = exponent.strip_prefix('+').unwrap_or(exponent);
            if e.starts_with('+') {
                return None;
            }
            (digits, e.parse::<i32>().ok()?.clamp(-100_000, 100_000))
        }
        None => (s, 0),
    };
    let (mut mantissa, mut shift, mut point, mut any) = (0u128, 0i32, false, false);
    for b in digits.bytes() {
        if b == b'.' && !point {
            point = true;
            continue;
        }
        any = true;
        let d = char::from(b).to_digit(16)?;
        if mantissa >> 120 == 0 {
            mantissa = mantissa << 4 | u128::from(d);
            shift -= if point { 4 } else { 0 };
        } else {
            // Beyond the precision: the remaining digits only decide the rounding.
            mantissa |= u128::from(d != 0);
            shift += if point { 0 } else { 4 };
        }
    }
    if !any {
        return None;
    }
    let mut value = mantissa as f64;
    let mut e = exponent.saturating_add(shift);
    while e != 0 && value != 0.0 && value.is_finite() {
        let step = e.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        e -= step;
    }
    (value.is_finite() && (value != 0.0 || mantissa == 0)).then_some(value)
}

/// Prints a double as Redis 7.2 does: integers without a point, everything else with the fewest
/// digits that read back as the same number.
pub fn format_double(value: f64) -> DoubleText {
    let mut out = DoubleText::new();
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= (1i64 << 62) as f64 && value.trunc() == value {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        shortest(value, &mut out);
    }
    out
}

/// Formats as `fpconv_dtoa` does: plain notation near one, scientific far from it.
fn shortest(value: f64, out: &mut DoubleText) {
    struct Text([u8; 40], usize);
    impl core::fmt::Write for Text {
        fn write_str(&mut self, s: &str) -> core::fmt::Result {
            let end = self.1 + s.len();
            self.0.get_mut(self.1..end).ok_or(core::fmt::Error)?.copy_from_slice(s.as_bytes());
            self.1 = end;
            Ok(())
        }
    }
    let mut text = Text([0; 40], 0);
    // The longest form, `-1.2345678901234567e-308`, fits.
    let _ = write!(text, "{:e}", value.abs());
    let text = &text.0[..text.1];
    let e = text.iter().position(|&c| c == b'e').unwrap_or(text.len());
    let digits: smallvec::SmallVec<[u8; 24]> =
        text[..e].iter().copied().filter(u8::is_ascii_digit).collect();
    let power = text.get(e + 1..).and_then(parse_i64).unwrap_or(0);
    if value < 0.0 {
        out.push(b'-');
    }
    let count = digits.len() as i64;
    // The value is `digits` times ten to the power of `scale`.
    let scale = power - (count - 1);
    let magnitude = power.abs();
    if scale >= 0 && magnitude < count + 7 {
        out.extend_from_slice(&digits);
        out.extend((0..scale).map(|_| b'0'));
    } else if scale < 0 && (scale > -7 || magnitude < 4) {
        let whole = count + scale;
        if whole <= 0 {
            out.extend_from_slice(b"0.");
            out.extend((0..-whole).map(|_| b'0'));
            out.extend_from_slice(&digits);
        } else {
            out.extend_from_slice(&digits[..whole as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole as usize..]);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if power < 0 { b'-' } else { b'+' });
        out.extend_from_slice(itoa::Buffer::new().format(magnitude).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for good in ["0", "1", "-1", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_i64(good.as_bytes()), good.parse().ok());
        }
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1a",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }

    #[test]
    fn doubles_are_printed_with_the_fewest_digits() {
        for (value, text) in [
            (3.0, "3"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (3.24, "3.24"),
            (1e17, "100000000000000000"),
            (1e20, "1e+20"),
            (9007199254740993e3, "9007199254740993000"),
            (1.5e300, "1.5e+300"),
            (1e-5, "0.00001"),
            (1e-9, "1e-9"),
            (-2.5e-10, "-2.5e-10"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (123456.789, "123456.789"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format_double(value).as_slice(), text.as_bytes());
        }
    }

    #[test]
    fn doubles_are_read_as_strtod_reads_them() {
        assert_eq!(parse_double(b"0x1.8p1"), Some(3.0));
        assert_eq!(parse_double(b"-0xA"), Some(-10.0));
        assert_eq!(parse_double(b"1e3"), Some(1000.0));
        assert_eq!(parse_double(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_double(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_double(b"-0x.8p1"), Some(-1.0));
        assert_eq!(parse_double(b"0e999"), Some(0.0));
        for bad in [
            "", " 1", "1 ", "nan", "0x", "1x", "--1", "1e", "e1", ".", "1e400", "1e-400", "1_0",
            "infin", "0xp1", "1\0",
        ] {
            assert_eq!(parse_double(bad.as_bytes()), None, "{bad}");
        }
    }
}
