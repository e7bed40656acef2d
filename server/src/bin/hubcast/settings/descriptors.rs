//! Every connection takes a file descriptor. This finds out at the start how many connections there may be.

use super::layered::Settings;
use super::threads::workers;
use super::units::AutoCount;
use anyhow::{Context, bail};
use hubcast_server::Config;

/// Raises the soft limit of open files to the hard limit, and returns how many connections fit.
///
/// # Errors
/// When none fits, or fewer than the settings ask for.
pub(crate) fn connections(settings: &Settings) -> anyhow::Result<usize> {
    let limit = rlimit::increase_nofile_limit(rlimit::INFINITY).context("cannot ask how many files may be open")?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    fitting(limit, workers(&settings.options), settings)
}

fn fitting(limit: usize, workers: usize, settings: &Settings) -> anyhow::Result<usize> {
    let reserve = RESERVE + workers * RESERVE_OF_WORKER;
    let room = limit.saturating_sub(reserve);
    match settings.options.max_connections {
        _ if room == 0 => bail!(
            "this process may have {limit} files open, but the server needs {reserve} before the first connection; \
             raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)"
        ),
        AutoCount::Auto => Ok(room.min(Config::MAX_CONNECTIONS)),
        AutoCount::Exactly(asked) if asked as usize <= room => Ok(asked as usize),
        AutoCount::Exactly(asked) => bail!(
            "{}: this process may have {limit} files open, which is enough for {room} connections; \
             raise the limit to {} (ulimit -n, or LimitNOFILE= in a systemd unit), or ask for fewer",
            settings.origin_of("max_connections"),
            asked as usize + reserve,
        ),
    }
}

/// Enlarges the process's table of descriptors for this many connections, at most [`RESERVED_FDS`]. Must be called
/// before there is a second thread.
///
/// The kernel doubles the table when it is full. With several threads the process then waits until no core reads the
/// old table any more (an RCU grace period, tens of milliseconds), and no client is served during that time.
pub(crate) fn reserve_fds(connections: usize) {
    let last = connections.min(RESERVED_FDS);
    if let Ok(last) = i32::try_from(last) {
        // The duplicate enlarges the table and is closed at once; the table keeps its size. If this fails, the server
        // still runs.
        let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), last);
    }
}

/// Descriptors for the process itself: streams, listeners, signals, and connections that are being refused.
const RESERVE: usize = 64;

/// The largest table that is made in advance: half a megabyte of kernel memory.
const RESERVED_FDS: usize = 65_535;

/// Descriptors for the poll and the wake-up of each worker.
const RESERVE_OF_WORKER: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::layered::tests::of_file;
    use super::*;

    fn fit(limit: usize, text: &str) -> Result<usize, String> {
        fitting(limit, 2, &of_file(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_limit_allows_less_the_reserve_is_the_default() {
        assert_eq!(fit(1_024, ""), Ok(944));
    }

    #[test]
    fn a_number_that_fits_is_taken() {
        assert_eq!(fit(1_024, "max_connections = 944"), Ok(944));
        assert_eq!(fit(1_024, "max_connections = 10"), Ok(10));
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_with_the_limit_it_needs() {
        let fault = fit(1_024, "max_connections = 945").unwrap_err();
        assert!(
            fault.starts_with("some.toml: max_connections = 945: this process may have 1024 files open"),
            "{fault}"
        );
        assert!(fault.contains("raise the limit to 1025"), "{fault}");
    }

    #[test]
    fn a_limit_without_room_for_one_connection_is_refused() {
        assert!(fit(80, "").unwrap_err().contains("needs 80 before the first connection"));
        assert_eq!(fit(81, ""), Ok(1));
    }
}
