//! The words in which a schedule is said, in files, snapshots and the store.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in the order in which they are listed to people.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in files, in the store and for people.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let words: Vec<String> = Self::ALL.iter().map(|value| format!("`{value}`")).collect();
                    format!("`{text}` is none of {}", words.join(", "))
                })
            }
        }
    };
}

words! {
    /// How a task's times are said in `schedule_value`.
    ScheduleType {
        /// A cron expression: five fields as in Unix, or six with seconds first.
        Cron = "cron",
        /// Milliseconds between two runs.
        Interval = "interval",
        /// One date and time.
        Once = "once",
    }
}

words! {
    /// Which conversation a task's run belongs to.
    ContextMode {
        /// The group's own: the agent knows what was said.
        Group = "group",
        /// A fresh one, which is forgotten after the run.
        Isolated = "isolated",
    }
}

words! {
    /// What becomes of runs whose time passed while the host could not run them.
    Misfire {
        /// The latest of them is caught up.
        Latest = "latest",
        /// None is.
        Skip = "skip",
        /// All are, the latest 24 at most.
        All = "all",
    }
}

words! {
    /// What becomes of a run whose time comes while the last one waits or runs.
    Overlap {
        /// It is left out.
        Skip = "skip",
        /// It waits for the last one; a further one is left out.
        Queue = "queue",
    }
}

words! {
    /// How a task stands.
    TaskStatus {
        /// It runs when its time comes.
        Active = "active",
        /// It is kept and does not run.
        Paused = "paused",
        /// It has no further time.
        Completed = "completed",
        /// It was called off.
        Cancelled = "cancelled",
    }
}
