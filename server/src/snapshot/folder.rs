//! The state folder: it keeps histories and idempotency keys between a clean shutdown and the next start.
//!
//! The file exists only while no server runs. A server that loads it removes it first. So after a crash there is no
//! file: histories that have changed since the file was written must not come back under their old epochs.

use super::format::{self, SnapshotError};
use hubcast_hub::Snapshot;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter};
use std::iter;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder that only this server uses until it is dropped. [`load`](SnapshotDir::load) reads the state of the previous
/// run; [`save`](SnapshotDir::save) writes the state of this one.
#[derive(Debug)]
pub(crate) struct SnapshotDir {
    path: PathBuf,
    lock: File,
}

impl SnapshotDir {
    /// Makes the folder if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let unusable = |error| fault("the state folder cannot be used", path, &error);
        let lock = lock_folder(path).map_err(unusable)?;
        remove_unfinished(&path.join(UNFINISHED)).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Reads the state of the previous run; after a crash it is empty. A file that cannot be read is renamed and kept.
    pub(crate) fn load(&self, now: SystemTime) -> io::Result<Snapshot> {
        let path = self.path.join(FILE);
        let saved = match refuse_special(&path).and_then(|()| fs::read(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
            Err(error) => Err(SnapshotError::Unreadable(error)),
            Ok(text) => format::read(&text, now),
        };
        let saved = match saved {
            Ok(saved) => {
                fs::remove_file(&path).map_err(|error| fault("cannot remove", &path, &error))?;
                let (topics, keys, producers) = (saved.histories.len(), saved.keys.len(), saved.producers.len());
                tracing::info!(topics, keys, producers, "took up the histories and keys of the last run");
                saved
            }
            Err(error) => {
                self.quarantine(&path, now, &error)?;
                Snapshot::default()
            }
        };
        // The file must not come back after a power cut either.
        self.sync()?;
        Ok(saved)
    }

    /// Writes the histories and keys for the next run: either all of them, or no file.
    pub(crate) fn save(&self, now: SystemTime, saved: &Snapshot) -> io::Result<()> {
        let (path, unfinished) = (self.path.join(FILE), self.path.join(UNFINISHED));
        // If the folder was removed meanwhile, with its lock, it may belong to another server now.
        let gone = |error| fault("the state folder is gone and cannot be made again", &self.path, &error);
        let _lock = if self.is_locked() { None } else { Some(lock_folder(&self.path).map_err(gone)?) };
        let write = || {
            let mut out = BufWriter::new(private(&unfinished)?);
            format::write(&mut out, now, saved)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| {
            // An unfinished file is useless, and a full disk needs the room.
            let _ = fs::remove_file(&unfinished);
            fault("cannot write the state file", &path, &error)
        })?;
        self.sync()?;
        let (topics, keys, producers) = (saved.histories.len(), saved.keys.len(), saved.producers.len());
        tracing::info!(topics, keys, producers, "left the histories and keys to the next run");
        Ok(())
    }

    /// Whether this server's lock file is still the one in the folder.
    fn is_locked(&self) -> bool {
        let place = |file: fs::Metadata| (file.dev(), file.ino());
        let (ours, there) = (self.lock.metadata().map(place), fs::metadata(self.path.join(LOCK)).map(place));
        ours.is_ok_and(|ours| there.is_ok_and(|there| ours == there))
    }

    fn quarantine(&self, path: &Path, now: SystemTime, error: &SnapshotError) -> io::Result<()> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let names = iter::once(format!("{QUARANTINED}{seconds}"));
        let names = names.chain((1..).map(|again: u32| format!("{QUARANTINED}{seconds}-{again}")));
        let aside = names.map(|name| self.path.join(name)).find(|aside| !aside.exists());
        let aside = aside.unwrap_or_else(|| self.path.join(QUARANTINED));
        fs::rename(path, &aside).map_err(|error| fault("cannot set aside", path, &error))?;
        tracing::warn!(
            %error,
            file = %aside.display(),
            "cannot take up the histories and keys of the last run, so clients that resume get a gap, and what is \
             sent again takes effect again; the file was set aside: keep it to find out what happened to it, or delete it"
        );
        Ok(())
    }

    /// Makes renames and removals in the folder durable.
    fn sync(&self) -> io::Result<()> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(|error| fault("cannot write to the state folder", &self.path, &error))
    }
}

/// Makes the folder if it is missing, and locks it.
fn lock_folder(path: &Path) -> io::Result<File> {
    let none = |reason| Err(io::Error::new(io::ErrorKind::NotADirectory, reason));
    if path.exists() && !path.is_dir() {
        return none("this is a file; name a folder");
    }
    if path.is_symlink() && !path.exists() {
        return none("this is a link to a folder that does not exist; make the folder, or remove the link");
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let lock = path.join(LOCK);
    refuse_special(&lock)?;
    let lock = private(&lock)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let reason = "another server uses it; give each one a folder of its own";
            Err(io::Error::new(io::ErrorKind::ResourceBusy, reason))
        }
    }
}

/// Fails for a pipe, a socket or a device of this name: to open one could take for ever.
fn refuse_special(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_file() && !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", path.display())));
    }
    Ok(())
}

/// Removes the unfinished file of a run that was killed while it saved.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            tracing::info!(file = %path.display(), "removed what a run has left that was killed while it stored");
            Ok(())
        }
    }
}

/// Opens a file that only this user may read, because it contains private messages.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn fault(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} ({}): {error}", path.display()))
}

const FILE: &str = "histories.json";
const UNFINISHED: &str = "histories.unfinished";
const QUARANTINED: &str = "histories.damaged-";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_hub::engine::Outcome;
    use hubcast_hub::{EntrySnapshot, HistorySnapshot, KeySnapshot, Publisher};
    use hubcast_protocol::{ClientId, Position};
    use std::env;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::time::Duration;
    use uuid::Uuid;

    /// A folder that is removed after its test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(env::temp_dir().join(format!("hubcast-{}", Uuid::new_v4())))
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn saved() -> Snapshot {
        let age = Duration::from_secs(1);
        let entries = vec![EntrySnapshot::new(age, "hi".into())];
        let epoch = "k3Jx9a".parse().unwrap();
        let outcome = Outcome { position: Some(Position { epoch, offset: 7 }), receivers: 1 };
        let by = Publisher::Client(ClientId::from_random([1; 16]));
        Snapshot {
            histories: vec![HistorySnapshot { topic: "t".into(), epoch, last: 7, entries }],
            keys: vec![KeySnapshot { by, topic: "t".into(), key: "k".into(), outcome, age }],
            ..Snapshot::default()
        }
    }

    const NOW: SystemTime = UNIX_EPOCH;

    #[test]
    fn what_one_run_leaves_the_next_one_takes_and_the_one_after_a_crash_does_not() {
        let folder = Folder::new();
        SnapshotDir::open(&folder.0).unwrap().save(NOW, &saved()).unwrap();
        assert_eq!(folder.names(), [FILE, LOCK]);
        assert_eq!(fs::metadata(folder.0.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SnapshotDir::open(&folder.0).unwrap().load(NOW).unwrap(), saved());
        assert_eq!(SnapshotDir::open(&folder.0).unwrap().load(NOW).unwrap(), Snapshot::default());
        assert_eq!(folder.names(), [LOCK]);
    }

    #[test]
    fn a_damaged_file_is_set_aside_under_the_time() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        fs::write(folder.0.join(FILE), "not what we wrote").unwrap();
        assert_eq!(state.load(NOW + Duration::from_secs(1_790_000_000)).unwrap(), Snapshot::default());
        assert_eq!(folder.names(), ["histories.damaged-1790000000", LOCK]);
        fs::write(folder.0.join(FILE), "nor this").unwrap();
        assert_eq!(state.load(NOW + Duration::from_secs(1_790_000_000)).unwrap(), Snapshot::default());
        let expected = ["histories.damaged-1790000000", "histories.damaged-1790000000-1", LOCK];
        assert_eq!(folder.names(), expected, "the first one is still there");
    }

    #[test]
    fn what_cannot_even_be_read_is_set_aside_too() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        fs::create_dir(folder.0.join(FILE)).unwrap();
        assert_eq!(state.load(NOW).unwrap(), Snapshot::default());
        assert_eq!(folder.names(), ["histories.damaged-0", LOCK]);
    }

    #[test]
    fn pipes_of_the_names_of_our_files_do_not_stop_the_start() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        make_pipe(&folder.0.join(FILE));
        assert_eq!(state.load(NOW).unwrap(), Snapshot::default());
        assert_eq!(folder.names(), ["histories.damaged-0", LOCK]);
        drop(state);
        fs::remove_file(folder.0.join(LOCK)).unwrap();
        make_pipe(&folder.0.join(LOCK));
        let refused = SnapshotDir::open(&folder.0).unwrap_err().to_string();
        assert!(refused.ends_with("/lock is not a regular file"), "{refused}");
    }

    fn make_pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn a_file_or_a_link_to_nothing_is_no_folder_also_where_it_takes_the_place_of_one() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        fs::remove_dir_all(&folder.0).unwrap();
        symlink(folder.0.join("gone"), &folder.0).unwrap();
        let link = "this is a link to a folder that does not exist; make the folder, or remove the link";
        let refused = [state.save(NOW, &saved()).unwrap_err(), SnapshotDir::open(&folder.0).unwrap_err()];
        assert!(refused.iter().all(|refused| refused.to_string().ends_with(link)), "{refused:?}");
        fs::remove_file(&folder.0).unwrap();
        fs::write(&folder.0, "").unwrap();
        let refused = [state.save(NOW, &saved()).unwrap_err(), SnapshotDir::open(&folder.0).unwrap_err()];
        assert!(refused.iter().all(|refused| refused.to_string().ends_with("name a folder")), "{refused:?}");
        fs::remove_file(&folder.0).unwrap();
    }

    #[test]
    fn what_cannot_be_stored_leaves_nothing_unfinished_behind() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        let path = folder.0.join(FILE);
        fs::create_dir(&path).unwrap();
        let fault = state.save(NOW, &saved()).unwrap_err().to_string();
        assert!(fault.starts_with(&format!("cannot write the state file ({}): ", path.display())), "{fault}");
        assert_eq!(folder.names(), [FILE, LOCK]);
    }

    #[test]
    fn what_a_run_left_unfinished_is_removed_by_the_next() {
        let folder = Folder::new();
        drop(SnapshotDir::open(&folder.0).unwrap());
        fs::write(folder.0.join(UNFINISHED), "half").unwrap();
        let _next = SnapshotDir::open(&folder.0).unwrap();
        assert_eq!(folder.names(), [LOCK]);
    }

    #[test]
    fn a_folder_that_is_gone_is_made_again_unless_another_server_has_it() {
        let folder = Folder::new();
        let state = SnapshotDir::open(&folder.0).unwrap();
        fs::remove_dir_all(&folder.0).unwrap();
        state.save(NOW, &saved()).unwrap();
        assert_eq!(folder.names(), [FILE, LOCK]);
        assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir_all(&folder.0).unwrap();
        let _other = SnapshotDir::open(&folder.0).unwrap();
        let refused = state.save(NOW, &saved()).unwrap_err().to_string();
        assert!(refused.ends_with(": another server uses it; give each one a folder of its own"), "{refused}");
        assert_eq!(folder.names(), [LOCK], "nothing is written there");
    }

    #[test]
    fn a_folder_belongs_to_one_server_at_a_time() {
        let folder = Folder::new();
        let first = SnapshotDir::open(&folder.0).unwrap();
        let refused = SnapshotDir::open(&folder.0).unwrap_err().to_string();
        assert!(refused.ends_with(": another server uses it; give each one a folder of its own"), "{refused}");
        drop(first);
        assert!(SnapshotDir::open(&folder.0).is_ok());
    }
}
