//! `longshore login`: the real `codex login`, in a throw-away container.

use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{Ending, note, say};
use crate::app::LOGIN;
use crate::broker::login::{self, Description, LoginError};
use crate::config::Config;

/// Where codex writes a login until it is complete: one that is given up halfway leaves the old one.
const UNFINISHED: &str = "data/login/unfinished";

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
    /// Say whose login there is and until when; its tokens are never shown.
    Status,
}

pub(super) async fn login(args: &LoginArgs, root: &Path) -> anyhow::Result<Ending> {
    match args.command {
        LoginCommand::Status => status(&root.join(LOGIN)),
        LoginCommand::Codex { device_auth } => {
            let Ok(config) = Config::load(root) else { bail!("the settings cannot be used; `longshore run` says why") };
            let root = root.to_owned();
            let way = if device_auth { Way::Device } else { Way::Browser };
            tokio::task::spawn_blocking(move || log_in(&root, &config.container_image, way)).await?
        }
    }
}

fn status(directory: &Path) -> anyhow::Result<Ending> {
    match login::describe(directory) {
        Ok(description) => {
            say(&render(&description))?;
            Ok(Ending::Done)
        }
        Err(LoginError::Missing) => {
            say("codex: not logged in to ChatGPT; run `longshore login codex`")?;
            Ok(Ending::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

fn render(login: &Description) -> String {
    let whose = login.email.as_ref().map(|email| format!(" of {email}")).unwrap_or_default();
    let expires = match login.expires_at {
        Some(at) => format!("ends at {at} and is renewed before"),
        None => "is renewed when it is refused".to_owned(),
    };
    let refreshed = login.last_refresh.map(|at| format!("; last renewed at {at}")).unwrap_or_default();
    format!("codex: ChatGPT login{whose}, account {}\n  its token {expires}{refreshed}", login.account)
}

pub(super) fn log_in(root: &Path, image: &str, way: Way) -> anyhow::Result<Ending> {
    let unfinished = root.join(UNFINISHED);
    forget(&unfinished)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&unfinished)
        .with_context(|| format!("cannot make `{}`", unfinished.display()))?;
    let terminal = std::io::stdin().is_terminal();
    let ended = Command::new("docker").args(codex(&unfinished, image, way, terminal)).status();
    let installed = match ended {
        Ok(status) if status.success() => {
            login::install(&unfinished, &root.join(LOGIN)).context("codex left no login that can be used")
        }
        Ok(_) => Err(anyhow::anyhow!("codex did not log in; an earlier login is as it was")),
        Err(error) => Err(anyhow::Error::new(error).context("`docker` cannot be started")),
    };
    forget(&unfinished)?;
    say(&render(&installed?))?;
    note("Groups on codex without an `authMethod` use it from their next turn.");
    Ok(Ending::Done)
}

/// It may hold tokens.
fn forget(unfinished: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", unfinished.display()))
        }
        _ => Ok(()),
    }
}

/// How the vendor is told who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Browser,
    Device,
}

/// The arguments of `docker`. The container has a network, because the login needs the vendor, and nothing
/// of the host but an empty folder.
fn codex(home: &Path, image: &str, way: Way, terminal: bool) -> Vec<String> {
    let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // The browser answers to port 1455 of its own machine, and codex listens on the loopback interface alone,
    // which a published port does not reach (observed with 0.169.0).
    let network = match way {
        Way::Browser => "host",
        Way::Device => "bridge",
    };
    let home = format!("type=bind,source={},target=/login", home.display());
    let streams = if terminal { "-it" } else { "-i" };
    // A registry may have another image of the same name.
    let mut arguments = vec!["run", "--rm", streams, "--init", "--pull", "never", "--network", network];
    arguments.extend(["--user", &user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"]);
    arguments.extend(["--tmpfs", "/tmp", "--workdir", "/tmp", "--mount", &home]);
    arguments.extend(["--env", "HOME=/login", "--env", "CODEX_HOME=/login", "--entrypoint", "codex", image]);
    arguments.extend(["login", "-c", "cli_auth_credentials_store=\"file\""]);
    if way == Way::Device {
        arguments.push("--device-auth");
    }
    arguments.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_of_a_login_has_a_network_an_empty_folder_and_nothing_else() {
        let told = |way, terminal| codex(Path::new("/srv/longshore/x"), "agent", way, terminal).join(" ");
        let user = format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let rest = format!(
            "--user {user} --cap-drop ALL --security-opt no-new-privileges --read-only --tmpfs /tmp --workdir /tmp \
             --mount type=bind,source=/srv/longshore/x,target=/login --env HOME=/login --env CODEX_HOME=/login \
             --entrypoint codex agent login -c cli_auth_credentials_store=\"file\""
        );
        let browser = format!("run --rm -it --init --pull never --network host {rest}");
        let device = format!("run --rm -i --init --pull never --network bridge {rest} --device-auth");
        assert_eq!((told(Way::Browser, true), told(Way::Device, false)), (browser, device));
    }

    #[test]
    fn a_status_says_whose_login_it_is_and_until_when() {
        let login = Description {
            account: "account-1".into(),
            email: Some("ada@example.com".into()),
            expires_at: "2026-02-01T10:00:00Z".parse().ok(),
            last_refresh: "2026-01-31T10:00:00Z".parse().ok(),
        };
        insta::assert_snapshot!(render(&login), @r"
        codex: ChatGPT login of ada@example.com, account account-1
          its token ends at 2026-02-01T10:00:00Z and is renewed before; last renewed at 2026-01-31T10:00:00Z
        ");
        let login = Description { email: None, expires_at: None, last_refresh: None, ..login };
        insta::assert_snapshot!(render(&login), @r"
        codex: ChatGPT login, account account-1
          its token is renewed when it is refused
        ");
    }

    #[test]
    fn a_login_that_codex_did_not_finish_leaves_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        let (unfinished, kept) = (root.path().join(UNFINISHED), root.path().join(LOGIN));
        fs::create_dir_all(&unfinished).unwrap();
        fs::create_dir_all(&kept).unwrap();
        let login = r#"{"tokens": {"access_token": "a", "refresh_token": "r", "account_id": "old"}}"#;
        fs::write(kept.join("auth.json"), login).unwrap();
        assert_eq!(login::install(&unfinished, &kept), Err(LoginError::Missing));
        fs::write(unfinished.join("auth.json"), r#"{"OPENAI_API_KEY": "sk"}"#).unwrap();
        assert!(matches!(login::install(&unfinished, &kept), Err(LoginError::Unusable { .. })));
        assert_eq!(login::describe(&kept).unwrap().account, "old");
        fs::write(unfinished.join("auth.json"), login.replace("old", "new")).unwrap();
        assert_eq!(login::install(&unfinished, &kept).unwrap().account, "new");
        assert_eq!(login::describe(&kept).unwrap().account, "new");
        assert_eq!(status(&root.path().join("nowhere")).unwrap(), Ending::Failed);
    }
}
