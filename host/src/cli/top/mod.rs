//! `longshore top`: the installation as it is, again each second.

mod screen;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::screen::{Key, Next, View, draw};
use super::Ending;
use super::paint::Paint;
use super::status::look;
use crate::app;
use crate::clock::Clock;
use crate::control::Status;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the thread that reads keys waits before it looks whether anybody listens still.
const KEY_WAIT: Duration = Duration::from_millis(250);
/// Keys that nobody has seen yet.
const KEYS: usize = 64;

/// Something that happened in the terminal.
enum Input {
    /// A key that means something.
    Key(Key),
    /// The terminal has another size.
    Resized,
}

/// Shows it until somebody quits.
pub(super) async fn top(root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("`longshore top` needs a terminal; `longshore status` prints the same once");
    }
    // Before the terminal is changed, so that no signal leaves it so.
    let listen = |kind| signal(kind).context("signals cannot be caught");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = listen(SignalKind::hangup())?;
    let paint = Paint::of_stdout();
    let (clock, mut view) = (Clock::system(), View::new(root.display().to_string()));
    let (statuses, mut news) = mpsc::channel(1);
    let _looking = AbortOnDropHandle::new(tokio::spawn(look_again(root.to_owned(), statuses)));
    // A panic restores the terminal before it says what happened.
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let _restored = Restored;
    let (keys, mut pressed) = mpsc::channel(KEYS);
    std::thread::spawn(move || read_keys(&keys));
    loop {
        let now = clock.now();
        terminal.draw(|frame| draw(frame, &view, now, paint)).context("the terminal cannot be written to")?;
        tokio::select! {
            status = news.recv() => match status {
                Some(status) => view.see(status, clock.now()),
                None => bail!("the look at the installation ended"),
            },
            input = pressed.recv() => match input {
                Some(Input::Key(key)) if view.handle(key) == Next::Quit => return Ok(Ending::Done),
                Some(_) => {}
                // A terminal that gives no keys any more has gone.
                None => return Ok(Ending::Done),
            },
            _ = terminate.recv() => return Ok(Ending::Done),
            _ = interrupt.recv() => return Ok(Ending::Done),
            _ = hangup.recv() => return Ok(Ending::Done),
        }
    }
}

/// The terminal is as it was when this is dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // One that has gone cannot be restored.
        let _ = ratatui::try_restore();
    }
}

async fn look_again(root: PathBuf, statuses: mpsc::Sender<Status>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if statuses.send(look(&root).await).await.is_err() {
            return;
        }
    }
}

fn read_keys(keys: &mpsc::Sender<Input>) {
    while !keys.is_closed() {
        let input = match event::poll(KEY_WAIT) {
            Ok(false) => continue,
            Ok(true) => event::read().map(|event| input(&event)),
            Err(error) => Err(error),
        };
        let gone = match input {
            Ok(None) => false,
            Ok(Some(input)) => keys.blocking_send(input).is_err(),
            Err(_) => true,
        };
        if gone {
            return;
        }
    }
}

fn input(event: &Event) -> Option<Input> {
    let key = match event {
        Event::Resize(..) => return Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(Input::Key(match key.code {
        KeyCode::Char('c') if control => Key::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('s') | KeyCode::Right => Key::NextSort,
        KeyCode::Char('S') | KeyCode::Left => Key::PreviousSort,
        KeyCode::Char('r') => Key::Reverse,
        KeyCode::Up | KeyCode::Char('k') => Key::Up(1),
        KeyCode::Down | KeyCode::Char('j') => Key::Down(1),
        KeyCode::PageUp => Key::Up(10),
        KeyCode::PageDown => Key::Down(10),
        KeyCode::Home => Key::Up(usize::MAX),
        KeyCode::End => Key::Down(usize::MAX),
        _ => return None,
    }))
}
