//! Policies as they are named on the command line: `madang`, or with settings of its own `madang:promises=1:reclaim=no`.
use super::settings;
use clap::builder::{PossibleValue, TypedValueParser};
use madang_sim::lab;
use madang_sim::report::Case;
use madang_sim::trial::madang::Seen;
use madang_sim::trial::peers::{self, Tuned};
use madang_sim::trial::stretch::Stretch;
use madang_sim::trial::{self, Policy, Settings};

/// A policy on nodes with what is changed of its settings.
pub struct Variant {
    /// As it was written.
    pub name: String,
    /// Which policy.
    pub policy: Policy,
    changes: Vec<(String, String)>,
    /// A policy of the field with its settings.
    tuned: Option<Tuned>,
    /// How many of a hundred gangs are made elastic.
    elastic: Stretch,
}

impl Variant {
    /// A policy as it is.
    pub fn plain(policy: Policy) -> Variant {
        let tuned = if let Policy::Peer(peer) = policy { Some(Tuned::from(peer)) } else { None };
        Variant { name: policy.name().into(), policy, changes: Vec::new(), tuned, elastic: Stretch::default() }
    }

    /// The policy of that name on nodes; `None` where there is none of that name, an error where a setting is wrong.
    pub fn named(text: &str) -> Result<Option<Variant>, String> {
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let changes = words.map(change).collect::<Result<Vec<_>, String>>()?;
        let Some(policy) = Policy::named(name) else {
            return if changes.is_empty() { Ok(None) } else { Err(format!("{name} has no settings")) };
        };
        if let Policy::Peer(peer) = policy {
            let mut tuned = Tuned::from(peer);
            changes.iter().try_for_each(|(name, value)| settings::set(&mut tuned, name, value))?;
            return Ok(Some(Variant { name: text.to_owned(), changes, tuned: Some(tuned), ..Variant::plain(policy) }));
        }
        let (elastic, changes): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(name, _)| name == ELASTIC);
        let elastic = elastic.last().map_or(Ok(Stretch::default()), |(_, percent)| share(percent))?;
        let variant = Variant { name: text.to_owned(), policy, changes, tuned: None, elastic };
        variant.apply(&mut madang_model::Policy::default())?;
        Ok(Some(variant))
    }

    /// What it does, in a line.
    pub fn about(&self) -> String {
        let changes: Vec<String> = self.changes.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut about = self.policy.about().to_owned();
        if self.elastic != Stretch::default() {
            about += &format!(", {} of 100 gangs elastic (half to twice their nodes, modelled)", self.elastic.0);
        }
        if changes.is_empty() { about } else { format!("{about}, with {}", changes.join(", ")) }
    }

    /// Tries the case. The changes are made to the policy of the case's centre.
    pub fn run(&self, case: &Case, seen: &mut Seen) -> Result<trial::Outcome, trial::Refusal> {
        if let Some(tuned) = &self.tuned {
            return peers::run_tuned(&case.workload, &case.machine, (&self.name, tuned), seen);
        }
        if self.changes.is_empty() && self.elastic == Stretch::default() {
            return self.policy.run(&case.workload, &case.machine, seen);
        }
        let mut config = case.machine.policy(&case.workload.owners);
        self.apply(&mut config).map_err(trial::Refusal::Centre)?;
        let settings = Settings { name: self.name.clone(), config };
        trial::madang::run_stretched(&case.workload, &case.machine, (&settings, self.elastic), seen)
    }

    fn apply(&self, policy: &mut madang_model::Policy) -> Result<(), String> {
        self.changes.iter().try_for_each(|(name, value)| madang_charter::policy::set(policy, name, value))
    }
}

/// The word for a share of elastic gangs.
const ELASTIC: &str = "elastic";

fn share(percent: &str) -> Result<Stretch, String> {
    let number = percent.parse::<u32>().ok().filter(|number| (0..=100).contains(number));
    number.map(Stretch).ok_or_else(|| format!("elastic cannot be {percent:?}; it is per cent of the gangs, 0 to 100"))
}

/// `promises=1`
fn change(word: &str) -> Result<(String, String), String> {
    let (name, value) = word.split_once('=').ok_or_else(|| format!("write a setting as NAME=VALUE, not {word:?}"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Takes the names of policies, of both kinds of machine, and those on nodes with settings.
#[derive(Clone)]
pub struct Names;

impl Names {
    fn all() -> impl Iterator<Item = &'static str> {
        let processors = lab::Policy::ALL.map(lab::Policy::name).into_iter().filter(|name| *name != "easy");
        Policy::all().map(Policy::name).chain(processors)
    }
}

impl TypedValueParser for Names {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        let text = value.to_string_lossy();
        match Variant::named(&text) {
            Ok(None) => clap::builder::PossibleValuesParser::new(Names::all()).parse_ref(command, arg, value),
            Ok(Some(variant)) => Ok(variant.name),
            Err(fact) => {
                let fact = format!("policy {text}: {fact}\n");
                Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, fact).with_cmd(command))
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Names::all().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_refused() {
        let wrong = |text| Variant::named(text).err().unwrap_or_else(|| panic!("{text} is refused"));
        let variant = Variant::named("madang:promises=1:half-life=7 days").ok().flatten().expect("it is a policy");
        assert_eq!(variant.about(), "the very scheduler that serves a centre, with promises 1, half-life 7 days");
        assert!(matches!(Variant::named("fcfs"), Ok(None)));
        assert!(wrong("madang:promise=1").starts_with("there is no setting \"promise\"; did you mean promises?"));
        assert_eq!(
            wrong("madang:victims=fattest"),
            "victims cannot be \"fattest\"; it is least-lost, youngest or largest"
        );
        let variant = Variant::named("madang:elastic=30:promises=1").ok().flatten().expect("it is a policy");
        assert!(variant.about().contains("30 of 100 gangs elastic"), "{}", variant.about());
        assert_eq!(wrong("madang:elastic=101"), "elastic cannot be \"101\"; it is per cent of the gangs, 0 to 100");
        assert_eq!(wrong("madang:promises"), "write a setting as NAME=VALUE, not \"promises\"");
        assert!(wrong("kueue:timeout=1").starts_with("timeout cannot be \"1\"; it is a length of time"));
        assert_eq!(wrong("fcfs:a=1"), "fcfs has no settings");
        let variant = Variant::named("kueue:borrow=no:waitForPodsReady.timeout=1 min").ok().flatten();
        assert!(
            variant
                .is_some_and(|variant| variant.about().ends_with(", with borrow no, waitForPodsReady.timeout 1 min"))
        );
    }
}
