//! A publisher as a `Sink`.

use super::{Publisher, SendError};
use crate::publish::encode;
use crate::window::Until;
use futures_util::Sink;
use serde::Serialize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// As [`Publisher::send`] and [`Publisher::flush`]. `start_send` takes the value even if it returns an error with
/// another one. `poll_close` flushes; the publisher can be used afterwards.
impl<T: Serialize> Sink<T> for Publisher<T> {
    type Error = SendError<T>;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let until = Until::Room(self.most);
        ready!(self.poll_window(until, context));
        self.poll_permit(context).map(Ok)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Self::Error> {
        let payload = encode(&value);
        let mut permit = self.permit.take();
        if let (Some(permit), Ok(payload)) = (&mut permit, &payload) {
            self.shared.room.resize(permit, self.cost(payload));
        }
        self.push(value, payload, permit)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_over(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_over(context)
    }
}

impl<T> Publisher<T> {
    fn poll_permit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.permit.is_none() {
            let room = &self.shared.room;
            let taking = self.taking.get_or_insert_with(|| Box::pin(room.take(RESERVED)));
            self.permit = Some(ready!(taking.as_mut().poll(context)));
            self.taking = None;
        }
        Poll::Ready(())
    }
}

/// The room for one message that `poll_ready` takes before the size of the message is known, in bytes: the largest
/// message of a server with the usual limit. `start_send` gives back what the message does not need.
const RESERVED: usize = 64 * 1024;
