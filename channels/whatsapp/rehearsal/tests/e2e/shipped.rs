//! What is shipped is not what is tested in one respect: it checks the server's certificates.

use std::process::Command;

fn tree(arguments: &[&str]) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--manifest-path", manifest, "-f", "{p} {f}"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_shipped_binary_checks_the_servers_certificates() {
    let shipped = tree(&["-e", "no-dev", "-p", "longshore-whatsapp"]);
    assert!(shipped.contains("whatsapp-rust v0.7.0"), "{shipped}");
    assert!(!shipped.contains("danger"), "{shipped}");
    assert!(!shipped.contains("rehearsal"), "{shipped}");
    // The check can fail: the tests' own build has what it looks for.
    let tested = tree(&["-e", "no-dev", "-p", "longshore-whatsapp-rehearsal"]);
    assert!(tested.contains("danger-skip-cert-chain-verify"), "{tested}");
}
