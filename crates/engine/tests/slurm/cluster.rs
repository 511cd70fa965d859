//! A throw-away Slurm on this machine, from the distribution's packages: a controller, a few nodes with made-up GPUs,
//! everything on loopback and in one folder, with a key of its own.
//!
//! The daemons run in the foreground as children of the test, so that they are ended by their own process ids. What
//! jobs leave above their scripts is found by the folder that it works in.
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a test says that finds no Slurm.
pub const MISSING: &str =
    "skipped: Slurm is not installed (apt-get install --no-install-recommends munge slurmctld slurmd slurm-client)";

/// How many nodes.
pub const NODES: usize = 4;
/// GPUs of each node.
pub const GPUS: usize = 8;

/// A cluster that runs.
pub struct Cluster {
    pub dir: PathBuf,
    munged: Child,
    controller: Option<Child>,
    nodes: Vec<Option<Child>>,
    daemons: Daemons,
}

/// The daemons by path. Debian's have a longer name, by which they must not be called: they look at it.
struct Daemons {
    munged: PathBuf,
    slurmctld: PathBuf,
    slurmd: PathBuf,
    slurmstepd: PathBuf,
}

impl Daemons {
    fn find() -> Option<Daemons> {
        ["sbatch", "squeue", "scancel", "scontrol"].iter().all(|name| find(name).is_some()).then_some(())?;
        let daemon = |name: &str| find(&format!("{name}-wlm")).or_else(|| find(name));
        Some(Daemons {
            munged: find("munged")?,
            slurmctld: daemon("slurmctld")?,
            slurmd: daemon("slurmd")?,
            slurmstepd: daemon("slurmstepd")?,
        })
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

impl Cluster {
    /// Starts one; `None` where Slurm is not installed. A Slurm that is there and does not start is a failure.
    pub fn start(name: &str) -> Option<Cluster> {
        let daemons = Daemons::find()?;
        // Short: sockets lie below it.
        let dir = std::env::temp_dir().join(format!("mslurm-{name}-{}", std::process::id()));
        for folder in ["etc", "run", "log", "state", "dev", "bin", "munge", "spool"] {
            let path = dir.join(folder);
            fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).expect("the temporary folder is writable");
        }
        for (name, path) in
            [("slurmctld", &daemons.slurmctld), ("slurmd", &daemons.slurmd), ("slurmstepd", &daemons.slurmstepd)]
        {
            symlink(path, dir.join("bin").join(name)).expect("a new name");
        }
        configure(&dir);
        let munged = munged(&daemons.munged, &dir);
        let mut cluster = Cluster { dir, munged, controller: None, nodes: Vec::new(), daemons };
        cluster.start_controller();
        cluster.nodes = (0..NODES).map(|_| None).collect();
        (0..NODES).for_each(|node| cluster.start_node(node));
        let idle = || {
            let text = cluster.ask("sinfo", &["-h", "-N", "-t", "idle", "-o", "%N"]);
            text.lines().count() == NODES
        };
        wait("its nodes", &cluster.dir, idle);
        Some(cluster)
    }

    /// Slurm's configuration file.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("etc/slurm.conf")
    }

    /// Calls one of Slurm's commands; its output, empty when it failed.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("SLURM_CONF", self.conf()).current_dir("/").stdin(Stdio::null());
        let output = command.output().expect("it was found");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn start_controller(&mut self) {
        let mut command = Command::new(self.dir.join("bin/slurmctld"));
        command.arg("-D").arg("-f").arg(self.conf());
        self.controller = Some(spawn(&mut command, &self.dir, "slurmctld"));
        wait("its controller", &self.dir, || self.ask("scontrol", &["ping"]).contains("UP"));
    }

    /// `kill -9`.
    pub fn kill_controller(&mut self) {
        end(self.controller.take());
    }

    pub fn start_node(&mut self, node: usize) {
        let stepd = self.dir.join("bin/slurmstepd");
        let name = format!("n{}", node + 1);
        let mut command = Command::new(self.dir.join("bin/slurmd"));
        command.arg("-D").arg("-f").arg(self.conf()).args(["-N", &name]).arg("-d").arg(stepd);
        self.nodes[node] = Some(spawn(&mut command, &self.dir, &name));
    }

    /// `kill -9`; what runs there goes on.
    pub fn kill_node(&mut self, node: usize) {
        end(self.nodes[node].take());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_controller();
        (0..self.nodes.len()).for_each(|node| self.kill_node(node));
        for pid in steps(&self.dir) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
        self.munged.kill().ok();
        self.munged.wait().ok();
        let _ = &self.daemons;
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// Processes that work in this folder, or hold a file in it: `slurmstepd` and what it started.
fn steps(dir: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_below = |link: PathBuf| fs::read_link(link).is_ok_and(|path| path.starts_with(dir));
    let is_ours = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let proc = Path::new("/proc").join(pid.to_string());
        let mut files = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
        name.starts_with("slurmstepd") && (is_below(proc.join("cwd")) || files.any(|file| is_below(file.path())))
    };
    pids.filter(is_ours).collect()
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        child.kill().ok();
        child.wait().ok();
    }
}

fn spawn(command: &mut Command, dir: &Path, name: &str) -> Child {
    let log = fs::File::options().create(true).append(true).open(dir.join("log").join(name)).expect("writable");
    let errors = log.try_clone().expect("a descriptor is left");
    command.env("SLURM_CONF", dir.join("etc/slurm.conf")).current_dir("/");
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("it was found")
}

fn munged(program: &Path, dir: &Path) -> Child {
    let socket = dir.join("munge/socket");
    let mut command = Command::new(program);
    let option = |name: &str, path: &str| format!("--{name}={}", dir.join(path).display());
    command.args(["--force", "--foreground"]);
    for (name, path) in [
        ("socket", "munge/socket"),
        ("key-file", "etc/munge.key"),
        ("pid-file", "run/munged.pid"),
        ("seed-file", "munge/seed"),
        ("log-file", "log/munged"),
    ] {
        command.arg(option(name, path));
    }
    let child = spawn(&mut command, dir, "munged.out");
    wait("its keys", dir, || socket.exists());
    child
}

/// Polls; a Slurm that does not come up shows its logs.
fn wait(what: &str, dir: &Path, ready: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !ready() {
        if Instant::now() > until {
            let logs = fs::read_dir(dir.join("log")).into_iter().flatten().flatten();
            for log in logs {
                println!("{}:\n{}", log.path().display(), fs::read_to_string(log.path()).unwrap_or_default());
            }
            panic!("a test's Slurm did not come up: {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ports that nobody listens on now, all different.
fn ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is left")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn configure(dir: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut key = fs::File::options();
    let mut key = key.write(true).create_new(true).mode(0o600).open(dir.join("etc/munge.key")).expect("a new name");
    let mut random = fs::File::open("/dev/urandom").expect("it is everywhere");
    std::io::copy(&mut std::io::Read::take(&mut random, 128), &mut key).expect("writable");
    for gpu in 0..GPUS {
        // Slurm names devices to a job only where they are character devices.
        symlink("/dev/null", dir.join(format!("dev/nvidia{gpu}"))).expect("a new name");
    }
    let shown = dir.display();
    let last = GPUS - 1;
    let gres = format!("AutoDetect=off\nName=gpu File={shown}/dev/nvidia[0-{last}]\n");
    fs::write(dir.join("etc/gres.conf"), gres).expect("writable");
    fs::write(dir.join("etc/slurm.conf"), conf(dir, &ports(NODES + 1))).expect("writable");
}

fn conf(dir: &Path, ports: &[u16]) -> String {
    let user =
        nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map_or("root".into(), |user| user.name);
    let (shown, controller) = (dir.display(), ports[0]);
    let mut text = format!(
        "ClusterName=contract
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={shown}/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPidFile={shown}/run/slurmctld.pid
SlurmdPidFile={shown}/run/slurmd-%n.pid
SlurmdSpoolDir={shown}/spool/%n
StateSaveLocation={shown}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=5,sched_min_interval=20000,bf_interval=5
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MinJobAge=20
PartitionName=DEFAULT MaxTime=7-0 DefaultTime=60 State=UP
NodeName=DEFAULT CPUs=64 Boards=1 SocketsPerBoard=1 CoresPerSocket=64 ThreadsPerCore=1 RealMemory=256000 Gres=gpu:{GPUS} State=UNKNOWN
"
    );
    for (number, port) in (1..).zip(&ports[1..]) {
        fs::create_dir_all(dir.join(format!("spool/n{number}"))).expect("writable");
        text += &format!("NodeName=n{number} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port}\n");
    }
    text + "PartitionName=gpu Nodes=ALL Default=YES\n"
}
