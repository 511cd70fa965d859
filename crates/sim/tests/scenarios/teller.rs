//! Plays a story's commands against a centre on virtual time, with a modelled engine that does what it is told.
//!
//! Time is shown since the founding. Whatever starts, ends or does not fit is told under the command that brought it.
use crate::show;
use madang_centre::input::{
    Alteration, Array, Booking, Input, NodesWanted, Report, Signed, Submission, Target, Wait, Wanted,
};
use madang_centre::{Centre, Effect, Keep, Reply};
use madang_model::{
    Allocation, Cap, Choice, DependencyKind, Elastic, GpuTime, JobId, JobState, ModelRun, Part, Qos, Recurrence, Role,
    RunId, Span, Time, Topology,
};
use madang_sim::{ModelEngine, estate, load};
use std::collections::BTreeMap;

/// A centre and the world around it.
#[derive(Default)]
pub struct Teller {
    pub centre: Centre,
    pub now: Time,
    pub founded: Time,
    engine: ModelEngine,
    running: BTreeMap<RunId, Allocation>,
    told: Vec<String>,
    promised: BTreeMap<JobId, Time>,
}

/// `name=value` words of a command, and the words without a name.
pub struct Words<'a> {
    plain: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Words<'a> {
        let mut words = Words { plain: Vec::new(), named: BTreeMap::new() };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => drop(words.named.insert(name, value)),
                None => words.plain.push(word),
            }
        }
        words
    }
    fn plain(&self, place: usize) -> &'a str {
        self.plain.get(place).copied().unwrap_or_else(|| panic!("word {place} is missing in {:?}", self.plain))
    }
    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }
    fn text(&self, name: &str) -> Option<&'a str> {
        self.named.get(name).copied()
    }
    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        self.text(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
    }
    fn span(&self, name: &str) -> Option<Span> {
        self.text(name).map(span)
    }
}

/// `90s`, `15m`, `2h`, `3d`.
pub fn span(text: &str) -> Span {
    let (digits, unit) = text.split_at(text.len() - 1);
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("{text} is no span"));
    match unit {
        "s" => Span::from_secs(number),
        "m" => Span::from_mins(number),
        "h" => Span::from_hours(number),
        "d" => Span::from_days(number),
        _ => panic!("{text} is no span"),
    }
}

impl Teller {
    /// Does one command and tells what came of it.
    pub fn command(&mut self, line: &str) -> Vec<String> {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = Words::of(rest);
        match name {
            "centre" => self.found(&words),
            "project" => self.project(&words),
            "submit" => self.submit(&words),
            "cancel" => self.act(Input::Cancel { job: target(words.plain(0)) }),
            "hold" => self.act(Input::Hold { job: target(words.plain(0)) }),
            "release" => self.act(Input::Release { job: target(words.plain(0)) }),
            "requeue" => self.act(Input::Requeue { job: target(words.plain(0)) }),
            "alter" => {
                let comment = words.text("comment").map(Into::into);
                let change = Alteration { limit: words.span("limit"), comment, ..Alteration::default() };
                self.act(Input::Alter { job: target(words.plain(0)), change });
            }
            "drain" => self.act(Input::Drain { node: words.plain(0).into(), why: words.plain[1..].join(" ") }),
            "resume" => self.act(Input::Resume { node: words.plain(0).into() }),
            "reserve" => self.reserve(&words),
            "unreserve" => self.act(Input::Unreserve { name: words.plain(0).into() }),
            "saved" => self.saved(target(words.plain(0)).job),
            "lose" => self.lose(words.plain(0)),
            "back" => self.act(Input::Report(Report::NodeUp { node: words.plain(0).into() })),
            "wait" => {
                self.wait(span(words.plain(0)));
                if words.has("quietly") {
                    self.shorten();
                }
            }
            "queue" => self.told.extend(show::queue(self)),
            "why" => self.told.extend(show::why(self, target(words.plain(0)).job)),
            "ledger" => self.told.extend(show::ledger(&self.centre)),
            "shares" => self.told.extend(show::shares(self)),
            other => panic!("no command is named {other}"),
        }
        std::mem::take(&mut self.told)
    }

    fn found(&mut self, words: &Words<'_>) {
        self.founded = Time::from_millis(1_800_000_000_000);
        self.now = self.founded;
        let mut founding = estate::plain(words.number("nodes", 2), words.number("gpus", 8));
        // One feature for all, so that stories are about what they are about.
        founding.nodes.iter_mut().for_each(|node| node.features.clear());
        if words.text("leaf").is_some() {
            let in_leaf: u32 = words.number("leaf", 8);
            founding.islands[0].levels = vec!["leaf".into(), "rack".into()];
            founding.nodes.iter_mut().for_each(|node| node.path = vec![node.id.number() / in_leaf, node.rack]);
        }
        self.act(Input::Found(founding));
    }

    fn project(&mut self, words: &Words<'_>) {
        let name: String = words.plain(0).into();
        let owner = words.text("owner").unwrap_or("state").into();
        let class = words.text("class").unwrap_or("national").into();
        let user: String = words.text("user").unwrap_or("ann").into();
        self.quietly(Input::User { name: user.clone(), role: Role::Researcher });
        self.quietly(Input::Project { name: name.clone(), title: name.clone(), owner, class });
        self.quietly(Input::Member { project: name.clone(), user });
        if words.text("hours").is_some() {
            let granted = GpuTime::from_hours(words.number("hours", 0));
            let until = self.now.after(words.span("for").unwrap_or(Span::from_days(365)));
            self.quietly(Input::Award { project: name, granted, from: self.now, until });
        }
    }

    fn submit(&mut self, words: &Words<'_>) {
        let limit = words.span("limit").unwrap_or(Span::from_hours(1));
        let run = words.span("run").unwrap_or(limit);
        let project = words.plain(0);
        let of = self.centre.project(project).map(|project| project.id);
        let member = |user: &&madang_model::User| of.is_some_and(|id| user.projects.contains(&id));
        let user = self.centre.users().iter().find(member).map_or("ann".to_owned(), |user| user.name.clone());
        let gpus: u32 = words.number("gpus", 1);
        let submission = Submission {
            name: words.text("name").unwrap_or(project).into(),
            project: Some(project.into()),
            parts: vec![Part {
                nodes: words.number("nodes", 1),
                gpus,
                cpus: words.number("cpus", gpus.max(1)),
                memory_mib: 1024,
                model: words.text("model").and_then(|names| Choice::same(names.split('|').map(Into::into))),
                exclusive: words.has("exclusive"),
                features: Vec::new(),
                share: None,
            }],
            topology: Topology {
                required: words.text("required").map(str::to_owned),
                preferred: words.text("preferred").map(str::to_owned),
                segment: words.text("segment").map(|_| words.number("segment", 1)),
                spares: words.number("spares", 0),
                patience: words.span("patience"),
            },
            elastic: words
                .text("most")
                .map(|_| Elastic { most: words.number("most", 1), restart: words.span("restart") }),
            limit: Some(limit),
            limit_min: words.span("limit_min"),
            deadline: words.span("deadline").map(|span| self.founded.after(span)),
            qos: if words.has("urgent") { Qos::High } else { Qos::Normal },
            begin: words.span("begin").map(|span| self.founded.after(span)),
            after: words.text("after").map(waits).unwrap_or_default(),
            kill_on_invalid: words.has("kill_on_invalid"),
            singleton: words.has("singleton"),
            requeue: !words.has("no_requeue"),
            checkpoint: words.span("checkpoint"),
            held: words.has("held"),
            array: words.text("array").map(array),
            reservation: words.text("reservation").map(Into::into),
            model: Some(ModelRun { runtime: run, exit: words.number("exit", 0) }),
            ..load::plain(user)
        };
        self.act(Input::Submit(Box::new(submission)));
    }

    /// `reserve NAME from=1h for=2h [every=1d last=7d] nodes=n00,n01|count=2 [project=alpha] | gpus=8`
    fn reserve(&mut self, words: &Words<'_>) {
        let nodes = NodesWanted {
            named: words.text("nodes").map(|names| names.split(',').map(Into::into).collect()).unwrap_or_default(),
            count: words.text("count").map(|_| words.number("count", 0)),
            ..NodesWanted::default()
        };
        let site = || self.centre.founding().map_or(String::new(), |founding| founding.sites[0].name.clone());
        let what = match (words.text("gpus"), words.text("project")) {
            (Some(_), _) => Wanted::Cap { site: site(), most: Cap::Gpus(words.number("gpus", 0)) },
            (_, Some(project)) => Wanted::Projects { nodes, projects: vec![project.into()], owners: Vec::new() },
            _ => Wanted::Maintenance { nodes },
        };
        let since = |name: &str| words.span(name).map(|span| self.founded.after(span));
        let from = since("from").unwrap_or(self.now);
        let every = words.span("every");
        let booking = Booking {
            name: words.plain(0).into(),
            what,
            from,
            until: from.after(words.span("for").unwrap_or(Span::from_hours(1))),
            every: every.map(|every| Recurrence { every, last: since("last").unwrap_or(from) }),
            reason: "a story".into(),
            ignore_running: words.has("ignore_running"),
        };
        self.act(Input::Reserve(booking));
    }

    /// The job's run has just written a checkpoint.
    fn saved(&mut self, job: JobId) {
        let holding = self.centre.job(job).and_then(|job| job.state.holding());
        let (run, _) = holding.expect("a story saves jobs that run");
        self.act(Input::Report(Report::Checkpoint { run, at: self.now }));
    }

    fn lose(&mut self, node: &str) {
        let id = self.centre.node(node).expect("a story names nodes that are there");
        let on_it = |on: &Allocation| on.slots.iter().any(|slot| slot.node == id);
        let lost: Vec<RunId> = self.running.iter().filter(|(_, on)| on_it(on)).map(|(run, _)| *run).collect();
        self.engine.lose(self.now, lost);
        // The node says nothing any more: its runs' ends are known from the engine's silence alone.
        drop(self.engine.due(self.now));
        self.act(Input::Report(Report::NodeDown { node: node.into(), why: "lost".into() }));
    }

    fn wait(&mut self, span: Span) {
        let until = self.now.after(span);
        loop {
            let next = [self.engine.next_due(), self.centre.wake()].into_iter().flatten().min();
            match next.filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.step(Vec::new());
                    self.catch_up();
                }
                None => break,
            }
        }
        self.now = until;
        self.step(Vec::new());
    }

    /// Only how much happened.
    fn shorten(&mut self) {
        let count = |what: &str| self.told.iter().filter(|line| line.contains(what)).count();
        let (starts, ends) = (count(" starts on "), count(" is over"));
        self.told = vec![format!("{starts} starts, {ends} ends")];
    }

    fn quietly(&mut self, input: Input) {
        self.act(input);
        self.told.retain(|line| !line.starts_with("ok"));
    }

    /// One input, and all that follows at this moment.
    fn act(&mut self, input: Input) {
        self.step(vec![Signed { ticket: 1, ..Signed::own(input) }]);
        self.catch_up();
    }

    fn catch_up(&mut self) {
        while self.engine.next_due().is_some_and(|at| at <= self.now) {
            let reports = self.engine.due(self.now);
            self.step(reports.into_iter().map(|report| Signed::own(Input::Report(report))).collect());
        }
    }

    fn step(&mut self, inputs: Vec<Signed>) {
        let effects = self.centre.step(self.now, inputs);
        let wrong = self.centre.audit();
        assert!(wrong.is_empty(), "the audit found {wrong:?}");
        for effect in effects {
            self.perform(effect);
        }
        self.tell_promises();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start { run, on, limit, .. } => {
                let at = show::nodes(&self.centre, &on);
                self.tell(format!("{run} starts on {at}"));
                let model = self.centre.job(run.job).and_then(|job| job.model_on(&on));
                self.running.insert(run, on);
                self.engine.start(self.now, run, limit, model);
            }
            Effect::Stop { run, cause, .. } => {
                self.tell(format!("{run} is told to stop: {cause:?}"));
                self.engine.stop(self.now, run, cause);
            }
            Effect::Reply { answer: Ok(Reply::Job(id)), .. } => self.told.push(format!("ok: {id}")),
            Effect::Reply { answer: Ok(_), .. } => self.told.push("ok".into()),
            Effect::Reply { answer: Err(refusal), .. } => {
                self.told.push(format!("refused: {refusal}"));
                if !refusal.hint.is_empty() {
                    self.told.push(format!("hint: {}", refusal.hint));
                }
            }
            Effect::Keep(Keep::Job(job)) => {
                if let JobState::Ended { outcome, .. } = job.state {
                    self.tell(format!("{} is over: {outcome:?}", job.id));
                }
            }
            Effect::Keep(Keep::Anomaly(_, text)) => self.tell(format!("anomaly: {text}")),
            Effect::Limit { run, limit, .. } => self.tell(format!("{run} may run for {limit}")),
            Effect::Release { run, exit, .. } => self.tell(format!("{run} is given back with exit code {exit}")),
            Effect::Keep(Keep::Ledger(_)) | Effect::Notice(_) | Effect::Signal { .. } => {}
        }
    }

    fn tell(&mut self, what: String) {
        let since = self.now.since(self.founded);
        self.told.push(format!("+{since} {what}"));
    }

    /// Promises that are new or other than before.
    fn tell_promises(&mut self) {
        let Some(scheduler) = self.centre.scheduler() else { return };
        let promises: BTreeMap<JobId, Time> =
            scheduler.promises().map(|promise| (promise.job, promise.start)).collect();
        for (job, start) in &promises {
            if self.promised.get(job) != Some(start) {
                self.tell(format!("{job} is promised a start by +{}", start.since(self.founded)));
            }
        }
        self.promised = promises;
    }
}

fn target(text: &str) -> Target {
    let (job, task) = text.split_once('_').map_or((text, None), |(job, task)| (job, Some(task)));
    let job = job.parse().unwrap_or_else(|_| panic!("{text} is no job"));
    Target { job, task: task.map(|task| task.parse().unwrap_or_else(|_| panic!("{task} is no task"))) }
}

/// `ok:1,any:2`.
fn waits(text: &str) -> Vec<Wait> {
    let kind = |word: &str| match word {
        "start" => DependencyKind::Started,
        "ok" => DependencyKind::Succeeded,
        "notok" => DependencyKind::Failed,
        "any" => DependencyKind::Ended,
        "corr" => DependencyKind::Corresponding,
        _ => panic!("{word} is no dependency"),
    };
    let wait = |word: &str| {
        let (word, job) = word.split_once(':').unwrap_or_else(|| panic!("{word} has no job"));
        Wait { on: target(job), kind: kind(word), delay: Span::ZERO }
    };
    text.split(',').map(wait).collect()
}

/// `0-9%2`.
fn array(text: &str) -> Array {
    let (range, at_once) = text.split_once('%').map_or((text, None), |(range, most)| (range, most.parse().ok()));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no task"));
    Array { ranges: vec![(number(first), number(last), 1)], at_once }
}
