//! Every Redis key of a queue.

/// The keys of one queue, made once.
#[derive(Debug)]
pub(crate) struct QueueKeys {
    /// First part of all of them, with the colon at its end.
    pub(crate) prefix: String,
    pub(crate) counter: String,
    pub(crate) meta: String,
    pub(crate) wait: String,
    /// Where versions before 6 set jobs aside while the queue was paused.
    pub(crate) paused: String,
    pub(crate) active: String,
    pub(crate) prioritized: String,
    pub(crate) priority_counter: String,
    pub(crate) delayed: String,
    pub(crate) waiting_children: String,
    pub(crate) completed: String,
    pub(crate) failed: String,
    pub(crate) stalled: String,
    pub(crate) stalled_check: String,
    pub(crate) marker: String,
    pub(crate) limiter: String,
    pub(crate) events: String,
    pub(crate) metrics_completed: String,
    pub(crate) metrics_failed: String,
    /// Job schedulers by their next run.
    pub(crate) repeat: String,
    /// Groups whose turn may come.
    pub(crate) groups: String,
    /// Ids of the workers that do not show in the server's list of clients. No job can have this id: with a colon it has
    /// two of them.
    pub(crate) workers: String,
}

impl QueueKeys {
    pub(crate) fn new(prefix: &str, queue: &str) -> Self {
        let prefix = format!("{prefix}:{queue}:");
        let key = |name: &str| format!("{prefix}{name}");
        Self {
            counter: key("id"),
            meta: key("meta"),
            wait: key("wait"),
            paused: key("paused"),
            active: key("active"),
            prioritized: key("prioritized"),
            priority_counter: key("pc"),
            delayed: key("delayed"),
            waiting_children: key("waiting-children"),
            completed: key("completed"),
            failed: key("failed"),
            stalled: key("stalled"),
            stalled_check: key("stalled-check"),
            marker: key("marker"),
            limiter: key("limiter"),
            events: key("events"),
            metrics_completed: key("metrics:completed"),
            metrics_failed: key("metrics:failed"),
            repeat: key("repeat"),
            groups: key("groups"),
            workers: key("oxcart:workers"),
            prefix,
        }
    }

    /// Hash of a job.
    pub(crate) fn job(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// Value: the token of the worker that holds a job.
    pub(crate) fn lock(&self, id: &str) -> String {
        format!("{}{id}:lock", self.prefix)
    }

    /// Log of a job.
    pub(crate) fn logs(&self, id: &str) -> String {
        format!("{}{id}:logs", self.prefix)
    }

    /// Id of the job that holds a deduplication id.
    pub(crate) fn deduplication(&self, id: &str) -> String {
        format!("{}de:{id}", self.prefix)
    }

    /// What a worker says of itself.
    pub(crate) fn worker(&self, id: &str) -> String {
        format!("{}:{id}", self.workers)
    }

    /// One of the keys that all groups share.
    pub(crate) fn of_groups(&self, name: &str) -> String {
        format!("{}groups:{name}", self.prefix)
    }

    /// Waiting jobs of a group. No job's id can look like that.
    pub(crate) fn group_jobs(&self, group: &str) -> String {
        format!("{}groups::jobs:{group}", self.prefix)
    }

    /// Hash of a job scheduler.
    pub(crate) fn scheduler(&self, id: &str) -> String {
        format!("{}repeat:{id}", self.prefix)
    }
}
