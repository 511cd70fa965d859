//! Users, projects, members, awards.
use crate::effect::{Notice, Reply};
use crate::input::DataAt;
use crate::refusal::{Code, Refusal};
use crate::state::Centre;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_ledger::{Account, Posting};
use madang_model::{Award, AwardId, GpuTime, MilliGpus, Project, ProjectId, Role, RunId, Span, Time, User, UserId};
use madang_sched::{Budget, Event};

/// Most users, projects, and awards of one project.
const MOST_USERS: usize = 200_000;
const MOST_PROJECTS: usize = 100_000;
const MOST_AWARDS: usize = 1_000;

impl Centre {
    pub(crate) fn set_user(&mut self, name: String, role: Role) -> Result<Reply, Refusal> {
        check_name("user", &name)?;
        if let Some(&id) = self.index.users.get(&name) {
            self.users[id.index()].role = role;
            return Ok(Reply::User(id));
        }
        too_many("users", self.users.len(), MOST_USERS)?;
        let id = UserId::new(self.users.len() as u32);
        self.index.users.insert(name.clone(), id);
        self.users.push(User { id, name, role, projects: Vec::new() });
        Ok(Reply::User(id))
    }

    pub(crate) fn make_project(
        &mut self,
        name: String,
        title: String,
        owner: &str,
        class: &str,
    ) -> Result<Reply, Refusal> {
        check_name("project", &name)?;
        if self.index.projects.contains_key(&name) {
            return Err(Refusal::new(Code::Exists, format!("a project is named {name} already")));
        }
        too_many("projects", self.projects.len(), MOST_PROJECTS)?;
        let party = self.base().parties.iter().find(|party| party.name == owner);
        let Some(owner_id) = party.map(|party| party.id) else {
            let names: Vec<&str> = self.base().parties.iter().map(|party| party.name.as_str()).collect();
            let fact = format!("no owner is named {owner}");
            return Err(Refusal::new(Code::NotFound, fact).hint(format!("owners are {}", names.join(", "))));
        };
        let Some(class_at) = self.base().classes.iter().position(|known| known.name == class) else {
            let names: Vec<&str> = self.base().classes.iter().map(|class| class.name.as_str()).collect();
            let fact = format!("no class is named {class}");
            return Err(Refusal::new(Code::NotFound, fact).hint(format!("classes are {}", names.join(", "))));
        };
        let id = ProjectId::new(self.projects.len() as u32);
        self.index.projects.insert(name.clone(), id);
        self.projects.push(Project {
            id,
            name,
            title,
            owner: owner_id,
            class: class_at as u32,
            awards: Vec::new(),
            data: None,
        });
        self.events.push(Event::Project { id, owner: owner_id, weight: 1 });
        self.dirty.push(id);
        self.notice(Notice::Project(id));
        Ok(Reply::Project(id))
    }

    pub(crate) fn add_member(&mut self, project: &str, user: &str) -> Result<Reply, Refusal> {
        let project = self.project_named(project)?;
        let user = self.user_named(user)?;
        let projects = &mut self.users[user.index()].projects;
        if let Err(place) = projects.binary_search(&project) {
            projects.insert(place, project);
            self.notice(Notice::Project(project));
        }
        Ok(Reply::Done)
    }

    /// Where a project's data are, for its jobs that do not say.
    pub(crate) fn set_project_data(&mut self, project: &str, data: Option<DataAt>) -> Result<Reply, Refusal> {
        let project = self.project_named(project)?;
        let data = data.map(|data| self.data_hint(&data.site, data.gb)).transpose()?;
        self.projects[project.index()].data = data;
        self.notice(Notice::Project(project));
        Ok(Reply::Done)
    }

    pub(crate) fn grant(&mut self, project: &str, granted: GpuTime, from: Time, until: Time) -> Result<Reply, Refusal> {
        let project = self.project_named(project)?;
        if until <= from {
            return Err(Refusal::new(Code::Invalid, "the award ends before it begins"));
        }
        too_many("awards of one project", self.projects[project.index()].awards.len(), MOST_AWARDS)?;
        let id = AwardId::new(self.next_award);
        let posted = self.book.post(self.now, Posting::Grant { award: id, amount: granted });
        posted.map_err(|refusal| Refusal::new(Code::Invalid, format!("{refusal}")))?;
        self.next_award += 1;
        self.projects[project.index()].awards.push(Award { id, granted, from, until });
        // What has begun already is dealt with now; a restart, too, knows only of moments that are still to come.
        let coming = [from, until].into_iter().filter(|at| *at > self.now);
        self.index.award_edges.extend(coming.map(|at| (at, project)));
        self.dirty.push(project);
        self.notice(Notice::Project(project));
        Ok(Reply::Award(id))
    }

    pub(crate) fn project_named(&self, name: &str) -> Result<ProjectId, Refusal> {
        let found = self.index.projects.get(name).copied();
        found.ok_or_else(|| Refusal::new(Code::NotFound, format!("no project is named {name}")))
    }

    pub(crate) fn user_named(&self, name: &str) -> Result<UserId, Refusal> {
        let found = self.index.users.get(name).copied();
        found.ok_or_else(|| Refusal::new(Code::NotFound, format!("no user is named {name}")))
    }

    /// What a project may still hold for one run: the fullest of its awards in force. A hold comes out of one award,
    /// so awards do not add up; whatever fits under this figure fits into some award.
    pub(crate) fn budget(&self, project: ProjectId) -> Budget {
        let left = self.in_force(project).map(|award| self.free(award.id)).max();
        left.map_or(Budget::NoAward, Budget::Left)
    }

    fn in_force(&self, project: ProjectId) -> impl Iterator<Item = &Award> {
        let now = self.now;
        self.projects[project.index()].awards.iter().filter(move |award| award.from <= now && now < award.until)
    }

    fn free(&self, award: AwardId) -> GpuTime {
        self.book.balance(Account::Free(award)).0
    }

    /// Set aside what a run may use at most: out of the award that ends first among those that cover it.
    pub(crate) fn hold_budget(&mut self, run: RunId, project: ProjectId, gpus: MilliGpus, limit: Span) -> bool {
        let Some(need) = GpuTime::checked_of(gpus, self.covered(limit)) else { return false };
        let fitting = self.in_force(project).filter(|award| self.free(award.id) >= need);
        let Some(award) = fitting.min_by_key(|award| (award.until, award.id)).map(|award| award.id) else {
            return false;
        };
        self.dirty.push(project);
        self.book.post(self.now, Posting::Hold { run, award, amount: need }).is_ok()
    }

    /// How long a run with this limit may hold its nodes at most.
    pub(crate) fn covered(&self, limit: Span) -> Span {
        Span::from_millis(limit.millis().saturating_add(crate::GRACE.millis()))
    }
}

fn too_many(what: &str, have: usize, most: usize) -> Result<(), Refusal> {
    if have < most {
        return Ok(());
    }
    Err(Refusal::new(Code::TooMany, format!("there are {have} {what}, the most there may be")))
}

/// Short names are safe in a file name, on a command line and in Slurm's output.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let good = name.len() <= 63
        && name.bytes().all(fine)
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit() || first == b'_');
    if good {
        return Ok(());
    }
    let fact = format!("{name:?} is not a {what} name");
    Err(Refusal::new(Code::Invalid, fact)
        .hint("use at most 63 lower-case letters, digits, '-', '_' and '.', a letter, digit or '_' first"))
}
