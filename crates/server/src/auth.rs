//! Who is asking: bearer tokens, browser sessions, one-time sign-in codes.
//!
//! A secret is 256 bits from the system, shown once and stored only as its SHA-256; the table in memory is keyed by
//! that hash, so a look-up tells nothing about the secret by its time. Revoking is effective at the next request.
//!
//! Invariants: a code is good once and for ten minutes; nothing here prints a secret; a secret's type has no `Debug`.

use crate::store::journal::hex;
use crate::store::rows::{PassRow, PassRows};
use crate::trouble::Trouble;
use madang_model::{Span, Time};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How long a browser session lasts.
pub const SESSION: Span = Span::from_hours(12);
/// How long a sign-in code is good.
pub const CODE: Span = Span::from_mins(10);
/// Most tokens one user may have.
const MOST_TOKENS: usize = 1_000;
/// Most sessions and codes at a time, over all users.
const MOST_SHORT: usize = 10_000;

/// A secret as it is shown, once.
pub struct Secret(String);

impl Secret {
    fn new(prefix: &str) -> Result<Secret, Trouble> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Trouble::new(format!("failed to draw a secret from the system: {error}")))?;
        Ok(Secret(format!("{prefix}{}", hex(&bytes))))
    }
    /// The text, to be handed to its owner and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

fn hashed(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// What kind of secret a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Token = 0,
    Session = 1,
    Code = 2,
}

/// A token, session or code, without its secret.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Its public number.
    pub id: u64,
    /// Login name of its user.
    pub user: String,
    /// What it is for.
    pub note: String,
    /// Made when.
    pub made: Time,
    /// Good until.
    pub until: Time,
    kind: Kind,
}

impl Kind {
    fn of(number: i64) -> Kind {
        match number {
            0 => Kind::Token,
            1 => Kind::Session,
            _ => Kind::Code,
        }
    }
}

/// The passes of a centre.
pub struct Passes {
    /// Where they are stored. Who changes some holds this lock all the while, and the other one only to look or to note
    /// what was done: who asks whether a pass is good never waits for the store.
    rows: Mutex<Box<dyn PassRows>>,
    known: Mutex<Known>,
}

/// What is remembered of the store.
#[derive(Default)]
struct Known {
    by_hash: HashMap<[u8; 32], Pass>,
    next: u64,
}

impl Known {
    fn of(rows: Vec<PassRow>) -> Known {
        let pass = |row: PassRow| {
            let (made, until) = (Time::from_millis(row.made_ms), Time::from_millis(row.until_ms));
            (row.hash, Pass { id: row.id, user: row.user, note: row.note, made, until, kind: Kind::of(row.kind) })
        };
        let by_hash: HashMap<[u8; 32], Pass> = rows.into_iter().map(pass).collect();
        let next = by_hash.values().map(|pass| pass.id).max().unwrap_or(0) + 1;
        Known { by_hash, next }
    }
}

/// The store, held by whoever changes it.
type Held<'a> = parking_lot::MutexGuard<'a, Box<dyn PassRows>>;

/// Why no more passes are made.
#[derive(Debug, thiserror::Error)]
pub enum NoPass {
    /// A bound is reached.
    #[error("{0}")]
    TooMany(String),
    /// The disk or the system failed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Passes {
    /// The passes that a store holds.
    pub fn open(rows: Box<dyn PassRows>) -> Result<Passes, Trouble> {
        let known = Known::of(rows.all()?);
        Ok(Passes { rows: Mutex::new(rows), known: Mutex::new(known) })
    }

    /// Reads them again, after another server changed them.
    pub fn refresh(&self) -> Result<(), Trouble> {
        let rows = self.rows.lock();
        let known = Known::of(rows.all()?);
        *self.known.lock() = known;
        Ok(())
    }

    /// Puts all of them in place of those of another store; gives how many there are.
    pub fn copy_to(&self, other: &Passes) -> Result<u64, Trouble> {
        let rows = self.rows.lock().all()?;
        let target = other.rows.lock();
        target.all()?.iter().try_for_each(|row| target.delete(row.id))?;
        rows.iter().try_for_each(|row| target.insert(row))?;
        Ok(rows.len() as u64)
    }

    /// Makes a bearer token.
    pub fn make_token(&self, now: Time, user: &str, note: &str, until: Time) -> Result<(Pass, Secret), NoPass> {
        self.make(now, Kind::Token, user, note, until)
    }

    /// Makes a one-time sign-in code.
    pub fn make_code(&self, now: Time, user: &str) -> Result<Secret, NoPass> {
        self.make(now, Kind::Code, user, "", now + CODE).map(|(_, secret)| secret)
    }

    /// Swaps a code for a session; `None` when the code is not (or no longer) good.
    pub fn sign_in(&self, now: Time, code: &str) -> Result<Option<(Pass, Secret)>, NoPass> {
        let rows = self.rows.lock();
        let hash = hashed(code);
        let found = self.known.lock().by_hash.get(&hash).cloned();
        let Some(pass) = found.filter(|pass| pass.kind == Kind::Code && now < pass.until) else { return Ok(None) };
        self.delete(&rows, hash, pass.id)?;
        self.make_held(&rows, now, (Kind::Session, &pass.user, ""), now + SESSION).map(Some)
    }

    /// The user of a bearer token that is good now.
    pub fn of_token(&self, now: Time, secret: &str) -> Option<Pass> {
        self.good(now, Kind::Token, secret)
    }

    /// The user of a browser session that is good now.
    pub fn of_session(&self, now: Time, secret: &str) -> Option<Pass> {
        self.good(now, Kind::Session, secret)
    }

    /// The pass of this number while it has neither ended nor been revoked.
    pub fn find(&self, now: Time, id: u64) -> Option<Pass> {
        self.known.lock().by_hash.values().find(|pass| pass.id == id && now < pass.until).cloned()
    }

    /// All bearer tokens that have not ended, ascending by number.
    pub fn tokens(&self, now: Time) -> Vec<Pass> {
        let known = self.known.lock();
        let good = known.by_hash.values().filter(|pass| pass.kind == Kind::Token && now < pass.until);
        let mut tokens: Vec<Pass> = good.cloned().collect();
        tokens.sort_unstable_by_key(|pass| pass.id);
        tokens
    }

    /// Ends a pass at once; false when there is none of that number.
    pub fn revoke(&self, id: u64) -> Result<bool, Trouble> {
        let rows = self.rows.lock();
        let hash = self.known.lock().by_hash.iter().find(|(_, pass)| pass.id == id).map(|(hash, _)| *hash);
        let Some(hash) = hash else { return Ok(false) };
        self.delete(&rows, hash, id)?;
        Ok(true)
    }

    fn good(&self, now: Time, kind: Kind, secret: &str) -> Option<Pass> {
        let hash = hashed(secret);
        self.known.lock().by_hash.get(&hash).filter(|pass| pass.kind == kind && now < pass.until).cloned()
    }

    fn make(&self, now: Time, kind: Kind, user: &str, note: &str, until: Time) -> Result<(Pass, Secret), NoPass> {
        self.make_held(&self.rows.lock(), now, (kind, user, note), until)
    }

    fn make_held(
        &self,
        rows: &Held<'_>,
        now: Time,
        (kind, user, note): (Kind, &str, &str),
        until: Time,
    ) -> Result<(Pass, Secret), NoPass> {
        let secret = Secret::new(if kind == Kind::Token { "mdg_" } else { "" })?;
        self.make_room(rows, now, kind, user)?;
        let (hash, id) = (hashed(secret.reveal()), self.known.lock().next);
        let pass = Pass { id, user: user.into(), note: note.into(), made: now, until, kind };
        rows.insert(&PassRow {
            id,
            kind: kind as i64,
            hash,
            user: pass.user.clone(),
            note: pass.note.clone(),
            made_ms: pass.made.millis(),
            until_ms: pass.until.millis(),
        })?;
        let mut known = self.known.lock();
        known.next += 1;
        known.by_hash.insert(hash, pass.clone());
        Ok((pass, secret))
    }

    /// Drops what has ended, then checks the bounds.
    fn make_room(&self, rows: &Held<'_>, now: Time, kind: Kind, user: &str) -> Result<(), NoPass> {
        let has_ended = self.known.lock().by_hash.values().any(|pass| pass.until <= now);
        if has_ended {
            rows.delete_ended(now.millis())?;
            self.known.lock().by_hash.retain(|_, pass| now < pass.until);
        }
        let known = self.known.lock();
        let same = |pass: &&Pass| (pass.kind == Kind::Token) == (kind == Kind::Token);
        let (count, most) = match kind {
            Kind::Token => (known.by_hash.values().filter(same).filter(|pass| pass.user == user).count(), MOST_TOKENS),
            _ => (known.by_hash.values().filter(same).count(), MOST_SHORT),
        };
        if count < most {
            return Ok(());
        }
        Err(NoPass::TooMany(format!("there are {count} already, the most there may be")))
    }

    fn delete(&self, rows: &Held<'_>, hash: [u8; 32], id: u64) -> Result<(), Trouble> {
        rows.delete(id)?;
        self.known.lock().by_hash.remove(&hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn open(dir: &Path) -> Passes {
        let rows = crate::store::sqlite::Passes::open(dir).expect("a fresh folder");
        Passes::open(Box::new(rows)).expect("readable")
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("madang-auth-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("writable");
        dir
    }

    #[test]
    fn a_token_is_good_until_it_ends_or_is_revoked_and_only_its_hash_is_stored() {
        let dir = folder("token");
        let (t0, t1) = (Time::from_millis(1_000), Time::from_millis(2_000));
        let passes = open(&dir);
        let (pass, secret) = passes.make_token(t0, "ann", "laptop", t1).expect("made");
        drop(passes);
        let passes = open(&dir);
        assert_eq!(passes.of_token(t0, secret.reveal()).map(|pass| pass.user), Some("ann".into()));
        assert!(passes.of_token(t1, secret.reveal()).is_none(), "ended");
        assert!(passes.of_session(t0, secret.reveal()).is_none(), "a token is no session");
        assert!(passes.revoke(pass.id).expect("writable"));
        assert!(passes.of_token(t0, secret.reveal()).is_none(), "revoked");
        drop(passes);
        for file in std::fs::read_dir(&dir).expect("listed").flatten() {
            let bytes = std::fs::read(file.path()).expect("readable");
            let found = bytes.windows(secret.reveal().len()).any(|part| part == secret.reveal().as_bytes());
            assert!(!found, "the secret is in {:?}", file.path());
        }
        std::fs::remove_dir_all(&dir).expect("removable");
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let dir = folder("code");
        let t0 = Time::from_millis(1_000);
        let passes = open(&dir);
        let code = passes.make_code(t0, "ann").expect("made");
        assert!(passes.sign_in(t0 + CODE, code.reveal()).expect("no error").is_none(), "too late");
        let (_, session) = passes.sign_in(t0, code.reveal()).expect("no error").expect("good");
        assert!(passes.sign_in(t0, code.reveal()).expect("no error").is_none(), "used");
        assert!(passes.of_session(t0, session.reveal()).is_some());
        assert!(passes.of_session(t0 + SESSION, session.reveal()).is_none(), "ended");
        std::fs::remove_dir_all(&dir).expect("removable");
    }
}
