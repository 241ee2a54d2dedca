use proptest::prelude::*;

use super::super::pattern::DEFAULTS;
use super::*;

fn wished(host: &str, name: Option<&str>, readonly: bool) -> ExtraMount {
    ExtraMount { host_path: host.into(), container_path: name.map(str::to_owned), readonly }
}

/// A folder whose components are all the host's own.
fn folder(path: &str) -> Source {
    let path = PathBuf::from(path);
    let mut steps: Vec<Step> =
        path.ancestors().map(|path| Step { path: path.to_owned(), uid: 0, gid: 0, mode: 0o755 }).collect();
    steps.reverse();
    Source { written: path.clone(), path, kind: SourceKind::Folder, steps }
}

fn permits(roots: &[(&str, Access)]) -> Permits {
    Permits {
        roots: roots.iter().map(|(path, access)| Root { path: path.into(), access: *access }).collect(),
        blocked: DEFAULTS.into_iter().filter_map(Pattern::new).collect(),
        non_main_read_only: true,
    }
}

const EVERYTHING: [(&str, Access); 1] = [("/", Access::ReadWrite)];

fn ground(writable: &[(PathBuf, GroupId)]) -> Ground<'_> {
    Ground {
        installation: Path::new("/srv/longshore"),
        home: Path::new("/home/ada"),
        settings: Path::new("/home/ada/.config/longshore"),
        engine_socket: Some(Path::new("/opt/engine/docker.sock")),
        uid: 1000,
        gid: 1000,
        writable,
    }
}

fn main_wish(mount: &ExtraMount) -> Wish<'_> {
    Wish { mount, is_main: true, approval: ApprovalPolicy::Full }
}

fn decided(source: &Source, permits: &Permits) -> Result<Mount, Refusal> {
    let mount = wished(&source.written.to_string_lossy(), None, false);
    decide(main_wish(&mount), source, permits, &ground(&[]))
}

#[test]
fn what_no_list_can_permit_is_refused_though_the_list_permits_everything() {
    for path in [
        "/",
        "/etc",
        "/etc/ssl",
        "/proc",
        "/proc/1",
        "/sys",
        "/dev",
        "/dev/shm",
        "/run",
        "/run/user/1000",
        "/var",
        "/var/run",
        "/var/run/docker",
        "/var/lib",
        "/var/lib/docker/volumes",
        "/boot",
        "/home",
        "/home/ada",
        "/srv",
        "/srv/longshore",
        "/srv/longshore/groups/family",
        "/srv/longshore/data",
        "/home/ada/.config",
        "/home/ada/.config/longshore",
        "/home/ada/.config/longshore/x",
        "/opt/engine",
        "/opt",
    ] {
        let refused = decided(&folder(path), &permits(&EVERYTHING));
        let is_never =
            matches!(&refused, Err(Refusal::Never { .. })) || matches!((path, &refused), ("/", Err(Refusal::Name(_))));
        assert!(is_never, "{path}: {refused:?}");
    }
    for path in ["/srv/longshore-2", "/srv/notes", "/home/ada/notes", "/home/bob", "/etcetera", "/opt/x"] {
        assert!(decided(&folder(path), &permits(&EVERYTHING)).is_ok(), "{path}");
    }
}

#[test]
fn secrets_are_blocked_in_the_real_path_and_in_the_written_one() {
    for path in ["/home/ada/.ssh", "/home/ada/x/.env", "/home/ada/.aws/x", "/home/ada/.claude", "/x/id_rsa.pub"] {
        assert!(matches!(decided(&folder(path), &permits(&EVERYTHING)), Err(Refusal::Blocked(_))), "{path}");
    }
    let linked = Source { written: "/home/ada/.ssh".into(), ..folder("/home/ada/keys") };
    assert_eq!(decided(&linked, &permits(&EVERYTHING)), Err(Refusal::Blocked(".ssh".into())));
    assert!(decided(&folder("/home/ada/envoy.environment"), &permits(&EVERYTHING)).is_ok());
}

#[test]
fn only_folders_and_files_in_an_allowed_root_are_mounted() {
    let list = permits(&[("/home/ada/notes", Access::ReadOnly)]);
    assert!(decided(&folder("/home/ada/notes"), &list).is_ok());
    assert!(decided(&folder("/home/ada/notes/a"), &list).is_ok());
    assert_eq!(decided(&folder("/home/ada/notes2"), &list), Err(Refusal::Outside));
    assert_eq!(decided(&folder("/home/ada/notes"), &permits(&[])), Err(Refusal::Outside));
    for kind in [SourceKind::Socket, SourceKind::Other] {
        assert_eq!(decided(&Source { kind, ..folder("/home/ada/notes/x") }, &list), Err(Refusal::Kind));
    }
    assert!(decided(&Source { kind: SourceKind::File, ..folder("/home/ada/notes/x") }, &list).is_ok());
}

#[test]
fn a_mount_is_for_writing_only_if_everything_says_so() {
    use ApprovalPolicy::{Auto, Full, Readonly};
    let bools = [false, true];
    let mut writing = Vec::new();
    for readonly in bools {
        for root in [Access::ReadOnly, Access::ReadWrite] {
            for is_main in bools {
                for non_main_read_only in bools {
                    for approval in [Auto, Readonly, Full] {
                        let mount = wished("/d/x", None, readonly);
                        let list = Permits { non_main_read_only, ..permits(&[("/d", root)]) };
                        let wish = Wish { mount: &mount, is_main, approval };
                        if decide(wish, &folder("/d/x"), &list, &ground(&[])).unwrap().access == Access::ReadWrite {
                            writing.push((readonly, root, is_main, non_main_read_only, approval));
                        }
                    }
                }
            }
        }
    }
    let may = |main, others, approval| (false, Access::ReadWrite, main, others, approval);
    let expected = [(false, false), (true, false), (true, true)];
    let expected: Vec<_> =
        expected.into_iter().flat_map(|(main, others)| [Auto, Full].map(|policy| may(main, others, policy))).collect();
    assert_eq!(writing, expected);
}

#[test]
fn the_innermost_root_decides_about_writing() {
    let list = permits(&[("/d", Access::ReadWrite), ("/d/kept", Access::ReadOnly)]);
    assert_eq!(decided(&folder("/d/kept/x"), &list).unwrap().access, Access::ReadOnly);
    assert_eq!(decided(&folder("/d/x"), &list).unwrap().access, Access::ReadWrite);
}

#[test]
fn a_name_stays_below_extra() {
    let source = folder("/d/x");
    let list = permits(&EVERYTHING);
    let target = |name: Option<&str>| {
        let mount = wished("/d/x", name, true);
        decide(main_wish(&mount), &source, &list, &ground(&[])).map(|mount| mount.target)
    };
    assert_eq!(target(None).unwrap(), "/workspace/extra/x");
    assert_eq!(target(Some("a/b c")).unwrap(), "/workspace/extra/a/b c");
    let long = "x".repeat(256);
    for name in ["", ".", "..", "../x", "a/../b", "/etc", "a//b", "a/", "a:b", "a\nb", "a\0", &long] {
        assert!(matches!(target(Some(name)), Err(Refusal::Name(_))), "{name:?}");
    }
}

#[test]
fn what_others_could_exchange_is_refused() {
    let with = |at: &str, uid: u32, gid: u32, mode: u32| {
        let mut source = folder("/d/a/b");
        let step = source.steps.iter_mut().find(|step| step.path == Path::new(at)).unwrap();
        (step.uid, step.gid, step.mode) = (uid, gid, mode);
        decided(&source, &permits(&EVERYTHING)).is_ok()
    };
    for (at, uid, gid, mode, made) in [
        ("/d/a", 1000, 1000, 0o755, true),
        ("/d/a", 1000, 1000, 0o775, true),
        ("/d/a", 0, 0, 0o775, true),
        ("/d/a", 1001, 0, 0o755, false),
        ("/d/a", 0, 50, 0o775, false),
        ("/d/a", 0, 0, 0o757, false),
        ("/d/a", 0, 0, 0o1777, true),
        // Its own content is nobody's concern: nothing there decides what is mounted.
        ("/d/a/b", 1001, 50, 0o777, true),
    ] {
        assert_eq!(with(at, uid, gid, mode), made, "{at} {uid} {gid} {mode:o}");
    }
}

#[test]
fn what_lies_in_a_folder_that_an_agent_may_write_is_refused() {
    let writable = [(PathBuf::from("/d/shared"), "family".parse().unwrap())];
    let made = |path: &str| {
        let mount = wished(path, None, true);
        decide(main_wish(&mount), &folder(path), &permits(&EVERYTHING), &ground(&writable)).is_ok()
    };
    assert!(made("/d/shared") && made("/d/shared2") && made("/d"));
    assert!(!made("/d/shared/x"));
}

proptest! {
    #[test]
    fn no_mount_ever_exposes_the_installation_the_lists_or_the_system(
        path in "(/(srv|longshore|home|ada|\\.config|etc|run|proc|var|x|y)){0,5}",
        name in proptest::option::of("[a-z./:]{0,8}"),
        is_main in any::<bool>(), readonly in any::<bool>(),
    ) {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let mount = wished(&path, name.as_deref(), readonly);
        let wish = Wish { mount: &mount, is_main, approval: ApprovalPolicy::Full };
        if let Ok(made) = decide(wish, &folder(&path), &permits(&EVERYTHING), &ground(&[])) {
            for hidden in ["/srv/longshore", "/home/ada/.config/longshore", "/etc", "/run", "/proc", "/var/run"] {
                prop_assert!(!overlap(&made.source, Path::new(hidden)), "{made:?}");
            }
            prop_assert!(made.target.starts_with("/workspace/extra/"), "{made:?}");
            let up = made.target.split('/').any(|part| part == "..");
            prop_assert!(!up && !made.target.contains(':'), "{made:?}");
            prop_assert!(is_main || made.access == Access::ReadOnly);
        }
    }
}
