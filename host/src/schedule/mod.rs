//! When tasks run.
