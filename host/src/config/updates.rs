//! `CLI_UPDATES` and `NPM_CONFIG_REGISTRY`: whether newer releases of the CLIs are looked for, and where.

use super::parse::{Settings, shown};
use super::{BaseUrl, ConfigProblem};

/// The policy's name.
pub(super) const KEY: &str = "CLI_UPDATES";
/// The registry's name, which is npm's own for it.
pub(super) const REGISTRY: &str = "NPM_CONFIG_REGISTRY";

/// Newer releases of the CLIs in the agent image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Updates {
    /// Whether they are looked for.
    pub policy: UpdatePolicy,
    /// `NPM_CONFIG_REGISTRY`: which registry is asked; npm's own if unset.
    pub registry: Option<BaseUrl>,
}

/// `CLI_UPDATES`: whether a running host looks for newer releases of the CLIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdatePolicy {
    /// It asks nobody.
    Never,
    /// It asks the registry daily, and tells the operator.
    #[default]
    Notify,
    /// It does so, and lets them be rehearsed and taken.
    Auto,
}

pub(super) fn updates(settings: &mut Settings<'_>) -> Updates {
    let mut policy = policy(settings);
    let registry = settings.get(REGISTRY).map(str::parse);
    // It is npm's variable and may be meant for npm alone, so it keeps no host from starting. Nor is another
    // registry asked in its place.
    if let Some(Err(error)) = &registry
        && policy != UpdatePolicy::Never
    {
        settings.warn(REGISTRY, format!("{error}; newer releases of the CLIs are not looked for"));
        policy = UpdatePolicy::Never;
    }
    Updates { policy, registry: registry.and_then(Result::ok) }
}

fn policy(settings: &mut Settings<'_>) -> UpdatePolicy {
    let Some(text) = settings.get(KEY) else { return UpdatePolicy::default() };
    match text.to_ascii_lowercase().as_str() {
        "never" => return UpdatePolicy::Never,
        "notify" => return UpdatePolicy::Notify,
        "auto" => return UpdatePolicy::Auto,
        _ => settings.refuse(ConfigProblem::new(
            KEY,
            format!("is `{}`", shown(text)),
            "write `never`, `notify` or `auto`",
        )),
    }
    UpdatePolicy::default()
}
