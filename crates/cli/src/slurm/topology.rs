//! How close together nodes are to stand: `--topology`, `--segment`, `--spares`, `--switches`; and the tree as
//! `scontrol show topology` prints it.
use super::values;
use crate::time::{self, Limit};
use madang_api::{NodeView, TopologySpec};
use madang_engine::hostlist;
use std::collections::BTreeMap;

/// The level that Slurm's `--switches` counts.
const SWITCH: &str = "leaf";

/// Takes one of the options; a note for the person where it means something else than in Slurm.
pub fn take(spec: &mut TopologySpec, name: &str, text: &str) -> Result<Option<String>, String> {
    match name {
        "segment" => spec.segment = Some(values::count(name, text)?),
        "spares" => spec.spares = values::count(name, text)?,
        "switches" => return switches(spec, text),
        _ => levels(spec, text)?,
    }
    Ok(None)
}

/// `required=rack,preferred=leaf`; one of the two is enough.
fn levels(spec: &mut TopologySpec, text: &str) -> Result<(), String> {
    let wrong = || format!("{} (write it as required=LEVEL,preferred=LEVEL)", values::invalid("topology", text));
    for word in text.split(',') {
        match word.split_once('=') {
            Some(("required", level)) if !level.is_empty() => spec.required = Some(level.to_owned()),
            Some(("preferred", level)) if !level.is_empty() => spec.preferred = Some(level.to_owned()),
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

/// `N`: as few leaves as can be had now. `1@time`: one leaf, waited for that long, then any placement. Leaves are not
/// counted beyond one, so that a wait for a few of them is refused.
fn switches(spec: &mut TopologySpec, text: &str) -> Result<Option<String>, String> {
    let (count, wait) = text.split_once('@').map_or((text, None), |(count, wait)| (count, Some(wait)));
    let count = values::count("switches", count)?;
    match wait.map(time::limit) {
        Some(None) => return Err(values::invalid("switches", text)),
        Some(Some(_)) if count > 1 => {
            return Err(format!(
                "--switches={text} is not supported: only one leaf is waited for; give --switches=1@TIME, or --switches={count} \
                 to take as few as are free"
            ));
        }
        Some(Some(wait)) if spec.required.is_none() => {
            spec.required = Some(SWITCH.to_owned());
            spec.patience_secs = match wait {
                Limit::Secs(secs) => Some(secs),
                Limit::Longest => None,
            };
        }
        _ => {}
    }
    if spec.preferred.is_none() {
        spec.preferred = Some(SWITCH.to_owned());
    }
    let note = "takes as few leaves as are free and does not wait for fewer; --switches=1@TIME waits for one";
    Ok((wait.is_none() && count > 1).then(|| format!("--switches={text} {note}")))
}

/// One domain with its nodes and the domains right below it.
#[derive(Default)]
struct Switch {
    level: usize,
    nodes: Vec<String>,
    below: Vec<String>,
}

/// The tree as Slurm's switches: the lowest level is level 0, an island is the switch above its highest level.
pub fn show(nodes: &[NodeView]) -> String {
    let mut switches: BTreeMap<(usize, String), Switch> = BTreeMap::new();
    let mut order: Vec<(usize, String)> = Vec::new();
    for node in nodes {
        let path = std::iter::once(node.island.as_str()).chain(node.domains.iter().map(|domain| domain.name.as_str()));
        let path: Vec<&str> = path.collect();
        for (depth, name) in path.iter().enumerate() {
            let key = (path.len() - 1 - depth, (*name).to_owned());
            let switch = switches.entry(key.clone()).or_insert_with(|| {
                order.push(key.clone());
                Switch { level: key.0, ..Switch::default() }
            });
            switch.nodes.push(node.name.clone());
            if let Some(next) = path.get(depth + 1).filter(|next| !switch.below.iter().any(|known| known == *next)) {
                switch.below.push((*next).to_owned());
            }
        }
    }
    order.sort_by_key(|(level, _)| *level);
    let line = |(key, switch): (&(usize, String), &Switch)| {
        let nodes = hostlist::compress(&switch.nodes);
        let below =
            if switch.below.is_empty() { String::new() } else { format!(" Switches={}", switch.below.join(",")) };
        format!("SwitchName={} Level={} LinkSpeed=1 Nodes={nodes}{below}\n", key.1, switch.level)
    };
    order.iter().map(|key| line((key, &switches[key]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_switch_is_waited_for() {
        let patience = |text: &str| {
            let mut spec = TopologySpec::default();
            let note = take(&mut spec, "switches", text).unwrap_or_else(Some);
            (spec.required, spec.patience_secs, note.is_some())
        };
        let leaf = || Some("leaf".to_owned());
        assert_eq!(patience("1"), (None, None, false));
        assert_eq!(patience("3"), (None, None, true));
        assert_eq!(patience("1@30"), (leaf(), Some(1_800), false));
        assert_eq!(patience("1@UNLIMITED"), (leaf(), None, false));
        assert_eq!(patience("2@30"), (None, None, true));
    }

    #[test]
    fn options_of_topology() {
        for (name, text, want) in [
            ("topology", "required=rack", Ok((Some("rack"), None, None))),
            ("topology", "preferred=leaf,required=rack", Ok((Some("rack"), Some("leaf"), None))),
            ("topology", "rack", Err(())),
            ("topology", "required=", Err(())),
            ("segment", "18", Ok((None, None, Some(18)))),
            ("segment", "0", Err(())),
            ("switches", "1", Ok((None, Some("leaf"), None))),
            ("switches", "2", Ok((None, Some("leaf"), None))),
            ("switches", "1@1:00:00", Ok((Some("leaf"), Some("leaf"), None))),
            ("switches", "2@1:00:00", Err(())),
            ("switches", "2@soon", Err(())),
            ("switches", "all", Err(())),
        ] {
            let mut spec = TopologySpec::default();
            let taken = take(&mut spec, name, text).map_err(drop);
            let found = taken.map(|_| (spec.required.as_deref(), spec.preferred.as_deref(), spec.segment));
            assert_eq!(found, want, "--{name}={text}");
        }
    }
}
