//! What this machine has: CPUs and memory that jobs may use, GPUs by NVML's word.
//!
//! NVML is loaded when asked for; a machine without it has no GPUs. What limits this process (affinity, cgroup) limits
//! its jobs, so it counts.
use nvml_wrapper::Nvml;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;

/// This machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Host name, short.
    pub name: String,
    /// CPUs that jobs may use.
    pub cpus: u32,
    /// Memory that jobs may use, in MiB.
    pub memory_mib: u64,
    /// Its GPUs, by NVML's index.
    pub gpus: Vec<Gpu>,
}

/// A GPU device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// NVML's index, as in `CUDA_VISIBLE_DEVICES` when devices are ordered by PCI bus.
    pub index: u32,
    /// The GRES type: `h200`.
    pub model: String,
    /// The maker's name: `NVIDIA H200`.
    pub title: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The NUMA domain that it hangs on, where the machine tells.
    pub numa: Option<u32>,
}

/// Looks at this machine.
pub fn machine() -> Machine {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let name = name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("localhost").to_owned();
    let cpus = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
    Machine { name, cpus, memory_mib: memory_mib(), gpus: gpus().unwrap_or_default() }
}

/// The least of what the machine has and what this process's control groups grant.
fn memory_mib() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let file = match controllers {
            "" => format!("/sys/fs/cgroup{path}/memory.max"),
            "memory" => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
            _ => return None,
        };
        let bytes: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        Some(bytes >> 20)
    });
    limits.chain(total.map(|kib| kib / 1024)).min().unwrap_or(1024)
}

fn gpus() -> Option<Vec<Gpu>> {
    let nvml = Nvml::builder().lib_path(OsStr::new("libnvidia-ml.so.1")).init().ok()?;
    let count = nvml.device_count().ok()?;
    let gpu = |index| {
        let device = nvml.device_by_index(index).ok()?;
        let title = device.name().ok()?;
        let bytes = device.memory_info().map_or(0, |memory| memory.total);
        let memory_mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let numa = device.pci_info().ok().and_then(|pci| numa_of(&pci.bus_id));
        Some(Gpu { index, model: gres_type(&title), title, memory_mib, numa })
    };
    Some((0..count).filter_map(gpu).collect())
}

/// The NUMA domain of a PCI device; `None` where the machine has one domain or does not tell (it says -1 then).
fn numa_of(bus_id: &str) -> Option<u32> {
    // NVML writes the PCI domain with eight digits, the kernel with four.
    let short = bus_id.get(bus_id.len().checked_sub(12)?..)?.to_ascii_lowercase();
    fs::read_to_string(format!("/sys/bus/pci/devices/{short}/numa_node")).ok()?.trim().parse().ok()
}

/// The GPUs of each NUMA domain as masks of their places in the list; empty where one of them is not known.
pub fn numa(gpus: &[Gpu]) -> Vec<u32> {
    let mut domains: BTreeMap<u32, u32> = BTreeMap::new();
    for (place, gpu) in (0..32).zip(gpus) {
        let Some(domain) = gpu.numa else { return Vec::new() };
        *domains.entry(domain).or_default() |= 1 << place;
    }
    domains.into_values().collect()
}

/// The GRES type of a maker's name: `NVIDIA A100-SXM4-80GB` is `a100`, `NVIDIA GeForce RTX 4090` is `rtx4090`.
pub fn gres_type(title: &str) -> String {
    let lower = title.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let vendor = |word: &&&str| ["nvidia", "tesla", "quadro", "geforce", "graphics", "device"].contains(*word);
    let mut words = words.iter().filter(|word| !vendor(word)).copied();
    let Some(first) = words.next() else { return "gpu".to_owned() };
    // Families whose name is not yet a model go on until a number has come, and then take a suffix that makes another.
    let mut model = first.to_owned();
    let mut rest = words.peekable();
    while !model.bytes().any(|byte| byte.is_ascii_digit()) {
        match rest.next() {
            Some(word) => model.push_str(word),
            None => break,
        }
    }
    while let Some(word) = rest.next_if(|word| ["ti", "super", "ada"].contains(word)) {
        model.push_str(word);
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_names_become_gres_types() {
        for (title, want) in [
            ("NVIDIA H200", "h200"),
            ("NVIDIA H100 80GB HBM3", "h100"),
            ("NVIDIA A100-SXM4-80GB", "a100"),
            ("Tesla V100-SXM2-32GB", "v100"),
            ("NVIDIA GH200 480GB", "gh200"),
            ("NVIDIA B200", "b200"),
            ("NVIDIA L40S", "l40s"),
            ("NVIDIA GeForce RTX 4090", "rtx4090"),
            ("NVIDIA GeForce RTX 3060 Ti", "rtx3060ti"),
            ("NVIDIA RTX A6000", "rtxa6000"),
            ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
            ("Quadro RTX 6000", "rtx6000"),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtxpro6000"),
            ("NVIDIA TITAN V", "titanv"),
            ("", "gpu"),
        ] {
            assert_eq!(gres_type(title), want, "{title}");
        }
    }

    #[test]
    fn gpus_gather_by_numa_domain() {
        let gpus = |domains: &[Option<u32>]| -> Vec<u32> {
            let one = Gpu { index: 0, model: String::new(), title: String::new(), memory_mib: 0, numa: None };
            numa(&domains.iter().map(|numa| Gpu { numa: *numa, ..one.clone() }).collect::<Vec<_>>())
        };
        assert_eq!(gpus(&[Some(1), Some(1), Some(0), Some(0)]), [0b1100, 0b0011]);
        assert_eq!(gpus(&[Some(0), None]), [0u32; 0]);
        assert_eq!(gpus(&[]), [0u32; 0]);
    }

    #[test]
    fn this_machine_has_something() {
        let machine = machine();
        assert!(machine.cpus > 0 && machine.memory_mib > 0 && !machine.name.is_empty(), "{machine:?}");
    }
}
