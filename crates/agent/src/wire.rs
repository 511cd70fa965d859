//! What crosses the link: frames of JSON with their length before them, all of it inside TLS.
//!
//! Invariants: a frame is bounded, more tightly before anybody has shown a certificate; a note is signed with the link's
//! own number in it, so that one of another link, another site or another time is worth nothing.
use crate::identity::{self, hex, unhex};
use crate::output::Sent;
use madang_engine::{EngineReport, Expected, Order};
use madang_model::{Health, RunId, Span, StopCause};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame: a launch of four million bytes, every one of them escaped, and what goes with it.
pub const LONGEST: usize = 32 << 20;
/// The longest from somebody who has not shown a certificate.
pub const LONGEST_STRANGE: usize = 16 << 10;
/// What every signature is over first, so that it can be taken for nothing else.
const PURPOSE: &[u8] = b"madang note 1\0";

/// An agent's first frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// It has no certificate yet, but an invitation.
    Enrol {
        /// The invitation's secret.
        token: String,
        /// Its public key.
        key: String,
        /// Its host, for people.
        host: String,
    },
    /// It serves its site.
    Serve(Box<Serve>),
}

/// An agent at the beginning of a link.
#[derive(Debug, Serialize, Deserialize)]
pub struct Serve {
    /// The site that it believes to serve.
    pub site: String,
    /// Its release.
    pub version: String,
    /// The link's number, drawn by the agent.
    pub link: String,
    /// The last note it took: term and number.
    pub taken: (u64, u64),
    /// Runs that are there.
    pub known: Vec<RunId>,
    /// The engine's last word on each node that it said something of.
    pub nodes: Vec<(String, Health)>,
}

/// What the server says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It does not serve this agent.
    Refused {
        /// Stable word for programs.
        code: String,
        /// Why.
        fact: String,
    },
    /// A certificate, for an invitation or in place of one that ends.
    Card {
        /// The certificate, DER in hexadecimal.
        certificate: String,
        /// The site's authority, likewise.
        authority: String,
        /// The key that notes are signed with.
        voice: String,
        /// The site.
        site: String,
        /// When it ends.
        until_ms: u64,
    },
    /// A note, and its signature.
    Note {
        /// A [`Note`] as JSON: signed as it is written.
        body: String,
        /// The signature, in hexadecimal.
        seal: String,
    },
    /// The server is there.
    Ping,
}

/// Something to do, for one site, on one link, in its turn.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    /// For which site.
    pub site: String,
    /// On which link.
    pub link: String,
    /// Under which leader: a later one's is greater.
    pub term: u64,
    /// Its number in this term.
    pub number: u64,
    /// What.
    pub deed: Deed,
}

/// What a note asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Always the first: the link stands.
    Welcome {
        /// The site's nodes as the centre file promises them.
        nodes: Vec<Expected>,
    },
    /// Start a run.
    Start(Box<Order>),
    /// End it.
    Stop(RunId, StopCause),
    /// Signal it; true for the batch shell alone.
    Signal(RunId, i32, bool),
    /// It may run this long.
    Limit(RunId, Span),
    /// The holder of its allocation is done.
    Release(RunId, i32),
    /// Say again where it stands.
    Confirm(RunId),
    /// Its end is in the journal.
    Forget(RunId),
    /// Read a piece of what a job wrote. It says no more than a job at the site could.
    Read {
        /// The question's number.
        ask: u64,
        /// The file.
        path: String,
        /// From where.
        offset: u64,
        /// At most so many bytes.
        limit: u64,
    },
}

/// What an agent says once the link stands.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// What the engine saw.
    Report(EngineReport),
    /// All notes up to this number are taken.
    Taken(u64),
    /// How the agent's machine fares.
    Sample(Sample),
    /// What a job wrote.
    Piece(Sent),
    /// It wants a certificate in place of the one that ends, for this key.
    Renew(String),
    /// The agent is there.
    Pong,
}

/// How an agent's machine fares; lost ones are not missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Runs that are there.
    pub runs: u32,
    /// Load of the last minute, in hundredths.
    pub load_centi: u32,
    /// Memory free for use, in MiB.
    pub free_mib: u64,
    /// Memory in all, in MiB.
    pub memory_mib: u64,
}

/// Signs a note.
pub fn seal(note: &Note, voice: &Ed25519KeyPair) -> io::Result<Word> {
    let body = serde_json::to_string(note)?;
    let seal = hex(voice.sign(&signed(&body)).as_ref());
    Ok(Word::Note { body, seal })
}

/// The note, if its signature is the voice's.
pub fn open(body: &str, seal: &str, voice: &[u8]) -> Result<Note, String> {
    let seal = unhex(seal).ok_or("its signature is no signature")?;
    let key = UnparsedPublicKey::new(&ED25519, voice);
    key.verify(&signed(body), &seal).map_err(|_| "it is not signed by the centre")?;
    serde_json::from_str(body).map_err(|error| format!("it cannot be read: {error}"))
}

fn signed(body: &str) -> Vec<u8> {
    [PURPOSE, body.as_bytes()].concat()
}

/// Where an agent stands, and with it which note may come next.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Its site.
    pub site: &'a str,
    /// Its link's number.
    pub link: &'a str,
    /// The term of whoever is at the link's other end; 0 before it has said its first note.
    pub term: u64,
    /// The last note it took, on whichever link: term and number.
    pub taken: (u64, u64),
}

impl Turn<'_> {
    /// A note must be for this site and this link, in its turn, from a leader no older than the last.
    pub fn check(&self, note: &Note) -> Result<(), String> {
        let (term, number) = self.taken;
        if note.site != self.site {
            return Err(format!("it is for site {}", note.site));
        }
        if note.link != self.link {
            return Err("it is of another link".to_owned());
        }
        let is_welcome = matches!(note.deed, Deed::Welcome { .. });
        let is_next = match self.term {
            0 => is_welcome && (note.term, note.number) > (term, number),
            now => !is_welcome && note.term == now && note.number == number + 1,
        };
        if is_next {
            return Ok(());
        }
        Err(format!("number {} of term {} follows number {number} of term {term}", note.number, note.term))
    }
}

/// Writes a frame.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(frame)?;
    if body.len() > LONGEST {
        return Err(io::Error::other(format!("a frame of {} bytes is too long", body.len())));
    }
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&body).await?;
    to.flush().await
}

/// Reads a frame of at most so many bytes. Not to be cancelled half way: the rest of the frame would be lost.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), longest: usize) -> io::Result<T> {
    let length = from.read_u32().await? as usize;
    if length > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too long")));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// A link's number.
pub fn draw() -> io::Result<String> {
    identity::random().map(|bytes| hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    fn note(site: &str, link: &str, (term, number): (u64, u64), is_welcome: bool) -> Note {
        let deed = match is_welcome {
            true => Deed::Welcome { nodes: Vec::new() },
            false => Deed::Confirm(RunId { job: JobId::new(1), attempt: 1 }),
        };
        Note { site: site.to_owned(), link: link.to_owned(), term, number, deed }
    }

    #[test]
    fn only_the_next_note_of_this_link_is_taken() {
        // At the link's beginning (term 0) a welcome, then what follows it; what is said of each is what is wrong with it.
        let cases = [
            (0, (7, 3), note("busan", "x", (7, 4), true), ""),
            (0, (7, 3), note("busan", "x", (8, 1), true), ""),
            (0, (7, 3), note("busan", "x", (7, 9), true), ""),
            (0, (7, 3), note("busan", "x", (7, 3), true), "number 3 of term 7 follows number 3 of term 7"),
            (0, (7, 3), note("busan", "x", (6, 9), true), "number 9 of term 6 follows number 3 of term 7"),
            (0, (7, 3), note("busan", "x", (7, 4), false), "number 4 of term 7 follows number 3 of term 7"),
            (7, (7, 4), note("busan", "x", (7, 5), false), ""),
            (7, (7, 4), note("busan", "x", (7, 4), false), "number 4 of term 7 follows number 4 of term 7"),
            (7, (7, 4), note("busan", "x", (7, 6), false), "number 6 of term 7 follows number 4 of term 7"),
            (7, (7, 4), note("busan", "x", (8, 5), false), "number 5 of term 8 follows number 4 of term 7"),
            (7, (7, 4), note("busan", "x", (7, 5), true), "number 5 of term 7 follows number 4 of term 7"),
            (7, (7, 4), note("daegu", "x", (7, 5), false), "it is for site daegu"),
            (7, (7, 4), note("busan", "y", (7, 5), false), "it is of another link"),
        ];
        for (term, taken, note, wrong) in cases {
            let turn = Turn { site: "busan", link: "x", term, taken };
            assert_eq!(turn.check(&note).err().unwrap_or_default(), wrong, "{note:?}");
        }
    }

    #[test]
    fn a_note_that_was_changed_or_signed_by_another_is_not_opened() {
        let key = |seed: u8| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes");
        let public = |pair: &Ed25519KeyPair| ring::signature::KeyPair::public_key(pair).as_ref().to_vec();
        let Ok(Word::Note { body, seal }) = seal(&note("busan", "x", (1, 1), false), &key(1)) else { panic!("sealed") };
        assert!(open(&body, &seal, &public(&key(1))).is_ok());
        assert!(open(&body, &seal, &public(&key(2))).is_err(), "another's key");
        assert!(open(&body.replace("busan", "daegu"), &seal, &public(&key(1))).is_err(), "changed");
        assert!(open(&body, &seal.replace(['a', 'b'], "c"), &public(&key(1))).is_err(), "another signature");
    }
}
