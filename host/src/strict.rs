//! Settings files beside the groups file: strict JSON, and every mistake with its place. Pure.

use std::fmt;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::groups::Position;
use crate::groups::check::Shape;
use crate::groups::entry::schema_of;
use crate::groups::problem::{Findings, Path};
use crate::groups::syntax;

/// One thing that is wrong with a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where in the text; absent when the file could not be read at all.
    pub position: Option<Position>,
    /// Where in the document: an RFC 9535 path such as `$.allowedRoots[0].path`.
    pub path: String,
    /// What is wrong: a lowercase fragment.
    pub text: String,
}

impl Mistake {
    /// One of the file as a whole.
    #[must_use]
    pub fn of_file(text: String) -> Self {
        Self { position: None, path: "$".to_owned(), text }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "`{}`: {}", self.path, self.text)
    }
}

/// A step from a value to one in it.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// To the value of a key.
    Key(&'a str),
    /// To an element of a list.
    Element(usize),
}

/// Takes mistakes that a shape cannot say.
pub struct Report<'a> {
    document: &'a Value<'a>,
    findings: &'a mut Findings,
}

impl Report<'_> {
    /// Reports a mistake of the value at a place.
    pub fn mistake(&mut self, place: &[Step<'_>], text: &str) {
        reject(self.document, &Path::Root, place, text, self.findings);
    }
}

fn reject(value: &Value<'_>, path: &Path<'_>, place: &[Step<'_>], text: &str, findings: &mut Findings) {
    let inner = match (place.first(), value) {
        (Some(Step::Key(key)), Value::Object(object)) => {
            object.get(key).map(|property| (&property.value, Path::Key(path, key)))
        }
        (Some(Step::Element(index)), Value::Array(list)) => {
            list.elements.get(*index).map(|element| (element, Path::Index(path, *index)))
        }
        _ => None,
    };
    match inner {
        Some((inner, path)) => reject(inner, &path, &place[1..], text, findings),
        None => findings.reject(value.range().start, path, text),
    }
}

/// Reads a file's bytes as `T`, whose schema is the format; `check` says what a schema cannot.
///
/// # Errors
/// Every mistake, in the order of the file: one is enough for nothing of it to be used.
pub fn read<T: DeserializeOwned + JsonSchema>(
    bytes: &[u8],
    check: impl FnOnce(&T, &mut Report<'_>),
) -> Result<T, Vec<Mistake>> {
    let mut findings = Findings::default();
    let parsed = syntax::text(bytes).and_then(|text| Ok((text, syntax::value(text)?)));
    let (text, document) = match parsed {
        Ok((text, Some(document))) => (text, document),
        Ok((text, None)) => {
            findings.reject(0, &Path::Root, "the file is empty; remove it, or write an object, `{ … }`");
            return Err(mistakes(findings, text));
        }
        Err(error) => {
            findings.reject(error.offset, &Path::Root, error.text);
            return Err(mistakes(findings, syntax::readable(bytes)));
        }
    };
    let shape = Shape::compile(schema_of::<T>().as_value());
    let right = shape.check(&document, &Path::Root, &mut findings);
    let value = match right.map(serde_json::from_value::<T>) {
        Some(Ok(value)) => {
            // Even of a rejected file, for the mistakes that only this finds.
            check(&value, &mut Report { document: &document, findings: &mut findings });
            Some(value)
        }
        Some(Err(error)) if findings.rejections() == 0 => {
            findings.reject(document.range().start, &Path::Root, error.to_string());
            None
        }
        _ => None,
    };
    match value {
        Some(value) if findings.rejections() == 0 => Ok(value),
        _ => Err(mistakes(findings, text)),
    }
}

fn mistakes(findings: Findings, text: &str) -> Vec<Mistake> {
    let problems = findings.into_problems(text, |_| false).into_iter();
    problems.map(|problem| Mistake { position: problem.position, path: problem.path, text: problem.text }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use schemars::Schema;

    /// Compares a schema with the one that is checked in, or writes it if `UPDATE_SCHEMA` is set.
    pub(crate) fn compare(name: &str, schema: &Schema) {
        let path = format!("{}/../docs/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let generated = format!("{:#}\n", schema.as_value());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == generated,
            "the schema is stale: run this test with UPDATE_SCHEMA=1 and check the difference in"
        );
    }
}
