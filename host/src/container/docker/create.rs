//! A [`ContainerSpec`] in the engine's words.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountType, ResourcesUlimits,
};

use super::super::mounts::{Access, Mount};
use super::super::spec::{ContainerSpec, Limits, Scratch, ScratchKind};
use crate::groups::Network;

/// No core dumps, which would hold people's words, and open files enough for any CLI but not for all of
/// the machine's. Processes and memory have their own limits.
const ULIMITS: [(&str, i64); 2] = [("core", 0), ("nofile", 16_384)];

/// The request that creates the container on an engine with so many processors.
#[must_use]
pub fn body(spec: &ContainerSpec, processors: u32) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        // An entry point of ours also keeps the image's arguments out.
        entrypoint: spec.command.clone(),
        hostname: Some(spec.hostname.clone()),
        user: Some(format!("{}:{}", spec.uid, spec.gid)),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(spec.working_directory.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // Otherwise the container's stdin ends with our first connection, and nobody can attach again.
        stdin_once: Some(false),
        tty: Some(false),
        host_config: Some(host_config(spec, processors)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, processors: u32) -> HostConfig {
    let Limits { memory_bytes, milli_cpus, pids } = spec.limits;
    let memory = i64::try_from(memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        network_mode: Some(network_mode(spec.network).to_owned()),
        ipc_mode: Some("private".to_owned()),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        ulimits: Some(ULIMITS.iter().map(|(name, most)| ulimit(name, *most)).collect()),
        // Reaps what CLIs leave behind and passes signals on.
        init: Some(true),
        // A `wait` after an automatic removal answers 404, and why it ended is lost.
        auto_remove: Some(false),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(nano_cpus(milli_cpus, processors)),
        pids_limit: Some(i64::from(pids)),
        // People's words pass through stdout; they belong to the store and nowhere else.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        // `Mounts` and not `Binds`: these refuse a source that is not there instead of making it as root.
        mounts: Some(spec.mounts.iter().map(bind).collect()),
        tmpfs: Some(spec.scratch.iter().map(|scratch| tmpfs(scratch, spec)).collect::<HashMap<_, _>>()),
        ..HostConfig::default()
    }
}

/// The words of every engine for them.
fn network_mode(network: Network) -> &'static str {
    match network {
        Network::None => "none",
        Network::Bridge => "bridge",
    }
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}

/// Engines refuse more processors than they have.
fn nano_cpus(milli_cpus: u32, processors: u32) -> i64 {
    (i64::from(milli_cpus) * 1_000_000).min(i64::from(processors) * 1_000_000_000)
}

fn bind(mount: &Mount) -> EngineMount {
    EngineMount {
        typ: Some(MountType::BIND),
        // Sources are made from an installation's root, which is UTF-8, and from names that are.
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.access == Access::ReadOnly),
        ..EngineMount::default()
    }
}

/// Engines make them `noexec` unless told otherwise, and tools unpack and run programs there.
fn tmpfs(scratch: &Scratch, spec: &ContainerSpec) -> (String, String) {
    let owner = match scratch.kind {
        ScratchKind::Shared => "mode=1777".to_owned(),
        ScratchKind::Own => format!("mode=0700,uid={},gid={}", spec.uid, spec.gid),
    };
    (scratch.target.clone(), format!("rw,exec,nosuid,nodev,size={}m,{owner}", scratch.size_mebibytes))
}

#[cfg(test)]
mod tests {
    use super::super::super::installation::Installation;
    use super::super::super::spec::SpecInput;
    use super::*;

    fn spec(limits: Limits) -> ContainerSpec {
        let installation =
            Installation { root: "/srv/long:shore".into(), root_hash: "0123456789ab".into(), uid: 501, gid: 20 };
        ContainerSpec::new(&SpecInput {
            installation: &installation,
            group: &"main".parse().unwrap(),
            access: crate::container::mounts::FolderAccess::MAIN,
            generation: 1,
            image: "longshore-agent:latest",
            image_id: "sha256:1",
            timezone: "UTC",
            placeholders: &[],
            additional_mounts: &[],
            network: Network::None,
            limits,
            link: crate::container::LinkKind::Socket,
        })
    }

    #[test]
    fn what_the_engine_is_asked_for() {
        let body = body(&spec(Limits::default()), 8);
        insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!(body) });
    }

    #[test]
    fn a_group_on_the_bridge_differs_in_its_network_alone() {
        let sealed = spec(Limits::default());
        let open = ContainerSpec { network: Network::Bridge, ..sealed.clone() };
        let (mut sealed, mut open) = (body(&sealed, 8), body(&open, 8));
        let network = |body: &mut ContainerCreateBody| body.host_config.as_mut().unwrap().network_mode.take();
        assert_eq!(network(&mut sealed).as_deref(), Some("none"));
        assert_eq!(network(&mut open).as_deref(), Some("bridge"));
        assert_eq!(sealed, open);
    }

    /// Each of these would let a container out; a snapshot alone could be accepted by accident.
    #[test]
    fn nothing_of_the_host_is_shared_and_nothing_is_unconfined() {
        let config = body(&spec(Limits::default()), 8).host_config.unwrap();
        assert_eq!(config.ipc_mode.as_deref(), Some("private"));
        // The engine's defaults: namespaces of its own, its own seccomp profile.
        assert_eq!((&config.pid_mode, &config.uts_mode, &config.userns_mode), (&None, &None, &None));
        assert_eq!((&config.cap_add, &config.devices, &config.binds, &config.group_add), (&None, &None, &None, &None));
        assert_eq!(config.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(config.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert_eq!((config.privileged, config.readonly_rootfs), (Some(false), Some(true)));
        assert!(config.memory.is_some_and(|bytes| bytes > 0) && config.pids_limit.is_some_and(|pids| pids > 0));
    }

    #[test]
    fn no_more_processors_are_asked_for_than_there_are() {
        for (milli_cpus, processors, nano) in
            [(2000, 8, 2_000_000_000), (2000, 1, 1_000_000_000), (500, 1, 500_000_000), (u32::MAX, 2, 2_000_000_000)]
        {
            assert_eq!(nano_cpus(milli_cpus, processors), nano);
        }
    }

    #[test]
    fn a_limit_beyond_all_bounds_is_still_a_number() {
        let limits = Limits { memory_bytes: u64::MAX, milli_cpus: u32::MAX, pids: u32::MAX };
        let config = body(&spec(limits), u32::MAX).host_config.unwrap();
        assert_eq!(config.memory, Some(i64::MAX));
        assert!(config.nano_cpus.unwrap() > 0);
    }
}
