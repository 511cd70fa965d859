//! `madang up` over a real Slurm: a job's exit code comes back, also when the server is killed meanwhile, and what
//! Slurm says of nodes is seen.
#[path = "../../../engine/tests/slurm/cluster.rs"]
mod cluster;

use cluster::Cluster;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A centre of the cluster's nodes; `CONF` and `SPOOL` are filled in.
const CENTRE: &str = r#"
[centre]
name = "lab"
title = "Lab"

[[party]]
name = "owner"
title = "Owner"

[[class]]
name = "research"
target = "100%"
rate = "0%"
source = "test"

[[site]]
name = "cluster"
title = "Cluster"
operator = "owner"
engine = "slurm"
shares = { owner = "100%" }
source = "test"

[site.slurm]
partition = "gpu"
conf = "CONF"
spool = "SPOOL"

[[site.island]]
name = "cluster"
nodes = 4
names = "n{1}"
nodes_per_rack = 4
gpus_per_node = 8
gpu = "h200"
gpu_memory = "141 GiB"
cpus_per_node = 64
memory_per_node = "250 GiB"

[[price]]
gpu = "h200"
from = 2025-02-20
won_per_gpu_hour = 5_000
source = "test"

[[partition]]
name = "gpu"
sites = ["cluster"]
max_limit = "7d"
default_limit = "1h"
"#;

/// A folder that goes with the test, and the server on it.
struct Centre {
    dir: PathBuf,
    server: Option<Child>,
}

impl Centre {
    fn new(cluster: &Cluster) -> Centre {
        let dir = std::env::temp_dir().join(format!("madang-on-slurm-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("the temporary folder is writable");
        let file = CENTRE
            .replace("CONF", &cluster.conf().display().to_string())
            .replace("SPOOL", &dir.join("spool").display().to_string());
        std::fs::write(dir.join("centre.toml"), file).expect("writable");
        Centre { dir, server: None }
    }

    fn up(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["up", "--listen", "127.0.0.1:0", "--centre"])
            .arg(self.dir.join("centre.toml"))
            .arg("--data")
            .arg(self.dir.join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary under test runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("console")), "it did not come up");
        std::thread::spawn(move || lines.for_each(drop));
        self.server = Some(child);
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it is ours");
            server.wait().expect("it is ours");
        }
    }

    fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command.args(words).env("MADANG_DATA", self.dir.join("data")).current_dir(&self.dir);
        let output = command.output().expect("the binary under test runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn submit(&self, options: &[&str], script: &str) -> String {
        let wrap = format!("--wrap={script}");
        let words = [&["submit"], options, &[wrap.as_str()]].concat();
        self.ask(&words).trim().to_owned()
    }

    fn until(&self, words: &[&str], part: &str) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.ask(words);
            if text.contains(part) {
                return text;
            }
            assert!(Instant::now() < until, "{words:?} never said {part}: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().ok();
            server.wait().ok();
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn wait_for(path: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < until, "{} never came to be", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_centre_on_slurm() {
    let Some(cluster) = Cluster::start("cli") else {
        println!("{}", cluster::MISSING);
        return;
    };
    let mut centre = Centre::new(&cluster);
    centre.up();
    let gang = centre.submit(&["-N2", "--gpus-per-node=2", "-t5"], "srun hostname; echo $CUDA_VISIBLE_DEVICES; exit 7");
    let told = centre.until(&["job", &gang], "JobState=FAILED");
    assert!(told.contains("ExitCode=7:0") && told.contains("Restarts=0"), "{told}");
    let log = centre.ask(&["logs", &gang]);
    assert_eq!(log.lines().count(), 3, "two tasks and the script: {log}");
    let long = centre.submit(&["--gpus=1"], "touch began; while ! test -e go; do sleep 0.05; done; exit 5");
    wait_for(&centre.dir.join("began"));
    centre.kill();
    std::fs::write(centre.dir.join("go"), "").expect("writable");
    centre.up();
    let told = centre.until(&["job", &long], "JobState=FAILED");
    assert!(told.contains("ExitCode=5:0") && told.contains("Restarts=0"), "{told}");
    let waits = centre.submit(&[], "exec sleep 300");
    centre.until(&["job", &waits], "JobState=RUNNING");
    centre.ask(&["cancel", &waits]);
    centre.until(&["job", &waits], "JobState=CANCELLED");
    cluster.ask("scontrol", &["update", "nodename=n2", "state=drain", "reason=bad fan"]);
    centre.until(&["node", "list"], "slurm: drained, bad fan");
    cluster.ask("scontrol", &["update", "nodename=n2", "state=resume"]);
    let until = Instant::now() + Duration::from_secs(30);
    while centre.ask(&["node", "list"]).contains("bad fan") {
        assert!(Instant::now() < until, "what Slurm takes back is taken back");
        std::thread::sleep(Duration::from_millis(100));
    }
    centre.ask(&["audit"]);
}
