//! The server's door for agents: takes links, asks for certificates, and gives each to its site's desk.
//!
//! Invariants: nobody without a certificate gets further than enrolment, and few of them at a time; a server that does
//! not lead serves nobody; one that is not sure to lead any more says nothing.
use crate::desk::Desk;
use crate::register::{Fault, Register};
use crate::session;
use crate::tls;
use parking_lot::Mutex;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Most links at a time that have not shown what they are.
const STRANGERS: usize = 128;
/// Most of them from one address.
const STRANGERS_EACH: usize = 16;
/// How long what a server presents is used; its certificate is good for longer.
const PRESENTED: Duration = Duration::from_secs(24 * 3_600);
/// How often desks look at the time.
const TICK: Duration = Duration::from_millis(500);

/// Says whether this server is sure to lead at this moment.
pub type Sure = Box<dyn Fn() -> bool + Send + Sync>;

/// The server's door for agents.
pub struct Hub {
    /// Who may link.
    pub register: Arc<Register>,
    pub(crate) sure: Sure,
    strangers: Mutex<BTreeMap<IpAddr, usize>>,
    leading: Mutex<Option<BTreeMap<String, Arc<Desk>>>>,
    /// True while it takes links.
    pub is_open: AtomicBool,
    presented: Mutex<BTreeMap<String, (Instant, Arc<ServerConfig>)>>,
}

impl Hub {
    /// A door that serves nobody yet.
    pub fn new(register: Arc<Register>, sure: Sure) -> Arc<Hub> {
        Arc::new(Hub {
            register,
            sure,
            strangers: Mutex::default(),
            leading: Mutex::default(),
            is_open: AtomicBool::new(false),
            presented: Mutex::default(),
        })
    }

    /// Lets somebody in who has yet to show what they are, unless there are too many already.
    pub(crate) fn let_in(self: &Arc<Hub>, from: IpAddr) -> Option<Stranger> {
        let mut strangers = self.strangers.lock();
        let own = strangers.get(&from).copied().unwrap_or(0);
        if own >= STRANGERS_EACH || strangers.values().sum::<usize>() >= STRANGERS {
            return None;
        }
        strangers.insert(from, own + 1);
        Some(Stranger { hub: Arc::clone(self), from })
    }

    /// This server leads: agents are served from these desks.
    pub fn lead(&self, desks: Vec<Arc<Desk>>) {
        let desks = desks.into_iter().map(|desk| (desk.site.name.clone(), desk)).collect();
        *self.leading.lock() = Some(desks);
    }

    /// The desk of a site; a refusal while another server leads, and for a site that is no agent's.
    pub(crate) fn desk(&self, site: &str) -> Result<Arc<Desk>, Fault> {
        let leading = self.leading.lock();
        let desks = leading.as_ref().ok_or_else(|| Fault::new("not_leading", "another server leads the centre"))?;
        let desk = desks.get(site).cloned();
        desk.ok_or_else(|| Fault::new("no_site", format!("site {site} is served by no agent")))
    }

    /// The desks, by site; none while another server leads.
    pub fn desks(&self) -> BTreeMap<String, Arc<Desk>> {
        self.leading.lock().clone().unwrap_or_default()
    }

    /// Ends a certificate or an invitation, and the link of whoever came with it; false when there is none.
    pub fn revoke(&self, number: u64) -> Result<bool, Fault> {
        let revoked = self.register.revoke(number)?;
        self.desks().values().for_each(|desk| desk.cut(number));
        Ok(revoked.is_some())
    }

    /// What the authority of this mark presents, and the site it is of.
    pub(crate) fn present(&self, pin: &str) -> Option<(String, Arc<ServerConfig>)> {
        let (site, authority) = self.register.by_pin(pin)?;
        let mut presented = self.presented.lock();
        if let Some((made, config)) = presented.get(&site)
            && made.elapsed() < PRESENTED
        {
            return Some((site, Arc::clone(config)));
        }
        match tls::server(&site, &authority) {
            Ok(config) => {
                presented.insert(site.clone(), (Instant::now(), Arc::clone(&config)));
                Some((site, config))
            }
            Err(error) => {
                tracing::error!("agents of site {site} cannot link: {error}");
                None
            }
        }
    }

    /// Takes links until the server stops.
    pub async fn serve(self: Arc<Hub>, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
        self.is_open.store(true, Ordering::Relaxed);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = session::stopped(&mut stopping) => return,
                _ = tick.tick() => self.desks().values().for_each(|desk| desk.tick()),
                taken = listener.accept() => match taken {
                    Ok((stream, from)) => {
                        let (hub, stopping) = (Arc::clone(&self), stopping.clone());
                        tokio::spawn(session::session(hub, stream, from, stopping));
                    }
                    // Out of descriptors, for one: those that are there go on.
                    Err(error) => {
                        tracing::warn!("failed to take an agent's link: {error}");
                        tokio::time::sleep(TICK).await;
                    }
                }
            }
        }
    }
}

/// Somebody who has yet to show what they are; no stranger any more when dropped.
pub(crate) struct Stranger {
    hub: Arc<Hub>,
    from: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = self.hub.strangers.lock();
        match strangers.get_mut(&self.from) {
            Some(count @ 2..) => *count -= 1,
            _ => drop(strangers.remove(&self.from)),
        }
    }
}
