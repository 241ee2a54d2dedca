//! Everything that a container is, decided before any engine is asked.
//!
//! The answer to "what can a container touch?" is this file and [`mounts`].

use std::collections::BTreeMap;

use longshore_protocol::{GroupId, PROTOCOL_VERSION, paths};
use sha2::{Digest, Sha256};

use super::LinkKind;
use super::installation::Installation;
use super::mounts::{self, FolderAccess, Mount};
use crate::groups::Network;

/// Label with [`Installation::root_hash`]: which installation the container belongs to.
pub const LABEL_ROOT: &str = "longshore.root";
/// Label with the group's folder name.
pub const LABEL_GROUP: &str = "longshore.group";
/// Label with the generation of the groups file that the container was made from.
pub const LABEL_GENERATION: &str = "longshore.generation";

/// Label with a hash of everything else that the container is, its image included: a host takes over the
/// ones that it would start itself.
pub const LABEL_SPEC: &str = "longshore.spec";

/// What one group's container is. Not in here, because it is the same for all and open to no choice:
/// a read-only root, no capabilities, no new privileges, the engine's seccomp profile, namespaces of its
/// own for everything, no core dumps, no log kept by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Start of the container's name, for people; the runtime adds something random. Containers are
    /// found by label, never by name.
    pub name_prefix: String,
    /// The image's reference.
    pub image: String,
    /// Runs instead of the image's entry point; the first word is the program.
    pub command: Option<Vec<String>>,
    /// The container's host name.
    pub hostname: String,
    /// User id of every process inside.
    pub uid: u32,
    /// Group id of every process inside.
    pub gid: u32,
    /// The whole environment beyond what the image sets.
    pub env: BTreeMap<String, String>,
    /// Where the entry point starts.
    pub working_directory: String,
    /// What of the network it reaches by itself.
    pub network: Network,
    /// Folders of the host.
    pub mounts: Vec<Mount>,
    /// Folders in memory, gone with the container.
    pub scratch: Vec<Scratch>,
    /// What the container may use up.
    pub limits: Limits,
    /// How the container is found again.
    pub labels: BTreeMap<String, String>,
}

/// A folder in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Where the container sees it.
    pub target: String,
    /// How much it may hold; what it holds counts as the container's memory.
    pub size_mebibytes: u32,
    /// Who may write there.
    pub kind: ScratchKind,
}

/// Who a folder in memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScratchKind {
    /// Every user, as `/tmp` is.
    Shared,
    /// The container's user alone.
    Own,
}

/// What a container may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory, swap included, in bytes. Engines refuse less than 6 MiB.
    pub memory_bytes: u64,
    /// Processor time in thousandths of a processor; the runtime lowers it to what the engine has.
    pub milli_cpus: u32,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 2 * 1024 * 1024 * 1024, milli_cpus: 2000, pids: 512 }
    }
}

/// What a container's spec follows from.
#[derive(Debug, Clone, Copy)]
pub struct SpecInput<'a> {
    /// Where the host's folders are and who agents are.
    pub installation: &'a Installation,
    /// Whose container it is.
    pub group: &'a GroupId,
    /// What the agent may do in the folders that people share with it.
    pub access: FolderAccess,
    /// Generation of the groups file.
    pub generation: u64,
    /// The agent image's reference.
    pub image: &'a str,
    /// The engine's id of that image.
    pub image_id: &'a str,
    /// IANA name of the time zone.
    pub timezone: &'a str,
    /// What stands for credentials and the way out, as environment variables. None may change what the
    /// spec itself sets.
    pub placeholders: &'a [(&'a str, &'a str)],
    /// The operator's mounts that the allowlist permits.
    pub additional_mounts: &'a [Mount],
    /// What of the network it reaches by itself.
    pub network: Network,
    /// What it may use up.
    pub limits: Limits,
    /// How it reaches the broker.
    pub link: LinkKind,
}

impl ContainerSpec {
    /// The spec of the group's container.
    #[must_use]
    pub fn new(input: &SpecInput<'_>) -> Self {
        let group = input.group.as_str();
        let mut mounts = mounts::plan(input.installation, input.group, input.access, input.link);
        mounts.extend_from_slice(input.additional_mounts);
        let mut spec = Self {
            name_prefix: format!("longshore-{group}"),
            image: input.image.to_owned(),
            command: None,
            hostname: hostname(group),
            uid: input.installation.uid,
            gid: input.installation.gid,
            env: environment(input),
            working_directory: paths::GROUP.to_owned(),
            network: input.network,
            mounts,
            scratch: scratch(),
            limits: input.limits,
            labels: BTreeMap::new(),
        };
        // Generations are counted anew by each host.
        let hash = spec.hash(input.image_id);
        spec.labels = BTreeMap::from([
            (LABEL_ROOT.to_owned(), input.installation.root_hash.clone()),
            (LABEL_GROUP.to_owned(), group.to_owned()),
            (LABEL_GENERATION.to_owned(), input.generation.to_string()),
            (LABEL_SPEC.to_owned(), hash),
        ]);
        spec
    }

    /// First 16 hexadecimal digits of a SHA-256 of the spec and its image.
    fn hash(&self, image_id: &str) -> String {
        let text = format!("{PROTOCOL_VERSION} {image_id} {self:?}");
        Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn environment(input: &SpecInput<'_>) -> BTreeMap<String, String> {
    let own = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", paths::HOME),
        ("LANG", "C.UTF-8"),
        ("TZ", input.timezone),
        // `claude` keeps a file beside its folder, too, unless it is told the folder.
        ("CLAUDE_CONFIG_DIR", paths::CLAUDE_STATE),
        ("CODEX_HOME", paths::CODEX_STATE),
        ("LONGSHORE_GROUP", input.group.as_str()),
    ];
    let link: &[(&str, &str)] = match input.link {
        // The runner's own way, and that of older ones.
        LinkKind::Socket => &[],
        LinkKind::Exec => &[(paths::LINK_VARIABLE, paths::LINK_EXEC)],
    };
    // A later entry replaces an earlier one of the same name.
    input
        .placeholders
        .iter()
        .chain(&own)
        .chain(link)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The root is read-only; these are where programs expect to write nevertheless. The home is one of
/// them, so that only the two state folders mounted in it outlive the container.
fn scratch() -> Vec<Scratch> {
    let of = |target: &str, size_mebibytes, kind| Scratch { target: target.to_owned(), size_mebibytes, kind };
    vec![
        of("/tmp", 512, ScratchKind::Shared),
        of("/var/tmp", 128, ScratchKind::Shared),
        of(paths::HOME, 256, ScratchKind::Own),
    ]
}

/// The group's name as a host name: no underscores, at most 63 characters (RFC 1123).
fn hostname(group: &str) -> String {
    let name: String = group.chars().take(63).map(|c| if c == '_' { '-' } else { c }).collect();
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::mounts::Access;
    use super::*;

    fn spec(
        group: &str,
        access: FolderAccess,
        placeholders: &[(&str, &str)],
        additional_mounts: &[Mount],
        link: LinkKind,
    ) -> ContainerSpec {
        let installation =
            Installation { root: "/srv/longshore".into(), root_hash: "0123456789ab".into(), uid: 1000, gid: 1000 };
        ContainerSpec::new(&SpecInput {
            installation: &installation,
            group: &group.parse().unwrap(),
            access,
            generation: 7,
            image: "longshore-agent:latest",
            image_id: "sha256:1",
            timezone: "Europe/Berlin",
            placeholders,
            additional_mounts,
            network: Network::None,
            limits: Limits::default(),
            link,
        })
    }

    #[test]
    fn a_group_s_container() {
        let extra = Mount::extra("notes", "/home/ada/notes".into(), Access::ReadOnly);
        insta::assert_debug_snapshot!(spec(
            "family-chat",
            FolderAccess::ORDINARY,
            &[("ANTHROPIC_API_KEY", paths::PLACEHOLDER_CREDENTIAL)],
            &[extra],
            LinkKind::Socket
        ));
    }

    #[test]
    fn a_container_with_a_link_differs_in_the_socket_s_folder_and_one_variable_and_is_another() {
        let spec = |link| spec("family-chat", FolderAccess::ORDINARY, &[(paths::LINK_VARIABLE, "evil")], &[], link);
        let (socket, mut linked) = (spec(LinkKind::Socket), spec(LinkKind::Exec));
        assert_ne!(socket.labels[LABEL_SPEC], linked.labels[LABEL_SPEC]);
        assert_eq!(linked.env.insert("LONGSHORE_LINK".into(), "evil".into()).as_deref(), Some("exec"));
        linked.labels.clone_from(&socket.labels);
        let folder = socket.mounts.last().unwrap().clone();
        assert_eq!(folder.target, paths::BROKER_DIRECTORY);
        linked.mounts.push(folder);
        assert_eq!(linked, socket);
    }

    #[test]
    fn a_placeholder_cannot_change_what_the_spec_sets() {
        let spec = spec(
            "family",
            FolderAccess::ORDINARY,
            &[("HOME", "/root"), ("PATH", "/evil"), ("NEW", "x")],
            &[],
            LinkKind::Socket,
        );
        assert_eq!(spec.env["HOME"], paths::HOME);
        assert!(spec.env["PATH"].starts_with("/usr/local"));
        assert_eq!(spec.env["NEW"], "x");
    }

    #[test]
    fn every_group_name_gives_a_host_name() {
        for (group, expected) in
            [("main", "main"), ("a_b", "a-b"), ("a__", "a"), (&"x".repeat(64), &"x".repeat(63)), ("9", "9")]
        {
            assert_eq!(spec(group, FolderAccess::MAIN, &[], &[], LinkKind::Exec).hostname, expected);
        }
    }
}
