//! What the operating system knows of this process. On other systems than Linux most of it is missing.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// The names are those that all Prometheus clients use.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Time of the processor, of the process itself and of the system for it.
    pub(super) cpu: Option<Duration>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) max_files: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            cpu: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu),
            resident_bytes: resident_bytes(),
            open_files: open_files(),
            max_files: limit,
        }
    }
}

/// The fields `utime` and `stime` of `/proc/self/stat`, in ticks (proc(5)). The name of the program before them may hold blanks.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 1_000 / rustix::param::clock_ticks_per_second().max(1)))
}

/// Memory of this process that is in RAM: the second field of `/proc/self/statm`, in pages (proc(5)).
pub(super) fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Bytes that this process may still write to the disk of a folder; `None` if the folder is gone.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Since Linux 6.2 the size of this folder is the number of its entries. Before, they have to be listed, which takes
/// milliseconds for tens of thousands of connections.
fn open_files() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_confuses_nobody() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        let expected = Duration::from_millis(300 * 1_000 / rustix::param::clock_ticks_per_second());
        assert_eq!(cpu(stat), Some(expected));
        assert_eq!(cpu(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.open_files.is_some_and(|files| files > 2) && process.cpu.is_some(), "{process:?}");
    }
}
