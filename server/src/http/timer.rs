//! The clock that hyper asks: its timeouts are as patient as ours after a stall of the process.

use crate::runtime::patience::{Alarm, PatientSleep};
use hyper::rt::{Sleep, Timer};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time;

/// Makes hyper's timeouts begin anew when the process stood still. They share the timer of the connection.
#[derive(Clone, Debug)]
pub(super) struct PatientTimer {
    pub(super) alarm: Alarm,
    /// The length of all waits. hyper tells only when they end, and to ask for the time again would cost some.
    pub(super) length: Duration,
}

impl Timer for PatientTimer {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + length)
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep::until(self.alarm.clone(), deadline.into(), self.length))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        *sleep = self.sleep_until(deadline);
    }
}

impl Sleep for PatientSleep {}
