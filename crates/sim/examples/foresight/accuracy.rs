//! How near predictions come to run times, job by job, on public logs.
use crate::work;
use madang_centre::foresight::{Foresight, Like};
use madang_model::{ProjectId, Span, UserId};
use madang_sim::swf::Log;
use madang_sim::trial::philly::Limits;
use madang_sim::trial::reader::{self, Reading};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::Path;

/// A job that was submitted, and ended then.
struct Lived {
    submit: u64,
    end: u64,
    ran: Span,
    like: Like,
}

/// Something that predicts.
trait Predictor {
    fn predict(&self, like: &Like) -> Span;
    fn learn(&mut self, like: &Like, ran: Span);
}

/// The limit itself.
struct Limit;

impl Predictor for Limit {
    fn predict(&self, like: &Like) -> Span {
        like.limit
    }
    fn learn(&mut self, _: &Like, _: Span) {}
}

/// The mean of the user's last two run times, at most the limit.
#[derive(Default)]
struct LastTwo(BTreeMap<UserId, VecDeque<Span>>);

impl Predictor for LastTwo {
    fn predict(&self, like: &Like) -> Span {
        let last = self.0.get(&like.user);
        let sum = |last: &VecDeque<Span>| last.iter().map(|span| span.millis()).sum::<u64>() / last.len() as u64;
        last.map_or(like.limit, |last| Span::from_millis(sum(last).max(1)).min(like.limit))
    }
    fn learn(&mut self, like: &Like, ran: Span) {
        let last = self.0.entry(like.user).or_default();
        last.push_back(ran);
        if last.len() > 2 {
            last.pop_front();
        }
    }
}

impl Predictor for Foresight {
    fn predict(&self, like: &Like) -> Span {
        Foresight::predict(self, like).unwrap_or(like.limit)
    }
    fn learn(&mut self, like: &Like, ran: Span) {
        Foresight::learn(self, like, ran);
    }
}

pub fn print(folder: Option<&Path>) {
    println!("## Accuracy\n");
    println!("{}", include_str!("accuracy.md"));
    let mut logs: Vec<(&str, Vec<Lived>)> = Vec::new();
    for (file, name, _) in work::LOGS {
        if let Some(bytes) = work::log(folder, file) {
            logs.push((name, of_log(&Log::read(&bytes).expect("a published log is well formed"))));
        }
    }
    logs.extend(work::philly(folder).map(|bytes| ("Philly", of_philly(&bytes))));
    if logs.is_empty() {
        return println!("Left out: no traces were given.\n");
    }
    println!("| log | jobs | limit | user's last two | like jobs |\n|---|--:|--:|--:|--:|");
    for (name, jobs) in &logs {
        let cells = [
            figures(jobs, &mut Limit),
            figures(jobs, &mut LastTwo::default()),
            figures(jobs, &mut Foresight::default()),
        ];
        println!("| {name} | {} | {} |", jobs.len(), cells.join(" | "));
    }
    println!();
}

/// The jobs of a log as it says that they ran.
fn of_log(log: &Log) -> Vec<Lived> {
    let rows = log.rows.iter().filter(|row| row.run > 0 && row.time_requested > 0 && row.wait >= 0);
    let mut jobs: Vec<Lived> = rows
        .map(|row| {
            let limit = Span::from_secs(row.time_requested as u64);
            let ran = Span::from_secs(row.run as u64).min(limit);
            let (user, project) = (UserId::new(row.user.max(0) as u32), ProjectId::new(row.group.max(0) as u32));
            let gpus = row.requested.max(row.allocated).max(0) as u32;
            let like = Like { user, project, form: row.executable as u64, gpus, limit };
            Lived { submit: row.submit as u64, end: (row.submit + row.wait) as u64 + ran.secs(), ran, like }
        })
        .collect();
    jobs.sort_by_key(|job| job.submit);
    jobs
}

/// Philly's, of which no waits are known: they are taken to start at once, and each virtual cluster is one user.
fn of_philly(bytes: &[u8]) -> Vec<Lived> {
    let reading = Reading { limits: Limits::OverAsked(1), ..Reading::default() };
    let work = reader::read("Philly", bytes, &reading).expect("it is a Philly table");
    let jobs = work.jobs.iter().map(|job| {
        let (user, project) = (UserId::new(job.user), ProjectId::new(job.owner));
        let user = UserId::new(user.number() + 1000 * project.number());
        let like = Like { user, project, form: 0, gpus: job.gang() as u32, limit: job.limit };
        Lived { submit: job.submit.secs(), end: job.submit.after(job.runtime).secs(), ran: job.runtime, like }
    });
    jobs.collect()
}

/// Mean and median of how near, and how many were predicted too short.
fn figures(jobs: &[Lived], predictor: &mut dyn Predictor) -> String {
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut near, mut short) = (Vec::with_capacity(jobs.len()), 0u64);
    for (at, job) in jobs.iter().enumerate() {
        while let Some(Reverse((_, over))) = ends.peek().copied().filter(|Reverse((end, _))| *end <= job.submit) {
            ends.pop();
            predictor.learn(&jobs[over].like, jobs[over].ran);
        }
        let predicted = predictor.predict(&job.like);
        let (less, more) = (predicted.min(job.ran).millis(), predicted.max(job.ran).millis());
        near.push(u128::from(less) * 1000 / u128::from(more.max(1)));
        short += u64::from(predicted < job.ran);
        ends.push(Reverse((job.end, at)));
    }
    near.sort_unstable();
    let mean = near.iter().sum::<u128>() / near.len() as u128;
    format!("0.{mean:03}, 0.{:03}, {}%", near[near.len() / 2].min(999), short * 100 / jobs.len() as u64)
}
