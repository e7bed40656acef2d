//! The users that were sent away: their tokens are refused until a certain time, also over a restart.

use super::fault::TokenFault;
use super::token::Verified;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// The users whose tokens are refused, and until when.
#[derive(Debug, Default)]
pub struct Revocations {
    /// In seconds since 1970-01-01 UTC.
    until: RwLock<HashMap<Box<str>, u64>>,
    /// Locked while an entry is added, before the map is.
    journal: Mutex<Journal>,
}

/// The file of all entries since the start; none without a folder.
#[derive(Debug, Default)]
struct Journal {
    file: Option<(PathBuf, File)>,
    /// Bytes of whole lines in the file.
    bytes: u64,
    /// Entries since the file was last written as a whole.
    added: usize,
}

#[derive(Deserialize, Serialize)]
struct Entry<'a> {
    user: std::borrow::Cow<'a, str>,
    until: u64,
}

impl Revocations {
    /// Takes up the revocations of the previous run from the state folder, which must exist.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a line is damaged: to leave it out could let somebody in.
    pub fn open(folder: &Path, unix_now: u64) -> io::Result<Self> {
        let path = folder.join(FILE);
        let until = read(&path, unix_now).map_err(|error| fault("cannot read", &path, &error))?;
        let mut journal = Journal { file: None, bytes: 0, added: 0 };
        journal.rewrite(&path, &until).map_err(|error| fault("cannot write", &path, &error))?;
        Ok(Self { until: RwLock::new(until), journal: Mutex::new(journal) })
    }

    /// Refuses the tokens of a user until this time, in seconds since 1970-01-01 UTC. It replaces what was said of the
    /// user before, so that a time in the past lets it in again. It waits for the disk.
    ///
    /// # Errors
    /// When the entry cannot be written. It has its effect, but may be forgotten over a restart.
    pub fn revoke(&self, user: &str, until: u64, unix_now: u64) -> io::Result<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut users = self.until.write().unwrap_or_else(PoisonError::into_inner);
        users.insert(user.into(), until);
        journal.added += 1;
        let left_over = (journal.added > users.len().max(MIN_ADDED)).then(|| {
            users.retain(|_, until| unix_now < *until);
            users.clone()
        });
        drop(users);
        self.write(&mut journal, user, until, left_over)
    }

    fn write(
        &self,
        journal: &mut MutexGuard<'_, Journal>,
        user: &str,
        until: u64,
        all: Option<HashMap<Box<str>, u64>>,
    ) -> io::Result<()> {
        let path = journal.file.as_ref().map(|(path, _)| path.clone());
        let written = match (&path, all) {
            (Some(path), Some(all)) => journal.rewrite(path, &all),
            (Some(_), None) => journal.append(user, until),
            (None, Some(_)) => {
                journal.added = 0;
                Ok(())
            }
            (None, None) => Ok(()),
        };
        written.map_err(|error| fault("cannot write", path.as_deref().unwrap_or(Path::new(FILE)), &error))
    }

    /// Until when the tokens of a user are refused; `None` if they are accepted.
    pub fn until(&self, user: &str, unix_now: u64) -> Option<u64> {
        let users = self.until.read().unwrap_or_else(PoisonError::into_inner);
        users.get(user).copied().filter(|until| unix_now < *until)
    }

    /// Checks a token that is valid otherwise. When it was made does not matter.
    ///
    /// # Errors
    /// When its user was sent away.
    pub fn check(&self, verified: &Verified, unix_now: u64) -> Result<(), TokenFault> {
        if self.until(&verified.user, unix_now).is_none() { Ok(()) } else { Err(TokenFault::Revoked) }
    }
}

impl Journal {
    /// Adds a line, and waits until it is on the disk. A line of which only a part was written is removed.
    fn append(&mut self, user: &str, until: u64) -> io::Result<()> {
        let line = line(user, until)?;
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            Err(_) => file.set_len(self.bytes)?,
        }
        written
    }

    /// Writes all entries into a new file, which takes the place of the old one only when it is whole.
    fn rewrite(&mut self, path: &Path, until: &HashMap<Box<str>, u64>) -> io::Result<()> {
        let unfinished = path.with_file_name(UNFINISHED);
        let _ = fs::remove_file(&unfinished);
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(&unfinished)?;
        let mut out = BufWriter::new(file);
        let mut bytes = 0;
        for (user, until) in until {
            let line = line(user, *until)?;
            out.write_all(&line)?;
            bytes += line.len() as u64;
        }
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        *self = Self { file: Some((path.to_owned(), file)), bytes, added: 0 };
        Ok(())
    }
}

/// The entries that are not over; the last one of a user counts. A last line without an end is left out: the server was
/// killed before it answered.
fn read(path: &Path, unix_now: u64) -> io::Result<HashMap<Box<str>, u64>> {
    if path.exists() && !path.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        text => text?,
    };
    let mut until = HashMap::new();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (index, line) in whole.lines().enumerate() {
        let damaged = |_| {
            let reason = format!("line {} is damaged; correct it, or remove it to let its user in", index + 1);
            io::Error::new(io::ErrorKind::InvalidData, reason)
        };
        let entry: Entry<'_> = serde_json::from_str(line).map_err(damaged)?;
        until.insert(entry.user.into(), entry.until);
    }
    until.retain(|_, until| unix_now < *until);
    Ok(until)
}

fn line(user: &str, until: u64) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Entry { user: user.into(), until })?;
    line.push(b'\n');
    Ok(line)
}

fn fault(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} the list of users that were sent away ({}): {error}", path.display()))
}

const FILE: &str = "revoked.jsonl";
const UNFINISHED: &str = "revoked.unfinished";

/// At least so many entries are added before the file is written as a whole again.
const MIN_ADDED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use uuid::Uuid;

    /// A folder that is removed after its test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = env::temp_dir().join(format!("hubcast-{}", Uuid::new_v4()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn open(&self, unix_now: u64) -> Revocations {
            Revocations::open(&self.0, unix_now).unwrap()
        }

        fn text(&self) -> String {
            fs::read_to_string(self.0.join(FILE)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_user_is_refused_until_the_time_and_not_afterwards() {
        let revoked = Revocations::default();
        revoked.revoke("ada", 100, 50).unwrap();
        assert_eq!(revoked.until("ada", 99), Some(100));
        assert_eq!(revoked.until("ada", 100), None);
        assert_eq!(revoked.until("bob", 50), None);
        revoked.revoke("ada", 0, 60).unwrap();
        assert_eq!(revoked.until("ada", 60), None, "the operator lets it in again");
    }

    #[test]
    fn a_restart_forgets_nobody_but_those_whose_time_is_over() {
        let folder = Folder::new();
        let first = folder.open(0);
        for (user, until) in [("ada", 100), ("bob", 50), ("a\n\"b\"", 100), ("ada", 200), ("cy", 100), ("cy", 0)] {
            first.revoke(user, until, 0).unwrap();
        }
        drop(first);
        let second = folder.open(60);
        assert_eq!(second.until("ada", 150), Some(200));
        assert_eq!(second.until("a\n\"b\"", 60), Some(100));
        assert_eq!([second.until("bob", 0), second.until("cy", 0)], [None; 2]);
        assert_eq!(folder.text().lines().count(), 2, "those that are over are gone from the file");
    }

    #[test]
    fn an_entry_that_was_cut_off_is_left_out_and_a_damaged_one_is_an_error() {
        let folder = Folder::new();
        folder.open(0).revoke("ada", 100, 0).unwrap();
        fs::write(folder.0.join(FILE), folder.text() + "{\"user\":\"bo").unwrap();
        let next = folder.open(0);
        assert_eq!(next.until("ada", 0), Some(100));
        next.revoke("bob", 100, 0).unwrap();
        assert_eq!(folder.open(0).until("bob", 0), Some(100), "what is added later stands on a line of its own");
        fs::write(folder.0.join(FILE), format!("{}nothing\n", folder.text())).unwrap();
        let damaged = Revocations::open(&folder.0, 0).unwrap_err().to_string();
        assert!(damaged.ends_with("line 3 is damaged; correct it, or remove it to let its user in"), "{damaged}");
    }

    #[test]
    fn a_file_that_grows_by_repetition_is_written_anew() {
        let folder = Folder::new();
        let revoked = folder.open(0);
        for round in 0..3 * MIN_ADDED as u64 {
            revoked.revoke("ada", 1_000_000 + round, 0).unwrap();
        }
        assert!(folder.text().lines().count() <= MIN_ADDED + 1);
        assert_eq!(folder.open(0).until("ada", 0), Some(1_000_000 + 3 * MIN_ADDED as u64 - 1));
    }

    #[test]
    fn a_hundred_thousand_users_take_less_than_20_mb_of_disk() {
        let folder = Folder::new();
        let users: HashMap<Box<str>, u64> =
            (0..100_000).map(|number| (format!("user-{number:06}@example.org").into(), 1_790_000_000)).collect();
        Journal::default().rewrite(&folder.0.join(FILE), &users).unwrap();
        assert!(folder.text().len() < 20_000_000);
        assert_eq!(read(&folder.0.join(FILE), 0).unwrap().len(), 100_000);
    }
}
