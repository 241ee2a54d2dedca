//! What was read is removed, once, and nothing else is.

use super::*;

#[test]
fn a_file_that_is_replaced_while_it_is_granted_is_granted_next() {
    let replace: [fn(&Rig); 3] = [
        |rig| {
            rig.petition("messages/new", 7);
            fs::rename(rig.path("messages/new"), rig.path("messages/x.json")).unwrap();
        },
        // In place: the same inode.
        |rig| rig.petition("messages/x.json", 8),
        |rig| {
            rig.write("messages/x.json", &petition().replace("ready", "late"));
            rig.write("messages/y.json", "{}");
        },
    ];
    for replace in replace {
        let mut rig = Rig::new();
        rig.petition("messages/x.json", 5);
        let (batch, now) = (rig.read(), rig.now());
        replace(&rig);
        rig.mailbox.finish(&batch.found, &[Answer::done("first")], now).unwrap();
        assert_eq!(rig.answer("x.json"), Some(Answer::done("first")));
        let files = rig.pass();
        assert_eq!(files.len(), 1);
        assert_ne!(files[0].identity, batch.files[0].identity);
        assert_eq!(rig.answer("x.json"), Some(Answer::done("x")));
        assert_eq!(rig.listed("messages"), Vec::<String>::new());
        assert_eq!(rig.listed(".taken"), Vec::<String>::new());
    }
}

#[test]
fn a_file_that_is_gone_or_became_something_else_holds_up_nothing() {
    let mut rig = Rig::new();
    rig.petition("messages/x.json", 5);
    rig.petition("messages/y.json", 6);
    let (batch, now) = (rig.read(), rig.now());
    fs::remove_file(rig.path("messages/x.json")).unwrap();
    fs::remove_file(rig.path("messages/y.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", rig.path("messages/y.json")).unwrap();
    rig.mailbox.finish(&batch.found, &[Answer::done("a"), Answer::done("b")], now).unwrap();
    assert_eq!(rig.listed("messages"), ["y.json"]);
    assert_eq!(rig.pass(), []);
    assert_eq!(rig.answer("x.json"), Some(Answer::done("a")));
    assert!(rig.answer("y.json").unwrap().error.unwrap().contains("symbolic link"));
}

/// What had been done with a granted file when the host was killed.
#[derive(Debug, Clone, Copy)]
enum Killed {
    BeforeAnswer,
    BeforeTaking,
    BeforeRemoval,
    AfterRemoval,
}

impl Killed {
    fn go(self, rig: &mut Rig, found: &Found) {
        let steps = self as usize;
        if steps >= 1 {
            rig.mailbox.answer(found, &Answer::done("first")).unwrap();
        }
        if steps >= 2 {
            let held = rig.mailbox.take(found).unwrap().unwrap();
            assert_eq!(held, "messages:x.json");
            if steps >= 3 {
                rig.mailbox.dispose(&held).unwrap();
            }
        }
        rig.restart();
    }
}

#[test]
fn a_host_that_is_killed_while_it_removes_a_file_meets_the_same_file_again() {
    for killed in [Killed::BeforeAnswer, Killed::BeforeTaking, Killed::BeforeRemoval, Killed::AfterRemoval] {
        let mut rig = Rig::new();
        rig.petition("messages/x.json", 5);
        let batch = rig.read();
        killed.go(&mut rig, &batch.found[0]);
        let again = if matches!(killed, Killed::AfterRemoval) { Vec::new() } else { batch.files };
        assert_eq!(rig.pass(), again, "{killed:?}");
        assert!(rig.answer("x.json").unwrap().ok, "{killed:?}");
        assert_eq!(rig.pass(), [], "{killed:?}");
        assert_eq!(rig.listed(".taken"), Vec::<String>::new(), "{killed:?}");
    }
}

#[test]
fn what_a_killed_host_had_taken_does_not_replace_what_the_agent_wrote_since() {
    let mut rig = Rig::new();
    rig.petition("messages/x.json", 5);
    let batch = rig.read();
    Killed::BeforeRemoval.go(&mut rig, &batch.found[0]);
    rig.petition("messages/x.json", 9);
    let files = rig.pass();
    assert_eq!(files.len(), 1);
    assert_ne!(files[0].identity, batch.files[0].identity);
    assert_eq!(rig.pass(), []);
}

#[test]
fn what_a_killed_host_left_of_a_file_without_a_usable_name_is_removed() {
    let mut rig = Rig::new();
    rig.pass();
    for name in ["unsafe:1", "messages:..json", "messages:.x.json", "answers:x.json", "messages:x.json"] {
        fs::write(rig.path(".taken").join(name), petition()).unwrap();
    }
    fs::create_dir_all(rig.path(".taken/rest:1/a/b")).unwrap();
    fs::write(rig.path("current_tasks.json"), "[]").unwrap();
    fs::write(rig.path(".new-1"), "half").unwrap();
    rig.ahead = SignedDuration::from_secs(120);
    rig.restart();
    assert_eq!(rig.pass().len(), 1);
    assert_eq!(rig.listed(".taken"), Vec::<String>::new());
    assert_eq!(rig.listed(""), [".taken", "answers", "current_tasks.json", "messages", "tasks"]);
}

#[test]
fn an_answer_that_cannot_be_written_keeps_the_petition() {
    let mut rig = Rig::new();
    rig.petition("messages/x.json", 5);
    let (batch, now) = (rig.read(), rig.now());
    fs::create_dir(rig.path("answers/x.json")).unwrap();
    rig.mailbox.finish(&batch.found, &[Answer::done("x")], now).unwrap_err();
    assert_eq!(rig.listed("messages"), ["x.json"]);
    fs::remove_dir(rig.path("answers/x.json")).unwrap();
    assert_eq!(rig.pass(), batch.files);
}
