//! The model as plain text, for `--once`.

use super::figure::{bytes, count, rate, time};
use super::model::Model;
use std::fmt::Write as _;

/// The figures, then a line for each topic and for each slow client. Names that may hold spaces come last.
pub(super) fn text(model: &Model) -> String {
    let mut text = String::new();
    push_figures(model, &mut text);
    push_topics(model, &mut text);
    push_clients(model, &mut text);
    text
}

fn push_figures(model: &Model, text: &mut String) {
    if let Some(figures) = &model.figures {
        let memory = figures.memory.map_or_else(|| "not known".to_owned(), bytes);
        let (up, workers) = (time(figures.uptime), figures.workers);
        for (name, value) in [
            ("server", format!("{} at {}, up {up}, {workers} workers", figures.server, model.address)),
            ("connections", count(figures.connections)),
            (
                "publications",
                format!("{} a second, {} in all", rate(figures.publications), count(figures.publications_in_all)),
            ),
            (
                "deliveries",
                format!("{} a second, {} in all", rate(figures.deliveries), count(figures.deliveries_in_all)),
            ),
            ("memory", format!("{memory}, {} in histories", bytes(figures.history_bytes))),
            ("waiting", format!("{} for slow clients", bytes(figures.waiting_bytes))),
        ] {
            let _ = writeln!(text, "{name:<13}{value}");
        }
        if !figures.is_complete {
            text.push_str("there are more topics or connections than were looked at\n");
        }
    }
}

fn push_topics(model: &Model, text: &mut String) {
    let (topics, found) = model.topics();
    let _ = writeln!(
        text,
        "\n{:>8} {:>11} {:>7} {:>12}  topic ({} of {found})",
        "rate/s",
        "subscribers",
        "kept",
        "offset",
        topics.len()
    );
    for topic in topics {
        let offset = topic.offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
        let _ = writeln!(
            text,
            "{:>8} {:>11} {:>7} {offset:>12}  {}",
            rate(topic.rate),
            topic.subscribers,
            topic.kept,
            topic.name
        );
    }
}

fn push_clients(model: &Model, text: &mut String) {
    let (clients, found) = model.clients();
    let _ = writeln!(
        text,
        "\n{:>12} {:>8}  {:<13} {:<36} {:<21}  user ({} slow clients of {found})",
        "outbox_bytes",
        "lag_ms",
        "why",
        "client",
        "address",
        clients.len()
    );
    for client in clients {
        let lag = client.lag.as_millis();
        let why = client.why.replace(' ', "-");
        let _ = writeln!(
            text,
            "{:>12} {lag:>8}  {why:<13} {:<36} {:<21}  {}",
            client.outbox, client.id, client.address, client.user
        );
    }
}
