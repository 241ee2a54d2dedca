//! Follows JSON byte by byte and remembers the values at a few places: pure.

/// A place that is wanted is no deeper than this: `response.usage.input_tokens_details.cached_tokens`.
const MAX_DEPTH: usize = 4;
/// The longest key, number or model's name that is looked at.
const MAX_TOKEN: usize = 128;

/// The values that are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) model: Option<String>,
    pub(super) input: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) cached_input: Option<u64>,
    pub(super) output: Option<u64>,
}

impl Found {
    /// Takes a later event's values. Counts of one answer only ever grow: each event tells the sum so far,
    /// or does not know.
    pub(super) fn merge(&mut self, later: Self) {
        self.model = later.model.or(self.model.take());
        self.input = self.input.max(later.input);
        self.cache_write = self.cache_write.max(later.cache_write);
        self.cached_input = self.cached_input.max(later.cached_input);
        self.output = self.output.max(later.output);
    }
}

/// A document that is being followed.
#[derive(Debug, Clone, Default)]
pub(super) struct Json {
    /// The containers around the next byte, the outermost first, as far as they matter.
    around: Vec<Container>,
    /// How many more are around it.
    deeper: usize,
    state: State,
    /// The text of the key, string or number so far.
    token: Vec<u8>,
    /// Whether `token` is all of it.
    whole: bool,
    /// Whether the outermost container has ended.
    ended: bool,
    found: Found,
}

#[derive(Debug, Clone)]
enum Container {
    Object { key: Vec<u8>, awaits_key: bool },
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Between,
    Text,
    /// After a backslash in a text.
    Escaped,
    /// In a number or a word such as `null`.
    Bare,
}

impl Json {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            // Of a long text, which is most of an answer, only the end matters.
            let run = match self.state {
                State::Text if self.is_full() => memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len()),
                _ => 0,
            };
            if run == 0 {
                self.push_byte(*first);
                bytes = rest;
            } else {
                self.whole = false;
                bytes = &bytes[run..];
            }
        }
    }

    fn push_byte(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::Escaped, _) => self.state = State::Text,
            (State::Text, b'\\') => {
                // No model's name and no wanted key has an escape.
                self.whole = false;
                self.state = State::Escaped;
            }
            (State::Text, b'"') => {
                self.state = State::Between;
                self.end_text();
            }
            (State::Text, _) => self.keep(byte),
            (State::Between, b'"') => self.begin(State::Text),
            (State::Bare, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') => self.keep(byte),
            (State::Bare, _) => {
                self.state = State::Between;
                self.end_bare();
                self.structure(byte);
            }
            (State::Between, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') => {
                self.begin(State::Bare);
                self.keep(byte);
            }
            (State::Between, _) => self.structure(byte),
        }
    }

    /// The values, if the document has ended.
    pub(super) fn end(self) -> Option<Found> {
        self.ended.then_some(self.found)
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.token.clear();
        self.whole = true;
    }

    /// Whether no more of a token is kept: it is too long, or lies where nothing is wanted.
    fn is_full(&self) -> bool {
        self.deeper > 0 || self.token.len() == MAX_TOKEN
    }

    fn keep(&mut self, byte: u8) {
        if self.is_full() {
            self.whole = false;
        } else {
            self.token.push(byte);
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'{' => self.open(Container::Object { key: Vec::new(), awaits_key: true }),
            b'[' => self.open(Container::Array),
            b'}' | b']' if self.deeper > 0 => self.deeper -= 1,
            b'}' | b']' => {
                self.around.pop();
                self.ended = self.around.is_empty();
            }
            b',' | b':' if self.deeper == 0 => {
                if let Some(Container::Object { awaits_key, .. }) = self.around.last_mut() {
                    *awaits_key = byte == b',';
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, container: Container) {
        if self.deeper > 0 || self.around.len() == MAX_DEPTH {
            self.deeper += 1;
        } else {
            self.around.push(container);
        }
    }

    fn end_text(&mut self) {
        if self.deeper > 0 {
            return;
        }
        if let Some(Container::Object { key, awaits_key: true }) = self.around.last_mut() {
            key.clear();
            if self.whole {
                key.extend_from_slice(&self.token);
            }
        } else if self.whole
            && matches!(self.place().as_deref(), Some(b"model" | b"message.model" | b"response.model"))
            && let Ok(name) = String::from_utf8(self.token.clone())
            && !name.chars().any(char::is_control)
        {
            self.found.model = Some(name);
        }
    }

    fn end_bare(&mut self) {
        let number = std::str::from_utf8(&self.token).ok().filter(|_| self.whole && self.deeper == 0);
        let Some(number) = number.and_then(|text| text.parse::<u64>().ok()) else { return };
        let Some(place) = self.place() else { return };
        let place = place.strip_prefix(b"message.").or_else(|| place.strip_prefix(b"response.")).unwrap_or(&place);
        let found = &mut self.found;
        match place {
            b"usage.input_tokens" => found.input = Some(number),
            b"usage.output_tokens" => found.output = Some(number),
            b"usage.cache_creation_input_tokens" => found.cache_write = Some(number),
            b"usage.cache_read_input_tokens" | b"usage.input_tokens_details.cached_tokens" => {
                found.cached_input = Some(number);
            }
            _ => {}
        }
    }

    /// The keys on the way to here, with dots; none within a list.
    fn place(&self) -> Option<Vec<u8>> {
        let keys = self.around.iter().map(|container| match container {
            Container::Object { key, .. } => Some(key.as_slice()),
            Container::Array => None,
        });
        Some(keys.collect::<Option<Vec<_>>>()?.join(&b'.'))
    }

    /// How many bytes of the document are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let keys = self.around.iter().map(|container| match container {
            Container::Object { key, .. } => key.len(),
            Container::Array => 0,
        });
        self.token.len() + keys.sum::<usize>() + self.found.model.as_ref().map_or(0, String::len)
    }
}
