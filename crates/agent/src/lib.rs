//! A site's agent, and the server's side of it.
//!
//! An agent runs beside a site's engine and dials out to whichever server leads. Over one link of mutual TLS it gets
//! signed notes (start, stop, …) and gives reports; the engine in it is the very engine that a server would hold itself.
//!
//! - [`hub`] takes links, at the server; [`desk`] is one site's side there, and an [`madang_engine::Engine`] to the core;
//! - [`wire`] is what crosses a link, [`tls`] and [`identity`] are how each end knows the other;
//! - [`register`] is who may link: invitations, certificates, each site's own authority;
//! - [`agent`] is the daemon at the site; [`state`] is what it keeps.
//!
//! Invariants: which site a link is for follows from its certificate, never from what the agent says; no note is acted
//! upon unless it is signed for this site, for this link, and in its turn; ends are kept where the run lived until the
//! journal has them, so a link may break at any byte.
pub mod agent;
pub mod desk;
pub mod hub;
pub mod identity;
pub mod output;
pub mod register;
pub mod state;
pub mod tls;
pub mod wire;

mod session;
mod works;

pub use agent::{Error, Options, WorksKind, run};
pub use desk::{Desk, Far, Heard, Site};
pub use hub::Hub;
pub use register::{Card, CardState, Fault, Keep, Register};
pub use wire::Sample;
