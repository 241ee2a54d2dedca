//! From `egress` and `egressAllow` to [`Rules`].

use jsonc_parser::common::Ranged as _;

use super::entry::Egress;
use super::problem::{Findings, Path, shown};
use super::resolve::Place;
use crate::broker::egress::rules::{Pattern, Rules};

/// What a group's tools may reach. Every entry that is none is reported at its own place.
pub(super) fn rules(
    mode: Option<Egress>,
    allow: Option<Vec<String>>,
    place: &Place<'_>,
    findings: &mut Findings,
) -> Rules {
    let mode = mode.unwrap_or_default();
    let allow = allow.unwrap_or_default();
    if !allow.is_empty() && mode != Egress::List {
        let text = match mode {
            Egress::Open => "has no effect: `egress` is `open`",
            Egress::None | Egress::List => "has no effect: `egress` is `none`",
        };
        place.warn(&["containerConfig", "egressAllow"], text, findings);
    }
    let container = Path::Key(place.path, "containerConfig");
    let path = Path::Key(&container, "egressAllow");
    let list = place.object.get_object("containerConfig").and_then(|config| config.get_array("egressAllow"));
    // An element of the wrong shape was reported and left out.
    let elements = list.iter().flat_map(|list| list.elements.iter().enumerate());
    let places: Vec<(usize, usize)> = elements
        .filter(|(index, _)| !findings.is_about(&Path::Index(&path, *index)))
        .map(|(index, element)| (index, element.range().start))
        .collect();
    let mut patterns = Vec::with_capacity(allow.len());
    for ((index, offset), written) in places.into_iter().zip(&allow) {
        match written.parse::<Pattern>() {
            Ok(pattern) => patterns.push(pattern),
            Err(problem) => {
                findings.reject(offset, &Path::Index(&path, index), format!("`{}`: {problem}", shown(written)));
            }
        }
    }
    Rules { mode, allow: patterns }
}
