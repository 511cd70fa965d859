//! One link at the server: who it is, then notes out and reports in, until it breaks.
//!
//! Invariants: the site follows from the certificate; a frame is read whole or the link ends; nobody waits for a peer
//! that does not read.
use crate::desk::Desk;
use crate::hub::Hub;
use crate::identity::hex;
use crate::register::{Card, Fault, Made};
use crate::wire::{self, LONGEST, LONGEST_STRANGE, Note, Opening, Serve, Tell, Word};
use parking_lot::Mutex;
use ring::signature::Ed25519KeyPair;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// How long somebody may take to say who it is.
const OPENING: Duration = Duration::from_secs(10);
/// How often each end says that it is there.
pub const PING: Duration = Duration::from_secs(1);
/// A link on which nothing came for so long is broken.
pub const DEAD: Duration = Duration::from_secs(6);
/// How often a server that is not sure to lead looks again.
const UNSURE: Duration = Duration::from_millis(50);

type Reading = ReadHalf<TlsStream<TcpStream>>;
type Writing = WriteHalf<TlsStream<TcpStream>>;

/// An agent that may be served, before it is.
struct Guest {
    reading: Reading,
    writing: Writing,
    card: Card,
    serve: Box<Serve>,
}

/// One link, from its first byte to its end.
pub async fn session(hub: Arc<Hub>, stream: TcpStream, from: SocketAddr, stopping: watch::Receiver<bool>) {
    let Some(stranger) = hub.let_in(from.ip()) else {
        tracing::warn!("{from} is sent away: too many come at once");
        return;
    };
    let guest = match timeout(OPENING, welcome(&hub, stream)).await {
        Ok(Ok(Some(guest))) => guest,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return tracing::warn!("{from} did not come in: {error}"),
        Err(_) => return tracing::warn!("{from} did not say who it is"),
    };
    drop(stranger);
    let (site, number) = (guest.card.site.clone(), guest.card.number);
    let ended = match serve(&hub, guest, stopping).await {
        Ok(()) => "it is closed".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::warn!("the link of site {site}, certificate {number}, from {from} has ended: {ended}");
}

/// Finds out who it is. `None` for one who needs nothing more: enrolled, or refused.
async fn welcome(hub: &Arc<Hub>, stream: TcpStream) -> io::Result<Option<Guest>> {
    stream.set_nodelay(true)?;
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let name = hello.client_hello().server_name().unwrap_or_default().to_owned();
    let pin = name.strip_suffix(".madang").unwrap_or_default();
    let (site, config) = hub.present(pin).ok_or_else(|| io::Error::other("it asks for no authority of ours"))?;
    let stream = hello.into_stream(config).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|found| found.to_vec());
    let (mut reading, mut writing) = tokio::io::split(stream);
    let longest = if certificate.is_some() { LONGEST } else { LONGEST_STRANGE };
    let opening: Opening = wire::read(&mut reading, longest).await?;
    let answer = match (opening, certificate) {
        (Opening::Enrol { token, key, host }, None) => enrol(hub, site, (token, key, host)).await,
        (Opening::Serve(serve), Some(certificate)) => match admit(hub, &certificate, &serve) {
            Ok(card) => return Ok(Some(Guest { reading, writing, card, serve })),
            Err(fault) => Err(fault),
        },
        (Opening::Enrol { .. }, Some(_)) => Err(Fault::new("invalid", "it has a certificate already")),
        (Opening::Serve(_), None) => Err(Fault::new("unknown", "it has shown no certificate")),
    };
    let word = match answer {
        Ok(made) => card(made).map_err(io::Error::other)?,
        Err(fault) => {
            if fault.code != "not_leading" {
                tracing::warn!("an agent of site {name} is refused: {fault}");
            }
            Word::Refused { code: fault.code.to_owned(), fact: fault.fact }
        }
    };
    wire::write(&mut writing, &word).await?;
    Ok(None)
}

async fn enrol(hub: &Arc<Hub>, site: String, asked: (String, String, String)) -> Result<Made, Fault> {
    let (token, key, host) = asked;
    hub.desk(&site)?;
    let register = Arc::clone(&hub.register);
    blocking(move || register.enrol(&site, &token, (&key, &host))).await
}

/// The card of whoever comes with this certificate, if they may be served now.
fn admit(hub: &Hub, certificate: &[u8], serve: &Serve) -> Result<Card, Fault> {
    let card = hub.register.of_certificate(certificate)?;
    if card.site != serve.site {
        let fact = format!("certificate {} is for site {}, not for site {}", card.number, card.site, serve.site);
        return Err(Fault::new("foreign_site", fact));
    }
    let desk = hub.desk(&card.site)?;
    match desk.served_by() {
        Some(other) if other != card.number => {
            let fact = format!("site {} is served by the agent with certificate {other}", card.site);
            Err(Fault::new("busy", fact))
        }
        _ => Ok(card),
    }
}

fn card(made: Made) -> Result<Word, Fault> {
    Ok(Word::Card {
        certificate: hex(&made.certificate),
        authority: made.authority.certificate.clone(),
        voice: made.authority.public_voice()?,
        site: made.card.site,
        until_ms: made.card.until_ms,
    })
}

/// Work that touches the store, beside the event loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Fault::new("internal", error.to_string())))
}

/// Ends a link with its desk, however the link ends.
struct Linked {
    desk: Arc<Desk>,
    id: u64,
}

impl Drop for Linked {
    fn drop(&mut self) {
        self.desk.unlink(self.id);
    }
}

async fn serve(hub: &Arc<Hub>, guest: Guest, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
    let Guest { reading, mut writing, card, serve } = guest;
    let desk = hub.desk(&card.site).map_err(io::Error::other)?;
    let authority = hub.register.authority(&card.site).ok_or_else(|| io::Error::other("the site has no authority"))?;
    let voice = authority.voice().map_err(io::Error::other)?;
    let (id, mut notes) = desk.link(card.number, *serve);
    let _linked = Linked { desk: Arc::clone(&desk), id };
    tracing::info!("site {} is linked, certificate {}", card.site, card.number);
    let heard = Arc::new(Mutex::new(Instant::now()));
    let (ask, mut renewals) = channel(1);
    let mut reader = Reader(tokio::spawn(listen(reading, Arc::clone(&desk), Arc::clone(&heard), ask)));
    let mut ping = tokio::time::interval(PING);
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return Ok(()),
            ended = &mut reader.0 => return ended.map_err(io::Error::other)?,
            note = notes.recv() => {
                let gone = "its certificate is revoked, or it came anew";
                say(hub, &mut writing, &note.ok_or_else(|| io::Error::other(gone))?, &voice).await?;
            }
            Some(key) = renewals.recv() => {
                let (register, number) = (Arc::clone(&hub.register), card.number);
                let made = blocking(move || register.renew(number, &key)).await.map_err(io::Error::other)?;
                written(&mut writing, &self::card(made).map_err(io::Error::other)?).await?;
            }
            _ = ping.tick() => {
                if heard.lock().elapsed() > DEAD {
                    return Err(io::Error::other("nothing came from it any more"));
                }
                let (register, number) = (Arc::clone(&hub.register), card.number);
                blocking(move || register.seen(number)).await.map_err(io::Error::other)?;
                written(&mut writing, &Word::Ping).await?;
            }
        }
    }
}

/// What reads a link; ends with it.
struct Reader(tokio::task::JoinHandle<io::Result<()>>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hears what comes, frame by whole frame, and never waits for what goes out: an agent that is busy telling can always go
/// on, and so comes to listen.
async fn listen(
    mut reading: Reading,
    desk: Arc<Desk>,
    heard: Arc<Mutex<Instant>>,
    renewals: Sender<String>,
) -> io::Result<()> {
    loop {
        let tell: Tell = wire::read(&mut reading, LONGEST).await?;
        *heard.lock() = Instant::now();
        desk.heard();
        match tell {
            Tell::Report(report) => desk.report(report),
            Tell::Taken(number) => desk.taken(number),
            Tell::Sample(sample) => desk.sample(sample),
            Tell::Piece(sent) => desk.piece(&sent),
            Tell::Pong => {}
            // One at a time: who asks again before the answer has not understood.
            Tell::Renew(key) => drop(renewals.try_send(key)),
        }
    }
}

/// Says a note. A server that may have slept through its lease says nothing until it knows.
async fn say(hub: &Hub, writing: &mut Writing, note: &Note, voice: &Ed25519KeyPair) -> io::Result<()> {
    let began = Instant::now();
    while !(hub.sure)() {
        if began.elapsed() > DEAD {
            return Err(io::Error::other("this server is not sure to lead"));
        }
        tokio::time::sleep(UNSURE).await;
    }
    written(writing, &wire::seal(note, voice)?).await
}

async fn written(writing: &mut Writing, word: &Word) -> io::Result<()> {
    timeout(DEAD, wire::write(writing, word)).await.map_err(|_| io::Error::other("it does not read"))?
}

/// Waits until the server stops.
pub async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stops| *stops).await);
}
