use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::groups::load;

/// An operator's home with an installation, beside folders to mount.
struct House {
    folder: TempDir,
    installation: Installation,
    operator: Operator,
}

impl House {
    fn new(list: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        for name in ["home/.config/longshore", "home/.ssh", "root", "shared/inner", "other"] {
            fs::create_dir_all(here.join(name)).unwrap();
        }
        let house = Self {
            installation: Installation::of(&here.join("root")).unwrap(),
            operator: Operator::at(here.join("home"), None),
            folder,
        };
        if let Some(list) = list {
            house.list(list);
        }
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// `@` in a text is the folder of everything.
    fn here(&self, text: &str) -> String {
        text.replace('@', self.path("").to_str().unwrap().trim_end_matches('/'))
    }

    fn list(&self, list: &str) {
        fs::write(self.operator.settings.join(FILE_NAME), self.here(list)).unwrap();
    }

    /// What becomes of the mounts of a group that is main.
    fn mounts(&self, mounts: &str) -> String {
        self.groups(&format!(
            r#"{{ "c": {{ "name": "M", "folder": "main", "containerConfig": {{ "additionalMounts": {mounts} }} }} }}"#
        ))
    }

    /// What becomes of the mounts of all groups.
    fn groups(&self, file: &str) -> String {
        let loaded = load(self.here(file).as_bytes(), &Groups::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let mut told = String::new();
        for group in loaded.groups.iter() {
            let found = additional(&self.installation, &self.operator, &loaded.groups, group);
            for Mount { source, target, access } in found.mounts {
                let _ = writeln!(told, "{target} <- {} {access:?}", source.display());
            }
            for refusal in found.refused {
                let _ = writeln!(told, "{refusal}");
            }
        }
        told.replace(self.path("").to_str().unwrap(), "@/")
    }
}

const LIST: &str = r#"{ "allowedRoots": [{ "path": "@/shared", "allowReadWrite": true }, { "path": "~" }] }"#;

#[test]
fn a_link_is_judged_by_where_it_leads() {
    let house = House::new(Some(LIST));
    symlink(house.path("home/.ssh"), house.path("shared/keys")).unwrap();
    symlink(house.path("other"), house.path("shared/away")).unwrap();
    symlink(house.path("shared/inner"), house.path("other/in")).unwrap();
    symlink("/etc", house.path("shared/etc")).unwrap();
    symlink(house.path("root"), house.path("shared/root")).unwrap();
    let wishes = ["keys", "away", "etc", "root", "nothing"];
    let wishes = wishes.map(|name| format!(r#"{{ "hostPath": "@/shared/{name}" }}"#)).join(",");
    let told = house.mounts(&format!(r#"[{wishes}, {{ "hostPath": "@/other/in", "readonly": false }}]"#));
    insta::assert_snapshot!(told, @r"
    /workspace/extra/in <- @/shared/inner ReadWrite
    group `main`: `@/shared/keys` is not mounted: a name in its path is blocked by `.ssh`
    group `main`: `@/shared/away` is not mounted: it lies in none of the list's `allowedRoots`
    group `main`: `@/shared/etc` is not mounted: `/etc` is never mounted: it is the system's own
    group `main`: `@/shared/root` is not mounted: `@/root` is never mounted: it is the installation, with its database and its secrets
    group `main`: `@/shared/nothing` is not mounted: it cannot be looked up: No such file or directory (os error 2)
    ");
}

#[test]
fn without_a_list_or_with_a_broken_one_nothing_is_mounted() {
    let house = House::new(None);
    let wish = r#"[{ "hostPath": "@/shared" }]"#;
    assert!(
        house.mounts(wish).ends_with("there is no mount allowlist, `@/home/.config/longshore/mount-allowlist.json`\n")
    );
    for broken in ["", "{", "[]", r#"{ "allowedRoots": [{ "path": "@/shared" }], "blocked": [] }"#] {
        house.list(broken);
        assert!(house.mounts(wish).ends_with("cannot be used\n"), "{broken}");
        let told = refusals(&house.installation, &house.operator, &Groups::default());
        assert_eq!(told.len(), 1, "{told:?}");
    }
    // The next look finds it repaired.
    house.list(LIST);
    assert_eq!(house.mounts(wish), "/workspace/extra/shared <- @/shared ReadOnly\n");
    let everybody = fs::Permissions::from_mode(0o666);
    fs::set_permissions(house.operator.settings.join(FILE_NAME), everybody).unwrap();
    assert!(house.mounts(wish).ends_with("cannot be used\n"));
}

#[test]
fn a_list_that_is_a_fifo_or_a_folder_does_not_hang() {
    let house = House::new(None);
    let path = house.operator.settings.join(FILE_NAME);
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert!(house.mounts(r#"[{ "hostPath": "@/shared" }]"#).ends_with("cannot be used\n"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(house.mounts(r#"[{ "hostPath": "@/shared" }]"#).ends_with("cannot be used\n"));
}

#[test]
fn sockets_and_pipes_are_no_mounts_and_a_file_is_one() {
    let house = House::new(Some(LIST));
    let _socket = std::os::unix::net::UnixListener::bind(house.path("shared/sock")).unwrap();
    rustix::fs::mknodat(CWD, house.path("shared/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(house.path("shared/file"), "").unwrap();
    let told = house.mounts(
        r#"[{ "hostPath": "@/shared/sock" }, { "hostPath": "@/shared/pipe" }, { "hostPath": "@/shared/file" }]"#,
    );
    insta::assert_snapshot!(told, @r"
    /workspace/extra/file <- @/shared/file ReadOnly
    group `main`: `@/shared/sock` is not mounted: it is a socket, a pipe or a device
    group `main`: `@/shared/pipe` is not mounted: it is a socket, a pipe or a device
    ");
}

#[test]
fn what_another_groups_agent_could_exchange_is_not_mounted() {
    let house = House::new(Some(LIST));
    let told = house.groups(
        r#"{
        "a": { "name": "M", "folder": "main", "containerConfig": { "additionalMounts":
            [{ "hostPath": "@/shared", "readonly": false }, { "hostPath": "~/" , "containerPath": "shared/x" }] } },
        "b": { "name": "B", "folder": "b", "containerConfig": { "additionalMounts":
            [{ "hostPath": "@/shared/inner" }, { "hostPath": "@/shared", "readonly": false, "containerPath": "s" }] } }
    }"#,
    );
    insta::assert_snapshot!(told, @r"
    /workspace/extra/shared <- @/shared ReadWrite
    group `main`: `~/` is not mounted: `@/home` is never mounted: it is the operator's home; name a folder in it
    /workspace/extra/s <- @/shared ReadOnly
    group `b`: `@/shared/inner` is not mounted: `@/shared/inner` could be exchanged while the container starts, by the agent of group `main`, which may write in `@/shared`
    ");
}

#[test]
fn two_mounts_never_share_a_place() {
    let house = House::new(Some(LIST));
    let told = house.mounts(
        r#"[{ "hostPath": "@/shared", "containerPath": "a" }, { "hostPath": "@/shared/inner", "containerPath": "a/b" }]"#,
    );
    assert!(
        told.ends_with("`/workspace/extra/a/b` is taken, or lies in or around another of the group's mounts\n"),
        "{told}"
    );
}

/// A component is swapped for a link again and again while it is looked at.
#[test]
fn a_path_that_is_swapped_while_it_is_looked_at_never_leads_outside() {
    let house = House::new(Some(LIST));
    let (spot, aside, link) = (house.path("shared/spot"), house.path("shared/aside"), house.path("shared/link"));
    fs::create_dir(&spot).unwrap();
    fs::create_dir(spot.join("in")).unwrap();
    fs::create_dir(house.path("home/.ssh/in")).unwrap();
    symlink(house.path("home/.ssh"), &link).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::rename(&spot, &aside).unwrap();
                fs::rename(&link, &spot).unwrap();
                fs::rename(&spot, &link).unwrap();
                fs::rename(&aside, &spot).unwrap();
            }
        });
        for _ in 0..500 {
            if let Ok(found) = source(house.path("shared/spot/in")) {
                // Whatever was looked at, it is told as what it is.
                let (safe, secret) = (house.path("shared/spot/in"), house.path("home/.ssh/in"));
                assert!(found.path == safe || found.path == secret, "{found:?}");
                assert_eq!(found.steps.last().unwrap().path, found.path);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
