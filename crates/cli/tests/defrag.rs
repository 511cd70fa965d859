//! `madang defrag` as an operator runs it: a real server with the model engine, and a gang that starts by it.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running centre of four modelled nodes with four GPUs each, stopped and removed at the end.
struct Centre {
    server: Child,
    folder: PathBuf,
}

impl Centre {
    fn up() -> Centre {
        let folder = std::env::temp_dir().join(format!("madang-defrag-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder to work in");
        let file = folder.join("centre.toml");
        std::fs::write(&file, include_str!("common/defrag.toml")).expect("a centre file");
        let mut server = Command::new(env!("CARGO_BIN_EXE_madang"));
        server.args(["up", "--listen", "127.0.0.1:0", "--centre"]).arg(file).arg("--data").arg(folder.join("data"));
        let mut server = server.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut said = BufReader::new(server.stdout.take().expect("piped"));
        let mut line = String::new();
        while said.read_line(&mut line).expect("readable") > 0 && !line.contains("Ctrl-C") {}
        assert!(line.contains("is up"), "{line}");
        Centre { server, folder }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command.env("MADANG_DATA", self.folder.join("data")).env_remove("MADANG_URL").env_remove("MADANG_TOKEN");
        command.args(args).stdin(Stdio::null()).current_dir(&self.folder).output().expect("it runs")
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the queue shows this of a job.
    fn until(&self, job: &str, shows: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        let is_so = || self.says(&["queue"]).lines().any(|line| line.starts_with(job) && line.contains(shows));
        while !is_so() {
            assert!(Instant::now() < end, "{job} {shows}: {}", self.says(&["queue"]));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.server.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_gang_that_could_not_start_starts() {
    let centre = Centre::up();
    let said = centre.says(&["defrag"]);
    assert_eq!(said, "nothing to gain: no idle GPU is stranded on a partly used node\n");
    for _ in 0..8 {
        centre.says(&["submit", "--gres=gpu:2", "-t", "20:00:00", "--requeue", "--wrap", "sleep 1"]);
    }
    centre.until("8 ", "RUNNING");
    centre.says(&["cancel", "2", "4", "6", "8"]);
    centre.says(&["submit", "-N", "2", "--gres=gpu:4", "-t", "5:00:00", "--wrap", "sleep 1"]);
    centre.until("7 ", "RUNNING");
    centre.until("9 ", "Resources");
    let plan = centre.says(&["defrag", "--horizon", "24h", "--most", "8"]);
    for part in [
        "2 moves gain 39.",
        "room for job 9",
        "big: whole free nodes 0 → 2, largest gang 0 → 2, stranded GPUs 8 → 0\n",
        "could start then: 9\n",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    assert!(centre.says(&["defrag", "--most", "1"]).contains("more moves would be needed than were asked for"));
    let output = centre.run(&["defrag", "--run"]);
    assert_eq!(output.status.code(), Some(2), "nobody is there to agree");
    assert!(!centre.run(&["defrag", "--site", "nowhere"]).status.success());
    assert_eq!(centre.run(&["defrag", "--horizon", "soon"]).status.code(), Some(2));
    centre.says(&["defrag", "--run", "--yes"]);
    centre.until("9 ", "RUNNING");
    centre.until("1 ", "a3");
    centre.until("3 ", "a4");
    let audit = centre.says(&["audit"]);
    assert!(audit.starts_with("0 violations") && audit.contains(" 0 anomalies"), "{audit}");
}
