//! Pulling an image that the operator has made elsewhere.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::{BuildError, engine_text};

/// A pull on which nothing comes for so long is given up.
const SILENCE: Duration = Duration::from_secs(300);

/// Pulls the image; `watch` is told what is done.
///
/// # Errors
/// The engine's own words.
pub async fn pull(docker: &Docker, reference: &str, watch: &mut (dyn FnMut(&str) + Send)) -> Result<(), BuildError> {
    let (name, tag) = split(reference);
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
    let mut steps = docker.create_image(Some(options), None, None);
    loop {
        let next = tokio::time::timeout(SILENCE, steps.next()).await;
        match next.map_err(|_| BuildError::Engine("the registry has said nothing for 5 minutes".to_owned()))? {
            Some(Ok(step)) => {
                let parts = [step.id, step.status].into_iter().flatten().collect::<Vec<_>>();
                watch(&parts.join(": "));
            }
            Some(Err(error)) => return Err(BuildError::Engine(engine_text(&error))),
            None => return Ok(()),
        }
    }
}

/// Name and tag, or digest. A colon before the last slash is a registry's port.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_reference_is_a_name_and_a_tag_or_digest() {
        for (reference, expected) in [
            ("example.org/agent", ("example.org/agent", "latest")),
            ("example.org:5000/agent", ("example.org:5000/agent", "latest")),
            ("example.org:5000/agent:7", ("example.org:5000/agent", "7")),
            ("agent@sha256:abc", ("agent", "sha256:abc")),
        ] {
            assert_eq!(split(reference), expected);
        }
    }
}
