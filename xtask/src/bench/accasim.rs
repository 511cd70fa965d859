//! AccaSim, a simulator of dispatchers from Python's registry, on the same log with its own EASY.
use super::table::number;
use super::{Bench, peers};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Its last release is older than the Python here: one name has moved since. It wants jobs in the order of their
/// submission, and a size of zero for memory is not for it: nodes have one core and nothing else.
const SCRIPT: &str = r#"
import collections, collections.abc, gzip, json, sys, time
collections.Mapping = collections.abc.Mapping
from accasim.base.simulator_class import Simulator
from accasim.base.scheduler_class import EASYBackfilling
from accasim.base.allocator_class import FirstFit
from accasim.utils.reader_class import DefaultTweaker

class Cores(DefaultTweaker):
    def tweak_function(self, job):
        job.pop("mem", None)
        return super().tweak_function(job)

source, processors = sys.argv[1], int(sys.argv[2])
rows = [line for line in gzip.open(source, "rt") if line.strip() and not line.startswith(";")]
rows.sort(key=lambda line: (int(line.split()[1]), int(line.split()[0])))
open("accasim.swf", "w").writelines(rows)
cores = {"processor": {"core": 1}}
groups = {"groups": {"node": {"core": 1}}, "resources": {"node": processors}, "equivalence": cores, "start_time": 0}
json.dump(groups, open("accasim.json", "w"))
simulator = Simulator(
    "accasim.swf", "accasim.json", EASYBackfilling(FirstFit()), tweak_function=Cores(0, equivalence=cores),
    scheduling_output=False, statistics_output=False, show_statistics=False, RESULTS_FOLDER_PATH="accasim-results")
begun = time.process_time()
simulator.start_simulation()
print(simulator.dispatched_jobs, time.process_time() - begun)
"#;

/// Its name, version and jobs a second, or why it is absent.
pub fn measure(bench: &Bench, log: &Path, processors: u64) -> String {
    eprintln!("bench: AccaSim");
    run(bench, log, processors).unwrap_or_else(|error| {
        eprintln!("bench: AccaSim is absent: {error:#}");
        "AccaSim absent (recorded elsewhere: 1,600/s)".to_owned()
    })
}

fn run(bench: &Bench, log: &Path, processors: u64) -> Result<String> {
    let (python, version) = peers::python_with(bench, "accasim")?;
    let mut script = Command::new(python);
    script.args(["-c", SCRIPT]).arg(log).arg(processors.to_string()).current_dir(&bench.scratch);
    let output = script.output().context("failed to run AccaSim")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().next_back().unwrap_or("");
    let figures: Vec<f64> = last.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [jobs, secs] = figures[..] else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("AccaSim said {last:?} and {}", said.trim().lines().next_back().unwrap_or(""));
    };
    Ok(format!("AccaSim {version} {}/s", number(jobs / secs)))
}
