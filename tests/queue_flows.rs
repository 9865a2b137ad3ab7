//! Trees of jobs, from adding them to their last parent, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use oxcart::{
    ErrorCode,
    connection::{Command, Link},
    queue::{
        DependencyKind, FlowNode, FlowProducer, JobState, MAX_FLOW_JOBS, NewJob, Outcome, Queue, QueueOptions, Reset,
        Retry, Settlement, WorkerEvent,
    },
    testing::RedisServer,
};
use support::*;

fn producer(link: &Arc<dyn Link>) -> FlowProducer {
    FlowProducer::new(Arc::clone(link), QueueOptions::default())
}

fn node(parent: Option<usize>, queue: &Queue, name: &str, options: &str) -> FlowNode {
    FlowNode { parent, prefix: None, queue: queue.name().to_owned(), job: job(name, options) }
}

/// A parent in one queue and children with these options in another; their ids.
async fn family(link: &Arc<dyn Link>, parents: &Queue, children: &Queue, options: &[&str]) -> Vec<String> {
    let mut nodes = vec![node(None, parents, "parent", "{}")];
    nodes.extend(options.iter().map(|options| node(Some(0), children, "child", options)));
    producer(link).add(nodes).await.unwrap()
}

async fn state(queue: &Queue, id: &str) -> Option<JobState> {
    queue.get_state(id).await.unwrap()
}

#[tokio::test]
async fn a_parent_runs_after_its_children_and_sees_their_results() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let ids = family(&link, &parents, &children, &["{}", r#"{"jobId":"mine"}"#]).await;
    assert_eq!(ids[2], "mine");
    assert_eq!(state(&parents, &ids[0]).await, Some(JobState::WaitingChildren));
    let counts = parents.count_children(&ids[0], &DependencyKind::ALL).await.unwrap();
    assert_eq!(counts, [0, 2, 0, 0]);

    let mut hands = Hands::start(&children, options());
    for value in ["1", "2"] {
        assert_eq!(state(&parents, &ids[0]).await, Some(JobState::WaitingChildren));
        let job = hands.job().await;
        assert_eq!(job.record.parent_key.as_deref(), Some(format!("{}:{}", parents.qualified_name(), ids[0]).as_str()));
        hands.settle(&job, Outcome::Completed { value: value.to_owned() }).await;
    }
    let mut parent_hands = Hands::start(&parents, options());
    let parent = parent_hands.job().await;
    assert_eq!(parent.record.id, ids[0]);
    let values = parents.get_children(&ids[0], DependencyKind::Processed).await.unwrap();
    let of = |id: &str| format!("{}:{id}", children.qualified_name());
    assert!(
        values.contains(&(of(&ids[1]), Some("1".to_owned()))) && values.contains(&(of("mine"), Some("2".to_owned())))
    );
    assert_eq!(parent_hands.settle(&parent, completed()).await, Settlement::Completed);
}

#[tokio::test]
async fn what_a_failed_child_means_is_told_when_it_is_added() {
    let server = RedisServer::start();
    let link = open(&server);
    for (options_of_child, after, kind) in [
        (r#"{"failParentOnFailure":true}"#, JobState::Failed, Some(DependencyKind::Failed)),
        (r#"{"continueParentOnFailure":true}"#, JobState::Active, Some(DependencyKind::Ignored)),
        (r#"{"ignoreDependencyOnFailure":true}"#, JobState::Active, Some(DependencyKind::Ignored)),
        (r#"{"removeDependencyOnFailure":true}"#, JobState::Active, None),
        ("{}", JobState::WaitingChildren, Some(DependencyKind::Unprocessed)),
    ] {
        let (parents, children) = (queue(&link), queue(&link));
        let ids = family(&link, &parents, &children, &[options_of_child]).await;
        let mut hands = Hands::start(&children, options());
        let mut parent_hands = Hands::start(&parents, options());
        let child = hands.job().await;
        hands.settle(&child, failed("why")).await;
        eventually(options_of_child, || async { state(&parents, &ids[0]).await == Some(after) }).await;
        let counts = parents.count_children(&ids[0], &DependencyKind::ALL).await.unwrap();
        let expected = DependencyKind::ALL.map(|one| i64::from(Some(one) == kind));
        assert_eq!(counts, expected, "{options_of_child}");
        if after == JobState::Failed {
            let reason = parent_hands
                .event("the parent fails", |event| match event {
                    WorkerEvent::FailedUndelivered { reason, .. } => Some(reason.clone()),
                    _ => None,
                })
                .await;
            assert_eq!(reason, format!("child {}:{} failed", children.qualified_name(), ids[1]));
        }
    }
}

#[tokio::test]
async fn a_parent_that_failed_with_its_child_completes_after_both_were_retried() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let ids = family(&link, &parents, &children, &[r#"{"failParentOnFailure":true}"#]).await;
    let (mut hands, mut parent_hands) = (Hands::start(&children, options()), Hands::start(&parents, options()));
    let child = hands.job().await;
    hands.settle(&child, failed("why")).await;
    eventually("the parent fails", || async { state(&parents, &ids[0]).await == Some(JobState::Failed) }).await;

    // Without its child it cannot complete, however often it is tried.
    parents.retry(&ids[0], JobState::Failed, Reset::default()).await.unwrap();
    let parent = parent_hands.job().await;
    let settled = parent_hands.settle(&parent, completed()).await;
    assert_eq!(settled, Settlement::Failed { attempts_made: 2 });
    assert!(parents.get_job(&ids[0]).await.unwrap().unwrap().failed_reason.unwrap().contains("children that failed"));

    children.retry(&ids[1], JobState::Failed, Reset::default()).await.unwrap();
    let child = hands.job().await;
    hands.settle(&child, completed()).await;
    parents.retry(&ids[0], JobState::Failed, Reset::default()).await.unwrap();
    let parent = parent_hands.job().await;
    assert_eq!(parent_hands.settle(&parent, completed()).await, Settlement::Completed);
}

#[tokio::test]
async fn a_failure_goes_up_as_far_as_it_is_told_to() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let fails = r#"{"failParentOnFailure":true}"#;
    let nodes = vec![
        node(None, &queue, "great", "{}"),
        node(Some(0), &queue, "grand", r#"{"ignoreDependencyOnFailure":true}"#),
        node(Some(1), &queue, "parent", fails),
        node(Some(2), &queue, "child", fails),
    ];
    let ids = producer(&link).add(nodes).await.unwrap();
    let mut hands = Hands::start(&queue, options());
    let child = hands.job().await;
    assert_eq!(child.record.name, "child");
    hands.settle(&child, failed("why")).await;
    let great = hands.job().await;
    assert_eq!(great.record.name, "great");
    for id in &ids[1..] {
        assert_eq!(state(&queue, id).await, Some(JobState::Failed));
    }
    let ignored = queue.get_children(&ids[0], DependencyKind::Ignored).await.unwrap();
    assert_eq!(ignored.len(), 1);
    assert!(ignored[0].1.as_deref().unwrap().starts_with("child "), "{ignored:?}");
    hands.settle(&great, completed()).await;
}

#[tokio::test]
async fn a_job_waits_for_children_that_it_adds_while_it_runs() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let id = add(&parents, "steps", "{}").await;
    let mut hands = Hands::start(&parents, options());
    let job = hands.job().await;
    assert!(!parents.check_children(&id, &job.token, None).await.unwrap());
    let parent = format!(r#"{{"parent":{{"id":"{id}","queue":"{}"}}}}"#, parents.qualified_name());
    let child = add(&children, "child", &parent).await;
    let child_key = format!("{}:{child}", children.qualified_name());
    assert!(parents.check_children(&id, &job.token, None).await.unwrap());
    assert!(parents.check_children(&id, &job.token, Some(&child_key)).await.unwrap());
    assert!(!parents.check_children(&id, &job.token, Some("bull:other:1")).await.unwrap());
    assert_eq!(parents.check_children(&id, "x", None).await.unwrap_err().code(), ErrorCode::JobLockLost);
    assert_eq!(hands.settle(&job, Outcome::WaitingChildren).await, Settlement::Moved);
    assert_eq!(state(&parents, &id).await, Some(JobState::WaitingChildren));

    let mut child_hands = Hands::start(&children, options());
    child_hands.complete_next().await;
    let again = hands.job().await;
    // To wait is no attempt, to be started is.
    assert_eq!((again.record.attempts_made, again.record.attempts_started), (0, 2));
    assert_eq!(hands.settle(&again, completed()).await, Settlement::Completed);
}

#[tokio::test]
async fn a_job_that_forgets_its_children_fails() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let id = add(&parents, "steps", r#"{"attempts":2}"#).await;
    let mut hands = Hands::start(&parents, options());
    let job = hands.job().await;
    let parent = format!(r#"{{"parent":{{"id":"{id}","queue":"{}"}}}}"#, parents.qualified_name());
    add(&children, "child", &parent).await;
    let settled = hands.settle(&job, completed()).await;
    assert_eq!(settled, Settlement::Retrying { attempts_made: 1, delay_ms: 0 });
    let again = hands.job().await;
    assert_eq!(hands.settle(&again, completed()).await, Settlement::Failed { attempts_made: 2 });
    assert!(parents.get_job(&id).await.unwrap().unwrap().failed_reason.unwrap().contains("not finished"));
}

#[tokio::test]
async fn a_child_that_runs_already_tells_the_parent_that_it_gets() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    add(&children, "shared", r#"{"jobId":"shared"}"#).await;
    let mut hands = Hands::start(&children, options());
    let child = hands.job().await;
    let ids = family(&link, &parents, &children, &[r#"{"jobId":"shared"}"#]).await;
    hands.settle(&child, completed()).await;
    assert_eq!(state(&parents, &ids[0]).await, Some(JobState::Waiting));
    // One that has finished counts at once, and cannot be the child of a second parent while the first one exists.
    let error = producer(&link)
        .add(vec![node(None, &parents, "other", "{}"), node(Some(0), &children, "child", r#"{"jobId":"shared"}"#)])
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::JobHasParent);
    parents.remove(&ids[0], false).await.unwrap();
    let ids = family(&link, &parents, &children, &[r#"{"jobId":"shared"}"#]).await;
    assert_eq!(state(&parents, &ids[0]).await, Some(JobState::Waiting));
}

#[tokio::test]
async fn a_flow_that_is_refused_adds_nothing() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let flows = producer(&link);
    let root = || node(None, &queue, "root", "{}");
    let refused = async |nodes: Vec<FlowNode>| flows.add(nodes).await.unwrap_err();

    let error =
        refused(vec![root(), node(Some(0), &queue, "child", r#"{"parent":{"id":"1","queue":"bull:q"}}"#)]).await;
    assert!(error.message().contains("`flow.children[0].opts.parent`"), "{error}");
    let error = refused(vec![root(), node(Some(0), &queue, "child", r#"{"deduplication":{"id":"d"}}"#)]).await;
    assert!(error.message().contains("`flow.children[0].opts.deduplication` is given for a child"), "{error}");
    let deduplicated = node(None, &queue, "root", r#"{"deduplication":{"id":"d"}}"#);
    let error = refused(vec![root(), deduplicated, node(Some(1), &queue, "child", "{}")]).await;
    assert!(error.message().contains("`flows[1].opts.deduplication` is given for a parent"), "{error}");
    let gone = node(None, &queue, "root", r#"{"parent":{"id":"gone","queue":"bull:q"}}"#);
    assert_eq!(refused(vec![root(), gone]).await.code(), ErrorCode::ParentJobNotFound);
    let unnamed = FlowNode { parent: Some(0), ..FlowNode::default() };
    assert!(refused(vec![root(), unnamed]).await.message().starts_with("flow.children[0]: argument `name`"));
    assert_eq!(refused(vec![node(Some(0), &queue, "child", "{}")]).await.code(), ErrorCode::InvalidArgument);
    assert_eq!(refused(vec![root(); MAX_FLOW_JOBS + 1]).await.code(), ErrorCode::InvalidArgument);
    let large = NewJob { data: format!("\"{}\"", "x".repeat(50)), ..job("large", r#"{"sizeLimit":10}"#) };
    let large = FlowNode { job: large, ..node(Some(0), &queue, "", "{}") };
    assert_eq!(refused(vec![root(), large]).await.code(), ErrorCode::JobTooLarge);

    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.waiting_children), (0, 0));
    assert_eq!(flows.add(Vec::new()).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn removing_a_parent_removes_its_tree_in_slices() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let options: Vec<&str> = vec!["{}"; 2500];
    let ids = family(&link, &parents, &children, &options).await;
    assert!(parents.remove(&ids[0], true).await.unwrap());
    let counts = children.get_counts().await.unwrap();
    assert_eq!((counts.waiting, state(&parents, &ids[0]).await), (0, None));
    assert_eq!(ask_int(&link, &children, "EXISTS @meta").await, 1);
}

#[tokio::test]
async fn children_are_read_in_pages() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let options: Vec<&str> = vec!["{}"; 700];
    let ids = family(&link, &parents, &children, &options).await;
    let page = parents.page_children(&ids[0], DependencyKind::Unprocessed, 10, 19).await.unwrap();
    assert_eq!((page.total, page.children.len(), page.jobs.len()), (700, 10, 10));
    let all = parents.page_children(&ids[0], DependencyKind::Unprocessed, 0, -1).await.unwrap();
    assert_eq!(all.children.len(), 700);
    assert_eq!(all.children[10..20], page.children[..]);
    assert!(ids.contains(&all.jobs[0].1.id));
    let none = parents.page_children(&ids[0], DependencyKind::Processed, 0, -1).await.unwrap();
    assert_eq!((none.total, none.children.len()), (0, 0));

    let (mut cursor, mut seen) = (0, 0);
    loop {
        let page = parents.scan_children(&ids[0], DependencyKind::Unprocessed, cursor, 50).await.unwrap();
        seen += page.children.len();
        cursor = page.next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, 700);
}

#[tokio::test]
async fn a_child_that_fails_for_good_ends_what_its_parent_would_do() {
    let server = RedisServer::start();
    let link = open(&server);
    let (parents, children) = (queue(&link), queue(&link));
    let ids = family(&link, &parents, &children, &["{}", "{}"]).await;
    assert!(children.remove_child_dependency(&ids[1]).await.unwrap());
    assert!(!children.remove_child_dependency(&ids[1]).await.unwrap());
    assert_eq!(parents.count_children(&ids[0], &[DependencyKind::Unprocessed]).await.unwrap(), [1]);
    // A child that is removed when it fails leaves nobody waiting for it.
    let mut hands = Hands::start(&children, options());
    loop {
        let job = hands.job().await;
        if job.record.id == ids[2] {
            let outcome = Outcome::Failed { reason: "why".to_owned(), stack: None, retry: Retry::Never };
            hands.settle(&job, outcome).await;
            break;
        }
        hands.settle(&job, completed()).await;
    }
    assert_eq!(state(&parents, &ids[0]).await, Some(JobState::WaitingChildren));
    assert!(children.remove(&ids[2], true).await.unwrap());
    assert_eq!(state(&parents, &ids[0]).await, Some(JobState::Waiting));
}

#[tokio::test]
async fn on_a_cluster_a_flow_keeps_to_one_slot_or_is_refused_whole() {
    let server = RedisServer::builder().process().args(["--cluster-enabled", "yes"]).start();
    let link = open(&server);
    let cluster = async |words: &[&str]| {
        let reply = link.call(Command::new("CLUSTER").args(words)).await;
        reply.and_then(oxcart::codec::resp::Value::into_text).unwrap()
    };
    cluster(&["ADDSLOTSRANGE", "0", "16383"]).await;
    eventually("the cluster serves", || async { cluster(&["INFO"]).await.contains("cluster_state:ok") }).await;
    let flow = |queue: &str| {
        let node = |parent, name: &str| FlowNode {
            parent,
            queue: format!("{queue}{name}"),
            job: job(name, "{}"),
            ..FlowNode::default()
        };
        vec![node(None, "parents"), node(Some(0), "children")]
    };
    let error = producer(&link).add(flow("")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.message().contains("hash tag"), "{error}");
    let size = link.call(Command::new("DBSIZE")).await.unwrap();
    assert_eq!(size.into_int().unwrap(), 0);
    assert_eq!(producer(&link).add(flow("{flows}")).await.unwrap().len(), 2);
}
