//! From bytes to a document whose values know their place. Strict JSON and nothing else.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::IgnoredAny;

use super::MAX_FILE_BYTES;

/// Deeper than anything that the format has, and shallow enough for every parser's stack.
const MAX_DEPTH: usize = 32;

/// Why bytes are not a groups file, and where.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// Bytes from the start of the text without a byte order mark.
    pub(crate) offset: usize,
    pub(crate) text: String,
}

/// The only dialect: what every JSON reader reads.
pub(crate) fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The text of the file without a byte order mark, which some editors write.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, SyntaxError> {
    if bytes.len() > MAX_FILE_BYTES {
        let text = format!("the file has {} bytes and may have {MAX_FILE_BYTES}", bytes.len());
        return Err(SyntaxError { offset: 0, text });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_err(|error| SyntaxError { offset: error.valid_up_to(), text: "the text is not UTF-8 here".to_owned() })
}

/// The text as far as it is one, for finding a position in it.
pub(crate) fn readable(bytes: &[u8]) -> &str {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.get(..MAX_FILE_BYTES).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes.get(..error.valid_up_to()).and_then(|start| std::str::from_utf8(start).ok()).unwrap_or(""),
    }
}

/// The groups file's object.
pub(crate) fn parse(text: &str) -> Result<Object<'_>, SyntaxError> {
    match value(text)? {
        Some(Value::Object(object)) => Ok(object),
        Some(other) => Err(SyntaxError {
            offset: other.range().start,
            text: "expected an object whose keys are chat ids, `{ … }`".to_owned(),
        }),
        None => Err(SyntaxError { offset: 0, text: "the file is empty; no groups is `{}`".to_owned() }),
    }
}

/// The value that a file holds; `None` for an empty one.
pub(crate) fn value(text: &str) -> Result<Option<Value<'_>>, SyntaxError> {
    check_depth(text, MAX_DEPTH)?;
    let collect = CollectOptions::default();
    let parsed = parse_to_ast(text, &collect, &strict())
        .map_err(|error| SyntaxError { offset: error.range().start, text: sentence(error.kind()) })?;
    let Some(value) = parsed.value else { return Ok(None) };
    // The parser above knows places but forgives a few things (leading zeros, exotic white space).
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| unforgiven(text, &error))?;
    Ok(Some(value))
}

/// Whether brackets nest no deeper than that, whatever is between them.
pub(crate) fn check_depth(text: &str, limit: usize) -> Result<(), SyntaxError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return Err(SyntaxError { offset, text: "nested deeper than anything in this file".to_owned() });
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn sentence(kind: &ParseErrorKind) -> String {
    match kind {
        ParseErrorKind::CommentsNotAllowed => "comments are not allowed: this file is strict JSON".to_owned(),
        ParseErrorKind::TrailingCommasNotAllowed => {
            "a comma after the last element is not allowed: this file is strict JSON".to_owned()
        }
        ParseErrorKind::UnterminatedObject => "the object that starts here is never closed".to_owned(),
        ParseErrorKind::UnterminatedArray => "the list that starts here is never closed".to_owned(),
        ParseErrorKind::ExpectedComma => "a comma is missing here".to_owned(),
        ParseErrorKind::ExpectedColonAfterObjectKey => "a colon is missing after the key before this".to_owned(),
        ParseErrorKind::ExpectedStringObjectProperty => "a key must stand in double quotes".to_owned(),
        ParseErrorKind::MultipleRootJsonValues => "something stands after the end of the file's object".to_owned(),
        ParseErrorKind::UnexpectedWord => "a text must stand in double quotes".to_owned(),
        other => {
            let text = other.to_string();
            let mut characters = text.chars();
            characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
        }
    }
}

fn unforgiven(text: &str, error: &serde_json::Error) -> SyntaxError {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let offset = (before + error.column().saturating_sub(1)).min(text.len());
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    SyntaxError { offset, text: format!("this is not JSON: {message}") }
}
