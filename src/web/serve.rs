//! The server's loop: connections in, an orderly end.
//!
//! hyper is driven here and not by `axum::serve`, because that has neither a time limit for headers nor a limit on
//! connections, and waits for its last client without end.

use std::convert::Infallible;
use std::io::{
    self,
    ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset},
};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::guard::with_advice;
use super::places::{Limits, Place, Places};
use crate::settings::SettingsInForce;
use crate::tls::Tls;

/// How long a client may take for a request's headers, and how long a connection may be idle between two requests.
/// What is in the middle of a request is not cut by it.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take nothing of an answer. Without it, one that asks and never reads would keep its place for
/// as long as it likes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection that is closed for a new one may take for what it still sends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a TLS handshake may take. The connection is idle meanwhile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 22;

/// What somebody is told who speaks HTTP where TLS is spoken. Not a 4xx: Alertmanager would drop the alerts.
const TLS_WANTED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 36\r\n\r\nTLS is spoken here: write https://\r\n";

/// How many bytes of headers are taken; more is answered with 431.
pub const HEADERS_LIMIT_BYTES: usize = 32 * 1024;

/// How long nothing is accepted after the system refused a connection (mostly: no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` within `limits` on `listener` until `shutdown` ends; then accepts nothing more, lets the requests under way finish
/// for at most `grace`, and cuts the rest. Handlers learn the peer's address as `ConnectInfo<SocketAddr>`.
///
/// Every connection begins with a TLS handshake if the `settings` that are in force by then have TLS.
///
/// # Errors
/// When the listener has no address, so that it never was one. What befalls single connections is theirs alone.
pub async fn serve(
    limits: Limits,
    listener: TcpListener,
    settings: Option<SettingsInForce>,
    router: Router,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<()> {
    listener.local_addr()?;
    let connections = TaskTracker::new();
    let stopping = CancellationToken::new();
    let cut = CancellationToken::new();
    {
        let accepting = async {
            let places = Places::new(limits);
            loop {
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    // The client was gone before it was accepted.
                    Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
                        continue;
                    }
                    Err(error) => {
                        warn!(%error, "a connection was not accepted; trying again soon");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let place = places.place(peer.ip()).await;
                let tls = settings.as_ref().and_then(|settings| settings.borrow().web.tls.clone());
                let connection = converse(stream, peer, tls, router.clone(), place, stopping.clone());
                connections.spawn(cut.clone().run_until_cancelled_owned(connection));
            }
        };
        tokio::select! {
            () = accepting => {}
            () = shutdown => {}
        }
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    if timeout(grace, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), ?grace, "connections are cut that did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// Serves one connection to its end.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    place: Arc<Place>,
    stopping: CancellationToken,
) {
    // Answers are small, so waiting for more to send with them only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return speak_http(stream, peer, router, place, stopping).await };
    // Nothing was asked yet, so neither a stop nor a new connection need wait for it.
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, handshake(stream, &tls)) => shaken,
        () = stopping.cancelled() => return,
        () = place.close.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => speak_http(stream, peer, router, place, stopping).await,
        Ok(Err(error)) => debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => debug!(%peer, "TLS handshake took too long"),
    }
}

async fn handshake(mut stream: TcpStream, tls: &Tls) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [TLS_HANDSHAKE] {
        stream.write_all(TLS_WANTED).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
    }
    tls.acceptor().accept(stream).await
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    place: Arc<Place>,
    stopping: CancellationToken,
) {
    let service = service_fn(|request| answer(router.clone(), peer, Arc::clone(&place), request));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(ANSWER_TIMEOUT));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIMEOUT)
            .max_header_size(HEADERS_LIMIT_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    let served = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
            () = place.close.cancelled() => {
                debug!(%peer, "an idle connection is closed for a new one");
                connection.as_mut().graceful_shutdown();
                match timeout(CLOSE_TIMEOUT, connection.as_mut()).await {
                    Ok(ended) => return ended,
                    Err(_) if place.is_idle() => return Ok(()),
                    // A request had just begun.
                    Err(_) => {}
                }
            }
        }
        connection.await
    };
    let ended = tokio::select! {
        ended = served => ended,
        () = place.cut.cancelled() => {
            debug!(%peer, "a request is aborted for one of another address: this address has most requests in progress");
            return;
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    place: Arc<Place>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let Some(in_progress) = place.begin(request.uri().path()) else {
        let text = "too many requests are in progress: try again\n";
        return Ok(with_advice((StatusCode::SERVICE_UNAVAILABLE, [(CONNECTION, "close")], text).into_response()));
    };
    let mut request = request.map(|body| in_progress.timed(Body::new(body)));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| in_progress.until_sent(body)))
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequest;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::net::TcpSocket;
    use tokio::sync::Semaphore;

    use super::*;

    /// More than goes into the way between.
    const LONG: usize = 100_000;

    /// A client that has asked for a long answer, and the connection that gives it.
    async fn asked() -> (DuplexStream, impl Future<Output = ()>) {
        let place = Places::new(Limits::default()).place([127, 0, 0, 1].into()).await;
        let (mut client, server) = duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it fits");
        let router = Router::new().route("/", get(async || "x".repeat(LONG)));
        (client, speak_http(server, SocketAddr::from(([127, 0, 0, 1], 1)), router, place, CancellationToken::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_its_answer_gives_its_place_back() {
        let (_client, connection) = asked().await;
        timeout(ANSWER_TIMEOUT + Duration::from_secs(1), connection).await.expect("it is cut");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_answer_slowly_gets_it_to_the_end() {
        let (mut client, connection) = asked().await;
        let connection = tokio::spawn(connection);
        let (mut taken, mut some) = (0, [0; 1024]);
        loop {
            sleep(ANSWER_TIMEOUT - Duration::from_secs(1)).await;
            match client.read(&mut some).await.expect("it is not cut") {
                0 => break,
                more => taken += more,
            }
        }
        assert!(taken > LONG, "{taken}");
        connection.await.expect("no panic");
    }

    /// A server with few places, on which every path but `/health` waits for a body; a permit for each that waits.
    async fn few_places(limits: Limits) -> (SocketAddr, Arc<Semaphore>) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = tcp.local_addr().expect("an address");
        let begun = Arc::new(Semaphore::new(0));
        let counted = Arc::clone(&begun);
        let body = async move |request: Request<Body>| {
            counted.add_permits(1);
            String::from_request(request, &()).await.map_or("lost", |_| "arrived")
        };
        let router = Router::new().route("/health", get(async || "well")).route("/", post(body));
        tokio::spawn(serve(limits, tcp, None, router, std::future::pending(), Duration::ZERO));
        (address, begun)
    }

    async fn sent(address: SocketAddr, request: &str) -> TcpStream {
        sent_from(1, address, request).await
    }

    /// Sends `request` from the loopback address 127.0.0.`number`.
    async fn sent_from(number: u8, address: SocketAddr, request: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, number], 0))).expect("an address");
        let mut stream = socket.connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream
    }

    async fn answered(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
        read.expect("in time").expect("an answer");
        answer
    }

    const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const SLOW: &str = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n1";
    const LATE: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn the_connection_that_is_idle_for_the_longest_time_makes_room() {
        let (address, _) = few_places(Limits { connections: 2, requests: 1, body_timeout: LATE }).await;
        let longest = sent(address, "").await;
        let partial_head = sent(address, "GET / HT").await;
        assert!(answered(sent(address, HEALTH).await).await.ends_with("well"));
        assert_eq!(answered(longest).await, "");
        assert!(answered(sent(address, HEALTH).await).await.ends_with("well"));
        drop(partial_head);
    }

    #[tokio::test]
    async fn requests_in_progress_leave_places_for_those_of_probes() {
        let (address, begun) = few_places(Limits { connections: 3, requests: 2, body_timeout: LATE }).await;
        let mut slow = vec![sent(address, SLOW).await, sent(address, SLOW).await];
        let both = timeout(Duration::from_secs(5), begun.acquire_many(2)).await;
        assert!(both.is_ok(), "both are in progress");
        let refused = answered(sent(address, SLOW).await).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 5"), "{refused}");
        assert!(answered(sent(address, HEALTH).await).await.ends_with("well"));
        let mut first = slow.remove(0);
        first.write_all(b"23456789").await.expect("it is not cut");
        assert!(answered(first).await.ends_with("arrived"));
    }

    #[tokio::test]
    async fn the_address_that_has_most_connections_makes_room() {
        let (address, _) = few_places(Limits { connections: 3, requests: 3, body_timeout: LATE }).await;
        let single = sent_from(2, address, "").await;
        let (first, second) = (sent_from(1, address, "").await, sent_from(1, address, "").await);
        assert!(answered(sent_from(3, address, HEALTH).await).await.ends_with("well"));
        assert_eq!(answered(first).await, "");
        for mut open in [single, second] {
            open.write_all(HEALTH.as_bytes()).await.expect("written");
            assert!(answered(open).await.ends_with("well"));
        }
    }

    #[tokio::test]
    async fn a_request_of_another_address_takes_the_place_of_one_of_the_address_that_has_most() {
        let (address, begun) = few_places(Limits { connections: 9, requests: 2, body_timeout: LATE }).await;
        let oldest = sent_from(1, address, SLOW).await;
        let first = timeout(Duration::from_secs(5), begun.acquire()).await;
        first.expect("in time").expect("it is in progress").forget();
        let mut newer = sent_from(1, address, SLOW).await;
        let second = timeout(Duration::from_secs(5), begun.acquire()).await;
        second.expect("in time").expect("it is in progress").forget();

        // Another one of the same address takes no place, so a proxy cuts nothing of its own.
        assert!(answered(sent_from(1, address, SLOW).await).await.starts_with("HTTP/1.1 503 "));
        let mut other = sent_from(2, address, SLOW).await;
        assert_eq!(answered(oldest).await, "");
        // Both have one now, so a second one of either takes no place.
        assert!(answered(sent_from(2, address, SLOW).await).await.starts_with("HTTP/1.1 503 "));
        for open in [&mut newer, &mut other] {
            open.write_all(b"23456789").await.expect("it is not cut");
        }
        assert!(answered(newer).await.ends_with("arrived"));
        assert!(answered(other).await.ends_with("arrived"));
    }

    #[tokio::test]
    async fn a_request_that_the_server_works_on_is_not_cut_for_another() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = tcp.local_addr().expect("an address");
        let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (counted, waited) = (Arc::clone(&begun), Arc::clone(&go_on));
        let work = async move |_: String| {
            counted.add_permits(1);
            waited.acquire().await.map_or("closed", |_| "done")
        };
        let limits = Limits { connections: 9, requests: 2, body_timeout: LATE };
        let router = Router::new().route("/", post(work));
        tokio::spawn(serve(limits, tcp, None, router, std::future::pending(), Duration::ZERO));
        let whole = format!("{SLOW}23456789");
        let working = [sent_from(1, address, &whole).await, sent_from(1, address, &whole).await];
        assert!(timeout(Duration::from_secs(5), begun.acquire_many(2)).await.is_ok(), "both are in progress");
        assert!(answered(sent_from(2, address, &whole).await).await.starts_with("HTTP/1.1 503 "));
        go_on.add_permits(2);
        for working in working {
            assert!(answered(working).await.ends_with("done"));
        }
    }

    #[tokio::test]
    async fn a_body_has_a_deadline_on_every_path() {
        let (address, _) = few_places(Limits { body_timeout: Duration::from_millis(50), ..Limits::default() }).await;
        assert!(answered(sent(address, SLOW).await).await.ends_with("lost"));
    }
}
