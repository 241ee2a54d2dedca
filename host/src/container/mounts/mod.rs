//! What of the host a container sees, and the folders that must exist for it.
//!
//! [`plan`] decides and touches nothing; [`prepare`](prepare::prepare) makes it so. Every source lies
//! under the installation's root and belongs to one group or to all; the root itself, the database,
//! `.env`, other groups' folders and the engine's socket are never among them. What an operator adds to
//! that is decided by [`allow`] and looked up by [`extra`].

pub mod allow;
pub mod allowlist;
pub mod extra;
pub mod pattern;
pub mod prepare;

use std::io;
use std::path::{Path, PathBuf};

use longshore_protocol::{GroupId, paths};

use super::LinkKind;
use super::installation::Installation;

pub use self::prepare::{PrepareError, prepare};

/// One folder of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The host's folder: absolute, and existing by the time the container starts.
    pub source: PathBuf,
    /// Where the container sees it.
    pub target: String,
    /// What the container may do there.
    pub access: Access,
}

/// What a container may do with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

impl Mount {
    /// An operator's additional mount, at `/workspace/extra/<name>`. Whether the allowlist permits it
    /// is decided by whoever calls this.
    #[must_use]
    pub fn extra(name: &str, source: PathBuf, access: Access) -> Self {
        Self { source, target: format!("{}/{name}", paths::EXTRA), access }
    }
}

/// What a group's agent may do in the folders that people share with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderAccess {
    /// In the group's own folder.
    pub group: Access,
    /// In what all groups share.
    pub global: Access,
}

impl FolderAccess {
    /// Of an ordinary group.
    pub const ORDINARY: Self = Self { group: Access::ReadWrite, global: Access::ReadOnly };
    /// Of the main group.
    pub const MAIN: Self = Self { group: Access::ReadWrite, global: Access::ReadWrite };
    /// Of a group whose agent is to change nothing.
    pub const OBSERVER: Self = Self { group: Access::ReadOnly, global: Access::ReadOnly };
}

/// The mount of a ChatGPT login for a group that is given it, and the login made the agent's.
///
/// # Errors
/// The login cannot be given to the agent's user.
pub fn login(installation: &Installation, directory: &Path) -> io::Result<Mount> {
    let host = rustix::process::geteuid();
    if host.is_root() && installation.uid != 0 {
        for path in [directory.to_owned(), directory.join("auth.json")] {
            std::os::unix::fs::lchown(path, Some(installation.uid), Some(installation.gid))?;
        }
    }
    Ok(Mount { source: directory.to_owned(), target: paths::CODEX_LOGIN.to_owned(), access: Access::ReadWrite })
}

/// The mounts that every container of the group has; an outer target comes before what lies in it.
#[must_use]
pub fn plan(installation: &Installation, group: &GroupId, access: FolderAccess, link: LinkKind) -> Vec<Mount> {
    use Access::{ReadOnly, ReadWrite};
    let mount = |source, target: &str, access| Mount { source, target: target.to_owned(), access };
    let ipc = installation.ipc_folder(group);
    let mut mounts = vec![
        mount(installation.group_folder(group), paths::GROUP, access.group),
        mount(installation.global_folder(), paths::GLOBAL, access.global),
        mount(ipc.clone(), paths::IPC, ReadOnly),
        mount(ipc.join("messages"), paths::IPC_MESSAGES, ReadWrite),
        mount(ipc.join("tasks"), paths::IPC_TASKS, ReadWrite),
        mount(installation.claude_folder(group), paths::CLAUDE_STATE, ReadWrite),
        mount(installation.codex_folder(group), paths::CODEX_STATE, ReadWrite),
    ];
    if link == LinkKind::Socket {
        // Connecting to a socket needs no write access to its folder, so nobody inside can replace it.
        mounts.push(mount(installation.broker_folder(group), paths::BROKER_DIRECTORY, ReadOnly));
    }
    mounts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn installation() -> Installation {
        Installation { root: "/srv/longshore".into(), root_hash: "0123456789ab".into(), uid: 1000, gid: 1000 }
    }

    fn table(access: FolderAccess) -> String {
        linked(access, LinkKind::Socket)
    }

    fn linked(access: FolderAccess, link: LinkKind) -> String {
        plan(&installation(), &"family".parse().unwrap(), access, link)
            .iter()
            .map(|mount| format!("{} <- {} {:?}\n", mount.target, mount.source.display(), mount.access))
            .collect()
    }

    #[test]
    fn a_group_sees_its_own_folders_and_reads_what_is_shared() {
        insta::assert_snapshot!(table(FolderAccess::ORDINARY), @r"
        /workspace/group <- /srv/longshore/groups/family ReadWrite
        /workspace/global <- /srv/longshore/groups/global ReadOnly
        /workspace/ipc <- /srv/longshore/data/ipc/family ReadOnly
        /workspace/ipc/messages <- /srv/longshore/data/ipc/family/messages ReadWrite
        /workspace/ipc/tasks <- /srv/longshore/data/ipc/family/tasks ReadWrite
        /home/node/.claude <- /srv/longshore/data/sessions/family/.claude ReadWrite
        /home/node/.codex <- /srv/longshore/data/codex/family/.codex ReadWrite
        /run/longshore <- /srv/longshore/data/broker/family ReadOnly
        ");
    }

    #[test]
    fn with_a_link_no_socket_is_mounted() {
        let (socket, link) = (table(FolderAccess::MAIN), linked(FolderAccess::MAIN, LinkKind::Exec));
        assert_eq!(socket, format!("{link}/run/longshore <- /srv/longshore/data/broker/family ReadOnly\n"));
    }

    #[test]
    fn the_main_group_may_write_what_is_shared_and_differs_in_nothing_else() {
        let (main, ordinary) = (table(FolderAccess::MAIN), table(FolderAccess::ORDINARY));
        assert_eq!(main, ordinary.replace("groups/global ReadOnly", "groups/global ReadWrite"));
        assert_ne!(main, ordinary);
    }

    #[test]
    fn an_observer_may_write_neither_in_its_folder_nor_in_what_is_shared() {
        let ordinary = table(FolderAccess::ORDINARY);
        let expected = ordinary.replace("groups/family ReadWrite", "groups/family ReadOnly");
        assert_eq!(table(FolderAccess::OBSERVER), expected);
        assert_ne!(expected, ordinary);
    }

    proptest! {
        #[test]
        fn nothing_outside_the_group_and_what_is_shared_is_ever_mounted(
            name in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
            other in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
            access in prop_oneof![
                Just(FolderAccess::ORDINARY), Just(FolderAccess::MAIN), Just(FolderAccess::OBSERVER)
            ],
            link in prop_oneof![Just(LinkKind::Socket), Just(LinkKind::Exec)],
        ) {
            prop_assume!(!name.eq_ignore_ascii_case("global") && !other.eq_ignore_ascii_case("global") && name != other);
            let (group, other): (GroupId, GroupId) = (name.parse().unwrap(), other.parse().unwrap());
            let installation = installation();
            let root = &installation.root;
            let secrets = [
                root.clone(),
                root.join(".env"),
                root.join("groups"),
                root.join("data"),
                root.join("data/registered_groups.json"),
                root.join("data/longshore.db"),
                root.join("data/ipc"),
                root.join("data/sessions"),
                root.join("data/codex"),
                root.join("data/broker"),
                "/var/run/docker.sock".into(),
                "/run/docker.sock".into(),
            ];
            let theirs: Vec<PathBuf> = plan(&installation, &other, access, link)
                .into_iter()
                .map(|mount| mount.source)
                .filter(|source| *source != installation.global_folder())
                .collect();
            let exposes = |source: &Path, hidden: &Path| hidden.starts_with(source);
            for mount in plan(&installation, &group, access, link) {
                for hidden in secrets.iter().chain(&theirs) {
                    prop_assert!(!exposes(&mount.source, hidden), "{mount:?} exposes {}", hidden.display());
                }
                prop_assert!(mount.source.starts_with(root) && mount.target.starts_with('/'));
                let own = mount.source.components().any(|part| part.as_os_str() == group.as_str());
                prop_assert!(own || mount.source == installation.global_folder(), "{mount:?} is nobody's");
                prop_assert!(!mount.source.components().any(|part| matches!(part, std::path::Component::ParentDir)));
            }
        }
    }
}
