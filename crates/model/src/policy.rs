//! How a centre's scheduler is set: order, promises, what is taken back, what is lent.
//!
//! A policy is part of the founding, so that a centre keeps the one it was founded with through every restart.
use crate::id::{IslandId, PartyId};
use crate::job::Qos;
use crate::units::Span;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The scheduler's settings. All bounds are counts, never elapsed time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Half-life of past use in fair share; 14 days by default.
    pub half_life: Span,
    /// Promises kept for each owner's share at a time, beside those that others make room for; 4 by default.
    pub promises: u32,
    /// Most (share leaf, class) pairs tried in one cycle; 4,096 by default.
    pub tries: u32,
    /// Most starts in one cycle; 1,024 by default.
    pub starts: u32,
    /// The order of a leaf's jobs that can get no promise now; [`Order::ShortestFirst`] by default.
    pub backfill: Order,
    /// Whether shortest first goes by how long jobs are expected to run; else by their limits. True by default; a founding
    /// of before, which does not say, keeps what it had.
    #[serde(default = "by_limits")]
    pub prediction: bool,
    /// How many times its expected length a job is let pass by shorter ones in that order: one that asks later than that
    /// is behind it. 100 by default, `None` for ever; as before where a founding does not say.
    #[serde(default = "for_ever")]
    pub patience: Option<u32>,
    /// When and from whom nodes are taken back.
    pub taking: Taking,
    /// A run of an elastic gang grows at most once in so long, counted from its start; 1 hour by default.
    pub growth: Span,
    /// Owners that do not lend all, or may not borrow all; nobody by default.
    pub lending: BTreeMap<PartyId, Lending>,
    /// How long a site is lost or silent before its jobs that may go on elsewhere do; 30 minutes by default, `None` for
    /// never.
    pub failover: Option<Span>,
    /// When a node that kills jobs is drained by rule; as before, never, where a founding does not say.
    #[serde(default = "NodeRules::of_before")]
    pub nodes: Box<NodeRules>,
    /// What is taken to be known of interruptions before any was seen.
    pub stops: Stops,
    /// What of a run is given back that a node lost: [`Refund::Lost`] by default, all where a founding does not say.
    #[serde(default = "Refund::of_before")]
    pub refund: Refund,
}

/// What of a run is given back that a fault of the provider ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refund {
    /// All of it.
    Whole,
    /// What was lost of it: the time since its last checkpoint, all of it where there was none.
    Lost,
}

/// When a node that kills jobs is drained by rule, and what an operator's drain outlives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRules {
    /// How often, at different moments, it must have killed runs within [`NodeRules::window`]; 3 by default, 0 for never.
    pub times: u32,
    /// Of how many users these must have been at least, so that no user drains a node alone; 2 by default.
    pub users: u32,
    /// How far back is looked; 24 hours by default.
    pub window: Span,
    /// Most nodes of an island that are drained by rule at a time, in percent, rounded up, and never all; 5 by default.
    pub most: u32,
    /// Whether a node that is lost while drained comes back drained; true by default.
    pub lasting: bool,
    /// By island: how many nodes are kept idle for gangs that lose one; none by default.
    pub spares: BTreeMap<IslandId, u32>,
    /// Numbers of the driver's errors (NVIDIA's Xids) that drain a node; by default those after which a GPU is of no use
    /// until it is reset or mended: 46, 48, 64, 79, 95, 119, 120, 140.
    pub xids: Vec<u32>,
    /// The temperature in degrees Celsius from which a GPU is warned of; 85 by default.
    pub warm: u32,
    /// And from which its node is drained; 95 by default.
    pub hot: u32,
}

/// What is taken to be known of interruptions before any was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stops {
    /// GPU-hours between two stops; 50,700 by default, which is what one large training run met with: 419 stops in 54 days
    /// on 16,384 GPUs.
    pub hours: u32,
    /// What writing a checkpoint costs a job that does not say; 2 minutes by default.
    pub cost: Span,
}

/// An order of jobs of equal urgency within a leaf of the share tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By age.
    OldestFirst,
    /// By limit, then age. Nobody starves by it, since promises go by age and are kept.
    #[default]
    ShortestFirst,
}

/// When and from whom nodes are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taking {
    /// Whether an owner's guarantee that is not met reclaims from borrowers; true by default.
    pub reclaim: bool,
    /// The least urgency that pre-empts work of the same owner; high by default, `None` for never.
    pub preempts: Option<Qos>,
    /// The highest urgency that may be pre-empted so; low by default.
    pub preemptible: Qos,
    /// Who is taken first.
    pub order: VictimOrder,
    /// Most work that is counted as lost by one GPU of a run, so that silence about checkpoints does not pay; 1 hour by
    /// default.
    pub cap: Span,
    /// From the first signal to the last; 2 minutes by default.
    pub grace: Span,
    /// A run is left alone for so long after its start; 10 minutes by default.
    pub settle: Span,
    /// How often one job is taken back at most within [`Taking::window`]; 4 by default. Its next run is left alone for
    /// twice what it lost in any case.
    pub times: u32,
    /// See [`Taking::times`]; 24 hours by default.
    pub window: Span,
    /// Nothing is taken back for a job that would start without it no more than this later; 5 minutes by default.
    pub gain: Span,
    /// Most jobs in one step for which something is taken back; 16 by default.
    pub jobs: u32,
}

/// Which of the runs that would do is taken back first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VictimOrder {
    /// The least work lost since the last checkpoint.
    #[default]
    LeastLost,
    /// The one that started last.
    Youngest,
    /// The one that holds most.
    Largest,
}

/// How far an owner lends and borrows, in basis points of its guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lending {
    /// How much of it stays unlent, even when idle.
    pub keep: u32,
    /// How much the owner may hold above it; `None` for whatever is idle.
    pub borrow: Option<u32>,
}

/// What foundings of before had.
fn by_limits() -> bool {
    false
}

/// See [`by_limits`].
fn for_ever() -> Option<u32> {
    None
}

/// The defaults named at each field.
impl Default for Policy {
    fn default() -> Self {
        Policy {
            half_life: Span::from_days(14),
            promises: 4,
            tries: 4096,
            starts: 1024,
            backfill: Order::default(),
            prediction: true,
            patience: Some(100),
            taking: Taking::default(),
            growth: Span::from_hours(1),
            lending: BTreeMap::new(),
            failover: Some(Span::from_mins(30)),
            nodes: Box::default(),
            stops: Stops::default(),
            refund: Refund::Lost,
        }
    }
}

impl Refund {
    /// What foundings of before had.
    fn of_before() -> Refund {
        Refund::Whole
    }
}

impl NodeRules {
    /// What foundings of before had: no rule.
    fn of_before() -> Box<NodeRules> {
        Box::new(NodeRules { times: 0, lasting: false, ..NodeRules::default() })
    }
}

/// The defaults named at each field.
impl Default for NodeRules {
    fn default() -> Self {
        NodeRules {
            times: 3,
            users: 2,
            window: Span::from_hours(24),
            most: 5,
            lasting: true,
            spares: BTreeMap::new(),
            xids: alloc::vec![46, 48, 64, 79, 95, 119, 120, 140],
            warm: 85,
            hot: 95,
        }
    }
}

/// The defaults named at each field.
impl Default for Stops {
    fn default() -> Self {
        Stops { hours: 50_700, cost: Span::from_mins(2) }
    }
}

/// The defaults named at each field.
impl Default for Taking {
    fn default() -> Self {
        Taking {
            reclaim: true,
            preempts: Some(Qos::High),
            preemptible: Qos::Low,
            order: VictimOrder::LeastLost,
            cap: Span::from_hours(1),
            grace: Span::from_mins(2),
            settle: Span::from_mins(10),
            times: 4,
            window: Span::from_hours(24),
            gain: Span::from_mins(5),
            jobs: 16,
        }
    }
}
