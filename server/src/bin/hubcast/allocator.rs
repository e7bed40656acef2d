//! The memory allocator, with options that return unused memory to the system.
//!
//! By default it keeps freed pages for a second and looks at them only when more is allocated. So a server that was
//! busy once stays large while it is idle. It reads its options from the environment before `main`. The only safe way
//! to set them is to start the program again, in the same process, with the options in its environment.

use std::convert::Infallible;
use std::env;
use std::hint;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// A server's threads often allocate and free small blocks, and one thread often frees what another allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Starts the program again with the allocator's options in its environment, unless one of them is set already: then
/// the operator's choice stays. Returns only if there is nothing to do or the system refuses; then the server runs as
/// well, but needs more memory.
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

/// Makes the allocator look at its free pages every [`LOOK`]. By itself it does so only when large blocks are allocated
/// and freed.
pub(crate) async fn give_back_while_idle() -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        drop(hint::black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}

/// How often the allocator looks at its free pages. One look takes a few microseconds.
const LOOK: Duration = Duration::from_secs(2);

/// The size, in bytes, of a block that no thread keeps for reuse. The block is never written to, so it takes no memory.
const LARGE: usize = 4 * 1024 * 1024;

/// The options of the allocator. Free pages are returned after ten milliseconds: pages that every turn frees and
/// allocates again stay. No page is taken from the system before it is used.
const OPTIONS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "10"), ("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
