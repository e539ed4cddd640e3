//! Serves a router on a port of this machine.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server of [`serve`]; stops when dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Stops it and closes its connections, so that the next call is refused. Waits for requests in progress.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("a server that does not panic").expect("a server that ends well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves `router` on a free port. Returns its base, `http://127.0.0.1:PORT`, to which a Cachet client adds `/api`, and
/// the server, which runs until it is dropped.
///
/// # Panics
/// When no port is free.
pub async fn serve(router: Router) -> (String, Server) {
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), router).await.expect("a free port")
}

/// As [`serve`], on a given address, for example that of a stopped server.
///
/// # Errors
/// When nobody can listen there.
pub async fn serve_at(address: SocketAddr, router: Router) -> io::Result<(String, Server)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stopped);
    let task = tokio::spawn(async move { serving.await });
    Ok((format!("http://{address}"), Server { address, stop, task }))
}
