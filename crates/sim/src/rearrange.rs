//! An operator who now and then asks for a plan of moves and has it carried out: at once, too late, or with a mistake.
//!
//! A plan is an answer of the core, as an operator gets it; what is drawn is when it is asked for and what is spoilt. The
//! draws are a row of their own, so that everything else of a seed is drawn as without this operator.
use crate::rng::Rng;
use madang_centre::{Centre, Input};
use madang_model::Span;
use madang_sched::defrag::Bounds;

/// The operator.
#[derive(Debug)]
pub(crate) struct Operator {
    rng: Rng,
}

impl Operator {
    pub fn new(seed: u64) -> Operator {
        Operator { rng: Rng::new(seed ^ 0x6d61_6461_6e67) }
    }

    /// Moves to be made, and after how long they are asked for.
    pub fn rearranges(&mut self, centre: &Centre) -> Option<(Span, Input)> {
        if !self.rng.per_mille(120) {
            return None;
        }
        let horizon = Span::from_hours(self.rng.range(1, 48));
        let plan = centre.defrag(centre.now(), &Bounds { site: None, horizon, most: self.rng.range(1, 8) as usize })?;
        let mut groups = centre.move_groups(&plan);
        if groups.is_empty() {
            return None;
        }
        if self.rng.per_mille(100) {
            groups.reverse();
        }
        if self.rng.per_mille(100) {
            let again = groups[0].clone();
            groups.push(again);
        }
        if self.rng.per_mille(100) {
            groups[0].moves[0].to.pop();
        }
        let after = if self.rng.per_mille(500) { 0 } else { self.rng.below(600_000) };
        Some((Span::from_millis(after), Input::Defrag { groups }))
    }
}
