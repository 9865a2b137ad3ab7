use std::sync::Mutex;

use super::*;
use crate::{connection::Command, error::Detail};

const LIMIT: Duration = Duration::from_secs(5);

/// Remembers what it is told, as `token:outcome`.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl ReplySink for Told {
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        let outcome = match reply {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                let maybe = error.details().contains(&("maybeExecuted", Detail::Bool(true)));
                format!("{}{}", error.code().as_str().trim_start_matches("ERR_"), if maybe { " maybe" } else { "" })
            }
        };
        self.0.lock().unwrap().push(format!("{token}:{outcome}"));
    }
}

fn pending(commands: &[Command]) -> (Arc<Told>, Pending) {
    let told = Arc::<Told>::default();
    let mut batch = Batch::new(Arc::clone(&told) as _);
    for (token, command) in commands.iter().enumerate() {
        batch.push(command, token as u64);
    }
    (told, Pending::new(batch, Instant::now(), LIMIT))
}

fn heard(told: &Told) -> String {
    told.0.lock().unwrap().drain(..).collect::<Vec<_>>().join(", ")
}

fn plain(name: &str) -> Command {
    Command::new(name)
}

fn lost() -> Error {
    Error::new(ErrorCode::ConnectionLost, "gone")
}

fn rest(pending: &Pending) -> String {
    String::from_utf8_lossy(pending.unwritten()).split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect()
}

fn late(after: Duration) -> Error {
    timed_out(after, "")
}

fn break_now(batch: &mut Pending, how: AfterBreak) {
    let mut outbox = Outbox::default();
    batch.after_break(how, &lost(), &mut outbox);
    outbox.deliver();
}

fn expire(batch: &mut Pending, now: Instant) -> bool {
    let mut outbox = Outbox::default();
    let on_the_wire = batch.expire(now, &late, &mut outbox);
    outbox.deliver();
    on_the_wire
}

const RESEND: AfterBreak = AfterBreak { wait: true, resend: true, unrun: false };

#[test]
fn after_a_break_each_command_waits_or_is_told() {
    let (told, mut batch) = pending(&[plain("A"), plain("B").repeatable(), plain("C"), plain("D"), plain("E")]);
    let one = batch.bytes().len() / 5;
    // A is answered, B and C are on the wire, D is cut in the middle, E was not begun.
    batch.wrote(one * 3 + 4);
    assert!(batch.settle_next(Ok(Reply::Nil)));
    break_now(&mut batch, RESEND);
    assert_eq!(heard(&told), "0:ok, 2:CONNECTION_LOST maybe");
    assert_eq!(rest(&batch), "BDE");
    batch.wrote(one * 3);
    for _ in 0..3 {
        assert!(batch.settle_next(Ok(Reply::Nil)));
    }
    assert_eq!(heard(&told), "1:ok, 3:ok, 4:ok");
    assert!(batch.is_answered());
}

#[test]
fn without_an_offline_queue_a_break_is_told_to_all() {
    let (told, mut batch) = pending(&[plain("A").repeatable(), plain("B")]);
    batch.wrote(batch.bytes().len() / 2);
    break_now(&mut batch, AfterBreak { wait: false, resend: true, unrun: false });
    assert_eq!(heard(&told), "0:CONNECTION_LOST maybe, 1:CONNECTION_LOST");
    assert!(batch.is_answered());
}

#[test]
fn a_late_reply_keeps_its_place() {
    let (told, mut batch) = pending(&[plain("A").deadline(Duration::from_millis(1)), plain("B")]);
    batch.wrote(batch.bytes().len());
    assert!(expire(&mut batch, Instant::now() + Duration::from_secs(1)));
    assert!(batch.settle_next(Ok(Reply::Nil)) && batch.settle_next(Ok(Reply::Nil)));
    assert_eq!(heard(&told), "0:COMMAND_TIMED_OUT maybe, 1:ok");
}

#[test]
fn what_timed_out_before_it_was_begun_is_never_sent() {
    let short = Duration::from_millis(1);
    let (told, mut batch) = pending(&[plain("A"), plain("B").deadline(short), plain("C"), plain("D").deadline(short)]);
    batch.wrote(2);
    assert!(!expire(&mut batch, Instant::now() + Duration::from_secs(1)));
    assert_eq!(heard(&told), "1:COMMAND_TIMED_OUT, 3:COMMAND_TIMED_OUT");
    assert!(rest(&batch).ends_with("AC") && !batch.is_answered());
}

#[test]
fn a_reply_without_a_written_command_is_refused() {
    let (_, mut batch) = pending(&[plain("A")]);
    assert!(!batch.settle_next(Ok(Reply::Nil)));
    batch.wrote(3);
    assert!(!batch.settle_next(Ok(Reply::Nil)));
}

fn transaction() -> Vec<Command> {
    vec![plain("MULTI"), plain("INCR").arg("n").chained(), plain("EXEC").chained(), plain("PING").repeatable()]
}

#[test]
fn a_transaction_is_sent_whole_or_not_at_all() {
    // Nothing of it was written: it waits.
    let (told, mut batch) = pending(&transaction());
    break_now(&mut batch, RESEND);
    assert_eq!((heard(&told).as_str(), rest(&batch).as_str()), ("", "MULTIINCRnEXECPING"));

    // EXEC did not leave: nothing ran, and as nothing was answered all of it waits.
    let (told, mut batch) = pending(&transaction());
    batch.wrote(20);
    break_now(&mut batch, RESEND);
    assert_eq!((heard(&told).as_str(), rest(&batch).as_str()), ("", "MULTIINCRnEXECPING"));

    // MULTI was answered: the rest would mean something else on another connection.
    let (told, mut batch) = pending(&transaction());
    batch.wrote(20);
    assert!(batch.settle_next(Ok(Reply::Nil)));
    break_now(&mut batch, RESEND);
    assert_eq!(heard(&told), "0:ok, 1:CONNECTION_LOST, 2:CONNECTION_LOST");
    assert_eq!(rest(&batch), "PING");

    // All of it left: it may have run.
    let (told, mut batch) = pending(&transaction());
    batch.wrote(batch.bytes().len());
    break_now(&mut batch, RESEND);
    assert_eq!(heard(&told), "0:CONNECTION_LOST maybe, 1:CONNECTION_LOST maybe, 2:CONNECTION_LOST maybe");
    assert_eq!(rest(&batch), "PING");
}

#[test]
fn a_transaction_that_times_out_half_written_is_written_to_its_end() {
    let (told, mut batch) = pending(&transaction());
    batch.wrote(20);
    assert!(expire(&mut batch, Instant::now() + LIMIT));
    let timed_out = "0:COMMAND_TIMED_OUT maybe, 1:COMMAND_TIMED_OUT maybe, 2:COMMAND_TIMED_OUT maybe";
    assert_eq!(heard(&told), format!("{timed_out}, 3:COMMAND_TIMED_OUT"));
    assert!(rest(&batch).ends_with("EXEC"));
}

#[test]
fn a_transaction_is_not_torn_by_different_deadlines() {
    let short = Duration::from_millis(1);
    let (told, mut batch) = pending(&[plain("MULTI").deadline(short), plain("EXEC").chained()]);
    expire(&mut batch, Instant::now() + Duration::from_secs(1));
    assert_eq!(heard(&told), "0:COMMAND_TIMED_OUT maybe");
    assert_eq!(rest(&batch), "MULTIEXEC");
}
