//! Rows about what BullMQ lacks: dead letters.

use super::{JOB, JOB2, Row, row};

const CHILD: &str = "HSET p:1 name n data {} opts {} timestamp 5 delay 0 priority 0 parentKey o:q:9";
const PARENT: &str = "HSET o:q:9 name parent data {} opts {} timestamp 5 delay 0 priority 0";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "queue/bury_jobs",
            "an active job",
            &[JOB, "HSET p:1 deid d", "SET p:de:d 1", "LPUSH p:active 1", "SET p:1:lock t", "SADD p:stalled 1"],
            "1000 q 0 10 1 t 2026-01-01T00:00:00.000Z why [] 3 d failed",
        ),
        row(
            "queue/bury_jobs",
            "one that stands among the failed",
            &[JOB, "ZADD p:failed 9 1", "HSET p:1 failedReason why finishedOn 9"],
            "1000 q 0 10 1 '' 2026-01-01T00:00:00.000Z why '' 3 '' failed",
        ),
        row(
            "queue/bury_jobs",
            "the oldest letter goes when there are too many",
            &[JOB, "LPUSH p:active 1", "SET p:1:lock t", "SET d:id 4", "LPUSH d:wait 4", "HSET d:4 name failed-job"],
            "1000 q 0 1 1 t 2026-01-01T00:00:00.000Z why [] 3 '' failed",
        ),
        row(
            "queue/bury_jobs",
            "a child tells its parent",
            &[
                CHILD,
                r#"HSET p:1 parent {"id":"9","queueKey":"o:q","fpof":true}"#,
                "LPUSH p:active 1",
                "SET p:1:lock t",
                PARENT,
                "ZADD o:q:waiting-children 1 9",
                "SADD o:q:9:dependencies p:1",
            ],
            "1000 q 0 10 1 t 2026-01-01T00:00:00.000Z why [] 3 '' failed",
        ),
        row(
            "queue/bury_jobs",
            "others have them, or nobody",
            &[
                JOB,
                JOB2,
                "HSET p:4 timestamp 5",
                "HSET p:5 timestamp 5",
                "LPUSH p:active 1 2",
                "SET p:1:lock other",
                "SET p:5:lock t",
            ],
            "1000 q 0 10 1 t x why [] 3 '' failed 2 t x why [] 3 '' failed 3 t x why [] 3 '' failed 4 '' x why [] 3 '' failed 5 t x why [] 3 '' failed",
        ),
        row(
            "queue/redrive_jobs",
            "one of two, with its priority",
            &[
                r#"HSET p:7 name failed-job data {} timestamp 5 dl {"queue":"q","id":"1","name":"n","opts":"{}","priority":"3"}"#,
                "HSET p:8 name failed-job",
                "RPUSH p:wait 8 7",
            ],
            r#"1000 0 100 7 {"a":1}"#,
        ),
        row(
            "queue/redrive_jobs",
            "a child is missed again",
            &[
                r#"HSET p:7 name failed-job dl {"queue":"q","id":"1","name":"n","opts":"{}","priority":"0","parentKey":"o:q:9","parent":"{}"}"#,
                "RPUSH p:wait 7",
                PARENT,
                "ZADD o:q:9:unsuccessful 1 d:1",
            ],
            r#"1000 0 100 7 {"a":1}"#,
        ),
        row(
            "queue/redrive_jobs",
            "one whose id is used again, one that is no letter, one that was taken",
            &[
                r#"HSET p:7 name failed-job dl {"queue":"q","id":"1","name":"n","opts":"{}","priority":"0"}"#,
                r#"HSET p:9 name failed-job dl {"queue":"q","id":"2","name":"n","opts":"{}","priority":"0"}"#,
                "HSET p:8 name m",
                "RPUSH p:wait 8 7",
                "HSET d:1 name n",
            ],
            "1000 0 100 7 {} 8 {} 9 {}",
        ),
    ]
}
