//! Words that not every adapter knows: "list your chats again", and "not now".

use super::*;

#[tokio::test]
async fn an_adapter_that_is_asked_lists_its_chats_and_one_that_does_not_know_the_word_lives_on() {
    let mut channel = Running::start(
        r#"
ready()
while True:
    line = hear()
    if line["type"] == "refresh": tell(type="chat", chat="c", name="Chat", is_group=True)
    if line["type"] == "stop": break"#,
    );
    channel.up().await;
    channel.adapter.refresh().await;
    let ChannelEvent::Chat { chat, is_group: true, .. } = channel.event().await else { panic!("no chat") };
    assert_eq!(chat, "c");
    channel.stop().await;

    let mut older = Running::start("ready()\nassert hear()['type'] == 'refresh'\nsay('still here')\nhear()");
    older.up().await;
    older.adapter.refresh().await;
    assert_eq!(older.message().await.0.id, "still here");
    older.stop().await;
}

#[tokio::test]
async fn a_message_that_was_not_tried_is_no_failure_and_is_taken_when_it_comes_again() {
    let mut channel = Running::start(
        r#"
ready()
tell(type="send_later", outbox_id=hear()["outbox_id"], reason="too many messages were before it")
again = hear()
assert again["message_id"] == "id1", again
tell(type="sent", outbox_id=again["outbox_id"], message_id="id1")
hear()"#,
    );
    channel.up().await;
    let later = channel.send(1).await;
    assert_eq!(later, Err(SendError::Unavailable("too many messages were before it".into())));
    assert_eq!(channel.send(1).await, Ok(()));
    channel.stop().await;
}
