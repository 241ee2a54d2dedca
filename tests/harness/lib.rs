//! The harness: a real `longshore` in a folder of its own, talked to as a person would.

pub mod api;
pub mod host;
pub mod installation;
pub mod talk;

pub use api::Api;
pub use host::{Answer, Host, HostOptions};
pub use installation::Installation;
pub use talk::Talk;
