//! Fixed pieces of work, for counting instructions: the count of none of the steps is what making the world takes.
use crate::world::{Shape, World};
use crate::{Gang, PROJECTS};

/// Does so many steps of a scenario and gives the decisions made in them; `None` for one that is not known.
pub fn run(scenario: &str, steps: u64) -> Option<u64> {
    let shape = Shape { gpus: Some(4000), projects: PROJECTS, waiting: 5_000, seed: 0 };
    match scenario {
        // A decision is a cycle.
        "churn" => {
            let mut world = World::full(shape);
            for round in 0..steps {
                let events = world.churn(round);
                world.step(events);
            }
            Some(steps)
        }
        // A decision is a gang's promise, with the cycles while it waits.
        "gang" => {
            let mut world = World::full(shape);
            if steps > 0 {
                Gang::measure(&mut world, steps);
            }
            Some(steps)
        }
        // A decision is a start.
        "place" => {
            let mut world = World::empty(Shape { waiting: 0, ..shape });
            let mut started = 0;
            for _ in 0..steps {
                let events = (0..100).map(|_| world.ask(1, 1, 3600)).collect();
                started += world.step(events).starts.len() as u64;
            }
            Some(started)
        }
        _ => None,
    }
}
