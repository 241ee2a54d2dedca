//! The login's file: read as a regular file and no other, replaced whole.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::document::Document;

/// A login is two kilobytes.
const MAX_BYTES: u64 = 64 * 1024;
const NAME: &str = "auth.json";

pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

pub(super) fn exists(directory: &Path) -> bool {
    fs::symlink_metadata(path(directory)).is_ok_and(|found| found.is_file())
}

pub(super) fn read(directory: &Path) -> io::Result<Vec<u8>> {
    read_file(&path(directory))
}

/// Reads a file that an agent may have put there: no link is followed, no FIFO waited for.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("too large"));
    }
    Ok(bytes)
}

/// Replaces the file: whoever reads sees the old one or the new one, and after a crash one of them is there.
pub(super) fn store(directory: &Path, bytes: &[u8]) -> io::Result<()> {
    make(directory)?;
    let target = path(directory);
    let unfinished = directory.join(format!("{NAME}.new"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    // A mounted login belongs to the agent's user, and stays theirs. Whoever is not root is that user.
    if let (true, Ok(before)) = (rustix::process::geteuid().is_root(), fs::symlink_metadata(&target)) {
        fchown(&file, Some(before.uid()), Some(before.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, &target)?;
    File::open(directory)?.sync_all()
}

/// Makes the directory, 0700, with its parents.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// Whether the login at `seeded` was taken over. It does not stay there then, nor when an earlier host
/// took it over and ended before it could remove it.
pub(super) fn adopt(directory: &Path, seeded: &Path) -> io::Result<bool> {
    let bytes = match read_file(seeded) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // A link: a mounted login's, or something that an agent planted.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Ok(false),
        Err(error) => return Err(error),
    };
    // codex keeps an API key in a file of that name, too; that is not ours to take.
    let Ok(found) = Document::parse(&bytes) else { return Ok(false) };
    if exists(directory) {
        let ours = read(directory).ok().and_then(|bytes| Document::parse(&bytes).ok());
        if ours.is_some_and(|ours| ours.refresh_token() == found.refresh_token()) {
            fs::remove_file(seeded)?;
        }
        return Ok(false);
    }
    store(directory, &bytes)?;
    fs::remove_file(seeded)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_login_is_taken_over_once_and_does_not_stay_where_an_agent_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (home, seeded) = (folder.path().join("login/codex"), folder.path().join("auth.json"));
        let login = super::super::document::tests::login(9, "rt");
        fs::write(&seeded, &login).unwrap();
        assert!(adopt(&home, &seeded).unwrap());
        assert_eq!(read(&home).unwrap(), login.as_bytes());
        assert!(!seeded.exists());
        assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path(&home)).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&seeded, super::super::document::tests::login(9, "another")).unwrap();
        assert!(!adopt(&home, &seeded).unwrap() && seeded.exists());
        assert_eq!(read(&home).unwrap(), login.as_bytes());
    }

    #[test]
    fn a_login_that_was_taken_over_by_a_host_that_died_then_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (home, seeded) = (folder.path().join("login"), folder.path().join("auth.json"));
        let login = super::super::document::tests::login(9, "rt");
        store(&home, login.as_bytes()).unwrap();
        fs::write(&seeded, &login).unwrap();
        assert!(!adopt(&home, &seeded).unwrap() && !seeded.exists() && exists(&home));
    }

    #[test]
    fn a_planted_link_or_key_is_not_taken_for_a_login() {
        let folder = tempfile::tempdir().unwrap();
        let (home, seeded) = (folder.path().join("login"), folder.path().join("auth.json"));
        assert!(!adopt(&home, &seeded).unwrap());
        std::os::unix::fs::symlink("/etc/shadow", &seeded).unwrap();
        assert!(!adopt(&home, &seeded).unwrap());
        fs::remove_file(&seeded).unwrap();
        fs::write(&seeded, r#"{"OPENAI_API_KEY":"sk"}"#).unwrap();
        assert!(!adopt(&home, &seeded).unwrap() && seeded.exists() && !exists(&home));
        fs::remove_file(&seeded).unwrap();
        let fifo = rustix::fs::CWD;
        rustix::fs::mknodat(fifo, &seeded, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(adopt(&home, &seeded).is_err() && !exists(&home));
        fs::remove_file(&seeded).unwrap();
        fs::write(&seeded, vec![b' '; 100 * 1024]).unwrap();
        assert!(adopt(&home, &seeded).is_err() && !exists(&home));
    }

    #[test]
    fn a_store_that_fails_leaves_the_old_login() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path(), b"old").unwrap();
        fs::create_dir(folder.path().join("auth.json.new")).unwrap();
        assert!(store(folder.path(), b"new").is_err());
        assert_eq!(read(folder.path()).unwrap(), b"old");
        fs::remove_dir(folder.path().join("auth.json.new")).unwrap();
        fs::write(folder.path().join("auth.json.new"), "left by a host that died").unwrap();
        store(folder.path(), b"new").unwrap();
        assert_eq!(read(folder.path()).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
