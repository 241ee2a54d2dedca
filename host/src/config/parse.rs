//! From variables to settings, without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::level_filters::LevelFilter;

use super::{
    BaseUrl, ChannelSetting, ClaudeAccess, CodexAccess, Config, ConfigProblem, ConfigWarning, FILE, LogSettings,
    credential, metrics, updates,
};
use crate::container::LinkKind;

/// Every setting but the channels' own commands.
pub(super) const KEYS: [&str; 34] = [
    "ASSISTANT_NAME",
    "CONTAINER_IMAGE",
    updates::KEY,
    updates::REGISTRY,
    "BROKER_LINK",
    "CONTAINER_TIMEOUT",
    "IDLE_TIMEOUT",
    "CONTAINER_STALL_TIMEOUT",
    "MAX_CONCURRENT_CONTAINERS",
    "MAX_WARM_CONTAINERS",
    "RESIDENT_MEMORY_MB",
    "DRAIN_SECONDS",
    "KEEP_WARM_SECONDS",
    "STOP_WORD",
    "MAX_MESSAGES_PER_PROMPT",
    "EGRESS_RESOLVER",
    "TZ",
    "CHANNELS",
    "RETENTION_DAYS",
    "LOG_LEVEL",
    "LOG_FILE_LEVEL",
    "LOG_FILE_MAX_MB",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    metrics::KEY,
    credential::ANTHROPIC_API_KEY,
    credential::ANTHROPIC_AUTH_TOKEN,
    credential::CLAUDE_CODE_OAUTH_TOKEN,
    "ANTHROPIC_BASE_URL",
    credential::CODEX_API_KEY,
    credential::OPENAI_API_KEY,
    "OPENAI_BASE_URL",
    "CODEX_MODEL",
    "CODEX_CHATGPT_BASE_URL",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
];

const COMMAND_PREFIX: &str = "CHANNEL_";
const CONSOLE: &str = "console";

/// Further away than this, a key is not a slip of the finger.
const NEAR_MISS: usize = 3;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// A platform brings a message again after days at most; what is forgotten earlier could be answered twice.
const LEAST_RETENTION_DAYS: u64 = 7;

/// Whether the host looks at this variable of the process environment.
pub(super) fn is_known(key: &str) -> bool {
    KEYS.contains(&key) || key.starts_with(COMMAND_PREFIX)
}

/// A setting's value without blanks around it; `None` if there is nothing else.
pub(super) fn value<'a>(vars: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    vars.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// The variables, and what has been found wrong with them so far.
pub(super) struct Settings<'a> {
    vars: &'a BTreeMap<String, String>,
    problems: Vec<ConfigProblem>,
    warnings: Vec<ConfigWarning>,
}

impl<'a> Settings<'a> {
    pub(super) fn refuse(&mut self, problem: ConfigProblem) {
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, key: &str, text: String) {
        self.warnings.push(ConfigWarning { key: key.to_owned(), text });
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        value(self.vars, key)
    }

    /// As [`Settings::get`], with the blanks.
    pub(super) fn untrimmed(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(|_| self.vars.get(key)).map(String::as_str)
    }

    fn number(&mut self, key: &str, default: u64, range: RangeInclusive<u64>, unit: &str) -> u64 {
        let Some(text) = self.get(key) else { return default };
        if let Some(number) = text.parse().ok().filter(|number| range.contains(number)) {
            return number;
        }
        self.refuse(ConfigProblem::new(
            key,
            format!("is `{}`, not a number from {} to {}", shown(text), range.start(), range.end()),
            format!("write for example `{key}={default}`{unit}"),
        ));
        default
    }

    fn milliseconds(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(key, default, range, " (milliseconds)"))
    }

    fn seconds(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, default, range, " (seconds)"))
    }

    fn count(&mut self, key: &str, default: u16, most: u16) -> NonZeroUsize {
        let number = self.number(key, default.into(), 1..=most.into(), "");
        usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
    }

    /// A text of at most `limit` characters, each of them `allowed`.
    fn text(&mut self, key: &str, limit: usize, allowed: fn(char) -> bool, kind: &str) -> Option<String> {
        let text = self.get(key)?;
        if text.chars().count() <= limit && text.chars().all(allowed) && !text.starts_with('-') {
            return Some(text.to_owned());
        }
        let write = format!("write {kind} of at most {limit} characters");
        self.refuse(ConfigProblem::new(key, format!("is `{}`", shown(text)), write));
        None
    }
}

/// See [`Config::parse`].
pub(super) fn config(vars: &BTreeMap<String, String>) -> Result<Config, Vec<ConfigProblem>> {
    let mut settings = Settings { vars, problems: Vec::new(), warnings: Vec::new() };
    let config = Config {
        assistant_name: settings
            .text(
                "ASSISTANT_NAME",
                64,
                |character| !character.is_control(),
                "a name in one line, not starting with `-`,",
            )
            .unwrap_or_else(|| "Andy".to_owned()),
        container_image: settings
            .text("CONTAINER_IMAGE", 255, |character| character.is_ascii_graphic(), "an image reference")
            .unwrap_or_else(|| "longshore-agent:latest".to_owned()),
        updates: updates::updates(&mut settings),
        broker_link: broker_link(&mut settings),
        container_timeout: settings.milliseconds("CONTAINER_TIMEOUT", 30 * MINUTE, 1_000..=DAY),
        idle_timeout: settings.milliseconds("IDLE_TIMEOUT", 10 * MINUTE, 0..=7 * DAY),
        container_stall_timeout: settings.milliseconds("CONTAINER_STALL_TIMEOUT", 15 * MINUTE, 1_000..=DAY),
        max_concurrent_containers: settings.count("MAX_CONCURRENT_CONTAINERS", 5, 1_000),
        max_warm_containers: usize::try_from(settings.number("MAX_WARM_CONTAINERS", 16, 0..=1_000, ""))
            .unwrap_or(usize::MAX),
        resident_memory_mebibytes: resident_memory(&mut settings),
        drain_limit: settings.seconds("DRAIN_SECONDS", 60, 0..=3_600),
        keep_warm: settings.seconds("KEEP_WARM_SECONDS", 120, 0..=3_600),
        stop_word: settings
            .text("STOP_WORD", 32, |character| !character.is_control(), "one word or a few")
            .unwrap_or_else(|| "/stop".to_owned()),
        max_messages_per_prompt: settings.count("MAX_MESSAGES_PER_PROMPT", 200, 10_000),
        egress_resolver: egress_resolver(&mut settings),
        metrics: metrics::address(&mut settings),
        time_zone: time_zone(&mut settings),
        channels: channels(&mut settings),
        retention: retention(&mut settings),
        log: log(&mut settings),
        otlp_endpoint: base_url(&mut settings, "OTEL_EXPORTER_OTLP_ENDPOINT", &BaseUrl::collector()),
        claude: ClaudeAccess {
            credential: credential::claude(&mut settings),
            base_url: base_url(&mut settings, "ANTHROPIC_BASE_URL", &BaseUrl::anthropic()),
        },
        codex: CodexAccess {
            api_key: credential::codex(&mut settings),
            base_url: base_url(&mut settings, "OPENAI_BASE_URL", &BaseUrl::openai()),
            model: settings.text("CODEX_MODEL", 128, |character| character.is_ascii_graphic(), "a model's name"),
            chatgpt_base_url: base_url(&mut settings, "CODEX_CHATGPT_BASE_URL", &BaseUrl::chatgpt()),
            refresh_url: base_url(&mut settings, "CODEX_REFRESH_TOKEN_URL_OVERRIDE", &BaseUrl::chatgpt_token()),
        },
        warnings: Vec::new(),
    };
    if config.claude.base_url.as_ref().is_some_and(|base| base.path().ends_with("/v1")) {
        settings.warn("ANTHROPIC_BASE_URL", "ends in `/v1`, and `/v1/messages` is added to it".to_owned());
    }
    warn_of_unknown(&mut settings, &config.channels);
    if settings.problems.is_empty() {
        Ok(Config { warnings: settings.warnings, ..config })
    } else {
        Err(settings.problems)
    }
}

fn broker_link(settings: &mut Settings<'_>) -> Option<LinkKind> {
    const KEY: &str = "BROKER_LINK";
    let text = settings.get(KEY)?;
    match text.to_ascii_lowercase().as_str() {
        "auto" => None,
        "socket" => Some(LinkKind::Socket),
        "exec" => Some(LinkKind::Exec),
        _ => {
            settings.refuse(ConfigProblem::new(
                KEY,
                format!("is `{}`", shown(text)),
                "write `auto`, `socket` or `exec`",
            ));
            None
        }
    }
}

fn resident_memory(settings: &mut Settings<'_>) -> Option<u64> {
    const EXAMPLE: u64 = 4_096;
    settings.get("RESIDENT_MEMORY_MB")?;
    Some(settings.number("RESIDENT_MEMORY_MB", EXAMPLE, 64..=16 * 1024 * 1024, " (MiB)"))
}

fn time_zone(settings: &mut Settings<'_>) -> TimeZone {
    let Some(text) = settings.get("TZ") else { return TimeZone::UTC };
    // POSIX allows `:` before the name.
    TimeZone::get(text.strip_prefix(':').unwrap_or(text)).unwrap_or_else(|_| {
        settings.refuse(ConfigProblem::new(
            "TZ",
            format!("is `{}`, not an IANA time zone", shown(text)),
            "write for example `TZ=Europe/Berlin`",
        ));
        TimeZone::UTC
    })
}

/// `ip` or `ip:port`; 53 is the port of name servers.
fn egress_resolver(settings: &mut Settings<'_>) -> Option<SocketAddr> {
    const KEY: &str = "EGRESS_RESOLVER";
    let text = settings.get(KEY)?;
    let whole = text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53)));
    let server = whole.filter(|server| server.port() != 0 && !server.ip().is_unspecified());
    if server.is_none() {
        let write = format!("write a name server's address, for example `{KEY}=127.0.0.1:53`");
        settings.refuse(ConfigProblem::new(KEY, format!("is `{}`", shown(text)), write));
    }
    server
}

fn retention(settings: &mut Settings<'_>) -> Option<Duration> {
    const KEY: &str = "RETENTION_DAYS";
    let days = settings.number(KEY, 90, 0..=36_500, " (days; 0 keeps everything)");
    if (1..LEAST_RETENTION_DAYS).contains(&days) {
        settings.refuse(ConfigProblem::new(
            KEY,
            format!("is `{days}`: a message that the platform brings again after that would be answered twice"),
            format!("write {LEAST_RETENTION_DAYS} or more, or 0 to keep everything"),
        ));
    }
    (days > 0).then(|| Duration::from_millis(days * DAY))
}

fn log(settings: &mut Settings<'_>) -> LogSettings {
    let write = "`off`, `error`, `warn`, `info`, `debug` or `trace`";
    let level = log_level(settings, "LOG_LEVEL", LevelFilter::INFO, LevelFilter::TRACE, write);
    let write = "`off`, `error`, `warn`, `info` or `debug`";
    let record_level = log_level(settings, "LOG_FILE_LEVEL", LevelFilter::DEBUG, LevelFilter::DEBUG, write);
    let record_bytes = settings.number("LOG_FILE_MAX_MB", 64, 8..=1024 * 1024, " (MiB)") * 1024 * 1024;
    LogSettings { level, record_level, record_bytes }
}

fn log_level(
    settings: &mut Settings<'_>,
    key: &str,
    default: LevelFilter,
    most: LevelFilter,
    write: &str,
) -> LevelFilter {
    let Some(text) = settings.get(key) else { return default };
    // Numbers are levels to the parser, and to nobody else.
    let words = text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if let Some(level) = text.parse().ok().filter(|level| words && *level <= most) {
        return level;
    }
    settings.refuse(ConfigProblem::new(key, format!("is `{}`", shown(text)), format!("write {write}")));
    default
}

fn base_url(settings: &mut Settings<'_>, key: &str, example: &BaseUrl) -> Option<BaseUrl> {
    match settings.get(key)?.parse() {
        Ok(base) => Some(base),
        Err(error) => {
            settings.refuse(ConfigProblem::new(key, error.to_string(), format!("write for example `{key}={example}`")));
            None
        }
    }
}

fn channels(settings: &mut Settings<'_>) -> Vec<ChannelSetting> {
    let list = settings.get("CHANNELS").unwrap_or(CONSOLE);
    let mut seen = BTreeSet::new();
    let mut channels = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let name = item.to_ascii_lowercase();
        if !is_channel_name(&name) {
            settings.refuse(ConfigProblem::new(
                "CHANNELS",
                format!("has `{}` in it", shown(item)),
                "write names of letters, digits and `_`, separated by commas",
            ));
        } else if !seen.insert(name.clone()) {
            settings.refuse(ConfigProblem::new("CHANNELS", format!("has `{name}` twice"), "name each channel once"));
        } else if name == CONSOLE {
            channels.push(ChannelSetting::Console);
        } else if let Some(command) = command(settings, &name) {
            channels.push(ChannelSetting::Adapter { name, command });
        }
    }
    if seen.is_empty() && settings.problems.iter().all(|problem| problem.key != "CHANNELS") {
        settings.refuse(ConfigProblem::new("CHANNELS", "names no channel", "write for example `CHANNELS=console`"));
    }
    channels
}

/// The channels of `CHANNELS` whose command is not set: its setting, and the channel's name.
pub(super) fn missing_commands(vars: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let names = value(vars, "CHANNELS").unwrap_or(CONSOLE).split(',').map(|name| name.trim().to_ascii_lowercase());
    names
        .filter(|name| is_channel_name(name) && name != CONSOLE)
        .map(|name| (command_key(&name), name))
        .filter(|(key, _)| value(vars, key).is_none())
        .collect()
}

fn is_channel_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn command_key(name: &str) -> String {
    format!("{COMMAND_PREFIX}{}", name.to_ascii_uppercase())
}

fn command(settings: &mut Settings<'_>, name: &str) -> Option<Vec<String>> {
    let key = command_key(name);
    let write = format!("write the adapter's command, for example `{key}=longshore-{name}`");
    // An argument may be a credential, so the command is never shown.
    let wrong = match settings.get(&key).map(shell_words::split) {
        None => format!("is not set, and `{name}` is in `CHANNELS`"),
        Some(Err(_)) => "has a quote that is never closed".to_owned(),
        Some(Ok(words)) if words.first().is_none_or(String::is_empty) => "has no program in it".to_owned(),
        Some(Ok(words)) if words.iter().any(|word| word.contains('\0')) => "has a null byte in it".to_owned(),
        Some(Ok(words)) => return Some(words),
    };
    settings.refuse(ConfigProblem::new(key, wrong, write));
    None
}

fn warn_of_unknown(settings: &mut Settings<'_>, channels: &[ChannelSetting]) {
    let commands: BTreeSet<String> = channels.iter().map(|channel| command_key(channel.name())).collect();
    for key in settings.vars.keys() {
        if let Some(name) = key.strip_prefix(COMMAND_PREFIX) {
            if name.eq_ignore_ascii_case(CONSOLE) {
                settings.warn(key, "does nothing: the console is built in".to_owned());
            } else if !commands.contains(key) {
                let name = shown(&name.to_ascii_lowercase());
                settings.warn(key, format!("does nothing: `{name}` is not in `CHANNELS`"));
            }
        } else if !KEYS.contains(&key.as_str()) {
            let hint = nearest(key).map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            settings.warn(key, format!("in `{FILE}` is not a setting{hint}"));
        }
    }
}

fn nearest(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_uppercase();
    KEYS.into_iter()
        .map(|known| (strsim::osa_distance(&key, known), known))
        // Of two letters, three typing errors make anything.
        .filter(|(distance, known)| *distance <= NEAR_MISS.min(known.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A value as a problem shows it: in one line, not long.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    let mut shown: String = text.chars().take(LIMIT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    shown
}
