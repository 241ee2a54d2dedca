//! Links that are over, and ends of the adapter itself. It stays up, idle, and says what to do.

use std::time::Duration;

use anyhow::Result;
use longshore_protocol::channel::LinkState;
use longshore_whatsapp_fake::state::Failure;
use tokio::time::{sleep, timeout};
use whatsapp_rust::NodeBuilder;

use crate::rig::{BOT, GROUP, Host, Rig};

/// Nothing goes any more, and the process is there all the same.
async fn is_idle(rig: &Rig, mut host: Host) -> Result<Host> {
    let logins = rig.server.state().logins.get(BOT).copied();
    let (row, _) = host.send(GROUP, "hello", None).await?;
    assert!(host.sent(row).await.is_err());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(host.child.try_wait()?, None);
    assert_eq!(rig.server.state().logins.get(BOT).copied(), logins, "it has not tried again");
    Ok(host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_refused_says_what_to_do() -> Result<()> {
    let table = [
        (Failure::new(401), LinkState::LoggedOut, "longshore whatsapp link"),
        (Failure::new(403), LinkState::Banned, "ask for a review"),
        (Failure::new(405), LinkState::Outdated, "newer Longshore"),
        (Failure { reason: 402, ban: Some((101, 7200)) }, LinkState::Banned, "for 2 h"),
    ];
    for (failure, state, what) in table {
        let (rig, _hana) = Rig::linked(false).await?;
        let reason = failure.reason;
        rig.server.refuse(BOT, [failure]);
        let mut host = rig.start().await?;
        let detail = host.state(state).await?;
        assert!(detail.contains(what), "{reason}: {detail}");
        is_idle(&rig, host).await?.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_the_phone_removes_comes_back_by_a_new_one_without_a_restart() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    let mut host = rig.up().await?;
    let conflict = NodeBuilder::new("conflict").attr("type", "device_removed").build();
    rig.server.push(BOT, &NodeBuilder::new("stream:error").attr("code", "401").children([conflict]).build());
    let detail = host.state(LinkState::LoggedOut).await?;
    assert!(detail.contains("longshore whatsapp link"), "{detail}");
    let mut host = is_idle(&rig, host).await?;
    let (_, status) = rig.run(&["status"]).await?;
    assert!(status.contains("the link was removed"), "{status}");
    rig.link().await?;
    host.state(LinkState::Up).await?;
    host.sends(GROUP, "back again", None).await?;
    let read = hana.reads().await?;
    assert_eq!(whatsapp_rust::prelude::MessageExt::text_content(&*read.message), Some("back again"));
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_another_takes_over_is_left_to_it() -> Result<()> {
    let (rig, _hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    let conflict = NodeBuilder::new("conflict").attr("type", "replaced").build();
    rig.server.push(BOT, &NodeBuilder::new("stream:error").children([conflict]).build());
    let detail = host.state(LinkState::Replaced).await?;
    assert!(detail.contains("another program"), "{detail}");
    is_idle(&rig, host).await?.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_folder_has_one_adapter() -> Result<()> {
    let (rig, _hana) = Rig::linked(false).await?;
    let host = rig.up().await?;
    let mut second = rig.start().await?;
    let detail = second.state(LinkState::Down).await?;
    assert!(detail.contains("another `longshore-whatsapp`"), "{detail}");
    second.stop().await?;
    assert!(rig.server.is_connected(BOT));
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_ends_when_its_input_does_or_when_it_is_told() -> Result<()> {
    let (rig, _hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    host.close().await;
    let status = timeout(longshore_whatsapp_fake::PATIENCE, host.child.wait()).await??;
    assert!(status.success(), "{status}");
    rig.server
        .until("it has left", |state| state.accounts[BOT].devices.values().all(|device| device.way.is_none()))
        .await?;
    // With a message that nobody stores it ends as well.
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    host.store(false);
    hana.client.send_text(&rig.group(), "nobody stores this").await?;
    host.message().await?;
    host.stop().await
}
