//! `madang defrag`: what moving runs together would cost and gain, and having it done.
use super::Context;
use super::centre::hours;
use crate::client::escape;
use crate::fail::{Fail, USAGE};
use crate::table::Table;
use crate::time::{Limit, limit};
use clap::Args;
use madang_api::{Changed, DefragGroup, DefragPlan, DefragSite, DefragSpec, MoveGroup, MoveSpec};
use madang_engine::hostlist;
use std::io::{IsTerminal, Write};

const AFTER: &str = "A move stops a run with the grace of pre-emption and starts its job again in a place that is kept for \
                     it. What it loses since its last checkpoint is its cost; see docs/guides/defragment.md.";

/// `madang defrag`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Defrag {
    /// Move runs of this site alone
    #[arg(long)]
    site: Option<String>,
    /// Count no gain beyond this: 90m, 24h, 7d [default: 24h]
    #[arg(long)]
    horizon: Option<String>,
    /// Most moves [default: 32]
    #[arg(long, value_name = "N")]
    most: Option<u32>,
    /// Make the moves of the plan that is shown
    #[arg(long)]
    run: bool,
    /// With --run: do not ask
    #[arg(long, requires = "run")]
    yes: bool,
}

/// Shows a plan, and has it carried out if that is asked for.
pub fn defrag(context: &Context, defrag: &Defrag) -> Result<u8, Fail> {
    let client = context.client()?;
    let plan: DefragPlan = client.get(&defrag.path()?)?;
    if !defrag.run {
        return context.show(&plan, text);
    }
    // What is printed as JSON is the plan that is carried out.
    context.show(&plan, text)?;
    if plan.groups.is_empty() {
        return Ok(0);
    }
    let moves: usize = plan.groups.iter().map(|group| group.moves.len()).sum();
    if !defrag.yes && !agrees(moves)? {
        return Err(Fail::new("nothing was moved"));
    }
    let made: Changed = client.post("/defrag", &spec(plan))?;
    eprintln!("{} runs were told to stop; their jobs go on in their new places", made.jobs);
    Ok(0)
}

impl Defrag {
    fn path(&self) -> Result<String, Fail> {
        let mut asked = Vec::new();
        asked.extend(self.site.as_ref().map(|site| format!("site={}", escape(site))));
        if let Some(text) = &self.horizon {
            let Some(Limit::Secs(secs)) = limit(text) else {
                let wrong = Fail::new(format!("{text} is not a length")).hint("write it as 90m, 24h or 7d");
                return Err(wrong.exit(USAGE));
            };
            asked.push(format!("horizon_secs={secs}"));
        }
        asked.extend(self.most.map(|most| format!("most={most}")));
        Ok(format!("/defrag?{}", asked.join("&")).trim_end_matches('?').to_owned())
    }
}

fn agrees(moves: usize) -> Result<bool, Fail> {
    if !std::io::stdin().is_terminal() {
        let fail = Fail::new("--run asks before it moves anything, and nobody is there to answer");
        return Err(fail.hint("say --run --yes").exit(USAGE));
    }
    eprint!("make these {moves} moves? [y/N] ");
    std::io::stderr().flush().map_err(|error| Fail::new(error.to_string()))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| Fail::new(error.to_string()))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn spec(plan: DefragPlan) -> DefragSpec {
    let group = |group: DefragGroup| {
        let moves = group.moves.into_iter().map(|one| MoveSpec { job: one.job, attempt: one.attempt, to: one.to });
        MoveGroup { room_for: group.room_for, moves: moves.collect() }
    };
    DefragSpec { groups: plan.groups.into_iter().map(group).collect() }
}

fn text(plan: &DefragPlan) -> String {
    let mut text = String::new();
    if !plan.groups.is_empty() {
        text = format!("{}\n{}", table(plan).text(), summary(plan));
    }
    for note in &plan.notes {
        let lead = if plan.groups.is_empty() { "" } else { "left alone: " };
        text.push_str(&format!("{lead}{note}\n"));
    }
    text
}

fn table(plan: &DefragPlan) -> Table {
    let mut table = Table::new(&["RUN", "USER/PROJECT", ">GPUS", "FROM", "TO", ">LOST", ">GAINED", "MAKES"]);
    for group in &plan.groups {
        let makes = match group.room_for {
            Some(job) => format!("room for job {job}"),
            None => format!("{} whole", hostlist::compress(&group.emptied)),
        };
        for (at, one) in group.moves.iter().enumerate() {
            let first = |text: String| if at == 0 { text } else { String::new() };
            table.row(vec![
                format!("{}.{}", one.job, one.attempt),
                format!("{}/{}", one.user, one.project),
                one.gpus.to_string(),
                hostlist::compress(&one.from),
                hostlist::compress(&one.to),
                hours(one.lost_gpu_us),
                first(hours(group.gained_gpu_us)),
                first(makes.clone()),
            ]);
        }
    }
    table
}

fn summary(plan: &DefragPlan) -> String {
    let sum = |figure: fn(&DefragGroup) -> i64| plan.groups.iter().map(figure).fold(0, i64::saturating_add);
    let moves: usize = plan.groups.iter().map(|group| group.moves.len()).sum();
    let (gained, lost) = (sum(|group| group.gained_gpu_us), sum(|group| group.lost_gpu_us));
    let mut text = format!(
        "{moves} moves gain {} GPU-hours within {} h, and cost {}\n",
        hours(gained),
        plan.horizon_secs.div_ceil(3600),
        hours(lost)
    );
    for DefragSite { site, gpus_stranded, whole_nodes, largest_gang } in &plan.sites {
        let changes =
            [("whole free nodes", whole_nodes), ("largest gang", largest_gang), ("stranded GPUs", gpus_stranded)];
        if changes.iter().any(|(_, change)| change.before != change.after) {
            let said = changes.map(|(name, change)| format!("{name} {} → {}", change.before, change.after));
            text.push_str(&format!("{site}: {}\n", said.join(", ")));
        }
    }
    let starts: Vec<String> = plan.starts.iter().map(u64::to_string).collect();
    text.push_str(&match starts.len() {
        0 => "no job that waits now would start by it\n".to_owned(),
        count if count > 12 => format!("{count} waiting jobs could start, {} and others\n", starts[..12].join(" ")),
        _ => format!("could start then: {}\n", starts.join(" ")),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_api::{BeforeAfter, DefragMove};

    #[test]
    fn a_plan_is_a_table_and_what_it_comes_to() {
        let change = |before, after| BeforeAfter { before, after };
        let moved = |job, from: &str, to: &str| DefragMove {
            job,
            attempt: 1,
            user: "ann".into(),
            project: "alpha".into(),
            gpus: 4,
            from: vec![from.into()],
            to: vec![to.into()],
            lost_gpu_us: 7_200_000_000,
        };
        let moves = vec![moved(1, "a1", "a3"), moved(3, "a2", "a4")];
        let (lost_gpu_us, gained_gpu_us) = (14_400_000_000, 36_000_000_000);
        let group = DefragGroup { room_for: Some(9), moves, emptied: vec![], lost_gpu_us, gained_gpu_us };
        let site = DefragSite {
            site: "big".into(),
            gpus_stranded: change(16, 0),
            whole_nodes: change(0, 2),
            largest_gang: change(0, 2),
        };
        let notes = vec!["2 runs are leaving or end within minutes".into()];
        let (groups, sites, starts) = (vec![group], vec![site], vec![9]);
        let mut plan = DefragPlan { horizon_secs: 86_400, grace_secs: 120, groups, sites, starts, notes };
        let want = "\
RUN  USER/PROJECT  GPUS  FROM  TO  LOST  GAINED  MAKES
1.1  ann/alpha        4  a1    a3     2      10  room for job 9
3.1  ann/alpha        4  a2    a4     2

2 moves gain 10 GPU-hours within 24 h, and cost 4
big: whole free nodes 0 → 2, largest gang 0 → 2, stranded GPUs 16 → 0
could start then: 9
left alone: 2 runs are leaving or end within minutes
";
        assert_eq!(text(&plan), want);
        (plan.groups, plan.notes) = (Vec::new(), vec!["nothing to gain: no idle GPU is stranded".into()]);
        assert_eq!(text(&plan), "nothing to gain: no idle GPU is stranded\n");
    }
}
