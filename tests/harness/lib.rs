//! The harness: a real `longshore` in a folder of its own, talked to as a person would.

pub mod api;
pub mod chaos;
pub mod engine;
pub mod figures;
pub mod host;
pub mod installation;
pub mod ledger;
pub mod network;
pub mod platform;
pub mod script;
pub mod stub;
pub mod talk;

pub use api::Api;
pub use host::{Answer, Host, HostOptions};
pub use installation::Installation;
pub use network::{Namespace, Network};
pub use platform::{Platform, Record};
pub use stub::StubHost;
pub use talk::Talk;
