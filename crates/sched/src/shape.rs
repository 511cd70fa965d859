//! Shapes: distinct requests, matched against the estate once.
//!
//! Intuition: a hundred thousand jobs ask for a few dozen different things. What was found out for one job of a shape in
//! a cycle holds for all others of that shape, because capacity only shrinks while a cycle runs.
use crate::cluster::Cluster;
use crate::estate::{Amount, Estate, Pool};
use crate::parts::Piece;
use crate::place;
use crate::wish::{self, Wish};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_model::share::WHOLE;
use madang_model::{
    Blocked, Choice, IslandId, JobId, NodeId, Part, Request, ReservationId, Share, SiteId, Span, Topology,
};
use serde::{Deserialize, Serialize};

/// Most kinds of gang that are told apart; a request with more is refused before.
const MOST_KINDS: u32 = madang_model::choice::MOST_KINDS;

/// A pool that can hold a part, and what the part takes of each of its nodes.
#[derive(Clone, Debug)]
pub(crate) struct Fitting {
    pub pool: usize,
    /// One GPU where a piece of one is asked.
    pub need: Amount,
    /// What is asked of that GPU, where that is not all of it.
    pub piece: Option<Piece>,
    /// True when nobody else can use the node beside it, so that neighbours matter more than leftovers.
    pub whole: bool,
    /// The kinds of gang that it serves: bit k is kind k.
    pub kinds: u32,
}

/// One part of a gang.
#[derive(Clone, Debug)]
pub(crate) struct PartPlan {
    pub nodes: u32,
    /// Ascending by pool, and so by island.
    pub fitting: Vec<Fitting>,
}

impl PartPlan {
    /// The pools in the order in which they are looked at: what asks for no GPU goes first where there are none.
    pub fn in_turn<'a>(&'a self, estate: &'a Estate) -> impl Iterator<Item = &'a Fitting> {
        let bare = |fit: &&Fitting| estate.pools[fit.pool].total.gpus == 0;
        self.fitting.iter().filter(bare).chain(self.fitting.iter().filter(move |fit| !bare(fit)))
    }
}

/// What is known of a shape that failed: nothing of it with this limit or a longer one can start until something grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memo {
    /// The shortest limit that is known to fail.
    pub limit: Span,
    /// Nodes that could hold a part.
    pub fitting: u32,
    /// The job whose promise stands in the way; `None` when capacity alone is short.
    pub behind: Option<JobId>,
    /// The reservation whose windows alone stand in the way.
    #[serde(default)]
    pub window: Option<ReservationId>,
    /// Nodes that may hold a part by now: no more than `fitting` and those that have grown since.
    #[serde(default = "any_number")]
    pub most: u32,
}

/// What a snapshot of before says of [`Memo::most`]: nothing.
fn any_number() -> u32 {
    u32::MAX
}

/// A distinct request.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub request: Request,
    pub parts: Vec<PartPlan>,
    /// How many kinds of gang would do, the most wanted first: one for each way to choose between the models and features
    /// by which all nodes of a part go alike.
    pub kinds: u32,
    /// What it asks of the tree of domains.
    pub wish: Wish,
    /// Islands that may hold any of it, ascending.
    pub islands: Vec<IslandId>,
    /// No set of nodes of the estate could ever hold it.
    pub never: bool,
    /// The nodes that take work now could hold it, were they empty.
    pub possible: bool,
    pub memo: Option<Memo>,
    /// The queue's round in which `possible` was found out.
    pub matched: u64,
    /// Milli-GPUs it would hold, for ordering.
    pub rate: u64,
}

impl Shape {
    /// Matches a request. `never` and `possible` are left to the caller, who has the nodes at hand.
    pub fn new(request: Request, estate: &Estate) -> Shape {
        let kinds = Kinds::new(&request.parts);
        let plan = |(index, part): (usize, &Part)| PartPlan {
            nodes: part.nodes,
            fitting: fitting(part, &request.sites, estate, |pool| kinds.served_by(index, pool)),
        };
        let parts: Vec<PartPlan> = request.parts.iter().enumerate().map(plan).collect();
        let kinds = kinds.count;
        let mut islands: Vec<IslandId> =
            parts.iter().flat_map(|part| &part.fitting).map(|fit| estate.pools[fit.pool].island).collect();
        islands.sort();
        islands.dedup();
        if !request.across_islands {
            islands.retain(|island| {
                parts.iter().all(|part| part.fitting.iter().any(|fit| estate.pools[fit.pool].island == *island))
            });
        }
        let wish = Wish::new(&request, &parts, &islands, estate);
        islands.retain(|island| wish.of(*island).is_some());
        let rate = request
            .parts
            .iter()
            .fold(0u64, |sum, part| sum.saturating_add(u64::from(part.nodes).saturating_mul(part.milli().max(1))));
        Shape { request, parts, kinds, wish, islands, never: true, possible: false, memo: None, matched: 0, rate }
    }

    /// True when a job of this shape with this limit is known not to start.
    pub fn failed(&self, limit: Span) -> bool {
        self.memo.is_some_and(|memo| limit >= memo.limit)
    }

    /// True when some limit is short enough for a job of this shape to start, as far as is known.
    pub fn live_at_all(&self) -> bool {
        self.possible && !self.failed(Span::ZERO)
    }

    /// True of a job of one node that may be any that suits it.
    pub fn is_single(&self) -> bool {
        matches!(self.parts.as_slice(), [part] if part.nodes == 1) && self.request.include.is_empty()
    }

    /// True of a job of one node that may be any that suits it and names no reservation.
    pub fn is_free(&self) -> bool {
        self.is_single() && self.request.reservation.is_none()
    }

    /// Nodes of the whole gang.
    pub fn nodes(&self) -> u32 {
        nodes(&self.request)
    }

    /// True when the shape may be placed at last, now that these nodes have grown. Of a gang of equal nodes it is known
    /// how many could hold a part before; it still fails while these and the grown ones are too few.
    pub fn wakes(&mut self, cluster: &Cluster, grown: &[NodeId]) -> bool {
        let count = self.served_by(cluster, grown);
        let plain = self.request.include.is_empty() && self.request.topology == Topology::default();
        let (Some(memo), [part], true) = (&mut self.memo, self.parts.as_slice(), plain) else { return count > 0 };
        memo.most = memo.most.saturating_add(count);
        count > 0 && memo.most >= part.nodes
    }

    /// How many of these nodes could hold a part now, were no promise in the way.
    pub fn served_by(&self, cluster: &Cluster, nodes: &[NodeId]) -> u32 {
        let serves = |node: &&NodeId| {
            let pool = cluster.estate.nodes[node.index()].pool;
            let fits = |fit: &Fitting| fit.pool == pool && cluster.fits(**node, fit);
            cluster.nodes[node.index()].up && self.parts.iter().any(|part| part.fitting.iter().any(fits))
        };
        nodes.iter().filter(serves).count() as u32
    }

    /// What it waits for when capacity is short, given what was found for it.
    pub fn short(&self, fitting: u32) -> Blocked {
        let asked = &self.request.topology;
        let wanted = match asked.segment {
            Some(segment) => self.nodes().saturating_sub(asked.spares) / segment.max(1),
            None => self.nodes(),
        };
        if asked.required.is_none() && asked.segment.is_none() {
            return Blocked::Resources { fitting, wanted };
        }
        Blocked::Domain { level: asked.required.clone(), segment: asked.segment, fitting, wanted }
    }

    /// The places that its sites have among themselves, the best first: one where all are reached alike.
    pub fn ranks(&self) -> core::ops::RangeInclusive<u32> {
        0..=self.request.reach.iter().map(|reach| reach.rank).max().unwrap_or(0)
    }

    /// True of a site with this place.
    pub fn is_ranked(&self, rank: u32, site: SiteId) -> bool {
        self.request.reach.is_empty() || self.request.rank_of(site) == rank
    }

    pub fn uses(&self, pool: usize) -> bool {
        self.parts.iter().any(|part| part.fitting.iter().any(|fit| fit.pool == pool))
    }

    pub fn allows(&self, node: NodeId) -> bool {
        self.request.exclude.binary_search(&node).is_err()
    }
}

/// Nodes of the whole gang, however absurd the request.
pub(crate) fn nodes(request: &Request) -> u32 {
    request.parts.iter().fold(0, |sum, part| part.nodes.saturating_add(sum))
}

/// What a part takes of a node with this much in all.
fn need(part: &Part, total: Amount) -> Amount {
    let cpus = if part.exclusive { total.cpus.max(part.cpus) } else { part.cpus.max(1) };
    let all = part.exclusive || part.memory_mib == 0;
    let memory = if all { total.memory.max(part.memory_mib) } else { part.memory_mib };
    Amount { gpus: part.gpus, cpus, memory }
}

fn suits(part: &Part, pool: &Pool) -> bool {
    let share = part.share.as_ref().is_none_or(|share| part.gpus == 1 && pool.parts.offers(share));
    is_of_model(pool, part)
        && share
        && part.features.iter().all(|feature| feature.words().iter().any(|word| has(pool, word)))
}

fn is_of_model(pool: &Pool, part: &Part) -> bool {
    part.model.as_ref().is_none_or(|model| model.words().iter().any(|word| is_of(pool, word)))
}

fn is_of(pool: &Pool, model: &str) -> bool {
    pool.model.as_deref() == Some(model)
}

/// True of a pool with this feature. A node's GPU model is one of its features too: many sites name it by `--constraint`.
fn has(pool: &Pool, feature: &str) -> bool {
    pool.features.binary_search_by(|known| known.as_str().cmp(feature)).is_ok() || is_of(pool, feature)
}

/// The choices that all nodes of a part make alike, over all parts: the first weighs most, of each the first word.
struct Kinds<'a> {
    /// The part, whether it is of models, and the words.
    choices: Vec<(usize, bool, &'a [String])>,
    count: u32,
}

impl Kinds<'_> {
    fn new(parts: &[Part]) -> Kinds<'_> {
        let mut kinds = Kinds { choices: Vec::new(), count: 1 };
        for (index, part) in parts.iter().enumerate() {
            let models = part.model.iter().map(|choice| (true, choice));
            let choices = models.chain(part.features.iter().map(|choice| (false, choice)));
            for (is_model, choice) in choices.filter(|(_, choice)| choice.binds()) {
                let words = &choice.words()[..choice.words().len().min((MOST_KINDS / kinds.count) as usize)];
                kinds.count *= words.len() as u32;
                kinds.choices.push((index, is_model, words));
            }
        }
        kinds
    }

    /// The kinds that the pool serves as a node of this part.
    fn served_by(&self, part: usize, pool: &Pool) -> u32 {
        let serves = |kind: &u32| {
            let mut rest = *kind;
            self.choices.iter().rev().all(|(of, is_model, words)| {
                let word = &words[rest as usize % words.len()];
                rest /= words.len() as u32;
                *of != part || if *is_model { is_of(pool, word) } else { has(pool, word) }
            })
        };
        (0..self.count).filter(serves).fold(0, |mask, kind| mask | 1 << kind)
    }
}

fn fitting(part: &Part, sites: &[SiteId], estate: &Estate, kinds: impl Fn(&Pool) -> u32) -> Vec<Fitting> {
    let mut list = Vec::new();
    for (index, pool) in estate.pools.iter().enumerate() {
        let need = need(part, pool.total);
        if sites.contains(&pool.site) && suits(part, pool) && need.within(pool.total) {
            let piece = part.share.as_ref().and_then(|share| Piece::new(share, &pool.parts));
            let all = piece.is_none() && need.gpus > 0 && need.gpus == pool.total.gpus;
            let whole = all || need.cpus == pool.total.cpus;
            list.push(Fitting { pool: index, need, piece, whole, kinds: kinds(pool) });
        }
    }
    list
}

/// What is short for a request that no set of nodes could ever hold, in names and numbers.
pub(crate) fn shortage(request: &Request, estate: &Estate) -> String {
    let names: Vec<&str> =
        request.sites.iter().filter_map(|site| estate.sites.get(site.index())).map(String::as_str).collect();
    if names.is_empty() {
        return "asks for no site".to_string();
    }
    let place = names.join(", ");
    if request.parts.is_empty() {
        return "asks for no nodes".to_string();
    }
    for part in &request.parts {
        if let Some(text) = part_shortage(part, request, estate, &place) {
            return text;
        }
    }
    if let Some(text) = wish::absurdity(request) {
        return text;
    }
    if !request.include.is_empty() {
        let name = |node: &NodeId| estate.nodes.get(node.index()).map_or("?", |facts| &facts.name);
        let listed: Vec<&str> = request.include.iter().map(name).collect();
        return format!("must include {}, which cannot be part of one gang of it at {place}", listed.join(", "));
    }
    let shape = Shape::new(request.clone(), estate);
    let best = place::best(&shape, estate);
    if let Some(text) = wish::shortage(request, &shape.wish, estate, &place, best) {
        return text;
    }
    let scope = if request.across_islands { "site" } else { "island" };
    let parts = request.parts.iter();
    let choices = parts.flat_map(|part| part.model.iter().chain(&part.features)).filter(|choice| choice.binds());
    let alike: String = choices.map(|choice| format!(", all of {}", choice.words().join(" or all of "))).collect();
    format!("asks for {} nodes together{alike}, no {scope} of {place} has that many that fit", nodes(request))
}

/// What is short for one part alone, looked at on single nodes.
fn part_shortage(part: &Part, request: &Request, estate: &Estate, place: &str) -> Option<String> {
    let pools: Vec<&Pool> = estate.pools.iter().filter(|pool| request.sites.contains(&pool.site)).collect();
    if part.nodes == 0 {
        return Some("asks for a part of no nodes".to_string());
    }
    let none = |model: &&Choice| !pools.iter().any(|pool| model.words().iter().any(|word| is_of(pool, word)));
    if let Some(model) = part.model.as_ref().filter(none) {
        return Some(format!("asks for {model} GPUs, {place} has none"));
    }
    if let Some(text) = share_shortage(part, &pools, place) {
        return Some(text);
    }
    let suited: Vec<&&Pool> = pools.iter().filter(|pool| suits(part, pool)).collect();
    if suited.is_empty() {
        let features: Vec<String> = part.features.iter().map(Choice::to_string).collect();
        return Some(format!("asks for nodes with {}, {place} has none", features.join(", ")));
    }
    let most = |figure: fn(&Pool) -> u64| suited.iter().map(|pool| figure(pool)).max().unwrap_or(0);
    let largest = most(|pool| u64::from(pool.total.gpus));
    if u64::from(part.gpus) > largest {
        return Some(format!("asks for {} GPUs on a node, the largest node of {place} has {largest}", part.gpus));
    }
    let largest = most(|pool| u64::from(pool.total.cpus));
    if u64::from(part.cpus) > largest {
        return Some(format!("asks for {} CPUs on a node, the largest node of {place} has {largest}", part.cpus));
    }
    let largest = most(|pool| pool.total.memory);
    if part.memory_mib > largest {
        let asked = part.memory_mib;
        return Some(format!("asks for {asked} MiB of memory on a node, the largest node of {place} has {largest}"));
    }
    let fitting = fitting(part, &request.sites, estate, |_| 1);
    let nodes: usize = fitting.iter().map(|fit| estate.pools[fit.pool].nodes.len()).sum();
    if (nodes as u64) < u64::from(part.nodes) {
        let (gpus, cpus) = (part.gpus, part.cpus);
        return Some(format!(
            "asks for {} nodes with {gpus} GPUs and {cpus} CPUs, {place} has {nodes} of them",
            part.nodes
        ));
    }
    None
}

/// What is wrong with a share that no device of these pools offers.
fn share_shortage(part: &Part, pools: &[&Pool], place: &str) -> Option<String> {
    let share = part.share.as_ref()?;
    if part.gpus != 1 {
        return Some(format!("asks for {share} of each of {} GPUs on a node, a share is of one", part.gpus));
    }
    let pools = || pools.iter().filter(|pool| is_of_model(pool, part));
    if pools().any(|pool| pool.parts.offers(share)) {
        return None;
    }
    match share {
        Share::Milli(milli) if !(1..WHOLE).contains(milli) => {
            Some(format!("asks for {milli} thousandths of a GPU, a share is of 1 to 999"))
        }
        Share::Milli(_) => Some(format!("asks for a share of a GPU, {place} has none that are shared")),
        Share::Slice(name) => {
            let mut offered: Vec<&str> = Vec::new();
            for profile in pools().flat_map(|pool| &pool.parts.profiles) {
                if !offered.contains(&profile.name.as_str()) {
                    offered.push(&profile.name);
                }
            }
            Some(match offered.is_empty() {
                true => format!("asks for a slice {name}, {place} has no GPUs that are cut into slices"),
                false => format!("asks for a slice {name}, {place} offers {}", offered.join(", ")),
            })
        }
    }
}
