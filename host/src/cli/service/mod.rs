//! `longshore service`: the host as a service of its user.

mod unit;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};

use self::unit::{Job, MARK};
use super::{Ending, note, say};
use crate::app;
use crate::config::Config;

/// What the host needs of the environment besides its own settings: where the engine and the lists are, and
/// where adapters' programs are looked for.
const CARRIED: [&str; 3] = ["DOCKER_HOST", "XDG_CONFIG_HOME", "PATH"];

/// Arguments of `longshore service`.
#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    command: ServiceCommand,
    /// What the service is called, where one machine has several.
    #[arg(long, global = true, default_value = "longshore", value_parser = name)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Let the user's service manager (systemd, on macOS launchd) run the host, now and from each start of the machine.
    Install(InstallArgs),
    /// Stop the service and remove its file; the installation stays.
    Uninstall,
    /// Show whether it is installed and runs. Exit status 1 if it does not run.
    Status,
}

#[derive(Debug, Args)]
struct InstallArgs {
    /// Print the file and do nothing.
    #[arg(long)]
    print: bool,
    /// Print systemd's file, wherever this is.
    #[arg(long, requires = "print", conflicts_with = "launchd")]
    systemd: bool,
    /// Print launchd's file, wherever this is.
    #[arg(long, requires = "print")]
    launchd: bool,
    /// The program to run [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// Who runs services here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

/// A service of this name.
struct Service {
    manager: Manager,
    name: String,
    /// Where its file is or would be.
    file: PathBuf,
}

fn name(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    let fits = (1..=40).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-');
    fits.then(|| text.to_owned()).ok_or_else(|| "use up to 40 lowercase letters, digits and `-`".to_owned())
}

pub(super) fn service(args: &ServiceArgs, root: &Path) -> anyhow::Result<Ending> {
    match &args.command {
        ServiceCommand::Install(install) if install.print => {
            // It may be for another machine: nothing has to be there.
            let root = std::path::absolute(root)?;
            let manager = match (install.systemd, install.launchd) {
                (true, _) => Manager::Systemd,
                (_, true) => Manager::Launchd,
                _ => Manager::here(),
            };
            let drain = Config::load(&root).map_or(60, |config| config.drain_limit.as_secs());
            // What is carried over is this machine's.
            let carried = if install.program.is_some() { Vec::new() } else { carried() };
            say(content(manager, &args.name, &program(install)?, &root, drain, &carried)?.trim_end())?;
            Ok(Ending::Done)
        }
        ServiceCommand::Install(install) => Service::of(&args.name)?.install(install, &super::absolute(root)?),
        ServiceCommand::Uninstall => Service::of(&args.name)?.uninstall(),
        ServiceCommand::Status => Service::of(&args.name)?.status(),
    }
}

fn program(install: &InstallArgs) -> anyhow::Result<PathBuf> {
    match &install.program {
        Some(path) => Ok(std::path::absolute(path)?),
        None => std::env::current_exe().context("where this program is"),
    }
}

fn carried() -> Vec<(String, String)> {
    CARRIED.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

fn content(
    manager: Manager,
    name: &str,
    program: &Path,
    root: &Path,
    drain_seconds: u64,
    environment: &[(String, String)],
) -> anyhow::Result<String> {
    let texts =
        [program.to_str(), root.to_str()].into_iter().chain(environment.iter().map(|(_, value)| Some(value.as_str())));
    for text in texts {
        if text.is_none_or(|text| text.contains(char::is_control)) {
            bail!("a service file cannot name a path with control characters, or one that is not UTF-8");
        }
    }
    let job = Job { program, root, drain_seconds, environment };
    Ok(match manager {
        Manager::Systemd => unit::systemd(&job),
        Manager::Launchd => unit::launchd(&job, name),
    })
}

impl Manager {
    fn here() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }
}

impl Service {
    fn of(name: &str) -> anyhow::Result<Self> {
        let home = std::env::home_dir().filter(|home| home.is_absolute()).context("there is no home directory")?;
        let manager = Manager::here();
        let file = match manager {
            Manager::Systemd => {
                let settings = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                let settings = settings.unwrap_or_else(|| home.join(".config"));
                settings.join("systemd/user").join(format!("{name}.service"))
            }
            Manager::Launchd => home.join("Library/LaunchAgents").join(format!("{name}.plist")),
        };
        Ok(Self { manager, name: name.to_owned(), file })
    }

    fn install(&self, args: &InstallArgs, root: &Path) -> anyhow::Result<Ending> {
        app::check(root)?;
        let config = Config::load(root).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!("`.env` has problems: {}", problems.join("; "))
        })?;
        let program = program(args)?;
        if !program.is_file() {
            bail!("there is no program `{}`", program.display());
        }
        let content = content(self.manager, &self.name, &program, root, config.drain_limit.as_secs(), &carried())?;
        match self.written()? {
            Some(known) if known == content => say(&format!("kept   {}", self.file.display()))?,
            Some(known) if !known.contains(MARK) => {
                bail!("`{}` is there and not ours; choose another --name", self.file.display())
            }
            Some(known) if !known.contains(&*root.to_string_lossy()) => {
                bail!("`{}` is another installation's; choose another --name", self.file.display())
            }
            _ => {
                write(&self.file, &content).with_context(|| format!("cannot write `{}`", self.file.display()))?;
                say(&format!("wrote  {}", self.file.display()))?;
            }
        }
        let commands = self.commands(match self.manager {
            Manager::Systemd => &[&["daemon-reload"], &["enable", "--now"]],
            Manager::Launchd => &[&["bootstrap"]],
        });
        for command in &commands {
            if let Err(why) = run(command) {
                note(&format!("`{}` cannot be reached or refuses: {why}", command[0]));
                note("The file is written and nothing runs yet. Where the service manager can be reached:");
                for command in &commands {
                    note(&format!("  {}", command.join(" ")));
                }
                return Ok(Ending::Failed);
            }
        }
        say(&format!("the service `{}` runs, and starts with the next login", self.name))?;
        if self.manager == Manager::Systemd && !lingers() {
            note("To have it run from the start of the machine on, without a login: `loginctl enable-linger`");
        }
        Ok(Ending::Done)
    }

    fn uninstall(&self) -> anyhow::Result<Ending> {
        match self.written()? {
            None => {
                say(&format!("there is no {}", self.file.display()))?;
                return Ok(Ending::Done);
            }
            Some(known) if !known.contains(MARK) => bail!("`{}` is not ours, and stays", self.file.display()),
            Some(_) => {}
        }
        let commands = self.commands(match self.manager {
            Manager::Systemd => &[&["disable", "--now"]],
            Manager::Launchd => &[&["bootout"]],
        });
        let stopped = commands.iter().try_for_each(|command| run(command).map(drop));
        fs::remove_file(&self.file).with_context(|| format!("cannot remove `{}`", self.file.display()))?;
        say(&format!("removed  {}", self.file.display()))?;
        if let Err(why) = stopped {
            note(&format!("the service manager could not be told: {why}; a host that it has started still runs"));
            return Ok(Ending::Failed);
        }
        Ok(Ending::Done)
    }

    fn status(&self) -> anyhow::Result<Ending> {
        match self.written()? {
            None => say(&format!("not installed: there is no {}", self.file.display()))?,
            Some(known) if !known.contains(MARK) => say(&format!("not ours: {}", self.file.display()))?,
            Some(_) => say(&format!("installed: {}", self.file.display()))?,
        }
        let asked = match self.manager {
            Manager::Systemd => {
                let unit = format!("{}.service", self.name);
                let show = ["show", unit.as_str(), "--property=ActiveState,SubState,StatusText,MainPID"];
                run(&["systemctl", "--user"].into_iter().chain(show).map(str::to_owned).collect::<Vec<_>>())
            }
            Manager::Launchd => run(&["launchctl".to_owned(), "list".to_owned(), self.name.clone()]),
        };
        match asked {
            Ok(text) => {
                say(text.trim_end())?;
                let runs = self.manager == Manager::Launchd || text.lines().any(|line| line == "ActiveState=active");
                Ok(if runs { Ending::Done } else { Ending::Failed })
            }
            Err(why) => {
                note(&format!("the service manager cannot be asked: {why}"));
                Ok(Ending::Failed)
            }
        }
    }

    /// The file's text.
    fn written(&self) -> anyhow::Result<Option<String>> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", self.file.display())),
        }
    }

    fn commands(&self, verbs: &[&[&str]]) -> Vec<Vec<String>> {
        let unit = format!("{}.service", self.name);
        let file = self.file.display().to_string();
        let domain = format!("gui/{}", rustix::process::getuid().as_raw());
        let words = |verb: &&[&str]| -> Vec<String> {
            let mut words: Vec<&str> = match self.manager {
                Manager::Systemd => vec!["systemctl", "--user"],
                Manager::Launchd => vec!["launchctl"],
            };
            words.extend(*verb);
            match self.manager {
                Manager::Systemd if *verb == ["daemon-reload"] => {}
                Manager::Systemd => words.push(&unit),
                Manager::Launchd => words.extend([domain.as_str(), file.as_str()]),
            }
            words.into_iter().map(str::to_owned).collect()
        };
        verbs.iter().map(words).collect()
    }
}

/// Writes a file whole, by one rename.
fn write(file: &Path, content: &str) -> std::io::Result<()> {
    let folder = file.parent().ok_or(ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    let mut part = file.as_os_str().to_owned();
    part.push(".tmp");
    let mut open = fs::File::create(&part)?;
    open.write_all(content.as_bytes())?;
    open.sync_all()?;
    fs::rename(&part, file)
}

/// Runs a command of the service manager: what it printed, or why it failed.
fn run(words: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("no command".to_owned()) };
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(told.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word").trim().to_owned())
}

/// Whether the user's services run without a login.
fn lingers() -> bool {
    let words = ["loginctl", "show-user", &rustix::process::getuid().as_raw().to_string(), "--property=Linger"];
    run(&words.map(str::to_owned)).is_ok_and(|text| text.trim() == "Linger=yes")
}
