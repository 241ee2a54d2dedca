//! `longshore doctor --fix`: what can be mended without a doubt. Every step is told.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::findings::Mend;
use crate::app;
use crate::cli::image;
use crate::container::{ContainerId, ContainerRuntime};

/// Does all of it; says what was done and what could not be.
pub(super) async fn mend(root: &Path, mends: Vec<Mend>) -> Vec<String> {
    let mut told = Vec::new();
    for mend in mends {
        told.push(match &mend {
            Mend::Mode { path, mode } => {
                let name = name(root, path);
                match fs::set_permissions(path, fs::Permissions::from_mode(*mode)) {
                    Ok(()) => format!("fixed: `{name}` has mode {mode:o} now"),
                    Err(error) => format!("not fixed: the mode of `{name}` stays: {error}"),
                }
            }
            Mend::Folder(path) => {
                let name = name(root, path);
                match fs::DirBuilder::new().mode(0o755).create(path) {
                    Ok(()) => format!("fixed: made the folder `{name}`"),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => format!("fixed: `{name}` is there"),
                    Err(error) => format!("not fixed: the folder `{name}` cannot be made: {error}"),
                }
            }
            Mend::Containers(ids) => containers(root, ids).await,
            Mend::Image => match image::build(image::BuildArgs::usual()).await {
                Ok(()) => "fixed: the agent image is made".to_owned(),
                Err(error) => format!("not fixed: {error:#}"),
            },
        });
    }
    told
}

/// Removes containers that no host has, while none can start.
async fn containers(root: &Path, ids: &[String]) -> String {
    let _lock = match app::lock(root) {
        Ok(lock) => lock,
        Err(error) => return format!("not fixed: containers are left alone: {error:#}"),
    };
    let runtime = crate::cli::engine();
    for (removed, id) in ids.iter().enumerate() {
        if let Err(error) = runtime.remove(&ContainerId(id.clone())).await {
            return format!("not fixed: {removed} of {} containers are removed; {error}", ids.len());
        }
    }
    match ids.len() {
        1 => "fixed: removed a container that no host had".to_owned(),
        number => format!("fixed: removed {number} containers that no host had"),
    }
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
