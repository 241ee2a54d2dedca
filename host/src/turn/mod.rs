//! One turn of one group: what the agent is told, how its events are read, how the turn ends.

mod cut;
mod ending;
pub mod fold;
pub mod prelude;
pub mod prompt;
pub mod recover;
mod request;
pub mod run;
pub mod stops;
pub mod tally;
