//! The embedded engine.

use crate::Publication;
use crate::engine::{Answer, Ask, Engine, Opened, Question};
use hubcast_protocol::request::Start;
use std::time::Instant;

/// Answers at once from this process's memory. It keeps no history: a publication is for those who listen now.
#[derive(Debug, Default)]
pub struct Memory {}

impl Engine for Memory {
    fn ask(&mut self, _now: Instant, ask: Ask) -> Result<Answer, Ask> {
        Ok(match ask.question {
            Question::Publish { topic, payload } => Answer::Published(Publication::new(topic, payload, None)),
            Question::Open { start, .. } => {
                let recovered = matches!(start, Start::After(_) | Start::AfterEach(_)).then_some(false);
                Answer::Opened(Opened { position: None, recovered })
            }
        })
    }
}
