//! What an agent may put in a folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{FileType, Mode, mknodat};

use super::*;

const SECRET: &str = "the host's own secret";

/// Makes an entry in the folder; the second path is a secret outside.
type Make = fn(&Path, &Path);

/// What is made, under which name, and what the answer says; `None` where there can be no answer.
const ENTRIES: &[(&[u8], Make, Option<&str>)] = &[
    (b"link.json", |path, secret| symlink(secret, path).unwrap(), Some("symbolic link")),
    (b"link-to-folder.json", |path, secret| symlink(secret.parent().unwrap(), path).unwrap(), Some("symbolic link")),
    (b"dangling.json", |path, _| symlink("/nowhere", path).unwrap(), Some("symbolic link")),
    (b"loop.json", |path, _| symlink(path, path).unwrap(), Some("symbolic link")),
    (b"pipe.json", |path, _| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(), Some("named pipe")),
    (b"socket.json", |path, _| drop(UnixListener::bind(path).unwrap()), Some("socket")),
    (b"folder.json", |path, _| fs::create_dir(path).unwrap(), Some("directory")),
    (b"full.json", full_folder, Some("directory")),
    (b"closed.json", closed_folder, Some("directory")),
    (b"huge.json", |path, _| File::create(path).unwrap().set_len(200 << 20).unwrap(), Some("209715200 bytes")),
    (b"over.json", |path, _| fs::write(path, vec![b' '; 65537]).unwrap(), Some("65537 bytes")),
    (b"hard.json", |path, secret| fs::hard_link(secret, path).unwrap(), Some("hard link")),
    (b"zeros.json", |path, _| fs::write(path, [0; 100]).unwrap(), Some("not JSON")),
    (b"deep.json", |path, _| fs::write(path, "[".repeat(60_000)).unwrap(), Some("not JSON")),
    (b"line\nbreak.json", write, None),
    (b"\xff\xfe.json", write, None),
    (b".json", write, None),
    (b".hidden.json", write, None),
];

fn write(path: &Path, _secret: &Path) {
    fs::write(path, petition()).unwrap();
}

fn full_folder(path: &Path, secret: &Path) {
    fs::create_dir_all(path.join("a/b/c.json")).unwrap();
    fs::write(path.join("a/x.json"), petition()).unwrap();
    symlink(secret.parent().unwrap(), path.join("a/b/link")).unwrap();
}

fn closed_folder(path: &Path, _secret: &Path) {
    fs::create_dir_all(path.join("inner/more")).unwrap();
    for folder in ["inner/more", "inner", ""] {
        fs::set_permissions(path.join(folder), fs::Permissions::from_mode(0o000)).unwrap();
    }
}

#[test]
fn nothing_in_a_mailbox_leads_or_holds_up_the_host() {
    let mut rig = Rig::new();
    // On the same file system, for a hard link.
    let outside = rig.home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let secret = outside.join("secret");
    fs::write(&secret, SECRET).unwrap();
    let long = [[b'x'; 250].as_slice(), b".json"].concat();
    let entries = || ENTRIES.iter().copied().chain([(long.as_slice(), write as Make, None)]);
    for (name, make, _) in entries() {
        make(&rig.path("messages").join(OsStr::from_bytes(name)), &secret);
    }
    rig.petition("messages/good.json", 4_000_000_000);

    let files = rig.pass();
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["good.json"]);
    for folder in ["messages", ".taken"] {
        assert_eq!(rig.listed(folder), Vec::<String>::new());
    }
    for (name, _, says) in entries() {
        let Some(says) = says else { continue };
        let name = str::from_utf8(name).unwrap();
        let answer = rig.answer(name).unwrap();
        let error = answer.error.unwrap();
        assert!(!answer.ok && error.contains(says), "{name}: {error}");
    }
    let answered = entries().filter(|(_, _, says)| says.is_some()).count();
    assert_eq!(rig.listed("answers").len(), answered + 1);
    let errors = rig.errors();
    assert_eq!(errors.iter().filter(|name| name.ends_with(".reason.txt")).count(), ENTRIES.len() + 1);
    for name in errors {
        let path = rig.home.path().join(ERRORS).join(name);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert!(!fs::read(&path).unwrap().windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), SECRET);
    assert_eq!(listed(&outside), ["secret"]);
}

#[test]
fn a_file_that_the_host_may_not_open_is_refused() {
    // Root may open everything.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let mut rig = Rig::new();
    rig.petition("messages/x.json", 0);
    fs::set_permissions(rig.path("messages/x.json"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(rig.pass(), []);
    assert!(rig.answer("x.json").unwrap().error.unwrap().contains("cannot be opened"));
    assert_eq!(rig.errors(), ["team-x.json.reason.txt"]);
}

#[test]
fn a_device_is_not_opened() {
    let mut rig = Rig::new();
    let path = rig.path("messages/x.json");
    // Only root can make one, and in some containers nobody.
    if mknodat(CWD, &path, FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 5)).is_err() {
        return;
    }
    assert_eq!(rig.pass(), []);
    assert!(rig.answer("x.json").unwrap().error.unwrap().contains("device"));
}

#[test]
fn a_huge_directory_is_removed_a_bounded_piece_at_a_time_and_holds_up_nothing() {
    let mut rig = Rig::new();
    let tree = rig.path("messages/tree.json");
    fs::create_dir(&tree).unwrap();
    for number in 0..holding::MAX_CLEARED {
        fs::write(tree.join(number.to_string()), "").unwrap();
    }
    // Deeper than any path can say.
    let mut folder = folder::open(CWD, &tree).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&folder, "deeper-and-deeper", Mode::RWXU).unwrap();
        folder = folder::open(folder.as_fd(), "deeper-and-deeper").unwrap();
    }
    assert_eq!(rig.pass(), []);
    assert_eq!(rig.listed("messages"), Vec::<String>::new());
    assert_ne!(rig.listed(".taken"), Vec::<String>::new());
    rig.petition("messages/x.json", 0);
    assert_eq!(rig.pass().len(), 1);
    rig.restart();
    for _ in 0..3 {
        rig.pass();
    }
    assert_eq!(rig.listed(".taken"), Vec::<String>::new());
}
