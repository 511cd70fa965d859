//! GPUs held over time, for the overview: at most 240 points. When they are full every second one is dropped and the
//! pace halves, so that the chart always spans the whole time since the server started.

use madang_centre::Centre;
use madang_model::{Span, Time};

/// Most points.
const POINTS: usize = 240;
/// The first pace.
const PACE: Span = Span::from_secs(2);

/// The chart.
pub struct Chart {
    points: Vec<(u64, Vec<u32>)>,
    pace: Span,
    next: Time,
}

impl Chart {
    /// An empty chart from a moment on.
    pub fn new(from: Time) -> Chart {
        Chart { points: Vec::new(), pace: PACE, next: from }
    }

    /// Takes a point if its time has come.
    pub fn sample(&mut self, now: Time, centre: &Centre) {
        if now < self.next {
            return;
        }
        self.next = now + self.pace;
        self.points.push((now.millis(), busy(centre)));
        if self.points.len() >= POINTS {
            self.thin();
        }
    }

    /// All points, oldest first.
    pub fn points(&self) -> Vec<(u64, Vec<u32>)> {
        self.points.clone()
    }

    fn thin(&mut self) {
        let mut keep = false;
        self.points.retain(|_| {
            keep = !keep;
            keep
        });
        self.pace = Span::from_millis(self.pace.millis() * 2);
    }
}

/// GPUs held now, by site.
pub fn busy(centre: &Centre) -> Vec<u32> {
    let Some(founding) = centre.founding() else { return Vec::new() };
    let mut held = vec![0; founding.sites.len()];
    for node in founding.nodes.iter().filter(|node| node.gpus > 0) {
        held[node.site.index()] += centre.node_load(node.id).0.count_ones();
    }
    held
}
