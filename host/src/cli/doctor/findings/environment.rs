//! The machine, the engine and the installation's files. Pure.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::{DatabaseSeen, Finding, HostSeen, Mend, Seen, Severity, count, error, instant, note, warning};

/// The image that `longshore image build` makes by itself.
const USUAL_IMAGE: &str = "`longshore-agent:latest`";
/// No clock that is right says less: this release is younger.
const RELEASED: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// How far apart clocks may be.
const APART: SignedDuration = SignedDuration::from_secs(120);
/// With less free than this, nothing can be written soon, in bytes.
const FULL: u64 = 200 << 20;
/// With less than this it is time to do something, in bytes.
const TIGHT: u64 = 2 << 30;
/// Whom `chmod go-rwx` shuts out.
const OTHERS: u32 = 0o077;
/// Whom `chmod o-rwx` does.
const EVERYBODY: u32 = 0o007;

/// What was seen of the machine, the engine and the installation's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cli) struct Environment {
    /// What the engine says of itself.
    pub(in crate::cli) engine: Option<EngineSeen>,
    /// User and group of the agents.
    pub(in crate::cli) agents: Option<(u32, u32)>,
    /// What is in the agents' images: `longshore-agent:latest has claude 2.1 and codex 0.1`.
    pub(in crate::cli) images: Vec<String>,
    /// Where there has to be room.
    pub(in crate::cli) disks: Vec<Disk>,
    /// The permissions of `.env`.
    pub(in crate::cli) env_mode: Option<u32>,
    /// Whether there is a credential in it.
    pub(in crate::cli) env_is_secret: bool,
    /// The permissions of `data/`.
    pub(in crate::cli) data_mode: Option<u32>,
    /// Folders of an installation that are not there.
    pub(in crate::cli) missing_folders: Vec<String>,
    /// Folders that the host's user and the agents cannot write in, each with its owner.
    pub(in crate::cli) foreign_folders: Vec<(String, u32)>,
    /// Folders that belong to no group.
    pub(in crate::cli) strays: Vec<String>,
    /// The installation's containers while no host runs.
    pub(in crate::cli) left_containers: Vec<String>,
}

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cli) struct EngineSeen {
    /// Name and version.
    pub(in crate::cli) name: String,
    /// `1` or `2`, if it says so.
    pub(in crate::cli) cgroup: Option<String>,
    /// It runs without root's rights.
    pub(in crate::cli) rootless: bool,
    /// User ids inside are others outside.
    pub(in crate::cli) maps_users: bool,
    /// Limits that it cannot keep: `memory`, `processes`.
    pub(in crate::cli) without_limits: Vec<&'static str>,
    /// How far its clock is from ours.
    pub(in crate::cli) clock_apart: SignedDuration,
}

/// A place for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Disk {
    /// Whose: `data/`, or the engine's.
    pub(in crate::cli) what: &'static str,
    /// Where.
    pub(in crate::cli) path: PathBuf,
    /// What is free for the likes of us, in bytes.
    pub(in crate::cli) free_bytes: u64,
}

/// What to do about an engine that does not answer, and the command, by its reason.
pub(in crate::cli) fn advice(reason: &str) -> (&'static str, Option<&'static str>) {
    let reason = reason.to_ascii_lowercase();
    if reason.contains("permission denied") {
        let join = "sudo usermod -aG docker $USER";
        (
            "you may not use it: run `sudo usermod -aG docker $USER` and log in anew, or use a rootless engine with `DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock`",
            Some(join),
        )
    } else if ["no socket", "no such file", "connection refused"].iter().any(|text| reason.contains(text)) {
        let start = "sudo systemctl start docker";
        (
            "start it with `sudo systemctl start docker`, or install Docker Engine (`make setup` does); messages are stored meanwhile",
            Some(start),
        )
    } else if reason.contains("no address that can be used") {
        ("correct `DOCKER_HOST` in the environment", None)
    } else {
        ("start it, and see that the host's user may use it; messages are stored meanwhile", None)
    }
}

pub(super) fn engine(seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(reason) = &seen.engine {
        let (next, command) = advice(reason);
        let finding = error("engine", reason, next);
        found.push(match command {
            Some(command) => finding.with(command),
            None => finding,
        });
    }
    for text in &seen.images {
        let (text, next) = text.split_once("; ").unwrap_or((text, "run `longshore image build`"));
        let finding = error("image", text, next);
        let ours = next.contains("longshore image build");
        found.push(if ours { finding.with("longshore image build") } else { finding });
    }
    let Some(engine) = &seen.environment.engine else { return found };
    let EngineSeen { name, cgroup, rootless, maps_users, without_limits, clock_apart } = engine;
    let kind = if *rootless { ", rootless" } else { "" };
    let cgroup = cgroup.as_ref().map(|version| format!(", cgroup v{version}")).unwrap_or_default();
    found.push(note("engine", format!("{name}{cgroup}{kind}"), "nothing to do"));
    if *maps_users {
        let text = match seen.environment.agents {
            Some((uid, _)) => format!(
                "the engine maps user ids: the agents' user {uid} is another one outside, who cannot write in the groups' folders"
            ),
            None => "the engine maps user ids: the agents cannot write in the groups' folders".to_owned(),
        };
        found.push(warning("engine", text, "use an engine without `userns-remap`, or give that user the folders"));
    }
    for limit in without_limits {
        let text = format!("the engine's kernel cannot limit {limit}: one agent can take all of it");
        found.push(warning("engine", text, "enable that controller, as the engine's documentation says"));
    }
    if clock_apart.abs() > APART {
        let text = format!("the engine's clock is {} s from this machine's", clock_apart.abs().as_secs());
        found.push(warning("clock", text, "set both by NTP; a virtual machine that slept is often behind"));
    }
    found
}

pub(super) fn machine(seen: &Seen) -> Vec<Finding> {
    let environment = &seen.environment;
    let mut found: Vec<Finding> = clock(seen).into_iter().collect();
    found.extend(environment.disks.iter().filter_map(disk));
    if let Some(mode) = environment.env_mode.filter(|mode| mode & OTHERS != 0) {
        let text = format!("`.env` can be read by others (mode {:o})", mode & 0o777);
        let severity = if environment.env_is_secret { Severity::Error } else { Severity::Warning };
        found.push(error("files", text, "run `chmod 600 .env`").with("chmod 600 .env").graded(severity));
    }
    if let Some(mode) = environment.data_mode.filter(|mode| mode & EVERYBODY != 0) {
        let text = format!("everybody on this machine can look into `data/` (mode {:o})", mode & 0o777);
        found.push(warning("files", text, "run `chmod o-rwx data`").with("chmod o-rwx data"));
    }
    found.extend(environment.missing_folders.iter().map(|folder| {
        let command = format!("mkdir {folder}");
        warning("files", format!("the folder `{folder}` is missing"), format!("run `{command}`")).with(command)
    }));
    found.extend(environment.foreign_folders.iter().map(|(folder, owner)| {
        let (uid, gid) = environment.agents.unwrap_or_default();
        let command = format!("sudo chown -R {uid}:{gid} {folder}");
        let text = format!("`{folder}` belongs to user {owner}, and user {uid} is who works in it");
        error("files", text, format!("run `{command}`")).with(command)
    }));
    if !environment.left_containers.is_empty() {
        let number = u64::try_from(environment.left_containers.len()).unwrap_or(u64::MAX);
        let text = format!("{} of this installation left without a host", count(number, "container"));
        let next = "the next host takes over or removes them; `longshore doctor --fix` removes them now";
        found.push(warning("container", text, next).with("longshore doctor --fix"));
    }
    found.extend(environment.images.iter().map(|text| note("image", text, "nothing to do")));
    if let Some((uid, gid)) = environment.agents {
        found.push(note("engine", format!("agents are {uid}:{gid} in their containers"), "nothing to do"));
    }
    found.extend(
        environment.strays.iter().map(|folder| {
            note("files", format!("`{folder}` belongs to no group"), "it stays until somebody removes it")
        }),
    );
    found
}

fn clock(seen: &Seen) -> Option<Finding> {
    let next = "set it, by NTP for example: tasks run at wrong times, and logins seem to have ended";
    let set = |finding: Finding| finding.with("sudo timedatectl set-ntp true");
    if seen.now < RELEASED {
        return Some(set(error("clock", format!("this machine's clock says {}", instant(seen.now)), next)));
    }
    let DatabaseSeen::Read(read) = &seen.database else { return None };
    let newest = read.newest_message.filter(|newest| newest.duration_since(seen.now) > APART)?;
    let text = format!("the newest message came at {}, which this machine's clock has not reached", instant(newest));
    Some(set(error("clock", text, next)))
}

fn disk(Disk { what, path, free_bytes }: &Disk) -> Option<Finding> {
    let severity = match *free_bytes {
        ..FULL => Severity::Error,
        FULL..TIGHT => Severity::Warning,
        _ => return None,
    };
    let text = format!("{} MiB are free for {what} at `{}`", free_bytes >> 20, path.display());
    let next = match *what {
        "data/" => "make room: messages are kept waiting while nothing can be stored",
        _ => "make room: `docker image prune` removes images that nothing uses",
    };
    Some(error("disk", text, next).graded(severity))
}

/// What `--fix` may do about all that.
pub(in crate::cli::doctor) fn mends(seen: &Seen, root: &Path) -> Vec<Mend> {
    let environment = &seen.environment;
    let mut mends = Vec::new();
    if environment.env_mode.is_some_and(|mode| mode & OTHERS != 0) {
        mends.push(Mend::Mode { path: root.join(".env"), mode: 0o600 });
    }
    if let Some(mode) = environment.data_mode.filter(|mode| mode & EVERYBODY != 0) {
        mends.push(Mend::Mode { path: root.join("data"), mode: mode & 0o7777 & !EVERYBODY });
    }
    mends.extend(environment.missing_folders.iter().map(|folder| Mend::Folder(root.join(folder))));
    // A host that runs has them, or is about to.
    if matches!(seen.host, HostSeen::Stopped) && !environment.left_containers.is_empty() {
        mends.push(Mend::Containers(environment.left_containers.clone()));
    }
    // Another image is the operator's own matter.
    if seen.images.iter().any(|text| text.contains(USUAL_IMAGE) && text.contains("longshore image build")) {
        mends.push(Mend::Image);
    }
    mends
}
