//! May the operator's additional mount be made? Pure: what the list says and what the path is are given.

use std::path::{Component, Path, PathBuf};

use longshore_protocol::GroupId;
use thiserror::Error;

use super::pattern::Pattern;
use super::{Access, Mount};
use crate::groups::{ApprovalPolicy, ExtraMount};

/// The system's own: never mounted, nor anything in them, nor anything that holds them.
const SYSTEM: [&str; 9] =
    ["/etc", "/proc", "/sys", "/dev", "/run", "/var/run", "/boot", "/var/lib/docker", "/var/lib/containerd"];

/// The longest name under `/workspace/extra`, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// What the mount allowlist permits, its folders looked up.
#[derive(Debug, Clone, Default)]
pub struct Permits {
    /// The folders of which something may be mounted.
    pub roots: Vec<Root>,
    /// What no name in a path may be.
    pub blocked: Vec<Pattern>,
    /// Whether groups other than the main one may only read.
    pub non_main_read_only: bool,
}

/// A folder of which something may be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Where it really is.
    pub path: PathBuf,
    /// What a container may do there at most.
    pub access: Access,
}

/// What an operator wants for a group.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The mount.
    pub mount: &'a ExtraMount,
    /// Whether it is for the main group.
    pub is_main: bool,
    /// How freely the group's agent acts.
    pub approval: ApprovalPolicy,
}

/// What the path of a wish is, at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it was written, from the root of the file system on.
    pub written: PathBuf,
    /// Where it really is: no component is a link.
    pub path: PathBuf,
    /// What is there.
    pub kind: SourceKind,
    /// Every folder from `/` on, and the source itself last.
    pub steps: Vec<Step>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A socket.
    Socket,
    /// A pipe or a device.
    Other,
}

/// Whose a component of a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its path.
    pub path: PathBuf,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions, the sticky bit included.
    pub mode: u32,
}

/// What must stay out of containers, and who is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The installation's root.
    pub installation: &'a Path,
    /// The operator's home.
    pub home: &'a Path,
    /// The folder of the allowlists.
    pub settings: &'a Path,
    /// The engine's socket, if the environment names one.
    pub engine_socket: Option<&'a Path>,
    /// The host's own user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Folders of the host that some group's agent may write, beside those of the installation.
    pub writable: &'a [(PathBuf, GroupId)],
}

/// Why a mount is not made. The texts are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The list cannot be used, or there is none.
    #[error("{0}")]
    NoList(String),
    /// The host's path means nothing by itself.
    #[error("the host's path must start with `/` or `~/`")]
    Relative,
    /// It cannot be looked up.
    #[error("it cannot be looked up: {0}")]
    Unresolved(String),
    /// Its name in the container is none.
    #[error(
        "`{0}` cannot be its name under `/workspace/extra`: parts of letters and signs without `:`, `..` or an empty part, \
         not starting with `/`, at most 255 bytes"
    )]
    Name(String),
    /// Another mount of the group is there.
    #[error("`/workspace/extra/{0}` is taken, or lies in or around another of the group's mounts")]
    Taken(String),
    /// Neither a folder nor a file.
    #[error("it is a socket, a pipe or a device")]
    Kind,
    /// What no list can permit.
    #[error("`{}` is never mounted: {why}", path.display())]
    Never {
        /// What would be exposed.
        path: PathBuf,
        /// What that is.
        why: &'static str,
    },
    /// A name in the path is blocked.
    #[error("a name in its path is blocked by `{0}`")]
    Blocked(String),
    /// It lies in no allowed root.
    #[error("it lies in none of the list's `allowedRoots`")]
    Outside,
    /// Somebody could put something else in its place.
    #[error("`{}` could be exchanged while the container starts, by {who}", path.display())]
    Exchangeable {
        /// Which component.
        path: PathBuf,
        /// By whom.
        who: String,
    },
    /// Its path cannot be told to the engine.
    #[error("its path is not UTF-8")]
    NotUtf8,
}

/// Decides about one mount.
///
/// # Errors
/// The first reason against it.
pub fn decide(wish: Wish<'_>, source: &Source, permits: &Permits, ground: &Ground<'_>) -> Result<Mount, Refusal> {
    let name = name(wish.mount)?;
    if source.path.to_str().is_none() {
        return Err(Refusal::NotUtf8);
    }
    if !matches!(source.kind, SourceKind::Folder | SourceKind::File) {
        return Err(Refusal::Kind);
    }
    never(&source.path, ground)?;
    for path in [&source.path, &source.written] {
        if let Some(pattern) = permits.blocked.iter().find(|pattern| pattern.blocks(path)) {
            return Err(Refusal::Blocked(pattern.to_string()));
        }
    }
    let roots = permits.roots.iter().filter(|root| source.path.starts_with(&root.path));
    // The innermost root is the one that says most exactly what may be done there.
    let root = roots.max_by_key(|root| root.path.components().count()).ok_or(Refusal::Outside)?;
    exchangeable(source, ground)?;
    let access = match (wish.mount.readonly, root.access, wish.approval) {
        (false, Access::ReadWrite, ApprovalPolicy::Auto | ApprovalPolicy::Full)
            if wish.is_main || !permits.non_main_read_only =>
        {
            Access::ReadWrite
        }
        _ => Access::ReadOnly,
    };
    Ok(Mount::extra(&name, source.path.clone(), access))
}

/// The mount's name under `/workspace/extra`.
fn name(mount: &ExtraMount) -> Result<String, Refusal> {
    let written = match &mount.container_path {
        Some(name) => name.clone(),
        None => match Path::new(&mount.host_path).components().next_back() {
            Some(Component::Normal(name)) if name != "~" => name.to_string_lossy().into_owned(),
            _ => return Err(Refusal::Name(mount.host_path.clone())),
        },
    };
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_name = written.split('/').all(is_part) && !written.chars().any(|c| c == ':' || c.is_control());
    if is_name && written.len() <= MAX_NAME_BYTES { Ok(written) } else { Err(Refusal::Name(written)) }
}

/// Whether one of the targets is, holds or lies in the other.
#[must_use]
pub fn collide(one: &Mount, other: &Mount) -> bool {
    overlap(Path::new(&one.target), Path::new(&other.target))
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn never(path: &Path, ground: &Ground<'_>) -> Result<(), Refusal> {
    let refuse = |hidden: &Path, why| Err(Refusal::Never { path: hidden.to_owned(), why });
    if path.parent().is_none() {
        return refuse(path, "it is the whole file system");
    }
    for system in SYSTEM.map(Path::new) {
        if overlap(path, system) {
            return refuse(system, "it is the system's own");
        }
    }
    if ground.home.starts_with(path) {
        return refuse(ground.home, "it is the operator's home; name a folder in it");
    }
    if overlap(path, ground.installation) {
        return refuse(ground.installation, "it is the installation, with its database and its secrets");
    }
    if overlap(path, ground.settings) {
        return refuse(ground.settings, "it holds the lists that decide about mounts and senders");
    }
    match ground.engine_socket {
        Some(socket) if socket.starts_with(path) => refuse(socket, "it is the engine's socket"),
        _ => Ok(()),
    }
}

/// The engine mounts by path, after this was decided: nobody who is not trusted may be able to put
/// something else in the place of a component.
fn exchangeable(source: &Source, ground: &Ground<'_>) -> Result<(), Refusal> {
    let refuse = |step: &Step, who: String| Err(Refusal::Exchangeable { path: step.path.clone(), who });
    for (folder, group) in ground.writable {
        if source.path.starts_with(folder) && source.path != *folder {
            let who = format!("the agent of group `{group}`, which may write in `{}`", folder.display());
            return Err(Refusal::Exchangeable { path: source.path.clone(), who });
        }
    }
    let trusted = |step: &Step| step.uid == 0 || step.uid == ground.uid;
    for (step, inner) in source.steps.iter().zip(source.steps.iter().skip(1)) {
        if !trusted(step) {
            return refuse(inner, format!("user {}, who owns `{}`", step.uid, step.path.display()));
        }
        let of_others = step.mode & 0o002 != 0;
        let of_group = step.mode & 0o020 != 0 && step.gid != 0 && step.gid != ground.gid;
        // In a sticky folder everybody may make something, and only its owner may put it elsewhere.
        let is_kept = step.mode & 0o1000 != 0 && trusted(inner);
        if (of_others || of_group) && !is_kept {
            return refuse(inner, format!("others, who may write in `{}`", step.path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
