//! The file's own types. Their serde attributes and doc comments are the format: the checked-in JSON
//! Schema and the host's own checks are both generated from them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use longshore_protocol::ProviderKind;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The key of the file that is not a chat: where editors find the schema.
pub const SCHEMA_KEY: &str = "$schema";

/// A group's entry in the file; its key is the chat's id.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The group's name, for people.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The name of the group's folder under `groups/`: letters, digits, `_` and `-`. Its identity; no two groups share one.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"))]
    pub folder: String,
    /// What a message starts with to wake the agent. Default: `@` and the assistant's name.
    #[schemars(length(min = 1, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When the group was registered. For people.
    #[schemars(length(max = 64))]
    #[serde(rename = "added_at", skip_serializing_if = "Option::is_none")]
    pub added_at: Option<String>,
    /// Whether only messages with the trigger wake the agent. Default: true. The main group never needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_trigger: Option<bool>,
    /// Whether this is the one group that may act for all others. If no entry says so, it is the one whose folder is `main`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_main: Option<bool>,
    /// Which CLI answers. Default: claude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// Choices for the CLIs. Those for a CLI that is not the provider are kept for later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_config: Option<ProviderConfig>,
    /// Choices for the group's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,
    /// The IANA time zone of the group's people, such as `Europe/Berlin`. Default: the host's.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Memory of the container: bytes, or a text such as `2g` or `512m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<MemoryLimit>,
    /// CPUs of the container, such as 1.5.
    #[schemars(range(min = 0.01, max = 1024.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Processes and threads in the container.
    #[schemars(range(min = 32, max = 4_194_304))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u32>,
    /// What the group may use of its models. Default: as much as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
}

/// A CLI by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// Anthropic's `claude`.
    #[default]
    Claude,
    /// OpenAI's `codex`.
    Codex,
}

impl From<ProviderName> for ProviderKind {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Claude => Self::Claude,
            ProviderName::Codex => Self::Codex,
        }
    }
}

/// Choices for the CLIs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderConfig {
    /// Choices for `codex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codex: Option<CodexConfig>,
    /// Choices for `claude`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claude: Option<ClaudeConfig>,
}

/// Choices for `codex`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodexConfig {
    /// How freely the agent acts inside its container. Default: auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<ApprovalPolicy>,
    /// How `codex` signs in. Default: whichever credential the host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<AuthMethod>,
    /// Where the credential is. Default: brokered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The model's name. Default: the CLI's own.
    #[schemars(length(min = 1, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How long the model thinks, such as `low` or `high`. Default: the CLI's own.
    #[schemars(length(min = 1, max = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Whether a turn continues the CLI's session instead of starting a fresh one. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<bool>,
    /// How the agent reaches the host. Default: files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<CodexTools>,
    /// Further settings as in `codex -c key=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_overrides: Option<BTreeMap<String, ConfigValue>>,
}

/// Choices for `claude`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaudeConfig {
    /// How freely the agent acts inside its container. Default: auto.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<ApprovalPolicy>,
    /// The model's name. Default: the CLI's own.
    #[schemars(length(min = 1, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// How freely an agent acts inside its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalPolicy {
    /// Works in its folder without asking.
    #[default]
    Auto,
    /// Reads and answers, and changes nothing.
    Readonly,
    /// No restriction but the container itself.
    Full,
}

/// How `codex` signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A ChatGPT plan.
    Chatgpt,
    /// An API key.
    ApiKey,
}

/// Where a group's credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// With the host, which adds it to requests; the container never holds it.
    #[default]
    Brokered,
    /// In the container, where the agent can read it.
    Mounted,
}

/// How a `codex` agent reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodexTools {
    /// By writing JSON files.
    #[default]
    Files,
    /// By MCP tools.
    Mcp,
}

/// Choices for a group's container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerConfig {
    /// Directories of the host that the agent sees, as far as the mount allowlist permits.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_mounts: Option<Vec<AdditionalMount>>,
    /// How long a turn may take, in milliseconds.
    #[schemars(range(min = 1000, max = 86_400_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Whether the container is started before the first message. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prewarm: Option<bool>,
    /// Accepted for files of an earlier format, and without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// Another image than the host's default.
    #[schemars(length(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How far the agent's tools get through the host's proxy. Default: list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Hosts that they reach beyond the usual ones for code and packages: `host`, `*.host` or `host:port`. Without a port: 443 and 80.
    #[schemars(length(max = 256), inner(length(min = 1, max = 320)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_allow: Option<Vec<String>>,
    /// Whether the agent reaches the network past the host. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// How far the agent's tools get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Nowhere.
    None,
    /// To the usual hosts for code and packages, and to those of `egressAllow`.
    #[default]
    List,
    /// To every public host.
    Open,
}

/// What of the network a container reaches by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing: the host's broker is the only way out.
    #[default]
    None,
    /// The engine's default bridge: the internet, the local network and this machine's open ports.
    Bridge,
}

/// A directory of the host that the agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdditionalMount {
    /// The directory on the host; may start with `~`.
    #[schemars(length(min = 1, max = 4096))]
    pub host_path: String,
    /// Its name under `/workspace/extra`. Default: the last part of the host path.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_path: Option<String>,
    /// Whether the agent may only read. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
}

/// What a group may use of its models. Days and months are those of the host's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetConfig {
    /// Tokens a day: read, from the provider's cache or not, and written.
    #[schemars(range(max = 1_000_000_000_000u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_tokens: Option<u64>,
    /// US dollars a day, by the prices in `data/prices.json`.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<f64>,
    /// US dollars a calendar month, by the prices in `data/prices.json`.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<f64>,
}

/// Bytes as a number, or a text such as `2g`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryLimit(pub serde_json::Value);

impl JsonSchema for MemoryLimit {
    fn schema_name() -> Cow<'static, str> {
        "MemoryLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

/// A text, a number, or true or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigValue(pub serde_json::Value);

impl JsonSchema for ConfigValue {
    fn schema_name() -> Cow<'static, str> {
        "ConfigValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The whole file. Only a schema: the host reads it entry by entry.
struct File;

impl JsonSchema for File {
    fn schema_name() -> Cow<'static, str> {
        "registered_groups.json".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which chats are served, by whom and how. Each key is a chat's id.",
            "type": "object",
            "properties": { SCHEMA_KEY: { "type": "string", "description": "Where editors find the schema." } },
            "additionalProperties": generator.subschema_for::<Entry>(),
        })
    }
}

/// The JSON Schema of the file. Draft 7, because every editor knows it; without references, because it is small.
#[must_use]
pub fn file_schema() -> Schema {
    settings().into_generator().into_root_schema_for::<File>()
}

/// The JSON Schema of one entry.
pub(super) fn entry_schema() -> Schema {
    schema_of::<Entry>()
}

/// The JSON Schema of a type, written as [`file_schema`] is.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    settings().into_generator().into_root_schema_for::<T>()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft07().for_deserialize().with(|settings| settings.inline_subschemas = true)
}
