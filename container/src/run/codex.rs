//! `codex`: one process a turn.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use longshore_protocol::{CodexSignIn, Failure, FailureKind, ProviderKind, TurnRequest, Usage, paths};

use super::totals::Totals;
use super::{Context, Followed, Halt, follow, launch};
use crate::child::Child;
use crate::emit::TurnEvents;
use crate::family::Whom;
use crate::provider::codex::{Before, Codex, resumed};
use crate::provider::{End, Provider};

/// How long an interrupted process may take to note the end of its turn; 30 ms were seen.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);

/// What a group's `config.toml` begins with; the operator's and the agent's to change.
const CONFIG: &str = "\
# Settings of codex for this group. Written once and never again: change what you like.
# What the host has to be sure of (the way out, the sandbox, approvals) it gives on the
# command line, which wins over this file; the model is `model` in registered_groups.json.
";

/// Writes the minimal `config.toml` where there is none. A file that cannot be made is not missed.
fn keep_config(home: &Path) {
    let made = std::fs::File::options().write(true).create_new(true).open(home.join("config.toml"));
    if let Ok(mut file) = made {
        let _ = file.write_all(CONFIG.as_bytes());
    }
}

/// Links codex's `auth.json` to the mounted login, through which codex writes a refresh back for all
/// groups (observed: it writes the link's target, with a lock beside that). Without a mounted login no
/// such link stays.
fn keep_login(home: &Path, sign_in: CodexSignIn) -> std::io::Result<()> {
    let (link, target) = (home.join("auth.json"), Path::new(paths::CODEX_LOGIN).join("auth.json"));
    let linked = std::fs::read_link(&link).is_ok_and(|found| found == target);
    match sign_in {
        CodexSignIn::Placeholder if linked => std::fs::remove_file(&link),
        CodexSignIn::MountedLogin if !linked => {
            match std::fs::remove_file(&link) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(target, link)
        }
        CodexSignIn::Placeholder | CodexSignIn::MountedLogin => Ok(()),
    }
}

/// Runs a turn.
pub async fn run(context: &Context, request: &TurnRequest, events: &mut TurnEvents, halt: &mut Halt) -> End {
    let home = context.place.codex_home();
    if let Err(error) = std::fs::create_dir_all(&home) {
        let text = format!("cannot make `{}`: {error}", home.display());
        return End::Failed(Failure::new("codex", FailureKind::Config, text));
    }
    keep_config(&home);
    if let Err(error) = keep_login(&home, request.settings.sign_in) {
        let text = format!("the mounted login cannot be linked into `{}`: {error}", home.display());
        return End::Failed(Failure::new("codex", FailureKind::Config, text));
    }
    let totals = Totals::of(&home);
    let resumed = resumed(request).cloned();
    let before = match &resumed {
        None => Before::Known(Usage::default()),
        Some(thread) => totals.get(thread).map_or(Before::Unknown, Before::Known),
    };
    let mut fold = Codex::new(resumed, before);
    let invocation = fold.invocation(request, &context.place);
    let mut child = match launch(&invocation, ProviderKind::Codex, request, context) {
        Ok(child) => child,
        Err(failure) => return End::Failed(failure),
    };
    child.say(invocation.stdin);
    child.hang_up();
    match follow(&mut child, &mut fold, events, halt).await {
        Followed::Exited(end) => {
            if let Some((thread, total)) = fold.total().filter(|_| request.settings.resume) {
                totals.set(thread, total);
            }
            end
        }
        // It goes on although the turn is over: with a new thread, or out of step.
        Followed::Ended(end) => {
            context.family.end(Whom::Everyone).await;
            child.kill().await;
            end
        }
        Followed::Halted(why) => {
            events.mute();
            break_off(child, &mut fold, context, events).await;
            halt.end(ProviderKind::Codex, why)
        }
    }
}

/// Lets the process write down that its turn was broken off, then kills what is left.
async fn break_off(mut child: Child, fold: &mut Codex, context: &Context, events: &mut TurnEvents) {
    child.interrupt();
    let mut grace = Halt::grace(INTERRUPT_GRACE);
    // Its last lines are read so that it is not held up by them.
    while let Followed::Ended(_) = follow(&mut child, fold, events, &mut grace).await {}
    context.family.end(Whom::Everyone).await;
    child.kill().await;
}
