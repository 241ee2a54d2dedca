//! The broker between an agent and its model: what it adds to an answer, and what it takes away from its
//! speed. The host is a process of its own; who asks and who answers are here, for both ways alike.

pub(crate) mod relay;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use longshore_tests::figures::{CpuTime, peak_rss_kibibytes};
use longshore_tests::network::{Namespace, OUTSIDE, namespace, set_groups};
use longshore_tests::platform::nanoseconds;
use longshore_tests::{Installation, StubHost, Talk};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use self::relay::Relay;
use self::upstream::Answer;
use crate::table::{Row, Samples, Table};

const PATIENCE: Duration = Duration::from_secs(120);
/// Answers of one word, each way.
const WORDS: usize = 300;
/// Bytes of a large answer, and of what comes out of a tunnel.
const LARGE: usize = 1 << 30;
/// Large answers, each way; the first ones do not count.
const RUNS: usize = 6;
/// Groups, whose sockets share the streams.
const GROUPS: usize = 4;
const STREAMS: usize = 200;
const EVENTS: u32 = 50;
const APART: Duration = Duration::from_millis(100);
const READ: usize = 256 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}
type Connection = BufReader<Pin<Box<dyn Stream>>>;

/// A way to the model.
#[derive(Debug, Clone)]
enum Way {
    Direct(SocketAddr),
    Broker(PathBuf),
    Relay(PathBuf),
}

/// Adds the rows. Tunnels are measured only as root: they lead to addresses outside alone, and only a
/// network of the bench's own has one that is here.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    if !namespace::is_possible() {
        crate::eprint_line("broker: no tunnels, they are measured as root only");
        return tokio::task::block_in_place(|| measured(table, None));
    }
    let network = Namespace::new(&[OUTSIDE]);
    network.within(|| measured(table, Some(&network)))
}

fn measured(table: &mut Table, network: Option<&Namespace>) -> anyhow::Result<()> {
    // Its threads are where this one is.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let address =
        network.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |_| OUTSIDE.parse().unwrap_or(Ipv4Addr::LOCALHOST.into()));
    let model = runtime.block_on(upstream::model(address))?;
    let installation = Installation::new();
    installation.env(&format!("ANTHROPIC_API_KEY=bench\nANTHROPIC_BASE_URL=http://{model}"));
    installation.env("MAX_CONCURRENT_CONTAINERS=16\nMAX_WARM_CONTAINERS=16");
    let groups: Vec<String> = (0..GROUPS).map(|number| format!("g{number}")).collect();
    let open = r#""containerConfig": {"egress": "open"}"#;
    set_groups(&installation, &groups.iter().map(|group| (group.as_str(), open)).collect::<Vec<_>>());
    let host = StubHost::start_in(&installation, false, network)?;
    let mut ways = Vec::new();
    for group in &groups {
        // Its container, and with it its socket, is there from its first turn on.
        Talk::attach(&installation, group)?.turn()?;
        ways.push(Way::Broker(installation.path(&format!("data/broker/{group}/broker.sock"))));
    }
    let direct = Way::Direct(model);
    let relay = Relay::start(model)?;
    runtime.block_on(async {
        words(table, &direct, &ways[0]).await?;
        large(table, &direct, &ways[0], &Way::Relay(relay.socket()), host.pid()).await?;
        if network.is_some() {
            tunnel(table, address, &ways[0]).await?;
        }
        streams(table, &direct, &ways, host.pid()).await
    })?;
    ensure!(host.stop()?.success(), "the host did not stop well");
    Ok(())
}

async fn words(table: &mut Table, direct: &Way, broker: &Way) -> anyhow::Result<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for run in 0..WORDS + WORDS / 10 {
        for (way, samples) in [(direct, &mut without), (broker, &mut with)] {
            let begin = Instant::now();
            let mut connection = way.ask(Answer::Word).await?;
            until(&mut connection, b"hello").await?;
            let elapsed = begin.elapsed().as_secs_f64() * 1000.0;
            if run >= WORDS / 10 {
                samples.push(elapsed);
            }
        }
    }
    let (without, with) = (Samples::of(without), Samples::of(with));
    table.push(Row::figure("broker: first word, direct", &without, "ms", None));
    table.push(Row::figure("broker: first word, through it", &with, "ms", None));
    let over = with.p50() - without.p50();
    table.push(Row::fine("broker: first word, its share", over, "ms", Some(("p50 <= 2", over <= 2.0))));
    Ok(())
}

async fn large(table: &mut Table, direct: &Way, broker: &Way, relay: &Way, host: u32) -> anyhow::Result<()> {
    let (mut without, mut with, mut copied) = (Vec::new(), Vec::new(), Vec::new());
    let (mut before, mut after) = (CpuTime::default(), CpuTime::default());
    before.sample(host)?;
    for _ in 0..RUNS {
        for (way, samples) in [(direct, &mut without), (broker, &mut with), (relay, &mut copied)] {
            let mut connection = way.ask(Answer::Large(LARGE)).await?;
            samples.push(speed(&mut connection, b"0\r\n\r\n").await?);
        }
    }
    after.sample(host)?;
    let ratio = rates(table, "broker: a large answer", &without, &with);
    table.push(Row::ratio("broker: a large answer, through it / direct", ratio, Some((">= 0.80", ratio >= 0.8))));
    let (with, copied) = (Samples::of(with[1..].to_vec()), Samples::of(copied[1..].to_vec()));
    table.push(Row::single("broker: a large answer, through a bare relay", copied.p50(), "MiB/s", None));
    table.push(Row::ratio("broker: a large answer, through it / a bare relay", with.p50() / copied.p50(), None));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let cost = after.total().saturating_sub(before.total()).as_secs_f64() * 1000.0 / RUNS as f64;
    table.push(Row::single("broker: its processor time for 1 GiB", cost, "ms", None));
    Ok(())
}

async fn tunnel(table: &mut Table, address: IpAddr, broker: &Way) -> anyhow::Result<()> {
    let tap = upstream::tap(address, LARGE).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut connection = Way::Direct(tap).connect().await?;
        connection.write_all(b"go").await?;
        without.push(speed(&mut connection, b"").await?);
        let mut connection = broker.connect().await?;
        connection.write_all(format!("CONNECT {tap} HTTP/1.1\r\nhost: {tap}\r\n\r\n").as_bytes()).await?;
        let head = until(&mut connection, b"\r\n\r\n").await?;
        ensure!(head.starts_with(b"HTTP/1.1 200"), "no tunnel: {}", String::from_utf8_lossy(&head));
        connection.write_all(b"go").await?;
        with.push(speed(&mut connection, b"").await?);
    }
    let ratio = rates(table, "broker: a tunnel", &without, &with);
    table.push(Row::ratio("broker: a tunnel, through it / direct", ratio, Some((">= 0.80", ratio >= 0.8))));
    Ok(())
}

/// Two rows; without the first run of each, which warms up. The ratio of the medians.
fn rates(table: &mut Table, what: &str, without: &[f64], with: &[f64]) -> f64 {
    let (without, with) = (Samples::of(without[1..].to_vec()), Samples::of(with[1..].to_vec()));
    table.push(Row::single(&format!("{what}, direct"), without.p50(), "MiB/s", None));
    table.push(Row::single(&format!("{what}, through it"), with.p50(), "MiB/s", None));
    with.p50() / without.p50()
}

async fn streams(table: &mut Table, direct: &Way, ways: &[Way], host: u32) -> anyhow::Result<()> {
    for (what, ways) in [("direct", std::slice::from_ref(direct)), ("through it", ways)] {
        let all = (0..STREAMS).map(|number| drip(ways[number % ways.len()].clone()));
        let late: Vec<f64> =
            try_join_all(all.map(tokio::spawn)).await?.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
        ensure!(late.len() == STREAMS * EVENTS as usize, "{} events came", late.len());
        let late = Samples::of(late);
        let target = (what == "through it").then(|| ("p95 <= 5", late.p95() <= 5.0));
        table.push(Row::figure(&format!("broker: an event in {STREAMS} streams, {what}"), &late, "ms", target));
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let peak = peak_rss_kibibytes(host)? as f64 / 1024.0;
    table.push(Row::single("broker: most memory of all that (VmHWM)", peak, "MiB", Some(("<= 40", peak <= 40.0))));
    Ok(())
}

/// How late each event came, in ms.
async fn drip(way: Way) -> anyhow::Result<Vec<f64>> {
    let mut connection = way.ask(Answer::Drip(EVENTS, APART)).await?;
    let mut late = Vec::new();
    for _ in 0..EVENTS {
        let text = until(&mut connection, b"\n\n").await?;
        let now = nanoseconds();
        let text = String::from_utf8(text)?;
        let at = text.rsplit_once("at=").and_then(|(_, rest)| rest.split(' ').next()).context("no time")?;
        let at: u64 = at.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        late.push(now.saturating_sub(at) as f64 / 1e6);
    }
    until(&mut connection, b"0\r\n\r\n").await?;
    Ok(late)
}

impl Way {
    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream: Pin<Box<dyn Stream>> = match self {
            Self::Direct(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::pin(stream)
            }
            Self::Broker(socket) | Self::Relay(socket) => Box::pin(UnixStream::connect(socket).await?),
        };
        Ok(BufReader::new(stream))
    }

    /// Asks the model, on a connection of its own as the broker wants it; up to the end of the answer's head.
    async fn ask(&self, answer: Answer) -> anyhow::Result<Connection> {
        let path = if matches!(self, Self::Broker(_)) { "/anthropic" } else { "" };
        let body = answer.body();
        let request = format!(
            "POST {path}/v1/messages HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = self.connect().await?;
        connection.write_all(request.as_bytes()).await?;
        let head = until(&mut connection, b"\r\n\r\n").await?;
        ensure!(head.starts_with(b"HTTP/1.1 200"), "no answer: {}", String::from_utf8_lossy(&head));
        Ok(connection)
    }
}

/// What comes up to and with an end, and nothing of what is behind it.
async fn until(connection: &mut Connection, end: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(256);
    let reading = async {
        while !read.ends_with(end) {
            read.push(connection.read_u8().await?);
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, reading).await.context("nothing comes")??;
    Ok(read)
}

/// How fast a stream comes that ends like that (and, if like nothing, with its connection), in MiB/s.
async fn speed(connection: &mut Connection, end: &[u8]) -> anyhow::Result<f64> {
    let (mut buffer, mut bytes, begin) = (vec![0; READ], 0, Instant::now());
    loop {
        let read = timeout(PATIENCE, connection.read(&mut buffer)).await.context("nothing comes")??;
        bytes += read;
        // The end may come in two pieces, but not after so many bytes, and then the connection ends, too.
        if read == 0 || (!end.is_empty() && buffer[..read].ends_with(end)) {
            break;
        }
    }
    ensure!(bytes >= LARGE, "{bytes} bytes came");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(bytes as f64 / (1024.0 * 1024.0) / begin.elapsed().as_secs_f64())
}
