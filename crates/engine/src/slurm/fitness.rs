//! Whether a cluster's configuration can serve at all: said once of the whole site, before jobs fail of it one by one.

/// What a partition is like for jobs of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fitness {
    /// Why nothing can be placed on it, with what to do about it.
    pub unfit: Option<String>,
    /// The longest job that it takes.
    pub most_minutes: u64,
}

impl Fitness {
    /// `config` is what `scontrol show config` says, `partition` the line of the one.
    pub fn read(config: &str, partition: &str) -> Fitness {
        let longest = partition.split(' ').find_map(|word| minutes(word.strip_prefix("MaxTime=")?));
        Fitness { unfit: unfit(config, partition), most_minutes: longest.unwrap_or(u64::MAX) }
    }
}

/// Whole minutes of Slurm's `7-00:00:00`; `None` for no limit.
fn minutes(text: &str) -> Option<u64> {
    let (days, rest) = text.split_once('-').unwrap_or(("0", text));
    let mut parts = rest.split(':').map(str::parse::<u64>);
    let (hours, minutes) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some((days.parse::<u64>().ok()? * 24 + hours) * 60 + minutes)
}

fn unfit(config: &str, partition: &str) -> Option<String> {
    let set = |name: &str| {
        let line = config.lines().find(|line| line.split([' ', '=']).next() == Some(name))?;
        Some(line.split_once('=')?.1.trim())
    };
    let word = |key: &str| partition.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    if set("SelectType") == Some("select/linear") {
        let what = "SelectType=select/linear hands out whole nodes, and jobs here share them; ask for select/cons_tres";
        return Some(what.to_owned());
    }
    let name = word("PartitionName")?;
    if let Some(state) = word("State").filter(|state| *state != "UP") {
        return Some(format!("partition {name} is {state}; an operator brings it up by scontrol update"));
    }
    if word("OverSubscribe") == Some("EXCLUSIVE") {
        let what =
            "hands out whole nodes (OverSubscribe=EXCLUSIVE), and jobs here share them; ask for OverSubscribe=NO";
        return Some(format!("partition {name} {what}"));
    }
    if word("ReqResv") == Some("YES") {
        return Some(format!("partition {name} takes jobs within reservations only (ReqResv=YES); name another one"));
    }
    None
}

/// What to do about a refusal that a site's configuration brings about, where the words of Slurm leave that open.
pub(crate) fn hint(said: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 8] = [
        ("invalid account", "set account in [site.slurm] to one that the serving user is in (sacctmgr show assoc)"),
        ("invalid qos", "set qos in [site.slurm] to one that the account has"),
        ("requested time limit is invalid", "give a limit that is shorter by two minutes than the partition's MaxTime"),
        ("requested partition configuration not available", "the partition's limits are smaller than the job"),
        ("user's group not permitted", "let the serving user's group use the partition (AllowGroups)"),
        ("access/permission denied", "let the serving user use the partition and submit (AllowGroups, AllowAccounts)"),
        ("job violates accounting/qos policy", "give the serving user's account and QOS no limits of their own"),
        ("invalid generic resource", "Slurm has other GRES than the centre file says: compare scontrol show node"),
    ];
    let said = said.to_lowercase();
    HINTS.iter().find(|(part, _)| said.contains(part)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_cannot_serve_is_said_once() {
        let config =
            "KillWait = 30 sec\nSelectType              = select/cons_tres\nSelectTypeParameters    = CR_CORE_MEMORY\n";
        let up = "PartitionName=gpu OverSubscribe=NO State=UP ReqResv=NO";
        let mut told = String::new();
        for (config, partition) in [
            (config.to_owned(), up.to_owned()),
            (config.replace("cons_tres", "linear"), up.to_owned()),
            (config.to_owned(), up.replace("State=UP", "State=DRAIN")),
            (config.to_owned(), up.replace("OverSubscribe=NO", "OverSubscribe=EXCLUSIVE")),
            (String::new(), String::new()),
        ] {
            told += &format!("{}\n", unfit(&config, &partition).unwrap_or_else(|| "fit".to_owned()));
        }
        expect![[r#"
            fit
            SelectType=select/linear hands out whole nodes, and jobs here share them; ask for select/cons_tres
            partition gpu is DRAIN; an operator brings it up by scontrol update
            partition gpu hands out whole nodes (OverSubscribe=EXCLUSIVE), and jobs here share them; ask for OverSubscribe=NO
            fit
        "#]]
        .assert_eq(&told);
        let longest = ["MaxTime=7-00:00:00", "MaxTime=01:30:00", "MaxTime=UNLIMITED"];
        let longest = longest.map(|time| Fitness::read(config, &format!("PartitionName=x {time}")).most_minutes);
        assert_eq!(longest, [7 * 24 * 60, 90, u64::MAX]);
        let said =
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified";
        assert!(hint(said).is_some_and(|hint| hint.starts_with("set account")));
    }
}
