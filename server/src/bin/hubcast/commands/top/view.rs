//! Draws the model. It decides nothing but where things are and how they look.

mod lists;

use self::lists::draw_lists;
use super::figure::{bytes, count, rate, short, time};
use super::model::{Figures, Mode, Model, Series};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph, Sparkline};
use std::time::Duration;

/// The colours, which are those of the terminal's own palette.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    has_colors: bool,
}

impl Theme {
    pub(super) fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    fn colored(self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }

    /// Titles, charts and keys.
    fn accent(self) -> Style {
        self.colored(Color::Cyan)
    }

    /// What is beside the figures.
    fn faint(self) -> Style {
        if self.has_colors { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.colored(Color::Yellow)
    }

    fn fault(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    let area = frame.area();
    let (is_roomy, is_wide) = (area.height >= 18, area.width >= 72);
    let figures = match (is_roomy, is_wide) {
        (true, true) => 4,
        (true, false) => 8,
        (false, _) => 2,
    };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(figures),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [title, header, lists, keys] = parts.areas(area);
    draw_title(frame, title, model, theme);
    match &model.figures {
        Some(figures) if is_roomy => draw_tiles(frame, header, model, figures, theme, is_wide),
        Some(figures) => draw_lines(frame, header, figures, theme),
        None => {}
    }
    if model.figures.is_some() {
        draw_lists(frame, lists, model, theme);
    } else if model.fault.is_none() {
        frame.render_widget(Paragraph::new("asking the server …").style(theme.faint()).centered(), lists);
    }
    draw_keys(frame, keys, model, theme);
    if model.mode == Mode::Help {
        draw_help(frame, area, theme);
    }
}

/// The server on the left, and what is not as usual on the right.
fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut left =
        vec![Span::styled(" hubcast top ", theme.accent().add_modifier(Modifier::BOLD | Modifier::REVERSED))];
    left.push(Span::raw(format!(" {}", model.address)));
    if let Some(figures) = &model.figures {
        let workers = if figures.workers == 1 { "1 worker".into() } else { format!("{} workers", figures.workers) };
        let about = format!("  {}, up {}, {workers}", figures.server, time(figures.uptime));
        left.push(Span::styled(about, theme.faint()));
    }
    let right = match (model.is_paused, model.figures.as_ref().is_some_and(|figures| !figures.is_complete)) {
        (true, _) => Span::styled(" paused ", theme.warning().add_modifier(Modifier::REVERSED)),
        (false, true) => Span::styled(" not all is shown ", theme.warning()),
        (false, false) => Span::styled(format!(" every {} ", time(model.interval)), theme.faint()),
    };
    let width = u16::try_from(right.width()).unwrap_or(u16::MAX);
    let [start, end] = Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    frame.render_widget(Line::from(left), start);
    frame.render_widget(right, end);
}

/// Each figure with its chart.
fn draw_tiles(frame: &mut Frame<'_>, area: Rect, model: &Model, figures: &Figures, theme: Theme, is_wide: bool) {
    let memory = figures.memory.unwrap_or(figures.history_bytes + figures.waiting_bytes);
    let tiles = [
        ("Connections", count(figures.connections), format!("{} topics", count(figures.topics)), &model.connections),
        ("Publications", rate(figures.publications) + "/s", of_all(figures.publications_in_all), &model.publications),
        ("Deliveries", rate(figures.deliveries) + "/s", of_all(figures.deliveries_in_all), &model.deliveries),
        ("Memory", bytes(memory), format!("{} waits", bytes(figures.waiting_bytes)), &model.memory),
    ];
    let (in_line, lines) = if is_wide { (4, 1) } else { (2, 2) };
    let rows = Layout::vertical(vec![Constraint::Length(4); lines]).split(area);
    for (row, tiles) in rows.iter().zip(tiles.chunks(in_line)) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); in_line]).split(*row);
        for (column, (name, value, note, series)) in columns.iter().zip(tiles) {
            draw_tile(frame, *column, (name, value, note), series, theme);
        }
    }
}

fn draw_tile(
    frame: &mut Frame<'_>,
    area: Rect,
    (name, value, note): (&str, &str, &str),
    series: &Series,
    theme: Theme,
) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let [head, body, chart] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Length(2)]).areas(area);
    frame.render_widget(Line::styled(name.to_owned(), theme.accent()), head);
    let mut figure = Line::from(Span::styled(value.to_owned(), theme.strong()));
    let note = Span::styled(format!("  {note}"), theme.faint());
    if figure.width() + note.width() <= body.width.into() {
        figure.push_span(note);
    }
    frame.render_widget(figure, body);
    let values = series.last(chart.width.into());
    // Some room above, so that a steady figure is a line with a top.
    let most = values.iter().max().map_or(1, |most| most.saturating_add(most / 3).max(1));
    // The newest value is on the right.
    let width = u16::try_from(values.len()).unwrap_or(u16::MAX);
    let chart = Rect { x: chart.x + chart.width.saturating_sub(width), width: width.min(chart.width), ..chart };
    frame.render_widget(Sparkline::default().data(&values).max(most).style(theme.accent()), chart);
}

/// The figures without charts.
fn draw_lines(frame: &mut Frame<'_>, area: Rect, figures: &Figures, theme: Theme) {
    let pair = |name: &'static str, value: String| {
        [Span::styled(format!(" {name} "), theme.faint()), Span::styled(value, theme.strong())]
    };
    let memory = figures.memory.unwrap_or(figures.history_bytes + figures.waiting_bytes);
    let first = [pair("conn", count(figures.connections)), pair("mem", bytes(memory))].concat();
    let second =
        [pair("pub", rate(figures.publications) + "/s"), pair("deliv", rate(figures.deliveries) + "/s")].concat();
    frame.render_widget(Paragraph::new(vec![Line::from(first), Line::from(second)]), area);
}

/// What keys do, the filter, or why there is no answer.
fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let line = match (&model.fault, model.mode) {
        (_, Mode::Filter) => Line::from(vec![
            Span::styled(" / ", theme.accent()),
            Span::raw(model.filter.clone()),
            Span::styled("▏", theme.accent()),
            Span::styled("  Enter keeps it, Esc ends it", theme.faint()),
        ]),
        (Some(why), _) => Line::styled(format!(" {why}; asking again"), theme.fault()),
        (None, _) => {
            let sort = format!("order: {}", model.sort.name());
            let keys = [("q", "quit"), ("s", &*sort), ("/", "filter"), ("p", "pause"), ("?", "help")];
            let spans = keys.into_iter().flat_map(|(key, does)| {
                [Span::styled(format!(" {key} "), theme.accent()), Span::styled(format!("{does} "), theme.faint())]
            });
            Line::from(spans.collect::<Vec<_>>())
        }
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let lines = HELP.lines().map(Line::raw).collect::<Vec<_>>();
    let (width, height) =
        (62.min(area.width), u16::try_from(lines.len()).unwrap_or(0).saturating_add(2).min(area.height));
    let popup = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, popup);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(theme.accent()).title(" Help ");
    frame.render_widget(Paragraph::new(lines).block(block.padding(Padding::horizontal(1))), popup);
}

fn of_all(number: u64) -> String {
    match number {
        0..10_000 => format!("{number} in all"),
        _ => format!("{} in all", short(Duration::from_secs(number).as_secs_f64())),
    }
}

const HELP: &str = "\
q      quit
s      next order: rate, subscribers, outbox, lag
/      show only topics and clients that contain a text
p      pause, and go on
Esc    show everything again

rate/s         publications in a second; - without a history
kept           publications in the history
outbox         bytes that wait for a client
lag            how long its socket has taken nothing
takes nothing  it has stopped reading, or its network has
falls behind   clearly more waits than at the last look
catches up     clearly less waits than at the last look
reads slowly   neither";

#[cfg(test)]
mod tests;
