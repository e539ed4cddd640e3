//! Measures how many requests a second the server answers over persistent connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Server;

/// Returns the answers a second over all `connections` within `span`, and the length of one body. `request` gives the text of
/// each request by its number.
pub async fn rate(
    server: &Server,
    connections: usize,
    span: Duration,
    request: impl Fn(u64) -> String + Send + Sync + 'static,
) -> anyhow::Result<(u64, usize)> {
    let (request, began) = (Arc::new(request), Instant::now());
    let number = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (request, number) = (Arc::clone(&request), Arc::clone(&number));
            let next = move || request(number.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(answers(server.address().to_owned(), next, began + span))
        })
        .collect();
    let (mut count, mut length) = (0, 0);
    for client in clients {
        let (answers, bytes) = client.await??;
        count += answers;
        length = bytes;
    }
    Ok((count * 1000 / u64::try_from(began.elapsed().as_millis())?, length))
}

/// Sends requests over one connection. It assumes that every answer is as long as the first.
async fn answers(address: String, request: impl Fn() -> String, until: Instant) -> anyhow::Result<(u64, usize)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request().as_bytes()).await?;
    let mut answer = Vec::new();
    let (head, length) = loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
        let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head])?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        break (head + 4, length.context("no Content-Length")?.parse::<usize>()?);
    };
    let arrived = answer.len();
    answer.resize(head + length, 0);
    stream.read_exact(&mut answer[arrived..]).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "an answer is not 200");
    let mut count = 0;
    while Instant::now() < until {
        stream.write_all(request().as_bytes()).await?;
        stream.read_exact(&mut answer).await?;
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "an answer is not 200");
        count += 1;
    }
    Ok((count, length))
}
