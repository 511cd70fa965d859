//! Who may link: an invitation is good once, also for two who come with it at once; certificates are renewed, replaced and
//! revoked; a server that is not sure to lead says nothing.
mod common;

use common::{Memory, site};
use madang_agent::state::{Identity, State};
use madang_agent::wire::Deed;
use madang_agent::{CardState, Desk, Far, Heard, Hub, Options, Register, WorksKind, identity};
use madang_engine::Engine;
use madang_model::{JobId, RunId, SlurmSite};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

const HOUR: Duration = Duration::from_secs(3_600);

/// A door, its one desk, and a folder for an agent.
struct Door {
    runtime: Runtime,
    hub: Arc<Hub>,
    desk: Arc<Desk>,
    sure: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Heard>>>,
    address: String,
    folder: PathBuf,
    _stop: watch::Sender<bool>,
}

impl Door {
    fn open(name: &str) -> Door {
        let folder = std::env::temp_dir().join(format!("madang-links-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        let register = Arc::new(Register::open(Box::new(Memory::default())).expect("memory does not fail"));
        let (reports, _) = channel();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let hear = Box::new(move |word| hears.lock().expect("nobody panics").push(word));
        let desk = Desk::open(site("busan", "here"), register.next_term().expect("memory"), reports, hear);
        let (runtime, sure) = (Runtime::new().expect("threads"), Arc::new(AtomicBool::new(true)));
        let is_sure = Arc::clone(&sure);
        let hub = Hub::new(register, Box::new(move || is_sure.load(Ordering::SeqCst)));
        hub.lead(vec![Arc::clone(&desk)]);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (stop, stopping) = watch::channel(false);
        runtime.spawn(Arc::clone(&hub).serve(listener, stopping));
        Door { runtime, hub, desk, sure, heard, address, folder, _stop: stop }
    }

    fn invite(&self) -> String {
        self.hub.register.invite("busan", "otto", HOUR).expect("memory does not fail").1
    }

    fn agent(&self, invitation: Option<String>) -> Agent {
        let options = Options {
            site: "busan".to_owned(),
            servers: vec![self.address.clone()],
            dir: self.folder.clone(),
            invitation,
            works: nowhere(&self.folder),
            host: "here".to_owned(),
        };
        let (end, ends) = oneshot::channel::<()>();
        let task = self.runtime.spawn(madang_agent::run(options, async { drop(ends.await) }));
        Agent { end, task }
    }

    /// The agent ends, and with it what it holds.
    fn end(&self, agent: Agent) {
        drop(agent.end);
        self.runtime.block_on(agent.task).expect("it does not panic").expect("it ends when it is told to");
    }

    /// Waits until the agent that is linked came with this certificate, or until none is.
    fn until_linked(&self, card: Option<u64>) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.desk.standing().card != card {
            assert!(Instant::now() < until, "{:?} is never linked: {:?}", card, self.desk.standing());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn states(&self) -> Vec<(u64, CardState)> {
        self.hub.register.cards().iter().map(|card| (card.number, card.state)).collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A Slurm whose commands are not there: an engine that opens and starts nothing.
fn nowhere(folder: &Path) -> WorksKind {
    let site = SlurmSite {
        partition: "gpu".to_owned(),
        spool: folder.join("spool").display().to_string(),
        conf: None,
        commands: Some("/nowhere".to_owned()),
        account: None,
        qos: None,
        carry: true,
    };
    WorksKind::Slurm { site, helper: PathBuf::from("/bin/true"), extra_env: Vec::new() }
}

struct Agent {
    end: oneshot::Sender<()>,
    task: JoinHandle<Result<(), madang_agent::Error>>,
}

#[test]
fn an_invitation_makes_one_certificate_however_many_come_with_it() {
    let memory = Memory::default();
    // Two servers that know the same store, of which each has read the invitation.
    let open = || Register::open(Box::new(memory.clone())).expect("memory does not fail");
    let first = open();
    let (card, text) = first.invite("busan", "otto", HOUR).expect("memory does not fail");
    let second = open();
    let (secret, _) = madang_agent::tls::invitation(&text).expect("an invitation");
    let (_, key) = identity::agent_key().expect("a key");
    assert_eq!(second.enrol("daegu", secret, (&key, "x")).err().map(|fault| fault.code), Some("not_invited"));
    let made = first.enrol("busan", secret, (&key, "x")).expect("it is good");
    assert_eq!((made.card.number, made.card.site.as_str()), (card.number, "busan"));
    for register in [&first, &second] {
        let again = register.enrol("busan", secret, (&key, "y"));
        assert_eq!(again.err().map(|fault| fault.code), Some("not_invited"));
    }
    // What is kept tells nobody the secret.
    let kept = madang_agent::Keep::all(&memory).expect("memory does not fail");
    assert!(kept.iter().all(|(key, text)| !key.contains(secret) && !text.contains(secret)));
    // One that was taken back, and one whose time is over.
    let (card, text) = first.invite("busan", "otto", HOUR).expect("memory does not fail");
    assert!(first.revoke(card.number).expect("memory does not fail").is_some());
    let (_, late) = first.invite("busan", "otto", Duration::ZERO).expect("memory does not fail");
    for text in [text, late] {
        let (secret, _) = madang_agent::tls::invitation(&text).expect("an invitation");
        assert_eq!(first.enrol("busan", secret, (&key, "x")).err().map(|fault| fault.code), Some("not_invited"));
    }
}

#[test]
fn a_certificate_is_renewed_in_time_and_the_one_before_is_worth_nothing() {
    let door = Door::open("renewal");
    let agent = door.agent(Some(door.invite()));
    door.until_linked(Some(1));
    door.end(agent);
    age(&door.folder);
    let agent = door.agent(None);
    door.until_linked(Some(2));
    let until = Instant::now() + Duration::from_secs(30);
    while door.states() != [(1, CardState::Revoked), (2, CardState::Enrolled)] {
        assert!(Instant::now() < until, "{:?}", door.states());
        std::thread::sleep(Duration::from_millis(10));
    }
    door.end(agent);
}

/// Makes the agent believe that its certificate was made long ago.
fn age(folder: &Path) {
    let state = State::open(folder).expect("its agent has ended");
    let identity: Identity = state.get("identity").expect("readable").expect("enrolled");
    let age = 70 * 24 * 3_600_000;
    let aged = Identity { made_ms: identity.made_ms - age, until_ms: identity.until_ms - age, ..identity };
    state.put("identity", &aged).expect("writable");
}

#[test]
fn who_is_revoked_is_cut_off_until_an_operator_invites_again() {
    let door = Door::open("revoked");
    let agent = door.agent(Some(door.invite()));
    door.until_linked(Some(1));
    assert!(door.hub.revoke(1).expect("memory does not fail"));
    door.until_linked(None);
    door.end(agent);
    // The used invitation does not bring it back, another one does.
    let agent = door.agent(Some(door.invite()));
    door.until_linked(Some(2));
    door.end(agent);
    assert_eq!(door.states(), [(1, CardState::Revoked), (2, CardState::Enrolled)]);
    let heard = door.heard.lock().expect("nobody panics").clone();
    assert!(matches!(&heard[0], Heard::Silent { since_ms: 0, .. }), "never heard of at first: {heard:?}");
    assert_eq!(heard[1], Heard::Linked);
}

#[test]
fn a_server_that_is_not_sure_to_lead_says_nothing() {
    let door = Door::open("unsure");
    let agent = door.agent(Some(door.invite()));
    door.until_linked(Some(1));
    std::thread::sleep(Duration::from_millis(300));
    door.sure.store(false, Ordering::SeqCst);
    let run = RunId { job: JobId::new(7), attempt: 1 };
    Far(Arc::clone(&door.desk)).confirm(run);
    std::thread::sleep(Duration::from_millis(500));
    let taken = || -> (u64, u64) {
        let db = rusqlite::Connection::open(door.folder.join("agent.db")).expect("readable");
        let text: String =
            db.query_row("SELECT value FROM kept WHERE key = 'taken'", [], |row| row.get(0)).expect("it took a note");
        serde_json::from_str(&text).expect("two numbers")
    };
    let before = taken();
    assert_eq!(before.1, 1, "the welcome alone: {:?} was held back", Deed::Confirm(run));
    door.sure.store(true, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_secs(30);
    while taken().1 != 2 {
        assert!(Instant::now() < until, "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    door.end(agent);
}
