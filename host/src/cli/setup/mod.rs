//! `longshore setup`: from nothing to the first answer, asking for what is not given.
//!
//! Every question has a flag, and can be answered again: what there is is offered, and only what differs is changed.

mod credential;
mod engine;
mod first;
mod interview;
mod terminal;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use longshore_protocol::ProviderKind;

use self::credential::Source;
use self::interview::{Answers, ChannelChoice, Given, Interview, Present, Way, Whatsapp, changes};
use super::doctor::credentials::setting;
use super::login::{self, Way as LoginWay};
use super::registered::registered;
use super::{Ending, init, note, say};
use crate::app::LOGIN;
use crate::broker::login::describe;
use crate::channel::console;
use crate::config::{ChannelSetting, Config, write};
use crate::control::client::Client;
use crate::groups::edit::{GroupsFile, Target};
use crate::groups::{FILE_NAME, Group};

/// WhatsApp's adapter: a program of its own beside this one.
const WHATSAPP: &str = "longshore-whatsapp";
/// What the first message says.
const HELLO: &str = "Hello! Who are you, in one sentence?";

/// Arguments of `longshore setup`.
#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// Ask nothing: what is not given stays as it is. So it is, too, where there is no terminal.
    #[arg(long, short)]
    yes: bool,
    /// What the assistant is called.
    #[arg(long)]
    name: Option<String>,
    /// The IANA time zone in which people mean their times.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Who answers in the main group: claude or codex.
    #[arg(long)]
    provider: Option<String>,
    /// What that provider signs in with: `keep`, `api-key`, `token` (claude: of a subscription), `login` (codex: of
    /// ChatGPT), or `none` for a stand-in.
    #[arg(long, value_name = "WAY")]
    credential: Option<String>,
    /// A file with the key or token; `-` reads it from stdin. It is never an argument, which others could see.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Keep the key without asking the provider whether it is valid.
    #[arg(long)]
    no_check: bool,
    /// How people write: `console`, or `whatsapp` besides.
    #[arg(long)]
    channel: Option<String>,
    /// An agent image that is missing: made (or pulled, if `CONTAINER_IMAGE` is another one), or left so.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "ask")]
    image: ImageWish,
    /// The first message.
    #[arg(long, value_name = "TEXT", default_value = HELLO)]
    message: String,
    /// End without a first message.
    #[arg(long)]
    no_message: bool,
}

/// What to do about an agent image that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageWish {
    /// Ask; make it where nobody can be asked.
    Ask,
    /// Make or pull it.
    Make,
    /// Leave it so.
    Keep,
}

/// Whether there is somebody to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Person,
    Nobody,
}

pub(super) async fn setup(args: SetupArgs, root: &Path) -> anyhow::Result<Ending> {
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let asking = if terminal && !args.yes { Asking::Person } else { Asking::Nobody };
    let given = Given {
        name: args.name,
        time_zone: args.timezone,
        provider: args.provider,
        credential: args.credential.or_else(|| args.key_file.is_some().then(|| "api-key".to_owned())),
        channel: args.channel,
    };
    engine::check(asking).await?;
    let config = load_config(root)?;
    let program = whatsapp_program();
    let present = present(root, &config, program.is_some())?;
    let answers = answers(present.clone(), &given, asking)?;
    let source = Source { file: args.key_file, check: !args.no_check };
    let key = credential::key(&answers, &source, &config, asking).await?;
    let made = init::make(root, init::Extent::Whole)?;
    say(&match made.len() {
        0 => format!("files     `{}` is an installation already; what is there stays", root.display()),
        number => format!("files     made {number} files in `{}`", root.display()),
    })?;
    let names = || config.channels.iter().map(ChannelSetting::name);
    let whatsapp = program.as_ref().map(|program| Whatsapp {
        channels: names().chain(["whatsapp"]).collect::<Vec<_>>().join(","),
        command: shell_words::quote(&program.display().to_string()).into_owned(),
    });
    let changed = save(root, &present, &answers, key.as_ref().map(|key| key.expose()), whatsapp.as_ref())?;
    main_group(root, &present, answers.provider)?;
    let has_image = engine::image(&config.container_image, args.image, asking).await?;
    if answers.way == Way::Login {
        log_in(root, &config, asking, has_image).await?;
    }
    if answers.channel == ChannelChoice::Whatsapp {
        link(root, program.as_deref(), asking)?;
    }
    service(root, asking)?;
    if changed && Client::connect(root).await.is_ok() {
        say("host      the one that runs has the old settings until it is started again")?;
    }
    let rehearsal = answers.way == Way::Nothing || !signs_in(root, answers.provider)?;
    let ending = match console_group(root, answers.provider)? {
        Some(group) if has_image && !args.no_message => first::message(root, &group, &args.message, rehearsal).await?,
        _ => Ending::Done,
    };
    say(&format!("\n{}", next(rehearsal, answers.provider)))?;
    Ok(ending)
}

fn load_config(root: &Path) -> anyhow::Result<Config> {
    Config::load(root).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("`.env` has to be corrected first: {}", problems.join("; "))
    })
}

fn present(root: &Path, config: &Config, has_whatsapp: bool) -> anyhow::Result<Present> {
    let login = describe(&root.join(LOGIN)).ok();
    let login = login.map(|login| match login.email {
        Some(email) => format!("the ChatGPT login of {email}"),
        None => "a ChatGPT login".to_owned(),
    });
    let key = config.codex.api_key.as_ref().map(|_| "an API key in `.env`".to_owned());
    Ok(Present {
        name: config.assistant_name.clone(),
        time_zone: config.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        provider: registered(root)?
            .groups
            .iter()
            .find(|group| group.is_main)
            .map_or(ProviderKind::Claude, |main| main.provider),
        claude: config.claude.credential.as_ref().map(|credential| format!("`{}` in `.env`", setting(credential))),
        codex: login.or(key),
        on_whatsapp: config.channels.iter().any(|channel| channel.name() == "whatsapp"),
        has_whatsapp,
    })
}

fn answers(present: Present, given: &Given, asking: Asking) -> anyhow::Result<Answers> {
    let mut interview = Interview::new(present);
    if asking == Asking::Nobody {
        return interview.answer_all(given).map_err(|problems| anyhow!("nothing was changed: {}", problems.join("; ")));
    }
    while let Some(ask) = interview.next() {
        if let Some(text) = given.to(ask.question) {
            interview.answer(text).map_err(|why| anyhow!("{}: {why}", ask.flag))?;
            continue;
        }
        let text = tokio::task::block_in_place(|| terminal::ask(&ask))?;
        if let Err(why) = interview.answer(&text) {
            note(&format!("  {why}"));
        }
    }
    Ok(interview.finish())
}

/// Changes what differs; whether anything did.
fn save(
    root: &Path,
    present: &Present,
    answers: &Answers,
    key: Option<&str>,
    whatsapp: Option<&Whatsapp>,
) -> anyhow::Result<bool> {
    let mut changes = changes(present, answers, key, whatsapp);
    // A key that nobody gave changes nothing.
    if key.is_none() {
        changes.retain(|(setting, _)| ["ASSISTANT_NAME", "TZ", "CHANNELS", "CHANNEL_WHATSAPP"].contains(setting));
    }
    if changes.is_empty() {
        say("settings  `.env` stays as it is")?;
        return Ok(false);
    }
    write::set(root, &changes).context("the settings were not changed")?;
    let changed: Vec<String> = changes.iter().map(|(key, _)| format!("`{key}`")).collect();
    say(&format!("settings  changed {} in `.env`", changed.join(", ")))?;
    Ok(true)
}

/// The main group's provider, if another one was chosen.
fn main_group(root: &Path, present: &Present, provider: ProviderKind) -> anyhow::Result<()> {
    if provider == present.provider {
        return Ok(());
    }
    let groups = registered(root)?.groups;
    let Some(main) = groups.iter().find(|group| group.is_main) else {
        return say("groups    there is no main group; `longshore groups add … --main` makes one");
    };
    GroupsFile::new(root.join("data").join(FILE_NAME))
        .set(Target::Folder(&main.id), &["provider"], provider.as_str().into())
        .context("the main group keeps its provider")?;
    say(&format!("groups    `{}` is answered by {provider} now", main.id))
}

async fn log_in(root: &Path, config: &Config, asking: Asking, has_image: bool) -> anyhow::Result<()> {
    let later = "run `longshore login codex` (with --device-auth on a machine without a browser)";
    if asking == Asking::Nobody || !has_image {
        return say(&format!("access    then {later}"));
    }
    let has_browser = tokio::task::block_in_place(|| terminal::confirm("Is there a browser on this machine?", true))?;
    let way = if has_browser { LoginWay::Browser } else { LoginWay::Device };
    let (root, image) = (root.to_owned(), config.container_image.clone());
    if let Err(error) = tokio::task::spawn_blocking(move || login::log_in(&root, &image, way)).await? {
        say(&format!("access    {error:#}; {later}"))?;
    }
    Ok(())
}

/// The adapter's own linking, in this terminal.
fn link(root: &Path, program: Option<&Path>, asking: Asking) -> anyhow::Result<()> {
    let Some(program) = program else { return say("channel   `longshore-whatsapp` is not beside this program") };
    if asking == Asking::Nobody || !terminal::confirm("Link WhatsApp now? The phone has to be at hand.", true)? {
        return say("channel   then link the phone with `longshore whatsapp link`");
    }
    let folder = root.join("data/whatsapp");
    let status = Command::new(program).arg("link").env("LONGSHORE_DATA", folder).status();
    match status.context("`longshore-whatsapp` cannot be started")? {
        status if status.success() => say("channel   WhatsApp is linked; `longshore groups add` serves a chat of it"),
        _ => say("channel   WhatsApp is not linked; `longshore whatsapp link` tries again"),
    }
}

fn whatsapp_program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join(WHATSAPP);
    beside.is_file().then_some(beside)
}

/// Offers to install the service, where this release can.
fn service(root: &Path, asking: Asking) -> anyhow::Result<()> {
    if asking == Asking::Nobody || !super::knows("service") {
        return Ok(());
    }
    if !terminal::confirm("Install Longshore as a service that starts with this machine?", false)? {
        return Ok(());
    }
    let program = std::env::current_exe().context("where this program is")?;
    let status = Command::new(program).arg("--root").arg(root).args(["service", "install"]).status();
    if !status.context("the service cannot be installed")?.success() {
        say("service   it is not installed; `longshore service install` says why")?;
    }
    Ok(())
}

/// Whether the provider has anything to sign in with now.
fn signs_in(root: &Path, provider: ProviderKind) -> anyhow::Result<bool> {
    let present = present(root, &load_config(root)?, false)?;
    Ok(match provider {
        ProviderKind::Claude => present.claude,
        ProviderKind::Codex => present.codex,
    }
    .is_some())
}

/// The group of the console that shows what was set up: main, or the first that this provider answers.
fn console_group(root: &Path, provider: ProviderKind) -> anyhow::Result<Option<String>> {
    let groups = registered(root)?.groups;
    let on_console = |group: &&std::sync::Arc<Group>| group.chat.starts_with(&format!("{}:", console::NAME));
    let mut candidates: Vec<_> = groups.iter().filter(on_console).collect();
    candidates.sort_by_key(|group| (!group.is_main, group.provider != provider));
    Ok(candidates.first().map(|group| group.id.to_string()))
}

fn next(rehearsal: bool, provider: ProviderKind) -> String {
    let run = if rehearsal { "longshore run --rehearsal" } else { "longshore run" };
    let mut text = format!(
        "Next:\n  {run:<34} the host\n  {:<34} talk to it, in another terminal\n  {:<34} what needs your hand",
        "longshore chat main", "longshore doctor"
    );
    if rehearsal {
        text.push_str(&format!(
            "\n{:<36} a credential, for real answers",
            format!("  longshore setup --provider {provider}")
        ));
    }
    text
}
