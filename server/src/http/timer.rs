//! The clock that hyper asks: its timeouts are as patient as ours after a stall of the process.

use crate::runtime::patience::{Alarm, PatientSleep};
use hyper::rt::{Sleep, Timer};
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Makes hyper's timeouts begin anew when the process stood still. They share the timer of the connection.
#[derive(Clone, Debug)]
pub(super) struct PatientTimer(pub(super) Alarm);

impl Timer for PatientTimer {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep::with_alarm(self.0.clone(), length))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        *sleep = self.sleep_until(deadline);
    }
}

impl Sleep for PatientSleep {}
