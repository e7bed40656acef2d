//! The two lists: topics and slow clients.

use super::super::figure::{bytes, count, rate, time};
use super::super::model::{Client, Model, Topic};
use super::Theme;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

/// The topics and the slow clients. What the order is about gets the more room.
pub(super) fn draw_lists(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let clients_first = model.puts_clients_first();
    let (clients, _) = model.clients();
    let (topics, _) = model.topics();
    let rows = |length: usize| u16::try_from(length.max(1)).unwrap_or(u16::MAX).saturating_add(HEAD);
    let (first, second) = if clients_first { (clients.len(), topics.len()) } else { (topics.len(), clients.len()) };
    // In a small terminal the second list has only what the first one leaves.
    let most = if area.height < 8 { 0 } else { (area.height / 3).max(HEAD + 1) };
    let second = rows(second).min(most.max(area.height.saturating_sub(rows(first))));
    let [first, second] = Layout::vertical([Constraint::Min(0), Constraint::Length(second)]).areas(area);
    let (of_topics, of_clients) = if clients_first { (second, first) } else { (first, second) };
    draw_topics(frame, of_topics, model, theme);
    draw_clients(frame, of_clients, model, theme);
}

fn draw_topics(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let (topics, found) = model.topics();
    let by_subscribers = model.sort.name() == "subscribers";
    let is_wide = area.width >= 72;
    let mut names = vec![head("topic", false), head("rate/s", !by_subscribers), head("subscribers", by_subscribers)];
    let mut widths = vec![Constraint::Fill(1), Constraint::Length(8), Constraint::Length(12)];
    if is_wide {
        names.extend([head("kept", false), head("offset", false)]);
        widths.extend([Constraint::Length(8), Constraint::Length(13)]);
    }
    let taken = if is_wide { 8 + 12 + 8 + 13 + 4 + 2 } else { 8 + 12 + 2 + 2 };
    // In a wide terminal the figures stay near the names that they are of.
    let longest = topics.iter().map(|topic| Span::raw(&*topic.name).width()).max().unwrap_or(0).max(LEAST_NAME);
    let name_width = usize::from(area.width).saturating_sub(taken).min(longest);
    widths[0] = Constraint::Length(u16::try_from(name_width).unwrap_or(u16::MAX));
    let row = |topic: &&Topic| {
        let style = if topic.rate.is_some_and(|rate| rate > 0.0) { Style::new() } else { theme.faint() };
        let mut cells =
            vec![Cell::new(cut(&topic.name, name_width)), number(rate(topic.rate)), number(count(topic.subscribers))];
        if is_wide {
            let offset = topic.offset.map_or_else(|| "-".to_owned(), count);
            cells.extend([number(count(topic.kept)), number(offset)]);
        }
        Row::new(cells).style(style)
    };
    let title = title("Topics", topics.len(), found, &model.filter);
    draw_table(frame, area, theme, title, (names, widths), topics.iter().map(row).collect(), "no topic is in use");
}

fn draw_clients(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let (clients, found) = model.clients();
    let by_lag = model.sort.name() == "lag";
    let (is_wide, has_address) = (area.width >= 60, area.width >= 120);
    let mut names = vec![head("client", false), head("outbox", !by_lag), head("lag", by_lag)];
    let taken = if is_wide { 2 + 11 + 9 + 15 + 4 + LEAST_USER } else { 2 + 11 + 9 + 2 };
    let id_width = usize::from(area.width).saturating_sub(taken).clamp(1, ID);
    let id_column = u16::try_from(id_width).unwrap_or(u16::MAX);
    let mut widths = vec![
        if is_wide { Constraint::Length(id_column) } else { Constraint::Fill(1) },
        Constraint::Length(11),
        Constraint::Length(9),
    ];
    if is_wide {
        names.insert(1, Cell::new("user"));
        widths.insert(1, if has_address { Constraint::Length(24) } else { Constraint::Fill(1) });
        names.push(Cell::new(" why"));
        widths.push(Constraint::Length(15));
    }
    if has_address {
        names.insert(2, Cell::new("address"));
        widths.insert(2, Constraint::Length(22));
    }
    let row = |client: &&Client| {
        let style = if client.why == "takes nothing" { theme.fault() } else { theme.warning() };
        let mut cells =
            vec![Cell::new(cut(&client.id, id_width)), number(bytes(client.outbox)), number(time(client.lag))];
        if is_wide {
            cells.insert(1, Cell::new(client.user.clone()));
            cells.push(Cell::new(Span::styled(format!(" {}", client.why), style)));
        }
        if has_address {
            cells.insert(2, Cell::new(client.address.clone()));
        }
        Row::new(cells)
    };
    let title = title("Slow clients", clients.len(), found, &model.filter);
    draw_table(frame, area, theme, title, (names, widths), clients.iter().map(row).collect(), "nobody is slow");
}

fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: Theme,
    title: String,
    (names, widths): (Vec<Cell<'_>>, Vec<Constraint>),
    rows: Vec<Row<'_>>,
    empty: &str,
) {
    if area.height == 0 {
        return;
    }
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let line = "─".repeat(usize::from(head.width).saturating_sub(title.chars().count() + 4));
    let ruled = vec![
        Span::styled("─ ", theme.faint()),
        Span::styled(title, theme.accent()),
        Span::styled(format!(" {line}"), theme.faint()),
    ];
    frame.render_widget(Line::from(ruled), head);
    let body = Rect { x: body.x + 1, width: body.width.saturating_sub(2), ..body };
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(empty.to_owned()).style(theme.faint()), body);
        return;
    }
    let table = Table::new(rows, widths).header(Row::new(names).style(theme.faint())).column_spacing(1);
    frame.render_widget(table, body);
}

/// The name of a column, with a mark if the rows are in its order.
fn head(name: &str, is_order: bool) -> Cell<'static> {
    let text = if is_order { format!("{name} ▾") } else { name.to_owned() };
    let alignment = if matches!(name, "topic" | "client") { Alignment::Left } else { Alignment::Right };
    let style = if is_order { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    Cell::new(Line::styled(text, style).alignment(alignment))
}

fn number(text: String) -> Cell<'static> {
    Cell::new(Line::raw(text).alignment(Alignment::Right))
}

fn title(name: &str, shown: usize, found: usize, filter: &str) -> String {
    let many = if shown < found { format!("{shown} of {found}") } else { found.to_string() };
    match filter {
        "" => format!("{name} · {many}"),
        filter => format!("{name} with {:?} · {many}", cut(filter, 20)),
    }
}

/// The beginning of a text, with a mark where it is cut.
fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        shown.push(c);
        if Span::raw(&*shown).width() >= width {
            shown.pop();
            break;
        }
    }
    shown.push('…');
    shown
}

/// The room for the names of topics in a wide terminal, in columns, if none is longer.
const LEAST_NAME: usize = 40;
/// The least room for the name of a user, in columns.
const LEAST_USER: usize = 9;
/// The characters of a client's id.
const ID: usize = 36;
/// Lines of a list above its rows.
const HEAD: u16 = 2;
