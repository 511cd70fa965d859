//! How many tasks run on which node, and Slurm's text for it: `4(x2),3`.

/// Slurm's text for one count per node: runs of equal counts are written once.
pub fn counts_text(counts: &[u32]) -> String {
    let mut runs: Vec<(u32, usize)> = Vec::new();
    for &count in counts {
        match runs.last_mut() {
            Some((known, times)) if *known == count => *times += 1,
            _ => runs.push((count, 1)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(count, times)| if *times == 1 { count.to_string() } else { format!("{count}(x{times})") })
        .collect();
    texts.join(",")
}

/// Tasks for each of `nodes` nodes: `per_node` on each while they last, else spread evenly, the first nodes one more.
pub fn layout(nodes: usize, tasks: Option<u32>, per_node: Option<u32>) -> Vec<u32> {
    let count = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
    match (tasks, per_node) {
        (None, per_node) => vec![per_node.unwrap_or(1); nodes],
        (Some(tasks), Some(per_node)) if u64::from(tasks) <= u64::from(per_node) * u64::from(count) => {
            let mut left = tasks;
            let take = |_| {
                let here = left.min(per_node);
                left -= here;
                here
            };
            (0..nodes).map(take).collect()
        }
        (Some(tasks), _) => {
            let (each, more) = (tasks / count, (tasks % count) as usize);
            (0..nodes).map(|node| each + u32::from(node < more)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_as_slurm_does() {
        for (counts, want) in
            [(&[][..], ""), (&[1], "1"), (&[4, 4], "4(x2)"), (&[4, 4, 3], "4(x2),3"), (&[1, 2, 1], "1,2,1")]
        {
            assert_eq!(counts_text(counts), want);
        }
    }

    #[test]
    fn tasks_are_laid_out() {
        for (nodes, tasks, per_node, want) in [
            (1, None, None, "1"),
            (2, None, Some(8), "8(x2)"),
            (2, Some(5), None, "3,2"),
            (3, Some(2), None, "1(x2),0"),
            (2, Some(6), Some(4), "4,2"),
            (2, Some(8), Some(4), "4(x2)"),
            (2, Some(9), Some(4), "5,4"),
            (0, Some(3), None, ""),
        ] {
            assert_eq!(counts_text(&layout(nodes, tasks, per_node)), want);
        }
    }
}
