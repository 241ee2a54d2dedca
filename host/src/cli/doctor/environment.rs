//! Looks at the machine, the engine and the installation's files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::PATIENCE;
use super::findings::{Disk, EngineSeen, Environment, HostSeen};
use crate::clock::Clock;
use crate::container::docker::DockerRuntime;
use crate::container::docker::describe::Description;
use crate::container::installation::Installation;
use crate::container::{ContainerRuntime, ImageInfo};

/// Folders with one folder for each group.
const BY_GROUP: [&str; 5] = ["groups", "data/ipc", "data/sessions", "data/codex", "data/broker"];
/// What else is in them.
const NO_GROUPS: [&str; 2] = ["global", "errors"];
/// Folders that every installation has.
const FOLDERS: [&str; 2] = ["groups", "groups/global"];
/// How many folders without a group are told.
const MAX_STRAYS: usize = 50;

/// What was seen.
pub(super) struct Surroundings {
    /// Why the engine does not answer.
    pub(super) engine: Option<String>,
    /// What is wrong with the agents' images.
    pub(super) images: Vec<String>,
    /// Everything else.
    pub(super) environment: Environment,
}

/// Looks. `groups` are the groups' folders, if it is known which there are.
pub(super) async fn look(
    root: &Path,
    host: &HostSeen,
    images: BTreeSet<String>,
    groups: Option<&[String]>,
) -> Surroundings {
    let runtime = crate::cli::engine();
    let asked = tokio::time::timeout(PATIENCE, runtime.describe()).await;
    let (ours, described) = match asked {
        Ok(Ok(described)) => (None, Some(described)),
        Ok(Err(error)) => (Some(error.to_string()), None),
        Err(_) => (Some(format!("the container engine does not answer: no reply in {} s", PATIENCE.as_secs())), None),
    };
    let mut environment = files(root, groups);
    environment.disks.extend(disk("data/", &root.join("data")));
    let mut problems = Vec::new();
    if let Some(description) = described {
        environment.disks.extend(description.data.as_deref().and_then(|path| disk("the engine", path)));
        for image in images {
            match tokio::time::timeout(PATIENCE, runtime.image(&image)).await {
                Ok(Ok(info)) => environment.images.push(render(&image, &info)),
                Ok(Err(error)) => problems.push(error.to_string()),
                Err(_) => {}
            }
        }
        if matches!(host, HostSeen::Stopped) {
            environment.left_containers = left_containers(root, &runtime).await;
        }
        environment.engine = Some(engine(description));
    }
    let engine = match host {
        // The host's own view is the one that counts: its environment may name another engine.
        HostSeen::Running(status) => status.engine.as_ref().err().cloned(),
        _ => ours,
    };
    Surroundings { engine, images: problems, environment }
}

fn engine(description: Description) -> EngineSeen {
    let Description { name, cgroup, rootless, maps_users, limits_memory, limits_processes, time, .. } = description;
    let cannot = [(limits_memory, "memory"), (limits_processes, "processes")];
    EngineSeen {
        name,
        cgroup,
        rootless,
        maps_users,
        without_limits: cannot.into_iter().filter(|(can, _)| !can).map(|(_, what)| what).collect(),
        clock_apart: time.map(|time| time.duration_since(Clock::system().now())).unwrap_or_default(),
    }
}

fn render(image: &str, ImageInfo { claude, codex, .. }: &ImageInfo) -> String {
    let of = |name: &str, version: &Option<String>| match version {
        Some(version) => format!("{name} {version}"),
        None => format!("{name} of unknown version"),
    };
    format!("`{image}` has {} and {}", of("claude", claude), of("codex", codex))
}

async fn left_containers(root: &Path, runtime: &DockerRuntime) -> Vec<String> {
    let Ok(installation) = Installation::of(root) else { return Vec::new() };
    let listed = tokio::time::timeout(PATIENCE, runtime.list(&installation.root_hash)).await;
    listed.ok().and_then(Result::ok).unwrap_or_default().into_iter().map(|existing| existing.id.0).collect()
}

/// What can be seen without opening anything: names and permissions.
fn files(root: &Path, groups: Option<&[String]>) -> Environment {
    let mode = |path: PathBuf| fs::metadata(path).ok().map(|found| found.permissions().mode());
    Environment {
        agents: Installation::of(root).ok().map(|here| (here.uid, here.gid)),
        env_mode: mode(root.join(".env")),
        data_mode: mode(root.join("data")),
        missing_folders: FOLDERS.into_iter().filter(|folder| !root.join(folder).exists()).map(str::to_owned).collect(),
        foreign_folders: foreign(root, groups.unwrap_or_default()),
        strays: groups.map(|groups| strays(root, groups)).unwrap_or_default(),
        ..Environment::default()
    }
}

/// Folders of others. A host that runs as root gives its agents their folders itself.
fn foreign(root: &Path, groups: &[String]) -> Vec<(String, u32)> {
    let us = rustix::process::geteuid();
    let folders = groups.iter().map(|group| format!("groups/{group}")).chain(["data".to_owned()]);
    let owner = |folder: &str| fs::symlink_metadata(root.join(folder)).ok().map(|found| found.uid());
    folders
        .filter(|_| !us.is_root())
        .filter_map(|folder| owner(&folder).map(|owner| (folder, owner)))
        .filter(|(_, owner)| *owner != us.as_raw())
        .collect()
}

fn strays(root: &Path, groups: &[String]) -> Vec<String> {
    let mut strays = Vec::new();
    for folder in BY_GROUP {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        // Of a link this is the link's own kind.
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for name in folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).take(100 * MAX_STRAYS) {
            if !NO_GROUPS.contains(&name.as_str()) && !groups.contains(&name) {
                strays.push(format!("{folder}/{name}"));
            }
        }
    }
    strays.sort();
    strays.truncate(MAX_STRAYS);
    strays
}

fn disk(what: &'static str, path: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(Disk { what, path: path.to_owned(), free_bytes: found.f_bavail.saturating_mul(found.f_frsize) })
}
