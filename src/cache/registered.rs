//! Writing entries so that the server goes on telling of their changes.
//!
//! The server forgets that we want to hear of a key when we write it ourselves. A write whose value is kept here is therefore
//! followed by a read of the key, in one transaction: nobody can write in between. (Reads by a script do not count: before
//! 7.2, Redis takes the keys that a script declares for those that it reads.)

use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
};

/// `writes` and then `reads` as one; the replies are for [`replies`].
pub(super) fn commands(writes: Vec<Command>, reads: Vec<Command>) -> Vec<Command> {
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
pub(super) fn replies(mut all: Vec<Result<Value>>) -> Result<Vec<Result<Value>>> {
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
