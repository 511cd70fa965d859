//! Parts of devices: what is held of a device by several runs, and where another part would go.
//!
//! A device that a run holds a part of is *open*: others may hold what is left of it, thousandths beside thousandths or
//! slices beside slices. To whoever wants whole devices an open one is gone, however little of it is held, until the last
//! part is given back; so whole devices are still counted, and a promise of them is still a matter of counting.
//!
//! A promise of a part is counted as a whole device of its own, so that it can be kept on any: a wholly free device always
//! serves. On one device that runs hold parts of then, one such promise may ride for free if what it was promised fits
//! there. This keeps the count of what is taken at a moment from growing when a run ends early, and from depending on
//! which devices others choose.
//!
//! Invariants: thousandths held of a device are 1000 at most; slices held are disjoint.
use crate::cluster::Cluster;
use crate::place::{Now, Pick};
use crate::promise::Promises;
use crate::shape::Fitting;
use alloc::vec::Vec;
use madang_model::share::WHOLE;
use madang_model::{Held, JobId, NodeId, Parts, Profile, RunId, Share, Time};

/// What is asked of one device of a pool's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Milli(u16),
    /// A slice of the pool's profile of this index.
    Slice(usize),
}

impl Piece {
    /// What a share means on devices that offer these parts; `None` where they do not offer it.
    pub fn new(share: &Share, parts: &Parts) -> Option<Piece> {
        if !parts.offers(share) {
            return None;
        }
        match share {
            Share::Milli(milli) => Some(Piece::Milli(*milli as u16)),
            Share::Slice(name) => parts.profiles.iter().position(|profile| profile.name == *name).map(Piece::Slice),
        }
    }
}

/// What is held of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub milli: u32,
    pub cut: u8,
}

impl Room {
    pub fn add(&mut self, held: Held) {
        self.milli += u32::from(held.milli);
        self.cut |= held.cut;
    }

    /// True if exactly this fits beside what is held.
    pub fn takes(self, held: Held) -> bool {
        if held.is_slice() {
            return self.cut & held.cut == 0 && (self.cut != 0 || self.milli == 0);
        }
        self.cut == 0 && self.milli + u32::from(held.milli) <= WHOLE
    }

    /// Thousandths left for shares.
    pub fn left(self) -> u32 {
        if self.cut == 0 { WHOLE - self.milli.min(WHOLE) } else { 0 }
    }

    /// What the piece would hold here. A slice goes where most of all that the profiles allow stays possible, so that
    /// large ones find their places; of equals to the last.
    pub fn fit(self, piece: Piece, parts: &Parts) -> Option<Held> {
        let at = match piece {
            Piece::Milli(milli) => return Some(Held { milli, cut: 0 }).filter(|held| self.takes(*held)),
            Piece::Slice(index) => parts.profiles.get(index)?,
        };
        let fits = starts(at).map(|start| at.at(start)).filter(|held| self.takes(*held));
        fits.max_by_key(|held| (possible(self.cut | held.cut, &parts.profiles), held.cut))
    }
}

fn starts(profile: &Profile) -> impl Iterator<Item = u32> {
    let starts = profile.starts;
    (0..8).filter(move |start| starts >> start & 1 == 1)
}

/// Sevenths of compute of all single slices that could still be cut.
fn possible(cut: u8, profiles: &[Profile]) -> u32 {
    let open = |profile: &&Profile| starts(profile).filter(|start| profile.at(*start).cut & cut == 0).count() as u32;
    profiles.iter().map(|profile| open(&profile) * profile.sevenths).sum()
}

/// The devices of a node that are partly held at a moment, and what is promised of parts then.
#[derive(Default)]
pub(crate) struct Rooms {
    held: Vec<(u32, Room)>,
    promised: Vec<(u32, Held)>,
}

impl Rooms {
    pub fn hold(&mut self, device: u32, held: Held) {
        let at = self.held.iter().position(|(other, _)| *other == device).unwrap_or_else(|| {
            self.held.push((device, Room::default()));
            self.held.len() - 1
        });
        self.held[at].1.add(held);
    }

    pub fn promise(&mut self, device: u32, held: Held) {
        self.promised.push((device, held));
    }

    /// Devices that all of this takes: one for each promise but those that ride.
    pub fn devices(&self) -> u32 {
        let ridden = |(device, room): &&(u32, Room)| {
            self.promised.iter().any(|(other, held)| other == device && room.takes(*held))
        };
        let riders = self.held.iter().filter(ridden).count();
        (self.held.len() + self.promised.len() - riders) as u32
    }
}

impl Cluster {
    /// What is held of a device, as a mask, by the runs that are not gone.
    fn room(&self, node: NodeId, device: u32, gone: &dyn Fn(RunId) -> bool) -> Room {
        let mut room = Room::default();
        let holds = self.nodes[node.index()].holds.iter().filter(|hold| hold.devices & device != 0 && !gone(hold.run));
        holds.filter_map(|hold| hold.share).for_each(|held| room.add(held));
        room
    }

    /// Where a piece could go on the node: open devices first, the fullest of them first, then a wholly free one.
    pub fn seats(&self, node: NodeId, piece: Piece, gone: &dyn Fn(RunId) -> bool) -> Vec<(u32, Held)> {
        let state = &self.nodes[node.index()];
        let facts = &self.estate.nodes[node.index()];
        let parts = &self.estate.pools[facts.pool].parts;
        let stays = state.holds.iter().filter(|hold| !gone(hold.run));
        let (busy, open) = stays.fold((0, 0), |(busy, open), hold| {
            (busy | hold.devices, open | if hold.share.is_some() { hold.devices } else { 0 })
        });
        let mut list: Vec<(Room, u32, Held)> = (0..facts.total.gpus)
            .map(|device| 1_u32 << device)
            .filter(|device| open & device != 0)
            .filter_map(|device| {
                let room = self.room(node, device, gone);
                Some((room, device, room.fit(piece, parts)?))
            })
            .collect();
        list.sort_unstable_by_key(|(room, device, _)| {
            (room.left(), core::cmp::Reverse(room.cut.count_ones()), *device)
        });
        let mut list: Vec<(u32, Held)> = list.into_iter().map(|(_, device, held)| (device, held)).collect();
        let all = u32::MAX.checked_shr(32 - facts.total.gpus).unwrap_or(0);
        let free = crate::devices::choose(!busy & all, 1, &self.estate.pools[facts.pool].numa);
        list.extend(Room::default().fit(piece, parts).filter(|_| free != 0).map(|held| (free, held)));
        list
    }

    /// True if what the part takes is free on the node, were these runs gone.
    pub fn fits_without(&self, node: NodeId, fit: &Fitting, gone: &dyn Fn(RunId) -> bool) -> bool {
        let total = self.estate.total(node);
        let mut used = crate::estate::Amount::default();
        let mut busy = 0_u32;
        for hold in self.nodes[node.index()].holds.iter().filter(|hold| !gone(hold.run)) {
            used = used.plus(hold.amount);
            busy |= hold.devices;
        }
        used.gpus = busy.count_ones();
        match fit.piece {
            None => fit.need.plus(used).within(total),
            Some(piece) => {
                let beside = crate::estate::Amount { gpus: 0, ..fit.need };
                beside.plus(used).within(total) && !self.seats(node, piece, gone).is_empty()
            }
        }
    }

    /// True if what the part takes is free on the node now.
    pub fn fits(&self, node: NodeId, fit: &Fitting) -> bool {
        match fit.piece {
            None => fit.need.within(self.free_of(node)),
            Some(_) => self.fits_without(node, fit, &|_| false),
        }
    }
}

/// A part of a device, or none where whole ones are asked.
pub(crate) type Seat = Option<(u32, Held)>;

/// One more part of a device on a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    /// None: whole devices are asked, which are counted apart.
    Nothing,
    /// A run's, from now on.
    Run((u32, Held)),
    /// A promise's, which others make room for now.
    Promise((u32, Held)),
}

/// From when to when a part would be held, and whether by a run that starts now or by what is promised only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub now: Time,
    pub end: Time,
    pub starts: bool,
}

impl Stay {
    pub fn of(at: &Now) -> Stay {
        Stay { now: at.now, end: at.end, starts: at.rides }
    }

    fn more(self, seat: (u32, Held)) -> More {
        if self.starts { More::Run(seat) } else { More::Promise(seat) }
    }
}

impl Promises {
    /// What the part would hold of a device there, delaying no promise; else whose it would delay.
    pub fn seat(&self, cluster: &Cluster, node: NodeId, fit: &Fitting, stay: Stay) -> Result<Seat, JobId> {
        let Some(piece) = fit.piece else {
            return self.conflict(cluster, node, (fit.need, More::Nothing), stay).map_or(Ok(None), Err);
        };
        let mut behind: Option<JobId> = None;
        for seat in cluster.seats(node, piece, &|_| false) {
            match self.conflict(cluster, node, (fit.need, stay.more(seat)), stay) {
                None => return Ok(Some(seat)),
                Some(job) => behind = Some(behind.map_or(job, |known| known.min(job))),
            }
        }
        behind.map_or(Ok(None), Err)
    }
}

/// The least worth that a node loses by a part of a gang of one, and by which seat; `None` if there is no room or every
/// seat would delay a promise.
pub(crate) fn least_loss(fit: &Fitting, node: NodeId, at: &Now) -> Option<(u64, Seat)> {
    let cluster = at.cluster;
    let Some(piece) = fit.piece else {
        return fit.need.within(cluster.free_of(node)).then(|| (cluster.loss(node, fit, 0), None));
    };
    if !cluster.fits(node, fit) {
        return None;
    }
    let stay = Stay::of(at);
    let clear = |seat: &(u32, Held)| at.promises.conflict(cluster, node, (fit.need, stay.more(*seat)), stay).is_none();
    let seats = cluster.seats(node, piece, &|_| false).into_iter();
    // Of seats that lose the same the first, which is the fullest.
    let losses = seats.map(|seat| (cluster.loss(node, fit, seat.0), seat));
    let mut best: Option<(u64, (u32, Held))> = None;
    for (loss, seat) in losses {
        if best.is_none_or(|(least, _)| loss < least) && clear(&seat) {
            best = Some((loss, seat));
        }
    }
    best.map(|(loss, seat)| (loss, Some(seat)))
}

/// The devices of a pick out of those that are not busy, and what it holds of one.
pub(crate) fn from_free(pick: &Pick, cluster: &Cluster, busy: u32) -> (u32, Option<Held>) {
    let pool = &cluster.estate.pools[cluster.estate.nodes[pick.node.index()].pool];
    let devices = crate::devices::choose(!busy, pick.need.gpus, &pool.numa);
    (devices, pick.piece.and_then(|piece| Room::default().fit(piece, &pool.parts)))
}

/// The devices of a pick that starts now.
pub(crate) fn from_now(pick: &Pick, at: &Now) -> (u32, Option<Held>) {
    let seat = pick.seat.or_else(|| at.promises.seat(at.cluster, pick.node, &pick.asks(), Stay::of(at)).ok().flatten());
    match seat {
        Some((device, held)) => (device, Some(held)),
        None => from_free(pick, at.cluster, at.cluster.nodes[pick.node.index()].busy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use madang_model::share::known_profiles;

    #[test]
    fn slices_lie_so_that_large_ones_still_find_room() {
        let parts = Parts { shards: 0, profiles: known_profiles("h200", 143_771) };
        let cut = |names: &[&str]| {
            let mut room = Room::default();
            let mut lines = String::new();
            for name in names {
                let piece = Piece::new(&Share::Slice((*name).into()), &parts).expect("the profile is known");
                match room.fit(piece, &parts) {
                    Some(held) => {
                        room.add(held);
                        lines += &format!("{name} {:08b}\n", held.cut);
                    }
                    None => lines += &format!("{name} does not fit\n"),
                }
            }
            lines
        };
        expect_test::expect![[r#"
            1g.18gb 01000000
            3g.71gb 00001111
            1g.35gb 00110000
            1g.18gb does not fit
            2g.35gb does not fit
            1g.18gb does not fit
        "#]]
        .assert_eq(&cut(&["1g.18gb", "3g.71gb", "1g.35gb", "1g.18gb", "2g.35gb", "1g.18gb"]));
        let sevens: String = cut(&["1g.18gb"; 8]);
        assert!(sevens.ends_with("1g.18gb does not fit\n") && sevens.lines().count() == 8, "{sevens}");
        expect_test::expect![[r#"
            3g.71gb 11110000
            4g.71gb 00001111
            1g.18gb does not fit
        "#]]
        .assert_eq(&cut(&["3g.71gb", "4g.71gb", "1g.18gb"]));
    }

    #[test]
    fn a_device_is_shared_or_cut_never_both() {
        let (half, slice) = (Held { milli: 500, cut: 0 }, Held { milli: 143, cut: 1 });
        let room = |held: &[Held]| {
            let mut room = Room::default();
            held.iter().for_each(|held| room.add(*held));
            room
        };
        assert!(room(&[half]).takes(half) && !room(&[half, half]).takes(Held { milli: 1, cut: 0 }));
        assert!(!room(&[half]).takes(slice) && !room(&[slice]).takes(half) && !room(&[slice]).takes(slice));
        assert!(room(&[slice]).takes(Held { milli: 143, cut: 2 }));
    }

    #[test]
    fn one_promise_rides_on_a_device_that_is_open_then() {
        let held = |milli| Held { milli, cut: 0 };
        let count = |runs: &[(u32, u16)], promised: &[(u32, u16)]| {
            let mut rooms = Rooms::default();
            runs.iter().for_each(|(device, milli)| rooms.hold(*device, held(*milli)));
            promised.iter().for_each(|(device, milli)| rooms.promise(*device, held(*milli)));
            rooms.devices()
        };
        assert_eq!(count(&[(1, 500), (1, 250)], &[]), 1);
        assert_eq!(count(&[(1, 500)], &[(1, 500)]), 1);
        assert_eq!(count(&[(1, 500)], &[(1, 501)]), 2);
        assert_eq!(count(&[(1, 500)], &[(2, 500)]), 2);
        assert_eq!(count(&[(1, 500)], &[(1, 250), (1, 250)]), 2, "one rides");
        assert_eq!(count(&[], &[(1, 250), (1, 250)]), 2);
    }
}
