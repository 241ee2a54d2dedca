//! What the program that supervises the host is told, where there is one: `sd_notify(3)`, a datagram of
//! `KEY=value` lines to the socket that `NOTIFY_SOCKET` names. Without it nothing is told to anybody.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::app::Life;

/// How many signs of life are given in the time after which none means death.
const SIGNS: u32 = 3;

/// Whoever waits for the host to be ready and alive.
#[derive(Debug)]
pub struct Supervisor {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment says: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` unless `WATCHDOG_PID` is another process.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::told_by(|name| std::env::var_os(name))
    }

    fn told_by(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let line = variable("NOTIFY_SOCKET").and_then(|socket| {
            let opened = line_to(&socket);
            opened.inspect_err(|error| tracing::warn!(%error, ?socket, "the supervisor cannot be told anything")).ok()
        });
        let number = |name| variable(name)?.into_string().ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Self { line, watchdog }
    }

    /// Best effort: a host does not end because nobody listens to it.
    fn tell(&self, lines: &str) {
        if let Some((socket, address)) = &self.line
            && let Err(error) = socket.send_to_addr(lines.as_bytes(), address)
        {
            tracing::debug!(%error, "the supervisor did not hear");
        }
    }
}

/// Tells of a host that is ready that it is so, that it is alive for as long as it is, and that it ends.
pub async fn supervised(supervisor: Supervisor, life: Life) {
    if supervisor.line.is_none() {
        return;
    }
    let serving = || {
        let groups = life.served();
        format!("STATUS=serving {groups} {}", if groups == 1 { "group" } else { "groups" })
    };
    supervisor.tell(&format!("READY=1\n{}", serving()));
    tokio::select! {
        () = signs(&supervisor, &life, serving) => {}
        () = life.ending() => {}
    }
    supervisor.tell("STOPPING=1\nSTATUS=ending: running turns may end");
}

/// Signs of life, each only once there was one.
async fn signs(supervisor: &Supervisor, life: &Life, serving: impl Fn() -> String) {
    let Some(limit) = supervisor.watchdog else { return std::future::pending().await };
    let every = limit / SIGNS;
    loop {
        let next = Instant::now() + every;
        match timeout(limit, life.beat()).await {
            Ok(true) => supervisor.tell(&format!("WATCHDOG=1\n{}", serving())),
            Ok(false) => supervisor.tell("STATUS=the store does not answer"),
            Err(_) => {
                tracing::error!(?limit, "the host gives no sign of life: its store or its dispatcher hangs");
                supervisor.tell("STATUS=no sign of life: the store or the dispatcher hangs");
            }
        }
        tokio::time::sleep_until(next).await;
    }
}

fn line_to(socket: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match socket.as_encoded_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        [b'@', name @ ..] => abstract_address(name)?,
        _ => return Err(io::Error::other("neither a path nor an abstract name")),
    };
    let line = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold the host up.
    line.set_nonblocking(true)?;
    Ok((line, address))
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::other("abstract names are Linux's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::watch::GroupsWatch;
    use crate::queue::dispatch::Wakes;
    use crate::stop::Stop;
    use crate::store::Store;

    #[test]
    fn what_the_environment_says_is_taken_for_this_process_alone() {
        let pid = std::process::id().to_string();
        for (variables, watchdog) in [
            (vec![], None),
            (vec![("WATCHDOG_USEC", "3000000")], Some(3)),
            (vec![("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", pid.as_str())], Some(3)),
            (vec![("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")], None),
            (vec![("WATCHDOG_USEC", "0")], None),
            (vec![("WATCHDOG_USEC", "soon")], None),
        ] {
            let told = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(Supervisor::told_by(told).watchdog, watchdog.map(Duration::from_secs), "{variables:?}");
        }
        let told = |name: &str| (name == "NOTIFY_SOCKET").then(|| "relative".into());
        assert!(Supervisor::told_by(told).line.is_none());
    }

    #[tokio::test]
    async fn a_host_whose_dispatcher_hangs_gives_no_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let told = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
            "WATCHDOG_USEC" => Some("100000".into()),
            _ => None,
        };
        let supervisor = Supervisor::told_by(told);
        let watch = GroupsWatch::open(folder.path().join("groups.json")).await;
        let store = Store::open(&folder.path().join("db")).unwrap();
        let drain = Stop::new();
        // Nobody runs the dispatcher of these wakes.
        let life = Life::new(store, Wakes::default(), watch.subscribe(), drain.clone());
        let task = tokio::spawn(supervised(supervisor, life));
        let (mut lines, mut buffer) = (String::new(), [0; 512]);
        let mut hear = |until: &str| loop {
            match heard.recv(&mut buffer) {
                Ok(size) => lines.push_str(&format!("{}\n", String::from_utf8_lossy(&buffer[..size]))),
                Err(_) => return lines.contains(until).then(|| lines.clone()),
            }
        };
        while hear("no sign of life").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drain.cancel();
        task.await.unwrap();
        let lines = hear("STOPPING=1").unwrap();
        assert!(
            lines.contains("READY=1") && lines.contains("no sign of life") && lines.contains("STOPPING=1"),
            "{lines}"
        );
        assert!(!lines.contains("WATCHDOG=1"), "{lines}");
    }
}
