//! The file of `--resume`: up to where the messages of each topic are printed.

use crate::commands::client::exit::Failure;
use hubcast_client::{Position, TopicName};
use hubcast_protocol::Target;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The positions, and where they are kept.
#[derive(Debug)]
pub(crate) struct ResumeFile {
    path: PathBuf,
    positions: Positions,
    saved: Option<Instant>,
    has_changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Positions {
    #[serde(default)]
    topics: BTreeMap<String, Position>,
    /// The topics of each pattern.
    #[serde(default)]
    patterns: BTreeMap<String, BTreeMap<String, Position>>,
}

impl ResumeFile {
    /// Reads the file. If there is none, there are no positions yet.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::misused(format!("--resume {}: {why}", path.display()));
        let mut text = String::new();
        let positions = match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
            Ok(_) => serde_json::from_str(&text)
                .map_err(|error| wrong(format!("not a file that --resume has written: {error}")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Positions::default(),
            Err(error) => return Err(wrong(error.to_string())),
        };
        Ok(Self { path: path.to_owned(), positions, saved: None, has_changed: false })
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Option<Position> {
        self.positions.topics.get(topic).copied()
    }

    pub(crate) fn of_pattern(&self, pattern: &str) -> Option<BTreeMap<TopicName, Position>> {
        let positions = self.positions.patterns.get(pattern)?;
        Some(positions.iter().map(|(topic, position)| (topic.as_str().into(), *position)).collect())
    }

    /// Something was printed.
    pub(crate) fn changed(&mut self) {
        self.has_changed = true;
    }

    /// When the positions are to be written next; `None` if they have not changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.has_changed.then(|| self.saved.map_or_else(Instant::now, |saved| saved + PAUSE))
    }

    /// Writes the positions of these subscriptions. Those of other topics and patterns stay in the file.
    pub(crate) fn save<'a>(
        &mut self,
        subscriptions: impl Iterator<Item = (&'a Target, BTreeMap<TopicName, Position>)>,
    ) -> Result<(), Failure> {
        for (target, positions) in subscriptions {
            match target {
                Target::Topic(topic) => match positions.into_values().next() {
                    Some(position) => _ = self.positions.topics.insert(topic.to_string(), position),
                    None => _ = self.positions.topics.remove(topic.as_str()),
                },
                Target::Pattern(pattern) => {
                    let positions = positions.into_iter().map(|(topic, position)| (topic.to_string(), position));
                    self.positions.patterns.insert(pattern.to_string(), positions.collect());
                }
            }
        }
        (self.saved, self.has_changed) = (Some(Instant::now()), false);
        self.write().map_err(|error| Failure::failed(format!("--resume {}: {error}", self.path.display())))
    }

    /// Puts a new file in the place of the old one, so that a crash leaves one of the two.
    fn write(&self) -> io::Result<()> {
        let mut name = self.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        name.push(".unfinished");
        let unfinished = self.path.with_file_name(name);
        let mut file = File::create(&unfinished)?;
        serde_json::to_writer(&mut file, &self.positions)?;
        file.write_all(b"\n")?;
        file.sync_data()?;
        fs::rename(&unfinished, &self.path)
    }
}

/// The file is written at most once in so long.
const PAUSE: Duration = Duration::from_secs(1);

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;
