//! From an entry of the right shape to a [`Group`]: everything that a shape cannot say.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use longshore_protocol::{CodexSignIn, GroupId, IdError, ProviderKind, ProviderSettings};
use serde_json::Value as Json;

use super::egress;
use super::entry::{AdditionalMount, BudgetConfig, CodexConfig, ConfigValue, ContainerConfig, Entry, MemoryLimit};
use super::problem::{Effect, Findings, Path, shown};
use super::{CodexChoices, ContainerChoices, ExtraMount, Group};
use crate::route;
use crate::usage::budget::Budget;

/// Less starts no CLI.
const MIN_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// Where an entry is in the file, for saying where its problems are.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path<'a>,
    pub(super) object: &'a Object<'a>,
}

impl Place<'_> {
    /// Reports a problem with the value of a field, named from the entry on.
    fn reject(&self, field: &[&str], text: impl Into<String>, findings: &mut Findings) {
        self.add(self.path, self.object, field, text.into(), None, findings);
    }

    pub(super) fn warn(&self, field: &[&str], text: &str, findings: &mut Findings) {
        self.add(self.path, self.object, field, text.to_owned(), Some(Effect::Ignored), findings);
    }

    fn add(
        &self,
        path: &Path<'_>,
        object: &Object<'_>,
        field: &[&str],
        text: String,
        effect: Option<Effect>,
        findings: &mut Findings,
    ) {
        let Some((first, rest)) = field.split_first() else {
            return findings.add(object.range.start, path, text, effect);
        };
        let path = Path::Key(path, first);
        match object.get(first).map(|property| &property.value) {
            Some(Value::Object(inner)) if !rest.is_empty() => self.add(&path, inner, rest, text, effect, findings),
            // Its shape was wrong already: that is enough said.
            _ if findings.is_about(&path) => {}
            Some(value) => findings.add(value.range().start, &path, text, effect),
            None => findings.add(object.range.start, &path, text, effect),
        }
    }

    /// Where the value of a field starts, or else the entry.
    pub(super) fn offset(&self, field: &str) -> usize {
        self.object.get(field).map_or(self.object.range.start, |property| property.value.range().start)
    }
}

/// The group that an entry describes. `None` without a folder; other problems are reported and the group is not to be used.
pub(super) fn resolve(chat: &str, entry: Entry, place: &Place<'_>, findings: &mut Findings) -> Option<Group> {
    let provider = entry.provider.unwrap_or_default().into();
    let config = entry.provider_config.unwrap_or_default();
    let codex = codex_settings(config.codex.as_ref(), place, findings);
    let claude = config.claude.unwrap_or_default();
    check_name(claude.model.as_deref(), &["providerConfig", "claude", "model"], place, findings);
    let (settings, approval, choices) = match provider {
        ProviderKind::Codex => {
            let config = config.codex.unwrap_or_default();
            let choices = CodexChoices {
                auth_method: config.auth_method,
                credentials: config.credentials.unwrap_or_default(),
                tools: config.tools.unwrap_or_default(),
            };
            (codex, config.approval_policy, choices)
        }
        ProviderKind::Claude => {
            let settings = ProviderSettings { model: claude.model, ..ProviderSettings::default() };
            (settings, claude.approval_policy, CodexChoices::default())
        }
    };
    let mut container = container_choices(entry.container_config.unwrap_or_default(), place, findings);
    container.memory_bytes = entry.memory_limit.and_then(|limit| memory_bytes(&limit, place, findings));
    container.nano_cpus = entry.cpus.map(nano_cpus);
    container.pids = entry.pids_limit;
    if let Some(trigger) = &entry.trigger
        && !route::is_usable_trigger(trigger)
    {
        place.reject(&["trigger"], "nobody can type this; leave it out for `@` and the assistant's name", findings);
    }
    let timezone = entry.timezone.and_then(|name| timezone(&name, place, findings));
    let id = folder(&entry.folder, place, findings);
    Some(Group {
        chat: chat.to_owned(),
        id: id?,
        name: entry.name,
        is_main: false,
        requires_trigger: entry.requires_trigger.unwrap_or(true),
        trigger: entry.trigger,
        added_at: entry.added_at,
        provider,
        settings,
        approval: approval.unwrap_or_default(),
        codex: choices,
        container,
        timezone,
        budget: entry.budget.map(Budget::from).unwrap_or_default(),
        generation: 0,
        main_claim: entry.is_main,
    })
}

fn folder(written: &str, place: &Place<'_>, findings: &mut Findings) -> Option<GroupId> {
    written
        .parse()
        .map_err(|error: IdError| {
            let rule =
                "a folder is 1 to 64 letters, digits, `_` or `-`, starts with a letter or a digit, and is not `global`";
            place.reject(&["folder"], format!("`{}` {error}: {rule}", shown(written)), findings);
        })
        .ok()
}

fn timezone(name: &str, place: &Place<'_>, findings: &mut Findings) -> Option<TimeZone> {
    TimeZone::get(name)
        .map_err(|_| {
            let text = format!("`{}` is not an IANA time zone such as `Europe/Berlin`", shown(name));
            place.reject(&["timezone"], text, findings);
        })
        .ok()
}

/// What becomes an argument of a command line must be one word that is no flag.
fn check_name(name: Option<&str>, field: &[&str], place: &Place<'_>, findings: &mut Findings) {
    if let Some(name) = name
        && (name.starts_with('-') || !name.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let text = format!("`{}` must be one word of ASCII characters that does not start with `-`", shown(name));
        place.reject(field, text, findings);
    }
}

fn codex_settings(config: Option<&CodexConfig>, place: &Place<'_>, findings: &mut Findings) -> ProviderSettings {
    let Some(config) = config else { return ProviderSettings::default() };
    check_name(config.model.as_deref(), &["providerConfig", "codex", "model"], place, findings);
    check_name(config.reasoning_effort.as_deref(), &["providerConfig", "codex", "reasoningEffort"], place, findings);
    let mut config_overrides = BTreeMap::new();
    for (key, ConfigValue(value)) in config.config_overrides.iter().flatten() {
        let field = ["providerConfig", "codex", "configOverrides", key];
        let word = !key.starts_with('-') && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
        if key.is_empty() || key.len() > 256 || !word {
            place.reject(&field, "a setting's name is one word of ASCII characters without `=`", findings);
        }
        match toml(value) {
            Some(toml) => drop(config_overrides.insert(key.clone(), toml)),
            None => place.reject(&field, "this number is too large for TOML", findings),
        }
    }
    ProviderSettings {
        sign_in: CodexSignIn::default(),
        model: config.model.clone(),
        reasoning_effort: config.reasoning_effort.clone(),
        config_overrides,
        resume: config.resume.unwrap_or_default(),
    }
}

/// A value as TOML text.
fn toml(value: &Json) -> Option<String> {
    match value {
        // JSON escapes are TOML escapes, but TOML wants DEL escaped too.
        Json::String(_) => Some(value.to_string().replace('\u{7f}', "\\u007f")),
        Json::Number(number) if number.is_u64() && !number.is_i64() => None,
        other => Some(other.to_string()),
    }
}

fn container_choices(mut config: ContainerConfig, place: &Place<'_>, findings: &mut Findings) -> ContainerChoices {
    let egress = egress::rules(config.egress, config.egress_allow.take(), place, findings);
    if config.env.is_some_and(|env| !env.is_empty()) {
        let text = "has no effect: containers are given no environment of the operator's";
        place.warn(&["containerConfig", "env"], text, findings);
    }
    check_name(config.image.as_deref(), &["containerConfig", "image"], place, findings);
    let mounts = config.additional_mounts.unwrap_or_default();
    if mounts.iter().any(|mount| mount.host_path.contains('\0')) {
        place.reject(&["containerConfig", "additionalMounts"], "a path holds a NUL character", findings);
    }
    ContainerChoices {
        mounts: mounts.into_iter().map(ExtraMount::from).collect(),
        image: config.image,
        network: config.network.unwrap_or_default(),
        time_limit: config.timeout.map(Duration::from_millis),
        prewarm: config.prewarm.unwrap_or_default(),
        egress,
        ..ContainerChoices::default()
    }
}

impl From<AdditionalMount> for ExtraMount {
    fn from(mount: AdditionalMount) -> Self {
        Self {
            host_path: mount.host_path,
            container_path: mount.container_path,
            readonly: mount.readonly.unwrap_or(true),
        }
    }
}

impl From<BudgetConfig> for Budget {
    fn from(config: BudgetConfig) -> Self {
        Self {
            daily_tokens: config.daily_tokens,
            daily_nano_usd: config.daily_usd.map(nano_usd),
            monthly_nano_usd: config.monthly_usd.map(nano_usd),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema bounds it to 0 to 10^6")]
fn nano_usd(dollars: f64) -> u64 {
    (dollars * 1e9).round() as u64
}

fn memory_bytes(limit: &MemoryLimit, place: &Place<'_>, findings: &mut Findings) -> Option<u64> {
    let bytes = match &limit.0 {
        Json::String(text) => parse_bytes(text),
        number => number.as_u64(),
    };
    match bytes {
        Some(bytes) if bytes < MIN_MEMORY_BYTES => {
            place.reject(&["memoryLimit"], "is less than `64m`, in which no agent starts", findings);
            None
        }
        Some(bytes) if i64::try_from(bytes).is_ok() => Some(bytes),
        _ => {
            let text = format!(
                "`{}` is not a size such as `2g`, `512m` or a number of bytes",
                shown(limit.0.as_str().unwrap_or(&limit.0.to_string()))
            );
            place.reject(&["memoryLimit"], text, findings);
            None
        }
    }
}

/// `512m`, `1.5g`, `2 GiB`, `1073741824`: a decimal number and a power of 1024, as Docker reads it.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    // Six digits are finer than anybody means, and cannot overflow.
    let fraction = fraction.get(..6).unwrap_or(fraction);
    let scale = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_add(fraction.parse::<u64>().ok()? * (1 << shift) / scale)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema bounds it to 0.01 to 1024")]
fn nano_cpus(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_docker_reads_it() {
        for (text, bytes) in [
            ("512m", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("2G", Some(2 << 30)),
            ("2 GiB", Some(2 << 30)),
            ("1.5gb", Some(3 << 29)),
            ("0.25g", Some(1 << 28)),
            ("1.0000000000000000000000001k", Some(1024)),
            ("1073741824", Some(1 << 30)),
            ("", None),
            ("g", None),
            (".5g", None),
            ("1..5g", None),
            ("2x", None),
            ("-2g", None),
            ("99999999999999999999", None),
            ("99999999t", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_setting_becomes_toml_text() {
        for (value, toml_text) in [
            (serde_json::json!("a \"b\"\n\u{7f}"), Some(r#""a \"b\"\n\u007f""#)),
            (serde_json::json!(true), Some("true")),
            (serde_json::json!(-3), Some("-3")),
            (serde_json::json!(1.5), Some("1.5")),
            (serde_json::json!(u64::MAX), None),
        ] {
            assert_eq!(toml(&value).as_deref(), toml_text);
        }
    }
}
