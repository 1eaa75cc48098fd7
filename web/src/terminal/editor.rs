//! A line editor like readline: the effect of keys on text and caret, and the history.
//!
//! The text field itself (a plain HTML input, so that input methods and phones work) is not handled
//! here, so that this part is pure.

/// A line with a caret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Line {
    /// The text.
    pub text: String,
    /// The caret's position in bytes, always on a character boundary.
    pub caret: usize,
}

impl Line {
    /// A line with the caret at its end.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { caret: text.len(), text }
    }

    /// A line with the caret after `units` UTF-16 code units, as the browser counts.
    pub(crate) fn at_utf16(text: String, units: usize) -> Self {
        let mut seen = 0;
        let caret = text
            .char_indices()
            .find(|(_, c)| {
                let here = seen >= units;
                seen += c.len_utf16();
                here
            })
            .map_or(text.len(), |(at, _)| at);
        Self { text, caret }
    }

    /// The caret in UTF-16 code units.
    pub(crate) fn caret_utf16(&self) -> usize {
        self.text[..self.caret].chars().map(char::len_utf16).sum()
    }

    fn cut(&mut self, from: usize, to: usize) -> String {
        self.caret = from;
        self.text.drain(from..to).collect()
    }
}

/// The history of typed lines, with the present position in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    lines: Vec<String>,
    /// The index into `lines` while going through the history; `None` at the line being typed.
    at: Option<usize>,
    /// The line that was being typed before going through the history.
    draft: String,
    /// The text that Ctrl-K, Ctrl-U or Ctrl-W killed last, for Ctrl-Y.
    killed: String,
    search: Option<Search>,
}

/// A reverse search through the history (Ctrl-R).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// The text to find.
    pub query: String,
    /// The index of the line found.
    at: Option<usize>,
}

/// The editing commands of readline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Edit {
    /// Ctrl-A: to the beginning of the line.
    Start,
    /// Ctrl-E: to the end of the line.
    End,
    /// Ctrl-U: kills the text before the caret.
    KillToStart,
    /// Ctrl-K: kills the text after the caret.
    KillToEnd,
    /// Ctrl-W: kills the word before the caret.
    KillWord,
    /// Ctrl-Y: inserts the text that was killed last.
    Yank,
    /// Ctrl-T: swaps the two characters around the caret.
    Transpose,
    /// Ctrl-P or the up arrow: the previous line of the history.
    Previous,
    /// Ctrl-N or the down arrow: the next line of the history.
    Next,
}

impl History {
    /// The most lines that are kept.
    const LIMIT: usize = 500;

    /// Adds a line, unless it is empty or equal to the last, and returns to the line being typed.
    pub(crate) fn remember(&mut self, line: &str) {
        self.at = None;
        self.search = None;
        self.draft.clear();
        if line.trim().is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == Self::LIMIT {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// Applies an editing key.
    pub(crate) fn apply(&mut self, edit: Edit, line: &mut Line) {
        match edit {
            Edit::Start => line.caret = 0,
            Edit::End => line.caret = line.text.len(),
            Edit::KillToStart => self.killed = line.cut(0, line.caret),
            Edit::KillToEnd => self.killed = line.cut(line.caret, line.text.len()),
            Edit::KillWord => {
                let before = line.text[..line.caret].trim_end_matches(' ');
                let start = before.rfind(' ').map_or(0, |at| at + 1);
                self.killed = line.cut(start, line.caret);
            }
            Edit::Yank => {
                line.text.insert_str(line.caret, &self.killed);
                line.caret += self.killed.len();
            }
            Edit::Transpose => transpose(line),
            Edit::Previous => self.previous(line),
            Edit::Next => self.next(line),
        }
    }

    fn previous(&mut self, line: &mut Line) {
        let at = match self.at {
            None if self.lines.is_empty() => return,
            None => {
                self.draft.clone_from(&line.text);
                self.lines.len() - 1
            }
            Some(0) => return,
            Some(at) => at - 1,
        };
        self.at = Some(at);
        *line = Line::new(self.lines[at].clone());
    }

    fn next(&mut self, line: &mut Line) {
        let Some(at) = self.at else { return };
        if at + 1 < self.lines.len() {
            self.at = Some(at + 1);
            *line = Line::new(self.lines[at + 1].clone());
        } else {
            self.at = None;
            *line = Line::new(core::mem::take(&mut self.draft));
        }
    }

    /// The search in progress, if any.
    pub(crate) fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Ctrl-R: starts a search, or goes to the next older match.
    pub(crate) fn search_older(&mut self) {
        match &mut self.search {
            None => self.search = Some(Search::default()),
            Some(search) => {
                let end = search.at.unwrap_or(self.lines.len());
                if let Some(at) = find_older(&self.lines[..end], &search.query) {
                    search.at = Some(at);
                }
            }
        }
    }

    /// Changes the text to find.
    pub(crate) fn search_for(&mut self, query: &str) {
        if let Some(search) = &mut self.search {
            search.at = find_older(&self.lines, query);
            query.clone_into(&mut search.query);
        }
    }

    /// The line that the search has found.
    pub(crate) fn found(&self) -> Option<&str> {
        let at = self.search.as_ref()?.at?;
        self.lines.get(at).map(String::as_str)
    }

    /// Ends the search. Returns the line found.
    pub(crate) fn end_search(&mut self) -> Option<String> {
        let found = self.found().map(str::to_owned);
        self.search = None;
        found
    }
}

fn find_older(lines: &[String], query: &str) -> Option<usize> {
    if query.is_empty() {
        return None;
    }
    lines.iter().rposition(|line| line.contains(query))
}

fn transpose(line: &mut Line) {
    // At the end of the line the last two characters are swapped, as in readline.
    let mut chars: Vec<char> = line.text.chars().collect();
    let mut at = line.text[..line.caret].chars().count();
    if at == chars.len() && at > 0 {
        at -= 1;
    }
    if at == 0 || chars.len() < 2 {
        return;
    }
    chars.swap(at - 1, at);
    line.caret = chars[..=at].iter().map(|c| c.len_utf8()).sum();
    line.text = chars.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Line {
        let caret = text.find('|').expect("a caret");
        Line { text: text.replacen('|', "", 1), caret }
    }

    fn after(edit: Edit, text: &str) -> Line {
        let mut line = at(text);
        History::default().apply(edit, &mut line);
        line
    }

    #[test]
    fn keys_edit_as_readline_does() {
        assert_eq!(after(Edit::Start, "get k|1"), at("|get k1"));
        assert_eq!(after(Edit::End, "g|et k1"), at("get k1|"));
        assert_eq!(after(Edit::KillToStart, "get |k1"), at("|k1"));
        assert_eq!(after(Edit::KillToEnd, "get |k1"), at("get |"));
        assert_eq!(after(Edit::KillWord, "set k1 hello|"), at("set k1 |"));
        assert_eq!(after(Edit::KillWord, "set k1  |hello"), at("set |hello"));
        assert_eq!(after(Edit::KillWord, "设置 值|"), at("设置 |"));
        assert_eq!(after(Edit::Transpose, "gte|"), at("get|"));
        assert_eq!(after(Edit::Transpose, "|get"), at("|get"));
    }

    #[test]
    fn what_was_killed_comes_back() {
        let (mut history, mut line) = (History::default(), at("set k1 hello|"));
        history.apply(Edit::KillWord, &mut line);
        history.apply(Edit::Start, &mut line);
        history.apply(Edit::Yank, &mut line);
        assert_eq!(line, at("hello|set k1 "));
    }

    #[test]
    fn the_history_is_walked_and_the_draft_is_kept() {
        let mut history = History::default();
        for line in ["ping", "get a", "get a", " ", "set a 1"] {
            history.remember(line);
        }
        let mut line = at("dra|ft");
        let mut seen = Vec::new();
        for _ in 0..4 {
            history.apply(Edit::Previous, &mut line);
            seen.push(line.text.clone());
        }
        assert_eq!(seen, ["set a 1", "get a", "ping", "ping"]);
        for _ in 0..4 {
            history.apply(Edit::Next, &mut line);
        }
        assert_eq!(line.text, "draft");
    }

    #[test]
    fn searching_goes_back_hit_by_hit() {
        let mut history = History::default();
        for line in ["set a 1", "get a", "set b 2"] {
            history.remember(line);
        }
        history.search_older();
        history.search_for("set");
        assert_eq!(history.found(), Some("set b 2"));
        history.search_older();
        assert_eq!(history.found(), Some("set a 1"));
        history.search_older();
        assert_eq!(history.end_search().as_deref(), Some("set a 1"));
        assert_eq!(history.search(), None);
    }

    #[test]
    fn carets_are_counted_as_the_browser_counts() {
        let line = Line::at_utf16("a𝄞值b".to_owned(), 3);
        assert_eq!(&line.text[line.caret..], "值b");
        assert_eq!(line.caret_utf16(), 3);
        assert_eq!(Line::at_utf16("ab".to_owned(), 9).caret, 2);
    }
}
