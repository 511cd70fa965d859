//! Snapshots as rows, so that the server that takes over has them too. They go in pieces over a connection of their own:
//! a commit of the journal never waits for one.

use super::lease::Lease;
use super::link::{Address, Link};
use crate::store::rows::{Shelf, Slot};
use crate::trouble::Trouble;
use std::sync::Arc;

/// The size of a piece.
const PIECE: usize = 4 << 20;

/// The snapshots of a database.
pub struct Pieces {
    link: Link,
    lease: Arc<Lease>,
}

impl Pieces {
    /// The snapshots of a database whose tables are made.
    pub fn new(address: &Address, lease: &Arc<Lease>) -> Pieces {
        Pieces { link: Link::new(address), lease: Arc::clone(lease) }
    }
}

impl Shelf for Pieces {
    fn write(&self, seq: u64, pieces: &[&[u8]]) -> Result<(), Trouble> {
        let whole = pieces.concat();
        let last = whole.len().div_ceil(PIECE);
        let sql = "WITH fence AS (SELECT epoch FROM lease WHERE epoch = $1 FOR SHARE)
            INSERT INTO snapshots SELECT $2::bigint, $3::bigint, $4::bigint, $5::bytea FROM fence
            ON CONFLICT (seq, piece) DO UPDATE SET last = excluded.last, body = excluded.body RETURNING seq";
        for (nth, piece) in whole.chunks(PIECE).enumerate() {
            let (epoch, seq) = (self.lease.epoch(), seq.cast_signed());
            let (nth, last) = (as_number(nth + 1), as_number(last));
            let written =
                self.link.read("write", |session| session.maybe(sql, &[&epoch, &seq, &nth, &last, &piece]))?;
            written.ok_or_else(|| self.lease.taken_over())?;
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<Slot>, Trouble> {
        let sql = "SELECT seq FROM snapshots WHERE piece = last ORDER BY seq DESC";
        let rows = self.link.read("read", |session| session.query(sql, &[]))?;
        let slot = |seq: u64| Slot { name: format!("snapshot {seq} of {}", self.link.name()), seq: Some(seq) };
        Ok(rows.iter().map(|row| slot(row.get::<_, i64>(0).cast_unsigned())).collect())
    }

    fn read(&self, slot: &Slot) -> Result<Result<Vec<u8>, String>, Trouble> {
        let seq = slot.seq.unwrap_or_default().cast_signed();
        let sql = "SELECT piece, last, body FROM snapshots WHERE seq = $1 AND piece = $2";
        let mut whole = Vec::new();
        for nth in 1_i64.. {
            let row = self.link.read("read", |session| session.maybe(sql, &[&seq, &nth]))?;
            let Some(row) = row else { return Ok(Err(format!("its piece {nth} is missing"))) };
            whole.extend_from_slice(row.get(2));
            if row.get::<_, i64>(0) == row.get::<_, i64>(1) {
                break;
            }
        }
        Ok(Ok(whole))
    }

    fn remove(&self, slot: &Slot) -> Result<(), Trouble> {
        let seq = slot.seq.unwrap_or_default().cast_signed();
        // Also what a server that ended amid a snapshot left of it.
        let sql = "WITH fence AS (SELECT epoch FROM lease WHERE epoch = $1 FOR SHARE)
            DELETE FROM snapshots WHERE seq <= $2 AND EXISTS (SELECT 1 FROM fence)";
        self.link.read("write", |session| session.execute(sql, &[&self.lease.epoch(), &seq])).map(drop)
    }
}

fn as_number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
