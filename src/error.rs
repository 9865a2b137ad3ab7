//! The one error type of the engine, and the list of every code.
//!
//! The code is the contract; the wording is not. `docs/errors.md` has a row for each code, `ts/errors.ts` a class.

use std::{error::Error as StdError, fmt, sync::Arc};

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What went wrong, as a caller distinguishes it. Stable: a code is never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $name,)+ }

        impl ErrorCode {
            /// Every code, in the order of this list.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)+];

            /// The name that users see in `error.code`.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The connection broke. Detail `maybeExecuted` says whether the command may have run.
    ConnectionLost = "ERR_CONNECTION_LOST",
    /// No connection could be made (refused, unreachable, name not found, connect timeout).
    ConnectionFailed = "ERR_CONNECTION_FAILED",
    /// The server refused the user or password, or the user may not do this.
    AuthenticationFailed = "ERR_AUTHENTICATION_FAILED",
    /// The peer does not speak RESP.
    ProtocolViolation = "ERR_PROTOCOL_VIOLATION",
    /// TLS could not be negotiated, or a certificate was refused.
    TlsFailed = "ERR_TLS_FAILED",
    /// The command's deadline passed. Detail `maybeExecuted`.
    CommandTimedOut = "ERR_COMMAND_TIMED_OUT",
    /// `maxRetriesPerRequest` reconnection attempts failed while the command waited.
    MaxRetriesReached = "ERR_MAX_RETRIES_REACHED",
    /// Not connected, and `enableOfflineQueue` is false.
    Offline = "ERR_OFFLINE",
    /// Not connected, and `maxOfflineQueueBytes` are already waiting.
    OfflineQueueFull = "ERR_OFFLINE_QUEUE_FULL",
    /// Too many calls are in flight and waiting on this thread, or too many jobs wait in a queue with `overload`.
    Overloaded = "ERR_OVERLOADED",
    /// The server is a replica, or refuses writes.
    ReadOnlyServer = "ERR_READ_ONLY_SERVER",
    /// The server is still loading its data.
    ServerLoading = "ERR_SERVER_LOADING",
    /// A file that keeps data cannot be used or written: the disk is full, or the directory is not writable.
    StorageFailed = "ERR_STORAGE_FAILED",
    /// A file that keeps data cannot be read: it is damaged, or holds what this version does not know.
    StorageDamaged = "ERR_STORAGE_DAMAGED",
    /// Any other error reply. Detail `reply` is its first word, such as `WRONGTYPE`.
    Reply = "ERR_REPLY",
    /// A reply of a shape that this command never has.
    UnexpectedReply = "ERR_UNEXPECTED_REPLY",
    /// The command would block or change the state of a connection that others share.
    UnsupportedCommand = "ERR_UNSUPPORTED_COMMAND",
    /// An option has a wrong type or value, or is unknown. Detail `option` is its path.
    InvalidOption = "ERR_INVALID_OPTION",
    /// An argument has a wrong type or value. Detail `argument`.
    InvalidArgument = "ERR_INVALID_ARGUMENT",
    /// The service, queue or worker was closed.
    Closed = "ERR_CLOSED",
    /// A value cannot be written as JSON, or stored text is not JSON.
    NotSerializable = "ERR_NOT_SERIALIZABLE",
    /// A key is longer than `limits.maxKeyLength` of a `RedisService`. Details `limit` and `bytes`.
    KeyTooLong = "ERR_KEY_TOO_LONG",
    /// A value is larger than `limits.maxValueSize` of a `RedisService`. Details `limit` and `bytes`.
    ValueTooLarge = "ERR_VALUE_TOO_LARGE",
    /// A cache key is longer than `limits.maxKeyLength`.
    CacheKeyTooLong = "ERR_CACHE_KEY_TOO_LONG",
    /// A cache value is larger than `limits.maxValueSize`.
    CacheValueTooLarge = "ERR_CACHE_VALUE_TOO_LARGE",
    /// A stored cache entry is in an unknown form, damaged or too large. It counts as missing; told as an event.
    CacheEntryUnreadable = "ERR_CACHE_ENTRY_UNREADABLE",
    /// The database of level 3 is away, slow or refuses.
    CacheDatabaseFailed = "ERR_CACHE_DATABASE_FAILED",
    /// A bulk call names more keys than `limits.maxBulkKeys`.
    CacheBulkTooLarge = "ERR_CACHE_BULK_TOO_LARGE",
    /// A call of the cache names a domain that its options do not have.
    InvalidCacheDomain = "ERR_INVALID_CACHE_DOMAIN",
    /// No queue of that name was defined.
    QueueNotFound = "ERR_QUEUE_NOT_FOUND",
    /// The job does not exist (any more).
    JobNotFound = "ERR_JOB_NOT_FOUND",
    /// This worker no longer holds the job's lock.
    JobLockLost = "ERR_JOB_LOCK_LOST",
    /// The job is not in the state that the call needs. Detail `state` where known.
    JobNotInState = "ERR_JOB_NOT_IN_STATE",
    /// The job's data is larger than its `sizeLimit`.
    JobTooLarge = "ERR_JOB_TOO_LARGE",
    /// The group of a job has as many waiting jobs as the job's `group.maxSize` allows.
    GroupFull = "ERR_GROUP_MAX_SIZE_EXCEEDED",
    /// The data or result of a job cannot be opened: its key is missing, or it was changed.
    PayloadUnreadable = "ERR_PAYLOAD_UNREADABLE",
    /// The parent of a job does not exist.
    ParentJobNotFound = "ERR_PARENT_JOB_NOT_FOUND",
    /// The job is to become the child of one job while it is the child of another.
    JobHasParent = "ERR_JOB_HAS_PARENT",
    /// The job has children that are unfinished or have failed.
    JobHasChildren = "ERR_JOB_HAS_CHILDREN",
    /// The job belongs to a job scheduler, which must be removed instead.
    JobBelongsToScheduler = "ERR_JOB_BELONGS_TO_SCHEDULER",
    /// The next run of a job scheduler collides with an existing job.
    SchedulerSlotTaken = "ERR_SCHEDULER_SLOT_TAKEN",
    /// All slots of a concurrency limiter's key are taken.
    LimitReached = "ERR_LIMIT_REACHED",
    /// Somebody else holds the lock.
    LockNotAcquired = "ERR_LOCK_NOT_ACQUIRED",
    /// The lock is no longer held: its time was over, or it was taken away.
    LockLost = "ERR_LOCK_LOST",
    /// The queue's data was written in a way that this version must not touch.
    IncompatibleData = "ERR_INCOMPATIBLE_DATA",
    /// The operation's wait ended before its result came.
    WaitTimedOut = "ERR_WAIT_TIMED_OUT",
    /// The process or thread of a sandboxed processor ended under its job.
    SandboxCrashed = "ERR_SANDBOX_CRASHED",
    /// A fault of oxcart itself. Please report it.
    Internal = "ERR_INTERNAL",
}

/// One fact about an error, beside its message.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    Text(String),
    Number(f64),
    Bool(bool),
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Detail {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<f64> for Detail {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}
impl From<bool> for Detail {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// An error: cheap to clone, so that every waiter of one failure gets it.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    code: ErrorCode,
    message: String,
    details: Vec<(&'static str, Detail)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Engines wrap this in a constructor with a name where the same error arises twice.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { inner: Arc::new(Inner { code, message: message.into(), details: Vec::new(), source: None }) }
    }

    /// A value that an option may not have. `option` is its path, such as `backoff.delay`.
    pub fn invalid_option(option: &str, value: &str, allowed: &str) -> Self {
        Self::new(ErrorCode::InvalidOption, format!("option `{option}` is {value}; allowed: {allowed}"))
            .with("option", option)
    }

    /// A value that an argument may not have.
    pub fn invalid_argument(argument: &str, value: &str, allowed: &str) -> Self {
        Self::new(ErrorCode::InvalidArgument, format!("argument `{argument}` is {value}; allowed: {allowed}"))
            .with("argument", argument)
    }

    /// `what` is the closed thing, such as ``worker of queue `mail` ``.
    pub fn closed(what: &str) -> Self {
        Self::new(ErrorCode::Closed, format!("{what} is closed"))
    }

    /// A reply whose shape is not the command's.
    pub fn unexpected_reply(during: &str, got: &str) -> Self {
        Self::new(ErrorCode::UnexpectedReply, format!("{during}: unexpected reply, {got}"))
    }

    /// An error reply as the server sent it, without the leading `-`.
    pub fn from_reply(text: &str) -> Self {
        let word = text.split(' ').next().unwrap_or_default();
        let code = match word {
            "READONLY" => ErrorCode::ReadOnlyServer,
            "LOADING" => ErrorCode::ServerLoading,
            "MISCONF" => ErrorCode::StorageFailed,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => ErrorCode::AuthenticationFailed,
            "JOBNOTFOUND" => ErrorCode::JobNotFound,
            "LOCKMISSING" | "LOCKMISMATCH" => ErrorCode::JobLockLost,
            "NOTINSTATE" => ErrorCode::JobNotInState,
            "PARENTNOTFOUND" => ErrorCode::ParentJobNotFound,
            "HASPARENT" => ErrorCode::JobHasParent,
            "PENDINGCHILDREN" | "FAILEDCHILDREN" => ErrorCode::JobHasChildren,
            "BELONGSTOSCHEDULER" => ErrorCode::JobBelongsToScheduler,
            "OVERLOADED" => ErrorCode::Overloaded,
            "GROUPFULL" => ErrorCode::GroupFull,
            "SLOTTAKEN" => ErrorCode::SchedulerSlotTaken,
            "INCOMPATIBLEDATA" => ErrorCode::IncompatibleData,
            _ => ErrorCode::Reply,
        };
        Self::new(code, text).with("reply", word)
    }

    /// Adds a detail that JS sees as a property of the error.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Detail>) -> Self {
        Arc::make_mut(&mut self.inner).details.push((name, value.into()));
        self
    }

    /// Puts the option that an `InvalidOption` names below another: `attempts` becomes `defaultJobOptions.attempts`.
    #[must_use]
    pub fn below_option(mut self, parent: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        for (name, detail) in &mut inner.details {
            let Detail::Text(option) = detail else { continue };
            if *name == "option" {
                let whole = format!("{parent}.{option}");
                inner.message = inner.message.replacen(&format!("option `{option}`"), &format!("option `{whole}`"), 1);
                *option = whole;
            }
        }
        self
    }

    /// Says what was being done, in front of the message.
    #[must_use]
    pub fn during(mut self, what: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.message = format!("{what}: {}", inner.message);
        self
    }

    /// Keeps the error that this one comes from; JS sees it as `cause`.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.inner).source = Some(Arc::new(source));
        self
    }

    pub fn code(&self) -> ErrorCode {
        self.inner.code
    }

    pub fn message(&self) -> &str {
        &self.inner.message
    }

    pub fn details(&self) -> &[(&'static str, Detail)] {
        &self.inner.details
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.code(),
            ErrorCode::ConnectionLost
                | ErrorCode::CacheDatabaseFailed
                | ErrorCode::ConnectionFailed
                | ErrorCode::CommandTimedOut
                | ErrorCode::MaxRetriesReached
                | ErrorCode::Offline
                | ErrorCode::OfflineQueueFull
                | ErrorCode::Overloaded
                | ErrorCode::ReadOnlyServer
                | ErrorCode::ServerLoading
                | ErrorCode::WaitTimedOut
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.code.as_str(), self.inner.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as _)
    }
}
