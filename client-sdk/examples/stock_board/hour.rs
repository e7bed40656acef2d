//! The test of the stock board: an hour of trouble. Time is virtual, so the hour takes about a second.
//!
//! The trouble comes from a seed: a failure names its seed, and the same seed makes the same hour again.

use crate::{Book, Line, Sale, keep, lock, sell};
use hubcast_client::testing::{PresencePolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{Client, CloseCode, Members};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

#[tokio::test(start_paused = true)]
async fn an_hour_of_cuts_and_restarts_doubles_and_misses_nothing() {
    for seed in 1..=3 {
        let shop = Shop::open(seed).await;
        shop.an_hour_of(Random(seed), MILD).await;
        let (book, sold) = shop.close().await;
        assert_eq!(lock(&book).doubts(), 0, "seed {seed}");
        check(&lock(&book), sold, seed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_with_crashes_doubles_and_misses_nothing_without_a_doubt_in_the_book() {
    for seed in 1..=3 {
        let shop = Shop::open(seed).await;
        shop.an_hour_of(Random(seed), ALL).await;
        let (book, sold) = shop.close().await;
        assert_ne!(lock(&book).doubts(), 0, "seed {seed}: a crash forgets, and the book says so");
        check(&lock(&book), sold, seed);
    }
}

/// Each sale of the book follows the one before it, or there is a doubt between them; and the last one is there.
fn check(book: &Book, sold: u64, seed: u64) {
    let (mut last, mut is_sure) = (0, true);
    for line in &book.lines {
        match line {
            Line::Doubt(_) => is_sure = false,
            Line::Sold(sale) => {
                assert!(!is_sure || sale.number == last + 1, "seed {seed}: {} after {last}", sale.number);
                (last, is_sure) = (sale.number, true);
            }
        }
    }
    assert_eq!(last, sold, "seed {seed}");
}

/// A server, a till that sells something every second, a board, and a sign that shows who is there.
struct Shop {
    server: TestServer,
    till: Client,
    /// Gives the number of the last sale.
    selling: JoinHandle<u64>,
    closes: Arc<AtomicBool>,
    book: Arc<Mutex<Book>>,
    board: Mutex<JoinHandle<()>>,
    sign: Members,
}

impl Shop {
    async fn open(seed: u64) -> Self {
        let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(5) });
        let policy = TopicPolicy { presence, ..TopicPolicy::default() };
        let list = vec![TopicRule { pattern: "sales".parse().unwrap(), policy }];
        let server = TestServer::with_pings(Settings { rules: TopicRules { list }, ..Settings::with_seed(seed) });

        let book = Arc::<Mutex<Book>>::default();
        let board = Mutex::new(start_board(&server, &book));
        let sign = server.client_of("sign").await.unwrap().members("sales").await.unwrap();
        let till = server.client_of("till").await.unwrap();
        let closes = Arc::<AtomicBool>::default();
        let selling = tokio::spawn(sell_until(closes.clone(), till.clone()));
        Self { server, till, selling, closes, book, board, sign }
    }

    /// One trouble after the other. Each is over before the next one begins.
    async fn an_hour_of(&self, mut random: Random, troubles: &[Trouble]) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3600) {
            sleep(random.seconds(30)).await;
            let trouble = troubles[random.below(troubles.len())];
            self.make(trouble, random.seconds(20)).await;
        }
    }

    async fn make(&self, trouble: Trouble, lasting: Duration) {
        let (server, till) = (&self.server, self.till.id().unwrap());
        match trouble {
            Trouble::Cut => server.cut(),
            Trouble::CutTill => _ = server.cut_client(till),
            Trouble::KickTill => _ = server.kick(till, CloseCode::MOVED, "to another node"),
            Trouble::LoseAnswer => _ = server.lose_answer(till),
            Trouble::Slow => {
                server.delay(lasting / 20, lasting / 10);
                sleep(lasting).await;
                server.delay(Duration::ZERO, Duration::ZERO);
            }
            Trouble::Blackhole => {
                server.blackhole();
                sleep(lasting * 3).await;
                server.release();
            }
            Trouble::Refuse => {
                server.refuse(503, Some(Duration::from_secs(2)));
                server.cut();
                sleep(lasting).await;
                server.accept();
            }
            Trouble::RestartServer => {
                server.stop();
                sleep(lasting).await;
                server.restart();
            }
            Trouble::RestartBoard => {
                let mut board = self.board.lock().unwrap();
                board.abort();
                *board = start_board(server, &self.book);
            }
            Trouble::Crash => {
                server.crash();
                sleep(lasting).await;
                server.restart();
            }
        }
    }

    /// Waits until the board and the sign are back, then for a last sale, and for what follows from it. Returns the book,
    /// and the number of that sale.
    async fn close(mut self) -> (Arc<Mutex<Book>>, u64) {
        timeout(Duration::from_secs(60), async {
            while self.server.subscribers("sales").len() < 2 {
                sleep(Duration::from_secs(1)).await;
            }
        })
        .await
        .expect("all come back");
        self.closes.store(true, Ordering::Relaxed);
        let sold = timeout(Duration::from_secs(120), self.selling).await.expect("the till comes to its end").unwrap();
        let is_written = || lock(&self.book).lines.contains(&Line::Sold(Sale { number: sold, pieces: 1 }));
        timeout(Duration::from_secs(60), async {
            while !is_written() {
                sleep(Duration::from_secs(1)).await;
            }
        })
        .await
        .expect("the board hears the last sale");

        // The sign and the board are there.
        timeout(Duration::from_secs(60), async {
            while !(self.sign.current().is_current() && self.sign.current().count() == 2) {
                self.sign.changed().await.unwrap();
            }
        })
        .await
        .expect("the sign shows who is there");
        assert_eq!(self.server.presence("sales").unwrap().count, 2);
        (self.book, sold)
    }
}

/// The program of the till: a sale every second, and a last one when the shop closes.
async fn sell_until(closes: Arc<AtomicBool>, till: Client) -> u64 {
    for number in 1.. {
        sleep(Duration::from_secs(1)).await;
        let is_last = closes.load(Ordering::Relaxed);
        sell(&till, Sale { number, pieces: 1 }).await.expect("the till may sell");
        if is_last {
            return number;
        }
    }
    unreachable!("there are numbers enough")
}

/// The program of the board, which is started again when it fails.
fn start_board(server: &TestServer, book: &Arc<Mutex<Book>>) -> JoinHandle<()> {
    let (server, book) = (server.clone(), book.clone());
    tokio::spawn(async move {
        loop {
            if let Ok(client) = server.client_of("board").await {
                let _ = keep(&book, &client).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Cut,
    CutTill,
    KickTill,
    LoseAnswer,
    Slow,
    Blackhole,
    Refuse,
    RestartServer,
    RestartBoard,
    Crash,
}

const ALL: &[Trouble] = &[
    Trouble::Cut,
    Trouble::CutTill,
    Trouble::KickTill,
    Trouble::LoseAnswer,
    Trouble::Slow,
    Trouble::Blackhole,
    Trouble::Refuse,
    Trouble::RestartServer,
    Trouble::RestartBoard,
    Trouble::Crash,
];

/// Without crashes nothing is forgotten: no outage is as long as the history.
const MILD: &[Trouble] = ALL.split_last().expect("there are some").1;

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("it is below the bound")
    }

    fn seconds(&mut self, most: usize) -> Duration {
        Duration::from_millis(1000 * (1 + self.below(most)) as u64)
    }
}
