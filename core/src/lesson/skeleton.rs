//! The template of a new lesson.

/// A short but complete lesson, for an author to edit.
pub fn skeleton(title: &str) -> String {
    let title = title.replace(['\\', '"', '\n'], " ");
    format!(
        r#"---
title: "{title}"
goal: Say in one sentence what the reader can do afterwards.
minutes: 5
hosts:
  - name: redis-1
    run:
      - redis-server --protected-mode no
---

One paragraph that says why this is worth five minutes.

## Store a value {{#store}}

Say what to do and what to look at. Type into the redis-cli of redis-1:

```
set greeting hello
```

```step
wait:
  - ask: get greeting
    at: redis-1
    is: hello
hints:
  - The command is `set`, then the key, then the value.
solution:
  - redis-1> set greeting hello
focus: redis-1
```

## Ask what they have understood {{#question}}

A good question can be answered by trying.

```step
question:
  text: What does `get Greeting` answer, with a capital G?
  answers:
    - text: "`\"hello\"`"
      because: Try it. Keys are bytes, and `G` is another byte than `g`.
    - text: "`(nil)`"
      right: true
      because: Keys are bytes, and case makes a difference.
```

## Something left to try {{#try}}

End with something to break: `:crash redis-1`, for example.

```step
open: true
```
"#
    )
}
