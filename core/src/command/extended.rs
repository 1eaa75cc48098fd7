//! Floating-point numbers with a 64-bit mantissa: the `long double` of x86, which INCRBYFLOAT and
//! HINCRBYFLOAT compute with, emulated in integers so that every platform gives the same digits.

use core::cmp::Ordering;

/// A finite number: `mantissa` × 2^`exponent`. The mantissa's top bit is set, unless the number is
/// zero or subnormal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// A parsed number: finite, or an infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A finite number.
    Finite(Extended),
    /// An infinity, written out as such.
    Infinite,
}

/// The largest exponent of a 64-bit mantissa.
const MAX_EXPONENT: i32 = 16_383 - 63;
/// The smallest exponent. Smaller numbers are subnormal.
const MIN_EXPONENT: i32 = -16_382 - 63;
/// Redis's `MAX_LONG_DOUBLE_CHARS`: longer texts are not parsed.
const MAX_TEXT: usize = 5 * 1024;
/// The most digits behind the point when a number is printed.
const PLACES: u32 = 17;

impl Extended {
    /// Zero.
    pub const ZERO: Extended = Extended { negative: false, mantissa: 0, exponent: 0 };

    /// Parses a number as `strtold` does when it must consume the whole text: decimal and
    /// hexadecimal forms, `inf` and `infinity`. `None` for anything else, for overflow and
    /// underflow, and for NaN.
    pub fn parse(text: &[u8]) -> Option<Parsed> {
        if text.len() >= MAX_TEXT {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Parsed::Infinite);
        }
        let magnitude = match unsigned {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(rest)?,
            _ => parse_decimal(unsigned)?,
        };
        Some(Parsed::Finite(Extended { negative, ..magnitude }))
    }

    /// The sum; `None` on overflow.
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        let (large, small) = match self.magnitude_cmp(&other) {
            Ordering::Less => (other, self),
            _ => (self, other),
        };
        if small.mantissa == 0 {
            // The sum of two zeros is negative only if both are.
            let negative = large.negative && (large.mantissa != 0 || small.negative);
            return Some(Extended { negative, ..large });
        }
        // 62 bits below the mantissa, with a sticky lowest bit for what is shifted out: enough to
        // round as if the sum were exact.
        let apart = (large.exponent - small.exponent).unsigned_abs();
        let high = u128::from(large.mantissa) << 62;
        let low = u128::from(small.mantissa) << 62;
        let low = match low.checked_shr(apart) {
            Some(shifted) => shifted | u128::from(shifted << apart != low),
            None => 1,
        };
        let sum = if large.negative == small.negative { high + low } else { high - low };
        if sum == 0 {
            return Some(Extended::ZERO);
        }
        let rounded = round(sum, large.exponent - 62, false)?;
        Some(Extended { negative: large.negative, ..rounded })
    }

    /// Formats it as Redis prints a long double for people: plain notation, at most 17 digits
    /// behind the point, without trailing zeros.
    pub fn format(self) -> Vec<u8> {
        // The number in units of the last digit.
        let scale = 10u128.pow(PLACES);
        let units = if self.exponent >= 0 {
            Big::from(u128::from(self.mantissa))
                .shl(self.exponent.unsigned_abs())
                .mul(scale as u64, 0)
        } else {
            let exact = u128::from(self.mantissa) * scale;
            Big::from(shift_right_rounding(exact, self.exponent.unsigned_abs()))
        };
        let mut digits = units.decimal();
        let places = PLACES as usize;
        if digits.len() <= places {
            let missing = places + 1 - digits.len();
            digits.splice(0..0, core::iter::repeat_n(b'0', missing));
        }
        let point = digits.len() - places;
        while digits.len() > point && digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.len() > point {
            digits.insert(point, b'.');
        }
        if self.negative && digits != b"0" {
            digits.insert(0, b'-');
        }
        digits
    }

    fn magnitude_cmp(&self, other: &Extended) -> Ordering {
        match (self.mantissa, other.mantissa) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            // Mantissas are normalised, or have the smallest exponent.
            _ => (self.exponent, self.mantissa).cmp(&(other.exponent, other.mantissa)),
        }
    }
}

impl From<i64> for Extended {
    fn from(value: i64) -> Self {
        match round(u128::from(value.unsigned_abs()), 0, false) {
            Some(magnitude) => Extended { negative: value < 0, ..magnitude },
            None => Extended::ZERO,
        }
    }
}

/// Shifts right, rounding to nearest, ties to even.
fn shift_right_rounding(value: u128, by: u32) -> u128 {
    if by == 0 {
        return value;
    }
    let Some(kept) = value.checked_shr(by) else {
        // Everything is shifted out: it rounds up only if it is more than half of the lowest bit.
        return u128::from(by == 128 && value > 1 << 127);
    };
    let rest = value & ((1 << by) - 1);
    let half = 1u128 << (by - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    kept + u128::from(up)
}

/// `value` × 2^`exponent`, rounded to 64 bits; `sticky` if a little more is meant. `None` on
/// overflow.
fn round(value: u128, exponent: i32, sticky: bool) -> Option<Extended> {
    if value == 0 {
        return Some(Extended::ZERO);
    }
    // Shift the top bit to the top, so that there are bits below the mantissa to round by.
    let zeros = value.leading_zeros();
    let value = (value << zeros) | u128::from(sticky);
    let exponent = exponent.saturating_sub(zeros as i32);
    let lost = MIN_EXPONENT.saturating_sub(exponent).max(64);
    let mut mantissa = shift_right_rounding(value, lost.unsigned_abs());
    let mut exponent = exponent.saturating_add(lost);
    if mantissa > u128::from(u64::MAX) {
        mantissa >>= 1;
        exponent += 1;
    }
    let mantissa = u64::try_from(mantissa).ok()?;
    (exponent <= MAX_EXPONENT).then_some(Extended { negative: false, mantissa, exponent })
}

fn parse_decimal(text: &[u8]) -> Option<Extended> {
    let mut digits = Big::default();
    let (mut count, mut point, mut power) = (0u32, false, 0i64);
    let mut rest = text;
    while let [c, tail @ ..] = rest {
        match c {
            b'0'..=b'9' => {
                digits = digits.mul(10, u64::from(c - b'0'));
                count += 1;
                power -= i64::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        rest = tail;
    }
    if count == 0 {
        return None;
    }
    power += parse_power(rest, b'e')?;
    if digits.is_zero() {
        return Some(Extended::ZERO);
    }
    // Far outside of the range, and a limit for the powers computed below.
    if !(-12_000..=5_000).contains(&power) {
        return None;
    }
    let number = if power >= 0 {
        digits.times_ten_to(power).top_bits(0)
    } else {
        // Enough leading bits for a quotient of more than 64 bits.
        let divisor = Big::from(1).times_ten_to(-power);
        let shift = (divisor.bits() + 70).saturating_sub(digits.bits());
        let (quotient, exact) = digits.shl(shift).divide(&divisor);
        let (value, exponent, sticky) = quotient.top_bits(-(shift as i32));
        (value, exponent, sticky || !exact)
    };
    let rounded = round(number.0, number.1, number.2)?;
    (rounded.mantissa != 0).then_some(rounded)
}

fn parse_hexadecimal(text: &[u8]) -> Option<Extended> {
    let mut digits = Big::default();
    let (mut count, mut point, mut power) = (0u32, false, 0i64);
    let mut rest = text;
    while let [c, tail @ ..] = rest {
        match (char::from(*c).to_digit(16), c) {
            (Some(digit), _) => {
                digits = digits.mul(16, u64::from(digit));
                count += 1;
                power -= 4 * i64::from(point);
            }
            (None, b'.') if !point => point = true,
            _ => break,
        }
        rest = tail;
    }
    if count == 0 {
        return None;
    }
    power += parse_power(rest, b'p')?;
    if digits.is_zero() {
        return Some(Extended::ZERO);
    }
    let (value, exponent, sticky) = digits.top_bits(0);
    let power = power.clamp(-1_000_000, 1_000_000) as i32;
    let rounded = round(value, exponent + power, sticky)?;
    (rounded.mantissa != 0).then_some(rounded)
}

/// Parses the exponent behind a number's digits; 0 if there is none.
fn parse_power(text: &[u8], mark: u8) -> Option<i64> {
    let [first, rest @ ..] = text else { return Some(0) };
    if first.to_ascii_lowercase() != mark {
        return None;
    }
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |n, digit| {
        n.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(1_000_000_000)
    });
    Some(if negative { -magnitude } else { magnitude })
}

/// An unsigned big integer: 32-bit words, least significant first, without zeros at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Big(Vec<u32>);

impl From<u128> for Big {
    fn from(value: u128) -> Self {
        Big((0..4).map(|word| (value >> (32 * word)) as u32).collect()).trimmed()
    }
}

impl Big {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> u32 {
        match self.0.last() {
            Some(top) => self.0.len() as u32 * 32 - top.leading_zeros(),
            None => 0,
        }
    }

    fn mul(mut self, factor: u64, add: u64) -> Self {
        let mut carry = u128::from(add);
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = product as u32;
            carry = product >> 32;
        }
        while carry > 0 {
            self.0.push(carry as u32);
            carry >>= 32;
        }
        self
    }

    fn times_ten_to(self, power: i64) -> Self {
        let whole = (0..power / 18).fold(self, |n, _| n.mul(10u64.pow(18), 0));
        (0..power % 18).fold(whole, |n, _| n.mul(10, 0))
    }

    fn shl(&self, by: u32) -> Self {
        let mut words = vec![0; by as usize / 32];
        words.extend_from_slice(&self.0);
        Big(words).mul(1 << (by % 32), 0).trimmed()
    }

    /// The quotient, and whether the remainder is zero. Long division, bit by bit: for quotients of
    /// about 70 bits.
    fn divide(self, divisor: &Big) -> (Big, bool) {
        let mut quotient = 0u128;
        let mut rest = self;
        let steps = (rest.bits() + 1).saturating_sub(divisor.bits()).min(127);
        for step in (0..steps).rev() {
            let part = divisor.shl(step);
            quotient <<= 1;
            if rest.cmp(&part) != Ordering::Less {
                rest.subtract(&part);
                quotient |= 1;
            }
        }
        (Big::from(quotient), rest.is_zero())
    }

    fn cmp(&self, other: &Big) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn subtract(&mut self, other: &Big) {
        let mut borrow = 0i64;
        for (index, word) in self.0.iter_mut().enumerate() {
            let minus = other.0.get(index).copied().unwrap_or(0);
            let difference = i64::from(*word) - i64::from(minus) - borrow;
            *word = difference as u32;
            borrow = i64::from(difference < 0);
        }
        *self = core::mem::take(self).trimmed();
    }

    /// The uppermost 65 to 96 bits (or all), their exponent if that of the whole number is
    /// `exponent`, and whether nonzero bits were left out.
    fn top_bits(&self, exponent: i32) -> (u128, i32, bool) {
        let skip = self.0.len().saturating_sub(3);
        let (low, top) = self.0.split_at(skip);
        let value = top.iter().rev().fold(0u128, |value, word| value << 32 | u128::from(*word));
        (value, exponent.saturating_add(32 * skip as i32), low.iter().any(|&word| word != 0))
    }

    fn decimal(mut self) -> Vec<u8> {
        const BASE: u64 = 1_000_000_000;
        let mut digits = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u64;
            for word in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*word);
                *word = (value / BASE) as u32;
                rest = value % BASE;
            }
            self = self.trimmed();
            for _ in 0..9 {
                digits.push(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        digits.reverse();
        digits
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Extended {
        match Extended::parse(text.as_bytes()) {
            Some(Parsed::Finite(number)) => number,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn sum(a: &str, b: &str) -> String {
        String::from_utf8(read(a).checked_add(read(b)).unwrap().format()).unwrap()
    }

    #[test]
    fn sums_have_the_digits_that_redis_gives() {
        for (a, b, expected) in [
            ("10.5", "0.1", "10.6"),
            ("5000", "200", "5200"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3", "1.1", "4.1"),
            ("1.1", "-1.1", "0"),
            ("0", "-0.0", "0"),
            ("0", "-1e-30", "0"),
            ("1", "1e-17", "1.00000000000000001"),
            ("17179869184", "1.5", "17179869185.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("-1.5", "0.25", "-1.25"),
            ("0x1.8p1", "0", "3"),
            ("1e20", "1", "100000000000000000000"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn invalid_numbers_are_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "abc",
            "1e",
            "1e+",
            "--1",
            ".",
            "e5",
            "0x",
            "0xp1",
            "nan",
            "1e5000",
            "1e-5000",
            "1e999999999999",
            "0x1p99999",
            "1.2.3",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Extended::parse(b"-Infinity"), Some(Parsed::Infinite));
        assert_eq!(Extended::parse(&[b'1'; 6_000]), None);
        assert_eq!(read("0e999999999"), Extended::ZERO);
        // Half of the smallest number underflows, a little more does not.
        assert_eq!(Extended::parse(b"1.8e-4951"), None);
        assert_eq!(read("1.9e-4951").mantissa, 1);
    }

    #[test]
    fn the_largest_number_is_printed_to_its_last_digit() {
        let text = String::from_utf8(read("1e4932").format()).unwrap();
        assert_eq!(text.len(), 4_933);
        assert!(text.starts_with("1000000000000000000"));
        assert_eq!(read("1.1e4932").checked_add(read("1.1e4932")), None);
    }

    #[test]
    fn integers_up_to_64_bits_are_exact() {
        for n in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, 12_345_678_901_234_567] {
            assert_eq!(Extended::from(n).format(), n.to_string().as_bytes());
            assert_eq!(Extended::from(n), read(&n.to_string()));
        }
    }
}
