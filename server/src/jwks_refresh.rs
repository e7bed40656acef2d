//! Keeps the keys of login services up to date: fetches their key sets, and fetches them again in time.
//!
//! A set that cannot be fetched keeps nobody from starting the server, and does not make it unready: API keys, other keys
//! and anonymous clients work without it. A login service that is down would otherwise take all hubs down, also for those
//! who hold a good token. What is in force stays until a better set comes.

mod fetch;
mod timetable;

use crate::auth::{AuthConfig, Jwks, JwksSource, KeySet, TokenKey, TokenVerifier};
use crate::log::warnings::Pace;
use crate::runtime::tasks::Tasks;
use fetch::{DEADLINE, FetchError, Fetched, fetch};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timetable::{Intervals, Timetable};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};

/// Completes when each set has been fetched once, or could not be.
#[derive(Clone, Debug)]
pub(crate) struct FirstAttempt(watch::Receiver<()>);

impl FirstAttempt {
    /// Waits for it. The first clients after a restart come with good tokens, which a server without keys would refuse; a
    /// login service that does not answer must not keep all others out.
    pub(crate) async fn wait(mut self) {
        let all = async { while self.0.changed().await.is_ok() {} };
        let _ = timeout(FIRST_ATTEMPT, all).await;
    }
}

/// The tasks that fetch the sets of one configuration. Dropping it ends them.
pub(crate) struct Refreshing {
    first_attempt: FirstAttempt,
    refresh: Option<Rc<Refresh>>,
    tasks: Vec<AbortHandle>,
}

impl Refreshing {
    /// Completes when each set has been fetched once, or could not be.
    pub(crate) fn first_attempt(&self) -> FirstAttempt {
        self.first_attempt.clone()
    }

    /// Begins to fetch the sets of another configuration. Where it has a set of this one, the keys from before are in
    /// force until others come.
    pub(crate) fn continued(&self, auth: &AuthConfig, tasks: &Tasks) -> Self {
        start_with(auth, tasks, Intervals::DEFAULT, self.refresh.as_deref())
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Begins to fetch the sets of a configuration. If there are none, no task is started.
pub(crate) fn start(auth: &AuthConfig, tasks: &Tasks) -> Refreshing {
    start_with(auth, tasks, Intervals::DEFAULT, None)
}

fn start_with(auth: &AuthConfig, tasks: &Tasks, intervals: Intervals, before: Option<&Refresh>) -> Refreshing {
    let (attempting, first_attempt) = watch::channel(());
    let mut refreshing = Refreshing { first_attempt: FirstAttempt(first_attempt), refresh: None, tasks: Vec::new() };
    if let Some(verifier) = &auth.verifier
        && !auth.jwks.is_empty()
    {
        let refresh = Rc::new(Refresh::new(Arc::clone(verifier), auth.jwks.clone()));
        if let Some(before) = before {
            refresh.take_over(before);
        }
        for place in 0..refresh.sets.len() {
            let following = Rc::clone(&refresh).follow(place, intervals, attempting.clone());
            refreshing.tasks.push(tasks.spawn(following));
        }
        refreshing.tasks.push(tasks.spawn(Rc::clone(&refresh).pass_on_unknown_keys()));
        refreshing.refresh = Some(refresh);
    }
    refreshing
}

/// The sets of a server, and the keys that do not come from one.
struct Refresh {
    verifier: Arc<TokenVerifier>,
    /// The keys of the configuration. They are always in force.
    fixed: Arc<KeySet>,
    sets: Vec<Set>,
}

/// A set that is fetched.
struct Set {
    source: JwksSource,
    /// Notified when a token has named an unknown key.
    unknown_key: Notify,
    in_force: RefCell<InForce>,
}

/// What was fetched last.
#[derive(Default)]
struct InForce {
    /// The text with the keys, to see whether a new one differs.
    text: Option<String>,
    keys: Vec<TokenKey>,
}

impl Refresh {
    fn new(verifier: Arc<TokenVerifier>, sources: Vec<JwksSource>) -> Self {
        let set = |source| Set { source, unknown_key: Notify::new(), in_force: RefCell::default() };
        Self { fixed: verifier.keys(), verifier, sets: sources.into_iter().map(set).collect() }
    }

    /// Takes over what another has fetched from the same places.
    fn take_over(&self, before: &Self) {
        for set in &self.sets {
            let Some(same) = before.sets.iter().find(|other| other.source.url == set.source.url) else { continue };
            let InForce { text, keys } = &*same.in_force.borrow();
            let mut keys = keys.clone();
            keys.iter_mut().for_each(|key| key.not_after = set.source.not_after);
            set.in_force.replace(InForce { text: text.clone(), keys });
        }
        self.replace_keys();
    }

    /// Fetches a set whenever it is time. `first` is dropped after the first attempt.
    async fn follow(self: Rc<Self>, place: usize, intervals: Intervals, first: watch::Sender<()>) {
        let (set, mut first) = (&self.sets[place], Some(first));
        let mut timetable = Timetable::new(intervals, Instant::now());
        let mut failures = Failures::default();
        loop {
            tokio::select! {
                biased;
                () = set.unknown_key.notified() => {
                    timetable.unknown_key(Instant::now());
                    continue;
                }
                () = sleep_until(timetable.due().into()) => {}
            }
            let outcome = match fetch(&set.source, DEADLINE).await {
                Ok(fetched) => self.take(place, fetched),
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(good_for) => {
                    timetable.fetched(Instant::now(), good_for);
                    failures.end(&set.source);
                }
                Err(fault) => {
                    timetable.failed(Instant::now());
                    failures.note(&fault, set);
                }
            }
            drop(first.take());
        }
    }

    /// Puts the keys of an answer in force in place of the old ones. Returns for how long.
    fn take(&self, place: usize, Fetched { text, good_for }: Fetched) -> Result<Option<Duration>, FetchError> {
        let Set { source, in_force, .. } = &self.sets[place];
        if in_force.borrow().text.as_ref() == Some(&text) {
            return Ok(good_for);
        }
        let Jwks { mut keys, skipped } = Jwks::read(&text)?;
        for key in &mut keys {
            key.not_after = source.not_after;
        }
        tracing::info!(url = %source.url, keys = keys.len(), "fetched other keys of tokens than before");
        for skipped in &skipped {
            tracing::warn!(url = %source.url, key = skipped.number, reason = %skipped.reason, "skipped a key");
        }
        in_force.replace(InForce { text: Some(text), keys });
        self.replace_keys();
        Ok(good_for)
    }

    fn replace_keys(&self) {
        let fetched = self.sets.iter().flat_map(|set| set.in_force.borrow().keys.clone());
        let (keys, left_out) = self.fixed.with(fetched);
        for id in left_out {
            tracing::warn!(%id, "a fetched key is not used: a key of the configuration, or of an earlier set, has its id");
        }
        self.verifier.replace_keys(keys);
    }

    /// Tells every set: no token says which one its key is in.
    async fn pass_on_unknown_keys(self: Rc<Self>) {
        loop {
            self.verifier.unknown_key().await;
            self.sets.iter().for_each(|set| set.unknown_key.notify_one());
        }
    }
}

/// The failures of one set since it was last fetched, for the log.
#[derive(Default)]
struct Failures {
    times: u32,
    pace: Pace,
}

impl Failures {
    fn note(&mut self, fault: &FetchError, set: &Set) {
        self.times += 1;
        if self.pace.is_due(Instant::now()) {
            let (url, times, has_keys) = (&set.source.url, self.times, !set.in_force.borrow().keys.is_empty());
            match has_keys {
                true => tracing::warn!(%url, %fault, times, "cannot fetch keys of tokens; the ones from before stay"),
                false => {
                    tracing::warn!(%url, %fault, times, "cannot fetch keys of tokens; tokens of this login are refused");
                }
            }
        }
    }

    fn end(&mut self, source: &JwksSource) {
        if self.times > 0 {
            tracing::info!(url = %source.url, failures = self.times, "keys of tokens are fetched again");
            self.times = 0;
        }
    }
}

/// How long the server waits for keys before it takes the first connection.
const FIRST_ATTEMPT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
