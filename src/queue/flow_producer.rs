//! Adds trees of jobs: a parent waits until its children, in whatever queues, have finished.
//!
//! All jobs of a call are added by one script, so that they are there together or not at all, and no child can finish
//! before its parent exists. That holds a server for as long as writing so many jobs takes (tens of microseconds each), hence
//! the bound on their number. On a Cluster a script runs within one hash slot: the queues of a flow must share a hash
//! tag, and a flow that does not is refused before anything is written.

use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    JobOptions, NewJob, ParentJob, Queue, QueueOptions,
    flow_scripts::{AddedNode, add_nodes, explain_slots},
    payload::{PayloadCodec, UserPayload},
    scripts::AddedJob,
};
use crate::{
    codec::option_text::read_options,
    connection::Link,
    error::{Error, Result},
};

/// Jobs of one call, at most.
pub const MAX_FLOW_JOBS: usize = 20_000;

/// One job of a flow. The jobs of a flow stand in a list, every parent before its children.
#[derive(Clone, Debug, Default)]
pub struct FlowNode {
    /// Place of its parent in the list; a job without one is the root of a tree.
    pub parent: Option<usize>,
    /// First part of the keys of its queue. Default: that of the producer.
    pub prefix: Option<String>,
    pub queue: String,
    /// `options.parent`: only of a root, whose parent is there already.
    pub job: NewJob,
}

/// One job of a flow as text: place of its parent, prefix, queue, name, when it was made, options, data.
#[derive(Deserialize)]
struct NodeText<'a>(
    Option<usize>,
    Option<String>,
    String,
    String,
    i64,
    #[serde(borrow)] Option<&'a RawValue>,
    #[serde(borrow)] &'a RawValue,
);

impl FlowNode {
    /// Reads a JSON array with an array for each job: the place of its parent or null, prefix or null, name of the queue,
    /// name, time, options or null, data. A wrong option is named with the job's place in the tree.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>> {
        let read: Vec<NodeText<'_>> = serde_json::from_str(text).map_err(|error| {
            Error::invalid_argument("flow", "not what a producer writes", "an array for each job").caused_by(error)
        })?;
        check_size(read.len())?;
        let mut nodes: Vec<Self> = Vec::with_capacity(read.len());
        let mut options = Vec::with_capacity(read.len());
        for NodeText(parent, prefix, queue, name, timestamp, opts, data) in read {
            let job = NewJob { name, data: data.get().to_owned(), options: JobOptions::default() };
            nodes.push(Self { parent, prefix, queue, job });
            options.push((opts, timestamp));
        }
        let places = Places::of(&nodes)?;
        // The children of a parent mostly have the same options: they are read once.
        let mut known = ("", JobOptions::default());
        for (index, (node, (opts, timestamp))) in nodes.iter_mut().zip(options).enumerate() {
            if let Some(opts) = opts.map(RawValue::get) {
                if opts != known.0 {
                    let at = |error: Error| error.below_option(&format!("{}.opts", places.name(index)));
                    known = (opts, JobOptions::from_json(opts).map_err(at)?);
                }
                node.job.options = known.1.clone();
            }
            node.job.options.made_at.get_or_insert(timestamp);
        }
        Ok(nodes)
    }
}

/// Adds flows. Cheap to clone; holds no connection of its own.
#[derive(Clone)]
pub struct FlowProducer {
    link: Arc<dyn Link>,
    options: QueueOptions,
    /// How payloads are stored in queues that `options` do not speak for, by the queue's name.
    payloads: Arc<HashMap<String, PayloadCodec>>,
}

impl FlowProducer {
    /// `options`: prefix, clock and stored form of payloads of the queues; the rest is each queue's own.
    pub fn new(link: Arc<dyn Link>, options: QueueOptions) -> Self {
        Self { link, options, payloads: Arc::default() }
    }

    /// With payloads of their own for some queues: a JSON object of their names and what `payload` of queues is.
    ///
    /// # Errors
    /// `InvalidOption` with the path of a wrong or unknown option, below `queuesOptions.<queue>`.
    pub fn with_payloads_from_json(mut self, text: &str) -> Result<Self> {
        let by_queue: HashMap<String, Box<RawValue>> = read_options(text)?;
        let mut payloads = HashMap::with_capacity(by_queue.len());
        for (queue, payload) in by_queue {
            let codec = read_options::<UserPayload>(payload.get())
                .map_err(|error| error.below_option("payload"))
                .and_then(UserPayload::into_codec)
                .map_err(|error| error.below_option(&format!("queuesOptions.{queue}")))?;
            payloads.insert(queue, codec);
        }
        self.payloads = Arc::new(payloads);
        Ok(self)
    }

    /// A queue as flows know it: with its own settings left as they are.
    pub fn queue(&self, prefix: Option<&str>, name: &str) -> Result<Queue> {
        let key_prefix = &self.options.key_prefix;
        let prefix = prefix.map_or_else(|| self.options.prefix.clone(), |prefix| format!("{key_prefix}{prefix}"));
        let payload = self.payloads.get(name).unwrap_or(&self.options.payload).clone();
        Queue::visit(Arc::clone(&self.link), name, QueueOptions { prefix, payload, ..self.options.clone() })
    }

    /// Adds all jobs or none; gives their ids. Those that bring no id get a UUID.
    ///
    /// # Errors
    /// `InvalidOption` and `InvalidArgument` with the job's place in the tree, `JobTooLarge`, `ParentJobNotFound`,
    /// `JobHasParent` when an own id belongs to a job that is the child of another.
    pub async fn add(&self, nodes: Vec<FlowNode>) -> Result<Vec<String>> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        check_size(nodes.len())?;
        let prepared = self.prepare(nodes)?;
        let nodes: Vec<_> = prepared.iter().map(Prepared::node).collect();
        let now = prepared.first().map_or(0, |first| first.queue.now());
        add_nodes(&*self.link, now, &nodes).await.map_err(explain_slots)
    }

    fn prepare(&self, nodes: Vec<FlowNode>) -> Result<Vec<Prepared>> {
        let places = Places::of(&nodes)?;
        let mut has_children = vec![false; nodes.len()];
        for parent in nodes.iter().filter_map(|node| node.parent) {
            has_children[parent] = true;
        }
        let mut queues = HashMap::new();
        let mut prepared: Vec<Prepared> = Vec::with_capacity(nodes.len());
        for (index, (mut node, has_children)) in nodes.into_iter().zip(has_children).enumerate() {
            let at = || places.name(index);
            let key = (node.prefix.take(), std::mem::take(&mut node.queue));
            let queue = self.queue_of(&mut queues, key).map_err(|error| error.during(&at()))?;
            check_place(&node, at, has_children)?;
            let outside = node.job.options.parent.is_some();
            if let Some(parent) = node.parent {
                let Prepared { queue, job, .. } = &prepared[parent];
                let id = job.own_id.clone().unwrap_or_default();
                node.job.options.parent =
                    Some(ParentJob { id, queue: queue.user_key(queue.qualified_name()).to_owned() });
            }
            let job = queue.prepare(node.job, queue.now());
            let mut job = job.map_err(|error| error.below_option(&format!("{}.opts", at())))?;
            // Children must know it before anything is written.
            job.own_id.get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
            prepared.push(Prepared { queue, job, outside, has_children });
        }
        Ok(prepared)
    }

    fn queue_of(&self, known: &mut Queues, key: (Option<String>, String)) -> Result<Queue> {
        if let Some(queue) = known.get(&key) {
            return Ok(queue.clone());
        }
        let queue = self.queue(key.0.as_deref(), &key.1)?;
        known.insert(key, queue.clone());
        Ok(queue)
    }
}

/// By prefix and name.
type Queues = HashMap<(Option<String>, String), Queue>;

/// A job of a flow with its queue.
struct Prepared {
    queue: Queue,
    job: AddedJob,
    outside: bool,
    has_children: bool,
}

impl Prepared {
    fn node(&self) -> AddedNode<'_> {
        let prefix = &self.queue.storage().keys.prefix;
        AddedNode { job: &self.job, prefix, outside: self.outside, has_children: self.has_children }
    }
}

/// Refuses options that a job at this place of a tree cannot have.
fn check_place(node: &FlowNode, at: impl Fn() -> String, has_children: bool) -> Result<()> {
    let wrong = |option: &str, got: &str, allowed: &str| {
        Err(Error::invalid_option(&format!("{}.opts.{option}", at()), got, allowed))
    };
    if node.parent.is_some() && node.job.options.parent.is_some() {
        return wrong("parent", "given for a child of the flow", "only for its root");
    }
    if node.job.options.deduplication.is_some() && (has_children || node.parent.is_some()) {
        let got = if has_children { "given for a parent" } else { "given for a child" };
        return wrong("deduplication", got, "only for a job without parent and children");
    }
    Ok(())
}

/// Where each job stands in its tree.
struct Places {
    /// Place of the parent, and which of its children the job is; of a root, which of the roots.
    above: Vec<(Option<usize>, usize)>,
    roots: usize,
}

impl Places {
    fn of(nodes: &[FlowNode]) -> Result<Self> {
        let mut children = vec![0_usize; nodes.len()];
        let mut places = Self { above: Vec::with_capacity(nodes.len()), roots: 0 };
        for (index, node) in nodes.iter().enumerate() {
            let nth = match node.parent {
                None => &mut places.roots,
                Some(parent) if parent < index => &mut children[parent],
                Some(parent) => {
                    let got = format!("{parent} for job {index}");
                    return Err(Error::invalid_argument("parent", &got, "the place of an earlier job"));
                }
            };
            let place = (node.parent, *nth);
            *nth += 1;
            places.above.push(place);
        }
        Ok(places)
    }

    /// How a message names a job: `flow.children[2].children[0]`, or `flows[1]` where there are several roots.
    fn name(&self, mut index: usize) -> String {
        let mut below = Vec::new();
        loop {
            match self.above[index] {
                (Some(parent), nth) => {
                    below.push(format!(".children[{nth}]"));
                    index = parent;
                }
                (None, nth) => {
                    let root = if self.roots == 1 { "flow".to_owned() } else { format!("flows[{nth}]") };
                    below.push(root);
                    below.reverse();
                    return below.concat();
                }
            }
        }
    }
}

fn check_size(jobs: usize) -> Result<()> {
    if jobs <= MAX_FLOW_JOBS {
        return Ok(());
    }
    let allowed = format!("at most {MAX_FLOW_JOBS}; add further children with `parent` in their options");
    Err(Error::invalid_argument("flow", &format!("a tree of {jobs} jobs"), &allowed))
}
