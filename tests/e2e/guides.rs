//! What the guides show works as they show it.

use std::fs;

use longshore_tests::{Host, Installation};

/// The first block of a language in a guide.
fn block(guide: &str, language: &str) -> String {
    let path = format!("{}/../docs/{guide}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_channel_of_the_guide_is_whole_in_thirty_lines() {
    let program = block("adapters.md", "python");
    assert!(program.lines().count() <= 30, "{} lines", program.lines().count());
    let installation = Installation::new();
    fs::write(installation.path("file_channel.py"), program).unwrap();
    fs::write(installation.path("said.txt"), "what day is it?\n").unwrap();
    installation.env(&format!(
        "CHANNELS=console,file\nCHANNEL_FILE=\"python3 {0}/file_channel.py {0}\"",
        installation.root().display()
    ));
    let added = installation.longshore(&["groups", "add", "file:1", "--folder", "files", "--no-trigger"]);
    assert!(added.status.success(), "{added:?}");
    let heard = |_: &mut Host<'_>| fs::read_to_string(installation.path("heard.txt")).unwrap_or_default();
    let mut host = Host::start(&installation);
    host.wait_until("the line is answered", |host| heard(host).contains("what day is it?"));
    // It tells everything again after a restart, and nothing is answered twice.
    let mut host = Host::start_again(host);
    fs::write(installation.path("said.txt"), "what day is it?\nand tomorrow?\n").unwrap();
    host.wait_until("the new line is answered", |host| heard(host).contains("and tomorrow?"));
    assert_eq!(heard(&mut host).lines().count(), 2, "{}", heard(&mut host));
}
