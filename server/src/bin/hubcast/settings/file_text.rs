//! Reads the text of the configuration file. The path can lead to anything, so size and time are bounded.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The text of a file, or what a pipe or a character device gives until it ends: `/dev/stdin`, or the shell's
/// `<(command)`.
///
/// # Errors
/// The reason, without the path.
pub(super) fn read(path: &Path) -> Result<String, String> {
    read_within(path, PATIENCE)
}

fn read_within(path: &Path, patience: Duration) -> Result<String, String> {
    let kind = fs::metadata(path).map_err(|error| reason(&error))?.file_type();
    match kind {
        _ if kind.is_file() || kind.is_dir() => text(path),
        _ if kind.is_fifo() || kind.is_char_device() => given(path, patience),
        _ => Err("this is neither a file nor a pipe".to_owned()),
    }
}

/// What a pipe or a device gives. A thread of its own waits for it, because a pipe without a writer already stops
/// whoever opens it.
fn given(path: &Path, patience: Duration) -> Result<String, String> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    let reading = thread::Builder::new().name("config".to_owned()).spawn(move || _ = sender.send(text(&path)));
    let reading = reading.map_err(|error| format!("cannot be read: {error}"))?;
    let Ok(text) = receiver.recv_timeout(patience) else {
        return Err(format!("this is no regular file, and its text did not end within {} s", patience.as_secs()));
    };
    // Later steps of the start expect a process without a second thread.
    let _ = reading.join();
    text
}

fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let mut file = File::open(path).map_err(|error| reason(&error))?.take(MAX_BYTES + 1);
    let read = file.read_to_string(&mut text);
    if file.limit() == 0 {
        return Err("the file is larger than 16 MiB".to_owned());
    }
    read.map(|_| text).map_err(|error| reason(&error))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read the file".to_owned(),
        ErrorKind::IsADirectory => "this is a directory, not a file".to_owned(),
        ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Larger files are refused. A hundred thousand rules take less.
const MAX_BYTES: u64 = 16 << 20;

/// The longest time for a pipe or a device to give all of its text.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::{self, Command};

    /// A path for one test, removed when its test is over.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            Self(env::temp_dir().join(format!("hubcast-{}-{name}", process::id())))
        }

        fn pipe(name: &str) -> Self {
            let place = Self::new(name);
            assert!(Command::new("mkfifo").arg(&place.0).status().unwrap().success());
            place
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let pipe = Place::pipe("written");
        let path = pipe.0.clone();
        let writer = thread::spawn(move || fs::write(path, "workers = 2"));
        assert_eq!(read(&pipe.0), Ok("workers = 2".to_owned()));
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_pipe_that_nothing_writes_to_is_refused_after_a_while() {
        let pipe = Place::pipe("silent");
        let fault = read_within(&pipe.0, Duration::from_millis(1)).unwrap_err();
        assert_eq!(fault, "this is no regular file, and its text did not end within 0 s");
    }

    #[test]
    fn a_text_without_an_end_is_refused() {
        let too_large = Err("the file is larger than 16 MiB".to_owned());
        assert_eq!(read(Path::new("/dev/zero")), too_large);
        let sparse = Place::new("sparse");
        let file = File::create(&sparse.0).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read(&sparse.0), too_large);
        file.set_len(MAX_BYTES).unwrap();
        assert!(read(&sparse.0).is_ok());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let socket = Place::new("socket");
        let _listener = UnixListener::bind(&socket.0).unwrap();
        assert_eq!(read(&socket.0), Err("this is neither a file nor a pipe".to_owned()));
        assert_eq!(read(Path::new("/")), Err("this is a directory, not a file".to_owned()));
        assert_eq!(read(Path::new("/nowhere")), Err("there is no such file".to_owned()));
    }
}
