//! SPEC "The operator's lists": what is mounted beyond the group's own, and who may wake an agent.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use longshore_tests::{Host, Installation};

use crate::chat::store;
use crate::routing::said;

pub(crate) fn list(installation: &Installation, name: &str, text: &str) {
    let folder = installation.path(".config/longshore");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

/// A folder that any user may read and write in.
fn shared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["notes", "kept"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("page"), format!("this is {name}\n")).unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn register(installation: &Installation, shared: &Path) {
    let at = |name: &str| shared.join(name).display().to_string();
    let groups = serde_json::json!({
        "console:main": { "name": "Main", "folder": "main", "isMain": true, "containerConfig": { "additionalMounts": [
            { "hostPath": at("notes"), "readonly": false },
            { "hostPath": at("kept") },
            { "hostPath": at("link") },
            { "hostPath": "/etc", "containerPath": "etc" },
            { "hostPath": installation.root() }
        ] } }
    });
    installation.groups(&groups.to_string());
}

#[test]
fn a_container_has_what_the_list_permits_and_the_rest_is_told() {
    let (installation, shared) = (Installation::new(), shared());
    symlink(installation.path("data"), shared.path().join("link")).unwrap();
    register(&installation, shared.path());
    let root = serde_json::json!({ "path": "/", "allowReadWrite": true });
    list(&installation, "mount-allowlist.json", &serde_json::json!({ "allowedRoots": [root] }).to_string());
    let host = Host::start(&installation);
    let look = "#rehearse shell cd /workspace/extra && ls; cat */page; \
                for place in *; do touch $place/new 2>/dev/null && echo wrote $place; done";
    let answer = host.chat("main", look);
    assert!(answer.stdout.contains("this is notes") && answer.stdout.contains("this is kept"), "{answer:?}");
    assert!(answer.stdout.contains("wrote notes") && !answer.stdout.contains("wrote kept"), "{answer:?}");
    assert!(!answer.stdout.contains("etc") && !answer.stdout.contains("link"), "{answer:?}");
    assert!(shared.path().join("notes/new").exists());
    for told in [host.log(), String::from_utf8(installation.longshore(&["doctor"]).stdout).unwrap()] {
        for refused in ["`/etc` is never mounted", "link` is not mounted", "it is the installation"] {
            assert!(told.contains(refused), "{refused}: {told}");
        }
    }
}

#[test]
fn with_a_broken_list_the_agent_answers_without_the_mounts() {
    let (installation, shared) = (Installation::new(), shared());
    register(&installation, shared.path());
    list(&installation, "mount-allowlist.json", "{");
    let host = Host::start(&installation);
    let answer = host.chat("main", "#rehearse shell ls /workspace/extra 2>/dev/null; echo looked");
    assert!(answer.stdout.contains("looked") && !answer.stdout.contains("notes"), "{answer:?}");
    let doctor = installation.longshore(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("is never closed"), "{doctor:?}");
}

#[test]
fn only_a_group_that_says_so_reaches_the_network() {
    let installation = Installation::new();
    installation.groups(
        r#"{"console:main": {"name": "Main", "folder": "main", "isMain": true, "containerConfig": {"network": "bridge"}},
            "console:two": {"name": "Two", "folder": "two", "requiresTrigger": false}}"#,
    );
    let host = Host::start(&installation);
    let look = "#rehearse shell ls /sys/class/net | tr '\\n' ' '";
    let (open, sealed) = (host.chat("main", look), host.chat("two", look));
    assert!(open.stdout.contains("eth0"), "{open:?}");
    assert!(sealed.stdout.contains("lo") && !sealed.stdout.contains("eth"), "{sealed:?}");
    let doctor = installation.longshore(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("group `main` reaches the network"), "{doctor:?}");
}

#[test]
fn whoever_is_not_on_the_list_is_heard_and_not_answered_or_not_even_heard() {
    for (mode, kept) in [("trigger", 3), ("drop", 1)] {
        let (installation, received) = said(&[
            "test:family|eve|@Andy first",
            "test:family|bob|@Andy second",
            "test:family|ann|@Andy what was that?",
        ]);
        let text = format!(r#"{{"default": {{"allow": ["ann"], "mode": "{mode}"}}}}"#);
        list(&installation, "sender-allowlist.json", &text);
        let mut host = Host::start(&installation);
        host.wait_until("the reply arrived", |_| !std::fs::read_to_string(&received).unwrap().is_empty());
        assert_eq!(store(&installation, "SELECT count(*) FROM messages"), kept, "{mode}");
        assert_eq!(store(&installation, "SELECT count(*) FROM messages WHERE wakes = 1"), 1, "{mode}");
        assert_eq!(store(&installation, "SELECT count(*) FROM turns"), 1, "{mode}");
        let reply = std::fs::read_to_string(&received).unwrap();
        assert_eq!(reply.contains("first"), mode == "trigger", "{reply}");
    }
}
