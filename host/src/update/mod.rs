//! Newer releases of the CLIs: which there are, and whether an image with them works.

pub mod lookout;
pub mod plan;
pub mod registry;
pub mod rehearse;
pub mod taker;
pub mod versions;
