//! Many sites: where a job's data are, what moving them costs, and how its sites stand by that.
//!
//! Intuition: a job that may start at several sites starts at the one it reaches most cheaply. What it costs to reach a
//! site is told by hints (where the data are, how long a gigabyte takes from there) and by prices; hints order, and no
//! more: nothing here moves data, and no job waits for a site while another has room for it now.
//!
//! Invariants: a request's list of [`Reach`] is empty where all its sites are reached alike, so that requests of centres
//! without hints and with one price are what they were; else it has one entry for each site that has such GPUs, ascending.
use crate::estate::{Partition, Site};
use crate::founding::Founding;
use crate::id::SiteId;
use crate::units::Span;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How long a gigabyte takes between two sites of which the centre file says nothing: a line of 1 Gbit/s.
pub const UNLINKED_MS_PER_GB: u32 = 8_000;

/// A line between two sites, as the centre file has it. A hint for where jobs start, not a reservation of the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The two sites, ascending.
    pub between: (SiteId, SiteId),
    /// How long a gigabyte takes, in milliseconds, either way.
    pub ms_per_gb: u32,
    /// Where the figure comes from.
    pub source: String,
}

/// Where some of a job's data are: a hint by its user or its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataHint {
    /// The site.
    pub site: SiteId,
    /// How much, in gigabytes of 10⁹ bytes; at least 1.
    pub gb: u32,
}

/// How a request reaches one of its sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reach {
    /// The site.
    pub site: SiteId,
    /// Its place among the request's sites, 0 for the best; equal ones are chosen between by what else there is.
    pub rank: u32,
    /// How long its data take to be there, in whole minutes so that like requests stay one class.
    pub delay: Span,
}

/// What stands for every site in a list of sites.
const ANY: &str = "any";

/// A list of sites as people write it: names, `any` for all, `-name` for all of these but one; `-name` alone is any but
/// that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteList<'a> {
    /// True for every site.
    pub any: bool,
    /// Those that are named.
    pub named: Vec<&'a str>,
    /// Those that are left out.
    pub without: Vec<&'a str>,
}

impl<'a> SiteList<'a> {
    /// Reads the words of a list.
    pub fn read(words: &'a [String]) -> SiteList<'a> {
        let mut list = SiteList::default();
        for word in words {
            match word.strip_prefix('-') {
                Some(name) => list.without.push(name),
                None if word == ANY => list.any = true,
                None => list.named.push(word),
            }
        }
        list.any |= list.named.is_empty() && !list.without.is_empty();
        list
    }

    /// True of a site that is wanted.
    pub fn takes(&self, name: &str) -> bool {
        (self.any || self.named.contains(&name)) && !self.without.contains(&name)
    }

    /// A name that is no site's.
    pub fn unknown(&self, sites: &[Site]) -> Option<&'a str> {
        let known = |name: &&&str| sites.iter().any(|site| site.name == **name);
        self.named.iter().chain(&self.without).find(|name| !known(name)).copied()
    }

    /// The partitions of a job that names sites and no partition: in their order those that have a wanted site that none
    /// before has, those that allow its limit first. So the default alone, where it has them all.
    pub fn partitions<'p>(&self, base: &'p Founding, limit: Option<Span>) -> Vec<&'p Partition> {
        let wanted = base.sites.iter().filter(|site| self.takes(&site.name));
        let mut left: Vec<SiteId> = wanted.map(|site| site.id).collect();
        let allows = |partition: &&Partition| limit.is_none_or(|limit| limit <= partition.max_limit);
        let (first, others): (Vec<&Partition>, Vec<&Partition>) = base.partitions.iter().partition(allows);
        let mut found = Vec::new();
        for partition in first.into_iter().chain(others) {
            let before = left.len();
            left.retain(|site| !partition.sites.contains(site));
            if left.len() < before {
                found.push(partition);
            }
        }
        found
    }
}

/// How long moving all of these data to a site takes by the hints, one gigabyte after the other.
pub fn moving(data: &[DataHint], links: &[Link], to: SiteId) -> Span {
    let ms_per_gb = |from: SiteId| {
        let link = links.iter().find(|link| link.between == (from.min(to), from.max(to)));
        link.map_or(UNLINKED_MS_PER_GB, |link| link.ms_per_gb)
    };
    let far = data.iter().filter(|hint| hint.site != to);
    let millis = far.map(|hint| u64::from(hint.gb).saturating_mul(u64::from(ms_per_gb(hint.site))));
    Span::from_millis(millis.fold(0, u64::saturating_add))
}

/// Ranks sites by (how long the data take there, won for an hour of the gang); empty where all are alike.
pub fn ranked(costs: &[(SiteId, Span, i64)]) -> Vec<Reach> {
    let mut order: Vec<(Span, i64)> = costs.iter().map(|(_, delay, won)| (*delay, *won)).collect();
    order.sort_unstable();
    order.dedup();
    if order.len() < 2 {
        return Vec::new();
    }
    let reach = |(site, delay, won): &(SiteId, Span, i64)| Reach {
        site: *site,
        rank: order.partition_point(|cost| *cost < (*delay, *won)) as u32,
        delay: Span::from_mins(delay.millis().div_ceil(60_000)),
    };
    let mut list: Vec<Reach> = costs.iter().map(reach).collect();
    list.sort_unstable_by_key(|reach| reach.site);
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Data as "site:GB", links as "a-b:ms per GB", prices by site; what comes out as "site:rank+minutes".
    fn told(data: &[(u32, u32)], links: &[(u32, u32, u32)], won: &[i64]) -> String {
        let site = SiteId::new;
        let data: Vec<DataHint> = data.iter().map(|(at, gb)| DataHint { site: site(*at), gb: *gb }).collect();
        let link = |(a, b, ms): &(u32, u32, u32)| Link {
            between: (site(*a), site(*b)),
            ms_per_gb: *ms,
            source: String::new(),
        };
        let links: Vec<Link> = links.iter().map(link).collect();
        let costs: Vec<_> = (0..).zip(won).map(|(at, won)| (site(at), moving(&data, &links, site(at)), *won)).collect();
        let list = ranked(&costs);
        let show = |r: &Reach| format!("{}:{}+{}", r.site.number(), r.rank, r.delay.millis() / 60_000);
        list.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn data_come_before_prices_and_equals_are_left_out() {
        type Case<'a> = (&'a str, &'a [(u32, u32)], &'a [(u32, u32, u32)], &'a [i64]);
        let cases: [Case<'_>; 6] = [
            ("", &[], &[], &[5, 5, 5]),
            ("0:1+0 1:0+0 2:0+0", &[], &[], &[9, 5, 5]),
            ("0:1+1 1:0+0 2:1+1", &[(1, 1)], &[], &[5, 5, 5]),
            ("0:0+0 1:1+2 2:2+14", &[(0, 100)], &[(0, 1, 800)], &[9, 5, 1]),
            // Half of it is here, half there: what is nearer to all of it is best.
            ("0:1+27 1:1+27 2:0+4", &[(0, 200), (1, 200)], &[(0, 2, 500), (1, 2, 500)], &[5, 5, 5]),
            ("", &[(0, 7), (1, 7)], &[], &[5, 5]),
        ];
        for (wanted, data, links, won) in cases {
            assert_eq!(told(data, links, won), wanted, "{data:?} {links:?} {won:?}");
        }
    }
}
