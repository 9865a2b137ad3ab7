//! Writing entries so that the server goes on telling of their changes.
//!
//! The server forgets that we want to hear of a key when we write it ourselves. A write whose value is kept here is therefore
//! followed by a read of the key, in one transaction: nobody can write in between. (Reads by a script do not count: before
//! 7.2, Redis takes the keys that a script declares for those that it reads.)

use super::{cache::Inner, remote_tier::RemoteTier};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
};

/// What the server answered to writes of entries.
pub(super) struct Written {
    /// One for each write.
    pub replies: Vec<Result<Value>>,
    /// Versions of the tags afterwards, where the server tells of their changes.
    pub versions: Option<Vec<Option<String>>>,
}

impl Inner {
    /// Sends commands that write the entries `stored`, which carry `tags`.
    pub(super) fn send_writes(
        &self,
        writes: Vec<Command>,
        stored: &[String],
        tags: &[String],
    ) -> impl Future<Output = Written> + Send + use<> {
        let (count, told, tagged) = (writes.len(), self.is_tracked(), !tags.is_empty());
        let sent = if told {
            let mut reads = vec![stored.iter().fold(Command::new("EXISTS"), Command::key)];
            reads.extend(tagged.then(|| RemoteTier::versions_command(&self.keys, tags)));
            self.remote.link().call_many(&commands(writes, reads))
        } else {
            self.remote.link().call_many(&writes)
        };
        async move {
            let all = sent.await;
            if !told {
                return Written { replies: all, versions: None };
            }
            match replies(all) {
                Ok(mut replies) => {
                    let versions = replies.pop().filter(|_| tagged);
                    let versions = versions.and_then(|reply| RemoteTier::versions(reply.ok()?).ok());
                    replies.truncate(count);
                    Written { replies, versions }
                }
                Err(error) => Written { replies: vec![Err(error); count], versions: None },
            }
        }
    }
}

/// `writes` and then `reads` as one; the replies are for [`replies`].
fn commands(writes: Vec<Command>, reads: Vec<Command>) -> Vec<Command> {
    let (flags, deadline) = (writes[0].flags, writes[0].deadline);
    let all = [Command::new("MULTI")].into_iter().chain(writes).chain(reads).chain([Command::new("EXEC")]);
    all.enumerate()
        .map(|(index, mut command)| {
            (command.flags, command.deadline) = (flags, deadline);
            if index > 0 { command.chained() } else { command }
        })
        .collect()
}

/// The replies of the writes and the reads.
///
/// # Errors
/// The first one that kept the transaction from running.
fn replies(mut all: Vec<Result<Value>>) -> Result<Vec<Result<Value>>> {
    let last = all.pop().unwrap_or_else(|| Err(Error::closed("connection")));
    match last {
        Ok(Value::Array(replies)) => {
            let result = |reply| if let Value::Error(error) = reply { Err(error) } else { Ok(reply) };
            Ok(replies.into_iter().map(result).collect())
        }
        Ok(_) => Err(Error::new(ErrorCode::UnexpectedReply, "EXEC was not answered with a list")),
        // What was wrong with a command says more than that the transaction was given up.
        Err(given_up) => Err(all.into_iter().find_map(Result::err).unwrap_or(given_up)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_is_told() {
        let queued = || Ok(Value::Simple("QUEUED".to_owned()));
        let fault = |text: &str| Err(Error::from_reply(text));
        let all = vec![queued(), fault("OOM no memory"), queued(), fault("EXECABORT because of errors")];
        assert_eq!(replies(all).unwrap_err().message(), Error::from_reply("OOM no memory").message());
        assert_eq!(replies(vec![fault("LOADING")]).unwrap_err().code(), ErrorCode::ServerLoading);
        let done = Value::Array(vec![Value::Nil, Value::Error(Error::from_reply("ERR x"))]);
        let replies = replies(vec![queued(), queued(), queued(), Ok(done)]).unwrap();
        assert_eq!(replies.len(), 2);
        assert!(replies[0].is_ok() && replies[1].is_err());
    }
}
