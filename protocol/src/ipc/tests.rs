//! The files as agents of either era write them.

use super::*;

fn read(text: &str) -> Petition {
    Petition::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_example_is_read_as_what_it_was() {
    assert_eq!(example::all().iter().map(Petition::kind).collect::<Vec<_>>(), Petition::TYPES);
    for petition in example::all() {
        assert_eq!(read(&example::line(&petition)), petition);
    }
}

#[test]
fn files_of_the_earlier_project_are_understood() {
    for file in [
        r#"{"type":"message","chatJid":"a@g.us","text":"hi","sender":"Researcher","groupFolder":"g","timestamp":"2026-02-01T00:00:00Z"}"#,
        r#"{"type":"schedule_task","prompt":"p","schedule_type":"interval","schedule_value":"3600000","context_mode":"isolated","targetJid":"a@g.us","createdBy":"g","timestamp":"x"}"#,
        r#"{"type":"schedule_task","prompt":"p","schedule_type":"cron","schedule_value":"0 9 * * *","groupFolder":"g","chatJid":"a@g.us"}"#,
        r#"{"type":"cancel_task","taskId":"task-1-abc","groupFolder":"g","isMain":false,"timestamp":"x"}"#,
        r#"{"type":"update_task","taskId":"task-1-abc","prompt":"q","groupFolder":"g","isMain":"false"}"#,
        r#"{"type":"refresh_groups","groupFolder":"main","timestamp":"x"}"#,
        r#"{"type":"register_group","jid":"a@g.us","name":"A","folder":"a","trigger":"@Andy","requiresTrigger":false,"containerConfig":{"timeout":600000}}"#,
    ] {
        let _ = read(file);
    }
}

#[test]
fn an_interval_may_be_a_number() {
    let Petition::ScheduleTask(task) =
        read(r#"{"type":"schedule_task","prompt":"p","schedule_type":"interval","schedule_value":60000}"#)
    else {
        panic!("not a task")
    };
    assert_eq!(task.schedule_value, "60000");
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let wrong = |text: &str| Petition::read(text.as_bytes()).unwrap_err();
    assert!(matches!(wrong(r#"{"type":"mess"#), Unreadable::NotJson(_)));
    assert!(matches!(wrong(""), Unreadable::NotJson(_)));
    for (file, says) in [
        ("[]", "not a JSON object"),
        ("{}", "`type` is missing; it is one of `message`"),
        (r#"{"type":"mesage"}"#, "`type` is `mesage`, which is none of `message`"),
        (r#"{"type":1}"#, "`type` is not a text"),
        (r#"{"type":"message"}"#, "missing field `text`"),
        (r#"{"type":"cancel_task","taskId":"../x"}"#, "may not contain `.`"),
        (
            r#"{"type":"schedule_task","prompt":"p","schedule_type":"hourly","schedule_value":"1"}"#,
            "unknown variant `hourly`",
        ),
        (
            r#"{"type":"schedule_task","prompt":"p","schedule_type":"cron","schedule_value":[]}"#,
            "neither a text nor a number",
        ),
    ] {
        let error = wrong(file).to_string();
        assert!(error.contains(says), "{file}: {error}");
    }
}
