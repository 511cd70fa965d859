//! Slurm's commands against a real server: `madang up` in a folder of its own, with made-up GPUs, on a free port.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running centre, stopped and removed at the end.
struct Centre {
    server: Child,
    folder: PathBuf,
}

impl Centre {
    fn up(name: &str) -> Centre {
        Centre::up_with(name, &["--pretend-gpus", "8", "--pretend-nodes", "4"])
    }

    fn up_with(name: &str, args: &[&str]) -> Centre {
        let folder = std::env::temp_dir().join(format!("madang-shims-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("work")).expect("a folder to work in");
        let mut server = Command::new(env!("CARGO_BIN_EXE_madang"));
        clean(&mut server);
        server.args(["up", "--listen", "127.0.0.1:0"]).args(args).arg("--data");
        let mut server = server.arg(folder.join("data")).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut said = BufReader::new(server.stdout.take().expect("piped"));
        let mut line = String::new();
        while said.read_line(&mut line).expect("readable") > 0 && !line.contains("Ctrl-C") {}
        assert!(line.contains("is up"), "{line}");
        Centre { server, folder }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join("data/bin").join(program));
        self.around(&mut command);
        command
    }

    /// The environment of somebody who uses the centre.
    fn around(&self, command: &mut Command) {
        clean(command);
        let path = format!("{}:{}", self.folder.join("data/bin").display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env("MADANG_DATA", self.folder.join("data"));
        command.current_dir(self.folder.join("work")).stdin(Stdio::null());
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        self.command(program).args(args).output().expect("it runs")
    }

    /// Standard output of a command that must work.
    fn says(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {text}{errors}");
        text
    }

    /// Exit code and standard error of a command that must not work.
    fn fails(&self, program: &str, args: &[&str]) -> (i32, String) {
        let output = self.run(program, args);
        assert!(!output.status.success(), "{program} {args:?}");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn madang(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        self.around(&mut command);
        let output = command.args(args).output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Submits a command; the job's id.
    fn submit(&self, args: &[&str], wrap: &str) -> String {
        let args: Vec<&str> = ["--parsable"].iter().chain(args).chain(&["--wrap", wrap]).copied().collect();
        self.says("sbatch", &args).trim().to_owned()
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn state(&self, id: &str) -> String {
        self.says("sacct", &["-X", "-n", "-P", "-o", "State", "-j", id]).trim().to_owned()
    }

    /// Waits for the state; what the job wrote.
    fn ends(&self, id: &str, state: &str) -> String {
        self.until(&format!("job {id} {state}"), || self.state(id).starts_with(state));
        std::fs::read_to_string(self.work().join(format!("slurm-{id}.out"))).unwrap_or_default()
    }

    fn work(&self) -> PathBuf {
        self.folder.join("work")
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.command("scancel").args(["-t", "PENDING,RUNNING", "--me"]).output();
        let pid = nix::unistd::Pid::from_raw(self.server.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Nothing of a surrounding job or of the user's settings.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["MADANG_", "SLURM_", "SBATCH_", "SALLOC_", "SQUEUE_", "SACCT_", "SINFO_"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            command.env_remove(name);
        }
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn jobs_by_slurms_commands() {
    let centre = Centre::up("jobs");
    a_job_and_what_is_said_of_it(&centre);
    arrays(&centre);
    waits_and_holds(&centre);
    steps(&centre);
    allocations(&centre);
    refusals(&centre);
    nodes(&centre);
    script_shapes(&centre);
    reservations(&centre);
    deadlines_and_checkpoints(&centre);
}

/// Headers as GPU users write them; `torchrun` and the training are a line of shell.
fn script_shapes(centre: &Centre) {
    let rank = "srun --label bash -c 'echo rank $SLURM_PROCID of $SLURM_NTASKS'";
    let hosts = "nodes=($(scontrol show hostnames \"$SLURM_JOB_NODELIST\"))\n\
                 srun --kill-on-bad-exit=1 bash -c \"echo $SLURM_NNODES nodes from ${nodes[0]}\" | sort -u";
    let groups = "srun --het-group=0 bash -c 'echo learner $CUDA_VISIBLE_DEVICES' &\n\
                  srun --het-group=1 --label bash -c 'echo actor' | sort &\nwait";
    for (name, header, body, want) in [
        (
            "one",
            "#SBATCH --gres=gpu:1 --cpus-per-task=8\n#SBATCH --mem=32G --time=02:00:00",
            "echo $CUDA_VISIBLE_DEVICES",
            "0",
        ),
        (
            "whole",
            "#SBATCH -p gpu -N 1 --ntasks-per-node=1\n#SBATCH --gpus-per-node=8 --cpus-per-gpu=3\n#SBATCH --mem=0 --exclusive",
            "echo $SLURM_GPUS_ON_NODE",
            "8",
        ),
        (
            "many",
            "#SBATCH --nodes=2 --ntasks-per-node=1\n#SBATCH --gres=gpu:8 --cpus-per-task=32\n#SBATCH --signal=B:USR1@120",
            hosts,
            "2 nodes from here1",
        ),
        (
            "ranks",
            "#SBATCH --nodes=2 --ntasks-per-node=4\n#SBATCH --gpus-per-task=1 --cpus-per-task=4\n#SBATCH --gpu-bind=none --hint=nomultithread",
            rank,
            "7: rank 7 of 8",
        ),
        (
            "het",
            "#SBATCH --nodes=1 --ntasks=1 --gpus=8 --cpus-per-task=16 --mem=64G\n#SBATCH hetjob\n#SBATCH --nodes=1 --ntasks=4 --cpus-per-task=2 --mem=8G",
            groups,
            "3: actor",
        ),
    ] {
        let path = centre.work().join(format!("{name}.sbatch"));
        std::fs::write(&path, format!("#!/bin/bash\n#SBATCH -o logs/%x-%j.out\n{header}\n{body}\n")).expect("written");
        let id = centre.says("sbatch", &["--parsable", path.to_str().expect("text")]).trim().to_owned();
        centre.ends(&id, "COMPLETED");
        let said =
            std::fs::read_to_string(centre.work().join(format!("logs/{name}.sbatch-{id}.out"))).expect("its output");
        assert!(lines(&said).contains(&want), "{name}: {said}");
    }
}

fn a_job_and_what_is_said_of_it(centre: &Centre) {
    for (program, command) in [("sbatch", &["--wrap", "true"][..]), ("srun", &["true"])] {
        let args = |nodes| [&[nodes, "-c3", "--test-only"], command].concat();
        let said = String::from_utf8(centre.run(program, &args("-N2")).stderr).expect("text");
        let (start, rest) = said.split_once(" using ").expect("a start");
        assert!(start.starts_with(&format!("{program}: Job 1 to start at 2")), "{said}");
        assert_eq!(rest, "6 processors on nodes here[1-2] in partition gpu\n");
        let (exit, said) = centre.fails(program, &args("-N9"));
        assert!(exit == 1 && said.contains("Requested node configuration is not available"), "{said}");
    }
    assert_eq!(centre.says("sbatch", &["-J", "first", "--wrap", "exit 3"]), "Submitted batch job 1\n");
    centre.ends("1", "FAILED");
    let rows = centre.says("sacct", &["-j", "1", "-P", "-o", "jobid,jobname,state,exitcode,nodelist"]);
    assert_eq!(
        lines(&rows),
        ["JobID|JobName|State|ExitCode|NodeList", "1|first|FAILED|3:0|here1", "1.batch|batch|FAILED|3:0|here1"]
    );
    let job = centre.submit(&["--gres=gpu:2", "--export=ALL,COLOUR=blue"], "echo $CUDA_VISIBLE_DEVICES $COLOUR; pwd");
    let said = centre.ends(&job, "COMPLETED");
    assert_eq!(lines(&said), ["0,1 blue", centre.work().to_str().expect("text")]);
    let running = centre.submit(&["-J", "sleeps", "-t", "10"], "sleep 60");
    centre.until("running", || centre.says("squeue", &["-h", "-j", &running, "-o", "%T"]) == "RUNNING\n");
    let table = centre.says("squeue", &[]);
    assert_eq!(
        table.lines().next(),
        Some("             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)")
    );
    assert_eq!(
        centre.says("squeue", &["-h", "-j", &running, "-o", "%i|%j|%T|%t|%l|%D|%R|%C"]),
        format!("{running}|sleeps|RUNNING|R|10:00|1|here1|1\n")
    );
    let json: serde_json::Value =
        serde_json::from_str(&centre.says("squeue", &["--json", "-j", &running])).expect("JSON");
    assert_eq!((&json["jobs"][0]["job_state"], &json["jobs"][0]["time_limit"]), (&"RUNNING".into(), &10.into()));
    let shown = centre.says("scontrol", &["-o", "show", "job", &running]);
    assert!(
        shown.starts_with(&format!("JobId={running} JobName=sleeps UserId=")) && shown.contains(" JobState=RUNNING "),
        "{shown}"
    );
    centre.says("scancel", &[&running]);
    centre.ends(&running, "CANCELLED by ");
    assert_eq!(centre.says("squeue", &["-h"]), "");
    let waited = centre.run("sbatch", &["-W", "--wrap", "exit 4"]);
    assert_eq!(waited.status.code(), Some(4));
}

fn arrays(centre: &Centre) {
    let array = centre.submit(&["-a", "0-5%2"], "while [ ! -e go ]; do sleep 0.05; done; echo $SLURM_ARRAY_TASK_ID");
    let listed = || centre.says("squeue", &["-h", "-o", "%i %t", "-j", &array]);
    centre.until("two of six run", || listed().matches(" R").count() == 2);
    assert!(listed().contains(&format!("{array}_[2-5%2] PD")), "{}", listed());
    assert_eq!(centre.says("squeue", &["-h", "-r", "-j", &array]).lines().count(), 6);
    std::fs::write(centre.work().join("go"), "").expect("written");
    let done = || centre.says("sacct", &["-X", "-n", "-P", "-j", &array, "-o", "state"]);
    centre.until("all done", || done().matches("COMPLETED").count() == 6);
    let said = std::fs::read_to_string(centre.work().join(format!("slurm-{array}_5.out"))).expect("its output");
    assert_eq!(said, "5\n");
}

fn waits_and_holds(centre: &Centre) {
    let held = centre.submit(&["--hold"], "true");
    let after = centre.submit(&["-d", &format!("afterok:{held}")], "true");
    let reason = |id: &str| centre.says("squeue", &["-h", "-o", "%r", "-j", id]).trim().to_owned();
    assert_eq!((reason(&held), reason(&after)), ("JobHeldUser".to_owned(), "Dependency".to_owned()));
    centre.says("scontrol", &["update", &format!("JobId={held}"), "TimeLimit=3", "Comment=a b"]);
    assert_eq!(centre.says("squeue", &["-h", "-o", "%l %k", "-j", &held]), "3:00 a b\n");
    centre.says("scontrol", &["release", &held]);
    centre.ends(&after, "COMPLETED");
}

fn steps(centre: &Centre) {
    let script = "srun -l bash -c 'echo $SLURM_LOCALID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES' | sort\n\
                  scontrol show hostnames $SLURM_JOB_NODELIST | tr '\\n' ' '\necho\n\
                  srun -n1 -o step-%j.%s-%t-%N bash -c 'exit 5'\necho $?";
    let options = ["-N2", "--ntasks-per-node=2", "--gpus-per-task=2"];
    let job = centre.submit(&options, script);
    let said = centre.ends(&job, "COMPLETED");
    let said: Vec<&str> = lines(&said).into_iter().filter(|line| !line.starts_with("srun: error")).collect();
    assert_eq!(said, ["0: 0 here1 0,1", "1: 1 here1 2,3", "2: 0 here2 0,1", "3: 1 here2 2,3", "here1 here2", "5"]);
    assert!(centre.work().join(format!("step-{job}.1-0-here1")).exists());
    // A signal goes to the steps, not to the batch script.
    let script =
        "srun bash -c 'trap \"echo caught; exit 0\" USR2; touch ready; while :; do sleep 0.05; done'\necho after";
    let job = centre.submit(&[], script);
    centre.until("ready", || centre.work().join("ready").exists());
    centre.says("scancel", &[&job, "--signal", "USR2"]);
    let said = centre.ends(&job, "COMPLETED");
    assert!(lines(&said).ends_with(&["caught", "after"]), "{said}");
}

fn allocations(centre: &Centre) {
    assert_eq!(centre.says("srun", &["-n2", "-l", "echo", "hi"]).lines().count(), 2);
    let output = centre.run("srun", &["-n2", "bash", "-c", "exit $SLURM_PROCID"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("srun: error: here1: task 1: Exited with exit code 1"), "{text}");
    let output = centre.run("salloc", &["--gres=gpu:1", "srun", "bash", "-c", "echo gpu $CUDA_VISIBLE_DEVICES"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "gpu 0\n");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("salloc: Granted job allocation ") && text.contains("salloc: Relinquishing job allocation "),
        "{text}"
    );
    let row = |name: &str| centre.says("sacct", &["-X", "-n", "-P", "-o", "state,exitcode", "--name", name]);
    centre.run("srun", &["-J", "ends-well", "true"]);
    centre.run("srun", &["-J", "ends-badly", "bash", "-c", "exit 3"]);
    centre.until("accounted", || row("ends-well") == "COMPLETED|0:0\n" && row("ends-badly") == "FAILED|3:0\n");
    // Ended by a signal, the allocation ends too.
    let mut srun =
        centre.command("srun").args(["-J", "killed", "sleep", "60"]).stderr(Stdio::null()).spawn().expect("it runs");
    let listed = || centre.says("squeue", &["-h", "-n", "killed", "-o", "%t"]);
    centre.until("running", || listed() == "R\n");
    let pid = nix::unistd::Pid::from_raw(srun.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it lives");
    assert!(!srun.wait().expect("ours").success());
    centre.until("gone", || listed().is_empty());
    // Cancelled, the command ends.
    let mut srun =
        centre.command("srun").args(["-J", "revoked", "sleep", "60"]).stderr(Stdio::null()).spawn().expect("it runs");
    centre.until("running", || centre.says("squeue", &["-h", "-n", "revoked", "-o", "%t"]) == "R\n");
    centre.says("scancel", &["-n", "revoked"]);
    assert!(!srun.wait().expect("ours").success());
}

fn reservations(centre: &Centre) {
    let one = centre.submit(&[], "true");
    centre.ends(&one, "COMPLETED");
    let project = centre.says("sacct", &["-X", "-n", "-P", "-o", "Account", "-j", &one]).trim().to_owned();
    let nodes = centre.says("sinfo", &["-h", "-N", "-o", "%N"]);
    let first = nodes.lines().next().expect("a node").trim().to_owned();
    let account = format!("Accounts={project}");
    let booked = format!("Nodes={first}");
    let ask = ["create", "reservation", "ReservationName=course", "StartTime=now", "Duration=120", &booked, &account];
    assert_eq!(centre.says("scontrol", &ask), "Reservation created: course\n");
    let shown = centre.says("scontrol", &["-o", "show", "reservation", "course"]);
    assert!(shown.contains(&format!("Nodes={first} NodeCnt=1")) && shown.contains("State=ACTIVE"), "{shown}");
    assert!(centre.says("sinfo", &["-T"]).contains("course"));
    // Whoever names it gets its node at once, whoever does not is kept off it.
    let inside = centre.submit(&["--reservation=course", "-t", "10"], "sleep 30");
    centre.until("it runs", || {
        centre.says("squeue", &["-h", "-j", &inside, "-o", "%t %N %v"]) == format!("R {first} course\n")
    });
    assert_eq!(centre.says("squeue", &["-h", "-R", "course", "-o", "%i"]), format!("{inside}\n"));
    let outside = centre.submit(&["-w", &first, "-t", "10"], "true");
    let reason = || centre.says("squeue", &["-h", "-j", &outside, "-o", "%r"]);
    centre.until("it waits", || reason() == "ReqNodeNotAvail, May be reserved for other job\n");
    let (exit, error) = centre.fails("scontrol", &["delete", "ReservationName=other"]);
    assert!(exit == 1 && error.contains("no reservation is named other"), "{error}");
    centre.says("scontrol", &["delete", "ReservationName=course"]);
    centre.ends(&outside, "COMPLETED");
    centre.says("scancel", &[&inside]);
    assert_eq!(centre.says("scontrol", &["show", "reservation"]), "No reservations in the system\n");
}

fn deadlines_and_checkpoints(centre: &Centre) {
    let due = ["--hold", "-p", "gpu", "-t", "1", "--time-min", "50s", "--deadline", "now+52seconds"];
    let late = centre.submit(&due, "true");
    let shown = centre.says("scontrol", &["-o", "show", "job", &late]);
    assert!(shown.contains(" TimeMin=00:00:50 ") && !shown.contains("Deadline=N/A"), "{shown}");
    let saves = format!("{} checkpoint", env!("CARGO_BIN_EXE_madang"));
    let saved = centre.submit(&["--checkpoint=5"], &saves);
    assert_eq!(centre.ends(&saved, "COMPLETED"), "1 saved\n");
    centre.ends(&late, "DEADLINE");
    let row =
        centre.says("sacct", &["-X", "-n", "-P", "-j", &late, "-s", "DL", "-S", "now-1hour", "-o", "state,elapsed"]);
    assert_eq!(row, "DEADLINE|00:00:00\n");
}

fn refusals(centre: &Centre) {
    for (args, want) in [
        (&["--frob"][..], "sbatch: error: unrecognized option '--frob'"),
        (&["--reservation=r1"], "sbatch: error: Batch job submission failed: Requested reservation is invalid"),
        (
            &["--gres=gpu:9"],
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        ),
        (&["--gres=foo:1"], "sbatch: error: Invalid generic resource (gres) specification"),
        (&["-C", "a|b"], "sbatch: error: asks for nodes with a or b, here has none"),
        (&["-C", "a*2"], "sbatch: error: Invalid feature specification: a*2"),
        (&["-t", "1", "--deadline", "now+30seconds"], "sbatch: error: its limit is 1m, its deadline is "),
        (&["-p", "gpu,nope"], "sbatch: error: Batch job submission failed: Invalid partition name specified"),
        (&["-p", "nope"], "sbatch: error: Batch job submission failed: Invalid partition name specified"),
        (&["-t", "abc"], "sbatch: error: Invalid --time specification"),
        (&["--mem=1G", "--mem-per-cpu=1G"], "mutually exclusive"),
        (&["-q", "urgent"], "Invalid qos specification"),
    ] {
        let args: Vec<&str> = args.iter().chain(&["--wrap", "true"]).copied().collect();
        let (code, text) = centre.fails("sbatch", &args);
        // An option that the command does not have: 255, as getopt's callers there exit.
        let exit = if args == ["--frob", "--wrap", "true"] { 255 } else { 1 };
        assert!(code == exit && text.contains(want), "{args:?}: {code} {text}");
    }
    assert_eq!(centre.fails("squeue", &["--frob"]).0, 1);
    assert_eq!(centre.fails("squeue", &["-j", "99999"]).1, "squeue: error: Invalid job id specified\n");
    assert_eq!(centre.fails("scontrol", &["suspend", "1"]).0, 1);
    assert!(centre.fails("scancel", &["abc"]).1.contains("Invalid job id abc"));
}

fn nodes(centre: &Centre) {
    let table = centre.says("sinfo", &["-p", "gpu"]);
    assert_eq!(lines(&table)[0], "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST");
    assert!(lines(&table)[1].ends_with("4   idle here[1-4]"), "{table}");
    centre.says("scontrol", &["update", "NodeName=here[3-4]", "State=DRAIN", "Reason=bad fan"]);
    assert_eq!(centre.says("sinfo", &["-h", "-p", "gpu", "-o", "%t %D %N"]), "drain 2 here[3-4]\nidle 2 here[1-2]\n");
    assert!(centre.says("sinfo", &["-R", "-h"]).starts_with("bad fan"));
    assert!(centre.says("scontrol", &["show", "node", "here3"]).contains("State=IDLE+DRAIN "));
    centre.says("scontrol", &["update", "NodeName=here[3-4]", "State=RESUME"]);
    assert_eq!(centre.says("sinfo", &["-h", "-p", "gpu", "-t", "drain"]), "");
}

/// One script saves its work when it is told to go, one does not listen and is killed after the grace; both run again.
#[test]
fn what_is_taken_back_runs_again() {
    let file = std::env::temp_dir().join(format!("madang-taken-{}.toml", std::process::id()));
    let policy =
        "\n[policy]\nreason = \"a test\"\napprover = \"a test\"\ngrace = \"1s\"\nsettle = \"0s\"\ngain = \"0s\"\n";
    std::fs::write(&file, include_str!("../../../centres/here.toml").to_owned() + policy).expect("writable");
    let centre = Centre::up_with("taken", &["--pretend-gpus", "2", "--centre", file.to_str().expect("text")]);
    std::fs::remove_file(&file).expect("it was written");
    let low = |script: &str| centre.submit(&["--qos=low", "--gres=gpu:1", "--requeue"], script);
    let forever = "while :; do sleep 0.02; done";
    let saves = low(&format!(
        "if [ -e saved ]; then echo resumed from $(cat saved); exit 0; fi\n\
         trap 'echo step 7 > saved; exit 0' TERM\ntouch one; {forever}"
    ));
    let stubborn = low(&format!(
        "if [ -e two ]; then echo run again after $SLURM_RESTART_COUNT; exit 0; fi\ntrap '' TERM\ntouch two; {forever}"
    ));
    centre.until("both run", || ["one", "two"].iter().all(|name| centre.work().join(name).exists()));
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let urgent = centre.submit(&["--qos=high", "--gres=gpu:2"], "while [ ! -e go ]; do sleep 0.02; done");
    centre.until("the urgent job runs", || centre.state(&urgent) == "RUNNING");
    assert_eq!(std::fs::read_to_string(centre.work().join("saved")).expect("a checkpoint"), "step 7\n");
    let said = centre.says("squeue", &["-h", "-t", "PENDING", "-o", "%i %T %r"]);
    assert_eq!(lines(&said), [format!("{saves} PENDING Resources"), format!("{stubborn} PENDING Resources")]);
    std::fs::write(centre.work().join("go"), "").expect("writable");
    assert_eq!(centre.ends(&saves, "COMPLETED"), "resumed from step 7\n");
    assert_eq!(centre.ends(&stubborn, "COMPLETED"), "run again after 1\n");
    let ended = |id: &str| {
        let job = centre.madang(&["job", id]);
        let runs: Vec<&str> = lines(&job).into_iter().filter(|line| line.starts_with("Run=")).collect();
        assert!(runs[0].starts_with("Run=1 State=PREEMPTED") && runs[1].starts_with("Run=2 State=COMPLETED"), "{job}");
        assert!(job.contains("Restarts=1 "), "{job}");
        let job: serde_json::Value = serde_json::from_str(&centre.madang(&["job", "--json", id])).expect("JSON");
        u128::from(job["runs"][0]["ended_ms"].as_u64().expect("a moment"))
    };
    let (saved, killed) = (ended(&saves), ended(&stubborn));
    assert!(before <= saved && saved < killed && killed >= before + 1000, "{before} {saved} {killed}");
}

#[test]
fn submitit_unmodified() {
    let python = |args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(args);
        command
    };
    let there = python(&["-c", "import submitit"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        println!("skipped: python3 has no submitit; get it with: pip install submitit");
        return;
    }
    let centre = Centre::up("submitit");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/submitit_test.py");
    let mut command = python(&[]);
    centre.around(&mut command);
    let output = command.arg(program).arg(centre.work()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    for part in ["submit", "where_it_runs", "map_array", "failure", "cancel", "timeout_and_requeue"] {
        assert!(text.contains(&format!("{part}: ")), "{part}: {text}");
    }
}
