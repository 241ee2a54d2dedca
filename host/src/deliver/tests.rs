use std::time::Instant;

use async_trait::async_trait;

use super::*;
use crate::channel::{Inbox, OutboundMessage};

/// A platform that takes everything at once and notes it.
#[derive(Default)]
struct Platform(Mutex<Vec<(String, String)>>);

#[async_trait]
impl Channel for Platform {
    fn name(&self) -> &'static str {
        "test"
    }

    fn max_text_bytes(&self) -> usize {
        4096
    }

    async fn listen(&self, _inbox: Inbox, stop: Stop) -> anyhow::Result<()> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        self.0.lock().unwrap().push((message.chat.clone(), message.text.clone()));
        Ok(())
    }

    async fn typing(&self, _chat: &str, _on: bool) {}

    async fn refresh(&self) {}
}

/// When the host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    WhenAllIsSent,
    AtOnce,
}

/// Delivers so many rows in each of so many chats, which a dead host left; gives what was sent.
async fn delivered(chats: usize, rows: usize, ends: Ends) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("longshore.db")).unwrap();
    let clock = Clock::system();
    for chat in 0..chats {
        for row in 0..rows {
            store.notice(format!("test:{chat}"), vec![format!("{row}")], clock.now()).await.unwrap();
        }
    }
    let platform = Arc::new(Platform::default());
    let outbound = Outbound::new(vec![platform.clone()], store.clone(), Metrics::default());
    let stop = Stop::new();
    let begin = Instant::now();
    if ends == Ends::AtOnce {
        stop.cancel();
    }
    let delivery = tokio::spawn(deliver(outbound, clock, stop.clone()));
    while ends == Ends::WhenAllIsSent && store.outbox_counts().await.unwrap().0 > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eprintln!("{chats} chats with {rows} rows each: {:?}", begin.elapsed());
    stop.cancel();
    delivery.await.unwrap().unwrap();
    platform.0.lock().unwrap().clone()
}

#[tokio::test]
async fn what_a_dead_host_left_leaves_once_and_in_the_order_of_its_chat() {
    let sent = delivered(50, 4, Ends::WhenAllIsSent).await;
    assert_eq!(sent.len(), 200);
    for chat in 0..50 {
        let chat = format!("test:{chat}");
        let texts: Vec<_> = sent.iter().filter(|(to, _)| *to == chat).map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["0", "1", "2", "3"], "{chat}");
    }
}

#[tokio::test]
async fn what_is_due_when_the_host_ends_still_leaves() {
    assert_eq!(delivered(3, 4, Ends::AtOnce).await.len(), 12);
}

#[tokio::test]
#[ignore = "measures: run with --nocapture"]
async fn many_rows_and_many_chats_cost_what_is_sent() {
    for (chats, rows) in [(1, 2_000), (1_000, 1), (1_000, 2)] {
        assert_eq!(delivered(chats, rows, Ends::WhenAllIsSent).await.len(), chats * rows);
    }
}
