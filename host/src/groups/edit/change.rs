//! What an edit makes of the file's bytes. Pure.

use std::collections::HashMap;

use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::Value as Json;

use super::{EditError, Target};
use crate::groups::entry::SCHEMA_KEY;
use crate::groups::problem::{Effect, Problem};
use crate::groups::{Groups, Loaded, load, syntax};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One edit.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Add { chat: &'a str, entry: Json },
    Set { target: Target<'a>, field: &'a [&'a str], value: Json },
    Remove { target: Target<'a> },
}

/// The file's bytes after an edit; `None` stands for a file that does not exist.
pub(super) fn changed(before: Option<&[u8]>, change: &Change<'_>) -> Result<Vec<u8>, EditError> {
    let bytes = before.unwrap_or(b"{}\n");
    let loaded = load(bytes, &Groups::default());
    if loaded.is_unreadable() {
        return Err(unreadable(loaded.problems));
    }
    let text = syntax::text(bytes).map_err(|error| unreadable(vec![of_syntax(error)]))?;
    let root = CstRootNode::parse(text, &syntax::strict()).map_err(|error| unreadable(vec![of_text(&error)]))?;
    let file = root.object_value().ok_or_else(|| unreadable(Vec::new()))?;
    apply(&file, change)?;
    let mark = if bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) { BYTE_ORDER_MARK } else { "" };
    let after = format!("{mark}{root}").into_bytes();
    check(&loaded, &after, change)?;
    Ok(after)
}

fn apply(file: &CstObject, change: &Change<'_>) -> Result<(), EditError> {
    match change {
        Change::Add { chat, .. } if *chat == SCHEMA_KEY || file.get(chat).is_some() => {
            Err(EditError::AlreadyRegistered((*chat).to_owned()))
        }
        Change::Add { chat, entry } => {
            file.append(chat, input(entry));
            Ok(())
        }
        Change::Remove { target } => {
            find(file, *target)?.remove();
            Ok(())
        }
        Change::Set { target, field, value } => {
            let property = find(file, *target)?;
            let Some((last, way)) = field.split_last() else {
                return Err(EditError::NotAnObject("$".to_owned()));
            };
            let blocked = |name: &str| EditError::NotAnObject(name.to_owned());
            let mut object = property.object_value().ok_or_else(|| blocked("$"))?;
            for name in way {
                if value.is_null() && object.get(name).is_none() {
                    return Ok(());
                }
                object = object.object_value_or_create(name).ok_or_else(|| blocked(name))?;
            }
            match (object.get(last), value) {
                (Some(property), Json::Null) => property.remove(),
                (None, Json::Null) => {}
                (Some(property), value) => property.set_value(input(value)),
                (None, value) => drop(object.append(last, input(value))),
            }
            Ok(())
        }
    }
}

fn find(file: &CstObject, target: Target<'_>) -> Result<CstObjectProp, EditError> {
    let found = match target {
        Target::Chat(SCHEMA_KEY) => None,
        Target::Chat(chat) => file.get(chat),
        Target::Folder(folder) => file.properties().into_iter().find(|property| {
            let written = property.object_value().and_then(|entry| entry.get("folder")?.value()?.as_string_lit());
            written.and_then(|text| text.decoded_value().ok()).as_deref() == Some(folder.as_str())
        }),
    };
    found.ok_or_else(|| {
        EditError::NotRegistered(match target {
            Target::Chat(chat) => chat.to_owned(),
            Target::Folder(folder) => folder.to_string(),
        })
    })
}

fn input(value: &Json) -> CstInputValue {
    match value {
        Json::Null => CstInputValue::Null,
        Json::Bool(boolean) => CstInputValue::Bool(*boolean),
        Json::Number(number) => CstInputValue::Number(number.to_string()),
        Json::String(text) => CstInputValue::String(text.clone()),
        Json::Array(elements) => CstInputValue::Array(elements.iter().map(input).collect()),
        Json::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

/// Refuses an edit that brings a problem. Those that were there before do not stand in its way.
fn check(before: &Loaded, after: &[u8], change: &Change<'_>) -> Result<(), EditError> {
    let after = load(after, &Groups::default());
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    for problem in &before.problems {
        *known.entry((&problem.path, &problem.text)).or_default() += 1;
    }
    let mut new = Vec::new();
    for problem in after.problems.iter().filter(|problem| problem.effect != Effect::Ignored) {
        match known.get_mut(&(problem.path.as_str(), problem.text.as_str())) {
            Some(count) if *count > 0 => *count -= 1,
            _ => new.push(problem.clone()),
        }
    }
    let served = !matches!(change, Change::Add { chat, .. } if after.groups.by_chat(chat).is_none());
    if new.is_empty() && served { Ok(()) } else { Err(EditError::Refused(new)) }
}

fn unreadable(problems: Vec<Problem>) -> EditError {
    let problem = problems.into_iter().next();
    EditError::Unreadable(Box::new(problem.unwrap_or_else(|| of_text(&"it is not an object"))))
}

fn of_syntax(error: syntax::SyntaxError) -> Problem {
    Problem::of_file(error.text, Effect::NothingChanged)
}

fn of_text(text: &impl ToString) -> Problem {
    Problem::of_file(text.to_string(), Effect::NothingChanged)
}
