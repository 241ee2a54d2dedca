//! The files by which a service manager knows the host. Pure.

use std::path::Path;

/// In the first line of a file that this program wrote, and may replace and remove.
pub(super) const MARK: &str = "Written by `longshore service install`";
/// Without a sign of life for so long, the host is started anew, in seconds.
const WATCHDOG_SECONDS: u32 = 120;
/// Longer than anything takes after running turns have ended.
const CLOSING_SECONDS: u64 = 60;

/// What is run, and where.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) program: &'a Path,
    pub(super) root: &'a Path,
    /// How long running turns may take to end.
    pub(super) drain_seconds: u64,
    /// What of the environment the host needs as it is here: a service manager has one of its own.
    pub(super) environment: &'a [(String, String)],
}

/// A unit of systemd's user manager.
pub(super) fn systemd(job: &Job<'_>) -> String {
    let variables: String = job
        .environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"), false)))
        .collect();
    format!(
        "# {MARK}; `longshore service uninstall` removes it.
[Unit]
Description=Longshore, a chat-bot host
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} --root {root} run
WorkingDirectory={folder}
{variables}Restart=on-failure
RestartSec=5
WatchdogSec={WATCHDOG_SECONDS}
# Running turns may end; what channels are left is ended with the host.
TimeoutStopSec={stop}
KillMode=mixed

# Only what needs no namespace: a user's manager makes one by mapping users, and the group of the container
# engine's socket would be lost in it.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
",
        program = quoted(&job.program.to_string_lossy(), true),
        root = quoted(&job.root.to_string_lossy(), true),
        folder = job.root.to_string_lossy().replace('%', "%%"),
        stop = job.drain_seconds + CLOSING_SECONDS,
    )
}

/// In double quotes as `systemd.syntax(7)` reads them, without a specifier or, in a command, a variable.
fn quoted(text: &str, is_command: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let text = if is_command { text.replace('$', "$$") } else { text };
    format!("\"{text}\"")
}

/// A property list of macOS's launchd.
pub(super) fn launchd(job: &Job<'_>, label: &str) -> String {
    let variables: String = job
        .environment
        .iter()
        .map(|(name, value)| format!("    <key>{}</key>\n    <string>{}</string>\n", escaped(name), escaped(value)))
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- {MARK}; `longshore service uninstall` removes it. -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{label}</string>
  <key>ProgramArguments</key>
  <array>
    <string>{program}</string>
    <string>--root</string>
    <string>{root}</string>
    <string>run</string>
  </array>
  <key>WorkingDirectory</key>
  <string>{root}</string>
  <key>EnvironmentVariables</key>
  <dict>
{variables}  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ExitTimeOut</key>
  <integer>{stop}</integer>
  <key>StandardErrorPath</key>
  <string>{root}/data/host.log</string>
</dict>
</plist>
"#,
        label = escaped(label),
        program = escaped(&job.program.to_string_lossy()),
        root = escaped(&job.root.to_string_lossy()),
        stop = job.drain_seconds + CLOSING_SECONDS,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job<'a>(root: &'a str, environment: &'a [(String, String)]) -> Job<'a> {
        Job { program: Path::new("/usr/local/bin/longshore"), root: Path::new(root), drain_seconds: 60, environment }
    }

    #[test]
    fn the_files_that_are_installed() {
        let environment = [("DOCKER_HOST".to_owned(), "unix:///run/user/1000/docker.sock".to_owned())];
        insta::assert_snapshot!("systemd", systemd(&job("/home/ada/longshore", &environment)));
        insta::assert_snapshot!("launchd", launchd(&job("/Users/ada/longshore", &environment), "longshore"));
    }

    #[test]
    fn a_path_is_one_word_and_means_itself() {
        let unit = systemd(&job(r#"/srv/a "b" 100% $HOME\x"#, &[]));
        assert!(unit.contains(r#"--root "/srv/a \"b\" 100%% $$HOME\\x" run"#), "{unit}");
        assert!(unit.contains("WorkingDirectory=/srv/a \"b\" 100%% $HOME\\x\n"), "{unit}");
        assert!(launchd(&job("/srv/a&b<c", &[]), "x").contains("<string>/srv/a&amp;b&lt;c</string>"));
    }
}
