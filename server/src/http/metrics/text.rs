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
                    let last = std::iter::once((f64::INFINITY, *above));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_histogram_ends_with_the_bucket_of_all() {
        for as_openmetrics in [false, true] {
            let values = Distribution { buckets: vec![(0.5, 3), (1.0, 2)], above: 1, sum: 4.5 };
            let family = Family { name: "a_seconds", help: "Some", values: Values::Histogram(values) };
            let (text, _) = encode(vec![family], as_openmetrics);
            let buckets: Vec<_> = text.lines().filter(|line| line.contains("_bucket")).collect();
            let expected = [("0.5", 3), if as_openmetrics { ("1.0", 5) } else { ("1", 5) }, ("+Inf", 6)];
            assert_eq!(
                buckets,
                expected.map(|(le, count)| format!("a_seconds_bucket{{le=\"{le}\"}} {count}")),
                "{text}"
            );
            assert!(text.contains("a_seconds_count 6") && text.contains("a_seconds_sum 4.5"), "{text}");
        }
    }

    #[test]
    fn a_counter_has_its_suffix_once() {
        let family = || {
            let values = vec![(vec![("of", "a \"b\"".to_owned())], 2.0)];
            Family { name: "a", help: "Some", values: Values::Counters(values) }
        };
        for as_openmetrics in [false, true] {
            let (text, _) = encode(vec![family()], as_openmetrics);
            assert!(text.contains("a_total{of=\"a \\\"b\\\"\"} 2.0"), "{text}");
        }
    }
}
