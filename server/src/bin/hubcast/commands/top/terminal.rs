//! The terminal: taken while the program draws, and given back however it ends.

use super::model::Key;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::{Terminal, backend::CrosstermBackend};
use std::io::{self, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::mpsc;

/// A terminal that is drawn on. When it is dropped, the terminal is as it was before.
pub(super) struct Screen(pub(super) Terminal<CrosstermBackend<Stdout>>);

/// What the user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Key(Key),
    /// Ctrl-C, which is no signal while keys are read one by one.
    Interrupt,
    /// The size of the terminal is another one.
    Resized,
}

impl Screen {
    /// Takes the terminal. A panic, and a signal that ends the process at once, give it back too, by [`restore`].
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let screen = Terminal::new(CrosstermBackend::new(io::stdout()));
        // From here on, dropping it restores the terminal.
        let screen = Self(screen.inspect_err(|_| restore())?);
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it is taken.
pub(super) fn restore() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // There is nobody to tell about a terminal that is gone.
        let _ = terminal::disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    }
}

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Reads what the user does, in a thread that ends with the process.
pub(super) fn actions() -> mpsc::Receiver<Action> {
    let (give, actions) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(action) = action(&event)
                && give.blocking_send(action).is_err()
            {
                return;
            }
        }
    });
    actions
}

fn action(event: &Event) -> Option<Action> {
    let KeyEvent { code, modifiers, kind, .. } = match event {
        Event::Key(key) => *key,
        Event::Resize(..) => return Some(Action::Resized),
        _ => return None,
    };
    if kind == KeyEventKind::Release {
        return None;
    }
    if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return (code == KeyCode::Char('c')).then_some(Action::Interrupt);
    }
    Some(Action::Key(match code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    }))
}
