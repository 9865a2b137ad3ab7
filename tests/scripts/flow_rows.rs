//! Rows about parents and children.

use super::{JOB, JOB2, Row, row, with_keys};

/// A child `p:1` of the parent `o:q:9`, which is in another queue.
const CHILD: &str = r#"HSET p:1 name n data {} opts {} timestamp 5 delay 0 priority 0 parentKey o:q:9 parent {"id":"9","queueKey":"o:q"}"#;
const KEY_ONLY: &str = "HSET p:1 name n data {} opts {} timestamp 5 delay 0 priority 0 parentKey o:q:9";
const PARENT: &str = "HSET o:q:9 name parent data {} opts {} timestamp 5 delay 0 priority 0";
const WAITS: &str = "ZADD o:q:waiting-children 1 9";
const FOR_IT: &str = "SADD o:q:9:dependencies p:1";
const FAILS: &str = r#"HSET p:1 parent {"id":"9","queueKey":"o:q","fpof":true}"#;
const CONTINUES: &str = r#"HSET p:1 parent {"id":"9","queueKey":"o:q","cpof":true}"#;
const IGNORES: &str = r#"HSET p:1 parent {"id":"9","queueKey":"o:q","idof":true}"#;
const REMOVES: &str = r#"HSET p:1 parent {"id":"9","queueKey":"o:q","rdof":true}"#;
const RUNS: &str = "LPUSH p:active 1";
const LOCKED: &str = "SET p:1:lock t";

/// `queue/finish_jobs` of `p:1`: completed or failed, kept or not.
const COMPLETED: &str = "1000 0 0 0 t2 30000 '' '' '' 1 t completed '' 1 0 0 -1 '' 1000 '' '' 1 900 7 1";
const FAILED: &str = "1000 0 0 0 t2 30000 '' '' '' 1 t failed [] 1 0 0 -1 '' 1000 '' '' 1 900 why 1";
const FAILED_AND_GONE: &str = "1000 0 0 0 t2 30000 '' '' '' 1 t failed [] 1 0 0 0 '' 1000 '' '' 1 900 why 1";

/// A child of the same queue.
const NEAR_CHILD: &str =
    r#"HSET p:1 name n data {} opts {} timestamp 5 delay 0 priority 0 parentKey p:2 parent {"id":"2","queueKey":"p"}"#;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "queue/add_flow",
            "a parent with two children in another queue, one delayed",
            &[],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 o:q: a x [1] {"attempts":2} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' '' 0 o:q: b y {} {} 1000 500 0 0 0 p: root {"id":"root","queueKey":"p","fpof":true} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "children by priority and in front",
            &["HSET p:meta paused 1"],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 7 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' '' 0 p: b y {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' '' 0 p: c z {} {} 1000 0 0 1 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "a root without children, deduplicated",
            &["HSET p:old name old", "SET p:de:d old"],
            "1000 0 0 p: root r {} {} 1000 0 0 0 0 '' '' '' d 0 '' '' ''",
        ),
        row(
            "queue/add_flow",
            "all children have completed before",
            &["HSET p:a name a returnvalue 7", "ZADD p:completed 1 a"],
            r#"1000 0 0 p: root r {} {} 1000 0 3 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "a child that waits already, of a parent that is gone",
            &["HSET p:a name a parentKey p:gone", "LPUSH p:wait a"],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "a child of another: nothing is added",
            &["HSET p:a name a parentKey p:other", "HSET p:other name other"],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "one id under two parents",
            &[],
            r#"1000 0 0 p: r r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 0 0 1 p: r {"id":"r","queueKey":"p"} '' 0 '' '' '' 0 p: r x {} {} 1000 0 0 0 0 p: a {"id":"a","queueKey":"p"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "below a parent that is not there",
            &[],
            r#"1000 0 1 p: root r {} {} 1000 0 0 0 0 o:q: 9 {"id":"9","queueKey":"o:q"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "to a queue that an old version has paused",
            &["HSET p:meta paused 1", "LPUSH p:paused 1"],
            "1000 0 0 p: root r {} {} 1000 0 0 0 0 '' '' '' '' 0 '' '' ''",
        ),
        row(
            "queue/add_flow",
            "alone: one child is refused, the next one added",
            &[PARENT],
            r#"1000 1 1 p: '' r {} {} 1000 0 0 0 0 o:q: 8 {"id":"8","queueKey":"o:q"} '' 0 '' '' '' 1 p: '' r {} {} 1000 0 0 0 0 o:q: 9 {"id":"9","queueKey":"o:q"} '' 0 '' '' ''"#,
        ),
        row(
            "queue/add_flow",
            "a parent and two of its children belong to groups",
            &[],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' g '' 0 o:q: a x {} {} 1000 0 3 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' h 2 0 o:q: b y {} {} 1000 500 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' h ''"#,
        ),
        row(
            "queue/add_flow",
            "more children than their group may have: nothing is added",
            &[],
            r#"1000 0 0 p: root r {} {} 1000 0 0 0 1 '' '' '' '' 0 '' '' '' 0 p: a x {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' g 1 0 p: b y {} {} 1000 0 0 0 0 p: root {"id":"root","queueKey":"p"} '' 0 '' g 1"#,
        ),
        row(
            "queue/add_flow",
            "a job of a group, deduplicated among the delayed ones of groups",
            &[
                "HSET p:old name old timestamp 5 gid g",
                "SET p:de:d old",
                "ZADD p:groups:delayed 1 old",
                "HSET p:meta groups 1",
            ],
            r#"1000 0 0 p: '' r {} {} 1000 0 0 0 0 '' '' '' d 0 {"replace":true} g ''"#,
        ),
        row(
            "queue/finish_jobs",
            "the last child frees its parent",
            &[CHILD, PARENT, WAITS, FOR_IT, RUNS, LOCKED],
            COMPLETED,
        ),
        row(
            "queue/finish_jobs",
            "a parent of which only the key is known",
            &[KEY_ONLY, PARENT, WAITS, FOR_IT, RUNS, LOCKED, "HSET o:q:meta version x"],
            COMPLETED,
        ),
        row(
            "queue/finish_jobs",
            "one child of two",
            &[CHILD, PARENT, WAITS, FOR_IT, "SADD o:q:9:dependencies p:2", RUNS, LOCKED],
            COMPLETED,
        ),
        row(
            "queue/finish_jobs",
            "the parent has a priority",
            &[CHILD, PARENT, "HSET o:q:9 priority 2", WAITS, FOR_IT, RUNS, LOCKED],
            COMPLETED,
        ),
        row(
            "queue/finish_jobs",
            "the parent has a delay",
            &[CHILD, PARENT, "HSET o:q:9 delay 50", WAITS, FOR_IT, RUNS, LOCKED],
            COMPLETED,
        ),
        row(
            "queue/finish_jobs",
            "a child fails its parent",
            &[CHILD, FAILS, PARENT, "HSET o:q:9 delay 50", WAITS, FOR_IT, "SADD o:q:9:dependencies p:2", RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a child fails its delayed parent",
            &[CHILD, FAILS, PARENT, "ZADD o:q:delayed 4096 9", FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a child fails its parent while that runs",
            &[CHILD, FAILS, PARENT, "LPUSH o:q:active 9", FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a child of a parent that has failed already",
            &[CHILD, FAILS, PARENT, "ZADD o:q:failed 1 9", FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a child lets its parent go on",
            &[CHILD, CONTINUES, PARENT, WAITS, FOR_IT, "SADD o:q:9:dependencies p:2", RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a failed child is ignored",
            &[CHILD, IGNORES, PARENT, WAITS, FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a failed child is forgotten",
            &[CHILD, REMOVES, PARENT, WAITS, FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a failed child blocks its parent",
            &[CHILD, PARENT, WAITS, FOR_IT, RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a failed child that does not stay blocks nobody",
            &[CHILD, PARENT, WAITS, FOR_IT, RUNS, LOCKED],
            FAILED_AND_GONE,
        ),
        row(
            "queue/finish_jobs",
            "a failed child ends the wait of its parent that finishes beside it",
            &[
                r#"HSET p:1 name n data {} opts {} timestamp 5 parentKey p:9 parent {"id":"9","queueKey":"p","fpof":true}"#,
                LOCKED,
                "HSET p:9 name n data {} opts {} timestamp 5 delay 0 priority 0",
                "SET p:9:lock t",
                "LPUSH p:active 1 9",
                "SADD p:9:dependencies p:1 p:7",
            ],
            "1000 0 0 0 t2 30000 '' '' '' 2 t failed [] 1 0 0 0 '' 1000 '' '' t children '' 1 0 0 -1 '' 1000 '' '' 1 900 why 1 9 900 '' 2",
        ),
        row(
            "queue/finish_jobs",
            "a deferred failure is over when it has happened",
            &[JOB, "HSET p:1 defa why", RUNS, LOCKED],
            FAILED,
        ),
        row(
            "queue/finish_jobs",
            "a failed child that is evicted blocks nobody",
            &[CHILD, PARENT, WAITS, FOR_IT, "ZADD p:failed 1 1", JOB2, "LPUSH p:active 2", "SET p:2:lock t"],
            "1000 0 0 0 t2 30000 '' '' '' 1 t failed [] 1 0 0 1 '' 1000 '' '' 2 900 why 1",
        ),
        row(
            "queue/retry_job",
            "a child that failed its parent is missed again",
            &[CHILD, PARENT, "ZADD p:failed 9 1", "ZADD o:q:9:unsuccessful 1 p:1"],
            "1 failed ''",
        ),
        row(
            "queue/retry_job",
            "a child that its parent does not count",
            &[CHILD, PARENT, "HSET p:1 defa why", "ZADD p:failed 9 1"],
            "1 failed ''",
        ),
        with_keys(
            row(
                "queue/retry_job",
                "a child that had completed",
                &[CHILD, PARENT, "ZADD p:completed 9 1", "HSET o:q:9:processed p:1 7"],
                "1 completed s",
            ),
            &[("finished_set", "p:completed")],
        ),
        row(
            "queue/remove_job",
            "waiting",
            &[JOB, "LPUSH p:wait 1", "RPUSH p:1:logs x", "HSET p:1 deid d", "SET p:de:d 1"],
            "1 1000 1 100",
        ),
        row("queue/remove_job", "locked", &[JOB, RUNS, LOCKED], "1 1000 1 100"),
        row("queue/remove_job", "not there", &[], "1 1000 1 100"),
        row(
            "queue/remove_job",
            "a child frees its parent",
            &[CHILD, "LPUSH p:wait 1", PARENT, WAITS, FOR_IT],
            "1 1000 1 100",
        ),
        row(
            "queue/remove_job",
            "belongs to a scheduler",
            &[
                "HSET p:repeat:s:900 name n data {} opts {} timestamp 5 delay 0 priority 0 rjk s",
                "ZADD p:delayed 1 repeat:s:900",
                "ZADD p:repeat 900 s",
            ],
            "repeat:s:900 1000 1 100",
        ),
        with_keys(
            row(
                "queue/remove_job",
                "a parent with children of every kind and a grandchild",
                &[
                    PARENT,
                    WAITS,
                    CHILD,
                    "LPUSH p:wait 1",
                    FOR_IT,
                    JOB2,
                    "ZADD p:completed 1 2",
                    "HSET o:q:9:processed p:2 7 p:gone 8",
                    "HSET p:3 name c data {} opts {} timestamp 5",
                    "ZADD p:failed 1 3 2 4",
                    "HSET p:4 name d data {} opts {} timestamp 5",
                    "HSET o:q:9:failed p:3 why",
                    "ZADD o:q:9:unsuccessful 1 p:4",
                    "HSET o:q:5 name grandchild data {} opts {} timestamp 5",
                    "ZADD o:q:delayed 4096 5",
                    "SADD p:1:dependencies o:q:5",
                    "HSET p:meta version x",
                    "HSET o:q:meta version x",
                ],
                "9 1000 1 100",
            ),
            &[("prefix", "o:q:"), ("repeat_set", "o:q:repeat")],
        ),
        with_keys(
            row(
                "queue/remove_job",
                "a parent without its children",
                &[PARENT, WAITS, CHILD, "LPUSH p:wait 1", FOR_IT],
                "9 1000 0 100",
            ),
            &[("prefix", "o:q:"), ("repeat_set", "o:q:repeat")],
        ),
        with_keys(
            row(
                "queue/remove_job",
                "a parent of whose children one is locked",
                &[PARENT, WAITS, CHILD, RUNS, LOCKED, FOR_IT],
                "9 1000 1 100",
            ),
            &[("prefix", "o:q:"), ("repeat_set", "o:q:repeat")],
        ),
        with_keys(
            row(
                "queue/remove_job",
                "more than a slice",
                &[
                    PARENT,
                    WAITS,
                    CHILD,
                    JOB2,
                    "RPUSH p:wait 1 2",
                    "ZADD o:q:9:unsuccessful 1 p:1 2 p:2",
                    "HSET p:meta version x",
                ],
                "9 1000 1 1",
            ),
            &[("prefix", "o:q:"), ("repeat_set", "o:q:repeat")],
        ),
        with_keys(
            row(
                "queue/remove_unprocessed_children",
                "those that have begun or finished stay",
                &[
                    PARENT,
                    WAITS,
                    "HSET p:meta version x",
                    CHILD,
                    "LPUSH p:wait 1",
                    "SADD o:q:9:dependencies p:1 p:2 p:3",
                    JOB2,
                    "LPUSH p:active 2",
                    "SET p:2:lock t",
                    "HSET p:3 name c data {} opts {} timestamp 5",
                    "ZADD p:failed 1 3",
                    "HSET p:4 name grandchild data {} opts {} timestamp 5",
                    "ZADD p:delayed 4096 4",
                    "SADD p:1:dependencies p:4",
                ],
                "1000 0",
            ),
            &[("job", "o:q:9")],
        ),
        with_keys(
            row(
                "queue/remove_unprocessed_children",
                "a parent that has no others may run",
                &[PARENT, WAITS, "HSET p:meta version x", CHILD, "ZADD p:delayed 4096 1", FOR_IT],
                "1000 0",
            ),
            &[("job", "o:q:9")],
        ),
        row(
            "queue/remove_child_dependency",
            "the last one",
            &[CHILD, "LPUSH p:wait 1", PARENT, WAITS, FOR_IT],
            "1 1000",
        ),
        row("queue/remove_child_dependency", "one that is done", &[CHILD, PARENT], "1 1000"),
        row("queue/remove_child_dependency", "no child", &[JOB], "1 1000"),
        row("queue/remove_child_dependency", "no such job", &[], "1 1000"),
        row("queue/remove_child_dependency", "no such parent", &[CHILD], "1 1000"),
        with_keys(row("queue/remove_deduplication", "its own", &["SET p:de:d 1"], "1"), &[("window", "p:de:d")]),
        with_keys(row("queue/remove_deduplication", "another's", &["SET p:de:d 2"], "1"), &[("window", "p:de:d")]),
        row("queue/check_children", "some are unfinished", &[JOB, LOCKED, "SADD p:1:dependencies p:2"], "1 t ''"),
        row("queue/check_children", "the one asked for is", &[JOB, LOCKED, "SADD p:1:dependencies p:2"], "1 t p:2"),
        row("queue/check_children", "the one asked for is not", &[JOB, LOCKED, "SADD p:1:dependencies p:2"], "1 t p:3"),
        row("queue/check_children", "none", &[JOB, LOCKED], "1 t ''"),
        row("queue/check_children", "one has failed", &[JOB, LOCKED, "ZADD p:1:unsuccessful 1 p:2"], "1 t ''"),
        row("queue/check_children", "no such job", &[], "1 t ''"),
        row("queue/check_children", "no lock", &[JOB], "1 t ''"),
        row("queue/check_children", "locked by another", &[JOB, LOCKED], "1 other ''"),
        row(
            "queue/drain_jobs",
            "a parent of the queue goes with its last child, one of another queue may run",
            &[
                NEAR_CHILD,
                JOB2,
                "ZADD p:waiting-children 1 2",
                "SADD p:2:dependencies p:1",
                "HSET p:3 name c timestamp 5",
                r#"HSET p:3 parentKey o:q:9 parent {"id":"9","queueKey":"o:q"}"#,
                PARENT,
                WAITS,
                "SADD o:q:9:dependencies p:3",
                "RPUSH p:wait 1 3",
            ],
            "1000 0 100 0 0",
        ),
        with_keys(
            row(
                "queue/clean_jobs",
                "a failed child for which its parent waited",
                &[NEAR_CHILD, "ZADD p:failed 5 1", JOB2, "ZADD p:waiting-children 1 2", "SADD p:2:dependencies p:1"],
                "failed 900 100 0 100 1000 0",
            ),
            &[("set", "p:failed")],
        ),
        row(
            "queue/obliterate",
            "a child of a parent in another queue",
            &["HSET p:meta paused 1", CHILD, "LPUSH p:wait 1", PARENT, WAITS, FOR_IT],
            "0 100 1000",
        ),
    ]
}
