//! Writes families of metrics as text.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// One family: a name, and its values with their labels.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) values: Values,
}

/// The labels of a value.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(super) enum Values {
    Counters(Vec<(Labels, f64)>),
    Gauges(Vec<(Labels, f64)>),
    Histogram(Distribution),
}

/// How often something was in each bucket.
#[derive(Debug)]
pub(super) struct Distribution {
    /// The upper bound of each bucket but the last, and how often it was in this one.
    pub(super) buckets: Vec<(f64, u64)>,
    /// How often it was above the last bound.
    pub(super) above: u64,
    pub(super) sum: f64,
}

/// Writes the families, as `OpenMetrics` or as Prometheus' own text. Returns the text and its media type.
pub(super) fn encode(families: Vec<Family>, as_openmetrics: bool) -> (String, &'static str) {
    let (mut registry, mut written) = (Registry::default(), String::with_capacity(PAGE_BYTES));
    registry.register_collector(Box::new(Families(families.into())));
    // Writing to a `String` does not fail.
    if as_openmetrics {
        _ = text::encode(&mut written, &registry);
        (written, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        _ = prometheus_text::encode(&mut written, &registry);
        (written, "text/plain; version=0.0.4; charset=utf-8")
    }
}

#[derive(Debug)]
struct Families(Arc<[Family]>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family { name, help, values } in self.0.iter() {
            let kind = match values {
                Values::Counters(_) => MetricType::Counter,
                Values::Gauges(_) => MetricType::Gauge,
                Values::Histogram(_) => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            match values {
                Values::Counters(values) => {
                    for (labels, value) in values {
                        metric.encode_family(labels)?.encode_counter::<Labels, f64, f64>(value, None)?;
                    }
                }
                Values::Gauges(values) => {
                    for (labels, value) in values {
                        metric.encode_family(labels)?.encode_gauge(value)?;
                    }
                }
                Values::Histogram(Distribution { buckets, above, sum }) => {
                    let last = std::iter::once((f64::MAX, *above));
                    let all: Vec<_> = buckets.iter().copied().chain(last).collect();
                    let count = all.iter().map(|(_, count)| count).sum();
                    metric.encode_histogram::<Labels>(*sum, count, &all, None)?;
                }
            }
        }
        Ok(())
    }
}

/// About the length of a page.
const PAGE_BYTES: usize = 64 * 1024;
