//! SPEC "Inbound" and "Outbox": whatever a channel does wrong, nothing is lost and nothing is said twice.

use std::path::{Path, PathBuf};

use longshore_tests::{Host, Installation};

use crate::chat::store;

/// What Ann says, one after the other. What the second leads to is longer than one message.
const SAID: [&str; 3] = ["#rehearse say first answer", "#rehearse big 6000", "#rehearse say last answer"];

/// One host whose channels have these faults; each has its own platform, chat and group.
struct Faults {
    installation: Installation,
    faults: &'static [&'static str],
}

impl Faults {
    fn new(faults: &'static [&'static str]) -> Self {
        let installation = Installation::new();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fault_adapter.py");
        let said: String = SAID.iter().map(|text| format!(" --say '{text}'")).collect();
        let all = Self { installation, faults };
        let mut settings = format!("CHANNELS={}", all.names().join(","));
        let mut groups = serde_json::Map::new();
        for (name, fault) in all.names().iter().zip(faults) {
            let (key, platform) = (name.to_uppercase(), all.platform(name));
            settings.push_str(&format!(
                "\nCHANNEL_{key}=\"python3 {} '{fault}' --chat {name}:1{said} --platform {}\"",
                script.display(),
                platform.display()
            ));
            let group = serde_json::json!({"name": name, "folder": name, "requiresTrigger": false});
            groups.insert(format!("{name}:1"), group);
        }
        all.installation.env(&settings);
        all.installation.groups(&serde_json::Value::Object(groups).to_string());
        all
    }

    fn names(&self) -> Vec<String> {
        (0..self.faults.len()).map(|number| format!("f{number}")).collect()
    }

    fn platform(&self, name: &str) -> PathBuf {
        self.installation.path(&format!("platform-{name}"))
    }

    /// The lines of one of a platform's files.
    fn noted(&self, name: &str, file: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.platform(name).join(file)).unwrap_or_default();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn count(&self, sql: &str) -> i64 {
        store(&self.installation, sql)
    }

    /// Waits until everything that Ann said has come to an end.
    fn until_over(&self, host: &mut Host<'_>) {
        for (name, fault) in self.names().iter().zip(self.faults) {
            host.wait_until(&format!("every message was acknowledged with `{fault}`"), |_| {
                let acknowledged = self.noted(name, "inbound");
                (0..SAID.len()).all(|number| acknowledged.contains(&vec![format!("m{number}")]))
            });
        }
        host.wait_until("every turn is over and everything has left", |_| {
            self.count("SELECT count(*) FROM messages WHERE turn IS NULL") == 0
                && self.count("SELECT count(*) FROM turns WHERE state NOT IN ('settled', 'gave_up')") == 0
                && self.count("SELECT count(*) FROM outbox WHERE state = 'pending'") == 0
        });
    }

    /// What must hold under every fault; gives what the platform's people have read.
    fn read(&self, name: &str, fault: &str) -> Vec<String> {
        let rows = self.count(&format!("SELECT count(*) FROM messages WHERE chat = '{name}:1'"));
        assert_eq!(rows, SAID.len() as i64, "{fault}: one row a message");
        let silent = format!(
            "SELECT count(*) FROM messages m WHERE chat = '{name}:1' AND NOT EXISTS
                (SELECT 1 FROM outbox o WHERE o.turn = m.turn AND o.state IN ('sent', 'dead'))"
        );
        assert_eq!(self.count(&silent), 0, "{fault}: a message ended in silence");
        let delivered = self.noted(name, "delivered");
        for given in self.noted(name, "given") {
            assert!(delivered.contains(&given), "{fault}: one id, two texts: {given:?}");
        }
        delivered.into_iter().map(|message| message[2].clone()).collect()
    }
}

#[test]
fn whatever_an_adapter_does_wrong_its_people_read_what_those_of_a_healthy_one_read() {
    let all = Faults::new(&[
        "none",
        "slow reader",
        "repeats",
        "floods",
        "garbage",
        "drops the send",
        "dies before sent",
        "says sent and dies",
        "temporary",
    ]);
    let mut host = Host::start(&all.installation);
    all.until_over(&mut host);
    assert_eq!(host.stop(), Some(0));
    let mut healthy = Vec::new();
    for (name, fault) in all.names().iter().zip(all.faults) {
        let read = all.read(name, fault);
        if *fault == "none" {
            assert_eq!((read.len(), read[0].as_str(), read[3].as_str()), (4, "first answer", "last answer"));
            healthy.clone_from(&read);
        }
        assert_eq!(read, healthy, "{fault}");
        let given = all.noted(name, "given").len();
        let again = if *fault == "dies before sent" { 2 } else { 0 };
        assert!(given >= healthy.len() + again, "{fault}: the fault did not happen: {given}");
    }
    assert_eq!(all.count("SELECT count(*) FROM outbox WHERE state <> 'sent'"), 0);
}

#[test]
fn messages_in_a_wild_order_and_replies_that_are_refused_for_good_have_their_end() {
    let all = Faults::new(&["reorders", "permanent"]);
    let mut host = Host::start(&all.installation);
    all.until_over(&mut host);
    let status = all.installation.longshore(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("given up"), "{status:?}");
    assert_eq!(host.stop(), Some(0));
    assert!(!all.read("f0", "reorders").is_empty());
    assert!(all.read("f1", "permanent").is_empty());
    let dead = "SELECT count(*) FROM outbox WHERE chat = 'f1:1' AND state = 'dead' AND error = 'no such chat'";
    assert_eq!(all.count(dead), 3, "one a text");
    let rest = "SELECT count(*) FROM outbox WHERE state = 'dead' AND error = 'an earlier part could not be delivered'";
    assert_eq!(all.count(rest), 1, "the second piece of the long one");
}
