use proptest::prelude::*;

use super::*;

fn words(text: &str) -> Vec<Word> {
    match parse(text).unwrap().0.remove(0).first.stages.remove(0).command {
        Command::Simple { words, .. } => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_are_made_of_bare_quoted_and_expanded_parts() {
    assert_eq!(words("echo a'b c'\"d\"")[1].0.len(), 4);
    assert_eq!(
        words("echo ${x:-y}")[1].0,
        [Part::Var {
            name: "x".into(),
            op: Some(Box::new(VarOp::Default {
                sign: '-',
                colon: true,
                word: Word(vec![Part::Bare("y".into())]),
            })),
            quoted: false,
        }]
    );
    assert_eq!(words("a # b").len(), 1);
    assert_eq!(words("a b#c").len(), 2);
}

#[test]
fn commands_are_joined_and_nested() {
    let list = parse("a && b || c; d & (e; f) | g > x 2>&1\nif a; then b; fi").unwrap();
    assert_eq!(list.0.len(), 4);
    assert_eq!(list.0[0].rest.len(), 2);
    assert!(list.0[1].background);
    assert_eq!(list.0[2].first.stages.len(), 2);
    assert_eq!(list.0[2].first.stages[0].text, "(e; f)");
    assert_eq!(list.0[2].first.stages[1].redirects.len(), 2);
    let list = parse("for i in 1 2; do echo $i; done; f() { a; }; case x in a|b) c;; esac");
    assert_eq!(list.unwrap().0.len(), 3);
}

#[test]
fn a_here_document_stands_after_its_line() {
    let list = parse("cat <<EOF > f; b\nhi $x\nEOF\nc").unwrap();
    assert_eq!(list.0.len(), 3);
    let stage = &list.0[0].first.stages[0];
    assert!(matches!(&stage.redirects[0].kind, RedirectKind::Here(w) if w.0.len() > 1));
}

#[test]
fn syntax_errors_name_the_problem() {
    for (text, error) in [
        ("ls |", "syntax error: unexpected end of file, looking for a command after |"),
        ("echo 'a", "syntax error: unexpected end of file, looking for matching `''"),
        ("a ;; b", "syntax error near unexpected token `;;'"),
        ("fi", "syntax error near unexpected token `fi'"),
        ("[[ a", "syntax error: unexpected end of file, looking for ]]"),
        ("[[ ]]", "syntax error near unexpected token `]]'"),
        ("[[ a == ]]", "syntax error near unexpected token `]]'"),
        ("((a))", "(( )) is not supported by this shell"),
        ("select a in b", "select is not supported by this shell"),
        ("for ((;;))", "for (( )) is not supported by this shell"),
        ("x=(1 2)", "an array is not supported by this shell"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in r#"[a-z0-9 "'$(){}\[\]<>|&;=#\\\n`*!/-]{0,60}"#) {
        let _ = parse(&text);
    }
}
