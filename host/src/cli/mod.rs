//! The command line: one file per subcommand.

mod backup;
mod chat;
mod dead;
mod doctor;
mod groups;
mod image;
mod import;
mod init;
mod login;
mod logs;
mod metrics;
mod outbox;
mod paint;
mod reference;
mod registered;
mod rehearse;
mod run;
mod send;
mod service;
mod setup;
mod shown;
mod status;
mod stop;
mod table;
mod tasks;
mod top;
mod trace;
mod transcript;
mod update;
mod usage;
mod whatsapp;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

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
    /// Set everything up, step by step, from Docker to the first answer; asks for what is not given.
    Setup(Box<setup::SetupArgs>),
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
    /// Say what became of a message, and why if it got no answer, with every step of its way.
    Trace(trace::TraceArgs),
    /// Show what happened: the host's own log, of all groups or of one.
    Logs(logs::LogsArgs),
    /// Show how the host, its channels and its groups are. Exit status 3 if no host runs.
    Status(status::StatusArgs),
    /// Show the same as `status` in this terminal, again each second.
    Top,
    /// Print what the running host counts, in Prometheus's text format.
    Metrics,
    /// Stop what a group's agent is doing, as `/stop` in its chat does.
    Stop(stop::StopArgs),
    /// List scheduled tasks and what has run, or change them.
    Tasks(tasks::TasksArgs),
    /// Say something in a chat, as the host, and wait until it is sent.
    Send(send::SendArgs),
    /// List messages that could not be delivered, send them again, or leave them at that.
    Dead(dead::DeadArgs),
    /// Print, export or search what was said and done in a group.
    Transcript(transcript::TranscriptArgs),
    /// Show what the models' answers used, what that cost, and what is left of the budgets.
    Usage(usage::UsageArgs),
    /// Say what needs an operator's hand, and what to do: the engine, the settings, credentials, channels, messages without an end. Exit status 1 if anything does.
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
    /// Link a WhatsApp account, show it, list its groups: what `longshore-whatsapp` can do for this installation.
    Whatsapp(whatsapp::WhatsappArgs),
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
    /// 3: no host runs, as service managers say it.
    Down,
}

/// Parses the arguments and runs the command. Exit status: 0 done, 1 failed, 2 wrong arguments, 3 no host runs.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run().await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Ok(Ending::Down) => ExitCode::from(3),
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
            Command::Setup(args) => {
                std::fs::create_dir_all(&self.root)
                    .with_context(|| format!("cannot make the folder `{}`", self.root.display()))?;
                setup::setup(*args, &absolute(&self.root)?).await
            }
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
            Command::Trace(args) => trace::trace(args, &absolute(&self.root)?).await,
            Command::Logs(args) => logs::logs(args, &absolute(&self.root)?).await,
            Command::Stop(args) => stop::stop(args, &absolute(&self.root)?).await,
            Command::Tasks(args) => tasks::tasks(args, &absolute(&self.root)?).await,
            Command::Send(args) => send::send(args, &absolute(&self.root)?).await,
            Command::Dead(args) => dead::dead(args, &absolute(&self.root)?).await,
            Command::Top => top::top(&absolute(&self.root)?).await,
            Command::Transcript(args) => transcript::transcript(&args, &absolute(&self.root)?),
            Command::Usage(args) => usage::usage(&args, &absolute(&self.root)?),
            Command::Doctor(args) => doctor::doctor(&args, &absolute(&self.root)?).await,
            Command::Backup(args) => backup::back_up(&args, &absolute(&self.root)?),
            Command::Restore(args) => backup::restore(&args, &absolute(&self.root)?),
            Command::Metrics => metrics::metrics(&absolute(&self.root)?).await,
            Command::Import(args) => import::import(args, &absolute(&self.root)?).await,
            Command::Whatsapp(args) => whatsapp::whatsapp(&args, &absolute(&self.root)?),
            Command::Status(args) => status::status(&args, &absolute(&self.root)?).await,
        }
    }
}

/// Whether this program has such a subcommand.
fn knows(subcommand: &str) -> bool {
    Cli::command().find_subcommand(subcommand).is_some()
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
    print(&shown::shown(line))
}

/// Prints a text to stdout in which every piece that is not ours is as a terminal should see it already.
fn print(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a text to stderr in the same way. Best effort.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", shown::shown(line));
}
