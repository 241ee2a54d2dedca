//! Tasks: those of others, and more than there may be.

use longshore_tests::Host;

use super::{ATTACKERS, goes_on, plain, run};
use crate::chat::store;

#[test]
fn nobody_schedules_for_another_group() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
wish = {'type': 'schedule_task', 'prompt': 'forged', 'schedule_type': 'interval', 'schedule_value': '1000'}
ask(TASKS, 'target.json', {**wish, 'targetJid': 'console:bob'})
ask(TASKS, 'older.json', {**wish, 'groupFolder': 'bob', 'chatJid': 'console:bob'})
ask(TASKS, 'main.json', {**wish, 'targetJid': 'console:main', 'isMain': True})
ask(TASKS, 'nobody.json', {**wish, 'targetJid': 'console:nobody'})
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert_eq!(output.matches(r#""ok": false"#).count(), 4, "{output}");
    }
    assert_eq!(store(&installation, "SELECT count(*) FROM tasks"), 0);
    goes_on(&host, &ATTACKERS);
}

#[test]
fn the_tasks_of_another_group_are_neither_seen_nor_touched() {
    let installation = plain();
    let host = Host::start(&installation);
    let added =
        installation.longshore(&["tasks", "add", "--group", "bob", "--type", "cron", "--at", "0 9 * * *", "bobs own"]);
    assert!(added.status.success(), "{added:?}");
    let id: String = rusqlite::Connection::open(installation.path("data/longshore.db"))
        .and_then(|connection| connection.query_row("SELECT id FROM tasks", [], |row| row.get(0)))
        .unwrap();
    let attack = format!(
        r"
for kind in ['pause_task', 'resume_task', 'cancel_task', 'update_task']:
    ask(TASKS, f'{{kind}}.json', {{'type': kind, 'taskId': '{id}', 'prompt': 'forged', 'groupFolder': 'bob', 'isMain': True}})
ask(TASKS, 'same.json', {{'type': 'schedule_task', 'taskId': '{id}', 'prompt': 'forged', 'schedule_type': 'cron', 'schedule_value': '0 9 * * *'}})
print('seen', read('/workspace/ipc/current_tasks.json').decode())
"
    );
    for group in ATTACKERS {
        let output = run(&host, group, &attack);
        assert_eq!(output.matches(r#""ok": false"#).count(), 5, "{output}");
        let seen = output.split("seen").nth(1).unwrap();
        assert!(!seen.contains(&id) && !seen.contains("bobs own"), "{seen}");
    }
    let untouched = "SELECT count(*) FROM tasks WHERE prompt = 'bobs own' AND status = 'active' AND group_id = 'bob'";
    assert_eq!((store(&installation, "SELECT count(*) FROM tasks"), store(&installation, untouched)), (1, 1));
    goes_on(&host, &ATTACKERS);
}

#[test]
fn three_thousand_tasks_are_a_thousand() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
wish = json.dumps({'type': 'schedule_task', 'prompt': 'again', 'schedule_type': 'cron', 'schedule_value': '0 0 1 1 *'}).encode()
flood(TASKS, 3000, wish, 2000)
ask(TASKS, 'last.json', {'type': 'schedule_task', 'prompt': 'again', 'schedule_type': 'cron', 'schedule_value': '0 0 1 1 *'})
";
    let mut asking = super::asked(&installation, "bob", "still there?");
    let output = run(&host, "mallory", attack);
    assert!(asking.wait().unwrap().success());
    assert!(output.contains("left 0") && output.contains("the most that it may have"), "{output}");
    assert_eq!(store(&installation, "SELECT count(*) FROM tasks"), 1000);
    goes_on(&host, &["mallory"]);
}
