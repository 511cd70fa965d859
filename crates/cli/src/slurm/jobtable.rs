//! The options of `sbatch`, `salloc` and `srun`: which there are, and what becomes of each.
//!
//! Three fates only: it means what Slurm's manual says; the manual calls it a hint, and it is named as ignored; or it
//! is refused by name, because ignoring it would change what runs.
use super::options::{Arg, Opt, SALLOC, SBATCH, SRUN, opt};

const ALLOC: u8 = SBATCH | SALLOC;
const NO_CONTAINERS: &str = "there is no container runtime here; run the image with your own tool in the script";

/// Every option that is known by name.
pub const TABLE: &[Opt] = &[
    // what to call it, who pays, where it queues
    opt("job-name", 'J', Arg::Needed),
    opt("account", 'A', Arg::Needed),
    opt("partition", 'p', Arg::Needed),
    opt("qos", 'q', Arg::Needed),
    opt("comment", '\0', Arg::Needed),
    opt("nice", '\0', Arg::Maybe),
    opt("hold", 'H', Arg::No),
    opt("begin", 'b', Arg::Needed),
    opt("dependency", 'd', Arg::Needed),
    opt("kill-on-invalid-dep", '\0', Arg::Needed).on(SBATCH),
    opt("time", 't', Arg::Needed),
    opt("time-min", '\0', Arg::Needed),
    opt("deadline", '\0', Arg::Needed),
    opt("checkpoint", '\0', Arg::Needed),
    opt("signal", '\0', Arg::Needed),
    // what it needs
    opt("nodes", 'N', Arg::Needed),
    opt("ntasks", 'n', Arg::Needed),
    opt("ntasks-per-node", '\0', Arg::Needed),
    opt("ntasks-per-gpu", '\0', Arg::Needed),
    opt("cpus-per-task", 'c', Arg::Needed),
    opt("mincpus", '\0', Arg::Needed),
    opt("gres", '\0', Arg::Needed),
    opt("gpus", 'G', Arg::Needed),
    opt("gpus-per-node", '\0', Arg::Needed),
    opt("gpus-per-task", '\0', Arg::Needed),
    opt("cpus-per-gpu", '\0', Arg::Needed),
    opt("model", '\0', Arg::Needed),
    opt("mixed", '\0', Arg::No),
    opt("mem", '\0', Arg::Needed),
    opt("mem-per-cpu", '\0', Arg::Needed),
    opt("mem-per-gpu", '\0', Arg::Needed),
    opt("exclusive", '\0', Arg::Maybe),
    opt("constraint", 'C', Arg::Needed),
    opt("nodelist", 'w', Arg::Needed),
    opt("nodefile", 'F', Arg::Needed),
    opt("exclude", 'x', Arg::Needed),
    opt("overcommit", 'O', Arg::No),
    opt("gpu-bind", '\0', Arg::Needed),
    opt("topology", '\0', Arg::Needed),
    opt("segment", '\0', Arg::Needed),
    opt("spares", '\0', Arg::Needed),
    opt("elastic", '\0', Arg::Maybe).on(SBATCH),
    opt("switches", '\0', Arg::Needed),
    // how it runs
    opt("output", 'o', Arg::Needed).on(SBATCH | SRUN),
    opt("error", 'e', Arg::Needed).on(SBATCH | SRUN),
    opt("input", 'i', Arg::Needed).on(SBATCH | SRUN),
    opt("open-mode", '\0', Arg::Needed).on(SBATCH | SRUN),
    opt("chdir", 'D', Arg::Needed),
    opt("workdir", '\0', Arg::Needed),
    opt("export", '\0', Arg::Needed).on(SBATCH | SRUN),
    opt("array", 'a', Arg::Needed).on(SBATCH),
    opt("requeue", '\0', Arg::No).on(SBATCH),
    opt("no-requeue", '\0', Arg::No).on(SBATCH),
    opt("wrap", '\0', Arg::Needed).on(SBATCH),
    // how the command behaves
    opt("parsable", '\0', Arg::No).on(SBATCH),
    opt("test-only", '\0', Arg::No).on(SBATCH | SRUN),
    opt("wait", 'W', Arg::No).on(SBATCH),
    opt("quiet", 'Q', Arg::No),
    opt("verbose", 'v', Arg::No),
    opt("help", 'h', Arg::No),
    opt("usage", '\0', Arg::No),
    opt("version", 'V', Arg::No),
    opt("no-shell", '\0', Arg::No).on(SALLOC),
    opt("kill-command", 'K', Arg::Maybe).on(SALLOC).hint(),
    opt("no-bell", '\0', Arg::No).on(SALLOC).hint(),
    opt("bell", '\0', Arg::No).on(SALLOC).hint(),
    opt("wait-all-nodes", '\0', Arg::Needed).on(ALLOC).hint(),
    opt("immediate", 'I', Arg::Maybe).on(SALLOC | SRUN),
    // srun's own
    opt("label", 'l', Arg::No).on(SRUN),
    opt("pty", '\0', Arg::Maybe).on(SRUN),
    opt("kill-on-bad-exit", 'K', Arg::Maybe).on(SRUN),
    opt("wait", 'W', Arg::Needed).on(SRUN).hint(),
    opt("het-group", '\0', Arg::Needed).on(SRUN),
    opt("pack-group", '\0', Arg::Needed).on(SRUN),
    opt("jobid", '\0', Arg::Needed).on(SRUN),
    opt("relative", 'r', Arg::Needed).on(SRUN),
    opt("multi-prog", '\0', Arg::No).on(SRUN),
    opt("unbuffered", 'u', Arg::No).on(SRUN),
    opt("overlap", '\0', Arg::No).on(SRUN),
    opt("exact", '\0', Arg::No).on(SRUN),
    opt("whole", '\0', Arg::No).on(SRUN),
    opt("mpi", '\0', Arg::Needed).on(SRUN),
    opt("preserve-env", 'E', Arg::No).on(SRUN),
    opt("quit-on-interrupt", '\0', Arg::No).on(SRUN).hint(),
    opt("disable-status", 'X', Arg::No).on(SRUN).hint(),
    opt("threads", 'T', Arg::Needed).on(SRUN).hint(),
    opt("slurmd-debug", '\0', Arg::Needed).on(SRUN).hint(),
    opt("msg-timeout", '\0', Arg::Needed).on(SRUN).hint(),
    opt("max-exit-timeout", '\0', Arg::Needed).on(SRUN).hint(),
    opt("resv-ports", '\0', Arg::Maybe).on(SRUN).hint(),
    opt("send-libs", '\0', Arg::Maybe).on(SRUN).hint(),
    opt("compress", '\0', Arg::Maybe).on(SRUN).hint(),
    opt("task-prolog", '\0', Arg::Needed).on(SRUN).refused("run it at the start of the command"),
    opt("task-epilog", '\0', Arg::Needed).on(SRUN).refused("run it at the end of the command"),
    opt("prolog", '\0', Arg::Needed).on(SRUN).refused("run it before srun"),
    opt("epilog", '\0', Arg::Needed).on(SRUN).refused("run it after srun"),
    opt("bcast", '\0', Arg::Maybe).on(SRUN).refused("nodes share their files here"),
    opt("bcast-exclude", '\0', Arg::Needed).on(SRUN).refused("nodes share their files here"),
    opt("no-allocate", 'Z', Arg::No).on(SRUN).refused("every task runs in an allocation"),
    // hints, in Slurm's manual or in effect
    opt("mail-type", '\0', Arg::Needed).hint(),
    opt("mail-user", '\0', Arg::Needed).hint(),
    opt("hint", '\0', Arg::Needed).hint(),
    opt("cpu-bind", '\0', Arg::Needed).hint(),
    opt("cpu_bind", '\0', Arg::Needed).hint(),
    opt("mem-bind", '\0', Arg::Needed).hint(),
    opt("accel-bind", '\0', Arg::Needed).hint(),
    opt("cpu-freq", '\0', Arg::Needed).hint(),
    opt("gpu-freq", '\0', Arg::Needed).hint(),
    opt("gres-flags", '\0', Arg::Needed).hint(),
    opt("distribution", 'm', Arg::Needed).hint(),
    opt("spread-job", '\0', Arg::No).hint(),
    opt("use-min-nodes", '\0', Arg::No).hint(),
    opt("oversubscribe", 's', Arg::No).hint(),
    opt("share", '\0', Arg::No).hint(),
    opt("threads-per-core", '\0', Arg::Needed).hint(),
    opt("ntasks-per-core", '\0', Arg::Needed).hint(),
    opt("ntasks-per-socket", '\0', Arg::Needed).hint(),
    opt("delay-boot", '\0', Arg::Needed).hint(),
    opt("wckey", '\0', Arg::Needed).hint(),
    opt("acctg-freq", '\0', Arg::Needed).hint(),
    opt("profile", '\0', Arg::Needed).hint(),
    opt("power", '\0', Arg::Needed).hint(),
    opt("propagate", '\0', Arg::Maybe).hint(),
    opt("get-user-env", '\0', Arg::Maybe).hint(),
    opt("ignore-pbs", '\0', Arg::No).on(SBATCH).hint(),
    // refused by name
    opt("reservation", '\0', Arg::Needed),
    opt("licenses", 'L', Arg::Needed).refused("there are no licences here"),
    opt("no-kill", 'k', Arg::Maybe).refused("a job that loses a node ends here; give --requeue to start it again"),
    opt("contiguous", '\0', Arg::No).refused("a gang stands close together as it is; --topology=required=rack insists"),
    opt("container", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-image", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-mounts", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-workdir", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-name", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-save", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-env", '\0', Arg::Needed).refused(NO_CONTAINERS),
    opt("container-mount-home", '\0', Arg::No).refused(NO_CONTAINERS),
    opt("no-container-mount-home", '\0', Arg::No).refused(NO_CONTAINERS),
    opt("container-writable", '\0', Arg::No).refused(NO_CONTAINERS),
    opt("container-remap-root", '\0', Arg::No).refused(NO_CONTAINERS),
    opt("clusters", 'M', Arg::Needed).refused("this is one centre; choose a partition"),
    opt("cluster-constraint", '\0', Arg::Needed).refused("this is one centre; choose a partition"),
    opt("priority", '\0', Arg::Needed).refused("priorities are reckoned here; --nice and --qos lower or raise one"),
    opt("tmp", '\0', Arg::Needed).refused("local disk is not counted here"),
    opt("gpus-per-socket", '\0', Arg::Needed).refused("sockets are not counted here; give --gpus-per-node"),
    opt("sockets-per-node", '\0', Arg::Needed).refused("sockets are not counted here"),
    opt("cores-per-socket", '\0', Arg::Needed).refused("sockets are not counted here"),
    opt("extra-node-info", 'B', Arg::Needed).refused("sockets are not counted here"),
    opt("core-spec", 'S', Arg::Needed).refused("no cores are set aside here"),
    opt("thread-spec", '\0', Arg::Needed).refused("no threads are set aside here"),
    opt("tres-per-task", '\0', Arg::Needed).refused("give --cpus-per-task and --gpus-per-task"),
    opt("reboot", '\0', Arg::No).refused("jobs do not reboot nodes here"),
    opt("bb", '\0', Arg::Needed).refused("there is no burst buffer here"),
    opt("bbf", '\0', Arg::Needed).refused("there is no burst buffer here"),
    opt("mcs-label", '\0', Arg::Needed).refused("there are no MCS labels here"),
    opt("network", '\0', Arg::Needed).refused("networks are not allocated here"),
    opt("export-file", '\0', Arg::Needed).on(SBATCH).refused("give --export, or read the file in the script"),
    opt("uid", '\0', Arg::Needed).refused("a job runs as the one who submits it"),
    opt("gid", '\0', Arg::Needed).refused("a job runs as the one who submits it"),
];

/// The variables that stand for options: `SBATCH_…`, `SALLOC_…` (the same endings), and `SLURM_…` for `srun`.
pub const VARIABLES: &[(&str, &str, u8)] = &[
    ("ACCOUNT", "account", ALLOC | SRUN),
    ("ARRAY_INX", "array", SBATCH),
    ("BEGIN", "begin", ALLOC),
    ("CHDIR", "chdir", SBATCH),
    ("COMMENT", "comment", ALLOC | SRUN),
    ("CONSTRAINT", "constraint", ALLOC | SRUN),
    ("CPUS_PER_GPU", "cpus-per-gpu", ALLOC | SRUN),
    ("DEPENDENCY", "dependency", SBATCH | SALLOC | SRUN),
    ("DISTRIBUTION", "distribution", ALLOC | SRUN),
    ("ERROR", "error", SBATCH),
    ("EXCLUSIVE", "exclusive", ALLOC | SRUN),
    ("EXPORT", "export", SBATCH),
    ("GPUS", "gpus", ALLOC | SRUN),
    ("GPUS_PER_NODE", "gpus-per-node", ALLOC | SRUN),
    ("GPUS_PER_TASK", "gpus-per-task", ALLOC | SRUN),
    ("GPU_BIND", "gpu-bind", ALLOC | SRUN),
    ("GPU_FREQ", "gpu-freq", ALLOC | SRUN),
    ("GRES", "gres", ALLOC | SRUN),
    ("GRES_FLAGS", "gres-flags", ALLOC | SRUN),
    ("HINT", "hint", ALLOC | SRUN),
    ("HOLD", "hold", SBATCH),
    ("IMMEDIATE", "immediate", SALLOC | SRUN),
    ("INPUT", "input", SBATCH),
    ("JOB_NAME", "job-name", ALLOC),
    ("KILL_ON_BAD_EXIT", "kill-on-bad-exit", SRUN),
    ("LABELIO", "label", SRUN),
    ("MEM_BIND", "mem-bind", ALLOC | SRUN),
    ("MEM_PER_CPU", "mem-per-cpu", ALLOC | SRUN),
    ("MEM_PER_GPU", "mem-per-gpu", ALLOC | SRUN),
    ("MEM_PER_NODE", "mem", ALLOC | SRUN),
    ("NO_REQUEUE", "no-requeue", SBATCH),
    ("NTASKS", "ntasks", SRUN),
    ("NTASKS_PER_NODE", "ntasks-per-node", SRUN),
    ("OPEN_MODE", "open-mode", SBATCH | SRUN),
    ("OUTPUT", "output", SBATCH),
    ("OVERCOMMIT", "overcommit", ALLOC | SRUN),
    ("PARTITION", "partition", ALLOC | SRUN),
    ("QOS", "qos", ALLOC | SRUN),
    ("REQUEUE", "requeue", SBATCH),
    ("REQ_SWITCH", "switches", ALLOC),
    ("RESERVATION", "reservation", ALLOC | SRUN),
    ("SIGNAL", "signal", ALLOC | SRUN),
    ("STDERRMODE", "error", SRUN),
    ("STDINMODE", "input", SRUN),
    ("STDOUTMODE", "output", SRUN),
    ("TIMELIMIT", "time", ALLOC | SRUN),
    ("UNBUFFEREDIO", "unbuffered", SRUN),
    ("WAIT", "wait", SBATCH),
    ("WCKEY", "wckey", ALLOC | SRUN),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_has_a_name_or_a_letter_twice() {
        for on in [SBATCH, SALLOC, SRUN] {
            let mine: Vec<&Opt> = TABLE.iter().filter(|opt| opt.on & on != 0).collect();
            for (at, opt) in mine.iter().enumerate() {
                let twin = mine[..at]
                    .iter()
                    .find(|other| other.name == opt.name || (opt.short != '\0' && other.short == opt.short));
                assert!(twin.is_none(), "{} and {}", opt.name, twin.map_or("", |twin| twin.name));
            }
        }
    }

    #[test]
    fn every_variable_stands_for_an_option() {
        for (variable, name, on) in VARIABLES {
            for command in [SBATCH, SALLOC, SRUN] {
                let known = TABLE.iter().any(|opt| opt.name == *name && opt.on & command != 0);
                assert!(on & command == 0 || known, "{variable} {name}");
            }
        }
    }
}
