//! Work of somebody who means ill, put beside that of a recipe.
//!
//! Each [`Attack`] adds to the work of `national`, which is left as it is, so that what the others wait with and without it
//! can be compared job by job. Its jobs have the numbers after theirs ([`Hostile::innocent`]) and come from users of their
//! own, in the owner [`OWNER`] unless the attack is of all owners or of many.
//!
//! Intuition: how much is asked follows from the machine, so that a small machine makes a small attack of the same kind:
//! two hundred tiny jobs for each GPU are 102,400 on 64 nodes of eight.
use super::super::machine::Machine;
use super::super::workload::{Job, Owner, Workload};
use super::draw::{Amount, Order, Refused, generate};
use super::national;
use madang_model::{Span, Time};

/// The owner among whose users they are.
pub const OWNER: u32 = 1;
/// The first user of an attack: no recipe has as many.
const USER: u32 = 100_000;
/// Weight of an owner of the recipe where there are thousands beside it.
const WEIGHT: u32 = 2_000;
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// A gang of the whole estate at the head of each owner, again and again.
    Gangs,
    /// Tiny jobs of one user, all at once.
    Flood,
    /// Two owners who by turns ask for large gangs and withdraw them.
    Turns,
    /// Requests of one user of which no two are alike.
    Shapes,
    /// Users who agree and hold promises in turn.
    Hoard,
    /// Thousands of owners, each with a gang that cannot start.
    Owners,
    /// Jobs that say a minute and run to their limit.
    Short,
    /// Jobs that say thirty days and run ten minutes.
    Long,
}

/// Work with an attack in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostile {
    /// All of it.
    pub workload: Workload,
    /// Jobs with numbers up to this one are of others.
    pub innocent: u64,
}

impl Attack {
    /// Every one.
    pub const ALL: [Attack; 8] = [
        Attack::Gangs,
        Attack::Flood,
        Attack::Turns,
        Attack::Shapes,
        Attack::Hoard,
        Attack::Owners,
        Attack::Short,
        Attack::Long,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Attack::Gangs => "hostile-gangs",
            Attack::Flood => "hostile-flood",
            Attack::Turns => "hostile-turns",
            Attack::Shapes => "hostile-shapes",
            Attack::Hoard => "hostile-hoard",
            Attack::Owners => "hostile-owners",
            Attack::Short => "hostile-short",
            Attack::Long => "hostile-long",
        }
    }

    /// The attack of that name.
    pub fn named(name: &str) -> Option<Attack> {
        Attack::ALL.into_iter().find(|attack| attack.name() == name)
    }

    /// What it does, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Attack::Gangs => "every six hours each owner asks for the whole estate for an hour and runs ten minutes",
            Attack::Flood => "after an hour one user asks for two hundred jobs of half a minute for each GPU",
            Attack::Turns => "two owners by turns ask for four quarters of the estate and withdraw them after an hour",
            Attack::Shapes => "after an hour one user asks for thousands of gangs of which no two are alike",
            Attack::Hoard => "eight users by turns ask for four halves of the estate and withdraw them after two hours",
            Attack::Owners => "after an hour twenty owners for each GPU ask for a quarter of the estate each",
            Attack::Short => {
                "one user asks for twenty jobs of a minute for each GPU and day, which run to their limits"
            }
            Attack::Long => "one user asks for a job of thirty days for each GPU and day, which ends after ten minutes",
        }
    }

    /// Generates the work that is ordered, and the attack beside it.
    pub fn generate(self, order: &Order) -> Result<Hostile, Refused> {
        let Amount::Days(days) = order.amount else { return Err(Refused::Nothing) };
        let mut workload = generate(&national::recipe(), order)?;
        let innocent = workload.jobs.last().map_or(0, |job| job.number);
        workload.name = format!("{} beside {}", self.name(), workload.name);
        workload.notes.push(format!("Beside it {}: {}", self.name(), self.about()));
        let mut asking = Asking { workload, next: innocent, machine: order.machine, days: u64::from(days) };
        match self {
            Attack::Gangs => asking.gangs(),
            Attack::Flood => asking.flood(),
            Attack::Turns => asking.turns(),
            Attack::Shapes => asking.shapes(),
            Attack::Hoard => asking.hoard(),
            Attack::Owners => asking.owners(),
            Attack::Short => asking.spread(20, MINUTE, MINUTE),
            Attack::Long => asking.spread(1, 10 * MINUTE, 30 * 24 * HOUR),
        }
        Ok(Hostile { workload: asking.workload.in_order(), innocent })
    }
}

/// A workload to which is added.
struct Asking<'a> {
    workload: Workload,
    next: u64,
    machine: &'a Machine,
    days: u64,
}

impl Asking<'_> {
    /// Adds a job of this user, with run time and limit in milliseconds; gives its number.
    fn ask(&mut self, at: u64, (owner, user): (u32, u32), (nodes, gpus): (u32, u32), (runs, limit): (u64, u64)) -> u64 {
        self.next += 1;
        self.workload.jobs.push(Job {
            number: self.next,
            submit: Time::from_millis(at),
            runtime: Span::from_millis(runs),
            limit: Span::from_millis(limit),
            nodes,
            gpus,
            cpus: gpus.max(1),
            owner,
            user: USER + user,
            ..Job::default()
        });
        self.next
    }

    /// The same, withdrawn after so long.
    fn ask_until(&mut self, at: u64, until: u64, who: (u32, u32), shape: (u32, u32), times: (u64, u64)) {
        let number = self.ask(at, who, shape, times);
        self.workload.withdrawn.insert(number, Time::from_millis(until));
    }

    /// A gang of this part of the largest fabric.
    fn part(&self, parts: u32) -> (u32, u32) {
        let largest = self.machine.fabrics.iter().max_by_key(|fabric| fabric.nodes * fabric.gpus);
        largest.map_or((1, 1), |fabric| ((fabric.nodes / parts).max(1), fabric.gpus))
    }

    fn hours(&self) -> u64 {
        24 * self.days
    }

    fn gangs(&mut self) {
        for hour in (1..self.hours()).step_by(6) {
            for owner in 0..self.workload.owners.len() as u32 {
                self.ask(hour * HOUR, (owner, 0), self.part(1), (10 * MINUTE, HOUR));
            }
        }
    }

    fn flood(&mut self) {
        for _ in 0..200 * self.machine.gpus() {
            self.ask(HOUR, (OWNER, 0), (1, 1), (MINUTE / 2, MINUTE));
        }
    }

    fn turns(&mut self) {
        for hour in 1..self.hours() {
            for _ in 0..4 {
                let who = (OWNER + (hour % 2) as u32, 0);
                self.ask_until(hour * HOUR, (hour + 1) * HOUR, who, self.part(4), (10 * MINUTE, 6 * HOUR));
            }
        }
    }

    fn shapes(&mut self) {
        let most = 200 * self.machine.gpus();
        let (nodes, gpus) = self.part(4);
        let cpus = self.machine.fabrics.iter().map(|fabric| fabric.cpus).max().unwrap_or(1);
        let all = (1..=nodes).flat_map(|nodes| (1..=gpus).map(move |gpus| (nodes, gpus)));
        let all: Vec<_> = all.flat_map(|shape| (1..=cpus).map(move |cpus| (shape, cpus))).collect();
        for (shape, cpus) in all.into_iter().take(most as usize) {
            self.ask(HOUR, (OWNER, 0), shape, (MINUTE / 6, MINUTE));
            self.workload.jobs.last_mut().expect("one was just asked for").cpus = cpus;
        }
    }

    fn hoard(&mut self) {
        for quarter in 4..4 * self.hours() {
            let (at, user) = (quarter * HOUR / 4, (quarter % 8) as u32);
            for _ in 0..4 {
                self.ask_until(at, at + 2 * HOUR, (OWNER, user), self.part(2), (MINUTE, 6 * HOUR));
            }
        }
    }

    fn owners(&mut self) {
        self.workload.owners.iter_mut().for_each(|owner| owner.weight *= WEIGHT);
        for index in 0..20 * self.machine.gpus() {
            let owner = self.workload.owners.len() as u32;
            self.workload.owners.push(Owner { name: format!("owner-{index}"), weight: 1 });
            self.ask(HOUR, (owner, 0), self.part(4), (1000, 10 * MINUTE));
        }
    }

    /// So many jobs for each GPU and day, evenly over the time.
    fn spread(&mut self, often: u64, runs: u64, limit: u64) {
        let jobs = often * self.machine.gpus() * self.days;
        for index in 0..jobs {
            self.ask(self.hours() * HOUR * index / jobs, (OWNER, 0), (1, 1), (runs, limit));
        }
    }
}
