//! Every script of the queue and scheduler engines by itself: a keyspace before, one call, its reply and the keyspace
//! after, compared with a snapshot file. `OXCART_UPDATE_SNAPSHOT=1` writes these files anew, for review.
//!
//! The rows of a script must raise every error that its header names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, collections::BTreeSet, fmt::Write as _, path::Path, sync::Arc};

use oxcart::{
    codec::resp::Value,
    connection::{self, Command, Link},
    script::{ALL, ScriptInfo},
    testing::RedisServer,
};

/// One call. Words of a command are separated by blanks; `_` stands for a blank in a word.
struct Row {
    script: &'static str,
    case: &'static str,
    before: &'static [&'static str],
    args: &'static str,
    /// Keys that are not the usual ones of their name.
    keys: &'static [(&'static str, &'static str)],
}

const fn row(script: &'static str, case: &'static str, before: &'static [&'static str], args: &'static str) -> Row {
    Row { script, case, before, args, keys: &[] }
}

#[expect(clippy::needless_pass_by_value, reason = "a row is made from a row")]
const fn with_keys(row: Row, keys: &'static [(&'static str, &'static str)]) -> Row {
    let Row { script, case, before, args, .. } = row;
    Row { script, case, before, args, keys }
}

#[path = "scripts/beyond_rows.rs"]
mod beyond_rows;
#[path = "scripts/flow_rows.rs"]
mod flow_rows;

const JOB: &str = "HSET p:1 name n data {} opts {} timestamp 5 delay 0 priority 0";
const JOB2: &str = "HSET p:2 name m data {} opts {} timestamp 6 delay 0 priority 3";
const SCHEDULED: &str = "HSET p:repeat:s:900 name n data {} opts {} timestamp 5 delay 0 priority 0 rjk s";
const ACTIVE: &[&str] = &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SADD p:stalled 1"];
/// `queue/finish_jobs` without metrics and without taking further jobs: the profile that all outcomes have, and what is
/// each one's own.
macro_rules! finish {
    ($profile:literal, $($outcome:literal),+) => {
        concat!("1000 0 0 0 t2 30000 '' '' '' 1 ", $profile, " ''", $(" ", $outcome, " 1"),+)
    };
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    vec![
        row(
            "queue/add_jobs",
            "plain, last-in-first-out, prioritized, delayed",
            &[],
            "1000 4 a {} 0 0 0 '' 0 '' b {} 0 0 1 '' 0 '' c {} 0 7 0 '' 0 '' d {} 500 0 0 '' 0 '' '' {} 1000 1 '' {} 1000 2 '' {} 1000 3 '' {} 1000 4",
        ),
        row(
            "queue/add_jobs",
            "an own id that is there",
            &["HSET p:mine name old"],
            "1000 1 new {} 0 0 0 '' 0 '' mine {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "to a paused queue wakes nobody",
            &["HSET p:meta paused 1"],
            "1000 1 a {} 0 0 0 '' 0 '' '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "delayed jobs of one millisecond keep their order",
            &[],
            "1000 2 a {} 5 0 0 '' 0 '' b {} 5 0 0 '' 0 '' '' {} 1000 1 '' {} 1000 2",
        ),
        row(
            "queue/add_jobs",
            "two of one deduplication id",
            &[],
            "1000 2 a {} 0 0 0 d 0 '' b {} 0 0 0 d 0 '' '' {} 1000 1 '' {} 1000 2",
        ),
        row("queue/add_jobs", "a throttle opens a window", &[], "1000 1 a {} 0 0 0 d 5000 '' '' {} 1000 1"),
        row(
            "queue/add_jobs",
            "a hit extends the window",
            &["HSET p:old name old", "SET p:de:d old"],
            "1000 1 a {} 0 0 0 d 5000 e '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "a delayed owner is replaced",
            &["HSET p:old name old", "SET p:de:d old", "ZADD p:delayed 4096 old"],
            "1000 1 a {} 50 0 0 d 5000 er '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "a replacement keeps the rest of the window",
            &["HSET p:old name old", "SET p:de:d old PX 60000", "ZADD p:delayed 4096 old"],
            "1000 1 a {} 50 0 0 d 5000 r '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "a waiting owner is not replaced",
            &["HSET p:old name old", "SET p:de:d old", "LPUSH p:wait old"],
            "1000 1 a {} 50 0 0 d 5000 r '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "a delayed owner is rescheduled",
            &["HSET p:old name old", "SET p:de:d old", "ZADD p:delayed 4096 old"],
            "1000 1 a {} 50 0 0 d 0 s '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "the last one is kept for after an active owner",
            &["HSET p:old name old", "SET p:de:d old PX 60000", "LPUSH p:active old"],
            "1000 1 a {} 0 0 0 d 5000 k '' {} 1000 1",
        ),
        row(
            "queue/add_jobs",
            "a window whose owner vanished is taken over",
            &["SET p:de:d old"],
            "1000 1 a {} 0 0 0 d 0 '' '' {} 1000 1",
        ),
        row(
            "queue/fetch_jobs",
            "waiting before prioritized, as many as wanted",
            &[JOB, JOB2, "LPUSH p:wait 1", "ZADD p:prioritized 12884901889 2"],
            "1000 2 0 t 30000 w '' ''",
        ),
        row(
            "queue/fetch_jobs",
            "a job with further fields comes whole",
            &[JOB, "HSET p:1 ats 2 defa why", "LPUSH p:wait 1"],
            "1000 1 0 t 30000 '' 1 60000",
        ),
        row(
            "queue/fetch_jobs",
            "one for a slot and one ahead",
            &[JOB, JOB2, "LPUSH p:wait 2 1"],
            "1000 1 1 t 30000 '' '' ''",
        ),
        row(
            "queue/fetch_jobs",
            "none ahead where the whole queue has a bound",
            &[JOB, JOB2, "LPUSH p:wait 2 1", "HSET p:meta concurrency 9"],
            "1000 1 1 t 30000 '' '' ''",
        ),
        row("queue/fetch_jobs", "nothing there", &["SET p:pc 4"], "1000 1 0 t 30000 '' '' ''"),
        row(
            "queue/fetch_jobs",
            "a due job is promoted, a later one told of",
            &[JOB, JOB2, "ZADD p:delayed 4096000 1 8192000 2"],
            "1000 2 0 t 30000 '' '' ''",
        ),
        row(
            "queue/fetch_jobs",
            "paused",
            &[JOB, "LPUSH p:wait 1", "HSET p:meta paused 1"],
            "1000 1 0 t 30000 '' '' ''",
        ),
        row(
            "queue/fetch_jobs",
            "global concurrency reached",
            &[JOB, "LPUSH p:wait 1", "LPUSH p:active 7", "HSET p:meta concurrency 1"],
            "1000 5 0 t 30000 '' '' ''",
        ),
        row(
            "queue/fetch_jobs",
            "the limiter lets one of two",
            &[JOB, JOB2, "LPUSH p:wait 2 1"],
            "1000 2 0 t 30000 '' 1 60000",
        ),
        row(
            "queue/fetch_jobs",
            "ids without a job are dropped",
            &[JOB, "SET p:text x", "RPUSH p:wait 1 text gone", "ZADD p:delayed 1 text"],
            "1000 1 0 t 30000 '' '' ''",
        ),
        row(
            "queue/finish_jobs",
            "completed and kept",
            ACTIVE,
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "completed and removed",
            ACTIVE,
            finish!("t completed '' 1 0 0 0 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "completed, two others over the count go",
            &[
                JOB,
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "ZADD p:completed 1 a 2 b",
                "HSET p:a name a",
                "HSET p:b name b",
            ],
            finish!("t completed '' 1 0 0 1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "completed, one over age goes",
            &[
                JOB,
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "ZADD p:completed -5000 a 999 b",
                "HSET p:a name a",
                "HSET p:b name b",
            ],
            finish!("t completed '' 1 0 0 -1 2 1000 ''", "1 900 7"),
        ),
        row("queue/finish_jobs", "failed for good", ACTIVE, finish!("t failed [] 3 0 0 -1 '' 1000 ''", "1 900 why")),
        row("queue/finish_jobs", "retried now", ACTIVE, finish!("t retry [] 1 1000 0 -1 '' 1000 ''", "1 900 why")),
        row("queue/finish_jobs", "retried later", ACTIVE, finish!("t later [] 1 1500 0 -1 '' 1000 ''", "1 900 why")),
        row(
            "queue/finish_jobs",
            "moved to delayed",
            ACTIVE,
            finish!("t delayed '' 1 1500 0 -1 '' 1000 ''", "1 900 ''"),
        ),
        row(
            "queue/finish_jobs",
            "moved to the front",
            &[JOB, JOB2, "LPUSH p:wait 2", "LPUSH p:active 1", "SET p:1:lock t"],
            finish!("t wait '' 1 0 0 -1 '' 1000 ''", "1 900 ''"),
        ),
        row(
            "queue/finish_jobs",
            "given back in order, without having begun",
            &[
                JOB,
                JOB2,
                "HSET p:1 ats 1",
                "HSET p:2 ats 3 priority 0",
                "LPUSH p:wait 3",
                "LPUSH p:active 1 2",
                "SET p:1:lock t",
                "SET p:2:lock t",
            ],
            finish!("t release '' 0 0 0 -1 '' 1000 ''", "2 900 ''", "1 900 ''"),
        ),
        row(
            "queue/finish_jobs",
            "waits for its children",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SADD p:1:dependencies o:q:5"],
            finish!("t children '' 1 0 0 -1 '' 1000 ''", "1 900 ''"),
        ),
        row(
            "queue/finish_jobs",
            "has no children to wait for",
            ACTIVE,
            finish!("t children '' 1 0 0 -1 '' 1000 ''", "1 900 ''"),
        ),
        row(
            "queue/finish_jobs",
            "finishes one and takes the next",
            &[JOB, JOB2, "LPUSH p:active 1", "SET p:1:lock t", "LPUSH p:wait 2"],
            "1000 0 1 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' '' 1 900 7 1",
        ),
        row(
            "queue/finish_jobs",
            "one of two refused",
            &[JOB, JOB2, "LPUSH p:active 1 2", "SET p:1:lock t", "SET p:2:lock other"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7", "2 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "many leave, one of them from far ahead, and the others keep their places",
            &[
                "HSET p:1 name n",
                "HSET p:2 name n",
                "HSET p:3 name n",
                "HSET p:4 name n",
                "MSET p:1:lock t p:2:lock t p:3:lock t p:4:lock t",
                "RPUSH p:active 4 a b c d e f g 3 h 2 i 1 j",
            ],
            finish!("t completed '' 1 0 0 0 '' 1000 ''", "1 900 7", "2 900 7", "3 900 7", "4 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "the same outcome twice",
            ACTIVE,
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "plain ones are completed, and one that has got a parent meanwhile",
            &[
                JOB,
                "HSET p:1 processedOn 900 ats 1",
                "HSET p:3 name n data {} opts {} timestamp 5 delay 0 priority 0 processedOn 900 ats 1",
                r#"HSET p:3 parentKey o:q:9 parent {"id":"9","queueKey":"o:q"}"#,
                "SADD o:q:9:dependencies p:3",
                "LPUSH p:active 1 3",
                "MSET p:1:lock t p:3:lock t",
            ],
            "1000 0 0 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' 1 1 900 7 1 3 900 8 1",
        ),
        row(
            "queue/finish_jobs",
            "a plain one of a worker with a name has a field more",
            &[JOB, "HSET p:1 processedOn 900 ats 1 pb w", "LPUSH p:active 1", "SET p:1:lock t"],
            "1000 0 0 0 t2 30000 w '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' 1 1 900 7 1",
        ),
        row(
            "queue/finish_jobs",
            "a plain one has got a child meanwhile",
            &[
                JOB,
                "HSET p:1 processedOn 900 ats 1",
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "SADD p:1:dependencies o:q:5",
            ],
            "1000 0 0 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' 1 1 900 7 1",
        ),
        row(
            "queue/finish_jobs",
            "a child of a plain one has failed meanwhile",
            &[
                JOB,
                "HSET p:1 processedOn 900 ats 1 defa why",
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "ZADD p:1:unsuccessful 1 o:q:5",
            ],
            "1000 0 0 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' 1 1 900 7 1",
        ),
        row(
            "queue/finish_jobs",
            "plain ones that are retried, removed, not active, locked by another, gone",
            &[
                JOB,
                "HSET p:1 processedOn 900 ats 1",
                "HSET p:3 name n data {} opts {} timestamp 5 delay 0 priority 0 processedOn 900 ats 1",
                "HSET p:4 name n data {} opts {} timestamp 5 delay 0 priority 0 processedOn 900 ats 1",
                "HSET p:5 name n data {} opts {} timestamp 5 delay 0 priority 0 processedOn 900 ats 1",
                "LPUSH p:active 1 3 5 6",
                "MSET p:1:lock t p:3:lock t p:4:lock t p:5:lock other p:6:lock t",
            ],
            "1000 0 0 0 t2 30000 '' '' '' 3 t retry [] 1 0 0 -1 '' 1000 '' 1 t completed '' 1 0 0 0 '' 1000 '' 1 t completed '' 1 0 0 -1 '' 1000 '' 1 1 900 why 1 3 900 7 2 4 900 7 3 5 900 7 3 6 900 7 3",
        ),
        row("queue/finish_jobs", "no such job", &[], finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7")),
        row(
            "queue/finish_jobs",
            "no lock",
            &[JOB, "LPUSH p:active 1"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "not active",
            &[JOB, "SET p:1:lock t"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "one has a key of a wrong type",
            &[JOB, JOB2, "LPUSH p:active 1 2", "SET p:1:lock t", "SET p:2:lock t", "SET p:1:dependencies x"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7", "2 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "children are unfinished",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SADD p:1:dependencies o:q:5"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "children have failed",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "ZADD p:1:unsuccessful 1 o:q:5"],
            finish!("t completed '' 1 0 0 -1 '' 1000 ''", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "lets go of its deduplication",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SET p:de:d 1"],
            finish!("t completed '' 1 0 0 0 '' 1000 d", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "a throttle outlives its job",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SET p:de:d 1 PX 60000"],
            finish!("t completed '' 1 0 0 0 '' 1000 d", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "the job kept for it begins",
            &[
                JOB,
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "SET p:de:d 1",
                r#"HSET p:dn:d name n data {} opts {"priority":2} jid 8"#,
            ],
            finish!("t completed '' 1 0 0 0 '' 1000 d", "1 900 7"),
        ),
        row(
            "queue/finish_jobs",
            "is counted",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "HSET p:metrics:completed count 4 prevTS 1000 prevCount 1"],
            "181000 10 0 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 0 '' 1000 '' '' 1 900 7 1",
        ),
        row(
            "queue/recover_jobs",
            "one of ours, one of others",
            &[JOB, JOB2, "LPUSH p:active 1 2", "SET p:1:lock t", "SET p:2:lock other"],
            "t",
        ),
        row(
            "queue/extend_locks",
            "one held, one lost, one foreign",
            &["SET p:1:lock t", "SET p:3:lock other", "SADD p:stalled 1 2"],
            "30000 1 t 2 t 3 t",
        ),
        row(
            "queue/move_stalled_jobs_to_wait",
            "one without a lock, one with",
            &[JOB, JOB2, "LPUSH p:active 1 2", "SET p:2:lock t", "SADD p:stalled 1 2"],
            "30000 1 '' 100",
        ),
        row(
            "queue/move_stalled_jobs_to_wait",
            "too often",
            &[JOB, "HSET p:1 stc 1", "LPUSH p:active 1", "SADD p:stalled 1"],
            "30000 1 '' 100",
        ),
        row(
            "queue/move_stalled_jobs_to_wait",
            "another worker has looked",
            &["SET p:stalled-check 1", JOB, "LPUSH p:active 1", "SADD p:stalled 1"],
            "30000 1 '' 100",
        ),
        row("queue/move_stalled_jobs_to_wait", "more than a slice", &["LPUSH p:active 1 2 3"], "30000 1 '' 2"),
        row("queue/move_stalled_jobs_to_wait", "goes on with the rest", &["LPUSH p:active 1 2 3"], "30000 1 note2 2"),
        row("queue/announce_worker", "once more", &["SADD p:oxcart:workers w"], "w {} 30000"),
        row(
            "queue/get_workers",
            "one is there, one has fallen silent",
            &["SADD p:oxcart:workers v w", "SET p:oxcart:workers:w {}"],
            "",
        ),
        row("queue/update_progress", "stored and told", &[JOB], "1 50"),
        row("queue/update_progress", "no such job", &[], "1 50"),
        row("queue/update_data", "replaced", &[JOB], "1 [7]"),
        row("queue/update_data", "no such job", &[], "1 [7]"),
        row("queue/add_log", "a row", &[JOB], "1 line ''"),
        row("queue/add_log", "only the last stay", &[JOB, "RPUSH p:1:logs a b"], "1 c 2"),
        row("queue/add_log", "no such job", &[], "1 line ''"),
        row(
            "queue/add_jobs",
            "while a version before 6 has paused the queue",
            &["HSET p:meta paused 1", "LPUSH p:paused 1"],
            "1000 '' a {} {} 1000 0 0 0 '' 0 ''",
        ),
        row(
            "queue/remove_orphaned_jobs",
            "only jobs in no state go",
            &[JOB, JOB2, "RPUSH p:2:logs x", "LPUSH p:wait 1", "RPUSH p:3:logs x", "HSET p:meta version bullmq"],
            "1 2 3 meta wait",
        ),
        row("queue/pause", "once", &["ZADD p:marker 0 0"], ""),
        row("queue/pause", "twice", &["HSET p:meta paused 1"], ""),
        row("queue/resume", "with work", &["HSET p:meta paused 1", "LPUSH p:wait 1"], ""),
        row(
            "queue/resume",
            "what version 5 set aside",
            &["HSET p:meta paused 1", "LPUSH p:wait new", "LPUSH p:paused a b"],
            "",
        ),
        row("queue/get_state", "completed", &["ZADD p:completed 1 1"], "1"),
        row("queue/get_state", "waiting", &["LPUSH p:wait 1"], "1"),
        row("queue/get_state", "nowhere", &[], "1"),
        row("queue/get_counts", "of each state", &["LPUSH p:wait 1 2", "ZADD p:failed 1 3"], ""),
        row(
            "queue/retry_job",
            "failed",
            &[JOB, "HSET p:1 atm 3 ats 3 failedReason x finishedOn 9 processedOn 8", "ZADD p:failed 9 1"],
            "1 failed ms",
        ),
        row("queue/retry_job", "not failed", &[JOB, "LPUSH p:wait 1"], "1 failed ''"),
        row("queue/retry_job", "no such job", &[], "1 failed ''"),
        row(
            "queue/promote_job",
            "delayed with a priority",
            &[JOB, "HSET p:1 priority 4 delay 50", "ZADD p:delayed 4096 1"],
            "1",
        ),
        row("queue/promote_job", "not delayed", &[JOB], "1"),
        row("queue/promote_job", "no such job", &[], "1"),
        row("queue/change_delay", "later", &[JOB, "ZADD p:delayed 4096 1"], "1 500 1500"),
        row("queue/change_delay", "not delayed", &[JOB], "1 500 1500"),
        row("queue/change_delay", "no such job", &[], "1 500 1500"),
        row("queue/change_priority", "of a waiting job", &[JOB, "LPUSH p:wait 1"], "1 5 0"),
        row(
            "queue/change_priority",
            "to none, in front",
            &[JOB2, "HSET p:1 name n priority 3", "ZADD p:prioritized 12884901889 1", "LPUSH p:wait 2"],
            "1 0 1",
        ),
        row("queue/change_priority", "no such job", &[], "1 5 0"),
        row(
            "queue/drain_jobs",
            "all but a scheduler's",
            &[JOB, JOB2, SCHEDULED, "RPUSH p:wait 1 repeat:s:900", "ZADD p:prioritized 5 2", "ZADD p:repeat 900 s"],
            "1000 0 100 0 0",
        ),
        row(
            "queue/drain_jobs",
            "delayed too",
            &[JOB, SCHEDULED, "ZADD p:delayed 1 1 2 repeat:s:900", "ZADD p:repeat 900 s"],
            "1000 1 100 0 0",
        ),
        row(
            "queue/drain_jobs",
            "a slice, behind one that stays",
            &[JOB, JOB2, SCHEDULED, "RPUSH p:wait 1 2 repeat:s:900", "ZADD p:repeat 900 s"],
            "1000 0 1 1 0",
        ),
        with_keys(
            row(
                "queue/clean_jobs",
                "old failed ones, up to a limit",
                &[JOB, JOB2, "ZADD p:failed 5 1 6 2 999 3"],
                "failed 900 1 0 100 1000 0",
            ),
            &[("set", "p:failed")],
        ),
        with_keys(
            row(
                "queue/clean_jobs",
                "old waiting ones",
                &[JOB, JOB2, "HSET p:3 name new timestamp 999", "RPUSH p:wait 3 2 1"],
                "wait 900 100 0 100 1000 0",
            ),
            &[("set", "p:wait")],
        ),
        with_keys(
            row(
                "queue/clean_jobs",
                "active ones that nobody holds",
                &[
                    JOB,
                    JOB2,
                    "HSET p:2 processedOn 7",
                    "HSET p:1 processedOn 7",
                    "LPUSH p:active 1 2",
                    "SET p:2:lock t",
                ],
                "active 900 100 0 100 1000 0",
            ),
            &[("set", "p:active")],
        ),
        with_keys(
            row(
                "queue/clean_jobs",
                "a slice in which one stays",
                &[JOB, JOB2, "HSET p:2 timestamp 999", "ZADD p:delayed 1 2 2 1 3 4"],
                "delayed 900 100 0 2 1000 0",
            ),
            &[("set", "p:delayed")],
        ),
        row("queue/obliterate", "a slice of jobs", &["HSET p:meta paused 1", JOB, "LPUSH p:wait 1"], "0 100 1000"),
        row("queue/obliterate", "the rest", &["HSET p:meta paused 1", "SET p:id 4"], "0 100 1000"),
        row("queue/obliterate", "active jobs", &["HSET p:meta paused 1", "LPUSH p:active 1"], "0 100 1000"),
        row("queue/obliterate", "not paused", &["LPUSH p:wait 1"], "1 100 1000"),
        row("scheduler/upsert_scheduler", "new", &[], "s '' 1500 1000 n {} {} 0 0 1500 '' every 500 name n"),
        row(
            "scheduler/upsert_scheduler",
            "changed: the pending job goes",
            &[
                SCHEDULED,
                "ZADD p:delayed 3686400 repeat:s:900",
                "ZADD p:repeat 900 s",
                "HSET p:repeat:s ic 7 every 100",
            ],
            "s 900 1500 1000 n {} {} 0 0 1500 '' every 500",
        ),
        row(
            "scheduler/upsert_scheduler",
            "somebody else was faster",
            &["ZADD p:repeat 900 s"],
            "s '' 1500 1000 n {} {} 0 0 1500 '' every 500",
        ),
        row(
            "scheduler/upsert_scheduler",
            "its job is with a worker",
            &[SCHEDULED, "LPUSH p:active repeat:s:900", "ZADD p:repeat 900 s"],
            "s 900 900 1000 n {} {} 0 0 900 '' every 500",
        ),
        row(
            "scheduler/advance_scheduler",
            "the current job was taken",
            &[SCHEDULED, "ZADD p:repeat 900 s", "HSET p:repeat:s ic 1"],
            "s repeat:s:900 1500 1000 n {} {} 2 0 1500 ''",
        ),
        row(
            "scheduler/advance_scheduler",
            "somebody else was faster",
            &["ZADD p:repeat 1500 s", "HSET p:repeat:s ic 2"],
            "s repeat:s:900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/advance_scheduler",
            "the next job is there",
            &["ZADD p:repeat 900 s", "HSET p:repeat:s:1500 name n"],
            "s repeat:s:900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/advance_scheduler",
            "the next job has finished already",
            &["ZADD p:repeat 900 s", "HSET p:repeat:s:1500 finishedOn 7"],
            "s repeat:s:900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/upsert_scheduler",
            "what runs have left stays; the job comes after its time",
            &["ZADD p:repeat 900 s", "HSET p:repeat:s ic 7 lastRun {} skippedRuns 2"],
            "s 900 1500 1000 n {} {} 0 0 1520 '' every 500",
        ),
        row("scheduler/record_run", "the first one", &["HSET p:repeat:s ic 1"], r#"5 {"scheduledFor":5}"#),
        row(
            "scheduler/record_run",
            "a later one has left its own",
            &[r#"HSET p:repeat:s ic 1 lastRun {"scheduledFor":6}"#],
            r#"5 {"scheduledFor":5}"#,
        ),
        row("scheduler/record_run", "of a scheduler that is gone", &[], r#"5 {"scheduledFor":5}"#),
        row(
            "scheduler/drop_missed_run",
            "held",
            &["HSET p:repeat:s ic 1", JOB, "LPUSH p:active 1", "SET p:1:lock t", "SADD p:stalled 1"],
            "1 t",
        ),
        row("scheduler/drop_missed_run", "held by another", &[JOB, "LPUSH p:active 1", "SET p:1:lock other"], "1 t"),
        row(
            "scheduler/repair_scheduler",
            "its job is gone",
            &["ZADD p:repeat 900 s", "HSET p:repeat:s ic 3"],
            "s 900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "its job is gone before its time",
            &["ZADD p:repeat 1500 s", "HSET p:repeat:s ic 3"],
            "s 1500 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "its job has finished",
            &[
                SCHEDULED,
                "HSET p:repeat:s:900 finishedOn 950",
                "ZADD p:repeat 900 s",
                "ZADD p:completed 950 repeat:s:900",
            ],
            "s 900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "its job is in no list",
            &[SCHEDULED, "ZADD p:repeat 900 s"],
            "s 900 '' 1000 n {} {} 0 0 900 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "its job waits",
            &[SCHEDULED, "ZADD p:repeat 900 s", "LPUSH p:wait repeat:s:900"],
            "s 900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "no run follows",
            &["ZADD p:repeat 900 s"],
            "s 900 '' 1000 n {} {} 0 0 900 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "the run that follows has finished",
            &["ZADD p:repeat 900 s", "HSET p:repeat:s:1500 finishedOn 7"],
            "s 900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/repair_scheduler",
            "somebody else was faster",
            &["ZADD p:repeat 1500 s"],
            "s 900 1500 1000 n {} {} 0 0 1500 ''",
        ),
        row(
            "scheduler/advance_scheduler",
            "its jobs belong to a group",
            &[SCHEDULED, "ZADD p:repeat 900 s", "HSET p:repeat:s ic 1"],
            "s repeat:s:900 1000 1000 n {} {} 2 0 1000 g",
        ),
        row(
            "scheduler/repair_scheduler",
            "its job waits in a group",
            &[SCHEDULED, "HSET p:repeat:s:900 gid g", "ZADD p:repeat 900 s", "ZADD p:groups::jobs:g 5 repeat:s:900"],
            "s 900 1500 1000 n {} {} 0 0 1500 g",
        ),
        row(
            "queue/fetch_jobs",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "1000 5 0 t2 30000 w '' ''",
        ),
        row(
            "queue/pause",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "",
        ),
        row(
            "queue/retry_job",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "1 failed ''",
        ),
        row(
            "queue/promote_job",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "1",
        ),
        row(
            "queue/move_stalled_jobs_to_wait",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "30000 1 '' 100",
        ),
        row(
            "queue/change_priority",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "1 0 0",
        ),
        row(
            "scheduler/upsert_scheduler",
            "of a queue that an old version has paused",
            &[JOB, "HSET p:meta paused 1", "LPUSH p:paused 2", "ZADD p:delayed 1 1", "ZADD p:failed 1 1"],
            "s '' 1500 1000 n {} {} 0 0 1500 '' every 500 name n",
        ),
        row(
            "scheduler/remove_scheduler",
            "its pending job waits in a group",
            &[
                SCHEDULED,
                "HSET p:repeat:s:900 gid g",
                "ZADD p:groups::jobs:g 5 repeat:s:900",
                "ZADD p:groups:sizes 1 g",
                "ZADD p:groups 1 g",
                "ZADD p:repeat 900 s",
                "HSET p:repeat:s ic 7",
            ],
            "s",
        ),
        row(
            "scheduler/drop_missed_run",
            "of a group",
            &[
                "HSET p:repeat:s ic 1",
                JOB,
                "HSET p:1 gid g",
                "LPUSH p:active 1",
                "SET p:1:lock t",
                "HSET p:groups:running 1 g",
                "HSET p:groups:active g 1",
            ],
            "1 t",
        ),
        row(
            "scheduler/remove_scheduler",
            "with its pending job",
            &[SCHEDULED, "ZADD p:delayed 1 repeat:s:900", "ZADD p:repeat 900 s", "HSET p:repeat:s ic 7"],
            "s",
        ),
        row("scheduler/remove_scheduler", "not there", &[], "s"),
    ]
}

/// The key that a name stands for.
fn key(row: &Row, name: &str) -> String {
    if let Some((_, key)) = row.keys.iter().find(|(other, _)| *other == name) {
        return (*key).to_owned();
    }
    match name {
        "prefix" => "p:".to_owned(),
        "letters" | "target" => "d:".to_owned(),
        "counter" => "p:id".to_owned(),
        "job" => "p:1".to_owned(),
        "workers" => "p:oxcart:workers".to_owned(),
        "worker" => "p:oxcart:workers:w".to_owned(),
        "logs" => "p:1:logs".to_owned(),
        "finished_set" => "p:failed".to_owned(),
        "repeat_set" => "p:repeat".to_owned(),
        "scheduler" => "p:repeat:s".to_owned(),
        "metrics_completed" | "metrics_failed" => format!("p:{}", name.replace('_', ":")),
        other => format!("p:{}", other.replace('_', "-")),
    }
}

fn words(line: &str) -> Vec<String> {
    let word = |word: &str| if word == "''" { String::new() } else { word.replace('_', " ") };
    line.split_whitespace().map(word).collect()
}

fn show(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Error(error) => format!("!{}", error.message()),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        other => other.clone().into_text().unwrap_or_else(|_| format!("{other:?}")),
    }
}

async fn ask(link: &Arc<dyn Link>, words: &[&str]) -> Value {
    link.call(Command::default().args(words)).await.unwrap()
}

/// Members with their scores one after the other, also where RESP3 nests them.
async fn texts(link: &Arc<dyn Link>, words: &[&str]) -> Vec<String> {
    let items = ask(link, words).await.into_items().unwrap();
    let flat = |item: Value| match item {
        Value::Array(items) => items,
        other => vec![other],
    };
    items.into_iter().flat_map(flat).map(|item| show(&item)).collect()
}

/// Every key with its value, in order; `~` marks one that expires.
async fn keyspace(link: &Arc<dyn Link>) -> String {
    let mut keys = texts(link, &["KEYS", "*"]).await;
    keys.sort();
    let mut out = String::new();
    for key in keys {
        let kind = ask(link, &["TYPE", &key]).await.into_text().unwrap();
        let expires = if ask(link, &["PTTL", &key]).await.into_int().unwrap() > 0 { "~" } else { "" };
        let value = match kind.as_str() {
            "list" => texts(link, &["LRANGE", &key, "0", "-1"]).await.join(" "),
            "zset" => texts(link, &["ZRANGE", &key, "0", "-1", "WITHSCORES"])
                .await
                .chunks(2)
                .map(|pair| format!("{}={}", pair[0], pair[1]))
                .collect::<Vec<_>>()
                .join(" "),
            "hash" => {
                let fields = texts(link, &["HGETALL", &key]).await;
                let fields: BTreeMap<_, _> = fields.chunks(2).map(|pair| (&pair[0], &pair[1])).collect();
                fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
            "set" => {
                let mut members = texts(link, &["SMEMBERS", &key]).await;
                members.sort();
                members.join(" ")
            }
            "stream" => {
                let entries = ask(link, &["XRANGE", &key, "-", "+"]).await.into_items().unwrap();
                let entry = |entry: Value| show(&entry.into_items().unwrap()[1]);
                entries.into_iter().map(entry).collect::<Vec<_>>().join(" ")
            }
            _ => ask(link, &["GET", &key]).await.into_text().unwrap(),
        };
        let _ = writeln!(out, "  {key}{expires}: {value}");
    }
    out
}

async fn call(link: &Arc<dyn Link>, info: &ScriptInfo, row: &Row) -> String {
    let keys: Vec<_> = info.keys.iter().map(|name| key(row, name)).collect();
    let args = words(row.args);
    assert!(args.len() >= info.args.len(), "{}, {}: {} arguments", row.script, row.case, args.len());
    let command = Command::new("EVAL").arg(info.text).arg(keys.len().to_string()).args(&keys).args(&args);
    match link.call(command).await {
        Ok(value) => show(&value),
        Err(error) => format!("!{}", error.message()),
    }
}

/// What each row gave, raised errors noted.
async fn run_rows(link: &Arc<dyn Link>, rows: &[Row], raised: &mut BTreeSet<(&'static str, String)>) -> String {
    let mut got = String::new();
    for row in rows {
        let info =
            ALL.iter().find(|info| info.name == row.script).unwrap_or_else(|| panic!("no script {}", row.script));
        ask(link, &["FLUSHALL"]).await;
        for command in row.before {
            let words = words(command);
            ask(link, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
        let reply = call(link, info, row).await;
        for error in info.errors.iter().filter(|error| reply.contains(&format!("!{error} "))) {
            raised.insert((row.script, (*error).to_owned()));
        }
        assert!(!reply.contains("!ERR"), "{}, {}: {reply}", row.script, row.case);
        let _ = write!(got, "# {}: {}\n> {reply}\n{}\n", row.script, row.case, keyspace(link).await);
    }
    got
}

fn compare(got: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("OXCART_UPDATE_SNAPSHOT").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (got, expected) in got.split("# ").zip(expected.split("# ")) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.len(), expected.len(), "rows of {file} were added or removed");
}

#[tokio::test]
async fn every_script_does_what_its_snapshot_says() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let mut raised: BTreeSet<(&str, String)> = BTreeSet::new();
    let rows = [
        (rows(), "tests/scripts.snapshot"),
        (beyond_rows::rows(), "tests/scripts/beyond_rows.snapshot"),
        (flow_rows::rows(), "tests/scripts/flow_rows.snapshot"),
    ];
    for (rows, file) in &rows {
        let got = run_rows(&link, rows, &mut raised).await;
        compare(&got, file);
    }
    let rows: Vec<&Row> = rows.iter().flat_map(|(rows, _)| rows).collect();
    // The cache's scripts are tested with the cache.
    for info in ALL.iter().filter(|info| info.name.starts_with("queue/") || info.name.starts_with("scheduler/")) {
        assert!(rows.iter().any(|row| row.script == info.name), "no row for {}", info.name);
        for error in info.errors {
            assert!(raised.contains(&(info.name, (*error).to_owned())), "no row of {} raises {error}", info.name);
        }
    }
}
