//! Who writes: a lease on the centre, in the database and by the database's clock.
//!
//! The holder renews it every half second; whoever finds it run out adds one to the epoch and has taken over. Safety
//! does not rest on time: every write names its epoch and is refused under any but the newest, so a holder that slept
//! through its lease writes nothing when it wakes.

use super::link::{Address, Link};
use crate::trouble::Trouble;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// How long a lease lasts unrenewed.
pub const LEASE: Duration = Duration::from_secs(3);
/// How often it is renewed.
const RENEW: Duration = Duration::from_millis(500);

/// Takes the lease if it has run out, or if it was this folder's: no other process holds the folder.
const TAKE: &str = "UPDATE lease SET epoch = epoch + 1, holder = $1, address = $2, \
    until = clock_timestamp() + make_interval(secs => $3) WHERE until < clock_timestamp() OR holder = $1 RETURNING epoch";
/// A renewal that is lost with the database's machine makes the lease end sooner, no more: it need not wait for a disk.
const RENEWAL: &str = "UPDATE lease SET until = clock_timestamp() + make_interval(secs => $2) WHERE epoch = $1";

/// A server's part in the lease.
pub struct Lease {
    link: Link,
    identity: String,
    own: String,
    epoch: AtomicI64,
    is_lost: AtomicBool,
    ends: AtomicBool,
    renewed: Mutex<Instant>,
}

impl Lease {
    /// The part of the server with this identity that answers at `own`; it does not hold the lease.
    pub fn new(address: &Address, identity: &str, own: &str) -> Lease {
        Lease {
            link: Link::new(address),
            identity: identity.to_owned(),
            own: own.to_owned(),
            epoch: AtomicI64::new(0),
            is_lost: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            renewed: Mutex::new(Instant::now()),
        }
    }

    /// What this server writes under; 0 while it does not hold the lease, which no epoch ever is.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Takes the lease if nobody has it; true when it is held now.
    pub fn try_take(self: &Arc<Lease>) -> Result<bool, Trouble> {
        let values: super::link::Values<'_> = &[&self.identity, &self.own, &LEASE.as_secs_f64()];
        let taken = self.link.once("take over", |session| session.maybe(TAKE, values))?;
        let Some(row) = taken else { return Ok(false) };
        self.epoch.store(row.get(0), Ordering::SeqCst);
        *self.renewed.lock() = Instant::now();
        let lease = Arc::clone(self);
        let thread = std::thread::Builder::new().name("lease".into()).spawn(move || lease.renew_until_lost());
        thread.map_err(|error| Trouble::new(format!("failed to start the thread of the lease: {error}")))?;
        Ok(true)
    }

    /// Where the holder answers.
    pub fn active(&self) -> Result<String, Trouble> {
        self.link.read("read", |session| Ok(session.one("SELECT address FROM lease", &[])?.get(0)))
    }

    /// True while it was renewed lately: nobody else can have taken over.
    pub fn is_sure(&self) -> bool {
        self.renewed.lock().elapsed() < LEASE
    }

    /// Fails when another server has taken over.
    pub fn check(&self) -> Result<(), Trouble> {
        if self.is_lost.load(Ordering::SeqCst) { Err(self.taken_over()) } else { Ok(()) }
    }

    /// What is said when a write was refused.
    pub fn taken_over(&self) -> Trouble {
        self.is_lost.store(true, Ordering::SeqCst);
        let by = self.active().map(|address| format!(", {address},")).unwrap_or_default();
        Trouble::new(format!("another server{by} has taken over: this one was silent for longer than its lease"))
            .hint("nothing that was answered is lost; start this one again and it stands by")
    }

    /// Renews it no longer: it runs out.
    pub fn let_go(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    /// Gives it back, so that the next server need not wait for its end.
    pub fn release(&self) {
        self.ends.store(true, Ordering::SeqCst);
        let sql = "UPDATE lease SET until = '-infinity' WHERE epoch = $1";
        if let Err(error) = self.link.read("write", |session| session.execute(sql, &[&self.epoch()])) {
            tracing::debug!("the lease is not given back but runs out: {error}");
        }
    }

    fn renew_until_lost(&self) {
        let mut told = false;
        while !self.ends.load(Ordering::SeqCst) && !self.is_lost.load(Ordering::SeqCst) {
            let asked = Instant::now();
            match self.renew() {
                Ok(1) => {
                    *self.renewed.lock() = asked;
                    told = false;
                }
                Ok(_) => self.is_lost.store(true, Ordering::SeqCst),
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!("the lease is not renewed: {error}")
                }
                Err(_) => {}
            }
            std::thread::sleep(RENEW.saturating_sub(asked.elapsed()));
        }
    }

    fn renew(&self) -> Result<u64, Trouble> {
        self.link.read("write", |session| {
            if self.ends.load(Ordering::SeqCst) {
                return Ok(1); // given back meanwhile
            }
            session.execute("SET synchronous_commit TO off", &[])?;
            session.execute(RENEWAL, &[&self.epoch(), &LEASE.as_secs_f64()])
        })
    }
}
