//! "List your chats again."

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
