//! Fragmentation: how much of a node's idle GPU capacity what typically comes next cannot use.
//!
//! The measure is that of FGD (Weng et al., "Beware of Fragmentation", USENIX ATC 2023). A [`Mix`] holds the typical
//! asks m with their weights w, the most frequent ones. Idle GPU capacity of a node is a fragment for m when
//! - m asks no GPU, or the node's model, its CPU or the number of its GPUs with enough left does not serve m: all of it;
//! - else: what is left on those GPUs that have less left than m asks.
//!
//! The node's fragmentation is the weighted mean over the mix. [`Fragmentation::of`] gives the weighted *sum*, an exact
//! integer in thousandths of a GPU times weight; divide by [`Fragmentation::weight`] for the mean.
//!
//! Intuition: what is not a fragment is `sum over GPUs of left x (weight of the asks that could use that GPU)`, and that
//! weight depends only on the CPU left and on the GPU itself (shares), or on how many GPUs are free (whole GPUs). Both
//! are read from tables made once per mix, so that a node costs a few look-ups, not a walk over the mix.
//!
//! Invariants: integers only; 0 <= `of` <= idle x `weight`; equal nodes have equal fragmentation, in any order of GPUs.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One whole GPU, in thousandths.
pub const WHOLE: u16 = 1000;

/// What is asked of a node's GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GpuAsk {
    /// None at all.
    None,
    /// So many thousandths of one GPU, below 1000.
    Share(u16),
    /// So many whole GPUs, at least one.
    Whole(u8),
}

impl GpuAsk {
    /// All it asks, in thousandths of a GPU.
    pub fn milli(self) -> u32 {
        match self {
            GpuAsk::None => 0,
            GpuAsk::Share(milli) => u32::from(milli),
            GpuAsk::Whole(gpus) => u32::from(gpus) * u32::from(WHOLE),
        }
    }
}

/// GPU models by index: those that serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Models(pub u64);

impl Models {
    /// Every model.
    pub const ANY: Models = Models(u64::MAX);

    /// True if the model of this index serves; there are 64 at most.
    pub fn serve(self, model: u8) -> bool {
        self.0 >> (model & 63) & 1 == 1
    }
}

/// What is asked of one node, as far as fragmentation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// GPUs.
    pub gpus: GpuAsk,
    /// Models that serve; no matter where no GPU is asked.
    pub models: Models,
}

/// Typical asks, most frequent first, with their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix(pub Vec<(Ask, u32)>);

impl Mix {
    /// The most frequent asks, as many as it takes to cover `percent` of all.
    pub fn typical(asks: impl Iterator<Item = Ask>, percent: u32) -> Mix {
        let mut counts: BTreeMap<Ask, u32> = BTreeMap::new();
        let mut all = 0_u64;
        for ask in asks {
            *counts.entry(ask).or_default() += 1;
            all += 1;
        }
        let mut mix: Vec<(Ask, u32)> = counts.into_iter().collect();
        mix.sort_by(|(one, more), (other, less)| (less, other).cmp(&(more, one)));
        let mut covered = 0_u64;
        let taken = mix.iter().take_while(|(_, count)| {
            let short = covered * 100 < all * u64::from(percent);
            covered += u64::from(*count);
            short
        });
        let taken = taken.count();
        mix.truncate(taken);
        Mix(mix)
    }
}

/// The measure for a mix, ready to be asked.
#[derive(Clone, Debug)]
pub struct Fragmentation {
    tables: Vec<Table>,
    weight: u64,
}

/// What a node of one model can serve, by the CPU it has left.
#[derive(Clone, Debug, Default)]
struct Table {
    /// CPU asked, ascending; row 0 of the weights is for less than the first, row n for at least the nth.
    cpus: Vec<u32>,
    /// For each thousandth left on a GPU, the column of `one`.
    column: Vec<u16>,
    columns: usize,
    /// Weight of the asks of one GPU or less, by row and column.
    one: Vec<u64>,
    /// Weight of the asks of several GPUs, by row and GPUs free.
    many: Vec<u64>,
    most: usize,
}

impl Fragmentation {
    /// The measure for a mix on nodes of `models` models.
    pub fn new(mix: &Mix, models: u8) -> Fragmentation {
        let tables = (0..models).map(|model| Table::new(mix, model)).collect();
        Fragmentation { tables, weight: mix.0.iter().map(|(_, weight)| u64::from(*weight)).sum() }
    }

    /// The sum of all weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Fragmentation of a node times [`Fragmentation::weight`]: its model, CPU left, thousandths left on each GPU.
    pub fn of(&self, model: u8, cpu_milli: u32, left: &[u16]) -> u64 {
        let idle: u64 = left.iter().map(|milli| u64::from(*milli)).sum();
        idle * self.weight - self.usable(model, cpu_milli, left)
    }

    /// The rest of the idle capacity: what typical asks could use, times the weight.
    pub fn usable(&self, model: u8, cpu_milli: u32, left: &[u16]) -> u64 {
        let Some(table) = self.tables.get(usize::from(model)) else { return 0 };
        let row = table.cpus.partition_point(|cpu| *cpu <= cpu_milli);
        let one = &table.one[row * table.columns..][..table.columns];
        let mut sum = 0;
        let mut free = 0_usize;
        for milli in left {
            sum += u64::from(*milli) * one[usize::from(table.column[usize::from((*milli).min(WHOLE))])];
            free += usize::from(*milli >= WHOLE);
        }
        sum + free as u64 * u64::from(WHOLE) * table.many[row * (table.most + 1) + free.min(table.most)]
    }
}

impl Table {
    fn new(mix: &Mix, model: u8) -> Table {
        let serving = || mix.0.iter().filter(|(ask, _)| ask.gpus != GpuAsk::None && ask.models.serve(model));
        let mut cpus: Vec<u32> = serving().map(|(ask, _)| ask.cpu_milli).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let mut steps: Vec<u16> = serving().filter_map(|(ask, _)| single(ask.gpus)).collect();
        steps.sort_unstable();
        steps.dedup();
        let columns = steps.len() + 1;
        let column = (0..=WHOLE).map(|left| steps.partition_point(|step| *step <= left) as u16).collect();
        let most = serving().map(|(ask, _)| several(ask.gpus)).max().unwrap_or(0);
        let mut one = alloc::vec![0; (cpus.len() + 1) * columns];
        let mut many = alloc::vec![0; (cpus.len() + 1) * (most + 1)];
        for row in 1..=cpus.len() {
            for (ask, weight) in serving().filter(|(ask, _)| ask.cpu_milli <= cpus[row - 1]) {
                match single(ask.gpus) {
                    Some(milli) => (0..columns)
                        .filter(|column| *column > 0 && steps[*column - 1] >= milli)
                        .for_each(|column| one[row * columns + column] += u64::from(*weight)),
                    None => {
                        (several(ask.gpus)..=most).for_each(|free| many[row * (most + 1) + free] += u64::from(*weight))
                    }
                }
            }
        }
        Table { cpus, column, columns, one, many, most }
    }
}

/// Thousandths asked of one GPU, if only one is asked.
fn single(gpus: GpuAsk) -> Option<u16> {
    match gpus {
        GpuAsk::Share(milli) => Some(milli),
        GpuAsk::Whole(1) => Some(WHOLE),
        GpuAsk::None | GpuAsk::Whole(_) => None,
    }
}

/// GPUs asked, if several are.
fn several(gpus: GpuAsk) -> usize {
    match gpus {
        GpuAsk::Whole(gpus) if gpus > 1 => usize::from(gpus),
        GpuAsk::None | GpuAsk::Share(_) | GpuAsk::Whole(_) => 0,
    }
}
