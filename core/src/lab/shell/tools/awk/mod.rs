//! `awk`: patterns, fields, arithmetic, arrays, `print` and `printf`.

mod parse;
mod run;

use parse::{Parser, When};
use run::{Machine, Value};

use super::super::os::Os;
use super::parse;
use super::print::unescape;
use super::text::lines_of;

pub(super) async fn awk(os: Os) -> i32 {
    let parsed = match parse(&os, "", "Fv").await {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let Some((program, paths)) = parsed.operands.split_first() else {
        return os.fail("usage: awk [-F fs][-v var=value] 'prog' [file ...]").await;
    };
    let rules = match Parser::new(program).and_then(|mut parser| parser.program()) {
        Ok(rules) => rules,
        Err(error) => {
            os.print_error(error).await;
            return 2;
        }
    };
    let mut machine = Machine::default();
    let separator = parsed.value('F').map_or(" ".into(), unescape);
    machine.vars.insert("FS".into(), Value::Text(separator));
    machine.vars.insert("OFS".into(), Value::Text(" ".into()));
    for (_, text) in parsed.values.iter().filter(|(flag, _)| *flag == 'v') {
        if let Some((name, value)) = text.split_once('=') {
            machine.vars.insert(name.into(), Value::Text(unescape(value)));
        }
    }
    machine.run(&rules, When::Begin);
    let mut status = 0;
    if rules.iter().any(|rule| !matches!(rule.when, When::Begin)) && machine.exit.is_none() {
        let (lines, failed) = lines_of(&os, paths).await;
        status = failed * 2;
        for (n, line) in lines.iter().enumerate() {
            machine.vars.insert("NR".into(), Value::Number((n + 1) as f64));
            machine.split(line);
            machine.run(&rules, When::Always);
            os.print(core::mem::take(&mut machine.out));
            os.flush_if_full().await;
            if machine.exit.is_some() || machine.error.is_some() {
                break;
            }
        }
    }
    if machine.error.is_none() {
        machine.run(&rules, When::End);
    }
    os.print(core::mem::take(&mut machine.out));
    match machine.error {
        Some(error) => {
            os.print_error(error).await;
            2
        }
        None => machine.exit.unwrap_or(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awk(program: &str, text: &str) -> String {
        let rules = Parser::new(program).unwrap().program().unwrap();
        let mut machine = Machine::default();
        machine.vars.insert("FS".into(), Value::Text(" ".into()));
        machine.vars.insert("OFS".into(), Value::Text(" ".into()));
        machine.run(&rules, When::Begin);
        for (n, line) in text.lines().enumerate() {
            machine.vars.insert("NR".into(), Value::Number((n + 1) as f64));
            machine.split(line);
            machine.run(&rules, When::Always);
        }
        machine.run(&rules, When::End);
        assert_eq!(machine.error, None);
        machine.out
    }

    #[test]
    fn programs_do_what_awk_does() {
        for (program, text, expected) in [
            ("{print $2}", "a b\nc d", "b\nd\n"),
            ("/c/ {print $1, NR}", "a b\nc d", "c 2\n"),
            ("NR>1", "a\nb", "b\n"),
            ("{s+=$1} END {print s, s/NR}", "1\n2", "3 1.5\n"),
            ("{n[$1]++} END {for (k in n) print k\":\"n[k]}", "b\na\nb", "a:1\nb:2\n"),
            ("BEGIN {printf \"%03d|%s\\n\", 7, \"x\"}", "", "007|x\n"),
            ("{gsub(/a/, \"<&>\"); print}", "aba", "<a>b<a>\n"),
            ("$2 ~ /^x/ {print $NF}", "1 xy z\n2 y z", "z\n"),
            ("{if ($1 > 9) print \"big\"; else print \"small\"}", "10\n9", "big\nsmall\n"),
            ("BEGIN {for (i=0; i<3; i++) printf i; print \"\"}", "", "012\n"),
        ] {
            assert_eq!(awk(program, text), expected, "{program}");
        }
        assert!(Parser::new("{print").unwrap().program().is_err());
    }
}
