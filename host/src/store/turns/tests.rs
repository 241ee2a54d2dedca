//! Whatever happens to a group's turns, in whichever order, each message ends once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::store::messages::NewMessage;
use crate::store::tests::{at, begin, failure, message};

/// Something that happens to a group.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody says something; it may wake the agent.
    Hear { wakes: bool },
    /// Somebody says `/stop`.
    HearStop,
    /// The operator says so.
    StopWaiting,
    /// The group's slot is granted.
    Begin,
    /// The running turn speaks.
    Say,
    /// The running turn ends as it may.
    End(Ending),
    /// The host dies and the next one recovers.
    Crash,
    /// Time passes, in seconds.
    Wait(i64),
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Settled,
    Retried,
    Postponed,
    GaveUp,
    Stopped,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        3 => Just(Ending::Settled),
        2 => Just(Ending::Retried),
        1 => Just(Ending::Postponed),
        1 => Just(Ending::GaveUp),
        1 => Just(Ending::Stopped),
    ];
    prop_oneof![
        4 => any::<bool>().prop_map(|wakes| Step::Hear { wakes }),
        1 => Just(Step::HearStop),
        1 => Just(Step::StopWaiting),
        5 => Just(Step::Begin),
        2 => Just(Step::Say),
        5 => ending.prop_map(Step::End),
        1 => Just(Step::Crash),
        3 => (1i64..40).prop_map(Step::Wait),
    ]
}

/// A store, and what the host would know of it.
struct Rig {
    _folder: tempfile::TempDir,
    store: Store,
    /// Another pair of eyes.
    eyes: Connection,
    now: i64,
    heard: i64,
    running: Option<(TurnId, bool)>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("longshore.db");
        let store = Store::open(&file).unwrap();
        Self { _folder: folder, store, eyes: Connection::open(&file).unwrap(), now: 0, heard: 0, running: None }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Hear { wakes } => self.hear(*wakes, false).await,
            Step::HearStop => self.hear(false, true).await,
            Step::StopWaiting if self.running.is_none() => {
                let (group, chat) = (begin().group, begin().chat);
                self.store.stop_waiting(group, chat, at(self.now)).await.unwrap();
            }
            Step::Begin if self.running.is_none() => {
                if let Begin::Turn(turn) = self.store.begin_turn(begin(), at(self.now)).await.unwrap() {
                    self.running = Some((turn.id, false));
                }
            }
            Step::Say => {
                if let Some((turn, said)) = &mut self.running {
                    *said = true;
                    let words = vec!["word".to_owned()];
                    self.store.say(turn.clone(), begin().chat, None, words, at(self.now)).await.unwrap();
                }
            }
            Step::End(ending) => self.end(*ending).await,
            Step::Crash => {
                self.running = None;
                for turn in self.store.interrupted_turns(None).await.unwrap() {
                    let end = if turn.said { self.gave_up() } else { self.retry(0) };
                    self.store.end_turn(turn.id, end, at(self.now)).await.unwrap();
                }
            }
            Step::Wait(seconds) => self.now += seconds,
            Step::StopWaiting | Step::Begin => {}
        }
    }

    async fn hear(&mut self, wakes: bool, stops: bool) {
        self.heard += 1;
        let message = NewMessage { stops, ..message(&self.heard.to_string(), wakes) };
        self.store.record(message).await.unwrap().committed().await.unwrap();
    }

    async fn end(&mut self, ending: Ending) {
        let Some((turn, said)) = self.running.take() else { return };
        let end = match ending {
            Ending::Settled => EndTurn::Settled,
            Ending::Stopped => EndTurn::Stopped,
            // A turn that spoke is never replayed: the host's own rule, in `turn::fold`.
            Ending::Retried if !said => self.retry(10),
            Ending::Postponed if !said => {
                let notice = vec!["later".to_owned()];
                EndTurn::Postponed { failure: failure(), at: at(self.now + 30), notice }
            }
            Ending::GaveUp | Ending::Retried | Ending::Postponed => self.gave_up(),
        };
        self.store.end_turn(turn, end, at(self.now)).await.unwrap();
    }

    fn retry(&self, seconds: i64) -> EndTurn {
        let at = Some(at(self.now + seconds));
        EndTurn::Retry { failure: failure(), at, counted: true, forget_session: false }
    }

    fn gave_up(&self) -> EndTurn {
        EndTurn::GaveUp { failure: failure(), notice: vec!["sorry".to_owned()], pause_task: false }
    }

    /// What may never be otherwise.
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.count("SELECT count(*) FROM turns WHERE state = 'running'") <= 1);
        prop_assert_eq!(self.count("SELECT count(*) FROM turns WHERE said = 1 AND state = 'waiting'"), 0);
        prop_assert!(self.count("SELECT count(*) FROM turns WHERE state IN ('waiting', 'running')") <= 1);
        // No message is in two turns, and each is in the one whose range it lies in.
        let overlaps = "SELECT count(*) FROM turns a JOIN turns b ON a.id < b.id
            WHERE a.first_seq <= b.last_seq AND b.first_seq <= a.last_seq";
        prop_assert_eq!(self.count(overlaps), 0);
        let strays = "SELECT count(*) FROM messages m JOIN turns t ON m.seq BETWEEN t.first_seq AND t.last_seq
            WHERE m.turn IS NOT t.id";
        prop_assert_eq!(self.count(strays), 0);
        // The cursor stands at the last message of the last ended turn, and nothing before it is open.
        let behind = "SELECT count(*) FROM messages WHERE seq <= (SELECT ifnull(max(settled_seq), 0) FROM cursors)
            AND (turn IS NULL OR turn IN (SELECT id FROM turns WHERE state IN ('waiting', 'running')))";
        prop_assert_eq!(self.count(behind), 0);
        let cursor = "SELECT ifnull((SELECT max(settled_seq) FROM cursors), 0)
            = ifnull((SELECT max(last_seq) FROM turns WHERE state IN ('settled', 'gave_up')), 0)";
        prop_assert_eq!(self.count(cursor), 1);
        // One that was told to wait was told once.
        let notices: Vec<String> = self.texts("SELECT turn FROM outbox WHERE text = 'later'");
        let mut told = BTreeMap::<&str, u32>::new();
        notices.iter().for_each(|turn| *told.entry(turn).or_default() += 1);
        prop_assert!(told.values().all(|count| *count == 1), "{:?}", told);
        Ok(())
    }

    /// Lets everything end well.
    async fn drain(&mut self) {
        for _ in 0..1000 {
            self.end(Ending::Settled).await;
            match self.store.begin_turn(begin(), at(self.now)).await.unwrap() {
                Begin::Nothing => return,
                Begin::Stopped => {}
                Begin::NotBefore(_) => self.now += 60,
                Begin::Turn(turn) => self.running = Some((turn.id, false)),
            }
        }
        panic!("it never comes to its end");
    }

    fn count(&self, sql: &str) -> i64 {
        self.eyes.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let mut rows = self.eyes.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn each_message_ends_once_whatever_happens(steps in proptest::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut rig = Rig::new();
            for step in &steps {
                rig.step(step).await;
                rig.check()?;
            }
            rig.drain().await;
            rig.check()?;
            // Every message that woke the agent, or stopped it, is in a turn that has ended.
            let open = "SELECT count(*) FROM messages m WHERE (wakes = 1 OR stops = 1)
                AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = m.turn AND t.state IN ('settled', 'gave_up'))";
            prop_assert_eq!(rig.count(open), 0);
            Ok(())
        })?;
    }
}
