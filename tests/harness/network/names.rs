//! A name server that says what a test wants.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Namespace;

const HEADER: usize = 12;
const A: [u8; 4] = [0, 1, 0, 1];
const AAAA: [u8; 4] = [0, 28, 0, 1];
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A running name server.
pub struct Names {
    table: Arc<Mutex<HashMap<String, Entry>>>,
    done: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

struct Entry {
    answers: Vec<Vec<IpAddr>>,
    /// Questions so far, for IPv4 and for IPv6.
    asked: [usize; 2],
}

impl Names {
    /// One that knows no names yet.
    #[must_use]
    pub fn serve(namespace: &Namespace, address: SocketAddr) -> Self {
        let socket = namespace.within(|| UdpSocket::bind(address)).expect("the name server's socket");
        socket.set_read_timeout(Some(LOOK)).expect("a time limit");
        let table: Arc<Mutex<HashMap<String, Entry>>> = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let (names, ended) = (Arc::clone(&table), Arc::clone(&done));
        let serving = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let mut question = [0; 1500];
                match socket.recv_from(&mut question) {
                    Ok((length, client)) => {
                        let told = answer(&question[..length], &mut names.lock().expect("the names"));
                        let _ = told.map(|told| socket.send_to(&told, client));
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Err(error) => panic!("the name server: {error}"),
                }
            }
        });
        Self { table, done, serving: Some(serving) }
    }

    /// The addresses in the first answer, in the second, and so on; the last answer stays.
    pub fn set(&self, name: &str, answers: Vec<Vec<IpAddr>>) {
        let entry = Entry { answers, asked: [0; 2] };
        self.table.lock().expect("the names").insert(name.to_owned(), entry);
    }

    /// How often a name's IPv4 addresses were asked for.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.table.lock().expect("the names").get(name).map_or(0, |entry| entry.asked[0])
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// The answer to a question (RFC 1035, 4.1); to what is none, nothing.
fn answer(question: &[u8], table: &mut HashMap<String, Entry>) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind: [u8; 4] = question.get(at..at + 4)?.try_into().ok()?;
    let entry = table.get_mut(&labels.join("."));
    // No such name, unless there is an entry.
    let code = if entry.is_some() { 0 } else { 3 };
    let addresses = entry.map_or_else(Vec::new, |entry| entry.next(kind));
    let mut told = question.get(..at + 4)?.to_vec();
    told[2..HEADER].copy_from_slice(&[0x85, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0]);
    for address in addresses {
        // The name of the question, its type and class, a life of nothing.
        told.extend([0xc0, 12]);
        told.extend(kind);
        told.extend([0, 0, 0, 0]);
        match address {
            IpAddr::V4(address) => told.extend([&[0, 4][..], &address.octets()].concat()),
            IpAddr::V6(address) => told.extend([&[0, 16][..], &address.octets()].concat()),
        }
    }
    Some(told)
}

impl Entry {
    fn next(&mut self, kind: [u8; 4]) -> Vec<IpAddr> {
        let asked = match kind {
            A => &mut self.asked[0],
            AAAA => &mut self.asked[1],
            _ => return Vec::new(),
        };
        let answer = self.answers.get(*asked).or(self.answers.last());
        *asked += 1;
        answer.into_iter().flatten().filter(|address| address.is_ipv4() == (kind == A)).copied().collect()
    }
}
