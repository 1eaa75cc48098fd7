//! `echo` and `printf`, with the escapes and formats that `awk` and `sed` use as well.

use super::super::os::Os;

pub(super) async fn echo(os: Os) -> i32 {
    let (mut newline, mut escapes) = (true, false);
    let mut words = os.args.as_slice();
    while let Some((first, rest)) = words.split_first() {
        let flags = first.strip_prefix('-').filter(|flags| !flags.is_empty());
        let Some(flags) = flags.filter(|flags| flags.chars().all(|c| "neE".contains(c))) else {
            break;
        };
        newline &= !flags.contains('n');
        escapes = flags.contains('e') || escapes && !flags.contains('E');
        words = rest;
    }
    let text = words.join(" ");
    if escapes {
        os.print(unescape(&text));
    } else {
        os.print(text);
    }
    if newline {
        os.print("\n");
    }
    0
}

/// Replaces escapes such as `\n` and `\t`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('e') => out.push('\x1b'),
            Some('\\') => out.push('\\'),
            Some(c @ ('0' | 'x')) => {
                let (radix, most) = if c == '0' { (8, 3) } else { (16, 2) };
                let mut digits = String::new();
                while digits.len() < most
                    && let Some(digit) = chars.next_if(|c| c.is_digit(radix))
                {
                    digits.push(digit);
                }
                out.push(char::from(u8::from_str_radix(&digits, radix).unwrap_or(0)));
            }
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

pub(super) async fn printf(os: Os) -> i32 {
    let Some((format, args)) = os.args.split_first() else {
        return os.fail("usage: printf format [arguments]").await;
    };
    let mut args = args.iter();
    loop {
        let before = args.len();
        match formatted(format, &mut args) {
            Ok(text) => os.print(text),
            Err(error) => return os.fail(error).await,
        }
        // The format is reused as long as there are arguments.
        if args.len() == 0 || args.len() == before {
            return 0;
        }
    }
}

/// Applies a format once.
pub(super) fn formatted<'a>(
    format: &str,
    args: &mut impl Iterator<Item = &'a String>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        out.push_str(&unescape(&core::mem::take(&mut plain)));
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let (mut left, mut zero) = (false, false);
        while let Some(flag) = chars.next_if(|c| "-0+ #".contains(*c)) {
            left |= flag == '-';
            zero |= flag == '0';
        }
        let number = |chars: &mut core::iter::Peekable<core::str::Chars<'_>>| {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits.parse::<usize>().ok().map(|n| n.min(10_000))
        };
        let width = number(&mut chars).unwrap_or(0);
        let precision = if chars.next_if_eq(&'.').is_some() {
            Some(number(&mut chars).unwrap_or(0))
        } else {
            None
        };
        let kind = chars.next();
        let arg = args.next().map_or("", String::as_str);
        let whole =
            arg.trim().parse::<i64>().or_else(|_| arg.trim().parse::<f64>().map(|n| n as i64));
        let whole = whole.unwrap_or(0);
        let text = match kind {
            Some('s') => arg.chars().take(precision.unwrap_or(usize::MAX)).collect(),
            Some('b') => unescape(arg),
            Some('c') => arg.chars().take(1).collect(),
            Some('d' | 'i' | 'u') => whole.to_string(),
            Some('x') => format!("{whole:x}"),
            Some('X') => format!("{whole:X}"),
            Some('o') => format!("{whole:o}"),
            Some('f' | 'g' | 'e') => {
                let value = arg.trim().parse::<f64>().unwrap_or(0.0);
                format!("{value:.*}", precision.unwrap_or(6))
            }
            Some(kind) => return Err(format!("`%{kind}': invalid format character")),
            None => return Err("missing format character".into()),
        };
        let len = text.chars().count();
        let pad = width.saturating_sub(len);
        match (left, zero && kind != Some('s')) {
            (true, _) => out.push_str(&format!("{text}{}", " ".repeat(pad))),
            (false, true) => out.push_str(&format!("{}{text}", "0".repeat(pad))),
            (false, false) => out.push_str(&format!("{}{text}", " ".repeat(pad))),
        }
    }
    out.push_str(&unescape(&plain));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_filled_in() {
        let format = |format: &str, args: &[&str]| {
            let args: Vec<String> = args.iter().map(|&arg| arg.into()).collect();
            formatted(format, &mut args.iter()).unwrap()
        };
        assert_eq!(format("%s\\n", &["a"]), "a\n");
        assert_eq!(format("%5d|%-4s|%03d", &["42", "ab", "7"]), "   42|ab  |007");
        assert_eq!(format("%.2f%%", &["1.5"]), "1.50%");
        assert_eq!(unescape("a\\tb\\x41"), "a\tbA");
    }
}
