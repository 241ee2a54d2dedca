//! Reading the record: every file in order, and on from there while it is written and rotated.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use longshore_protocol::line::{Line, LineBuffer};

use super::line::LogLine;
use super::{FILES, file};

/// Longer than any line that is written.
const LINE_BYTES: usize = 256 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A file by what it is, whatever its name is meanwhile.
type Identity = (u64, u64);

/// Goes through the record from its oldest line. A line that is half written is waited for.
pub struct Reader {
    folder: PathBuf,
    current: Option<(File, Identity)>,
    buffer: LineBuffer,
    /// How many lines could not be read.
    pub skipped: u64,
}

impl Reader {
    /// Before the oldest line of a folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), current: None, buffer: LineBuffer::new(LINE_BYTES), skipped: 0 }
    }

    /// Reads on to the end of what is written now. Of each line, `wanted` says by its bytes whether it is to be
    /// read, and `take` takes it with its bytes.
    ///
    /// # Errors
    /// When a file cannot be read; one that is not there is none.
    pub fn read(&mut self, wanted: impl Fn(&[u8]) -> bool, mut take: impl FnMut(LogLine, &[u8])) -> io::Result<()> {
        let mut skipped = 0;
        let mut each = |line: Line| match line {
            Line::Complete(bytes) if !wanted(&bytes) => {}
            Line::Complete(bytes) => match serde_json::from_slice(&bytes) {
                Ok(line) => take(line, &bytes),
                Err(_) => skipped += 1,
            },
            Line::TooLong { .. } => skipped += 1,
        };
        loop {
            self.drain(&mut each)?;
            let Some(next) = self.next()? else { break };
            // What was written until the file was put aside.
            self.drain(&mut each)?;
            if let Some(torn) = self.buffer.finish() {
                each(torn);
            }
            self.current = Some(next);
        }
        self.skipped += skipped;
        Ok(())
    }

    fn drain(&mut self, each: &mut impl FnMut(Line)) -> io::Result<()> {
        let Some((file, _)) = &mut self.current else { return Ok(()) };
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match file.read(&mut bytes)? {
                0 => return Ok(()),
                read => self.buffer.push(&bytes[..read]).into_iter().for_each(&mut *each),
            }
        }
    }

    /// The file after the one that is read: the oldest of those that are newer.
    fn next(&self) -> io::Result<Option<(File, Identity)>> {
        let current = self.current.as_ref().map(|(_, identity)| *identity);
        let mut newer: Option<(File, Identity)> = None;
        // From the newest on: a file that is put aside meanwhile is met twice rather than never.
        for number in 0..=FILES {
            let opened = match File::open(file(&self.folder, number)) {
                Ok(opened) => opened,
                // Between two renames there is a gap.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let found = opened.metadata()?;
            let identity = (found.dev(), found.ino());
            if current == Some(identity) {
                break;
            }
            newer = Some((opened, identity));
        }
        Ok(newer)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn line(number: u32) -> String {
        format!(r#"{{"time":"2026-01-31T12:00:00Z","level":"info","message":"{number}"}}"#) + "\n"
    }

    fn read(reader: &mut Reader) -> Vec<String> {
        let mut all = Vec::new();
        reader.read(|_| true, |line, _| all.push(line.message)).unwrap();
        all
    }

    fn append(folder: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(file(folder, 0)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(folder: &Path) {
        for number in (0..FILES - 1).rev() {
            let _ = fs::rename(file(folder, number), file(folder, number + 1));
        }
    }

    #[test]
    fn files_are_read_in_order_and_followed_through_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(folder.path());
        assert_eq!(read(&mut reader), [""; 0], "nothing is there yet");
        append(folder.path(), &line(1));
        rotate(folder.path());
        append(folder.path(), &line(2));
        assert_eq!(read(&mut reader), ["1", "2"]);
        append(folder.path(), &line(3));
        rotate(folder.path());
        append(folder.path(), &line(4));
        rotate(folder.path());
        append(folder.path(), &line(5));
        assert_eq!(read(&mut reader), ["3", "4", "5"]);
        assert_eq!(read(&mut reader), [""; 0]);
        for number in 10..30 {
            append(folder.path(), &line(number));
            rotate(folder.path());
        }
        let kept: Vec<String> = [10].into_iter().chain(23..30).map(|number| number.to_string()).collect();
        assert_eq!(read(&mut reader), kept, "its own file to the end, and of those after it what was not thrown away");
    }

    #[test]
    fn half_a_line_is_waited_for_and_a_bad_one_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, mut reader) = (line(1), Reader::new(folder.path()));
        append(folder.path(), &whole[..20]);
        assert_eq!(read(&mut reader), [""; 0]);
        append(folder.path(), &whole[20..]);
        assert_eq!((read(&mut reader), reader.skipped), (vec!["1".to_owned()], 0));
        append(folder.path(), "\0\u{7f}no JSON\n{}\n[]\n");
        append(folder.path(), &("x".repeat(2 * LINE_BYTES) + "\n"));
        append(folder.path(), &line(2));
        append(folder.path(), "a host that was killed within a l");
        assert_eq!((read(&mut reader), reader.skipped), (vec!["2".to_owned()], 4));
        rotate(folder.path());
        append(folder.path(), &line(3));
        assert_eq!((read(&mut reader), reader.skipped), (vec!["3".to_owned()], 5));
    }
}
