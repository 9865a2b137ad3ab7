//! Calling a script: by its digest, and with its text when the server does not know it yet.

use std::{sync::Arc, time::Duration};

use crate::{
    codec::resp::Value,
    connection::{Command, Link, NativeScript},
    error::{Error, ErrorCode, Result},
};

/// An assembled script.
#[derive(Debug)]
pub struct Source {
    pub name: &'static str,
    /// SHA-1 of `text` in hexadecimal, as EVALSHA wants it.
    pub sha: &'static str,
    pub text: &'static str,
}

/// A script with `K` keys and `A` arguments; with `REST`, any number of arguments follows them.
#[derive(Clone, Copy, Debug)]
pub struct Script<const K: usize, const A: usize, const REST: bool = false> {
    source: &'static Source,
}

impl<const K: usize, const A: usize, const REST: bool> Script<K, A, REST> {
    #[doc(hidden)]
    pub const fn new(source: &'static Source) -> Self {
        Self { source }
    }

    fn prepare(self, keys: [&str; K], args: [&[u8]; A]) -> ScriptCall {
        let mut tail = Command::default();
        for (index, key) in keys.iter().enumerate() {
            // All keys of a script share a slot.
            tail = if index == 0 { tail.key(key) } else { tail.arg(key) };
        }
        ScriptCall { source: self.source, keys: K, tail: tail.args(args) }
    }
}

impl<const K: usize, const A: usize> Script<K, A, false> {
    /// A call with these keys and arguments.
    pub fn with(&self, keys: [&str; K], args: [&[u8]; A]) -> ScriptCall {
        self.prepare(keys, args)
    }
}

impl<const K: usize, const A: usize> Script<K, A, true> {
    /// A call with these keys, arguments, and the variadic rest.
    pub fn with<T: AsRef<[u8]>>(
        &self,
        keys: [&str; K],
        args: [&[u8]; A],
        rest: impl IntoIterator<Item = T>,
    ) -> ScriptCall {
        self.with_more_keys(keys, &[], args, rest)
    }

    /// The same with further keys that the script finds for itself: declared so that a cluster refuses a call whose keys
    /// are in several slots before anything is written.
    pub fn with_more_keys<T: AsRef<[u8]>>(
        &self,
        keys: [&str; K],
        more: &[String],
        args: [&[u8]; A],
        rest: impl IntoIterator<Item = T>,
    ) -> ScriptCall {
        let mut tail = Command::default();
        for key in keys.into_iter().chain(more.iter().map(String::as_str)) {
            tail = tail.key(key);
        }
        ScriptCall { source: self.source, keys: K + more.len(), tail: tail.args(args).args(rest) }
    }

    /// A call with these keys, arguments, and the arguments of `rest`, which is encoded already.
    pub fn with_rest(&self, keys: [&str; K], args: [&[u8]; A], rest: &Command) -> ScriptCall {
        let mut call = self.prepare(keys, args);
        call.tail = call.tail.append(rest);
        call
    }
}

/// A script with its keys and arguments, ready to be sent.
#[derive(Clone, Debug)]
pub struct ScriptCall {
    source: &'static Source,
    keys: usize,
    tail: Command,
}

impl ScriptCall {
    /// Gives an engine in this process what does the same as the script, where it is not declined.
    #[must_use]
    pub fn native(mut self, script: NativeScript) -> Self {
        self.tail = self.tail.native(Some(script));
        self
    }

    /// Marks the call as safe to resend after a connection broke.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.tail = self.tail.repeatable();
        self
    }

    /// Gives the call a deadline of its own.
    #[must_use]
    pub fn deadline(mut self, after: Duration) -> Self {
        self.tail = self.tail.deadline(after);
        self
    }

    /// By digest: [`is_unknown_script`] says when it is to be sent again [`by_text`](Self::by_text).
    pub(crate) fn by_digest(&self) -> Command {
        self.command("EVALSHA", self.source.sha)
    }

    /// With the text, which the server then knows.
    pub(crate) fn by_text(&self) -> Command {
        self.command("EVAL", self.source.text)
    }

    fn command(&self, name: &str, what: &str) -> Command {
        let mut command = Command::new(name).arg(what).arg(itoa::Buffer::new().format(self.keys)).append(&self.tail);
        (command.route, command.flags, command.deadline) = (self.tail.route, self.tail.flags, self.tail.deadline);
        command.native = self.tail.native;
        command
    }

    /// Sends the call at once, in the order of the caller's other commands; the future waits for the result.
    pub fn start(self, link: Arc<dyn Link>) -> impl Future<Output = Result<Value>> + Send + use<> {
        let first = link.call(self.by_digest());
        async move {
            let reply = match first.await {
                Err(error) if is_unknown_script(&error) => link.call(self.by_text()).await,
                reply => reply,
            };
            reply.map_err(|error| error.during(self.source.name))
        }
    }

    /// Runs the script.
    pub async fn run(&self, link: &dyn Link) -> Result<Value> {
        let reply = match link.call(self.by_digest()).await {
            Err(error) if is_unknown_script(&error) => link.call(self.by_text()).await,
            reply => reply,
        };
        reply.map_err(|error| error.during(self.source.name))
    }
}

/// Runs scripts in one pipeline. Those that the server does not know are sent again, with their text, in order.
pub async fn call_many(link: &dyn Link, calls: &[ScriptCall]) -> Vec<Result<Value>> {
    let commands: Vec<_> = calls.iter().map(ScriptCall::by_digest).collect();
    let mut replies = link.call_many(&commands).await;
    let unknown: Vec<usize> = replies
        .iter()
        .enumerate()
        .filter(|(_, reply)| reply.as_ref().is_err_and(is_unknown_script))
        .map(|(index, _)| index)
        .collect();
    if !unknown.is_empty() {
        let again: Vec<_> = unknown.iter().map(|&index| calls[index].by_text()).collect();
        for (index, reply) in unknown.into_iter().zip(link.call_many(&again).await) {
            replies[index] = reply;
        }
    }
    replies.into_iter().zip(calls).map(|(reply, call)| reply.map_err(|e| e.during(call.source.name))).collect()
}

/// Whether the server does not know the script of that digest.
pub(crate) fn is_unknown_script(error: &Error) -> bool {
    error.code() == ErrorCode::Reply && error.message().starts_with("NOSCRIPT")
}
