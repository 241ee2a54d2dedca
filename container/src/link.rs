//! The link: how connections leave a container that cannot see the broker's socket.
//!
//! The host starts `longshore-agent link` in the container. That process joins its stdin and stdout to the
//! runner's link socket and knows nothing of what passes. The socket has a name and no file, and is as
//! private as the container's network. The newest link counts: an older one is that of a host that is gone.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream};
use std::time::{Duration, Instant};

use longshore_link::{Connection, Opener};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The link socket's abstract name.
pub const NAME: &str = "longshore-link";
/// How long a connection waits for a link.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the link's process waits for its runner, which may still be starting.
const RUNNER: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(10);
/// Bytes held for each direction by the link's process.
const BUFFER: usize = 32 * 1024;
/// Rest after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The runner's side: the link that there is now.
#[derive(Debug, Clone)]
pub struct Links(watch::Receiver<Option<Opener>>);

impl Links {
    /// Listens under the abstract `name` for as long as the runtime lives.
    ///
    /// # Errors
    /// The name is taken.
    pub fn listen(name: &str) -> io::Result<Self> {
        let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (newest, links) = watch::channel(None);
        tokio::spawn(accept(listener, newest));
        Ok(Self(links))
    }

    /// A connection to the broker; waits a while for a link if there is none. None if none comes.
    pub async fn open(&self) -> Option<Connection> {
        let mut links = self.0.clone();
        let open = async {
            loop {
                let opened = links.borrow_and_update().as_ref().and_then(Opener::open);
                if opened.is_some() || links.changed().await.is_err() {
                    return opened;
                }
            }
        };
        tokio::time::timeout(PATIENCE, open).await.ok().flatten()
    }
}

async fn accept(listener: UnixListener, newest: watch::Sender<Option<Opener>>) {
    let mut driving = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    driving.abort_all();
                    driving.spawn(drive(stream, newest.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_REST).await,
            },
            Some(_) = driving.join_next(), if !driving.is_empty() => {}
        }
    }
}

async fn drive(stream: UnixStream, newest: watch::Sender<Option<Opener>>) {
    let (from, to) = stream.into_split();
    let (opener, link) = longshore_link::container_end(from, to);
    newest.send_replace(Some(opener));
    // Whoever has a connection on it sees its end, and the host makes another link.
    let _ = link.await;
}

/// The link's process: joins stdin and stdout to the runner until either ends.
///
/// # Errors
/// There is no runner under that name.
pub fn join(name: &str) -> io::Result<()> {
    let runner = connect(&SocketAddr::from_abstract_name(name)?)?;
    let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(std::fs::File::from);
    let (mut stdin, mut stdout) = (own(&rustix::stdio::stdin())?, own(&rustix::stdio::stdout())?);
    let (mut from, mut to) = (runner.try_clone()?, runner);
    std::thread::spawn(move || {
        let _ = carry(&mut stdin, &mut to);
        // The host has hung up: nothing that the runner still says would be heard.
        let _ = to.shutdown(Shutdown::Both);
    });
    // Either side may break off; the other then sees its end, and that is all there is to say.
    let _ = carry(&mut from, &mut stdout);
    Ok(())
}

/// As `io::copy`, which would have the kernel splice: while that waits for the socket it holds the pipe, and
/// what lies in the pipe already cannot be read.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn connect(address: &SocketAddr) -> io::Result<StdStream> {
    let begin = Instant::now();
    loop {
        match StdStream::connect_addr(address) {
            Err(error) if begin.elapsed() > RUNNER => {
                return Err(io::Error::new(error.kind(), format!("no runner waits for a link: {error}")));
            }
            Err(_) => std::thread::sleep(RETRY),
            connected => return connected,
        }
    }
}
