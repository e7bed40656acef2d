//! The machine on which a load ran: a figure without it says nothing.

use serde::Serialize;
use std::fs;
use std::thread::available_parallelism;

/// What `/proc` says of this machine. A field that is not known is left out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    /// The cores that this process may use.
    pub(super) cores: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) processor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<String>,
}

impl Machine {
    pub(super) fn this() -> Self {
        let text = |path: &str| fs::read_to_string(path).ok();
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            processor: text("/proc/cpuinfo").and_then(|text| field(&text, "model name")),
            memory_bytes: text("/proc/meminfo").and_then(|text| kibibytes(&field(&text, "MemTotal")?)),
            kernel: text("/proc/sys/kernel/osrelease").map(|release| format!("Linux {}", release.trim())),
        }
    }
}

/// The value of the first line `name: value`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let text = "processor\t: 0\nmodel name\t: A Processor @ 2.00GHz\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A Processor @ 2.00GHz"));
        assert_eq!(kibibytes("2048 kB"), Some(2 << 20));
        assert!(Machine::this().cores > 0);
    }
}
