//! Screens of several sizes. `cargo nextest run --bin hubcast screens --no-capture` shows them.

use super::super::args::Sort;
use super::super::model::tests::{model, snapshot};
use super::super::model::{Key, Model};
use super::*;
use ratatui::{Terminal, backend::TestBackend};
use std::time::Instant;

/// What a terminal of this size shows, line by line.
fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, Theme::new(true))).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    (0..height).map(line).collect()
}

/// A server with traffic and three slow clients.
fn busy(sort: Sort) -> Model {
    let (mut model, start) = (model(sort), Instant::now());
    for second in 0..60_u64 {
        let published = second * 1_200 + (second % 7) * 300;
        let topics = [
            ("orders.eu.created", 12_345, published / 2),
            ("orders.us.created", 310, published / 4),
            ("prices", 5, published / 9),
            ("quiet", 1, 7),
        ];
        let clients = [
            ("7f0c2f0e-0000-4000-8000-000000000001", 900_000 + second * 1_000, 0),
            ("7f0c2f0e-0000-4000-8000-000000000002", 80_000, second * 1_000),
            ("7f0c2f0e-0000-4000-8000-000000000003", 70_000 - second, 0),
        ];
        let mut seen = snapshot(published, &topics, &clients);
        (seen.stats.sessions, seen.stats.channels, seen.stats.workers) = (12_662 + second % 9, 4, 2);
        (seen.stats.uptime_seconds, seen.stats.memory_bytes) = (273_600 + second, Some(48 << 20));
        (seen.stats.history_bytes, seen.stats.waiting_bytes) = (9 << 20, 1_050_000);
        model.looked(start + Duration::from_secs(second), Ok(seen));
    }
    model
}

#[test]
fn screens_show_the_figures_at_every_size() {
    for (width, height) in [(40, 10), (60, 24), (80, 24), (120, 30), (200, 60)] {
        for sort in [Sort::Rate, Sort::Lag] {
            let shown = screen(&busy(sort), width, height);
            println!("{width}x{height}, {sort:?}\n{shown}");
            assert!(shown.contains("12,66") && shown.contains("48.00 MiB"), "{shown}");
            let first = if sort == Sort::Rate { "orders.eu.created" } else { "takes nothing" };
            assert!(shown.contains(first) || width < 60, "{shown}");
            assert!(shown.contains(" q quit"), "{shown}");
        }
    }
}

#[test]
fn no_size_is_too_small() {
    let mut helped = busy(Sort::Rate);
    helped.pressed(Key::Char('?'));
    for model in [model(Sort::Rate), busy(Sort::Rate), busy(Sort::Outbox), helped] {
        for (width, height) in [(1, 1), (2, 3), (10, 4), (3, 60), (500, 2), (71, 17), (72, 18)] {
            screen(&model, width, height);
        }
    }
}

#[test]
fn an_empty_server_says_so() {
    let mut model = model(Sort::Rate);
    assert!(screen(&model, 80, 24).contains("asking the server"));
    model.looked(Instant::now(), Ok(snapshot(0, &[], &[])));
    let shown = screen(&model, 80, 24);
    assert!(shown.contains("no topic is in use") && shown.contains("nobody is slow"), "{shown}");
}

#[test]
fn names_of_others_steer_nothing_and_stay_in_their_column() {
    let hostile = "a\u{1b}[2J\u{7}\r\n\u{202e}\u{9b}x".repeat(40);
    let wide = "大きな話題".repeat(60);
    let mut model = model(Sort::Rate);
    let mut seen = snapshot(0, &[(&hostile, 1, 1), (&wide, 77_777, 1)], &[(&hostile, 5, 0)]);
    seen.clients[0].user = Some(hostile.clone());
    seen.stats.server = hostile;
    model.looked(Instant::now(), Ok(seen));
    for (width, height) in [(40, 10), (80, 24), (200, 60)] {
        let shown = screen(&model, width, height);
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(shown.chars().all(is_plain), "{shown}");
        assert!(shown.contains("77,777"), "{shown}");
    }
}

#[test]
fn a_fault_a_filter_and_the_help_are_seen() {
    let mut model = busy(Sort::Rate);
    model.looked(Instant::now(), Err("the server answers 401: no such key".to_owned()));
    let shown = screen(&model, 80, 24);
    assert!(shown.contains("401: no such key; asking again") && shown.contains("orders.eu"), "{shown}");
    for key in "/us".chars() {
        model.pressed(Key::Char(key));
    }
    let shown = screen(&model, 80, 24);
    assert!(shown.contains("Topics with \"us\" · 1") && !shown.contains("orders.eu"), "{shown}");
    model.pressed(Key::Enter);
    model.pressed(Key::Char('?'));
    let shown = screen(&model, 80, 24);
    println!("{shown}");
    assert!(shown.contains("show only topics and clients"), "{shown}");
    model.pressed(Key::Escape);
    model.pressed(Key::Char('p'));
    assert!(screen(&model, 80, 24).contains("paused"));
}
