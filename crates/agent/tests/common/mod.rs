//! What tests of links share: a store in memory, and a site.
use madang_agent::{Fault, Keep, Site};
use madang_engine::Expected;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A store in memory, which outlives the registers that use it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, String>>>);

impl Keep for Memory {
    fn all(&self) -> Result<Vec<(String, String)>, Fault> {
        let kept = self.0.lock().expect("nobody panics");
        Ok(kept.iter().map(|(key, text)| (key.clone(), text.clone())).collect())
    }
    fn put(&self, key: &str, text: &str) -> Result<(), Fault> {
        self.0.lock().expect("nobody panics").insert(key.to_owned(), text.to_owned());
        Ok(())
    }
    fn take(&self, key: &str) -> Result<bool, Fault> {
        Ok(self.0.lock().expect("nobody panics").remove(key).is_some())
    }
}

/// A site of one node.
pub fn site(name: &str, node: &str) -> Site {
    let node = Expected { name: node.to_owned(), gpus: 0, cpus: 4, memory_mib: 4_096 };
    Site { name: name.to_owned(), nodes: vec![node], silent_after: Duration::from_secs(60), seen_ms: 0 }
}
