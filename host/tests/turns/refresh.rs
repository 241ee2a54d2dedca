//! An agent asks for the chats.

use longshore_protocol::TurnRequest;

use super::says;
use super::stage::Stage;
use super::theatre::Line;

fn asks_for_the_chats(request: &TurnRequest) -> Vec<Line> {
    let mut lines = vec![Line::Asks("chats".into(), r#"{"type":"refresh_groups"}"#.into())];
    lines.extend(says("asked")(request));
    lines
}

#[tokio::test]
async fn the_main_groups_agent_has_the_channels_asked_and_no_other_has() {
    let stage = Stage::new(asks_for_the_chats).await;
    stage.hear("which chats are there?").await;
    // Had the channel been asked, that would have come first, or come now.
    assert_eq!(stage.reply().await, "asked");
    stage.until_sql("SELECT count(*) FROM petitions", 1).await;
    stage.register(&super::opening::GROUPS.replace("false}", r#"false, "isMain": true}"#));
    stage.hear("and now?").await;
    let mut heard = [stage.reply().await, stage.reply().await];
    heard.sort();
    assert_eq!(heard, ["(lists its chats)", "asked"]);
}
