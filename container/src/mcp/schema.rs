//! What the tools' arguments look like to a model, and how wrong ones are told; pure.

use std::borrow::Cow;

use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool's arguments, or what is wrong with them.
///
/// Reading never fails, so that it is the tool that answers, in words that name the argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments<T>(pub Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Arguments<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner().to_string();
            // A missing or an unknown argument is named by the reason.
            if path == "." || reason.contains(&format!("`{path}`")) { reason } else { format!("`{path}`: {reason}") }
        })))
    }
}

impl<T: JsonSchema> JsonSchema for Arguments<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Simplifies an object's schema: an optional argument is one that may be left out, not one that is null.
///
/// `null` is understood all the same; but not every model's API takes a type that is a list.
pub fn plain(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if property.get("default").is_some_and(Value::is_null) {
            property.remove("default");
        }
        // It says how the number is held in memory, and not every API knows the word.
        property.remove("format");
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|one| one != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                property.insert("type".to_owned(), only);
            }
        }
    }
}

/// A text, where a model may also write a number.
///
/// # Errors
/// It is neither.
pub fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("it is a text or a number, not `{other}`"))),
    }
}

/// The same for an argument that may be left out.
///
/// # Errors
/// It is neither.
pub fn optional_text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => text_or_number(value).map(Some).map_err(D::Error::custom),
    }
}

/// [`ScheduleType`] as a list of words.
pub fn schedule_type(_: &mut SchemaGenerator) -> Schema {
    words(ScheduleType::ALL)
}

/// [`ContextMode`] as a list of words.
pub fn context_mode(_: &mut SchemaGenerator) -> Schema {
    words(ContextMode::ALL)
}

/// [`Misfire`] as a list of words.
pub fn misfire(_: &mut SchemaGenerator) -> Schema {
    words(Misfire::ALL)
}

/// [`Overlap`] as a list of words.
pub fn overlap(_: &mut SchemaGenerator) -> Schema {
    words(Overlap::ALL)
}

/// Written in place: a reference to a definition is one more thing for a model to look up.
fn words(all: &[impl Serialize]) -> Schema {
    json_schema!({ "type": "string", "enum": all })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::arguments::{ScheduleTask, SendMessage, UpdateTask};

    fn wrong<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> String {
        serde_json::from_value::<Arguments<T>>(value).unwrap().0.unwrap_err()
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let task = |name: &str, value: Value| {
            let mut task = json!({"prompt": "p", "schedule_type": "interval", "schedule_value": "60000"});
            task[name] = value;
            task
        };
        insta::assert_snapshot!([
            wrong::<SendMessage>(json!({})),
            wrong::<SendMessage>(json!({"text": 1})),
            wrong::<SendMessage>(json!({"text": "hi", "chat": "a@g.us"})),
            wrong::<ScheduleTask>(task("schedule_type", json!("hourly"))),
            wrong::<ScheduleTask>(task("schedule_value", json!(["0 9 * * *"]))),
            wrong::<ScheduleTask>(task("jitter_seconds", json!(-1))),
            wrong::<ScheduleTask>(task("misfire", json!("never"))),
            wrong::<UpdateTask>(json!({"task_id": "../x"})),
        ]
        .join("\n"), @r#"
        missing field `text`
        `text`: invalid type: integer `1`, expected a string
        unknown field `chat`, expected one of `text`, `sender`, `chat_jid`
        `schedule_type`: unknown variant `hourly`, expected one of `cron`, `interval`, `once`
        `schedule_value`: it is a text or a number, not `["0 9 * * *"]`
        `jitter_seconds`: invalid value: integer `-1`, expected u32
        `misfire`: unknown variant `never`, expected one of `latest`, `skip`, `all`
        `task_id`: may not contain `.` at position 0
        "#);
    }

    #[test]
    fn what_a_model_writes_loosely_is_understood() {
        let read = |value| serde_json::from_value::<Arguments<UpdateTask>>(value).unwrap().0.unwrap();
        let loose = json!({"task_id": "task-1-a", "schedule_value": 60000, "timezone": null});
        assert_eq!(read(loose), read(json!({"task_id": "task-1-a", "schedule_value": "60000"})));
    }
}
