//! The only loop. A world is the server (journal, clock, engines) or the simulator (virtual time, faults).
use crate::effect::Effect;
use crate::input::Signed;
use crate::state::Centre;
use alloc::vec::Vec;
use madang_model::Time;

/// What a centre lives in.
pub trait World {
    /// Wait for inputs, or until `wake`, whichever is first; `None` ends the loop. What is returned is durable.
    fn next(&mut self, wake: Option<Time>) -> Option<(Time, Vec<Signed>)>;
    /// Have the effects done. Hands over, never waits.
    fn perform(&mut self, now: Time, effects: Vec<Effect>, centre: &Centre);
}

/// Run a centre in a world until the world ends.
pub fn drive(centre: &mut Centre, world: &mut impl World) {
    while let Some((now, inputs)) = world.next(centre.wake()) {
        let effects = centre.step(now, inputs);
        world.perform(now, effects, centre);
    }
}
