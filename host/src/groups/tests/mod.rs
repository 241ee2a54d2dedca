mod edit;
mod invariants;
mod load;
mod problems;
mod schema;

use super::{Groups, Loaded, load as load_bytes};

/// Loads a file for the first time.
fn first(text: &str) -> Loaded {
    load_bytes(text.as_bytes(), &Groups::default())
}

/// The problems as an operator reads them.
fn rendered(loaded: &Loaded) -> String {
    loaded.problems.iter().map(|problem| format!("{problem}\n")).collect()
}
