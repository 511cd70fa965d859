//! Who may link: each site's authority, invitations, certificates.
//!
//! What it knows is kept as small texts by key, in tables of the store that are not the journal's. An invitation is kept
//! as the hash of its secret and goes with its first use; a certificate is found by its fingerprint.
//!
//! Invariants: a site has one authority for good; an invitation makes one certificate, for its own site; a revoked
//! certificate never comes back.
use crate::identity::{Authority, fingerprint, hex, random};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a certificate is good; its agent asks for the next one when two thirds are over.
pub const CARD_DAYS: u64 = 90;
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How often it is written down that an agent was heard of.
const SEEN_EVERY_MS: u64 = 60_000;
/// The key under which the last leader's term is kept.
const TERM: &str = "term";

/// Where what is known is kept: texts by key, each write durable, and refused once another server has taken over.
pub trait Keep: Send + Sync {
    /// All of them.
    fn all(&self) -> Result<Vec<(String, String)>, Fault>;
    /// Keeps a text in place of the one of its key.
    fn put(&self, key: &str, text: &str) -> Result<(), Fault>;
    /// Drops one; true for whoever dropped it.
    fn take(&self, key: &str) -> Result<bool, Fault>;
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable word for programs.
    pub code: &'static str,
    /// The fact; lower case, no full stop.
    pub fact: String,
}

impl Fault {
    /// With a code and a fact.
    pub fn new(code: &'static str, fact: impl Into<String>) -> Fault {
        Fault { code, fact: fact.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fact)
    }
}

impl std::error::Error for Fault {}

/// An invitation or a certificate, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its number, one series for both.
    pub number: u64,
    /// The site it is good for.
    pub site: String,
    /// What it is.
    pub state: CardState,
    /// Who made the invitation.
    pub by: String,
    /// The agent's host, once it is known.
    pub host: String,
    /// Made when.
    pub made_ms: u64,
    /// Good until.
    pub until_ms: u64,
    /// When its holder was last heard of; 0 for never.
    pub seen_ms: u64,
    /// The hash of an invitation's secret, or a certificate's fingerprint; hexadecimal.
    mark: String,
}

/// What a card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardState {
    /// An invitation that nobody has used.
    Invited,
    /// A certificate.
    Enrolled,
    /// A certificate that an operator ended, or that a later one replaced.
    Revoked,
}

/// A certificate just made.
pub struct Made {
    /// What is known of it.
    pub card: Card,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its authority.
    pub authority: Authority,
}

#[derive(Default)]
struct Known {
    sites: BTreeMap<String, Authority>,
    cards: BTreeMap<u64, Card>,
    term: u64,
}

/// Who may link.
pub struct Register {
    keep: Box<dyn Keep>,
    known: Mutex<Known>,
}

/// The wall clock, in milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Register {
    /// What a store knows.
    pub fn open(keep: Box<dyn Keep>) -> Result<Register, Fault> {
        let register = Register { keep, known: Mutex::default() };
        register.refresh()?;
        Ok(register)
    }

    /// Reads it again, after another server changed it.
    pub fn refresh(&self) -> Result<(), Fault> {
        let mut found = Known::default();
        for (key, text) in self.keep.all()? {
            let damaged = |error| Fault::new("damaged", format!("what is kept of agents as {key} is damaged: {error}"));
            match key.split_once('/') {
                Some(("site", name)) => {
                    found.sites.insert(name.to_owned(), serde_json::from_str(&text).map_err(damaged)?);
                }
                Some(("card" | "invitation", _)) => {
                    let card: Card = serde_json::from_str(&text).map_err(damaged)?;
                    found.cards.insert(card.number, card);
                }
                _ if key == TERM => found.term = text.parse().unwrap_or(0),
                _ => {}
            }
        }
        *self.known.lock() = found;
        Ok(())
    }

    /// Puts all of it in place of what another store knows; gives how many entries there are.
    pub fn copy_to(&self, other: &Register) -> Result<u64, Fault> {
        for (key, _) in other.keep.all()? {
            other.keep.take(&key)?;
        }
        let all = self.keep.all()?;
        all.iter().try_for_each(|(key, text)| other.keep.put(key, text))?;
        Ok(all.len() as u64)
    }

    /// The next leader's term: greater than any before, also than those of a store that was restored from a copy.
    pub fn next_term(&self) -> Result<u64, Fault> {
        self.refresh()?;
        let mut known = self.known.lock();
        let term = (known.term + 1).max(now_ms() / 1_000);
        self.keep.put(TERM, &term.to_string())?;
        known.term = term;
        Ok(term)
    }

    /// Invites an agent for a site; gives the invitation and what it is told to the agent as: its secret and, after a
    /// dot, the fingerprint of the site's authority.
    pub fn invite(&self, site: &str, by: &str, lasts: Duration) -> Result<(Card, String), Fault> {
        let mut known = self.known.lock();
        let authority = match known.sites.get(site) {
            Some(authority) => authority.clone(),
            None => {
                let made = Authority::make(site)?;
                self.keep.put(&format!("site/{site}"), &text(&made)?)?;
                known.sites.insert(site.to_owned(), made.clone());
                made
            }
        };
        let secret = hex(&random().map_err(|error| Fault::new("internal", error.to_string()))?);
        let made_ms = now_ms();
        let card = Card {
            number: known.cards.keys().next_back().map_or(1, |last| last + 1),
            site: site.to_owned(),
            state: CardState::Invited,
            by: by.to_owned(),
            host: String::new(),
            made_ms,
            until_ms: made_ms + lasts.as_millis() as u64,
            seen_ms: 0,
            mark: hashed(&secret),
        };
        self.note(&mut known, &card)?;
        Ok((card, format!("{secret}.{}", authority.pin())))
    }

    /// Swaps an invitation's secret for a certificate. The one that the site's agent had before goes on until it ends or
    /// is revoked: which of the two serves is for the operator to say.
    pub fn enrol(&self, site: &str, secret: &str, (key, host): (&str, &str)) -> Result<Made, Fault> {
        let mut known = self.known.lock();
        let (mark, now) = (hashed(secret), now_ms());
        let is_it = |card: &&Card| card.state == CardState::Invited && card.mark == mark && now < card.until_ms;
        let invited = known.cards.values().find(is_it).filter(|card| card.site == site).cloned().ok_or_else(|| {
            Fault::new("not_invited", "this invitation is not, or no longer, good: ask an operator for another")
        })?;
        // Dropped first: two agents that come with it at once, at two servers even, are one agent and one refusal.
        if !self.keep.take(&key_of(&invited))? {
            return Err(Fault::new("not_invited", "this invitation was used"));
        }
        known.cards.remove(&invited.number);
        self.certify(&mut known, Card { host: host.chars().take(200).collect(), ..invited }, key)
    }

    /// Another certificate for the holder of this one, which stays good until the new one is used.
    pub fn renew(&self, number: u64, key: &str) -> Result<Made, Fault> {
        let mut known = self.known.lock();
        let card = known.cards.get(&number).filter(|card| card.state == CardState::Enrolled).cloned();
        let card = card.ok_or_else(|| Fault::new("revoked", "this certificate is revoked"))?;
        let next = known.cards.keys().next_back().map_or(1, |last| last + 1);
        self.certify(&mut known, Card { number: next, by: format!("certificate {number}"), ..card }, key)
    }

    fn certify(&self, known: &mut Known, card: Card, key: &str) -> Result<Made, Fault> {
        let authority = known.sites.get(&card.site).cloned();
        let authority = authority.ok_or_else(|| Fault::new("internal", "the site has no authority"))?;
        let until = SystemTime::now() + DAY * CARD_DAYS as u32;
        let certificate = authority.certify(&card.site, key, until)?;
        let made_ms = now_ms();
        let card = Card {
            state: CardState::Enrolled,
            made_ms,
            until_ms: made_ms + (DAY * CARD_DAYS as u32).as_millis() as u64,
            mark: hex(&fingerprint(&certificate)),
            ..card
        };
        self.note(known, &card)?;
        Ok(Made { card, certificate, authority })
    }

    /// The card of a certificate that was shown; the site it is for is the card's, whatever its holder says.
    pub fn of_certificate(&self, certificate: &[u8]) -> Result<Card, Fault> {
        let mark = hex(&fingerprint(certificate));
        let known = self.known.lock();
        let card = known.cards.values().find(|card| card.mark == mark && card.state != CardState::Invited);
        match card {
            None => Err(Fault::new("unknown", "this certificate is not known here")),
            Some(card) if card.state == CardState::Revoked => Err(Fault::new("revoked", "this certificate is revoked")),
            Some(card) if card.until_ms <= now_ms() => Err(Fault::new("ended", "this certificate has ended")),
            Some(card) => Ok(card.clone()),
        }
    }

    /// Notes that the holder of a certificate was heard of. One that came by renewal ends the one that it replaces.
    pub fn seen(&self, number: u64) -> Result<(), Fault> {
        let mut known = self.known.lock();
        let Some(mut card) = known.cards.get(&number).cloned() else { return Ok(()) };
        let (is_first, now) = (card.seen_ms == 0 || card.by.starts_with("certificate "), now_ms());
        if now < card.seen_ms + SEEN_EVERY_MS && !is_first {
            return Ok(());
        }
        let before = card.by.strip_prefix("certificate ").and_then(|number| number.parse::<u64>().ok());
        if let Some(before) = before {
            if let Some(former) = known.cards.get(&before).filter(|card| card.state == CardState::Enrolled).cloned() {
                self.note(&mut known, &Card { state: CardState::Revoked, ..former })?;
            }
            card.by = format!("renewal of {before}");
        }
        card.seen_ms = now;
        self.note(&mut known, &card)
    }

    /// Ends a certificate, or takes an invitation back; gives what it was.
    pub fn revoke(&self, number: u64) -> Result<Option<Card>, Fault> {
        let mut known = self.known.lock();
        let Some(card) = known.cards.get(&number).cloned() else { return Ok(None) };
        match card.state {
            CardState::Invited => {
                self.keep.take(&key_of(&card))?;
                known.cards.remove(&number);
            }
            CardState::Enrolled => self.note(&mut known, &Card { state: CardState::Revoked, ..card.clone() })?,
            CardState::Revoked => {}
        }
        Ok(Some(card))
    }

    /// All invitations that are open and all certificates, ascending by number.
    pub fn cards(&self) -> Vec<Card> {
        let now = now_ms();
        let known = self.known.lock();
        let is_open = |card: &&Card| card.state != CardState::Invited || now < card.until_ms;
        known.cards.values().filter(is_open).cloned().collect()
    }

    /// The site whose authority has this fingerprint, or one that begins so.
    pub fn by_pin(&self, pin: &str) -> Option<(String, Authority)> {
        let known = self.known.lock();
        let found = known.sites.iter().find(|(_, authority)| authority.pin().starts_with(pin));
        found.filter(|_| pin.len() >= 32).map(|(site, authority)| (site.clone(), authority.clone()))
    }

    /// A site's authority, if an agent was ever invited for it.
    pub fn authority(&self, site: &str) -> Option<Authority> {
        self.known.lock().sites.get(site).cloned()
    }

    fn note(&self, known: &mut Known, card: &Card) -> Result<(), Fault> {
        self.keep.put(&key_of(card), &text(card)?)?;
        known.cards.insert(card.number, card.clone());
        Ok(())
    }
}

/// An invitation has a key of its own, so that dropping it is to have used it.
fn key_of(card: &Card) -> String {
    let kind = if card.state == CardState::Invited { "invitation" } else { "card" };
    format!("{kind}/{}", card.number)
}

fn hashed(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn text(object: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(object).map_err(|error| Fault::new("internal", error.to_string()))
}
