//! The states of a job, by the names that BullMQ users and dashboards know.

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    Waiting,
    Active,
    Delayed,
    /// Waiting, with a priority above 0.
    Prioritized,
    /// A parent whose children have not all finished.
    WaitingChildren,
    Completed,
    Failed,
}

impl JobState {
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Active,
        Self::Delayed,
        Self::Prioritized,
        Self::WaitingChildren,
        Self::Completed,
        Self::Failed,
    ];

    /// The user's name of the state: `waiting`, `waiting-children`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Delayed => "delayed",
            Self::Prioritized => "prioritized",
            Self::WaitingChildren => "waiting-children",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// A state by its name; `wait` is Bull's word for `waiting`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "wait" => Some(Self::Waiting),
            _ => Self::ALL.into_iter().find(|state| state.as_str() == name),
        }
    }

    /// Last part of the key that holds the ids of this state.
    pub(crate) const fn key_suffix(self) -> &'static str {
        match self {
            Self::Waiting => "wait",
            other => other.as_str(),
        }
    }
}

/// How many jobs are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    pub waiting: u64,
    pub active: u64,
    pub delayed: u64,
    pub prioritized: u64,
    pub waiting_children: u64,
    pub completed: u64,
    pub failed: u64,
}
