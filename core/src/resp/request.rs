//! Taking requests out of a stream of bytes.

/// The arguments of one command, the command's name first: places in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

/// Where an argument lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: usize,
    len: usize,
}

impl<'a> Args<'a> {
    /// How many arguments there are, with the command's name.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`, 0 being the command's name. Empty where there is none, so that no
    /// input can make a handler panic; the table's arity says which there are.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// The argument at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        self.buffer.get(span.start..span.start + span.len)
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(index..).unwrap_or_default() }
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + use<'a> {
        let Args { buffer, spans } = *self;
        spans.iter().map(move |s| buffer.get(s.start..s.start + s.len).unwrap_or_default())
    }

    /// Bytes in all arguments together.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|s| s.len).sum()
    }
}

/// Arguments that outlive the buffer they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// The arguments, to be read.
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.buffer, spans: &self.spans }
    }

    /// Adds an argument at the end.
    pub fn push(&mut self, argument: &[u8]) {
        self.spans.push(Span { start: self.buffer.len(), len: argument.len() });
        self.buffer.extend_from_slice(argument);
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(arguments: I) -> Self {
        let mut owned = OwnedArgs::default();
        for argument in arguments {
            owned.push(argument.as_ref());
        }
        owned
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        args.iter().collect()
    }
}
