//! Parsing of commands: lists, pipelines, compound commands, redirections.

use super::*;

impl Parser {
    /// Parses commands up to one of these words, a closing parenthesis, or the end.
    pub(in crate::lab::shell) fn list(&mut self, ends: &[&str]) -> Result<List, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(SyntaxError::Unsupported("nesting as deep as this"));
        }
        let mut items = Vec::new();
        loop {
            self.lines()?;
            match self.peek() {
                None | Some(')') => break,
                Some(';') if self.looking_at(";;") => break,
                _ => {}
            }
            if let Some(word) = self.reserved() {
                if ends.contains(&word) {
                    break;
                }
                if RESERVED_ENDS.contains(&word) {
                    return Err(self.unexpected());
                }
            }
            let start = self.at;
            let first = self.pipeline()?;
            let mut rest = Vec::new();
            loop {
                self.blanks();
                let link = if self.eat("&&") {
                    Link::And
                } else if self.eat("||") {
                    Link::Or
                } else {
                    break;
                };
                self.lines()?;
                if self.peek().is_none() {
                    return Err(SyntaxError::Incomplete("a command"));
                }
                rest.push((link, self.pipeline()?));
            }
            let text = self.slice(start).trim().to_owned();
            let background = self.peek() == Some('&') && self.peek_at(1) != Some('&');
            items.push(Item { first, rest, background, text });
            if background || self.peek() == Some(';') && self.peek_at(1) != Some(';') {
                self.at += 1;
            } else if self.peek() != Some('\n') {
                self.lines()?;
                match self.peek() {
                    None | Some(')') => {}
                    Some(';') if self.looking_at(";;") => {}
                    _ if self.reserved().is_some_and(|word| ends.contains(&word)) => {}
                    _ => return Err(self.unexpected()),
                }
            }
        }
        // A here-document on the last line has no text.
        if self.depth == 1 && self.here.iter().any(|here| here.body.is_none()) {
            return Err(SyntaxError::Incomplete("the end of the here-document"));
        }
        self.depth -= 1;
        let mut list = List(items);
        if self.depth == 0 {
            let bodies: Vec<Word> =
                self.here.drain(..).map(|here| here.body.unwrap_or_default()).collect();
            fill_here(&mut list, &bodies);
        }
        Ok(list)
    }

    pub(in crate::lab::shell) fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        self.blanks();
        let negated = self.reserved() == Some("!") && self.eat("!");
        let mut stages = Vec::new();
        loop {
            self.blanks();
            stages.push(self.stage()?);
            self.blanks();
            if self.peek() == Some('|') && self.peek_at(1) != Some('|') {
                self.at += 1;
                if self.peek() == Some('&') {
                    return Err(SyntaxError::Unsupported("|&"));
                }
                self.lines()?;
                if self.peek().is_none() {
                    return Err(SyntaxError::Incomplete("a command after |"));
                }
            } else {
                return Ok(Pipeline { negated, stages });
            }
        }
    }

    pub(in crate::lab::shell) fn stage(&mut self) -> Result<Stage, SyntaxError> {
        let start = self.at;
        let command = match self.reserved() {
            Some("{") => {
                self.eat("{");
                let list = self.list(&["}"])?;
                self.expect("}")?;
                Command::Group(list)
            }
            Some("if") => self.if_command()?,
            Some(word @ ("while" | "until")) => {
                self.eat(word);
                let test = self.list(&["do"])?;
                Command::While { until: word == "until", test, body: self.body()? }
            }
            Some("for") => self.for_command()?,
            Some("case") => self.case_command()?,
            Some("select") => return Err(SyntaxError::Unsupported("select")),
            Some("function") => {
                self.eat("function");
                self.blanks();
                let name = self.name().ok_or_else(|| self.unexpected())?;
                self.blanks();
                if self.eat("(") {
                    self.blanks();
                    if !self.eat(")") {
                        return Err(self.unexpected());
                    }
                }
                self.function(name)?
            }
            Some(_) => return Err(self.unexpected()),
            None if self.looking_at("((") => return Err(SyntaxError::Unsupported("(( ))")),
            None if self.at_condition() => self.condition()?,
            None if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[])?;
                match self.peek() {
                    Some(')') => self.at += 1,
                    None => return Err(SyntaxError::Incomplete(")")),
                    Some(_) => return Err(self.unexpected()),
                }
                Command::Subshell(list)
            }
            None => return self.simple(start),
        };
        let text = self.slice(start);
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Stage { command, redirects, text }),
            }
        }
    }

    pub(in crate::lab::shell) fn body(&mut self) -> Result<List, SyntaxError> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    pub(in crate::lab::shell) fn if_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("if");
        let mut arms = Vec::new();
        loop {
            let test = self.list(&["then"])?;
            self.expect("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            arms.push((test, body));
            self.lines()?;
            match self.reserved() {
                Some("elif") => self.eat("elif"),
                Some("else") => {
                    self.eat("else");
                    let otherwise = Some(self.list(&["fi"])?);
                    self.expect("fi")?;
                    return Ok(Command::If { arms, otherwise });
                }
                _ => {
                    self.expect("fi")?;
                    return Ok(Command::If { arms, otherwise: None });
                }
            };
        }
    }

    pub(in crate::lab::shell) fn for_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("for");
        self.blanks();
        if self.looking_at("((") {
            return Err(SyntaxError::Unsupported("for (( ))"));
        }
        let var = self.name().ok_or_else(|| self.unexpected())?;
        self.lines()?;
        let mut words = None;
        if self.reserved() == Some("in") {
            self.eat("in");
            let mut all = Vec::new();
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => all.push(word),
                    None => break,
                }
            }
            words = Some(all);
        }
        self.blanks();
        if self.peek() == Some(';') {
            self.at += 1;
        }
        Ok(Command::For { var, words, body: self.body()? })
    }

    pub(in crate::lab::shell) fn case_command(&mut self) -> Result<Command, SyntaxError> {
        self.eat("case");
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.unexpected())?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.lines()?;
            if self.reserved() == Some("esac") {
                self.eat("esac");
                return Ok(Command::Case { word, arms });
            }
            if self.peek().is_none() {
                return Err(SyntaxError::Incomplete("esac"));
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?.ok_or_else(|| self.unexpected())?);
                self.blanks();
                if self.eat("|") {
                    continue;
                }
                if self.eat(")") {
                    break;
                }
                return Err(self.unexpected());
            }
            let body = self.list(&["esac"])?;
            self.eat(";;");
            arms.push((patterns, body));
        }
    }

    pub(in crate::lab::shell) fn name(&mut self) -> Option<String> {
        let start = self.at;
        let first = self.peek().filter(|c| c.is_ascii_alphabetic() || *c == '_');
        first?;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        Some(self.slice(start))
    }

    /// Parses a function, whose body is kept as source text.
    pub(in crate::lab::shell) fn function(&mut self, name: String) -> Result<Command, SyntaxError> {
        self.lines()?;
        if self.peek().is_none() {
            return Err(SyntaxError::Incomplete("the function's body"));
        }
        let start = self.at;
        let stage = self.stage()?;
        if matches!(stage.command, Command::Simple { .. }) {
            self.at = start;
            return Err(self.unexpected());
        }
        Ok(Command::Function { name, body: self.slice(start) })
    }

    pub(in crate::lab::shell) fn simple(&mut self, start: usize) -> Result<Stage, SyntaxError> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        let mut text = String::new();
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            let begin = self.at;
            if words.is_empty() {
                if let Some(name) = self.name() {
                    if self.peek() == Some('=') {
                        self.at += 1;
                        if self.peek() == Some('(') {
                            return Err(SyntaxError::Unsupported("an array"));
                        }
                        assigns.push((name, self.word()?.unwrap_or_default()));
                        text.push_str(&self.slice(begin));
                        text.push(' ');
                        continue;
                    }
                    self.blanks();
                    if self.peek() == Some('(') && assigns.is_empty() {
                        self.at += 1;
                        self.blanks();
                        if !self.eat(")") {
                            return Err(self.unexpected());
                        }
                        let command = self.function(name)?;
                        return Ok(Stage { command, redirects, text: self.slice(start) });
                    }
                }
                self.at = begin;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
            text.push_str(&self.slice(begin));
            text.push(' ');
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        let command = Command::Simple { assigns, words };
        Ok(Stage { command, redirects, text: text.trim().to_owned() })
    }

    pub(in crate::lab::shell) fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let begin = self.at;
        let mut both = false;
        let mut fd = None;
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let digit = self.peek().and_then(|c| c.to_digit(10));
            if matches!(self.peek_at(1), Some('<' | '>')) {
                fd = digit;
                self.at += 1;
            }
        } else if self.looking_at("&>") {
            both = true;
            self.at += 1;
        }
        let kind = if self.looking_at("<<<") {
            self.at += 3;
            self.blanks();
            let mut word = self.word()?.ok_or_else(|| self.unexpected())?;
            word.0.push(Part::Quoted("\n".into()));
            RedirectKind::Here(word)
        } else if self.looking_at("<<") {
            self.at += 2;
            let tabs = self.eat("-");
            self.blanks();
            let start = self.at;
            self.word()?.ok_or_else(|| self.unexpected())?;
            let raw = self.slice(start);
            let delimiter: String =
                raw.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
            let number = self.here.len();
            let quoted = delimiter != raw;
            self.here.push(Here { delimiter, quoted, tabs, body: None });
            // A placeholder, which is replaced when the text has been read.
            RedirectKind::Here(Word(vec![Part::Bare(format!("\0{number}"))]))
        } else if self.eat(">>") {
            RedirectKind::Append(self.target()?)
        } else if self.looking_at("<(") || self.looking_at(">(") {
            return Err(SyntaxError::Unsupported("process substitution, <( )"));
        } else if self.eat(">&") || self.eat("<&") {
            if self.eat("-") {
                RedirectKind::Close
            } else if let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
                self.at += 1;
                RedirectKind::Same(digit)
            } else {
                both = true;
                RedirectKind::Write(self.target()?)
            }
        } else if self.eat(">|") || self.eat(">") {
            RedirectKind::Write(self.target()?)
        } else if self.eat("<") {
            let kind = RedirectKind::Read(self.target()?);
            return Ok(Some(Redirect { fd: fd.unwrap_or(0), kind }));
        } else {
            self.at = begin;
            return Ok(None);
        };
        let default = u32::from(!matches!(kind, RedirectKind::Here(_)));
        // `&>` redirects both the standard output and the standard error.
        let fd = if both { 12 } else { fd.unwrap_or(default) };
        Ok(Some(Redirect { fd, kind }))
    }

    pub(in crate::lab::shell) fn target(&mut self) -> Result<Word, SyntaxError> {
        self.blanks();
        self.word()?.ok_or_else(|| self.unexpected())
    }
}

/// Fills in the texts of here-documents.
fn fill_here(list: &mut List, bodies: &[Word]) {
    let fill = |redirects: &mut Vec<Redirect>| {
        for redirect in redirects {
            if let RedirectKind::Here(word) = &mut redirect.kind
                && let [Part::Bare(mark)] = word.0.as_slice()
                && let Some(number) = mark.strip_prefix('\0').and_then(|n| n.parse::<usize>().ok())
            {
                *word = bodies.get(number).cloned().unwrap_or_default();
            }
        }
    };
    for item in &mut list.0 {
        let more = item.rest.iter_mut().map(|(_, pipeline)| pipeline);
        for pipeline in core::iter::once(&mut item.first).chain(more) {
            for stage in &mut pipeline.stages {
                fill(&mut stage.redirects);
                match &mut stage.command {
                    Command::Group(list) | Command::Subshell(list) => fill_here(list, bodies),
                    Command::If { arms, otherwise } => {
                        for (test, body) in arms {
                            fill_here(test, bodies);
                            fill_here(body, bodies);
                        }
                        if let Some(list) = otherwise {
                            fill_here(list, bodies);
                        }
                    }
                    Command::While { test, body, .. } => {
                        fill_here(test, bodies);
                        fill_here(body, bodies);
                    }
                    Command::For { body, .. } => fill_here(body, bodies),
                    Command::Case { arms, .. } => {
                        for (_, body) in arms {
                            fill_here(body, bodies);
                        }
                    }
                    Command::Simple { .. } | Command::Function { .. } | Command::Condition(_) => {}
                }
            }
        }
    }
}
