//! Connections: bounded in number, in the time a request's head may take, and in how long they may idle.

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Most connections at a time; the next waits to be accepted.
const CONNECTIONS: u32 = 4_096;
/// The longest that a request's head may take, and that a connection may idle between two.
const HEAD: Duration = Duration::from_secs(30);
/// How long open requests may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves connections until told to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let most = most_connections();
    let room = Arc::new(Semaphore::new(most as usize));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stopping) = (router.clone(), stopping.clone());
                tokio::spawn(async move {
                    connection(stream, router, stopping).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: the next try needs somebody to have left.
                tracing::warn!("failed to accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(tokio::time::timeout(FAREWELL, room.acquire_many(most)).await);
}

/// At most half of the files that may be open: the journal and the engine must never want for one.
fn most_connections() -> u32 {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    u32::try_from(files / 2).unwrap_or(u32::MAX).clamp(1, CONNECTIONS)
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("failed to set a connection up: {error}");
    }
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    let service = TowerToHyperService::new(router);
    let served = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = stopping.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}
