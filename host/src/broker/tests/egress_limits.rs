//! What tools may take of the host, and what becomes of those that take it.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::super::egress::Limits;
use super::egress::{ONE, Outing, parrot};
use super::rig::{post, soon};
use crate::groups::entry::Egress as Mode;

async fn outing(limits: Limits) -> Outing {
    let outing = Outing::new(Mode::Open, &[], limits).await;
    outing.world.name("tools.example", &[&[ONE]]);
    outing.world.server("9.9.9.9:443", parrot().await);
    outing
}

#[tokio::test]
async fn a_group_has_so_many_tunnels_and_its_model_is_still_heard() {
    let outing = outing(Limits { tunnels: 2, ..Limits::ORDINARY }).await;
    let one = outing.tunnel("tools.example:443").await;
    let _two = outing.tunnel("tools.example:443").await;
    let refused = outing.connect("tools.example:443").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("2 connections open"), "{refused}");
    assert!(outing.ask(&post("/openai/v1/responses", "hello")).await.ends_with("hello"));
    // A place is free again once its tunnel has ended.
    drop(one);
    let freed = async {
        loop {
            let mut client = outing.client().await;
            client.write("CONNECT tools.example:443 HTTP/1.1\r\n\r\n").await;
            if client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    soon(freed).await;
}

#[tokio::test]
async fn a_tool_that_hangs_in_a_tunnel_loses_it() {
    let outing = outing(Limits { idle: Duration::from_millis(200), tunnels: 1, ..Limits::ORDINARY }).await;
    let mut hanging = outing.tunnel("tools.example:443").await;
    assert_eq!(hanging.read_to_end().await, "");
    outing.tunnel("tools.example:443").await;
}

#[tokio::test]
async fn one_tunnel_carries_so_much_and_a_group_so_much_in_a_day() {
    let outing = outing(Limits { tunnel_bytes: 1000, day_bytes: 1500, ..Limits::ORDINARY }).await;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let mut tunnel = outing.tunnel("tools.example:443").await;
        let _ = tunnel.0.write_all(&[b'x'; 900]).await;
        ends.push(tunnel.read_to_end().await.len());
    }
    // 900 bytes go, and their echo is beyond the limit: of the tunnel, then of the day.
    assert!(ends.iter().all(|bytes| *bytes <= 100), "{ends:?}");
    let refused = outing.connect("tools.example:443").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("in a day"), "{refused}");
    assert!(outing.ask(&post("/openai/v1/responses", "hello")).await.ends_with("hello"));
}

#[tokio::test]
async fn the_tunnels_of_a_container_end_with_its_socket() {
    let outing = outing(Limits::ORDINARY).await;
    let mut tunnel = outing.tunnel("tools.example:443").await;
    drop(outing.link);
    assert_eq!(tunnel.read_to_end().await, "");
}
