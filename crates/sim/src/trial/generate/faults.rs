//! Nodes that break, by GPU-hours of the estate, and how long until they are mended.
use super::super::machine::Machine;
use super::super::workload::Fault;
use super::quantiles::Quantiles;
use super::recipe::{Choice, Recipe};
use crate::rng::Rng;
use madang_model::{Span, Time};

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// Nodes that break, each up again before it breaks once more.
pub(super) fn faults(recipe: &Recipe, machine: &Machine, span: Span, rng: &mut Rng) -> Vec<Fault> {
    let hours = u128::from(machine.gpus()) * u128::from(span.millis()) / u128::from(HOUR);
    let between = u128::from(recipe.breaks.gpu_hours.max(1));
    let rest = (hours % between) as u64;
    let count = (hours / between) as u64 + u64::from(rng.below(between as u64) < rest);
    let gpus = machine.fabrics.iter().flat_map(|fabric| std::iter::repeat_n(fabric.gpus, fabric.nodes as usize));
    let nodes = Choice::of(gpus.map(u64::from));
    let repairs = Quantiles::of(&recipe.breaks.repairs);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| Fault {
            at: Time::from_millis(rng.below(span.millis().max(1))),
            node: nodes.draw(rng) as u32,
            lasts: Span::from_millis(repairs.draw(rng)),
        })
        .collect();
    faults.sort_unstable_by_key(|fault| (fault.at, fault.node, fault.lasts));
    let mut up = std::collections::BTreeMap::new();
    faults.retain(|fault| {
        let stands = up.get(&fault.node).is_none_or(|up: &Time| *up < fault.at);
        if stands {
            up.insert(fault.node, fault.at.after(fault.lasts));
        }
        stands
    });
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_their_rate_and_never_on_a_broken_node() {
        let (machine, recipe) = (Machine::plain(2000, 8), super::super::national::recipe());
        let list = faults(&recipe, &machine, Span::from_days(60), &mut Rng::new(2));
        // 16,000 GPUs x 1440 h / 50,700 h are 454.
        assert!((380..=455).contains(&list.len()), "{}", list.len());
        for (at, fault) in list.iter().enumerate() {
            let mut later = list[at + 1..].iter().filter(|other| other.node == fault.node);
            assert!(later.all(|other| other.at > fault.at.after(fault.lasts)));
        }
    }
}
