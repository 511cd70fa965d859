//! Agents that are not what they say: a good certificate, and bad intentions.
use crate::process::{Client, Server, agent, eventually, folder, free_address};
use crate::{job, submit};
use madang_agent::identity::{agent_key, fingerprint, hex, server_name, unhex};
use madang_agent::tls;
use madang_agent::wire::{self, LONGEST, Opening, Serve, Tell, Word};
use madang_engine::EngineReport;
use madang_model::{Health, JobId, Outcome, RunId, Span, Time};
use rustls::ClientConfig;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Somebody with a certificate for one site.
struct Rogue {
    config: Arc<ClientConfig>,
    pin: String,
    at: SocketAddr,
}

type Link = TlsStream<TcpStream>;

async fn dial(config: Arc<ClientConfig>, name: &str, at: SocketAddr) -> std::io::Result<Link> {
    let stream = TcpStream::connect(at).await?;
    TlsConnector::from(config).connect(name.to_owned().try_into().expect("a name"), stream).await
}

/// Says an opening, and gives what is answered.
async fn say(link: &mut Link, opening: &Opening) -> std::io::Result<Word> {
    wire::write(link, opening).await?;
    wire::read(link, LONGEST).await
}

fn serve(site: &str) -> Opening {
    let link = wire::draw().expect("random");
    let (version, known, nodes) = ("rogue".to_owned(), Vec::new(), Vec::new());
    Opening::Serve(Box::new(Serve { site: site.to_owned(), version, link, taken: (0, 0), known, nodes }))
}

impl Rogue {
    /// Enrols in good order.
    async fn enrol(at: SocketAddr, invitation: &str) -> Rogue {
        let (token, pin) = tls::invitation(invitation).expect("an invitation");
        let (key, public) = agent_key().expect("a key");
        let mut link = dial(tls::newcomer(pin).expect("TLS"), &server_name(pin), at).await.expect("a link");
        let opening = Opening::Enrol { token: token.to_owned(), key: public, host: "rogue".to_owned() };
        let Word::Card { certificate, authority, .. } = say(&mut link, &opening).await.expect("an answer") else {
            panic!("it is not enrolled");
        };
        let bytes = |text: &str| unhex(text).expect("hexadecimal");
        let config = tls::agent(&bytes(&authority), &bytes(&certificate), &bytes(&key)).expect("TLS");
        Rogue { config, pin: hex(&fingerprint(&bytes(&authority))), at }
    }

    async fn dial(&self) -> std::io::Result<Link> {
        dial(Arc::clone(&self.config), &server_name(&self.pin), self.at).await
    }
}

fn code(word: &std::io::Result<Word>) -> String {
    match word {
        Ok(Word::Refused { code, .. }) => code.clone(),
        Ok(other) => format!("{other:?}"),
        Err(_) => "no answer".to_owned(),
    }
}

#[test]
fn a_rogue_gets_nothing_of_another_site() {
    let (folder, at) = (folder("rogue"), free_address());
    let server = Server::start(&folder.join("server"), at, &[]);
    let client = server.client();
    let honest = agent(&folder.join("agent"), "busan", &at.to_string(), Some(&client.invite("busan")));
    client.until_linked("busan", true);
    let script = "echo begin >> evidence; while ! test -e go; do sleep 0.05; done";
    let runs = submit(&client, &job("busan", &folder.join("work"), script));
    client.job_until(runs, |job| job["state"] == "RUNNING");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(haunt(&client, at, RunId { job: JobId::new(runs), attempt: 1 }));
    assert_eq!(client.get(&format!("/jobs/{runs}"))["state"], "RUNNING", "nobody else's word counts");
    std::fs::write(folder.join("work/go"), "").expect("writable");
    client.job_until(runs, |job| job["state"] == "COMPLETED");
    let audit = client.get("/audit");
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)));
    drop((honest, server));
    drop(std::fs::remove_dir_all(&folder));
}

async fn haunt(client: &Client, at: SocketAddr, run: RunId) {
    let busan = client.invite("busan");
    let (_, pin) = tls::invitation(&busan).expect("an invitation");
    let rogue = Rogue::enrol(at, &client.invite("daegu")).await;

    // It asks for another site's work by its own words, with the other site's authority, and without a certificate.
    let mut link = rogue.dial().await.expect("its own site's link");
    assert_eq!(code(&say(&mut link, &serve("busan")).await), "foreign_site");
    let foreign = dial(Arc::clone(&rogue.config), &server_name(pin), at).await;
    assert!(foreign.is_err(), "the other site's server is not the one that its authority vouches for");
    let mut bare = dial(tls::newcomer(pin).expect("TLS"), &server_name(pin), at).await.expect("to enrol");
    assert_eq!(code(&say(&mut bare, &serve("busan")).await), "unknown");
    // An invitation for one site is not good at the other's door.
    let (token, _) = tls::invitation(&busan).expect("an invitation");
    let mut bare = dial(tls::newcomer(&rogue.pin).expect("TLS"), &server_name(&rogue.pin), at).await.expect("to enrol");
    let opening = Opening::Enrol { token: token.to_owned(), key: agent_key().expect("a key").1, host: String::new() };
    assert_eq!(code(&say(&mut bare, &opening).await), "not_invited");

    // Linked for its own site it lies about the other's run and nodes.
    let mut link = rogue.dial().await.expect("its own site's link");
    assert!(matches!(say(&mut link, &serve("daegu")).await, Ok(Word::Note { .. })));
    let (at_ms, outcome, note) = (Time::from_millis(1), Outcome::Completed, String::new());
    let down = Health::Down { why: "a lie".to_owned() };
    let lies = [
        EngineReport::Ended { run, at: at_ms, outcome, peak_mib: 0, cpu: Span::ZERO, note },
        EngineReport::Unknown { run },
        EngineReport::Started { run: RunId { attempt: 2, ..run }, at: at_ms },
        EngineReport::Unknown { run: RunId { attempt: 2, ..run } },
        EngineReport::Node { node: "b1".to_owned(), health: down.clone() },
        EngineReport::Node { node: "d2".to_owned(), health: down },
    ];
    for lie in lies {
        wire::write(&mut link, &Tell::Report(lie)).await.expect("it is read");
    }
    // The last of them is about a node of its own, and believed: so all before it were heard.
    eventually("its own node is down", || {
        let nodes = client.get("/nodes");
        let nodes = nodes["items"].as_array().expect("a list");
        let state = |name: &str| nodes.iter().find(|node| node["name"] == name).map(|node| node["state"].to_string());
        let is_down = state("d2").is_some_and(|state| state.contains("DOWN"));
        assert!(state("b1").is_some_and(|state| !state.contains("DOWN")), "a foreign node went down");
        is_down.then_some(())
    });

    // Revoked, its link ends and none begins again.
    let agents = client.get("/agents");
    let own = agents["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|agent| agent["state"] == "linked" && agent["site"] == "daegu");
    client.revoke(&own.expect("it is linked")["id"]);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while wire::read::<Word>(&mut link, LONGEST).await.is_ok() {}
    });
    ended.await.expect("its link ends at once");
    let mut link = rogue.dial().await.expect("TLS knows nothing of it");
    assert_eq!(code(&say(&mut link, &serve("daegu")).await), "revoked");
}
