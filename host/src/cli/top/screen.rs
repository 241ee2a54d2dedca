//! What `longshore top` shows, and what keys do to it: pure.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::super::paint::{Ink, Paint};
use super::super::shown::shown;
use super::super::status::{duration, page};
use crate::control::activity::{Activity, HostState};
use crate::control::{GroupStatus, Status};

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Leave.
    Quit,
    /// Sort by the next column.
    NextSort,
    /// Sort by the one before.
    PreviousSort,
    /// Sort the other way round.
    Reverse,
    /// So many rows up.
    Up(usize),
    /// So many rows down.
    Down(usize),
}

/// What follows on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    Stay,
    /// It is over.
    Quit,
}

/// From this width on there is room for failure codes.
const ROOMY: u16 = 110;

/// The columns, by which the groups can be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Group,
    Agent,
    State,
    LastTurn,
    NextTask,
    UsedToday,
    Memory,
}

impl Column {
    const ALL: [Self; 7] =
        [Self::Group, Self::Agent, Self::State, Self::LastTurn, Self::NextTask, Self::UsedToday, Self::Memory];

    fn heading(self) -> &'static str {
        match self {
            Self::Group => "GROUP",
            Self::Agent => "AGENT",
            Self::State => "STATE",
            Self::LastTurn => "LAST TURN",
            Self::NextTask => "NEXT TASK",
            Self::UsedToday => "USED TODAY",
            Self::Memory => "MEMORY",
        }
    }

    /// How wide it is in a terminal of this width; the group has what is left.
    fn width(self, terminal: u16) -> u16 {
        let roomy = terminal >= ROOMY;
        match self {
            Self::Group => 0,
            Self::Agent => 6,
            Self::State => {
                if roomy {
                    38
                } else {
                    17
                }
            }
            Self::LastTurn => {
                if roomy {
                    32
                } else {
                    24
                }
            }
            Self::NextTask => 14,
            Self::UsedToday => 26,
            Self::Memory => 13,
        }
    }

    /// How wide a terminal has to be for it.
    fn needs(self) -> u16 {
        match self {
            Self::Group | Self::State => 0,
            Self::Agent => 50,
            Self::LastTurn => 70,
            Self::Memory => 80,
            Self::NextTask => 120,
            Self::UsedToday => 150,
        }
    }

    fn cell(self, group: &GroupStatus, now: Timestamp) -> (Ink, String) {
        match self {
            Self::Group => (Ink::Strong, group.id.to_string()),
            Self::Agent => (Ink::Plain, group.provider.to_string()),
            Self::State => page::state(group, now),
            Self::LastTurn => page::last(group.last_turn.as_ref(), now),
            Self::NextTask => page::next(group, now),
            Self::UsedToday => page::used(group.used_today.as_ref()),
            Self::Memory => page::memory(group),
        }
    }

    /// What wants a look first, or is most, comes first.
    fn compare(self, one: &GroupStatus, other: &GroupStatus) -> Ordering {
        let order = match self {
            Self::Group => Ordering::Equal,
            Self::Agent => one.provider.as_str().cmp(other.provider.as_str()),
            Self::State => rank(&one.activity).cmp(&rank(&other.activity)),
            Self::LastTurn => {
                let ended = |group: &GroupStatus| Reverse(group.last_turn.as_ref().map(|turn| turn.ended_at.clone()));
                ended(one).cmp(&ended(other))
            }
            Self::NextTask => {
                let at = |group: &GroupStatus| group.next_task.as_ref().map(|task| task.at.clone());
                // None comes last.
                (at(one).is_none(), at(one)).cmp(&(at(other).is_none(), at(other)))
            }
            Self::UsedToday => {
                let used = |group: &GroupStatus| Reverse(group.used_today.as_ref().map_or(0, |used| used.tokens));
                used(one).cmp(&used(other))
            }
            Self::Memory => {
                let bytes = |group: &GroupStatus| Reverse(group.resident.and_then(|resident| resident.memory_bytes));
                bytes(one).cmp(&bytes(other))
            }
        };
        order.then_with(|| one.id.as_str().cmp(other.id.as_str()))
    }
}

fn rank(activity: &Activity) -> u8 {
    match activity {
        Activity::Interrupted { .. } => 0,
        Activity::Running { .. } => 1,
        Activity::Waiting { .. } => 2,
        Activity::Retrying { .. } => 3,
        Activity::Idle => 4,
    }
}

/// What is shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    root: String,
    status: Option<Status>,
    /// Since when no host answers.
    away_since: Option<Timestamp>,
    sort: Column,
    reversed: bool,
    /// The first group that is shown.
    first: usize,
}

impl View {
    /// Before the first look.
    pub(super) fn new(root: String) -> Self {
        Self { root, status: None, away_since: None, sort: Column::State, reversed: false, first: 0 }
    }

    /// A look at the installation.
    pub(super) fn see(&mut self, status: Status, now: Timestamp) {
        self.away_since = match status.state {
            HostState::Running => None,
            HostState::Silent | HostState::Down => self.away_since.or(Some(now)),
        };
        self.first = self.first.min(status.groups.len().saturating_sub(1));
        self.status = Some(status);
    }

    /// What a key does.
    pub(super) fn handle(&mut self, key: Key) -> Next {
        let columns = Column::ALL.len();
        let place = Column::ALL.iter().position(|column| *column == self.sort).unwrap_or(0);
        match key {
            Key::Quit => return Next::Quit,
            Key::NextSort => self.sort = Column::ALL[(place + 1) % columns],
            Key::PreviousSort => self.sort = Column::ALL[(place + columns - 1) % columns],
            Key::Reverse => self.reversed = !self.reversed,
            Key::Up(rows) => self.first = self.first.saturating_sub(rows),
            Key::Down(rows) => {
                let groups = self.status.as_ref().map_or(0, |status| status.groups.len());
                self.first = self.first.saturating_add(rows).min(groups.saturating_sub(1));
            }
        }
        Next::Stay
    }

    fn sorted<'a>(&self, groups: &'a [GroupStatus]) -> Vec<&'a GroupStatus> {
        let mut groups: Vec<&GroupStatus> = groups.iter().collect();
        groups.sort_by(|one, other| self.sort.compare(one, other));
        if self.reversed {
            groups.reverse();
        }
        groups
    }
}

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, now: Timestamp, paint: Paint) {
    let Some(status) = &view.status else {
        frame.render_widget(Paragraph::new(format!("Looking at `{}` …", shown(&view.root))), frame.area());
        return;
    };
    let ink = |ink| style(paint, ink);
    let head = head(view, status, now, &ink);
    let lines = u16::try_from(head.len()).unwrap_or(u16::MAX);
    let areas = Layout::vertical([Constraint::Length(lines), Constraint::Min(0), Constraint::Length(1)]);
    let [above, table, below] = areas.areas(frame.area());
    frame.render_widget(Paragraph::new(head), above);
    let groups = view.sorted(&status.groups);
    let fit = usize::from(table.height.saturating_sub(1));
    // The last page is full.
    let first = view.first.min(groups.len().saturating_sub(fit));
    let shown_groups = groups.iter().skip(first).take(fit);
    let columns: Vec<Column> = Column::ALL.into_iter().filter(|column| column.needs() <= table.width).collect();
    let mut widths: Vec<u16> = columns.iter().map(|column| column.width(table.width)).collect();
    let between = u16::try_from(columns.len()).unwrap_or(u16::MAX).saturating_sub(1);
    let rest = table.width.saturating_sub(widths.iter().sum::<u16>() + between);
    if let Some(group) = widths.first_mut() {
        *group = rest;
    }
    let rows: Vec<Row<'_>> = shown_groups
        .map(|group| {
            let cells = columns.iter().zip(&widths).map(|(column, width)| {
                let (meaning, text) = column.cell(group, now);
                Span::styled(fitting(&shown(&text), *width), ink(meaning))
            });
            Row::new(cells.collect::<Vec<_>>())
        })
        .collect();
    let last = first + rows.len();
    let mark = if view.reversed { "▲" } else { "▼" };
    let heading = columns.iter().map(|column| match column {
        column if *column == view.sort => format!("{}{mark}", column.heading()),
        column => column.heading().to_owned(),
    });
    let heading = Row::new(heading.collect::<Vec<_>>()).style(ink(Ink::Faint));
    frame.render_widget(Table::new(rows, widths.into_iter().map(Constraint::Length)).header(heading), table);
    let range = match groups.len() {
        0 => "no groups".to_owned(),
        all => format!("groups {} to {last} of {all}", (first + 1).min(last)),
    };
    let sort = view.sort.heading().to_lowercase();
    let keys = format!("q quit  s sort ({sort})  r reverse  ↑↓ scroll  {range}");
    frame.render_widget(Paragraph::new(Line::styled(keys, ink(Ink::Faint))), below);
}

/// The text, cut visibly if it is longer.
fn fitting(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn head(view: &View, status: &Status, now: Timestamp, ink: &dyn Fn(Ink) -> Style) -> Vec<Line<'static>> {
    let line = |meaning, text: String| Line::styled(shown(&text).into_owned(), ink(meaning));
    let mut head = vec![first_line(view, status, now, &line)];
    if status.rehearsal {
        head.push(line(Ink::Attention, "REHEARSAL: a stand-in answers, no model is asked".into()));
    }
    match &status.engine {
        Ok(engine) => head.push(line(Ink::Plain, format!("engine    {engine}"))),
        Err(problem) => head.push(line(Ink::Bad, format!("engine    DOWN: {problem}"))),
    }
    let mut channels = vec![Span::raw("channels  ")];
    for (number, channel) in status.channels.iter().enumerate() {
        let meaning = match channel.state.as_str() {
            "up" => Ink::Good,
            "starting" | "stopped" => Ink::Faint,
            _ => Ink::Bad,
        };
        let between = if number == 0 { "" } else { ", " };
        let text = format!("{between}{} {}", channel.name, channel.state);
        channels.push(Span::styled(shown(&text).into_owned(), ink(meaning)));
    }
    head.push(Line::from(channels));
    let queue = status.queue;
    let text = format!(
        "queue     {} of {} slots in use, {} waiting    outbox {} waiting, {} given up",
        queue.running, queue.slots, queue.waiting, status.outbox_pending, status.outbox_dead
    );
    let wants_a_look = queue.waiting > 0 || status.outbox_dead > 0;
    head.push(line(if wants_a_look { Ink::Attention } else { Ink::Plain }, text));
    let damage = status.database_damage.iter().map(|damage| format!("the database is damaged: {damage}"));
    let problems: Vec<String> = damage
        .chain(status.notes.iter().cloned())
        .chain(status.problems.iter().chain(&status.sender_problems).chain(&status.refused_mounts).cloned())
        .collect();
    if let Some(first) = problems.first() {
        let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
        head.push(line(Ink::Bad, format!("problem   {first}{more}")));
    }
    head.push(Line::default());
    head
}

fn first_line(
    view: &View,
    status: &Status,
    now: Timestamp,
    line: &dyn Fn(Ink, String) -> Line<'static>,
) -> Line<'static> {
    let version = &status.version;
    let away = view.away_since.map_or(0, |since| now.duration_since(since).as_secs());
    let away = duration(u64::try_from(away).unwrap_or(0));
    match status.state {
        HostState::Running => line(Ink::Strong, format!("longshore {version}, up {}", duration(status.uptime_seconds))),
        HostState::Silent => {
            line(Ink::Attention, format!("longshore {version}: the host has not answered for {away}; asking again"))
        }
        HostState::Down => line(
            Ink::Attention,
            format!("longshore {version}: no host runs (for {away}); waiting for one: `longshore run`"),
        ),
    }
}

fn style(paint: Paint, ink: Ink) -> Style {
    let plain = Style::default();
    match (ink, paint) {
        (Ink::Plain, _) => plain,
        (Ink::Faint, _) => plain.add_modifier(Modifier::DIM),
        (Ink::Strong, _) => plain.add_modifier(Modifier::BOLD),
        (_, Paint::Plain) => plain,
        (Ink::Good, Paint::Colour) => plain.fg(Color::Green),
        (Ink::Attention, Paint::Colour) => plain.fg(Color::Yellow),
        (Ink::Bad, Paint::Colour) => plain.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests;
