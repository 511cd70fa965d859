//! The page itself: what stands where, and the words around the drawings.
use super::compared::{self, Groups, Trade};
use super::svg::escaped;
use super::{Report, plots, words};
use crate::trial::{Bands, Figures};
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");
/// A pattern for what is unmet or lost, so that it is not told by colour alone.
const HATCH: &str = "<svg width=\"0\" height=\"0\" aria-hidden=\"true\" style=\"position:absolute\"><defs><pattern \
                     id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
                     patternTransform=\"rotate(45)\"><rect width=\"3\" height=\"6\" \
                     style=\"fill:var(--unmet)\"/></pattern><pattern id=\"fine\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\"><rect width=\"5\" height=\"5\" style=\"fill:var(--idle)\"/><rect width=\"1.5\" height=\"5\" style=\"fill:var(--down)\"/></pattern></defs></svg>\n";

/// Makes the page.
pub fn html(report: &Report) -> String {
    assert!(!report.cases.is_empty() && !report.tried.is_empty(), "there is something to report");
    let name = escaped(&report.cases[0].workload.name);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en-GB\"><head><meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"/>\n<title>{name}, simulated</title>\n<style>\n{STYLE}</style>\
         </head>\n<body>\n{HATCH}"
    );
    out += &head(report);
    out += &table(report);
    if report.tried.len() > 1 {
        out += &trades(report);
    }
    out += &estate(report);
    out += &jobs(report);
    out += &owners(report);
    out += &losses(report);
    out += &foot(report);
    out += "</body></html>\n";
    out
}

fn head(report: &Report) -> String {
    let case = &report.cases[0];
    let (workload, machine) = (&case.workload, &case.machine);
    let seeds: Vec<String> = report.cases.iter().map(|case| case.seed.to_string()).collect();
    let days = words::time(case.until().millis() / 1000);
    let mut out = format!("<header><h1>{}, simulated</h1>\n", escaped(&workload.name));
    out += "<p class=\"modelled\"><strong>Modelled.</strong> Nothing ran: jobs, run times and nodes are the workload's, \
            time is virtual. Madang's part is the very scheduler that serves a centre; other policies are written from \
            their documents.</p>\n<dl>";
    let mut row = |name: &str, text: &str| {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(text));
    };
    let jobs = Bands::of(report.cases.iter().map(|case| case.workload.jobs.len() as u64));
    row(
        "Workload",
        &format!("{} jobs of {} owners over {days}", words::bands(jobs, words::whole), workload.owners.len()),
    );
    let parts = workload.jobs.iter().filter(|job| job.share > 0).count();
    if parts > 0 {
        let parts = words::whole(parts as u64);
        row("Parts of GPUs", &format!("{parts} jobs ask for a part of one GPU; GPUs are counted in thousandths"));
    }
    row(
        "Machine",
        &format!(
            "{}: {} nodes, {} GPUs",
            machine.name,
            words::whole(machine.nodes().into()),
            words::whole(machine.gpus())
        ),
    );
    for tried in report.tried {
        row("Policy", &format!("{}: {}", tried.name, tried.about));
    }
    row(if seeds.len() == 1 { "Seed" } else { "Seeds" }, &seeds.join(", "));
    row("Made by", &format!("madang {}", report.version));
    out += "</dl>\n<h3>What is known of the workload, and what is modelled</h3>\n<ul>";
    for note in &workload.notes {
        let _ = write!(out, "<li>{}</li>", escaped(note));
    }
    let _ = writeln!(out, "</ul>\n<p>To make this page again: <code>{}</code></p></header>", escaped(report.command));
    out
}

/// A figure, its name, and how it is said.
type Row = (&'static str, fn(&Figures) -> u64, fn(u64) -> String);

/// Every figure of a trial that is one number.
pub const ROWS: [Row; 20] = [
    ("Mean wait", |f| f.all.mean_wait.secs(), words::time),
    ("Median wait", |f| f.all.median_wait.secs(), words::time),
    ("P99 wait", |f| f.all.p99_wait.secs(), words::time),
    ("Longest wait", |f| f.all.longest_wait.secs(), words::time),
    ("Mean bounded slowdown", |f| f.all.slowdown, words::ratio),
    ("GPU time held, of all", |f| f.utilisation, words::per_cent),
    ("GPU time that counted, of all", |f| f.goodput, words::per_cent),
    ("Runs taken back", |f| f.taken_back, words::whole),
    ("Lost to runs taken back", |f| f.lost_back, words::gpu_hours),
    ("Lost to broken nodes", |f| f.lost_nodes, words::gpu_hours),
    ("Held by parts of gangs that waited", |f| f.stalled, words::gpu_hours),
    ("Guarantees unmet", |f| f.unmet, words::gpu_hours),
    ("Largest gang placeable, mean", |f| f.largest_gang, |gpus| format!("{} GPUs", words::whole(gpus))),
    ("GPUs stranded, mean", |f| f.stranded, words::per_cent),
    ("Left of GPUs held in part, mean", |f| f.slivers, words::per_cent),
    ("Promises kept", |f| f.promises.0, words::whole),
    ("Promises broken", |f| f.promises.1, words::whole),
    ("Time from first submission to last end", |f| f.makespan.secs(), words::time),
    ("Jobs", |f| f.all.jobs, words::whole),
    ("Owners with something unmet", |f| f.shares.iter().filter(|s| s.unmet > 0).count() as u64, words::whole),
];

fn table(report: &Report) -> String {
    let many = if report.cases.len() > 1 { " Mean over seeds, with the least and the most in brackets." } else { "" };
    let mut out =
        format!("<section><h2>All figures</h2><p class=\"lead-in\">What each means stands at the end.{many}</p>");
    out += "<div class=\"scroll\"><table><thead><tr><th>Figure</th>";
    report.tried.iter().for_each(|tried| out += &format!("<th>{}</th>", escaped(&tried.name)));
    out += "</tr></thead><tbody>\n";
    for (name, figure, say) in ROWS {
        let _ = write!(out, "<tr><td>{name}</td>");
        for tried in report.tried {
            let bands = Bands::of(tried.figures.iter().map(figure));
            let _ = write!(out, "<td>{}</td>", escaped(&words::bands(bands, say)));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div></section>\n"
}

fn figure(caption: &str, svg: &str) -> String {
    format!("<figure><figcaption>{caption}</figcaption>{svg}</figure>\n")
}

fn trades(report: &Report) -> String {
    let slowdown = Trade { title: "mean bounded slowdown", figure: |f| f.all.slowdown as f64 / 1e6 };
    let unmet = Trade { title: "guarantees unmet (GPU-hours)", figure: |f| f.unmet as f64 / 3600.0 };
    let unused = Trade { title: "GPU time not held (%)", figure: |f| (1e6 - f.utilisation as f64) / 1e4 };
    let wait = Trade { title: "P99 wait (hours)", figure: |f| f.all.p99_wait.secs() as f64 / 3600.0 };
    let mut out =
        "<section><h2>What each policy trades for what</h2><p class=\"lead-in\">Nearer to the lower left corner \
                   is better in both. The dashed line joins the best, with a star: those that no other beats in both.</p>\
                   <div class=\"pair\">"
            .to_owned();
    out += &figure("Fairness to owners against speed for jobs", &compared::trade(report, &slowdown, &unmet));
    out += &figure("Long waits against unused GPUs", &compared::trade(report, &unused, &wait));
    out + "</div></section>\n"
}

fn estate(report: &Report) -> String {
    let case = &report.cases[0];
    let mut out = "<section><h2>Use of the estate over time</h2><p class=\"lead-in\">Who holds how many GPUs. On top what \
                   nobody holds: free on nodes that hold something already (stranded, no use to a gang of whole nodes), \
                   free, and down."
        .to_owned();
    if report.cases.len() > 1 {
        let _ = write!(out, " Of seed {}.", case.seed);
    }
    out += "</p>";
    for tried in report.tried {
        out +=
            &figure(&format!("<strong>{}</strong>: GPUs by owner", escaped(&tried.name)), &plots::layers(case, tried));
    }
    out += "</section>\n<section><h2>Queue over time</h2>";
    out +=
        &figure("Jobs waiting", &plots::over_time(report, "jobs", "Jobs waiting over time", (|f| f.waiting.into(), 1)));
    let says = "GPUs that waiting jobs ask for, over time";
    out += &figure("GPUs that they ask for", &plots::gpus(report, says, |f| f.wanted));
    out += "</section>\n<section><h2>Fragmentation over time</h2>";
    let says = "Free GPUs on nodes that hold something, over time";
    out += &figure("Stranded: free GPUs on nodes that hold something", &plots::gpus(report, says, |f| f.stranded));
    let says = "Largest gang of whole nodes that could start, over time";
    out += &figure("Largest gang of whole nodes that could start", &plots::gpus(report, says, |f| f.largest_gang));
    out + "</section>\n"
}

fn jobs(report: &Report) -> String {
    let mut out = "<section><h2>Waits and bounded slowdown</h2>".to_owned();
    out += &figure("How many jobs wait no longer than this", &plots::waits(report));
    let by: [(&str, Groups); 3] =
        [("size of gang", |f| &f.by_size), ("urgency", |f| &f.by_class), ("owner", |f| &f.by_owner)];
    for (name, groups) in by {
        if name != "size of gang" && groups(&report.tried[0].figures[0]).len() < 2 {
            continue;
        }
        let most = if name == "owner" { "; the owners with the most jobs" } else { "" };
        let says = format!("Waits by {name}");
        out += &figure(&format!("{says}{most}"), &compared::waits(report, groups, &says));
        let says = format!("Bounded slowdown by {name}");
        out += &figure(&format!("{says}{most}"), &compared::slowdowns(report, groups, &says));
    }
    out + "</section>\n"
}

fn owners(report: &Report) -> String {
    let mut out =
        "<section><h2>Share delivered against guaranteed</h2><p class=\"lead-in\">The bar is what an owner held, \
                   the upright stroke its guarantee; hatched is what it lacked of its guarantee while it had jobs \
                   waiting for it. A bar that ends before the stroke with nothing hatched asked for no more.</p>"
            .to_owned();
    for tried in report.tried {
        out += &figure(&format!("<strong>{}</strong>", escaped(&tried.name)), &plots::shares(report, tried));
    }
    out + "</section>\n"
}

fn losses(report: &Report) -> String {
    let mut out = "<section><h2>Pre-emption and goodput</h2>".to_owned();
    out += &figure("Runs taken back so far", &plots::taken_back(report));
    let caption = "Where GPU time went: what counted in the end, what was lost (hatched), what nobody held";
    out += &figure(caption, &plots::goodput(report));
    out + "</section>\n"
}

fn foot(report: &Report) -> String {
    let single = if report.cases.len() > 1 {
        "Shaded bands and wide pale strokes run from the least to the most over seeds. "
    } else {
        ""
    };
    format!(
        "<section><h2>What the figures mean</h2><ul>\
         <li><strong>Wait</strong>: time from submission to the end, less the run time; so it holds time in the queue, \
         and time lost to runs taken back and broken nodes.</li>\
         <li><strong>Bounded slowdown</strong>: max(1, (wait + run time) / max(run time, 10 s)).</li>\
         <li><strong>Guarantee</strong>: the owner's weight of all weights, of the machine's GPUs.</li>\
         <li><strong>Unmet</strong>: integral over time of min(guarantee - held, wanted) where an owner holds less than \
         its guarantee.</li>\
         <li><strong>Counted</strong>: GPU time of runs to their end, and what was saved of runs that were taken back \
         or broke; <strong>lost</strong>: the rest of what was held.</li>\
         <li><strong>Stranded</strong>: free GPUs on nodes some GPU of which is held, parts counted. <strong>Left of GPUs \
         held in part</strong>: of no use to who asks for a whole one. <strong>Largest gang</strong>: of whole free nodes \
         in one island.</li>\
         <li><strong>P99</strong>: what 99 of 100 jobs do not exceed (nearest rank).</li></ul>\
         <p>{single}Use is measured from the first submission to the last, so that the tail says nothing.</p></section>\n"
    )
}
