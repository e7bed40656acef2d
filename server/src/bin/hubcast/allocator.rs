//! The allocator, set up to give back what is not needed.
//!
//! As it comes, it keeps freed pages for a second and looks at them only when more is allocated: a server that was
//! busy once stays large while it is idle. It reads its options from the environment before `main`, so that the only
//! safe way to set them is to start the program once more, in the same process, with the environment they need.

use std::convert::Infallible;
use std::env;
use std::hint;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// A server's threads allocate and free small things all day, often one what another allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Starts the program again with the allocator's options set, unless they are: whoever sets one keeps it. Comes back
/// only when there is nothing to do or the system refuses; then the server runs all the same and is larger.
pub(crate) fn give_back_what_is_freed() {
    if OPTIONS.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut words = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    let refused = again.args(words).envs(OPTIONS).exec();
    tracing::debug!(%refused, "the allocator keeps its defaults");
}

/// Has the allocator look at its free pages now and then: by itself it does so only when large blocks come and go.
pub(crate) async fn give_back_while_idle() -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        drop(hint::black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}

/// How often free pages are looked at. It takes a few microseconds.
const LOOK: Duration = Duration::from_secs(2);

/// A block that no thread keeps for the next one who asks. It is never touched, so it takes no memory.
const LARGE: usize = 4 * 1024 * 1024;

/// Free pages go back after ten milliseconds, so that what every turn frees and takes again stays, and no page is taken
/// before it is used.
const OPTIONS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "10"), ("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
