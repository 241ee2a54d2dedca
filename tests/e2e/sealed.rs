//! SPEC "Containers": what a shell command of the agent can reach.

use longshore_tests::{Api, Host, HostOptions, Installation};

#[test]
fn a_container_has_no_network_but_loopback() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        let answer = host.chat(group, "#rehearse shell ls /sys/class/net | tr '\\n' ' '");
        assert_eq!(answer.status, 0, "{answer:?}");
        assert!(answer.stdout.contains("lo") && !answer.stdout.contains("eth"), "{answer:?}");
    }
}

#[test]
fn no_credential_of_the_operator_is_inside() {
    let api = Api::start();
    let installation = Installation::new();
    installation.env(&format!(
        "ANTHROPIC_API_KEY=sk-canary-claude\nCODEX_API_KEY=sk-canary-codex\nANTHROPIC_BASE_URL={}\nOPENAI_BASE_URL={}",
        api.server().anthropic_base(),
        api.server().openai_base()
    ));
    let options = HostOptions { without_rehearsal: true, ..HostOptions::default() };
    let host = Host::start_with(&installation, &options);
    // The command itself is written so that it does not hold what it looks for.
    let look = "#rehearse shell cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' > found.txt; \
                grep -rslF sk-ca''nary- /home /workspace /tmp /run /etc > files.txt; echo looked";
    for group in ["main", "coder"] {
        let answer = host.chat(group, look);
        assert!(answer.status == 0 && answer.stdout.contains("looked"), "{answer:?}");
        let found = std::fs::read_to_string(installation.path(&format!("groups/{group}/found.txt"))).unwrap();
        assert!(found.contains("longshore-placeholder"), "the look itself found nothing");
        assert!(!found.contains("sk-canary"), "a real key is in a process");
        let files = std::fs::read_to_string(installation.path(&format!("groups/{group}/files.txt"))).unwrap();
        assert_eq!(files, "", "a real key is in a file");
    }
    let keys: Vec<String> = api
        .requests()
        .iter()
        .filter_map(|request| {
            request.headers.get("x-api-key").or_else(|| request.headers.get("authorization")).cloned()
        })
        .collect();
    assert!(keys.iter().any(|key| key == "sk-canary-claude"), "{keys:?}");
    assert!(keys.iter().any(|key| key == "Bearer sk-canary-codex"), "{keys:?}");
}

#[test]
fn the_root_is_read_only_and_the_user_is_nobody_special() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat(
        "coder",
        "#rehearse shell touch /usr/x /etc/x /workspace/x 2>/dev/null || echo refused; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; id -u > uid.txt",
    );
    assert!(answer.stdout.contains("refused"), "{answer:?}");
    assert!(answer.stdout.contains("CapBnd:") && answer.stdout.contains("0000000000000000"), "{answer:?}");
    let uid = std::fs::read_to_string(installation.path("groups/coder/uid.txt")).unwrap();
    assert_ne!(uid.trim(), "0");
}

#[test]
fn neither_the_installation_nor_another_group_nor_the_engine_is_mounted() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat("coder", "#rehearse shell cat /proc/self/mountinfo > mounts.txt; ls /workspace /var/run");
    assert_eq!(answer.status, 0, "{answer:?}");
    let mounts = std::fs::read_to_string(installation.path("groups/coder/mounts.txt")).unwrap();
    assert!(mounts.contains("groups/coder"), "{mounts}");
    for secret in ["groups/main", "longshore.db", "/.env", "docker.sock", "data/ipc/main"] {
        assert!(!mounts.contains(secret), "{secret}: {mounts}");
    }
}
