//! Writes `docs/policies.md`: textbook policies beside published results, on real traces that lie beside the repository.
//! `cargo run --release -p madang-sim --example policies -- ../shared/traces/swf-easy-sc15 > docs/policies.md`
use madang_sim::lab::{Input, Measures, Passes, Policy, decimal, replay};
use madang_sim::swf::Log;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// A log and its machine; the published mean bounded slowdown of EASY, clairvoyant, SJBF, SJBF clairvoyant and FCFS,
/// the mean waits where there are, and what one pass per moment gives under EASY.
struct Trace {
    name: &'static str,
    procs: u32,
    published: [(Policy, &'static str, &'static str); 5],
    each_moment: Option<(&'static str, &'static str)>,
}

const fn published(figures: [(&'static str, &'static str); 5]) -> [(Policy, &'static str, &'static str); 5] {
    let [fcfs, easy, exact, shortest, both] = figures;
    [
        (Policy::Fcfs, fcfs.0, fcfs.1),
        (Policy::Easy, easy.0, easy.1),
        (Policy::EasyClairvoyant, exact.0, exact.1),
        (Policy::EasySjbf, shortest.0, shortest.1),
        (Policy::EasySjbfClairvoyant, both.0, both.1),
    ]
}

const TRACES: [Trace; 4] = [
    Trace {
        name: "KTH-SP2",
        procs: 100,
        published: published([
            ("353776.409", "6814.9733"),
            ("6836.872", "92.5765"),
            ("6327.682", "71.7224"),
            ("5904.077", "69.4054"),
            ("5436.021", "49.8477"),
        ]),
        each_moment: Some(("6834.587", "92.6877")),
    },
    Trace {
        name: "CTC-SP2",
        procs: 338,
        published: published([
            ("655557.119", "3651.5662"),
            ("14272.595", "49.5713"),
            ("13581.716", "37.1654"),
            ("11768.966", "30.0411"),
            ("10004.961", "17.5717"),
        ]),
        each_moment: Some(("13943.007", "48.8370")),
    },
    Trace {
        name: "SDSC-SP2",
        procs: 128,
        published: published([
            ("1535568.622", "13823.5339"),
            ("20497.761", "87.8703"),
            ("17337.106", "70.4779"),
            ("20793.595", "84.8889"),
            ("16307.078", "56.8362"),
        ]),
        each_moment: Some(("20570.875", "87.8055")),
    },
    Trace {
        name: "CEA-Curie",
        procs: 80_640,
        published: published([
            ("175288.518", "5959.0993"),
            ("6369.102", "202.1332"),
            ("", "69.9259"),
            ("", "169.0303"),
            ("", "12.0798"),
        ]),
        each_moment: None,
    },
];

const HEAD: &str = "# Policies beside published results

Textbook policies of `madang simulate` on a machine of interchangeable processors, replayed on the logs of SC'15
(Gaussier et al.) from the Parallel Workloads Archive, beside what is known of them. \"Starts that differ\" counts jobs
that do not start in the very second of the published, job-by-job result; \"means only\" where no such result is at hand.
Means in brackets are known ones: of SC'15 for EASY in all its forms with a pass per event; for FCFS, and for EASY with
one pass per instant, of other simulators, recorded with the traces. Conservative backfill has none on these logs: it
stands beside a slow, obvious replay in `crates/sim/tests/lab.rs`.

Rules: estimates as requested; events in time order, submissions before ends; a pass after each event, as in the
published engine, or one after all events of an instant, as real schedulers do. Bounded slowdown of a job is
max(1, (wait + run) / max(run, 10 s)); utilisation is from the first submission to the last end.

Made by, with the traces beside the repository:

```sh
cargo run --release -p madang-sim --example policies -- ../shared/traces/swf-easy-sc15 > docs/policies.md
```

| log | jobs | processors | policy | pass | mean wait, s | mean bounded slowdown | P99 wait, s | utilisation | starts that differ |
|---|--:|--:|---|---|--:|--:|--:|--:|---|";

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: policies FOLDER, the folder of the SC'15 logs");
        return ExitCode::from(2);
    };
    println!("{HEAD}");
    for trace in &TRACES {
        if let Err(wrong) = table(trace, Path::new(&folder)) {
            eprintln!("error: {}: {wrong}", trace.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn log(folder: &Path, name: &str) -> Option<Log> {
    Log::read(&std::fs::read(folder.join(name)).ok()?).ok()
}

fn table(trace: &Trace, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = std::fs::read(folder.join(format!("{}_easy.swf.gz", trace.name)))?;
    let input = Input::of(&Log::read(&bytes)?)?;
    for policy in Policy::ALL {
        let known = trace.published.iter().find(|(of, ..)| *of == policy);
        row(trace, &input, policy, Passes::EachEvent, known.map(|(_, wait, slowdown)| (*wait, *slowdown)), folder)?;
    }
    row(trace, &input, Policy::Easy, Passes::EachMoment, trace.each_moment, folder)?;
    Ok(())
}

fn row(
    trace: &Trace,
    input: &Input,
    policy: Policy,
    passes: Passes,
    known: Option<(&str, &str)>,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let starts = replay(&input.jobs, trace.procs, policy, passes, &mut |_| ())?;
    let took = begun.elapsed();
    let measures = Measures::of(&input.jobs, &starts, trace.procs);
    eprintln!(
        "{:<10} {:<22} {:>9} us, {:>9} jobs/s",
        trace.name,
        policy.name(),
        took.as_micros(),
        u128::from(measures.jobs) * 1_000_000 / took.as_micros().max(1)
    );
    let of = |ours: String, known: Option<&str>| match known {
        Some(known) if !known.is_empty() => format!("{ours} ({known})"),
        _ => ours,
    };
    let differ = match passes {
        Passes::EachEvent => differ(trace, input, &starts, policy, folder),
        Passes::EachMoment => None,
    };
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {}% | {} |",
        trace.name,
        measures.jobs,
        trace.procs,
        policy.name(),
        if passes == Passes::EachEvent { "event" } else { "instant" },
        of(decimal(measures.mean_wait, 6, 3), known.map(|known| known.0)),
        of(decimal(measures.slowdown, 9, 4), known.map(|known| known.1)),
        measures.p99_wait,
        decimal(measures.utilisation, 4, 2),
        match (differ, known) {
            (Some(differ), _) => format!("**{differ}**"),
            (None, Some(_)) => "means only".to_owned(),
            (None, None) => "none published".to_owned(),
        }
    );
    Ok(())
}

/// How many starts are not those of the published file, where there is one.
fn differ(trace: &Trace, input: &Input, starts: &[u64], policy: Policy, folder: &Path) -> Option<usize> {
    let file = match policy {
        Policy::Easy => "easy",
        Policy::EasyClairvoyant => "easy-clairvoyant",
        Policy::EasySjbfClairvoyant => "easypp-clairvoyant",
        Policy::Fcfs | Policy::EasySjbf | Policy::Conservative => return None,
    };
    let published = log(folder, &format!("{}_{file}.swf.gz", trace.name))?;
    let waits: std::collections::BTreeMap<i64, i64> = published.rows.iter().map(|row| (row.job, row.wait)).collect();
    let met = |(job, start): &(&madang_sim::lab::Job, &u64)| {
        waits.get(&job.number).is_some_and(|wait| job.submit.checked_add_signed(*wait) == Some(**start))
    };
    Some(input.jobs.len() - input.jobs.iter().zip(starts).filter(met).count())
}
