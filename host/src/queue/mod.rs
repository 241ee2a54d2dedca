//! Who runs when: a pure state machine ([`state`]) and the loop that acts on it ([`dispatch`]).

pub mod dispatch;
pub mod state;
