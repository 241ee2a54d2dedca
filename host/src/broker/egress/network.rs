//! The internet as the host has it: names become addresses, addresses become connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Limits;
use super::address::{self, Forbidden};
use super::refusal::Refusal;
use super::target::{Host, Target};

/// Names that are looked up at once, of all groups together: each holds a thread until the system gives up,
/// long after whoever asked has left.
const MAX_LOOKUPS: usize = 32;
/// How long a chosen name server may take; it is asked twice.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// What the broker asks of the network.
#[async_trait]
pub(in crate::broker) trait Network: Send + Sync {
    /// The addresses of a name.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// Whether an address is one of this machine's.
    fn is_own(&self, address: IpAddr) -> bool;

    /// A connection to exactly this address.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The real one.
pub struct Internet {
    lookups: Arc<Semaphore>,
    /// Instead of the system's way to resolve names.
    server: Option<TokioResolver>,
}

impl Default for Internet {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)), server: None }
    }
}

impl Internet {
    /// With names as one name server has them, or the system if there is none.
    ///
    /// Without one it is the system that resolves, with its hosts file and whatever else the operator set
    /// up there.
    ///
    /// # Errors
    /// The resolver cannot be made.
    pub fn by(server: Option<SocketAddr>) -> io::Result<Self> {
        Ok(Self { server: server.map(resolver).transpose()?, ..Self::default() })
    }
}

fn resolver(server: SocketAddr) -> io::Result<TokioResolver> {
    let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
        way.port = server.port();
        way
    });
    let server = NameServerConfig::new(server.ip(), true, ways.to_vec());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = ANSWER_LIMIT;
    // As from the system: every question is asked, and the answer is the server's alone.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().map_err(io::Error::other)
}

#[async_trait]
impl Network for Internet {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let place = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        if let Some(server) = &self.server {
            // The last dot: it is the whole name, whatever domain this machine is in.
            let found = server.lookup_ip(format!("{name}.")).await.map_err(io::Error::other)?;
            return Ok(found.iter().collect());
        }
        let name = name.to_owned();
        let lookup = move || {
            let _place = place;
            (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
    }

    /// To reach itself a machine uses the same address at both ends; a datagram socket knows without a word
    /// sent.
    fn is_own(&self, address: IpAddr) -> bool {
        let any = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let local = || -> io::Result<IpAddr> {
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect((address, 9))?;
            Ok(socket.local_addr()?.ip())
        };
        // Without a route there is no way to it, either.
        local().is_ok_and(|local| local == address)
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// Why nobody may be led to an address, on this machine.
fn forbidden(network: &dyn Network, address: IpAddr) -> Option<Forbidden> {
    address::forbidden(address).or_else(|| {
        // Behind an address of the machine's own are services that a firewall keeps from others. One for
        // documentation is had only where somebody tries things out.
        (!address::is_for_documentation(address) && network.is_own(address)).then_some(Forbidden::Own)
    })
}

/// A connection to the target, within the limits.
///
/// A name is resolved once, every address that it has is judged, and one of those very addresses is
/// connected to: an answer that changes a moment later changes nothing.
///
/// # Errors
/// Why there is none.
pub(super) async fn connect(network: &dyn Network, target: &Target, limits: &Limits) -> Result<TcpStream, Refusal> {
    let connecting = async {
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = network.resolve(name).await;
                found.map_err(|error| Refusal::Unresolved(target.clone(), error.to_string()))?
            }
        };
        let mut kept_from = None;
        let mut addresses = found.into_iter().take(limits.addresses);
        let mut last = None;
        for address in addresses.by_ref() {
            if let Some(kind) = forbidden(network, address) {
                kept_from.get_or_insert(kind);
                continue;
            }
            last = Some(match timeout(limits.try_one, network.connect(SocketAddr::new(address, target.port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            });
        }
        Err(match (last, kept_from) {
            (Some(last), _) => Refusal::Unreachable(target.clone(), last),
            (None, Some(kind)) => Refusal::Forbidden(target.clone(), kind),
            (None, None) => Refusal::Unresolved(target.clone(), "it has no address".to_owned()),
        })
    };
    timeout(limits.connect, connecting).await.unwrap_or_else(|_| Err(Refusal::Late(target.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_addresses_are_known() {
        let internet = Internet::default();
        assert!(internet.is_own("127.0.0.1".parse().unwrap()));
        assert!(!internet.is_own("192.0.2.7".parse().unwrap()));
    }

    #[tokio::test]
    async fn the_internet_does_not_begin_at_home() {
        for name in ["localhost", "LOCALHOST."] {
            let target = Target::parse(&format!("{name}:80"), None).unwrap();
            let refused = connect(&Internet::default(), &target, &Limits::ORDINARY).await.unwrap_err();
            assert_eq!(refused, Refusal::Forbidden(target, Forbidden::Loopback));
        }
    }

    /// Answers each question for an IPv4 address with these two, and every other with nothing.
    async fn name_server(answers: [Ipv4Addr; 2]) -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut question = [0; 1500];
            loop {
                let (length, client) = socket.recv_from(&mut question).await.unwrap();
                let name = question[12..length].iter().position(|byte| *byte == 0).unwrap() + 13;
                let is_a = question[name..name + 2] == [0, 1];
                let mut answer = question[..name + 4].to_vec();
                // A response, without additional records.
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, if is_a { 2 } else { 0 }, 0, 0, 0, 0]);
                for address in answers.iter().filter(|_| is_a) {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
                    answer.extend(address.octets());
                }
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_chosen_name_server_is_the_one_that_is_asked() {
        let answers = ["198.51.100.7".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let internet = Internet::by(Some(name_server(answers).await)).unwrap();
        let mut found = internet.resolve("tools.example").await.unwrap();
        found.sort();
        assert_eq!(found, [IpAddr::from(answers[1]), answers[0].into()]);
    }
}
