//! The command line: one file per subcommand.

mod backup;
mod chat;
mod doctor;
mod groups;
mod image;
mod import;
mod init;
mod login;
mod reference;
mod rehearse;
mod run;
mod service;
mod shown;
mod status;
mod stop;
mod table;
mod tasks;
mod update;
mod usage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::container::docker::DockerRuntime;

/// A chat-bot host: messages of a chat group wake an agent in that group's own container.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, propagate_version = true)]
struct Cli {
    /// The installation's folder: the one with `.env`, `data/` and `groups/`.
    #[arg(long, global = true, env = "LONGSHORE_ROOT", default_value = ".", value_name = "DIR")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an installation: `.env`, two groups on the console, their memory. Overwrites nothing.
    Init(init::InitArgs),
    /// Run the host.
    Run(run::RunArgs),
    /// Talk to a group of the console; with --once, say one thing and print the answer.
    Chat(chat::ChatArgs),
    /// List the groups and what is wrong with the groups file, or edit it.
    Groups(groups::GroupsArgs),
    /// Log in to a provider with a subscription.
    Login(login::LoginArgs),
    /// Show how the running host is.
    Status(status::StatusArgs),
    /// Stop what a group's agent is doing, as `/stop` in its chat does.
    Stop(stop::StopArgs),
    /// List scheduled tasks and what has run, or change them.
    Tasks(tasks::TasksArgs),
    /// Show what the models' answers used, what that cost, and what is left of the budgets.
    Usage(usage::UsageArgs),
    /// Say what needs an operator's hand: messages without an end, what was not sent, what is down. Exit status 1 if anything does.
    Doctor(doctor::DoctorArgs),
    /// Copy the database to a file, while the host runs or not.
    Backup(backup::BackupArgs),
    /// Put such a copy in the database's place, while no host runs; what was there is kept.
    Restore(backup::RestoreArgs),
    /// Look for newer releases of the CLIs in the agent image, or take them.
    Update(update::UpdateArgs),
    /// Let the machine's service manager run the host.
    Service(service::ServiceArgs),
    /// Take over the installation of another program.
    Import(import::ImportArgs),
    /// Make the agent image.
    Image(ImageArgs),
    /// Serve the stand-in for both model APIs, alone.
    Rehearse(rehearse::RehearseArgs),
    /// Print a shell's completions of this command line.
    Completions(reference::CompletionsArgs),
    /// Print the manual page.
    #[command(hide = true)]
    Man,
}

#[derive(Debug, clap::Args)]
struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Build it with the container engine.
    Build(image::BuildArgs),
}

/// How a command ended: its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// 0.
    Done,
    /// 1: the command worked and its answer is a failure, which was printed.
    Failed,
}

/// Parses the arguments and runs the command. Exit status: 0 done, 1 failed, 2 wrong arguments.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run().await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Err(error) => {
            // A closed terminal is no reason to do anything else.
            let _ = writeln!(std::io::stderr(), "longshore: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<Ending> {
        match self.command {
            Command::Init(args) => init::init(&args, &self.root),
            Command::Rehearse(args) => rehearse::rehearse(&args).await,
            Command::Update(args) => update::update(args, &absolute(&self.root)?).await,
            Command::Service(args) => service::service(&args, &self.root),
            Command::Completions(args) => reference::completions(&args),
            Command::Man => reference::man(),
            Command::Image(ImageArgs { command: ImageCommand::Build(args) }) => {
                image::build(args).await.map(|()| Ending::Done)
            }
            Command::Run(args) => run::run(args, absolute(&self.root)?).await,
            Command::Chat(args) => chat::chat(args, &absolute(&self.root)?).await,
            Command::Groups(args) => groups::groups(args, &absolute(&self.root)?).await,
            Command::Login(args) => login::login(&args, &absolute(&self.root)?).await,
            Command::Stop(args) => stop::stop(args, &absolute(&self.root)?).await,
            Command::Tasks(args) => tasks::tasks(args, &absolute(&self.root)?).await,
            Command::Usage(args) => usage::usage(&args, &absolute(&self.root)?),
            Command::Doctor(args) => doctor::doctor(&args, &absolute(&self.root)?).await,
            Command::Backup(args) => backup::back_up(&args, &absolute(&self.root)?),
            Command::Restore(args) => backup::restore(&args, &absolute(&self.root)?),
            Command::Import(args) => import::import(args, &absolute(&self.root)?).await,
            Command::Status(args) => status::status(&args, &absolute(&self.root)?).await,
        }
    }
}

fn absolute(root: &std::path::Path) -> anyhow::Result<PathBuf> {
    root.canonicalize().with_context(|| format!("the folder `{}` cannot be opened", root.display()))
}

/// The container engine that the environment names.
fn engine() -> DockerRuntime {
    DockerRuntime::new(std::env::var("DOCKER_HOST").ok().as_deref())
}

/// Prints a text to stdout, as far as a terminal should see it; a reader that has gone (`| head`) is not an error of ours.
fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", shown::shown(line)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a text to stderr in the same way. Best effort.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", shown::shown(line));
}
