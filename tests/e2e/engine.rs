//! SPEC "Containers": engines that restart under a running turn.

use std::process::Stdio;

use longshore_tests::engine::{Engine, LiveRestore};
use longshore_tests::{Host, HostOptions, Installation};

use crate::chat::store;

#[test]
fn an_engine_that_restarts_in_a_turn_costs_a_retry_and_no_message() {
    let Some(mut engine) = Engine::start(LiveRestore::Off) else {
        eprintln!("NOT RUN: it needs root and `dockerd`");
        return;
    };
    for live_restore in [LiveRestore::Off, LiveRestore::On] {
        engine.down();
        engine.up(live_restore);
        let installation = Installation::new();
        let environment = vec![("DOCKER_HOST".to_owned(), engine.host())];
        let mut host = Host::start_with(&installation, &HostOptions { environment, ..HostOptions::default() });
        assert_eq!(host.chat("main", "hello").status, 0, "{live_restore:?}: {}", host.log());
        let mut asking = installation.command();
        asking.args(["chat", "main", "--once", "#rehearse delay 4 say after the restart"]);
        let asking = asking.stdout(Stdio::piped()).spawn().unwrap();
        host.wait_until("the turn runs", |_| {
            store(&installation, "SELECT count(*) FROM turns WHERE state = 'running'") == 1
        });
        std::thread::sleep(std::time::Duration::from_secs(1));
        engine.down();
        engine.up(live_restore);
        let output = asking.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), "after the restart", "{live_restore:?}: {}", host.log());
        // Idle containers go through it, too.
        engine.down();
        engine.up(live_restore);
        assert_eq!(host.chat("main", "still there?").status, 0, "{live_restore:?}: {}", host.log());
        let replies = "SELECT count(*) FROM outbox WHERE kind = 'reply'";
        assert_eq!(store(&installation, replies), 3, "{live_restore:?}: nothing doubled");
        host.wait_until("what the engine could not remove then is removed", |_| {
            engine.docker(&["ps", "-aq"]).unwrap().lines().count() == 1
        });
        assert_eq!(host.stop(), Some(0));
        assert_eq!(engine.docker(&["ps", "-aq"]).unwrap(), "", "{live_restore:?}");
    }
}
