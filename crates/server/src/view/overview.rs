//! The centre as a whole as callers see it.

use crate::chart::Chart;
use crate::estate::Estate;
use crate::view::estate::sites;
use madang_api::{MoneyView, Overview, OwnerView};
use madang_centre::Centre;
use madang_model::{PartyId, Time};

/// Basis points in a whole.
const WHOLE: u128 = 10_000;

/// Everything at a glance.
pub fn overview(centre: &Centre, estate: &Estate, now: Time, chart: &Chart) -> Overview {
    let founding = &estate.founding;
    let counts = centre.counts();
    let money = founding.money.iter().map(|money| MoneyView {
        title: money.title.clone(),
        title_ko: money.title_ko.clone(),
        won: money.won.won(),
        from_ms: money.from.millis(),
        source: money.source.clone(),
    });
    Overview {
        name: founding.name.clone(),
        title: founding.title.clone(),
        title_ko: founding.title_ko.clone(),
        now_ms: now.millis(),
        version: env!("CARGO_PKG_VERSION").into(),
        sites: sites(centre, estate),
        owners: owners(centre, estate, now),
        running: counts.running,
        waiting: counts.waiting,
        ended: counts.ended,
        history: chart.points(),
        money: money.collect(),
    }
}

/// Every owner's standing.
pub fn owners(centre: &Centre, estate: &Estate, now: Time) -> Vec<OwnerView> {
    let standing = centre.standing(now);
    let all: u128 = estate.owners.iter().map(|owner| delivered(centre, *owner)).sum();
    let view = |id: &PartyId| {
        let party = &estate.founding.parties[id.index()];
        let own = standing.iter().find(|standing| standing.owner == *id && standing.project.is_none());
        let share = (delivered(centre, *id) * WHOLE + all / 2).checked_div(all).unwrap_or(0);
        OwnerView {
            name: party.name.clone(),
            title: party.title.clone(),
            title_ko: party.title_ko.clone(),
            entitled_bp: entitled(estate, *id),
            delivered_bp: u32::try_from(share).unwrap_or(u32::MAX),
            delivered_gpu_us: centre.delivered(*id).micro_secs(),
            gpus: own.map_or(0, |own| own.gpus),
            waiting: own.map_or(0, |own| own.waiting),
        }
    };
    estate.owners.iter().map(view).collect()
}

fn delivered(centre: &Centre, owner: PartyId) -> u128 {
    u128::try_from(centre.delivered(owner).micro_secs()).unwrap_or(0)
}

/// An owner's share of all GPUs, each site's by the site's own shares.
fn entitled(estate: &Estate, owner: PartyId) -> u32 {
    let (mut own, mut all) = (0_u128, 0_u128);
    for node in &estate.founding.nodes {
        let site = &estate.founding.sites[node.site.index()];
        let share = site.shares.iter().find(|(party, _)| *party == owner).map_or(0, |(_, share)| *share);
        own += u128::from(node.gpus) * u128::from(share);
        all += u128::from(node.gpus);
    }
    u32::try_from((own + all / 2).checked_div(all).unwrap_or(0)).unwrap_or(u32::MAX)
}
