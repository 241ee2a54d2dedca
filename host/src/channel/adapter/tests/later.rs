//! "Not now": a message that an adapter has not tried.

use super::*;

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
