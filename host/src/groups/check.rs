//! Checks a value of the file against the generated schema and reports everything at once.
//!
//! Serde stops at the first mistake and knows no places. The schema is compiled once into [`Shape`]s;
//! what passes them is read by serde afterwards, so that types, schema and checks cannot drift apart.

use std::collections::HashSet;
use std::sync::LazyLock;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use serde_json::{Number, Value as Json};

use super::entry::entry_schema;
use super::problem::{Findings, Path, shown};

/// The shape of one entry.
pub(crate) static ENTRY: LazyLock<Shape> = LazyLock::new(|| Shape::compile(entry_schema().as_value()));

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    Text { min: usize, max: usize },
    Choice(Vec<String>),
    Number { whole: bool, min: f64, max: f64, about: String },
    Switch,
    Nothing,
    List { items: Box<Shape>, max: usize },
    Map(Box<Shape>),
    Record(Vec<Field>),
    Either(Vec<Shape>),
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    name: String,
    required: bool,
    shape: Shape,
}

impl Shape {
    /// Reads the part of JSON Schema that schemars writes for this file's types.
    pub(crate) fn compile(schema: &Json) -> Self {
        for alternatives in ["anyOf", "oneOf"] {
            if let Some(shapes) = schema[alternatives].as_array() {
                return Self::either(shapes.iter().map(Self::compile).collect());
            }
        }
        if let Some(choice) = schema["const"].as_str() {
            return Self::Choice(vec![choice.to_owned()]);
        }
        if let Some(choices) = schema["enum"].as_array() {
            return Self::Choice(choices.iter().filter_map(Json::as_str).map(str::to_owned).collect());
        }
        match &schema["type"] {
            Json::Array(kinds) => {
                Self::either(kinds.iter().filter_map(Json::as_str).map(|kind| Self::of_kind(kind, schema)).collect())
            }
            kind => Self::of_kind(kind.as_str().unwrap_or_default(), schema),
        }
    }

    fn of_kind(kind: &str, schema: &Json) -> Self {
        let size = |name: &str| schema[name].as_u64().and_then(|size| usize::try_from(size).ok());
        match kind {
            "string" => {
                Self::Text { min: size("minLength").unwrap_or(0), max: size("maxLength").unwrap_or(usize::MAX) }
            }
            "integer" | "number" => Self::Number {
                whole: kind == "integer",
                min: schema["minimum"].as_f64().unwrap_or(f64::MIN),
                max: schema["maximum"].as_f64().unwrap_or(f64::MAX),
                about: schema["description"].as_str().unwrap_or_default().to_owned(),
            },
            "boolean" => Self::Switch,
            "array" => Self::List {
                items: Box::new(Self::compile(&schema["items"])),
                max: size("maxItems").unwrap_or(usize::MAX),
            },
            "object" if schema["additionalProperties"].is_object() => {
                Self::Map(Box::new(Self::compile(&schema["additionalProperties"])))
            }
            "object" => {
                let required = |name: &String| {
                    schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name))
                };
                let fields = schema["properties"].as_object().into_iter().flatten();
                Self::Record(
                    fields
                        .map(|(name, schema)| Field {
                            name: name.clone(),
                            required: required(name),
                            shape: Self::compile(schema),
                        })
                        .collect(),
                )
            }
            _ => Self::Nothing,
        }
    }

    /// Joins alternatives; several choices become one list of choices.
    fn either(shapes: Vec<Self>) -> Self {
        let mut choices = Vec::new();
        let mut others = Vec::new();
        for shape in shapes {
            match shape {
                Self::Choice(more) => choices.extend(more),
                Self::Either(more) => others.extend(more),
                other => others.push(other),
            }
        }
        if !choices.is_empty() {
            others.insert(0, Self::Choice(choices));
        }
        if others.len() == 1 { others.swap_remove(0) } else { Self::Either(others) }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::Choice(_) => "a text",
            Self::Number { whole: true, .. } => "a whole number",
            Self::Number { whole: false, .. } => "a number",
            Self::Switch => "`true` or `false`",
            Self::Nothing => "`null`",
            Self::List { .. } => "a list",
            Self::Map(_) | Self::Record(_) => "an object",
            Self::Either(_) => "one of several kinds",
        }
    }

    /// Whether a value is of this kind at all, whatever its content.
    fn is_kind_of(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Text { .. } | Self::Choice(_), Value::StringLit(_))
            | (Self::Number { .. }, Value::NumberLit(_))
            | (Self::Switch, Value::BooleanLit(_))
            | (Self::Nothing, Value::NullKeyword(_))
            | (Self::List { .. }, Value::Array(_))
            | (Self::Map(_) | Self::Record(_), Value::Object(_)) => true,
            (Self::Either(shapes), value) => shapes.iter().any(|shape| shape.is_kind_of(value)),
            _ => false,
        }
    }

    /// Reports everything that is wrong with a value and returns what is right of it.
    ///
    /// What is left out was reported, so the rest serves only to find further problems.
    pub(crate) fn check(&self, value: &Value<'_>, path: &Path<'_>, findings: &mut Findings) -> Option<Json> {
        let offset = value.range().start;
        let wrong = match (self, value) {
            (Self::Either(shapes), _) => match shapes.iter().find(|shape| shape.is_kind_of(value)) {
                Some(shape) => return shape.check(value, path, findings),
                None => wrong_kind(shapes, value),
            },
            (Self::Text { min, max }, Value::StringLit(text)) => match text.value.chars().count() {
                length if length < *min => "is empty".to_owned(),
                length if length > *max => format!("has {length} characters and may have {max}"),
                _ => return Some(Json::String(text.value.to_string())),
            },
            (Self::Choice(choices), Value::StringLit(text)) => {
                if choices.iter().any(|choice| *choice == text.value) {
                    return Some(Json::String(text.value.to_string()));
                }
                let list: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                let hint = suggestion(&text.value, choices.iter().map(String::as_str));
                format!("`{}` is not one of {}{hint}", shown(&text.value), list.join(", "))
            }
            (Self::Number { whole, min, max, about }, Value::NumberLit(written)) => {
                let number = serde_json::from_str::<Number>(written.value).ok();
                match number.filter(|number| !*whole || number.is_i64() || number.is_u64()) {
                    None => format!("expected {}", self.name()),
                    Some(number) => match number.as_f64() {
                        Some(size) if size < *min => format!("{number} is less than {min} (\"{about}\")"),
                        Some(size) if size > *max => format!("{number} is more than {max} (\"{about}\")"),
                        _ => return Some(Json::Number(number)),
                    },
                }
            }
            (Self::Switch, Value::BooleanLit(boolean)) => return Some(Json::Bool(boolean.value)),
            (Self::Nothing, Value::NullKeyword(_)) => return Some(Json::Null),
            (Self::List { max, .. }, Value::Array(list)) if list.elements.len() > *max => {
                format!("has {} elements and may have {max}", list.elements.len())
            }
            (Self::List { items, .. }, Value::Array(list)) => {
                let elements = list.elements.iter().enumerate();
                let right = |(index, element)| items.check(element, &Path::Index(path, index), findings);
                return Some(elements.filter_map(right).collect());
            }
            (Self::Map(items), Value::Object(object)) => {
                report_duplicates(object, path, findings);
                let right = |property: &ObjectProp<'_>| {
                    let name = property.name.as_str();
                    Some((name.to_owned(), items.check(&property.value, &Path::Key(path, name), findings)?))
                };
                return Some(object.properties.iter().filter_map(right).collect());
            }
            (Self::Record(fields), Value::Object(object)) => {
                return Some(check_record(fields, object, path, findings));
            }
            _ => wrong_kind(std::slice::from_ref(self), value),
        };
        findings.reject(offset, path, wrong);
        None
    }
}

fn check_record(fields: &[Field], object: &Object<'_>, path: &Path<'_>, findings: &mut Findings) -> Json {
    report_duplicates(object, path, findings);
    let mut right = serde_json::Map::new();
    for property in &object.properties {
        let name = property.name.as_str();
        let path = Path::Key(path, name);
        match fields.iter().find(|field| field.name == name) {
            Some(field) => {
                if let Some(value) = field.shape.check(&property.value, &path, findings) {
                    right.insert(name.to_owned(), value);
                }
            }
            None => {
                let hint = suggestion(name, fields.iter().map(|field| field.name.as_str()));
                findings.reject(property.range.start, &path, format!("unknown field `{}`{hint}", shown(name)));
            }
        }
    }
    for Field { name, shape, .. } in fields.iter().filter(|field| field.required) {
        if object.get(name).is_none() {
            findings.reject(object.range.start, &Path::Key(path, name), "is missing");
        }
        // Keeps the rest readable for serde; the entry is rejected already.
        if matches!(shape, Shape::Text { .. }) && !right.contains_key(name) {
            right.insert(name.clone(), Json::String(String::new()));
        }
    }
    Json::Object(right)
}

fn report_duplicates(object: &Object<'_>, path: &Path<'_>, findings: &mut Findings) {
    let mut seen = HashSet::with_capacity(object.properties.len());
    for property in &object.properties {
        let name = property.name.as_str();
        if !seen.insert(name) {
            findings.reject(property.range.start, &Path::Key(path, name), "is written twice");
        }
    }
}

fn wrong_kind(expected: &[Shape], found: &Value<'_>) -> String {
    let expected: Vec<&str> =
        expected.iter().filter(|shape| !matches!(shape, Shape::Nothing)).map(Shape::name).collect();
    let found = match found {
        Value::StringLit(_) => "a text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(boolean) if boolean.value => "`true`",
        Value::BooleanLit(_) => "`false`",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "`null`",
    };
    format!("expected {}, found {found}", expected.join(" or "))
}

/// `; did you mean …?` when one of the known names is near.
fn suggestion<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> String {
    let plain = |text: &str| text.replace(['_', '-', ' '], "").to_lowercase();
    if written.len() > 64 {
        return String::new();
    }
    let written = plain(written);
    known
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}
