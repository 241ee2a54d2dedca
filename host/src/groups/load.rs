//! The pure heart: bytes and what was served before → what is served now, and every problem.

use std::collections::HashSet;
use std::sync::Arc;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::check::ENTRY;
use super::entry::{Entry, SCHEMA_KEY};
use super::problem::{Effect, Findings, Path, Problem, shown};
use super::resolve::{Place, resolve};
use super::settle::{Candidate, Claim, settle};
use super::{Group, Groups, syntax};

/// The longest chat id, in bytes.
const MAX_CHAT_BYTES: usize = 256;

/// What a reading of the file came to.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What is served from now on.
    pub groups: Groups,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Whether the bytes were not a groups file at all, so that nothing of them was used.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| matches!(problem.effect, Effect::NothingChanged | Effect::NothingServed))
    }
}

/// Reads the file's bytes.
///
/// A file that is not JSON changes nothing. An entry with a problem leaves its group as it was in
/// `previous`, or unserved if it was not there; all others apply. An entry that is gone is gone.
/// Time zones are looked up in jiff's database; nothing else outside of the arguments is used.
#[must_use]
pub fn load(bytes: &[u8], previous: &Groups) -> Loaded {
    let generation = previous.generation + 1;
    let mut findings = Findings::default();
    let parsed = syntax::text(bytes).and_then(|text| syntax::parse(text).map(|object| (text, object)));
    let (text, object) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.add(error.offset, &Path::Root, error.text, Some(previous.effect_of_no_file()));
            let groups = Groups { generation, ..previous.clone() };
            return Loaded { groups, problems: findings.into_problems(syntax::readable(bytes), |_| false) };
        }
    };
    let entries = read_entries(&object, previous, &mut findings);
    let (served, conflicts) = settle(&entries.candidates);
    for conflict in conflicts {
        let Some((chat, value)) = entries.keys.get(conflict.loser) else { continue };
        let Some((holder, _)) = entries.keys.get(conflict.holder) else { continue };
        let (field, text) = match &conflict.claim {
            Claim::Folder(_) => ("folder", format!("the chat `{}` has this folder", shown(holder))),
            Claim::Main => ("isMain", format!("the chat `{}` is main, and only one can be", shown(holder))),
        };
        let path = Path::Key(&Path::Root, chat);
        findings.chat = Some((*chat).to_owned());
        let offset = value.map_or(object.range.start, |object| Place { path: &path, object }.offset(field));
        findings.reject(offset, &Path::Key(&path, field), text);
    }
    let groups = finish(served, entries.says_main, generation, previous);
    let problems = findings.into_problems(text, |chat| groups.by_chat(chat).is_some());
    Loaded { groups, problems }
}

/// The entries of the file, in its order.
struct Entries<'a> {
    candidates: Vec<Candidate>,
    keys: Vec<(&'a str, Option<&'a Object<'a>>)>,
    /// Whether any entry, good or bad, says that it is main.
    says_main: bool,
}

fn read_entries<'a>(file: &'a Object<'a>, previous: &Groups, findings: &mut Findings) -> Entries<'a> {
    let mut entries = Entries { candidates: Vec::new(), keys: Vec::new(), says_main: false };
    let mut seen = HashSet::with_capacity(file.properties.len());
    for property in &file.properties {
        let key = property.name.as_str();
        let path = Path::Key(&Path::Root, key);
        findings.chat = None;
        if !seen.insert(key) {
            let twice = "is written twice; the first one counts";
            findings.chat = (key != SCHEMA_KEY).then(|| key.to_owned());
            findings.add(property.range.start, &path, twice, Some(Effect::Ignored));
            continue;
        }
        if key == SCHEMA_KEY {
            if !matches!(property.value, Value::StringLit(_)) {
                let hint = "expected a text: where editors find the schema";
                findings.add(property.value.range().start, &path, hint, Some(Effect::Ignored));
            }
            continue;
        }
        findings.chat = Some(key.to_owned());
        let object = property.value.as_object();
        entries.says_main |=
            object.and_then(|object| object.get_boolean("isMain")).is_some_and(|is_main| is_main.value);
        entries.keys.push((key, object));
        let fresh = read_entry(property, &path, findings);
        entries.candidates.push(Candidate { fresh, old: previous.by_chat(key).cloned() });
    }
    entries
}

fn read_entry(property: &ObjectProp<'_>, path: &Path<'_>, findings: &mut Findings) -> Option<Group> {
    let (chat, value) = (property.name.as_str(), &property.value);
    let before = findings.rejections();
    if chat.is_empty() || chat.len() > MAX_CHAT_BYTES || chat.chars().any(char::is_control) {
        let rule = format!("a chat id has 1 to {MAX_CHAT_BYTES} bytes and no control characters");
        findings.reject(property.range.start, path, rule);
    }
    let right = ENTRY.check(value, path, findings);
    let (Value::Object(object), Some(right)) = (value, right) else { return None };
    match serde_json::from_value::<Entry>(right) {
        // Even of a rejected entry, for the problems that only this finds.
        Ok(entry) => {
            let group = resolve(chat, entry, &Place { path, object }, findings);
            (findings.rejections() == before).then_some(group).flatten()
        }
        Err(_) if findings.rejections() > before => None,
        Err(error) => {
            findings.reject(object.range.start, path, error.to_string());
            None
        }
    }
}

/// Numbers the groups, decides who is main if no entry does, and keeps what has not changed.
fn finish(served: Vec<Option<Group>>, says_main: bool, generation: u64, previous: &Groups) -> Groups {
    let decided = says_main || served.iter().flatten().any(|group| group.main_claim == Some(true));
    let ordered = served.into_iter().flatten().map(|mut group| {
        group.is_main = match group.main_claim {
            Some(claim) => claim,
            // Files of the JSON era never say it: there, main is a folder's name.
            None => !decided && group.id.as_str() == "main",
        };
        if let Some(old) = previous.by_chat(&group.chat) {
            group.generation = old.generation;
            if **old == group {
                return Arc::clone(old);
            }
        }
        group.generation = generation;
        Arc::new(group)
    });
    Groups::new(generation, ordered.collect())
}
