//! Direct messages: the publications to the ids of connections, and which of them their owners received.
//!
//! An id belongs to one connection. While it is connected, its owner receives every message once and in order, and no
//! other client receives any of them. A message to a connection that is gone is lost.

use hubcast_client::machine::Delivery;
use hubcast_protocol::Topic;
use std::collections::BTreeMap;

/// All ids of connections, with their owners and the messages to them.
#[derive(Debug, Default)]
pub(crate) struct Directs {
    by_id: BTreeMap<Topic, Mail>,
    latest: BTreeMap<usize, Topic>,
    /// For each owner, the text of a message that must take effect.
    last: BTreeMap<usize, String>,
}

/// The messages to one id.
#[derive(Debug)]
struct Mail {
    owner: usize,
    entries: Vec<Entry>,
}

/// One direct message that took effect.
#[derive(Debug)]
struct Entry {
    text: String,
    /// The client that published it with `echo: false`, so that it must not receive it.
    silent_for: Option<usize>,
}

/// How many of the messages to its latest id an owner has received.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    id: Option<Topic>,
    next: usize,
}

impl Directs {
    /// Records the id that a client got in its `welcome`.
    pub(crate) fn welcome(&mut self, client: usize, id: &Topic) {
        self.by_id.entry(id.clone()).or_insert(Mail { owner: client, entries: Vec::new() }).owner = client;
        self.latest.insert(client, id.clone());
    }

    /// The id of a client that is connected and stays so. Records that `text` is published to it and must take effect.
    pub(crate) fn publish_last(&mut self, owner: usize, text: &str) -> Option<Topic> {
        let id = self.latest.get(&owner)?;
        self.last.insert(owner, text.to_owned());
        Some(id.clone())
    }

    /// The latest id of each client.
    pub(crate) fn ids(&self) -> Vec<Topic> {
        self.latest.values().cloned().collect()
    }

    /// Records a message that took effect.
    pub(crate) fn publish(&mut self, id: &Topic, text: &str, silent_for: Option<usize>) {
        // The owner may not know its new id yet, but then no other client knows it either.
        if let Some(mail) = self.by_id.get_mut(id) {
            mail.entries.push(Entry { text: text.to_owned(), silent_for });
        }
    }

    /// Whether a message with this text to this id took effect.
    pub(crate) fn has(&self, id: &Topic, text: &str) -> bool {
        self.by_id.get(id).is_some_and(|mail| mail.entries.iter().any(|entry| entry.text == text))
    }

    /// Whether this id belongs to this client.
    pub(crate) fn is_owner(&self, client: usize, id: &Topic) -> bool {
        self.by_id.get(id).is_some_and(|mail| mail.owner == client)
    }
}

impl Listener {
    /// Checks what a client's subscription to its direct messages receives.
    ///
    /// # Errors
    /// If it is not the next message.
    pub(crate) fn take(&mut self, client: usize, delivery: &Delivery, directs: &Directs) -> Result<(), String> {
        let message = match delivery {
            Delivery::Message(message) => message,
            // The client has another id after it reconnected.
            Delivery::Resumed(resumed) if !resumed.recovered => return Ok(()),
            Delivery::Gap(gap) if gap.topic.is_none() => return Ok(()),
            other => return Err(format!("{other:?} of direct messages")),
        };
        if !directs.is_owner(client, &message.topic) || message.position().is_some() {
            return Err(format!("{message:?} is not for it"));
        }
        if self.id.as_ref() != Some(&message.topic) {
            *self = Self { id: Some(message.topic.clone()), next: 0 };
        }
        let entries = &directs.by_id[&message.topic].entries;
        let place = entries.iter().skip(self.next).position(|entry| entry.silent_for != Some(client));
        match place.map(|place| self.next + place) {
            Some(place) if entries[place].text == message.payload.as_plain() => {
                self.next = place + 1;
                Ok(())
            }
            expected => Err(format!("{message:?} in place of {:?}", expected.map(|place| &entries[place]))),
        }
    }

    /// Checks that the owner has received all messages to its present connection.
    ///
    /// # Errors
    /// If one did not come.
    pub(crate) fn finish(&self, client: usize, directs: &Directs) -> Result<(), String> {
        let Some(id) = directs.latest.get(&client) else { return Ok(()) };
        // A message that did not even take effect is not in the record.
        if let Some(last) = directs.last.get(&client).filter(|last| !directs.has(id, last)) {
            return Err(format!("direct {last:?} did not take effect"));
        }
        let heard = if self.id.as_ref() == Some(id) { self.next } else { 0 };
        let mut missing = directs.by_id[id].entries.iter().skip(heard).filter(|entry| entry.silent_for != Some(client));
        missing.next().map_or(Ok(()), |entry| Err(format!("direct {entry:?} did not come")))
    }
}
