//! The groups file as it is on disk, for what no host is asked.

use std::path::Path;

use anyhow::Context;

use crate::follow::MAX_BYTES;
use crate::follow::read::{Reading, read};
use crate::groups::{FILE_NAME, Groups, Loaded, load};

/// What a host would serve if it were started now: nobody, where there is no file.
///
/// # Errors
/// Names a file that cannot be read, and says why.
pub(super) fn registered(root: &Path) -> anyhow::Result<Loaded> {
    let path = root.join("data").join(FILE_NAME);
    let reading =
        read(&path, MAX_BYTES).with_context(|| format!("the groups file `{}` cannot be read", path.display()))?;
    let bytes = match reading {
        Reading::Missing => b"{}".to_vec(),
        Reading::Content { bytes, .. } => bytes,
    };
    Ok(load(&bytes, &Groups::default()))
}
