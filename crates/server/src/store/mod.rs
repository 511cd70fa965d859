//! Where a centre's journal, snapshots, projections and tokens are: in its data folder, or in PostgreSQL.
//!
//! What is the same for both (chaining and checking the journal, naming snapshots, the questions that are asked of the
//! past) is here; what differs is behind the traits of [`rows`], once in [`sqlite`] and once in [`pg`].
//!
//! Invariants: an input is durable, with the blobs it names, before the core sees it; rows are hash-chained;
//! projections only ever follow the journal and writing one twice is the same as once.

pub mod copy;
pub mod folder;
pub mod history;
pub mod journal;
pub mod kept;
pub mod pg;
pub mod rows;
pub mod snapshots;
pub mod sqlite;

pub use folder::Folder;
pub use history::{JobFilter, Readers};
pub use journal::{Batch, Blob, Head, Journal};
pub use kept::Kept;
pub use snapshots::Snapshots;
pub use sqlite::past;

use crate::auth::Passes;
use crate::trouble::Trouble;
use madang_agent::{Fault, Register};
use pg::{Address, Lease};
use std::path::Path;
use std::sync::Arc;

/// Where a store is.
#[derive(Clone)]
pub enum Place {
    /// In the data folder; the number bounds the journal to so many pages of 4 KiB, so that a test can fill the disk.
    Folder(Option<u32>),
    /// In PostgreSQL.
    Postgres(Address),
}

impl Place {
    /// Reads what `--store` says: `postgres://…`.
    pub fn parse(text: &str) -> Result<Place, Trouble> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Address::parse(text).map(Place::Postgres);
        }
        Err(Trouble::new(format!("{text} is no address of a store"))
            .hint("write postgres://USER@HOST/DATABASE, or leave --store out to keep all in the data folder"))
    }
}

/// A store, open.
pub struct Store {
    /// The writer of the journal.
    pub journal: Journal,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// The past.
    pub readers: Readers,
    /// Tokens and sessions.
    pub passes: Passes,
    /// Agents' invitations and certificates.
    pub agents: Register,
    /// The lease of a store that servers share.
    pub lease: Option<Arc<Lease>>,
}

impl Store {
    /// Opens it for the server that holds this folder and answers at this address.
    pub fn open(place: &Place, folder: &Folder, own: &str) -> Result<Store, Trouble> {
        let store = match place {
            Place::Folder(most_pages) => Store::in_folder(folder.path(), *most_pages)?,
            Place::Postgres(address) => Store::in_postgres(address, &folder.identity()?, own)?,
        };
        copy::none_is_half_done(&store.journal)?;
        Ok(store)
    }

    /// The store in a data folder.
    pub fn in_folder(folder: &Path, most_pages: Option<u32>) -> Result<Store, Trouble> {
        let file = sqlite::File::open(folder)?;
        if let Some(pages) = most_pages {
            file.limit_pages(pages)?;
        }
        Ok(Store {
            journal: Journal::open(Box::new(file))?,
            snapshots: Snapshots::new(Arc::new(sqlite::Files::open(folder)?)),
            readers: Readers::new(Box::new(sqlite::Readers::open(folder)?)),
            passes: Passes::open(Box::new(sqlite::Passes::open(folder)?))?,
            agents: Register::open(Box::new(sqlite::Agents::open(folder)?)).map_err(trouble)?,
            lease: None,
        })
    }

    /// The store in PostgreSQL, for the server of this identity.
    pub fn in_postgres(address: &Address, identity: &str, own: &str) -> Result<Store, Trouble> {
        pg::prepare(address)?;
        let lease = Arc::new(Lease::new(address, identity, own));
        Ok(Store {
            journal: Journal::open(Box::new(pg::Central::new(address, &lease)))?,
            snapshots: Snapshots::new(Arc::new(pg::Pieces::new(address, &lease))),
            readers: Readers::new(Box::new(pg::Readers::new(address))),
            passes: Passes::open(Box::new(pg::Passes::new(address, &lease)))?,
            agents: Register::open(Box::new(pg::Agents::new(address, &lease))).map_err(trouble)?,
            lease: Some(lease),
        })
    }

    /// Takes the lease if nobody has it; a store of one server needs none.
    pub fn try_lead(&self) -> Result<bool, Trouble> {
        self.lease.as_ref().map_or(Ok(true), Lease::try_take)
    }
}

/// What stops a register stops a server.
pub(crate) fn trouble(fault: Fault) -> Trouble {
    Trouble::new(fault.fact)
}
