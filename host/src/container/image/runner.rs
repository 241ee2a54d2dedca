//! The `longshore-agent` that goes into the image: found, checked and packed.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::recipe::hexadecimal;

/// Its file name, on disk and in the image.
pub const RUNNER: &str = "longshore-agent";
/// A runner is a few megabytes; what is larger than this is something else.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How to make one.
const MAKE: &str = "make it with `make agent`, or name one with `--agent`";

/// Why a file is no runner for the image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunnerError {
    /// None was found.
    #[error("no statically linked `{RUNNER}` for the image at {searched}; {MAKE}")]
    Missing {
        /// The paths, each in backticks.
        searched: String,
    },
    /// The file is there and cannot go into the image.
    #[error("`{path}` {why}; {MAKE}")]
    Unfit {
        /// Which file.
        path: String,
        /// What is wrong with it, as a predicate.
        why: String,
    },
    /// It is for another processor than the engine's.
    #[error("`{path}` is for {runner} and the container engine runs {engine}; {MAKE}")]
    Processor {
        /// Which file.
        path: String,
        /// Its processor, in the engine's spelling.
        runner: String,
        /// The engine's.
        engine: String,
    },
}

/// The processors that both CLIs exist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processor {
    Amd64,
    Arm64,
}

impl Processor {
    /// As the engine spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A statically linked Linux executable, read and checked.
#[derive(Debug, Clone)]
pub struct Runner {
    path: PathBuf,
    bytes: Bytes,
    processor: Processor,
}

impl Runner {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is no statically linked Linux executable.
    pub fn load(path: &Path) -> Result<Self, RunnerError> {
        let unfit = |why: String| RunnerError::Unfit { path: path.display().to_string(), why };
        let read = || {
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = read().map_err(|error| unfit(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(unfit("is larger than 256 MiB".to_owned()));
        }
        let processor = static_executable(&bytes).map_err(|why| unfit(why.to_owned()))?;
        Ok(Self { path: path.to_owned(), bytes: bytes.into(), processor })
    }

    /// The first fit runner among `candidates`.
    ///
    /// # Errors
    /// The first file's own fault when there is one, and otherwise where it was looked for.
    pub fn find(candidates: &[PathBuf]) -> Result<Self, RunnerError> {
        let mut fault = None;
        for path in candidates.iter().filter(|path| path.exists()) {
            match Self::load(path) {
                Ok(runner) => return Ok(runner),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        let names = candidates.iter().map(|path| format!("`{}`", path.display()));
        Err(fault.unwrap_or_else(|| RunnerError::Missing { searched: names.collect::<Vec<_>>().join(" or ") }))
    }

    /// Whether an engine of this processor can run it. An engine that does not say is believed to.
    ///
    /// # Errors
    /// When it cannot.
    pub fn runs_on(&self, engine: &str) -> Result<(), RunnerError> {
        if engine.is_empty() || engine == self.processor.name() {
            return Ok(());
        }
        Err(RunnerError::Processor {
            path: self.path.display().to_string(),
            runner: self.processor.name().to_owned(),
            engine: engine.to_owned(),
        })
    }

    /// Hash (SHA-256, hexadecimal) of the file.
    #[must_use]
    pub fn hash(&self) -> String {
        hexadecimal(&Sha256::digest(&self.bytes))
    }

    /// The build context: the Dockerfile and the runner, the same bytes for the same input.
    ///
    /// # Errors
    /// When it cannot be packed, which memory does not refuse.
    pub fn context(&self, dockerfile: &str) -> Result<Bytes, RunnerError> {
        let unfit = |error: std::io::Error| RunnerError::Unfit {
            path: self.path.display().to_string(),
            why: format!("cannot be packed: {error}"),
        };
        let mut archive = tar::Builder::new(Vec::with_capacity(self.bytes.len() + dockerfile.len() + 4096));
        for (name, mode, bytes) in [("Dockerfile", 0o644, dockerfile.as_bytes()), (RUNNER, 0o755, &self.bytes)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(mode);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, bytes).map_err(unfit)?;
        }
        archive.into_inner().map(Bytes::from).map_err(unfit)
    }
}

/// Where a runner may be, best first: beside the `longshore` executable (an installation), and where
/// cargo puts a build for a named triple (a checkout).
#[must_use]
pub fn candidates(executable: &Path) -> Vec<PathBuf> {
    let Some(directory) = executable.parent() else { return Vec::new() };
    let triples = ["gnu", "musl"].map(|libc| format!("{}-unknown-linux-{libc}", std::env::consts::ARCH));
    let mut paths = vec![directory.join(RUNNER)];
    if let (Some(target), Some(profile)) = (directory.parent(), directory.file_name()) {
        paths.extend(triples.iter().map(|triple| target.join(triple).join(profile).join(RUNNER)));
    }
    paths
}

/// The processor of a statically linked 64-bit Linux executable, or what is wrong with it.
///
/// By the ELF specification: an executable that needs a loader has a program header of type
/// `PT_INTERP`. The image's libc is older than many hosts', so one that does would not start there.
fn static_executable(bytes: &[u8]) -> Result<Processor, &'static str> {
    const NOT_ELF: &str = "is no Linux executable";
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));

    // Magic, 64-bit class, little-endian data.
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        return Err(NOT_ELF);
    }
    let processor = match u16_at(18) {
        Some(62) => Processor::Amd64,
        Some(183) => Processor::Arm64,
        _ => return Err("is for a processor that the model CLIs do not exist for"),
    };
    let (Some(table), Some(size), Some(count)) = (u64_at(32), u16_at(54), u16_at(56)) else {
        return Err(NOT_ELF);
    };
    for index in 0..u64::from(count) {
        let at = index.checked_mul(size.into()).and_then(|offset| offset.checked_add(table));
        let kind = at.and_then(|at| usize::try_from(at).ok()).and_then(u32_at).ok_or(NOT_ELF)?;
        if kind == PT_INTERP {
            return Err("is linked dynamically, so it may not start in the image");
        }
    }
    Ok(processor)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An ELF header with one program header of the given type.
    fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    /// A runner that differs from others by its `body`.
    pub(in super::super) fn static_runner(body: &[u8]) -> Runner {
        let bytes = [elf(62, 1).as_slice(), body].concat();
        Runner { path: "runner".into(), bytes: bytes.into(), processor: Processor::Amd64 }
    }

    #[test]
    fn only_a_statically_linked_executable_of_a_known_processor_is_fit() {
        let dynamic = Err("is linked dynamically, so it may not start in the image");
        let cases = [
            (elf(62, 1), Ok(Processor::Amd64)),
            (elf(183, 1), Ok(Processor::Arm64)),
            (elf(62, 3), dynamic),
            (elf(243, 1), Err("is for a processor that the model CLIs do not exist for")),
            (elf(62, 1)[..60].to_vec(), Err("is no Linux executable")),
            (b"#!/bin/sh\n".to_vec(), Err("is no Linux executable")),
            (Vec::new(), Err("is no Linux executable")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(static_executable(&bytes), expected);
        }
    }

    #[test]
    fn the_first_fit_runner_is_taken_and_a_misfit_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let [absent, misfit, fit] = ["absent", "misfit", "fit"].map(|name| directory.path().join(name));
        std::fs::write(&misfit, elf(62, 3)).unwrap();
        std::fs::write(&fit, elf(62, 1)).unwrap();
        let found = Runner::find(&[absent.clone(), misfit.clone(), fit.clone()]).unwrap();
        assert_eq!(found.path, fit);
        assert!(matches!(Runner::find(&[absent.clone(), misfit]), Err(RunnerError::Unfit { .. })));
        assert!(matches!(Runner::find(&[absent]), Err(RunnerError::Missing { .. })));
    }

    #[test]
    fn a_missing_runner_says_where_it_was_looked_for_and_how_to_make_it() {
        let error = Runner::find(&candidates(Path::new("/nowhere/release/longshore"))[..1]).unwrap_err();
        insta::assert_snapshot!(error, @"no statically linked `longshore-agent` for the image at `/nowhere/release/longshore-agent`; make it with `make agent`, or name one with `--agent`");
    }

    #[test]
    fn a_runner_for_another_processor_is_refused() {
        let runner = static_runner(b"");
        assert_eq!(runner.runs_on("amd64"), Ok(()));
        assert_eq!(runner.runs_on(""), Ok(()));
        assert!(matches!(runner.runs_on("arm64"), Err(RunnerError::Processor { .. })));
    }

    #[test]
    fn the_context_is_the_dockerfile_and_an_executable_runner() {
        let context = static_runner(b"body").context("FROM x\n").unwrap();
        let mut archive = tar::Archive::new(context.as_ref());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            (path, entry.header().mode().unwrap(), entry.header().size().unwrap())
        });
        let entries = entries.collect::<Vec<_>>();
        assert_eq!(entries, [("Dockerfile".to_owned(), 0o644, 7), (RUNNER.to_owned(), 0o755, 124)]);
        assert_eq!(context, static_runner(b"body").context("FROM x\n").unwrap());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(table in any::<u64>(), size in any::<u16>(), count in any::<u16>(), cut in 0_usize..120) {
            let mut bytes = elf(62, 1);
            bytes[32..40].copy_from_slice(&table.to_le_bytes());
            bytes[54..56].copy_from_slice(&size.to_le_bytes());
            bytes[56..58].copy_from_slice(&count.to_le_bytes());
            bytes.truncate(cut);
            // An empty table has nothing that asks for a loader; all else is read within the file.
            if let Ok(processor) = static_executable(&bytes) {
                prop_assert_eq!(processor, Processor::Amd64);
            }
        }
    }
}
