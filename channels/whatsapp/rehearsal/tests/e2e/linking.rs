//! Linking and what the operator asks about it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_protocol::channel::LinkState;
use tokio::time::{sleep, timeout};

use crate::rig::{BOT, Rig};

/// What a phone sees.
fn scan(path: &Path) -> Result<String> {
    let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path)?)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("no size")?];
    let info = reader.next_frame(&mut pixels)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let (_, text) = image.detect_grids().first().context("no code")?.decode()?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_scans_the_picture_links_the_account() -> Result<()> {
    let rig = Rig::new(false).await?;
    let picture = rig.data.path().join("code.png");
    let picture_name = picture.to_str().context("a name")?;
    let child = rig.command(&["link", "--png", picture_name]).stdout(Stdio::piped()).spawn()?;
    timeout(longshore_whatsapp_fake::PATIENCE, async {
        while !picture.exists() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await?;
    rig.server.scan(BOT, &scan(&picture)?)?;
    let output = timeout(longshore_whatsapp_fake::PATIENCE, child.wait_with_output()).await??;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{said}");
    assert!(said.contains('█') && said.contains(&format!("Linked: +{BOT}")), "{said}");

    let (_, status) = rig.run(&["status"]).await?;
    assert!(status.contains(&format!("+{BOT}")) && status.contains("linked; no adapter runs"), "{status}");
    let (done, groups) = rig.run(&["groups"]).await?;
    assert!(done && groups.contains("Family"), "{groups}");
    let (done, said) = rig.run(&["link"]).await?;
    assert!(!done && said.contains("is linked already"), "{said}");

    let (done, said) = rig.run(&["unlink"]).await?;
    assert!(done && said.contains("is removed here."), "{said}");
    assert_eq!(rig.server.state().accounts[BOT].devices.len(), 1, "the phone alone is left");
    assert!(!rig.data.path().join("keys.db").exists());
    let (_, status) = rig.run(&["status"]).await?;
    assert!(status.contains("No WhatsApp account is linked"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_waits_for_a_link_takes_it_up_at_once() -> Result<()> {
    let rig = Rig::new(true).await?;
    let mut host = rig.start().await?;
    let detail = host.state(LinkState::LoggedOut).await?;
    assert!(detail.contains("longshore whatsapp link"), "{detail}");
    let said = rig.link().await?;
    assert!(said.contains(&format!("Linked: +{BOT}")), "{said}");
    host.state(LinkState::Up).await?;
    let (done, said) = rig.run(&["unlink"]).await?;
    assert!(!done && said.contains("stop the host first"), "{said}");
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_asked_of_a_link_that_is_not_there() -> Result<()> {
    let rig = Rig::new(false).await?;
    for command in ["groups", "unlink"] {
        let (done, said) = rig.run(&[command]).await?;
        assert!(!done && said.contains("no WhatsApp account is linked"), "{command}: {said}");
    }
    let (done, said) = rig.run(&["link", "--phone", "0151 2345"]).await?;
    assert!(!done && said.contains("is no phone number"), "{said}");
    Ok(())
}
