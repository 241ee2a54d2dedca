//! Newer releases of the CLIs, as far as the operator wants to hear of them.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::tasks::{named, ok};
use crate::clock::Clock;
use crate::config::{BaseUrl, Config, UpdatePolicy};
use crate::container::ContainerRuntime;
use crate::stop::Stop;
use crate::update::lookout::{Lookout, News};
pub(super) use crate::update::taker::Taker;

/// Looks for them daily if `CLI_UPDATES` says so, and never in a rehearsal.
pub(super) fn look_out(
    taker: Taker,
    config: &Config,
    is_rehearsal: bool,
    runtime: &Arc<dyn ContainerRuntime>,
    clock: &Clock,
    stop: &Stop,
    tasks: &mut JoinSet<(&'static str, anyhow::Result<()>)>,
) -> News {
    let news = News::new(runtime.clone(), config.container_image.clone());
    if is_rehearsal || config.updates.policy == UpdatePolicy::Never {
        return news;
    }
    let registry = config.updates.registry.clone().unwrap_or_else(BaseUrl::npm);
    let root = taker.root.clone();
    let taker = (config.updates.policy == UpdatePolicy::Auto).then_some(taker);
    let lookout = Lookout::open(&root, registry, news.clone(), clock.clone(), taker);
    tasks.spawn(named("updates", ok(lookout.run(stop.clone()))));
    news
}
