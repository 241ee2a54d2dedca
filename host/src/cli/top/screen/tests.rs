use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::super::status::page::tests::{broken, down, group, healthy};
use super::*;

fn now() -> Timestamp {
    "2026-02-01T12:00:00Z".parse().unwrap()
}

fn view(status: Status) -> View {
    let mut view = View::new("/srv/longshore".into());
    view.see(status, now());
    view
}

fn frame(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, now(), Paint::Colour)).unwrap();
    terminal.backend().to_string()
}

/// The groups of a frame, from above.
fn listed(view: &View) -> Vec<String> {
    view.sorted(&view.status.as_ref().unwrap().groups).iter().map(|group| group.id.to_string()).collect()
}

#[test]
fn a_healthy_and_a_broken_installation_fit_an_old_terminal() {
    insta::assert_snapshot!("healthy", frame(&view(healthy()), 80, 24));
    insta::assert_snapshot!("broken", frame(&view(broken()), 80, 24));
    insta::assert_snapshot!("wide", frame(&view(broken()), 160, 14));
}

#[test]
fn a_host_that_goes_away_is_waited_for_calmly_and_seen_when_it_is_back() {
    let mut view = view(healthy());
    let later: Timestamp = "2026-02-01T11:58:30Z".parse().unwrap();
    view.see(down(), later);
    view.see(down(), now());
    insta::assert_snapshot!("down", frame(&view, 80, 12));
    view.see(healthy(), now());
    assert!(frame(&view, 80, 12).contains("longshore 0.1.0, up 1 h 2 min"));
}

#[test]
fn before_the_first_look_and_in_any_size_something_is_drawn() {
    assert!(frame(&View::new("/srv/longshore".into()), 40, 3).contains("Looking at `/srv/longshore`"));
    for (width, height) in [(1, 1), (20, 2), (40, 8), (79, 5), (300, 100)] {
        frame(&view(broken()), width, height);
    }
}

#[test]
fn groups_are_sorted_by_any_column_and_either_way() {
    let mut view = view(broken());
    assert_eq!(listed(&view), ["main", "family-chat", "quiet"], "what is at work comes first");
    let mut seen = Vec::new();
    for _ in 0..Column::ALL.len() {
        assert_eq!(view.handle(Key::NextSort), Next::Stay);
        seen.push((view.sort, listed(&view).join(" ")));
    }
    let expected = [
        (Column::LastTurn, "main quiet family-chat"),
        (Column::NextTask, "family-chat main quiet"),
        (Column::UsedToday, "main family-chat quiet"),
        (Column::Memory, "family-chat main quiet"),
        (Column::Group, "family-chat main quiet"),
        (Column::Agent, "main quiet family-chat"),
        (Column::State, "main family-chat quiet"),
    ];
    assert_eq!(seen, expected.map(|(column, groups)| (column, groups.to_owned())));
    assert_eq!(view.handle(Key::PreviousSort), Next::Stay);
    assert_eq!(view.sort, Column::Agent);
    assert_eq!(view.handle(Key::Reverse), Next::Stay);
    assert_eq!(listed(&view), ["family-chat", "quiet", "main"]);
    assert_eq!(view.handle(Key::Quit), Next::Quit);
}

#[test]
fn many_groups_scroll_and_the_last_page_is_full() {
    let groups: Vec<GroupStatus> = (0..50).map(|number| group(&format!("g{number:02}"))).collect();
    let mut view = view(Status { groups, ..healthy() });
    let first_and_last = |view: &View| {
        let frame = frame(view, 80, 24);
        let names: Vec<String> = frame
            .lines()
            .filter_map(|line| line.strip_prefix("\"g")?.split(' ').next().map(|number| format!("g{number}")))
            .filter(|name| name.len() == 3)
            .collect();
        (names.first().cloned().unwrap(), names.last().cloned().unwrap(), names.len())
    };
    let (first, _, page) = first_and_last(&view);
    assert_eq!((first.as_str(), page), ("g00", 17));
    assert_eq!(view.handle(Key::Down(10)), Next::Stay);
    assert_eq!(first_and_last(&view), ("g10".into(), "g26".into(), 17));
    assert_eq!(view.handle(Key::Down(usize::MAX)), Next::Stay);
    assert_eq!(first_and_last(&view), ("g33".into(), "g49".into(), 17));
    assert_eq!(view.handle(Key::Up(usize::MAX)), Next::Stay);
    assert_eq!(first_and_last(&view).0, "g00");
    view.see(Status { groups: vec![group("only")], ..healthy() }, now());
    assert!(frame(&view, 80, 24).contains("only"));
}

#[test]
fn what_a_platform_writes_gives_the_terminal_no_orders() {
    let mut status = broken();
    status.channels[0].state = "down\u{1b}[2J".into();
    status.problems = vec!["\u{1b}]52;c;x\u{7}".into()];
    let frame = frame(&view(status), 80, 24);
    assert!(!frame.contains('\u{1b}') && frame.contains("down␛[2J"), "{frame}");
}
