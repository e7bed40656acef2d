//! Direct messages: what was published to the ids of connections, and what their owners heard of it.
//!
//! An id is good for one connection. While that is there its owner hears everything, once and in order, and nobody else
//! hears any of it; what comes for a connection that is gone is lost.

use hubcast_client::machine::Delivery;
use hubcast_protocol::Topic;
use std::collections::BTreeMap;

/// Whose ids there were, and what was published to them.
#[derive(Debug, Default)]
pub(crate) struct Directs {
    by_id: BTreeMap<Topic, Mail>,
    latest: BTreeMap<usize, Topic>,
    /// By owner, the text of one that has to take effect.
    last: BTreeMap<usize, String>,
}

/// What was published to one id.
#[derive(Debug)]
struct Mail {
    owner: usize,
    entries: Vec<Entry>,
}

/// One direct message that took effect.
#[derive(Debug)]
struct Entry {
    text: String,
    /// Who published it, when it was not to come back to that connection.
    silent_for: Option<usize>,
}

/// How far an owner has come.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    id: Option<Topic>,
    next: usize,
}

impl Directs {
    /// A client is told its id.
    pub(crate) fn welcome(&mut self, client: usize, id: &Topic) {
        self.by_id.entry(id.clone()).or_insert(Mail { owner: client, entries: Vec::new() }).owner = client;
        self.latest.insert(client, id.clone());
    }

    /// The id of a client that is connected and stays so, to which this text is published now.
    pub(crate) fn publish_last(&mut self, owner: usize, text: &str) -> Option<Topic> {
        let id = self.latest.get(&owner)?;
        self.last.insert(owner, text.to_owned());
        Some(id.clone())
    }

    /// The latest ids that clients were told.
    pub(crate) fn ids(&self) -> Vec<Topic> {
        self.latest.values().cloned().collect()
    }

    pub(crate) fn publish(&mut self, id: &Topic, text: &str, silent_for: Option<usize>) {
        // It may have an id of which its owner does not know yet, but nobody else does.
        if let Some(mail) = self.by_id.get_mut(id) {
            mail.entries.push(Entry { text: text.to_owned(), silent_for });
        }
    }

    pub(crate) fn has(&self, id: &Topic, text: &str) -> bool {
        self.by_id.get(id).is_some_and(|mail| mail.entries.iter().any(|entry| entry.text == text))
    }

    pub(crate) fn is_owner(&self, client: usize, id: &Topic) -> bool {
        self.by_id.get(id).is_some_and(|mail| mail.owner == client)
    }
}

impl Listener {
    /// Takes what the client says to the program that listens to its direct messages.
    ///
    /// # Errors
    /// When that is not what happened.
    pub(crate) fn take(&mut self, client: usize, delivery: &Delivery, directs: &Directs) -> Result<(), String> {
        let message = match delivery {
            Delivery::Message(message) => message,
            // It stands for another id now.
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

    /// Whether all came that was published to the connection that stands now.
    ///
    /// # Errors
    /// When something did not.
    pub(crate) fn finish(&self, client: usize, directs: &Directs) -> Result<(), String> {
        let Some(id) = directs.latest.get(&client) else { return Ok(()) };
        // What does not even take effect is nowhere written down.
        if let Some(last) = directs.last.get(&client).filter(|last| !directs.has(id, last)) {
            return Err(format!("direct {last:?} did not take effect"));
        }
        let heard = if self.id.as_ref() == Some(id) { self.next } else { 0 };
        let mut missing = directs.by_id[id].entries.iter().skip(heard).filter(|entry| entry.silent_for != Some(client));
        missing.next().map_or(Ok(()), |entry| Err(format!("direct {entry:?} did not come")))
    }
}
