//! The promises that all engines make, kept by the local one.
use crate::bench::options;
use crate::promises::{CASES, Place, try_all};
use madang_engine::{Engine, EngineReport, LocalEngine};
use std::path::Path;
use std::sync::mpsc::Sender;

struct Here;

impl Place for Here {
    fn open(&self, dir: &Path, reports: Sender<EngineReport>) -> Box<dyn Engine> {
        Box::new(LocalEngine::open(dir, options(), reports).expect("the folder is free"))
    }

    fn node(&self) -> &str {
        "here"
    }
}

#[test]
fn the_local_engine_keeps_every_promise() {
    assert_eq!(try_all(&Here, CASES, 4), [""; 0]);
}
