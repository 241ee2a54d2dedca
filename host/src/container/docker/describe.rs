//! What an engine says of itself and of its machine, for an operator.

use std::path::PathBuf;

use jiff::Timestamp;

use super::super::{Place, RuntimeError};
use super::failure::runtime_error;
use super::{DockerRuntime, engine_name, exec};

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Name, version and API version.
    pub name: String,
    /// The version of the control groups by which it limits containers: `1` or `2`.
    pub cgroup: Option<String>,
    /// It runs without root's rights.
    pub rootless: bool,
    /// User ids in its containers are others outside.
    pub maps_users: bool,
    /// It can limit memory.
    pub limits_memory: bool,
    /// It can limit the number of processes.
    pub limits_processes: bool,
    /// The time on its machine.
    pub time: Option<Timestamp>,
    /// Where it keeps images and containers, if that is on this machine.
    pub data: Option<PathBuf>,
}

impl DockerRuntime {
    /// What the engine says of itself. What it does not say counts as being well.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] or [`RuntimeError::Refused`].
    pub async fn describe(&self) -> Result<Description, RuntimeError> {
        let docker = self.client()?;
        let version = docker.version().await.map_err(runtime_error)?;
        let info = docker.info().await.map_err(runtime_error)?;
        let options = info.security_options.unwrap_or_default();
        let has =
            |name: &str| options.iter().any(|option| option.split(',').any(|part| part == format!("name={name}")));
        let system = info.operating_system.unwrap_or_default();
        let kernel = info.kernel_version.unwrap_or_default();
        let place = exec::place(&self.host, &system, &kernel, exec::kernel().as_deref());
        let rootless = has("rootless");
        Ok(Description {
            name: engine_name(&version),
            cgroup: info.cgroup_version.map(|version| version.to_string()).filter(|version| !version.is_empty()),
            rootless,
            maps_users: rootless || has("userns"),
            limits_memory: info.memory_limit.unwrap_or(true),
            limits_processes: info.pids_limit.unwrap_or(true),
            time: info.system_time.and_then(|time| time.parse().ok()),
            data: info.docker_root_dir.map(PathBuf::from).filter(|_| place == Place::Here),
        })
    }
}
