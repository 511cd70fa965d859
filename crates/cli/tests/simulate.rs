//! `madang simulate` as a user runs it, on a log small enough to work out by hand.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]
use std::path::PathBuf;
use std::process::{Command, Output};

/// Four processors; the second job needs all of them, the third may go ahead of it, the fourth may not.
const LOG: &str = "; MaxProcs: 4
1 0 -1 10 -1 -1 -1 3 10 -1 1 7 -1 -1 -1 -1 -1 -1
2 1 -1 5 -1 -1 -1 4 5 -1 1 7 -1 -1 -1 -1 -1 -1
3 2 -1 4 -1 -1 -1 1 4 -1 1 8 -1 -1 -1 -1 -1 -1
4 2 -1 9 -1 -1 -1 1 9 -1 1 8 -1 -1 -1 -1 -1 -1
";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("madang-simulate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder to work in");
        std::fs::write(folder.join("in.swf"), LOG).expect("a file to read");
        Folder(folder)
    }

    fn madang(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command.current_dir(&self.0).arg("simulate").args(args).output().expect("the program runs")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("a file that was written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn policies_are_summed_up_and_written_out() {
    let folder = Folder::new("sum");
    let out = folder.madang(&["in.swf", "--policy", "easy,fcfs", "--csv", "out.csv", "--swf", "out.swf"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "", "no progress where there is no terminal");
    let said = text(&out.stdout);
    assert!(said.starts_with("machine of interchangeable processors: 4; 4 jobs; one pass per event\n"), "{said}");
    // EASY starts them at 0, 10, 2 and 15; FCFS at 0, 10, 15 and 15.
    assert!(said.lines().any(|line| line.starts_with("easy ") && line.contains(" 5.500 ")), "{said}");
    assert!(said.lines().any(|line| line.starts_with("fcfs ") && line.contains(" 8.750 ")), "{said}");
    let csv = folder.read("out.csv");
    assert!(csv.starts_with("policy,job,submit,start,end,wait,run,estimate,procs\neasy,1,0,0,10,0,10,10,3\n"), "{csv}");
    assert!(csv.contains("\nfcfs,3,2,15,19,13,4,4,1\n"), "{csv}");
    let swf = folder.read("out.easy.swf");
    assert!(swf.contains("\n; MaxProcs: 4\n"), "{swf}");
    assert!(swf.ends_with("\n4 2 13 9 1 -1 -1 1 9 -1 1 8 -1 -1 -1 -1 -1 -1\n"), "{swf}");
    assert_eq!(folder.read("out.fcfs.swf").lines().count(), swf.lines().count());
}

#[test]
fn policies_stand_side_by_side_and_as_json() {
    let folder = Folder::new("side");
    let out = folder.madang(&["in.swf", "--policy", "fcfs,easy", "--compare", "--pass", "instant"]);
    let said = text(&out.stdout);
    assert!(said.contains("FCFS") && said.contains("5.500 (-37.1%)"), "{said}");
    let json = text(&folder.madang(&["in.swf", "--json"]).stdout);
    assert!(json.contains("\"mean_wait_micros\": 5500000"), "{json}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = Folder::new("wrong");
    std::fs::write(folder.0.join("bad.swf"), "; a log\n1 0 x\n").expect("a file to read");
    std::fs::write(folder.0.join("mute.swf"), LOG.replace("MaxProcs", "Note")).expect("a file to read");
    let said = |args: &[&str]| {
        let out = folder.madang(args);
        (out.status.code(), text(&out.stderr))
    };
    let bad = said(&["bad.swf"]);
    assert_eq!(bad, (Some(1), "error: bad.swf: line 2, column 5: wait is not a number: \"x\"\n".into()));
    let (exit, mute) = said(&["mute.swf"]);
    assert!(exit == Some(2) && mute.contains("hint: say it: --procs N"), "{mute}");
    let (exit, small) = said(&["in.swf", "--procs", "3"]);
    assert!(exit == Some(1) && small.contains("job 2 asks for 4 processors, the machine has 3"), "{small}");
}
