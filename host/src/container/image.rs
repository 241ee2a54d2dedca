//! Making the agent image.
//!
//! The Dockerfile is part of this program and the build context is two files in memory, so an
//! installed `longshore` makes its image anywhere. The engine's classic builder does it: every engine
//! offers that without a session of its own protocol. What goes in is hashed into a label, so an
//! image that is current is recognised and kept.

pub mod progress;
pub mod pull;
pub mod recipe;
pub mod runner;

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{BuildImageOptions, ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use thiserror::Error;

use self::progress::{BuildLog, Progress};
use self::recipe::{BASE_IMAGE, DOCKERFILE, LABEL_INPUTS, LABEL_STAGE, Recipe};
use self::runner::{Runner, RunnerError};

/// A build that takes longer is given up: the CLIs are 340 MB, which a slow line takes an hour for.
const BUILD_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// What [`build`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The image was there and made of the very same inputs.
    Current,
    /// It was made now.
    Made,
}

/// Whether an image that is current is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Do nothing when the inputs are the same, and take what layers there are otherwise.
    Reuse,
    /// Make every layer anew, which also takes up the base system's security updates.
    Anew,
}

/// Why there is no image.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The engine does not answer or refuses; the text is its own.
    #[error("{0}")]
    Engine(String),
    /// The runner cannot go into this engine's images.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The image that all of it stands on is not there and cannot be pulled.
    #[error(
        "the base image `{BASE_IMAGE}` is missing and cannot be pulled ({0}); run `scripts/base-image.sh` or `make setup`, which make it without a registry"
    )]
    BaseImage(String),
    /// A step of the build failed.
    #[error("step `{step}` failed: {reason}\n{tail}")]
    Step {
        /// The instruction, cut to a line.
        step: String,
        /// What the engine says about it.
        reason: String,
        /// The last lines that the step printed.
        tail: String,
    },
    /// It took longer than two hours.
    #[error("the build did not end within two hours")]
    Limit,
}

impl From<EngineError> for BuildError {
    fn from(error: EngineError) -> Self {
        Self::Engine(engine_text(&error))
    }
}

/// What the engine said, or that it does not answer: the client's own texts leave that out.
fn engine_text(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.trim().to_owned(),
        other => {
            // The client's own text is "client error"; the cause under it says what happened.
            let causes = std::iter::successors(Some(other as &dyn std::error::Error), |error| error.source());
            format!("the container engine does not answer: {}", causes.last().unwrap_or(other))
        }
    }
}

/// Makes the image `tag` by `recipe`, with `runner` in it, and removes what earlier builds left behind.
///
/// `watch` is called for each step and each line that a step prints. Dropping the future ends the
/// build in the engine too; the layers that are done stay for the next one.
///
/// # Errors
/// Whatever keeps the image from being made; an image that had the tag before keeps it then.
pub async fn build(
    docker: &Docker,
    recipe: &Recipe,
    runner: &Runner,
    tag: &str,
    freshness: Freshness,
    watch: &mut (dyn FnMut(&Progress) + Send),
) -> Result<Outcome, BuildError> {
    let engine = docker.version().await?.arch.unwrap_or_default();
    runner.runs_on(&engine)?;
    if freshness == Freshness::Reuse && inputs_of(docker, tag).await?.as_deref() == Some(recipe.inputs().as_str()) {
        return Ok(Outcome::Current);
    }

    let context = runner.context(DOCKERFILE)?;
    let options = options(recipe, tag, freshness);
    let log = tokio::time::timeout(BUILD_LIMIT, follow(docker, options, context, watch))
        .await
        .map_err(|_elapsed| BuildError::Limit)??;
    remove_leftovers(docker, &log).await;
    Ok(Outcome::Made)
}

fn options(recipe: &Recipe, tag: &str, freshness: Freshness) -> BuildImageOptions {
    BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(tag.to_owned()),
        target: recipe.flavour().target().to_owned(),
        buildargs: Some(recipe.build_args()),
        labels: Some(recipe.labels()),
        nocache: freshness == Freshness::Anew,
        rm: true,
        forcerm: true,
        ..BuildImageOptions::default()
    }
}

/// Runs the build to its end.
async fn follow(
    docker: &Docker,
    options: BuildImageOptions,
    context: Bytes,
    watch: &mut (dyn FnMut(&Progress) + Send),
) -> Result<BuildLog, BuildError> {
    let mut log = BuildLog::default();
    let mut stream = docker.build_image(options, None, Some(bollard::body_full(context)));
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(info) => {
                for text in [info.stream, info.status.map(|status| status + "\n")].into_iter().flatten() {
                    log.read(&text, watch);
                }
            }
            Err(error) => return Err(failure(&log, engine_text(&error))),
        }
    }
    // An engine that goes away in the middle ends the stream as an engine that is done does.
    if log.is_done() { Ok(log) } else { Err(failure(&log, "the engine ended the build early".to_owned())) }
}

/// Puts the reason and the step together. Before the first step there is only the reason.
fn failure(log: &BuildLog, reason: String) -> BuildError {
    match log.step() {
        None => BuildError::Engine(reason),
        Some(step) if step.split_whitespace().nth(1) == Some(BASE_IMAGE) => BuildError::BaseImage(reason),
        Some(step) => {
            // The engine repeats the whole command before what it has to say.
            let reason = match reason.rsplit_once("' returned ") {
                Some((_command, status)) => format!("it returned {status}"),
                None => reason,
            };
            BuildError::Step { step: step.to_owned(), reason, tail: log.tail() }
        }
    }
}

/// The hash of its inputs that the image carries, or nothing when there is no such image.
async fn inputs_of(docker: &Docker, tag: &str) -> Result<Option<String>, BuildError> {
    match docker.inspect_image(tag).await {
        Ok(image) => {
            Ok(image.config.and_then(|config| config.labels).and_then(|mut labels| labels.remove(LABEL_INPUTS)))
        }
        Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes untagged images of ours that this build did not use: what had the tag before, and stages
/// of other CLI versions, half a gigabyte each.
///
/// The stages that it did use stay. The classic builder has no other cache, and without them the next
/// build would fetch both CLIs again. Not being able to remove one (a container still runs on it) is
/// no failure: the next build tries again.
async fn remove_leftovers(docker: &Docker, log: &BuildLog) {
    let filters = HashMap::from([("dangling", vec!["true"]), ("label", vec![LABEL_STAGE])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let Ok(images) = docker.list_images(Some(options)).await else { return };
    for image in images.into_iter().filter(|image| !log.used(&image.id)) {
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        if let Err(error) = docker.remove_image(&image.id, Some(options), None).await {
            tracing::debug!(image = image.id, error = engine_text(&error), "an earlier image stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(text: &str) -> BuildLog {
        let mut log = BuildLog::default();
        log.read(text, &mut |_progress| {});
        log
    }

    #[test]
    fn a_base_image_that_cannot_be_pulled_names_the_script_that_makes_it() {
        let log = log_of("Step 1/36 : ARG X=1\nStep 5/36 : FROM debian:bookworm-slim AS npm\n");
        insta::assert_snapshot!(failure(&log, "no such host".to_owned()), @"the base image `debian:bookworm-slim` is missing and cannot be pulled (no such host); run `scripts/base-image.sh` or `make setup`, which make it without a registry");
    }

    #[test]
    fn a_failed_step_shows_what_it_printed_last() {
        let log = log_of("Step 1/9 : FROM x\nearlier\nStep 2/9 : RUN npm pack\nfetching\nnpm error 404\n");
        insta::assert_snapshot!(failure(&log, "The command '/bin/sh -c npm pack' returned a non-zero code: 1".to_owned()), @r"
        step `RUN npm pack` failed: it returned a non-zero code: 1
        fetching
        npm error 404
        ");
    }

    #[test]
    fn a_refusal_before_the_first_step_is_the_engines_own_sentence() {
        let text = failure(&BuildLog::default(), "dockerfile parse error".to_owned()).to_string();
        assert_eq!(text, "dockerfile parse error");
    }
}
