//! The container runtime on a real engine. Needs Docker and the agent image (`make test` sees to both).
//!
//! `LONGSHORE_TEST_IMAGE` names another image; it needs a shell.

mod docker_rig;

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use longshore::container::docker::DockerRuntime;
use longshore::container::mounts::{Access, Mount};
use longshore::container::{ContainerRuntime as _, Exit, RuntimeError};
use tokio::io::AsyncWriteExt as _;

use self::docker_rig::{Proxy, Rig, docker_host, read_line, transcript};

#[tokio::test]
async fn lines_in_are_lines_out_and_closing_our_end_closes_nothing() {
    Rig::run(async |rig| {
        let mut cat = rig.start(&["cat"]).await;
        let long = format!("{}\n", "x".repeat(200_000));
        for line in ["one\n", "two\n", long.as_str()] {
            cat.stdin.write_all(line.as_bytes()).await.unwrap();
            cat.stdin.flush().await.unwrap();
            assert_eq!(read_line(&mut cat.output).await, line);
        }
        cat.stdin.shutdown().await.unwrap();
        drop(cat);
        assert!(rig.existing().await[0].running);
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_container_says_is_lost_and_its_exit_status_is_kept() {
    Rig::run(async |rig| {
        let mut shell =
            rig.shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo bad >&2; exit 3").await;
        let (stdout, stderr) = transcript(&mut shell.output).await;
        assert_eq!(stdout.lines().count(), 3000);
        assert_eq!(stdout.lines().last(), Some("line 2999"));
        assert_eq!(stderr, "bad\n");
        assert_eq!(shell.exit.await.unwrap(), Exit { code: 3, out_of_memory: false });
    })
    .await;
}

#[tokio::test]
async fn a_container_that_eats_its_memory_is_killed_and_says_so() {
    Rig::run(async |rig| {
        let mut spec = rig.spec(&["tail", "/dev/zero"]);
        spec.limits.memory_bytes = 32 * 1024 * 1024;
        let mut greedy = rig.runtime.start(&spec).await.unwrap();
        let _words = transcript(&mut greedy.output).await;
        let exit = greedy.exit.await.unwrap();
        assert!(exit.out_of_memory && exit.code != 0, "{exit:?}");
    })
    .await;
}

#[tokio::test]
async fn a_removed_container_has_ended_as_killed_and_removing_it_again_is_fine() {
    Rig::run(async |rig| {
        let sleeper = rig.shell("sleep 600").await;
        let exit = tokio::spawn(sleeper.exit);
        rig.runtime.remove(&sleeper.id).await.unwrap();
        assert_eq!(exit.await.unwrap().unwrap().code, 137);
        rig.runtime.remove(&sleeper.id).await.unwrap();
        assert_eq!(rig.existing().await, []);

        let forgotten = rig.shell("sleep 600").await;
        rig.runtime.remove(&forgotten.id).await.unwrap();
        assert_eq!(forgotten.exit.await.unwrap().code, 137);
    })
    .await;
}

#[tokio::test]
async fn a_container_that_somebody_else_kills_has_ended_as_killed() {
    Rig::run(async |rig| {
        let mut cat = rig.start(&["cat"]).await;
        let exit = tokio::spawn(cat.exit);
        rig.runtime.client().unwrap().kill_container(&cat.id.0, None).await.unwrap();
        assert_eq!(transcript(&mut cat.output).await, (String::new(), String::new()));
        assert_eq!(exit.await.unwrap().unwrap(), Exit { code: 137, out_of_memory: false });
    })
    .await;
}

#[tokio::test]
async fn a_container_has_no_network_no_rights_and_a_read_only_root() {
    Rig::run(async |rig| {
        let mut shell = rig
            .shell(
                "id -u; id -g; pwd; echo $HOME; hostname
                 ls /sys/class/net | tr '\\n' ' '; echo
                 grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'
                 touch /etc/x 2>/dev/null || echo read-only
                 for d in /tmp /var/tmp $HOME; do
                   printf '#!/bin/sh\\necho runs in %s\\n' $d >$d/t && chmod +x $d/t && $d/t
                 done",
            )
            .await;
        let (stdout, stderr) = transcript(&mut shell.output).await;
        let (uid, gid) = (rig.installation.uid, rig.installation.gid);
        let expected = format!(
            "{uid}\n{gid}\n/workspace/group\n/home/node\nfamily\nlo \n\
             CapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nread-only\n\
             runs in /tmp\nruns in /var/tmp\nruns in /home/node\n"
        );
        assert_eq!(stdout, expected, "{stderr}");
    })
    .await;
}

#[tokio::test]
async fn a_container_writes_its_own_folders_and_sees_no_others() {
    Rig::run(async |rig| {
        let other = rig.installation.group_folder(&"other".parse().unwrap());
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("secret"), "").unwrap();
        std::fs::write(rig.installation.root.join(".env"), "").unwrap();
        let extra = tempfile::tempdir().unwrap();
        std::fs::write(extra.path().join("note"), "from outside\n").unwrap();
        std::fs::set_permissions(extra.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

        let mut spec = rig.spec(&[
            "sh",
            "-c",
            "cd /workspace
             for d in group global ipc ipc/messages ipc/tasks ipc/answers extra/notes; do
               touch $d/f 2>/dev/null && echo $d
             done
             for d in $HOME/.claude $HOME/.codex /run/longshore; do touch $d/f 2>/dev/null && echo $d; done
             mv ipc/messages ipc/elsewhere 2>/dev/null && echo moved
             cat extra/notes/note
             find / -xdev \\( -name secret -o -name .env -o -name docker.sock \\) 2>/dev/null
             ls . ipc | tr '\\n' ' '",
        ]);
        spec.mounts.push(Mount::extra("notes", extra.path().to_owned(), Access::ReadOnly));
        let mut shell = rig.runtime.start(&spec).await.unwrap();
        let (stdout, stderr) = transcript(&mut shell.output).await;
        assert_eq!(
            stdout,
            "group\nipc/messages\nipc/tasks\n/home/node/.claude\n/home/node/.codex\nfrom outside\n\
             .: extra global group ipc  ipc: answers messages tasks ",
            "{stderr}"
        );
        let written = std::fs::metadata(rig.installation.group_folder(&rig.group).join("f")).unwrap();
        assert_eq!(written.uid(), rig.installation.uid);
    })
    .await;
}

#[tokio::test]
async fn the_only_way_out_is_a_socket_in_a_folder_that_cannot_be_written() {
    Rig::run(async |rig| {
        let folder = rig.installation.broker_folder(&rig.group);
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("broker.sock")).unwrap();
        let mut shell = rig.shell("test -S /run/longshore/broker.sock && echo there; rm -f /run/longshore/broker.sock 2>/dev/null || echo stays").await;
        assert_eq!(transcript(&mut shell.output).await.0, "there\nstays\n");
    })
    .await;
}

#[tokio::test]
async fn an_installation_lists_its_own_containers_only() {
    Rig::run(async |one| {
        Rig::run(async |two| {
            let mine = one.shell("sleep 600").await;
            let theirs = two.shell("exit 0").await;
            theirs.exit.await.unwrap();
            let (seen_by_one, seen_by_two) = (one.existing().await, two.existing().await);
            assert_eq!(seen_by_one.iter().map(|c| (&c.id, c.running)).collect::<Vec<_>>(), [(&mine.id, true)]);
            assert_eq!(seen_by_two.iter().map(|c| (&c.id, c.running)).collect::<Vec<_>>(), [(&theirs.id, false)]);
            assert_eq!(seen_by_one[0].group.as_ref(), Some(&one.group));
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_container_that_cannot_start_is_refused_with_the_reason_and_leaves_nothing() {
    Rig::run(async |rig| {
        let mut spec = rig.spec(&["cat"]);
        spec.image = "longshore-no-such-image:none".to_owned();
        let error = rig.runtime.start(&spec).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "the agent image `longshore-no-such-image:none` is missing; run `longshore image build`"
        );
        assert!(matches!(rig.runtime.image(&spec.image).await, Err(RuntimeError::ImageMissing { .. })));

        let mut spec = rig.spec(&["cat"]);
        spec.mounts[0].source = "/no/such/folder".into();
        let error = rig.runtime.start(&spec).await.err().unwrap();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");

        let mut spec = rig.spec(&["cat"]);
        spec.working_directory = "/proc/version".to_owned();
        let error = rig.runtime.start(&spec).await.err().unwrap();
        assert!(matches!(error, RuntimeError::Refused(_)), "{error}");
        assert_eq!(rig.existing().await, []);
    })
    .await;
}

#[tokio::test]
async fn giving_up_a_start_leaves_no_container() {
    Rig::run(async |rig| {
        let spec = rig.spec(&["cat"]);
        rig.runtime.ping().await.unwrap();
        for patience_ms in [0, 1, 5, 15, 50, 150, 400] {
            let start = rig.runtime.start(&spec);
            if let Ok(started) = tokio::time::timeout(Duration::from_millis(patience_ms), start).await {
                rig.runtime.remove(&started.unwrap().id).await.unwrap();
            }
        }
        // Nobody knows when the last of them is created and gone again: empty has to stay empty.
        let mut empty = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            empty = if rig.existing().await.is_empty() { empty + 1 } else { 0 };
            if empty == 10 {
                return;
            }
        }
        panic!("still there: {:?}", rig.existing().await);
    })
    .await;
}

#[tokio::test]
async fn the_agent_image_says_what_is_in_it() {
    let runtime = DockerRuntime::new(docker_host().as_deref());
    let image = runtime.image(docker_rig::AGENT_IMAGE).await.unwrap();
    assert!(image.id.starts_with("sha256:") && image.claude.is_some() && image.codex.is_some(), "{image:?}");
    assert!(runtime.ping().await.unwrap().contains(" (API "));
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let address = format!("unix://{}", socket.display());
    let runtime = DockerRuntime::new(Some(&address));
    let absent = runtime.ping().await.unwrap_err();
    assert_eq!(
        absent.to_string(),
        format!("the container engine does not answer: there is no socket `{}`", socket.display())
    );
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let stale = runtime.list("x").await.unwrap_err();
    assert!(matches!(&stale, RuntimeError::Unavailable(why) if why.contains("Connection refused")), "{stale}");
    let odd = DockerRuntime::new(Some("ftp://x")).ping().await.unwrap_err();
    assert!(matches!(&odd, RuntimeError::Unavailable(why) if why.contains("ftp://x")), "{odd}");
}

#[tokio::test]
async fn an_engine_that_goes_away_is_not_a_container_that_ended() {
    Rig::run(async |rig| {
        for come_back in [false, true] {
            let mut proxy = Proxy::open().await;
            let through = DockerRuntime::new(Some(&proxy.address()));
            let mut sleeper = through.start(&rig.spec(&["sleep", "600"])).await.unwrap();
            let exit = tokio::spawn(sleeper.exit);
            tokio::time::sleep(Duration::from_millis(100)).await;
            proxy.cut(come_back).await;
            let _rest = transcript(&mut sleeper.output).await;
            let error = exit.await.unwrap().unwrap_err();
            assert!(matches!(error, RuntimeError::Unavailable(_)), "{error}");
        }
        assert!(rig.existing().await.iter().all(|container| container.running));
    })
    .await;
}
