//! The host's settings: `.env` in the root directory, and the process environment over it.
//!
//! Parsing is pure and reports every problem at once. Nothing is ever written into the process
//! environment, so no child inherits a credential by accident. A value that could be a credential
//! never appears in a problem, a warning or a log.

mod base_url;
mod credential;
mod dotenv;
pub mod edit;
mod metrics;
mod parse;
mod secret;
#[cfg(test)]
mod tests;
mod updates;
pub mod write;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

pub use self::base_url::{BaseUrl, BaseUrlError};
pub use self::credential::ClaudeCredential;
pub use self::secret::{Secret, SecretError};
pub use self::updates::{UpdatePolicy, Updates};

use crate::container::LinkKind;

/// The settings' file, in the root directory.
pub const FILE: &str = ".env";

/// Larger than any settings a person writes, small enough to read whole.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What the operator decided, with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `ASSISTANT_NAME`: what the assistant is called in chats; the default trigger is `@` and this.
    pub assistant_name: String,
    /// `CONTAINER_IMAGE`: the agents' image.
    pub container_image: String,
    /// Newer releases of the CLIs in that image.
    pub updates: Updates,
    /// `BROKER_LINK`: how containers reach the broker; `None` as the engine's place needs it.
    pub broker_link: Option<LinkKind>,
    /// `CONTAINER_TIMEOUT`: how long one turn may take.
    pub container_timeout: Duration,
    /// `IDLE_TIMEOUT`: how long a container that has nothing to do is kept warm.
    pub idle_timeout: Duration,
    /// `CONTAINER_STALL_TIMEOUT`: how long a turn may go on without any sign of life.
    pub container_stall_timeout: Duration,
    /// `MAX_CONCURRENT_CONTAINERS`: how many turns may run at once.
    pub max_concurrent_containers: NonZeroUsize,
    /// `MAX_WARM_CONTAINERS`: how many containers that have nothing to do are kept warm.
    pub max_warm_containers: usize,
    /// `RESIDENT_MEMORY_MB`: how much memory containers may take before idle ones are ended, in MiB; half
    /// of the engine's memory if unset.
    pub resident_memory_mebibytes: Option<u64>,
    /// `DRAIN_SECONDS`: how long running turns may take to end once the host is told to stop.
    pub drain_limit: Duration,
    /// `KEEP_WARM_SECONDS`: how long containers wait for the next host after this one was told to stop.
    pub keep_warm: Duration,
    /// `STOP_WORD`: what stops a turn, said in its chat.
    pub stop_word: String,
    /// `MAX_MESSAGES_PER_PROMPT`: how many messages one turn shows to the agent.
    pub max_messages_per_prompt: NonZeroUsize,
    /// `TZ`: the zone in which people and schedules mean their times. Always an IANA zone, or UTC.
    pub time_zone: TimeZone,
    /// `EGRESS_RESOLVER`: the name server that is asked for the hosts that agents' tools want to reach; the
    /// system's own way if unset.
    pub egress_resolver: Option<SocketAddr>,
    /// `METRICS`: the loopback address at which the host's counts are served; nothing listens if unset.
    pub metrics: Option<SocketAddr>,
    /// `CHANNELS`: the ways to people, in the operator's order; never empty, no name twice.
    pub channels: Vec<ChannelSetting>,
    /// `RETENTION_DAYS`: how long what is finished is kept; `None` for ever.
    pub retention: Option<Duration>,
    /// What is logged.
    pub log: LogSettings,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where spans are sent to, by OTLP over HTTP; nowhere if unset.
    pub otlp_endpoint: Option<BaseUrl>,
    /// How to reach Anthropic's API.
    pub claude: ClaudeAccess,
    /// How to reach `OpenAI`'s API.
    pub codex: CodexAccess,
    /// What is probably a mistake and stops nothing.
    pub warnings: Vec<ConfigWarning>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `LOG_LEVEL`: up to which level on stderr.
    pub level: LevelFilter,
    /// `LOG_FILE_LEVEL`: up to which level in the record under `data/logs/`; never `trace`, which has what people
    /// say.
    pub record_level: LevelFilter,
    /// `LOG_FILE_MAX_MB`: how large the record may be, all of its files together.
    pub record_bytes: u64,
}

/// One channel of `CHANNELS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelSetting {
    /// The built-in console, `longshore chat`.
    Console,
    /// A child process that speaks adapter lines.
    Adapter {
        /// Its name: 1 to 32 lowercase ASCII letters, digits or `_`, starting with a letter.
        name: String,
        /// The program and its arguments; never empty, never given to a shell.
        command: Vec<String>,
    },
}

impl ChannelSetting {
    /// The channel's name, as in `CHANNELS`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Console => "console",
            Self::Adapter { name, .. } => name,
        }
    }
}

/// How to reach Anthropic's API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaudeAccess {
    /// What to show there, if anything is set.
    pub credential: Option<ClaudeCredential>,
    /// `ANTHROPIC_BASE_URL`: in place of Anthropic's own address; `/v1/messages` is added to it.
    pub base_url: Option<BaseUrl>,
}

/// How to reach `OpenAI`'s API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodexAccess {
    /// `CODEX_API_KEY`, or else `OPENAI_API_KEY`.
    pub api_key: Option<Secret>,
    /// `OPENAI_BASE_URL`: in place of `OpenAI`'s own address; `/responses` is added to it.
    pub base_url: Option<BaseUrl>,
    /// `CODEX_MODEL`: the model; the CLI's own default if unset.
    pub model: Option<String>,
    /// `CODEX_CHATGPT_BASE_URL`: where a ChatGPT login's requests go; `/responses` is added to it.
    pub chatgpt_base_url: Option<BaseUrl>,
    /// `CODEX_REFRESH_TOKEN_URL_OVERRIDE`: where a ChatGPT login is refreshed. The CLI's own name for it.
    pub refresh_url: Option<BaseUrl>,
}

/// A setting that the host cannot start with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{key}` {wrong}; {write}")]
pub struct ConfigProblem {
    /// The setting, or `.env` for the file itself.
    pub key: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What to write instead.
    pub write: String,
}

impl ConfigProblem {
    fn new(key: impl Into<String>, wrong: impl Into<String>, write: impl Into<String>) -> Self {
        Self { key: key.into(), wrong: wrong.into(), write: write.into() }
    }
}

/// A setting that does nothing, or not what it seems to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{key}` {text}")]
pub struct ConfigWarning {
    /// The setting.
    pub key: String,
    /// What is odd about it.
    pub text: String,
}

impl Config {
    /// Reads `<root>/.env`, which may be absent, and the process environment, which wins.
    ///
    /// An empty variable of the process environment is as good as none. Without `TZ` the system's
    /// zone is taken if it has an IANA name, else UTC. A channel without a command has the program
    /// `longshore-<channel>` beside the host's own, if there is one.
    ///
    /// # Errors
    /// Every problem of the file and of the settings.
    pub fn load(root: &Path) -> Result<Self, Vec<ConfigProblem>> {
        let system_zone = TimeZone::try_system().ok().and_then(|zone| zone.iana_name().map(str::to_owned));
        let programs = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
        Self::load_over(root, std::env::vars_os(), system_zone, programs.as_deref())
    }

    fn load_over(
        root: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        system_zone: Option<String>,
        programs: Option<&Path>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let mut vars = BTreeMap::new();
        match read_file(&root.join(FILE)) {
            Ok(text) => vars = dotenv::read(&text, &mut problems),
            Err(problem) => problems.push(problem),
        }
        for (key, value) in environment {
            let Some(key) = key.to_str().filter(|key| parse::is_known(key)) else { continue };
            match value.into_string() {
                Ok(value) if value.trim().is_empty() => {}
                Ok(value) => {
                    vars.insert(key.to_owned(), value);
                }
                Err(_) => problems.push(ConfigProblem::new(key, "is not UTF-8", "set it to readable text")),
            }
        }
        if let (None, Some(zone)) = (parse::value(&vars, "TZ"), system_zone) {
            vars.insert("TZ".to_owned(), zone);
        }
        if let Some(programs) = programs {
            for (key, name) in parse::missing_commands(&vars) {
                if let Some(program) = adapter_beside(programs, &name) {
                    vars.insert(key, program);
                }
            }
        }
        match Self::parse(&vars) {
            Ok(config) if problems.is_empty() => Ok(config),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }

    /// Reads settings from `vars`. An empty value is as good as none; without `TZ` the zone is UTC.
    ///
    /// # Errors
    /// Every problem, in the order of the settings in `.env.example`.
    pub fn parse(vars: &BTreeMap<String, String>) -> Result<Self, Vec<ConfigProblem>> {
        parse::config(vars)
    }
}

/// The command of the adapter that lies beside the host's program, in words.
fn adapter_beside(programs: &Path, channel: &str) -> Option<String> {
    let program = programs.join(format!("longshore-{channel}"));
    program.is_file().then(|| program.to_str().map(|program| shell_words::quote(program).into_owned())).flatten()
}

fn read_file(path: &Path) -> Result<String, ConfigProblem> {
    let unreadable =
        |error: std::io::Error| ConfigProblem::new(FILE, format!("cannot be read: {error}"), "make it a readable file");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigProblem::new(
            FILE,
            format!("is larger than {MAX_FILE_BYTES} bytes"),
            "keep only settings in it",
        ));
    }
    String::from_utf8(bytes).map_err(|_| ConfigProblem::new(FILE, "is not UTF-8", "save it as UTF-8"))
}
