//! The files of the record: written by a thread of their own, and bounded whatever happens.
//!
//! Nobody waits for the disk: what finds the queue full is lost and counted, and the count is a line itself.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use crate::record;

/// Lines on their way to the disk; beyond them lines are lost.
const QUEUE: usize = 4096;
/// How much is written at once.
const WRITE_BYTES: usize = 64 * 1024;
/// How long the end of the host waits for the last lines.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What the thread is told.
enum Order {
    /// One line with its newline.
    Line(Vec<u8>),
    /// Write what there is, answer, and end.
    End(SyncSender<()>),
}

/// The way to the files; clones share it.
#[derive(Clone)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Opens the folder's newest file, and starts the thread. `lost` makes the line that tells how many were lost.
    pub(super) fn open(folder: &Path, most_bytes: u64, lost: fn(u64) -> Vec<u8>) -> io::Result<Self> {
        let files = Files::open(folder, most_bytes / record::FILES)?;
        let (orders, received) = mpsc::sync_channel(QUEUE);
        let count = Arc::new(AtomicU64::new(0));
        let queue = Self { orders, lost: count.clone() };
        std::thread::Builder::new().name("record".into()).spawn(move || write(&received, files, &count, lost))?;
        Ok(queue)
    }

    /// Hands a line over, or counts it as lost. Never waits.
    pub(super) fn push(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.orders.try_send(Order::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for a moment until everything so far is written.
    pub(super) fn end(&self) {
        let (done, ended) = mpsc::sync_channel(1);
        if self.orders.try_send(Order::End(done)).is_ok() {
            // A disk that does not take it in time does not keep the host from ending.
            let _ = ended.recv_timeout(LAST_WRITE);
        }
    }
}

fn write(orders: &Receiver<Order>, mut files: Files, lost: &AtomicU64, line_of: fn(u64) -> Vec<u8>) {
    while let Ok(first) = orders.recv() {
        let mut next = Some(first);
        let mut end = None;
        while let Some(order) = next {
            match order {
                Order::Line(line) => {
                    lost.fetch_add(files.add(&line), Ordering::Relaxed);
                }
                Order::End(done) => end = Some(done),
            }
            next = orders.try_recv().ok();
        }
        lost.fetch_add(files.flush(), Ordering::Relaxed);
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let unsaid = files.add(&line_of(missing)) + files.flush();
            // Said the next time.
            lost.fetch_add(if unsaid > 0 { missing } else { 0 }, Ordering::Relaxed);
        }
        if let Some(done) = end {
            let _ = done.send(());
            return;
        }
    }
}

/// The newest file, and those before it.
struct Files {
    folder: PathBuf,
    most_bytes: u64,
    file: File,
    identity: (u64, u64),
    bytes: u64,
    held: Vec<u8>,
    lines: u64,
    /// The file may end within a line.
    torn: bool,
}

impl Files {
    fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        let (file, identity, bytes, torn) = open_newest(folder)?;
        let folder = folder.to_owned();
        Ok(Self { folder, most_bytes, file, identity, bytes, held: Vec::new(), lines: 0, torn })
    }

    /// Takes a line; gives how many lines were lost on the way to the disk.
    fn add(&mut self, line: &[u8]) -> u64 {
        self.held.extend_from_slice(line);
        self.lines += 1;
        if self.held.len() >= WRITE_BYTES { self.flush() } else { 0 }
    }

    fn flush(&mut self) -> u64 {
        let lines = std::mem::take(&mut self.lines);
        if lines == 0 {
            return 0;
        }
        let written = self.make_room().and_then(|()| self.write_held());
        self.held.clear();
        if written.is_err() { lines } else { 0 }
    }

    fn write_held(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.torn = true;
        self.file.write_all(&self.held)?;
        self.torn = false;
        self.bytes += self.held.len() as u64;
        Ok(())
    }

    /// Sees to it that the file is the one at its place, and not too large for what is held.
    fn make_room(&mut self) -> io::Result<()> {
        let newest = record::file(&self.folder, 0);
        let there = fs::metadata(&newest).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        let full = self.bytes > 0 && self.bytes + self.held.len() as u64 > self.most_bytes;
        if there && !full {
            return Ok(());
        }
        if there {
            for number in (0..record::FILES - 1).rev() {
                match fs::rename(record::file(&self.folder, number), record::file(&self.folder, number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        (self.file, self.identity, self.bytes, self.torn) = open_newest(&self.folder)?;
        Ok(())
    }
}

type Opened = (File, (u64, u64), u64, bool);

fn open_newest(folder: &Path) -> io::Result<Opened> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true).mode(0o600);
    let mut file = options.open(record::file(folder, 0))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let found = file.metadata()?;
    let mut last = [b'\n'];
    if found.len() > 0 {
        // What a host that was killed wrote last may be half a line.
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok((file, (found.dev(), found.ino()), found.len(), last != [b'\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(count: u64) -> Vec<u8> {
        format!("lost {count}\n").into_bytes()
    }

    fn all(folder: &Path) -> Vec<String> {
        let numbers = (0..record::FILES + 2).rev();
        let text: String = numbers.filter_map(|number| fs::read_to_string(record::file(folder, number)).ok()).collect();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn files_are_the_owners_alone_and_never_more_than_so_many_bytes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data/logs");
        let queue = Queue::open(&folder, 8000, lost).unwrap();
        for number in 0..2000 {
            queue.push(format!("{number:>49}\n").into_bytes());
            if number % 100 == 0 {
                // The disk is given a chance.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        queue.end();
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len() as u64, record::FILES);
        let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
        // A batch is written whole, and one may be larger than a file of this test.
        assert!(bytes < record::FILES * WRITE_BYTES as u64, "{bytes}");
        assert!(files.iter().all(|file| file.metadata().unwrap().mode() & 0o777 == 0o600));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let kept = all(&folder);
        assert_eq!(kept.last().map(|line| line.trim()), Some("1999"));
        let numbers: Vec<u32> = kept.iter().map(|line| line.trim().parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "the newest, in order and without a gap");
    }

    #[test]
    fn half_a_line_of_a_killed_host_does_not_swallow_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(record::file(folder.path(), 0), "whole\nhal").unwrap();
        let queue = Queue::open(folder.path(), 1 << 20, lost).unwrap();
        queue.push(b"next\n".to_vec());
        queue.end();
        assert_eq!(all(folder.path()), ["whole", "hal", "next"]);
    }

    #[test]
    fn a_folder_that_was_removed_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("logs");
        let queue = Queue::open(&folder, 1 << 20, lost).unwrap();
        queue.push(b"gone\n".to_vec());
        while all(&folder).is_empty() {
            std::thread::yield_now();
        }
        fs::remove_dir_all(&folder).unwrap();
        queue.push(b"kept\n".to_vec());
        queue.end();
        assert_eq!(all(&folder), ["kept"]);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_when_it_can_be() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("logs");
        let mut files = Files::open(&folder, 1 << 20).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "in the way").unwrap();
        assert_eq!((files.add(b"one\n"), files.add(b"two\n"), files.flush()), (0, 0, 2));
        fs::remove_file(&folder).unwrap();
        assert_eq!((files.add(b"three\n"), files.flush()), (0, 0));
        assert_eq!(all(&folder), ["three"]);
        // A queue that nobody empties.
        let (orders, received) = mpsc::sync_channel(1);
        let queue = Queue { orders, lost: Arc::default() };
        for line in [b"four\n", b"five\n", b"six!\n"] {
            queue.push(line.to_vec());
        }
        let count = queue.lost.clone();
        drop(queue);
        write(&received, files, &count, lost);
        assert_eq!(all(&folder), ["three", "four", "lost 2"]);
    }
}
