use std::sync::atomic::AtomicU32;

use super::{super::command_link::NobodyWaits, *};
use crate::connection::Command;

fn batch(sink: &Arc<dyn ReplySink>, commands: usize) -> Batch {
    let mut batch = Batch::new(Arc::clone(sink));
    for token in 0..commands {
        batch.push(&Command::new("PING"), token as u64);
    }
    batch
}

/// Something to tell sinks apart by.
struct Named(#[expect(dead_code, reason = "without a field all of them would have one address")] u8);

impl ReplySink for Named {
    fn settle(&self, _token: u64, _reply: crate::Result<crate::codec::resp::Reply<'_>>) {}
}

fn sink() -> Arc<dyn ReplySink> {
    Arc::new(Named(0))
}

#[test]
fn reading_is_offered_after_some_small_batches_in_a_row() {
    let (mut reading, sink) = (Reading::default(), sink());
    let offers: Vec<_> = (0..6).map(|_| reading.submitted(&batch(&sink, 1), true).0 != 0).collect();
    assert_eq!(offers, [false, false, false, false, true, true]);
    // One that is large, or finds something in flight, and it begins again.
    for (commands, idle) in [(3, true), (1, false)] {
        assert_eq!(reading.submitted(&batch(&sink, commands), idle), (0, false));
        assert_eq!(reading.submitted(&batch(&sink, 1), true), (0, false));
        for _ in 0..5 {
            reading.submitted(&batch(&sink, 1), true);
        }
    }
}

#[test]
fn two_callers_by_turns_are_offered_nothing() {
    let (mut reading, one, other) = (Reading::default(), sink(), sink());
    for _ in 0..100 {
        assert_eq!(reading.submitted(&batch(&one, 1), true), (0, false));
        assert_eq!(reading.submitted(&batch(&other, 1), true), (0, false));
    }
}

#[cfg(unix)]
#[test]
fn what_is_lent_is_taken_back_and_not_lent_again_soon() {
    let (mut reading, one, other) = (Reading::default(), sink(), sink());
    let calm = |reading: &mut Reading| (0..200).take_while(|_| reading.submitted(&batch(&one, 1), true).0 == 0).count();
    calm(&mut reading);
    for disturb in [(&one, 3, true), (&one, 1, false), (&other, 1, true)] {
        let on = reading.lend(identity(&one)).unwrap();
        assert!(reading.is_lent() && reading.lend(identity(&one)).is_none(), "lent to one at a time");
        assert_eq!(reading.submitted(&batch(&one, 2), true), (0, false), "the borrower's own small batches");
        assert!(on.load(Ordering::Acquire));
        assert_eq!(reading.submitted(&batch(disturb.0, disturb.1), disturb.2), (0, true));
        assert!(!on.load(Ordering::Acquire) && !reading.is_lent());
        assert!(calm(&mut reading) > 50);
    }
    // A loan that is over gives nothing back.
    let old = Arc::new(AtomicBool::new(false));
    let on = reading.lend(identity(&one)).unwrap();
    assert!(!reading.give_back(&old) && reading.is_lent());
    assert!(reading.give_back(&on) && !reading.is_lent());
    assert!(!reading.give_back(&on));
}

#[cfg(unix)]
#[test]
fn the_task_that_finds_the_driver_taken_is_woken() {
    use std::{
        sync::Barrier,
        task::{Wake, Waker},
    };

    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let counter = Arc::new(Counter(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&counter));
    let inside = Arc::new(Barrier::new(2));
    let meet = Arc::clone(&inside);
    let mut polls = 0;
    let driven = Arc::new(Driven::new(std::future::poll_fn(move |_| {
        polls += 1;
        match polls {
            1 => Poll::Pending,
            2 => {
                // The borrower is at it: the task comes now, and goes.
                meet.wait();
                meet.wait();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    })));
    let cx = &mut Context::from_waker(&waker);
    assert!(!driven.poll_as_borrower(|| ()), "not before the task has polled");
    assert!(driven.poll_as_task(cx).is_pending());
    let borrower = {
        let driven = Arc::clone(&driven);
        std::thread::spawn(move || driven.poll_as_borrower(|| ()))
    };
    inside.wait();
    assert!(driven.poll_as_task(cx).is_pending());
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    inside.wait();
    assert!(borrower.join().unwrap());
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    assert!(driven.poll_as_task(cx).is_ready());
    assert!(driven.poll_as_task(cx).is_ready(), "an ended driver stays ended");
}

#[cfg(unix)]
#[test]
fn a_driver_that_panics_or_ends_under_a_borrower_ends_its_task() {
    for panics in [true, false] {
        let mut polls = 0;
        let driven = Driven::new(std::future::poll_fn(move |_| {
            polls += 1;
            assert!(polls < 2 || !panics, "a panic that this test wants");
            if polls < 2 { Poll::Pending } else { Poll::Ready(()) }
        }));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(driven.poll_as_task(cx).is_pending());
        assert!(driven.poll_as_borrower(|| ()));
        assert!(driven.poll_as_task(cx).is_ready());
    }
}

#[test]
fn sinks_are_told_apart() {
    let (one, other): (Arc<dyn ReplySink>, _) = (Arc::new(NobodyWaits), sink());
    assert_ne!(identity(&one), identity(&other));
}
