//! How many answers readers of the built-in page get a second, beside the smallest answer that the server has.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fleet::Fleet;
use crate::server::{Home, Server};
use crate::table::{Amount, Table};

const FLEET: Fleet = Fleet { components: 67, targets_each: 4 };

/// How many readers ask at the same time, each on one connection that is kept.
const READERS: usize = 32;

/// How long they ask.
const SPAN: Duration = Duration::from_secs(3);

const RUNS: usize = 5;

const LIMIT: Amount = Amount::Rate(10_000);

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    table.section(&format!(
        "answers a second to {READERS} readers of the built-in page, 67 components, connections kept; the readers share the cores"
    ));
    if let Err(error) = try_measure(table).await {
        table.unknown("answers to readers", &error);
    }
}

async fn try_measure(table: &mut Table) -> anyhow::Result<()> {
    let home = Home::new(FLEET)?;
    let server = home.serve(None).await?;
    let mut figures = [("/-/healthy", ""), ("/", "gzip"), ("/", "identity")].map(|asked| (asked, Vec::new()));
    let mut length = 0;
    for _ in 0..RUNS {
        for ((path, coding), rates) in &mut figures {
            let (rate, bytes) = rate(&server, path, coding).await?;
            rates.push(rate);
            length = bytes;
        }
    }
    for ((path, coding), rates) in &mut figures {
        rates.sort_unstable();
        let median = Amount::Rate(rates[RUNS / 2]);
        let runs = format!("median of {RUNS}, least {}", Amount::Rate(rates[0]));
        match *coding {
            "" => table.known(path, median, &runs),
            coding => table.limited(&format!("{path}, {coding}"), median, LIMIT, &runs),
        }
    }
    table.given("the length of the page, not compressed", &format!("{length} bytes"));
    server.stop().await
}

/// How many answers a second all readers together get, and the length of one.
async fn rate(server: &Server, path: &str, coding: &str) -> anyhow::Result<(u64, usize)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: figures\r\nAccept-Encoding: {coding}\r\n\r\n");
    let began = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(answers(server.address().to_owned(), request.clone(), began + SPAN)))
        .collect();
    let (mut count, mut length) = (0, 0);
    for reader in readers {
        let (answers, bytes) = reader.await??;
        count += answers;
        length = bytes;
    }
    Ok((count * 1000 / u64::try_from(began.elapsed().as_millis())?, length))
}

/// Asks again and again over one connection. The answers are all of one length, so no more of them than that is looked at.
async fn answers(address: String, request: String, until: Instant) -> anyhow::Result<(u64, usize)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
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
    let mut count = 0;
    while Instant::now() < until {
        stream.write_all(request.as_bytes()).await?;
        stream.read_exact(&mut answer).await?;
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "an answer is not 200");
        count += 1;
    }
    Ok((count, length))
}
