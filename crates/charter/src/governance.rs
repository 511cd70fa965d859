//! Who owns, who is served, what it costs: parties with dated shares, classes, prices.
use crate::calendar::date;
use crate::centre_file::{CentreFile, NodesEntry, ShareEntry};
use crate::charter::CompanyShare;
use crate::reader::{At, Sheet, Spot, Wrong};
use crate::resolve::Names;
use madang_model::{Class, Party, PartyId, Price, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Basis points in a whole.
pub(crate) const WHOLE: u32 = 10_000;

/// Every dated share, by day and then by party; on each day of a change those in force must sum to the whole.
pub(crate) fn company_shares(sheet: &Sheet<'_>, file: &CentreFile) -> Vec<CompanyShare> {
    let mut dated: Vec<(PartyId, &ShareEntry)> = Vec::new();
    for (party, entry) in (0u32..).zip(&file.parties) {
        dated.extend(entry.shares.iter().map(|share| (PartyId::new(party), share)));
    }
    dated.sort_by_key(|(party, share)| (share.from.value, *party));
    let mut in_force: BTreeMap<PartyId, u32> = BTreeMap::new();
    for (place, (party, share)) in dated.iter().enumerate() {
        let day = share.from.value;
        in_force.insert(*party, share.share);
        let next = dated.get(place + 1);
        if next.is_some_and(|next| (next.1.from.value, next.0) == (day, *party)) {
            let fact = format!("{} has two shares from {}", file.parties[party.index()].name.value, date(day));
            sheet.wrong(&share.from.spot, Wrong::new(fact));
        }
        if next.is_none_or(|next| next.1.from.value != day) {
            let what = format!("company shares in force from {}", date(day));
            check_whole(sheet, &share.from.spot, &what, in_force.values().copied());
        }
    }
    dated.into_iter().map(|(party, share)| company_share(party, share)).collect()
}

fn company_share(party: PartyId, entry: &ShareEntry) -> CompanyShare {
    CompanyShare {
        party,
        from: entry.from.value,
        share: entry.share,
        reason: entry.reason.clone(),
        approver: entry.approver.clone(),
        source: entry.source.clone(),
    }
}

/// Notes when shares do not sum to the whole.
pub(crate) fn check_whole(sheet: &Sheet<'_>, spot: &Spot, what: &str, shares: impl Iterator<Item = u32>) {
    let sum: u64 = shares.map(u64::from).sum();
    if sum != u64::from(WHOLE) {
        sheet.wrong(spot, Wrong::new(format!("{what} sum to {}%, not 100%", points(sum))));
    }
}

/// Basis points as a percentage without its sign: `51`, `15.8`.
pub(crate) fn points(basis: u64) -> String {
    match basis % 100 {
        0 => format!("{}", basis / 100),
        part if part % 10 == 0 => format!("{}.{}", basis / 100, part / 10),
        part => format!("{}.{part:02}", basis / 100),
    }
}

/// The parties, each with the share in force on the day of founding.
pub(crate) fn parties(sheet: &Sheet<'_>, file: &CentreFile, shares: &[CompanyShare]) -> Vec<Party> {
    let founded = founding_day(sheet, file, shares);
    let in_force = |party: PartyId| {
        let mut own = shares.iter().filter(|share| share.party == party && Some(share.from) <= founded);
        own.next_back().map_or(0, |share| share.share)
    };
    let party = |(number, entry): (u32, &crate::centre_file::PartyEntry)| {
        let id = PartyId::new(number);
        let (title, title_ko) = (entry.titles.english.clone(), entry.titles.korean.clone());
        Party { id, name: entry.name.value.clone(), title, title_ko, company_share: in_force(id) }
    };
    (0u32..).zip(&file.parties).map(party).collect()
}

fn founding_day(sheet: &Sheet<'_>, file: &CentreFile, shares: &[CompanyShare]) -> Option<Time> {
    let first = shares.first()?.from;
    match &file.heading.founded {
        Some(At { value, .. }) if *value >= first => Some(*value),
        Some(At { value, spot }) => {
            let fact = format!("no company share is in force on {}, the first is from {}", date(*value), date(first));
            sheet.wrong(spot, Wrong::new(fact));
            None
        }
        None => {
            let fact = "missing key founded in centre, the day whose company shares are in force";
            sheet.wrong(&file.heading.spot, Wrong::new(fact).hint(format!("write founded = {}", date(first))));
            None
        }
    }
}

/// The classes; their targets sum to the whole.
pub(crate) fn classes(sheet: &Sheet<'_>, file: &CentreFile) -> Vec<Class> {
    Names::of(sheet, "class", file.classes.iter().map(|class| &class.name));
    if let Some(first) = file.classes.first() {
        check_whole(sheet, &first.target.spot, "class targets", file.classes.iter().map(|class| class.target.value));
    }
    let class = |entry: &crate::centre_file::ClassEntry| Class {
        name: entry.name.value.clone(),
        target: entry.target.value,
        rate: entry.rate,
    };
    file.classes.iter().map(class).collect()
}

/// The prices; one per GPU model and day.
pub(crate) fn prices(sheet: &Sheet<'_>, file: &CentreFile) -> Vec<Price> {
    let mut seen = BTreeSet::new();
    let mut prices = Vec::new();
    for entry in &file.prices {
        if !seen.insert((&entry.gpu.value, entry.from.value)) {
            let fact = format!("{} has two prices from {}", entry.gpu.value, date(entry.from.value));
            sheet.wrong(&entry.from.spot, Wrong::new(fact));
        }
        prices.push(Price {
            model: entry.gpu.value.clone(),
            from: entry.from.value,
            won_per_gpu_hour: entry.won,
            source: entry.source.clone(),
        });
    }
    prices
}

/// A centre that has prices has one for each kind of GPU it describes, so that none is given away by a slip.
pub(crate) fn check_priced(sheet: &Sheet<'_>, file: &CentreFile, prices: &[Price]) {
    if prices.is_empty() {
        return;
    }
    let mut told = BTreeSet::new();
    for island in file.sites.iter().flat_map(|site| &site.islands) {
        let NodesEntry::Modelled(nodes) = &island.nodes else { continue };
        let Some(gpu) = &nodes.gpu else { continue };
        if prices.iter().all(|price| price.model != gpu.value) && told.insert(&gpu.value) {
            let known: BTreeSet<&str> = prices.iter().map(|price| price.model.as_str()).collect();
            let priced = known.into_iter().take(20).collect::<Vec<_>>().join(", ");
            let fact = format!("there is no price for {}", gpu.value);
            sheet.wrong(&gpu.spot, Wrong::new(fact).hint(format!("add a [[price]]; priced are {priced}")));
        }
    }
}
