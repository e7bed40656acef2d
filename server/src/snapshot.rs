//! What the server keeps on disk between a clean shutdown and the next start.

pub(crate) mod folder;
pub(crate) mod format;
