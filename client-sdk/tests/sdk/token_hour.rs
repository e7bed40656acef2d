//! An hour in virtual time in which tokens end, do not come, are old or are revoked, while connections break and the
//! server restarts. Nothing is lost, nothing comes twice, and no request fails.

use hubcast_client::testing::TestServer;
use hubcast_client::{Client, Event, TokenError, TokenReason};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[tokio::test(start_paused = true)]
async fn an_hour_of_tokens_that_end_and_fail_loses_nothing() {
    for seed in 1..=4 {
        let login = Login::new(seed);
        let (writer, reader) = (login.client("ada").await, login.client("bob").await);
        let mut news = reader.subscribe::<u32>("news").await.unwrap().events();
        let reading = tokio::spawn(async move {
            let mut expected = 1;
            while expected <= SECONDS {
                match news.next().await {
                    Some(Ok(Event::Message(message))) => {
                        assert_eq!(message.value, expected, "seed {seed}");
                        expected += 1;
                    }
                    Some(Ok(Event::Resumed(resumed))) => assert!(resumed.recovered, "seed {seed}"),
                    other => panic!("seed {seed}, before {expected}: {other:?}"),
                }
            }
        });
        let trouble = tokio::spawn(login.clone().trouble());
        for number in 1..=SECONDS {
            sleep(Duration::from_secs(1)).await;
            writer.publish("news", &number).await.unwrap_or_else(|why| panic!("seed {seed}, {number}: {why}"));
        }
        timeout(Duration::from_secs(60), reading).await.expect("the reader gets all").unwrap();
        trouble.abort();
        let tally = login.tally.lock().unwrap();
        assert!(tally.first == 2 && tally.expiring > 300 && tally.refused > 10, "seed {seed}: {tally:?}");
        assert!(tally.failed > 30, "seed {seed}: {tally:?}");
    }
}

/// A backend that makes tokens, and is not reliable.
#[derive(Clone)]
struct Login {
    server: TestServer,
    random: Arc<Mutex<u64>>,
    tally: Arc<Mutex<Tally>>,
}

/// How often it was asked, for each reason, and how often it gave none.
#[derive(Debug, Default)]
struct Tally {
    first: u32,
    expiring: u32,
    refused: u32,
    failed: u32,
}

impl Login {
    fn new(seed: u64) -> Self {
        let server = TestServer::start();
        server.require_tokens();
        Self { server, random: Arc::new(Mutex::new(seed)), tally: Arc::default() }
    }

    async fn client(&self, user: &'static str) -> Client {
        let login = self.clone();
        let builder = self.server.builder().token_from(move |reason| login.clone().token(user, reason));
        builder.connect().await.unwrap()
    }

    /// Gives a token that lasts 5 to 20 seconds. One in eight questions gets none, and one in twenty no answer.
    async fn token(self, user: &'static str, reason: TokenReason) -> Result<String, TokenError> {
        {
            let mut tally = self.tally.lock().unwrap();
            match reason {
                TokenReason::First => tally.first += 1,
                TokenReason::Expiring => tally.expiring += 1,
                _ => tally.refused += 1,
            }
        }
        let (luck, lifetime) = (self.up_to(160), Duration::from_secs(5 + self.up_to(15)));
        if reason != TokenReason::First && luck < 28 {
            self.tally.lock().unwrap().failed += 1;
            if luck < 8 {
                std::future::pending::<()>().await;
            }
            return Err(TokenError::failed("the backend is away"));
        }
        sleep(Duration::from_millis(self.up_to(2_000))).await;
        Ok(self.server.make_token(user, &["news"], lifetime))
    }

    /// Every 3 to 12 seconds something breaks.
    async fn trouble(self) {
        loop {
            sleep(Duration::from_millis(3_000 + self.up_to(9_000))).await;
            match self.up_to(5) {
                0 | 1 => self.server.cut(),
                2 => {
                    self.server.stop();
                    sleep(Duration::from_millis(self.up_to(3_000))).await;
                    self.server.restart();
                }
                3 => self.server.revoke_tokens(),
                _ => {
                    let delay = Duration::from_millis(self.up_to(200));
                    self.server.delay(delay, delay);
                }
            }
        }
    }

    /// Any number below `bound`.
    fn up_to(&self, bound: u64) -> u64 {
        let mut random = self.random.lock().unwrap();
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*random >> 33) % bound
    }
}

/// An hour.
const SECONDS: u32 = 3_600;
