//! `longshore login`: the real `codex login`, in a throw-away container.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{Ending, note, say};
use crate::app::LOGIN;
use crate::config::Config;

/// codex's own port for the answer of the browser.
const CALLBACK: &str = "127.0.0.1:1455:1455";

/// Arguments of `longshore login`.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    #[command(subcommand)]
    command: LoginCommand,
}

#[derive(Debug, Subcommand)]
enum LoginCommand {
    /// Log in to ChatGPT for groups on codex; the login stays on this host.
    Codex {
        /// For a machine without a browser: shows a code to type elsewhere.
        #[arg(long)]
        device_auth: bool,
    },
    /// Say whether there is a login; its tokens are never shown.
    Status,
}

pub(super) async fn login(args: &LoginArgs, root: &Path) -> anyhow::Result<Ending> {
    let directory = root.join(LOGIN);
    match args.command {
        LoginCommand::Status => {
            let there = directory.join("auth.json").is_file();
            say(if there {
                "codex: logged in with ChatGPT"
            } else {
                "codex: not logged in; run `longshore login codex`"
            })?;
            Ok(if there { Ending::Done } else { Ending::Failed })
        }
        LoginCommand::Codex { device_auth } => {
            let Ok(config) = Config::load(root) else { bail!("the settings cannot be used; `longshore run` says why") };
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .with_context(|| format!("cannot make `{}`", directory.display()))?;
            let status = tokio::task::spawn_blocking({
                let (directory, image) = (directory.clone(), config.container_image);
                move || codex(&directory, &image, device_auth).status()
            })
            .await?
            .context("`docker` cannot be started")?;
            let file = directory.join("auth.json");
            if !status.success() || !file.is_file() {
                bail!("codex did not log in");
            }
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
            note("Logged in. Groups on codex without an `authMethod` use it from their next turn.");
            Ok(Ending::Done)
        }
    }
}

/// The container has a network, because the login needs the vendor and a browser's answer, and nothing
/// but the login's folder.
fn codex(directory: &Path, image: &str, device_auth: bool) -> Command {
    let mut command = Command::new("docker");
    let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    command.args(["run", "--rm", "-it", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", &user]);
    command.args(["--publish", CALLBACK, "--tmpfs", "/tmp", "--env", "HOME=/login", "--env", "CODEX_HOME=/login"]);
    command.arg("--mount").arg(format!("type=bind,source={},target=/login", directory.display()));
    command.args(["--entrypoint", "codex", image, "login"]);
    if device_auth {
        command.arg("--device-auth");
    }
    command
}
