//! From a file whose shape is sound to a charter: names become ids, sums are checked. The second pass.
use crate::centre_file::CentreFile;
use crate::charter::{Charter, Decision, Fact};
use crate::reader::{At, Sheet, Wrong, nearest};
use crate::values::quoted;
use crate::{Machine, estate, governance, policy};
use madang_model::founding::{Founding, Money};
use madang_model::{Link, SiteId};
use std::collections::BTreeMap;

/// The charter that a file describes. What is wrong is noted on the sheet; the result then means nothing.
pub(crate) fn resolve(sheet: &Sheet<'_>, file: &CentreFile, machine: &Machine) -> Option<Charter> {
    let party_names = Names::of(sheet, "party", file.parties.iter().map(|party| &party.name));
    let site_names = Names::of(sheet, "site", file.sites.iter().map(|site| &site.name));
    let company_shares = governance::company_shares(sheet, file);
    let estate = estate::estate(sheet, file, &party_names, machine);
    let mut policy = policy::resolve(sheet, file, &party_names, &estate.sites);
    policy.nodes.spares = estate.spares;
    let prices = governance::prices(sheet, file);
    governance::check_priced(sheet, file, &prices);
    let founding = Founding {
        name: file.heading.name.clone(),
        title: file.heading.titles.english.clone(),
        title_ko: file.heading.titles.korean.clone(),
        parties: governance::parties(sheet, file, &company_shares),
        classes: governance::classes(sheet, file),
        sites: estate.sites,
        islands: estate.islands,
        nodes: estate.nodes,
        partitions: estate::partitions(sheet, file, &site_names),
        prices,
        links: links(sheet, file, &site_names),
        money: file.money.iter().map(money).collect(),
        policy,
    };
    let facts = file.facts.iter().map(fact).collect();
    let decision = |entry: &crate::centre_file::PolicyEntry| Decision {
        reason: entry.reason.clone(),
        approver: entry.approver.clone(),
    };
    let policy = file.policy.as_ref().map(decision);
    Some(Charter { founding, company_shares, deliveries: estate.deliveries, facts, policy })
}

fn money(entry: &crate::centre_file::MoneyEntry) -> Money {
    let (title, title_ko) = (entry.titles.english.clone(), entry.titles.korean.clone());
    Money { title, title_ko, won: entry.won, from: entry.from, source: entry.source.clone() }
}

fn fact(entry: &crate::centre_file::FactEntry) -> Fact {
    let (title, title_ko) = (entry.titles.english.clone(), entry.titles.korean.clone());
    Fact { title, title_ko, figure: entry.figure.clone(), from: entry.from, source: entry.source.clone() }
}

/// Lines between sites: each between two different ones, and no two between the same.
fn links(sheet: &Sheet<'_>, file: &CentreFile, sites: &Names<'_>) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for entry in &file.links {
        let ends: Vec<SiteId> =
            entry.between.iter().filter_map(|name| sites.find(sheet, name)).map(SiteId::new).collect();
        let [a, b] = ends[..] else {
            if ends.len() == entry.between.len() {
                let fact = format!("a link is between two sites, this one names {}", ends.len());
                sheet.wrong(&entry.spot, Wrong::new(fact).hint("between = [\"one\", \"other\"]"));
            }
            continue;
        };
        let between = (a.min(b), a.max(b));
        if a == b || links.iter().any(|link| link.between == between) {
            let fact = match a == b {
                true => "a link is between two sites, this one between one and itself",
                false => "another link is between these sites",
            };
            sheet.wrong(&entry.spot, Wrong::new(fact));
            continue;
        }
        links.push(Link { between, ms_per_gb: entry.ms_per_gb, source: entry.source.clone() });
    }
    links.sort_by_key(|link| link.between);
    links
}

/// The names of one kind of thing, each with its place in the file's list.
pub(crate) struct Names<'f> {
    kind: &'static str,
    places: BTreeMap<&'f str, u32>,
}

impl<'f> Names<'f> {
    /// Collects names and notes those that are taken.
    pub fn of(sheet: &Sheet<'_>, kind: &'static str, names: impl Iterator<Item = &'f At<String>>) -> Names<'f> {
        let mut places = BTreeMap::new();
        for (place, name) in (0u32..).zip(names) {
            if places.contains_key(name.value.as_str()) {
                sheet.wrong(&name.spot, Wrong::new(format!("another {kind} is named {}", name.value)));
            } else {
                places.insert(name.value.as_str(), place);
            }
        }
        Names { kind, places }
    }

    /// The place of a name; notes when there is none.
    pub fn find(&self, sheet: &Sheet<'_>, name: &At<String>) -> Option<u32> {
        let place = self.places.get(name.value.as_str()).copied();
        if place.is_none() {
            let known = self.places.keys().copied();
            let hint = match nearest(&name.value, known.clone()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known: {}", known.take(20).collect::<Vec<_>>().join(", ")),
            };
            let fact = format!("there is no {} named {}", self.kind, quoted(&name.value));
            sheet.wrong(&name.spot, Wrong::new(fact).hint(hint));
        }
        place
    }
}
