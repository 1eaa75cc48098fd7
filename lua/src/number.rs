//! Parsing and formatting of numbers: C's `strtod` and the floating-point conversions of `printf`
//! in the C locale, the same on every platform.

/// Appends a number as `tostring` formats it: C's `%.14g`.
pub(crate) fn write_number(out: &mut Vec<u8>, n: f64) {
    if n == n.trunc() && n.abs() < 1e14 && (n != 0.0 || n.is_sign_positive()) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = n.abs() as u64;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0.0 {
            out.push(b'-');
        }
        out.extend_from_slice(&digits[at..]);
        return;
    }
    Spec { precision: Some(14), ..Spec::default() }.write(out, b'g', n);
}

/// The flags, width and precision of a conversion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spec {
    pub(crate) left: bool,
    pub(crate) plus: bool,
    pub(crate) space: bool,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: usize,
    pub(crate) precision: Option<usize>,
}

impl Spec {
    /// Appends a number formatted by `e`, `f`, `g`, or the upper-case variants.
    pub(crate) fn write(self, out: &mut Vec<u8>, conversion: u8, n: f64) {
        let upper = conversion.is_ascii_uppercase();
        let magnitude = n.abs();
        let digits = if n.is_nan() {
            "nan".to_owned()
        } else if n.is_infinite() {
            "inf".to_owned()
        } else {
            let precision = self.precision.unwrap_or(6);
            match conversion.to_ascii_lowercase() {
                b'e' => scientific(magnitude, precision, self.alternate),
                b'f' => {
                    let mut s = format!("{magnitude:.precision$}");
                    if precision == 0 && self.alternate {
                        s.push('.');
                    }
                    s
                }
                _ => general(magnitude, precision.max(1), self.alternate),
            }
        };
        let digits = if upper { digits.to_ascii_uppercase() } else { digits };
        let spec = Spec { zero: self.zero && n.is_finite(), ..self };
        spec.pad(out, self.sign(n.is_sign_negative()), digits.as_bytes());
    }

    /// Appends an integer formatted by `d`.
    pub(crate) fn write_signed(self, out: &mut Vec<u8>, n: i64) {
        let digits = self.integer(n.unsigned_abs().to_string());
        let spec = Spec { zero: self.zero && self.precision.is_none(), ..self };
        spec.pad(out, self.sign(n < 0), digits.as_bytes());
    }

    /// Appends an integer formatted by `u`, `o`, `x` or `X`.
    pub(crate) fn write_unsigned(self, out: &mut Vec<u8>, conversion: u8, n: u64) {
        let (prefix, digits) = match conversion {
            b'o' => ("", format!("{n:o}")),
            b'x' => ("0x", format!("{n:x}")),
            b'X' => ("0X", format!("{n:X}")),
            _ => ("", n.to_string()),
        };
        let mut digits = self.integer(digits);
        if conversion == b'o' && self.alternate && !digits.starts_with('0') {
            digits.insert(0, '0');
        }
        let prefix = if self.alternate && n != 0 { prefix } else { "" };
        let spec = Spec { zero: self.zero && self.precision.is_none(), ..self };
        spec.pad(out, prefix, digits.as_bytes());
    }

    /// Appends a text formatted by `s` or `c`: truncated to the precision, padded to the width.
    pub(crate) fn write_text(self, out: &mut Vec<u8>, text: &[u8]) {
        let text = &text[..text.len().min(self.precision.unwrap_or(usize::MAX))];
        Spec { zero: false, ..self }.pad(out, "", text);
    }

    fn sign(self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    /// The digits of an integer, padded with zeros to the precision; none for zero with precision
    /// 0.
    fn integer(self, digits: String) -> String {
        match self.precision {
            Some(0) if digits == "0" => String::new(),
            Some(p) if digits.len() < p => format!("{}{digits}", "0".repeat(p - digits.len())),
            _ => digits,
        }
    }

    fn pad(self, out: &mut Vec<u8>, prefix: &str, body: &[u8]) {
        let missing = self.width.saturating_sub(prefix.len() + body.len());
        if !self.left && !self.zero {
            out.extend(std::iter::repeat_n(b' ', missing));
        }
        out.extend_from_slice(prefix.as_bytes());
        if !self.left && self.zero {
            out.extend(std::iter::repeat_n(b'0', missing));
        }
        out.extend_from_slice(body);
        if self.left {
            out.extend(std::iter::repeat_n(b' ', missing));
        }
    }
}

/// The digits of the mantissa with their decimal point, and the exponent.
fn split(n: f64, precision: usize) -> (String, i32) {
    let text = format!("{n:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn scientific(n: f64, precision: usize, point: bool) -> String {
    let (mut mantissa, exponent) = split(n, precision);
    if point && precision == 0 {
        mantissa.push('.');
    }
    with_exponent(&mantissa, exponent)
}

fn general(n: f64, precision: usize, keep_zeros: bool) -> String {
    let (mantissa, exponent) = split(n, precision - 1);
    if exponent < -4 || exponent >= precision as i32 {
        return with_exponent(&trim(mantissa, keep_zeros), exponent);
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    trim(format!("{n:.decimals$}"), keep_zeros)
}

fn trim(mut digits: String, keep_zeros: bool) -> String {
    if keep_zeros {
        if !digits.contains('.') {
            digits.push('.');
        }
        return digits;
    }
    if digits.contains('.') {
        let kept = digits.trim_end_matches('0').trim_end_matches('.').len();
        digits.truncate(kept);
    }
    digits
}

/// Normalizes a number from outside: of a NaN only the sign is kept.
pub(crate) fn normalized(n: f64) -> f64 {
    match n.is_nan() {
        true => f64::NAN.abs().copysign(n),
        false => n,
    }
}

/// C's `isspace`.
pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

/// Parses a whole string as a number, ignoring spaces around it. As in PUC Lua it ends at a NUL
/// byte, like a C string.
pub(crate) fn parse_number(text: &[u8]) -> Option<f64> {
    let (n, used) = strtod(text)?;
    let rest = &text[used..];
    let end = rest.iter().position(|&b| !is_space(b)).unwrap_or(rest.len());
    matches!(rest.get(end), None | Some(0)).then_some(n)
}

/// C's `strtod`: parses the longest prefix that is a number, and returns its length as well.
pub(crate) fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let mut at = text.iter().position(|&b| !is_space(b))?;
    let negative = match text[at] {
        b'-' | b'+' => {
            at += 1;
            text[at - 1] == b'-'
        }
        _ => false,
    };
    let signed = |n: f64| if negative { -n } else { n };
    let rest = &text[at..];
    let starts =
        |word: &[u8]| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
    if starts(b"0x")
        && let Some((n, used)) = hexadecimal(&rest[2..])
    {
        return Some((signed(n), at + 2 + used));
    }
    for (word, value) in
        [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY), (b"nan", f64::NAN.abs())]
    {
        if starts(word) {
            return Some((signed(value), at + word.len()));
        }
    }
    let digits = |from: usize| {
        rest[from.min(rest.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let whole = digits(0);
    let mut used = whole;
    let mut fraction = 0;
    if rest.get(used) == Some(&b'.') {
        fraction = digits(used + 1);
        used += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(rest.get(used), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(used + 1), Some(b'+' | b'-')));
        let exponent = digits(used + 1 + sign);
        if exponent > 0 {
            used += 1 + sign + exponent;
        }
    }
    let n = std::str::from_utf8(&rest[..used]).ok()?.parse::<f64>().ok()?;
    Some((signed(n), at + used))
}

/// Parses the digits of a hexadecimal floating-point number after its `0x`.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let mut mantissa: u64 = 0;
    let mut exponent: i32 = 0;
    let mut used = 0;
    let mut any = false;
    let mut point = false;
    while let Some(&b) = text.get(used) {
        let digit = match b {
            b'.' if !point => {
                point = true;
                used += 1;
                continue;
            }
            _ => match char::from(b).to_digit(16) {
                Some(d) => u64::from(d),
                None => break,
            },
        };
        any = true;
        used += 1;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            if point {
                exponent = exponent.saturating_sub(4);
            }
        } else {
            // Digits that no longer fit only decide whether the rest is zero.
            mantissa |= u64::from(digit != 0);
            if !point {
                exponent = exponent.saturating_add(4);
            }
        }
    }
    if !any {
        return None;
    }
    if matches!(text.get(used), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(used + 1), Some(b'+' | b'-')));
        let from = used + 1 + sign;
        let digits = text[from.min(text.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            let mut e: i32 = 0;
            for &d in &text[from..from + digits] {
                e = e.saturating_mul(10).saturating_add(i32::from(d - b'0')).min(100_000);
            }
            let negative = text[used + 1] == b'-';
            exponent = exponent.saturating_add(if negative { -e } else { e });
            used = from + digits;
        }
    }
    Some((libm::ldexp(mantissa as f64, exponent), used))
}

/// C's `strtoul` on a whole string, ignoring spaces around it (`tonumber` with a base).
pub(crate) fn parse_unsigned(text: &[u8], base: u32) -> Option<f64> {
    let mut at = text.iter().position(|&b| !is_space(b))?;
    let negative = match text[at] {
        b'-' | b'+' => {
            at += 1;
            text[at - 1] == b'-'
        }
        _ => false,
    };
    if base == 16
        && text.len() > at + 2
        && text[at] == b'0'
        && text[at + 1].eq_ignore_ascii_case(&b'x')
        && text[at + 2].is_ascii_hexdigit()
    {
        at += 2;
    }
    let mut n: u64 = 0;
    let mut overflow = false;
    let start = at;
    while let Some(digit) = text.get(at).and_then(|&b| char::from(b).to_digit(base)) {
        match n.checked_mul(u64::from(base)).and_then(|n| n.checked_add(u64::from(digit))) {
            Some(next) => n = next,
            None => overflow = true,
        }
        at += 1;
    }
    if at == start {
        return None;
    }
    let rest = &text[at..];
    let end = rest.iter().position(|&b| !is_space(b)).unwrap_or(rest.len());
    if !matches!(rest.get(end), None | Some(0)) {
        return None;
    }
    Some(match (overflow, negative) {
        (true, _) => u64::MAX as f64,
        (_, true) => n.wrapping_neg() as f64,
        _ => n as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: f64) -> String {
        let mut out = Vec::new();
        write_number(&mut out, n);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_printed_with_fourteen_digits() {
        for (n, printed) in [
            (3.0, "3"),
            (-0.0, "-0"),
            (1e15, "1e+15"),
            (1e14, "1e+14"),
            (99999999999999.0, "99999999999999"),
            (123456789012345.0, "1.2345678901234e+14"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "inf"),
            (-f64::NAN.abs(), "-nan"),
            (5e-324, "4.9406564584125e-324"),
        ] {
            assert_eq!(text(n), printed);
        }
    }

    #[test]
    fn strings_are_read_as_strtod_reads_them() {
        for (s, n) in [
            ("  12  ", Some(12.0)),
            ("0x10", Some(16.0)),
            ("-0x10", Some(-16.0)),
            ("0x1p4", Some(16.0)),
            ("0x.8", Some(0.5)),
            ("0x", None),
            ("1e", None),
            ("5.", Some(5.0)),
            (".5", Some(0.5)),
            (".", None),
            ("", None),
            ("1 2", None),
            ("1e400", Some(f64::INFINITY)),
            ("12\0x", Some(12.0)),
            ("0xffffffffffffffffff", Some(4722366482869645213695.0)),
        ] {
            assert_eq!(parse_number(s.as_bytes()), n, "{s:?}");
        }
    }
}
