//! An installation of its own for each test, whose containers are removed however the test ends.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a rig that cannot be set up fails its test")]

use std::panic::AssertUnwindSafe;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use longshore::container::docker::DockerRuntime;
use longshore::container::mounts::{FolderAccess, prepare};
use longshore::container::spec::{Limits, SpecInput};
use longshore::container::{
    Attached, ContainerRuntime as _, ContainerSpec, Existing, Installation, LinkKind, Output, RuntimeError,
};
use longshore_protocol::GroupId;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// The image that `longshore image build` makes.
pub(crate) const AGENT_IMAGE: &str = "longshore-agent:latest";

/// One test's installation and engine.
pub(crate) struct Rig {
    pub(crate) runtime: DockerRuntime,
    pub(crate) installation: Installation,
    pub(crate) group: GroupId,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn run(test: impl AsyncFnOnce(&Self)) {
        let folder = tempfile::tempdir().unwrap();
        let rig = Self {
            runtime: DockerRuntime::new(docker_host().as_deref()),
            installation: Installation::of(folder.path()).unwrap(),
            group: "family".parse().unwrap(),
            _folder: folder,
        };
        prepare(&rig.installation, &rig.group).unwrap();
        rig.runtime.ping().await.unwrap();
        let outcome = AssertUnwindSafe(test(&rig)).catch_unwind().await;
        for container in rig.existing().await {
            rig.runtime.remove(&container.id).await.unwrap();
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    pub(crate) fn spec(&self, command: &[&str]) -> ContainerSpec {
        let image = std::env::var("LONGSHORE_TEST_IMAGE").unwrap_or_else(|_| AGENT_IMAGE.to_owned());
        let mut spec = ContainerSpec::new(&SpecInput {
            installation: &self.installation,
            group: &self.group,
            access: FolderAccess::ORDINARY,
            generation: 1,
            image: &image,
            image_id: "sha256:1",
            timezone: "UTC",
            placeholders: &[],
            additional_mounts: &[],
            network: longshore::groups::Network::None,
            limits: Limits { memory_bytes: 256 * 1024 * 1024, ..Limits::default() },
            link: LinkKind::Socket,
        });
        spec.command = Some(command.iter().map(|word| (*word).to_owned()).collect());
        spec
    }

    pub(crate) async fn start(&self, command: &[&str]) -> Attached {
        self.runtime.start(&self.spec(command)).await.unwrap()
    }

    pub(crate) async fn shell(&self, script: &str) -> Attached {
        self.start(&["sh", "-c", script]).await
    }

    pub(crate) async fn existing(&self) -> Vec<Existing> {
        self.runtime.list(&self.installation.root_hash).await.unwrap()
    }
}

pub(crate) fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok()
}

type Pieces = BoxStream<'static, Result<Output, RuntimeError>>;

/// All that is said until the streams end, stdout and stderr apart.
pub(crate) async fn transcript(output: &mut Pieces) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(Ok(piece)) = output.next().await {
        match piece {
            Output::Stdout(bytes) => stdout.extend(bytes),
            Output::Stderr(bytes) => stderr.extend(bytes),
        }
    }
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What is said up to the end of a line.
pub(crate) async fn read_line(output: &mut Pieces) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        match output.next().await.unwrap().unwrap() {
            Output::Stdout(bytes) => line.extend(bytes),
            Output::Stderr(bytes) => panic!("{}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(line).unwrap()
}

/// Stands between the client and the engine, so that the engine can go away for one test alone.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    links: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn open() -> Self {
        let mut proxy = Self { folder: tempfile::tempdir().unwrap(), links: JoinSet::new() };
        proxy.listen();
        proxy
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}/engine.sock", self.folder.path().display())
    }

    /// Breaks every link, and serves new ones only if the engine is to come back.
    pub(crate) async fn cut(&mut self, come_back: bool) {
        self.links.shutdown().await;
        std::fs::remove_file(self.folder.path().join("engine.sock")).unwrap();
        if come_back {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let listener = UnixListener::bind(self.folder.path().join("engine.sock")).unwrap();
        let engine = docker_host().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let engine = engine.strip_prefix("unix://").expect("a local engine").to_owned();
        self.links.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut engine = UnixStream::connect(&engine).await.unwrap();
                open.spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut engine).await });
            }
        });
    }
}
