//! The load: connections that each make one request after another.

use crate::ours::KEY;
use anyhow::{Context as _, ensure};
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Load {
    /// The port of the server on 127.0.0.1
    port: u16,
    /// The process id of the server, for its CPU time
    #[arg(long)]
    pid: u32,
    /// Connections, each with one request outstanding
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Messages in one request; 1 is no batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Bytes of one message
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// How long it takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

impl Load {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let before = cpu_seconds(self.pid)?;
        let threads: Vec<_> =
            (0..self.connections).map(|number| thread::spawn(move || self.connection(number, end))).collect();
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().ok().context("a connection panicked")??);
        }
        let cpu = cpu_seconds(self.pid)? - before;
        latencies.sort_unstable();
        let messages = latencies.len() * self.batch;
        let percentile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
        let report = json!({
            "messages_per_cpu_second": (messages as f64 / cpu).round(),
            "messages_per_second": messages as u64 / self.seconds,
            "p50_us": percentile(50),
            "p99_us": percentile(99),
        });
        println!("{report}");
        Ok(())
    }

    /// Makes requests until the end; returns how long each took.
    fn connection(self, number: usize, end: Instant) -> anyhow::Result<Vec<Duration>> {
        let message = json!({"topic": format!("bench.{number}"), "message": "x".repeat(self.size)});
        let body = match self.batch {
            1 => message,
            count => json!({"messages": vec![message; count]}),
        };
        let body = body.to_string();
        let request = format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        let (mut latencies, mut answer) = (Vec::new(), Vec::new());
        while Instant::now() < end {
            let begun = Instant::now();
            socket.write_all(request.as_bytes())?;
            read_answer(&mut socket, &mut answer)?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    }
}

/// Reads one answer with a length, which must be 200.
fn read_answer(socket: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    let (mut chunk, mut whole) = ([0; 64 * 1024], None);
    while whole.is_none_or(|whole| answer.len() < whole) {
        let length = socket.read(&mut chunk)?;
        ensure!(length > 0, "the server has closed the connection");
        answer.extend_from_slice(&chunk[..length]);
        if whole.is_none()
            && let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")
        {
            let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            whole = Some(end + 4 + length.context("no length")?.parse::<usize>()?);
        }
    }
    ensure!(!answer.windows(8).any(|bytes| bytes == b"\"error\":"), "a message was refused");
    Ok(())
}

/// The CPU time of a process so far. The clock of the system ticks 100 times a second on Linux.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().context("no fields")?.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}
