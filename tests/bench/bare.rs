//! The CLIs by themselves, against the same stand-in: what any host has to pay.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use longshore_rehearsal::Rehearsal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::table::Samples;

const IMAGE: &str = "longshore-agent:latest";
/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binaries of the agent image, on this machine.
pub(crate) struct Clis {
    folder: PathBuf,
}

impl Clis {
    /// Copies them out of the agent image, once for each image.
    pub(crate) fn extract(folder: &Path) -> anyhow::Result<Self> {
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE])?;
        let stamp = folder.join("image-id");
        if std::fs::read_to_string(&stamp).unwrap_or_default() != id {
            let container = docker(&["create", IMAGE])?;
            let copied = ["claude", "codex", "codex-code-mode-host"].iter().try_for_each(|name| {
                let inside = docker(&[
                    "run",
                    "--rm",
                    "--network",
                    "none",
                    "--entrypoint",
                    "/bin/sh",
                    IMAGE,
                    "-c",
                    &format!("readlink -f $(command -v {name})"),
                ])?;
                docker(&["cp", "-L", &format!("{container}:{inside}"), &folder.join(name).display().to_string()])
                    .map(drop)
            });
            docker(&["rm", "-f", &container])?;
            copied?;
            std::fs::write(stamp, id)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// From nothing to the first answer, in milliseconds.
    pub(crate) async fn cold(&self, provider: &str, rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<Samples> {
        let home = self.home()?;
        // Not counted: fills the page cache and the fresh home.
        self.one(provider, rehearsal, &home).await?;
        let mut samples = Vec::new();
        for _ in 0..runs {
            samples.push(self.one(provider, rehearsal, &home).await?);
        }
        Ok(Samples::of(samples))
    }

    /// A later turn: of claude's resident process, of one more `codex exec`; in milliseconds.
    pub(crate) async fn warm(&self, provider: &str, rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<Samples> {
        let home = self.home()?;
        let mut samples = Vec::new();
        if provider == "claude" {
            let mut claude = Claude::start(self.claude(rehearsal, &home))?;
            claude.turn().await?;
            for _ in 0..runs {
                samples.push(claude.turn().await?);
            }
        } else {
            self.one(provider, rehearsal, &home).await?;
            for _ in 0..runs {
                samples.push(self.one(provider, rehearsal, &home).await?);
            }
        }
        Ok(Samples::of(samples))
    }

    async fn one(&self, provider: &str, rehearsal: &Rehearsal, home: &TempDir) -> anyhow::Result<f64> {
        if provider == "claude" {
            return Claude::start(self.claude(rehearsal, home))?.turn().await;
        }
        let begin = Instant::now();
        let mut child = self.codex(rehearsal, home)?.spawn().context("codex")?;
        let mut stdin = child.stdin.take().context("codex has no stdin")?;
        stdin.write_all(b"hello").await?;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.contains("You said"), "codex did not answer: {text} {}", String::from_utf8_lossy(&output.stderr));
        Ok(begin.elapsed().as_secs_f64() * 1000.0)
    }

    /// codex refuses a home under the temporary folder, so it lies beside the binaries.
    fn home(&self) -> anyhow::Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("home-").tempdir_in(&self.folder)?)
    }

    fn clean(&self, program: &str, home: &TempDir) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn claude(&self, rehearsal: &Rehearsal, home: &TempDir) -> Command {
        let mut command = self.clean("claude", home);
        command
            .env("ANTHROPIC_BASE_URL", rehearsal.anthropic_base())
            .env("ANTHROPIC_API_KEY", "bench")
            .env("IS_SANDBOX", "1")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1")
            .env("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1")
            .env("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1")
            .args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"])
            .args(["--tools", "Bash,Read,Write,Edit,Glob,Grep", "--permission-mode", "bypassPermissions"])
            .args(["--strict-mcp-config", "--disable-slash-commands", "--system-prompt-snapshot", "off"]);
        command
    }

    fn codex(&self, rehearsal: &Rehearsal, home: &TempDir) -> anyhow::Result<Command> {
        let state = home.path().join(".codex");
        std::fs::create_dir_all(&state)?;
        let provider = format!(
            r#"model_providers.bench={{name="bench",base_url="{}",experimental_bearer_token="bench"}}"#,
            rehearsal.openai_base()
        );
        let mut command = self.clean("codex", home);
        command.env("CODEX_HOME", state).args(["exec", "--json", "--skip-git-repo-check"]);
        for setting in [
            "model_provider=\"bench\"",
            &provider,
            "sandbox_mode=\"danger-full-access\"",
            "features.plugins=false",
            "features.apps=false",
            "features.shell_snapshot=false",
            "features.unbounded_connection_retries=false",
            "features.api_key_model_discovery=false",
            "analytics.enabled=false",
            "agents.enabled=false",
            "project_doc_max_bytes=0",
            "check_for_update_on_startup=false",
            "allow_login_shell=false",
            "web_search=\"disabled\"",
        ] {
            command.args(["-c", setting]);
        }
        command.arg("-");
        Ok(command)
    }
}

/// A resident claude.
struct Claude {
    begin: Option<Instant>,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Claude {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let begin = Some(Instant::now());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().context("claude has no stdin")?;
        let stdout = child.stdout.take().context("claude has no stdout")?;
        Ok(Self { begin, stdin, lines: BufReader::new(stdout).lines(), _child: child })
    }

    /// One turn, in milliseconds; the first one counts from the start of the process.
    async fn turn(&mut self) -> anyhow::Result<f64> {
        let begin = self.begin.take().unwrap_or_else(Instant::now);
        self.stdin.write_all(b"{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"hello\"}}\n").await?;
        self.stdin.flush().await?;
        let answered = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains("\"type\":\"result\"") {
                    ensure!(line.contains("You said"), "claude did not answer: {line}");
                    return Ok(begin.elapsed().as_secs_f64() * 1000.0);
                }
            }
            bail!("claude ended without an answer")
        };
        tokio::time::timeout(PATIENCE, answered).await?
    }
}

fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    let output = std::process::Command::new("docker").args(arguments).output().context("docker")?;
    ensure!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
