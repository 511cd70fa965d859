//! Gangs fitted to a machine: how many GPUs become how many nodes with how many each.
//!
//! Nodes of one size are one choice, taken in proportion to their GPUs among those whose largest fabric holds the gang.
//! What fits on one node stays on one; larger gangs take whole nodes. A gang that no fabric holds is cut to the largest.
use super::super::machine::Machine;
use super::recipe::Choice;
use crate::rng::Rng;

/// Nodes of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    /// GPUs of a node.
    gpus: u32,
    /// CPUs beside each GPU, at least 1.
    cpus: u32,
    /// Nodes of the largest fabric.
    most: u32,
    /// GPUs of all fabrics.
    all: u64,
}

/// A gang as a job asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub nodes: u32,
    pub gpus: u32,
    pub cpus: u32,
    /// Whether it was cut to what the machine holds.
    pub cut: bool,
}

/// How a machine takes gangs.
pub(super) struct Shapes {
    sizes: Vec<Size>,
}

impl Shapes {
    /// Of a machine; `None` if it has no GPUs.
    pub fn of(machine: &Machine) -> Option<Shapes> {
        let mut sizes: Vec<Size> = Vec::new();
        for fabric in machine.fabrics.iter().filter(|fabric| fabric.gpus > 0 && fabric.nodes > 0) {
            let (gpus, cpus) = (fabric.gpus, (fabric.cpus / fabric.gpus).max(1));
            let all = u64::from(fabric.nodes) * u64::from(gpus);
            match sizes.iter_mut().find(|size| size.gpus == gpus) {
                Some(size) => {
                    (size.most, size.all) = (size.most.max(fabric.nodes), size.all + all);
                    size.cpus = size.cpus.min(cpus);
                }
                None => sizes.push(Size { gpus, cpus, most: fabric.nodes, all }),
            }
        }
        (!sizes.is_empty()).then_some(Shapes { sizes })
    }

    /// GPUs of the largest gang.
    pub fn largest(&self) -> u32 {
        self.sizes.iter().map(|size| size.gpus * size.most).max().unwrap_or(0)
    }

    /// Fits a gang.
    pub fn fit(&self, rng: &mut Rng, gpus: u32) -> Shape {
        let wanted = gpus.min(self.largest());
        let holds = |size: &Size| if size.gpus * size.most >= wanted { size.all } else { 0 };
        let size = match self.sizes.as_slice() {
            [only] => only,
            several => &several[Choice::of(several.iter().map(holds)).draw(rng)],
        };
        let nodes = wanted.div_ceil(size.gpus);
        let each = if nodes == 1 { wanted } else { size.gpus };
        Shape { nodes, gpus: each, cpus: each * size.cpus, cut: wanted < gpus }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::Fabric;
    use super::*;

    #[test]
    fn gangs_fit_the_fabric_they_are_shaped_for() {
        let fabric =
            |name: &str, nodes, gpus| Fabric { name: name.into(), nodes, gpus, cpus: gpus * 10, memory_mib: 0 };
        let machine = Machine::fabrics("mixed", vec![fabric("a", 4, 8), fabric("b", 20, 4), fabric("c", 3, 0)]);
        let (shapes, mut rng) = (Shapes::of(&machine).expect("it has GPUs"), Rng::new(1));
        let mut said = String::new();
        for gpus in [1, 3, 8, 9, 32, 33, 80, 500] {
            let mut drawn: Vec<_> = (0..50).map(|_| shapes.fit(&mut rng, gpus)).collect();
            drawn.sort_by_key(|shape| shape.nodes);
            drawn.dedup();
            let show =
                |shape: &Shape| format!(" {}x{}{}", shape.nodes, shape.gpus, if shape.cut { " cut" } else { "" });
            said += &format!("{gpus}:{}\n", drawn.iter().map(show).collect::<String>());
        }
        let expected = "1: 1x1\n3: 1x3\n8: 1x8 2x4\n9: 2x8 3x4\n32: 4x8 8x4\n33: 9x4\n80: 20x4\n500: 20x4 cut\n";
        assert_eq!(said, expected);
        assert!(Shapes::of(&Machine::fabrics("none", vec![fabric("c", 3, 0)])).is_none());
    }
}
