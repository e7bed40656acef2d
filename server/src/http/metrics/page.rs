//! All metrics that there are, read at one time.

use super::text::{Distribution, Family, Labels, Values};
use super::{ROUTE_COUNT, route_names};
use crate::auth::TokenFault;
use crate::hooks::{DURATIONS, Dropped};
use crate::http::api::Api;
use crate::http::process::{self, Process};
use crate::metrics::Metrics;
use crate::metrics::WorkerMetrics;
use crate::metrics::cell::{Counter, DURATION_BOUNDS, Histogram};
use crate::metrics::kinds::{CLOSE_CODES, Carrier, PausedReading, RefusedHandshake, SlowPolicy};
use hubcast_hub::{Counters, EvictionReason, RECEIVER_BOUNDS, RequestKind, ResumeOutcome, Source};
use hubcast_protocol::ErrorCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// A page under construction.
#[derive(Debug)]
pub(super) struct Page {
    families: Vec<Family>,
}

impl Page {
    /// Reads everything.
    pub(super) fn read(api: &Api, is_draining: bool) -> Vec<Family> {
        let (metrics, counters) = (api.metrics(), api.counters());
        let mut page = Self { families: Vec::new() };
        page.connections(metrics);
        page.requests(&counters);
        page.traffic(metrics, &counters);
        page.waiting(api, metrics);
        page.histories(api, &counters);
        page.durations(metrics, &counters);
        page.http(api, metrics);
        page.hooks(api);
        page.server(metrics, is_draining);
        page.certificate(api);
        page.shortages(api);
        page.process(&Process::read(), metrics);
        page.families
    }

    fn connections(&mut self, metrics: &Metrics) {
        let open = Carrier::ALL.iter().map(|carrier| {
            let labels = vec![("transport", carrier.transport().into()), ("dialect", carrier.name().into())];
            (labels, to_f64(metrics.gauge(|worker| &worker.connections[*carrier as usize])))
        });
        self.gauges("hubcast_connections", "Open connections", open.collect());
        let opened = per_transport(metrics, |worker, carrier| &worker.opened[carrier as usize]);
        self.counters("hubcast_connections_opened", "Connections that were opened", opened);
        let codes = CLOSE_CODES.iter().map(ToString::to_string).chain(["other".to_owned()]);
        let closed = codes
            .enumerate()
            .map(|(place, code)| (vec![("code", code)], counted(metrics.sum(|worker| &worker.closed[place]))));
        let help = "Connections that were closed, by the code of RFC 6455; 1005 has none, and 1006 was lost or cut";
        self.counters("hubcast_connections_closed", help, closed.collect());
        let refused = RefusedHandshake::ALL.iter().map(|reason| {
            let count = metrics.sum(|worker| &worker.handshakes_refused[*reason as usize]);
            (vec![("reason", reason.name().into())], counted(count))
        });
        self.counters("hubcast_handshakes_refused", "Connections that were refused", refused.collect());
    }

    fn requests(&mut self, counters: &Counters) {
        let subscriptions = [("topic", counters.topic_subscriptions), ("pattern", counters.pattern_subscriptions)];
        self.gauges("hubcast_subscriptions", "Subscriptions", labelled("kind", subscriptions));
        self.gauge("hubcast_topics", "Topics that have subscribers by their names", counted(counters.topics));
        let help = "Members of all topics with presence, each as often as it is one";
        self.gauge("hubcast_presence_members", help, counted(counters.presence_members));
        let requests = RequestKind::ALL.iter().map(|kind| (kind.name(), counters.requests[*kind]));
        self.counters("hubcast_requests", "Requests of clients", labelled("action", requests));
        let known = ErrorCode::ALL.into_iter().filter(|code| *code != ErrorCode::Unknown);
        let errors = known.map(|code| (code.name(), counters.refusals[code]));
        self.counters("hubcast_errors", "Requests of clients that were refused", labelled("code", errors));
        let resumes = ResumeOutcome::ALL.iter().map(|outcome| (outcome.name(), counters.resumes[*outcome]));
        let help = "Subscriptions that asked for what they had missed";
        self.counters("hubcast_resumes", help, labelled("outcome", resumes));
        let help = "Publications that subscriptions got from histories";
        self.counter("hubcast_replayed_publications", help, counted(counters.replayed));
    }

    fn traffic(&mut self, metrics: &Metrics, counters: &Counters) {
        let each = |of: &dyn Fn(Source) -> u64| {
            labelled("source", Source::ALL.iter().map(|source| (source.name(), of(*source))))
        };
        let help = "Publications, without repetitions";
        self.counters("hubcast_publications", help, each(&|source| counters.publications[source]));
        let help = "Bytes of the messages of publications";
        self.counters("hubcast_publication_bytes", help, each(&|source| counters.publication_bytes[source]));
        let help = "Publications that were repetitions, by their keys";
        self.counters("hubcast_duplicates", help, each(&|source| counters.duplicates[source]));
        let delivered = |carrier: Carrier| metrics.sum(|worker| &worker.deliveries[carrier as usize]);
        let (plain, typed) = (delivered(Carrier::Plain), delivered(Carrier::Typed) + delivered(Carrier::Sse));
        let help = "Publications that were handed to connections, each as often as it was";
        self.counters("hubcast_deliveries", help, labelled("dialect", [("plain", plain), ("typed", typed)]));
        let received = per_transport(metrics, |worker, carrier| &worker.received_bytes[carrier as usize]);
        self.counters("hubcast_received_bytes", "Bytes that connections have sent to the server", received);
        let sent = per_transport(metrics, |worker, carrier| &worker.sent_bytes[carrier as usize]);
        self.counters("hubcast_sent_bytes", "Bytes that the server has sent to connections", sent);
    }

    fn waiting(&mut self, api: &Api, metrics: &Metrics) {
        let (waiting, _) = api.load();
        self.gauge("hubcast_outbox_bytes", "Memory for what waits to be written", waiting as f64);
        let largest = counted(metrics.largest_outbox(Instant::now()));
        let help = "The most bytes that waited for one connection, in the last 30 to 60 seconds";
        self.gauge("hubcast_outbox_largest_bytes", help, largest);
        let help = "Bytes of what waits to be handed from one worker to another";
        self.gauge("hubcast_mailbox_bytes", help, api.mailbox_bytes() as f64);
        let by_policy = |cells: fn(&WorkerMetrics) -> &[Counter]| {
            let policies = SlowPolicy::ALL.iter();
            labelled(
                "policy",
                policies.map(|policy| (policy.name(), metrics.sum(|worker| &cells(worker)[*policy as usize]))),
            )
        };
        let help = "Readers that were too slow: each that was disconnected, and each gap of one that misses something";
        self.counters("hubcast_slow_consumers", help, by_policy(|worker| &worker.slow_consumers));
        let help = "Publications that readers miss because they are too slow";
        self.counters("hubcast_left_out_publications", help, by_policy(|worker| &worker.left_out));
        let paused = PausedReading::ALL.iter();
        let paused = paused.map(|why| (why.name(), metrics.sum(|worker| &worker.reading_paused[*why as usize])));
        self.counters(
            "hubcast_reading_paused",
            "Times that a client was not read for a while",
            labelled("why", paused),
        );
    }

    fn histories(&mut self, api: &Api, counters: &Counters) {
        self.gauge("hubcast_history_bytes", "Bytes of all histories", counted(counters.history_bytes));
        let help = "Bytes that all histories may have";
        self.gauge("hubcast_history_max_bytes", help, api.config().history_max_bytes as f64);
        let evictions = EvictionReason::ALL.iter().map(|reason| (reason.name(), counters.evictions[*reason]));
        let help = "Publications that histories have dropped";
        self.counters("hubcast_history_evictions", help, labelled("reason", evictions));
    }

    fn durations(&mut self, metrics: &Metrics, counters: &Counters) {
        let help = "From the time when publications were taken from their publisher until they were written to all their \
                    receivers, or wait for those that are slow";
        self.histogram("hubcast_fanout_duration_seconds", help, distribution(metrics, |worker| &worker.fanout));
        self.histogram(
            "hubcast_turn_duration_seconds",
            "Turns of a worker",
            distribution(metrics, |worker| &worker.turn),
        );
        let waits = distribution(metrics, |worker| &worker.lock_wait);
        self.histogram("hubcast_hub_lock_wait_seconds", "Time that a worker waited for the hub in a turn", waits);
        let bounds = RECEIVER_BOUNDS.iter().map(|bound| counted(*bound));
        let [buckets @ .., above] = &counters.receivers;
        let buckets = bounds.zip(buckets.iter().copied()).collect();
        let receivers = Distribution { buckets, above: *above, sum: counted(counters.deliveries) };
        self.histogram("hubcast_fanout_receivers", "Receivers of a publication", receivers);
    }

    fn http(&mut self, api: &Api, metrics: &Metrics) {
        let mut requests = Vec::new();
        for number in 0..ROUTE_COUNT {
            let (route, method) = route_names(number);
            for (class, status) in STATUSES.into_iter().enumerate() {
                let count = metrics.sum(|worker| &worker.http_requests[number][class]);
                if count > 0 || is_usual(number, class) {
                    let labels = vec![("route", route.clone()), ("method", method.into()), ("status", status.into())];
                    requests.push((labels, counted(count)));
                }
            }
        }
        let help = "Requests by HTTP, by the first digit of the status";
        self.counters("hubcast_http_requests", help, requests);
        let durations = distribution(metrics, |worker| &worker.http_duration);
        self.histogram("hubcast_http_request_duration_seconds", "Requests by HTTP, without their bodies", durations);
        let counts = &api.config().auth.tokens;
        let outcomes = TokenFault::ALL.iter().map(|fault| (fault.name(), counts.refused(*fault)));
        let accepted = [("accepted", counts.accepted())];
        let tokens = labelled("outcome", accepted.into_iter().chain(outcomes));
        self.counters("hubcast_tokens", "Tokens that were verified", tokens);
    }

    fn hooks(&mut self, api: &Api) {
        let (mut events, mut waiting) = (Vec::new(), Vec::new());
        let mut durations = Distribution { buckets: Vec::new(), above: 0, sum: 0.0 };
        let mut counts = [0; DURATIONS.len() + 1];
        for (name, counters) in &*api.hooks() {
            let outcomes = [
                ("delivered", counters.delivered()),
                ("dropped_full", counters.dropped(Dropped::Full)),
                ("dropped_age", counters.dropped(Dropped::Age)),
                ("dropped_gone", counters.dropped(Dropped::Gone)),
            ];
            let labels = |outcome: &str| vec![("hook", name.clone()), ("outcome", outcome.to_owned())];
            events.extend(outcomes.map(|(outcome, count)| (labels(outcome), counted(count))));
            waiting.push((vec![("hook", name.clone())], counted(counters.waiting())));
            counts.iter_mut().zip(counters.durations()).for_each(|(sum, more)| *sum += more);
            durations.sum += counters.time().as_secs_f64();
        }
        let [buckets @ .., above] = counts;
        durations.buckets = DURATIONS.iter().map(Duration::as_secs_f64).zip(buckets).collect();
        durations.above = above;
        self.counters("hubcast_hook_events", "Events for each hook, by what became of them", events);
        self.gauges("hubcast_hook_queue_events", "Events that wait for each hook", waiting);
        self.histogram("hubcast_hook_request_duration_seconds", "Requests to the receivers of all hooks", durations);
    }

    fn server(&mut self, metrics: &Metrics, is_draining: bool) {
        let revision = option_env!("HUBCAST_REVISION").unwrap_or("unknown");
        let build = vec![("version", env!("CARGO_PKG_VERSION").into()), ("revision", revision.into())];
        self.gauges("hubcast_build_info", "The version of the server", vec![(build, 1.0)]);
        self.gauge("hubcast_draining", "1 while the server is stopping", f64::from(u8::from(is_draining)));
        self.counter("hubcast_panics", "Faults of the server that ended a worker", counted(metrics.panics()));
        let states = [("ready", 1), ("degraded", 0), ("unavailable", 0)];
        let help = "1 for the state in which the keeper of histories is";
        self.gauges("hubcast_engine_state", help, labelled("state", states));
    }

    fn certificate(&mut self, api: &Api) {
        let config = api.config();
        let expiry = config.tls.as_deref().and_then(|tls| tls.expires()).map_or(0.0, counted);
        let help = "When the certificate ends, in seconds since 1970; 0 without one";
        self.gauge("hubcast_certificate_expiry_timestamp_seconds", help, expiry);
        let ([settings, refused], of_tls) = (api.reloads(), config.tls.as_deref().map_or((0, 0), |tls| tls.reloads()));
        let outcomes = [("applied", settings + of_tls.0), ("refused", refused + of_tls.1)];
        let help = "Settings and certificates that were taken up while the server ran, or were wrong";
        self.counters("hubcast_reloads", help, labelled("outcome", outcomes));
        let help = "When settings were last put in force, in seconds since 1970";
        self.gauge("hubcast_last_reload_timestamp_seconds", help, counted(api.settings_since()));
    }

    /// What the server is out of, or may soon be.
    fn shortages(&mut self, api: &Api) {
        let metrics = api.metrics();
        let failures = metrics.sum(|worker| &worker.accept_failures);
        let help = "How often the system could not give a connection that waited: no files, or no memory";
        self.counter("hubcast_accept_failures", help, counted(failures));
        let help = "What could not be written into the state folder";
        self.counter("hubcast_state_write_failures", help, counted(metrics.state_write_failures()));
        let free = api.config().state_dir.as_deref().map(process::free_bytes);
        if let Some(free) = free {
            let help = "Room on the disk of the state folder, which is written when the server stops";
            self.gauge("hubcast_state_free_bytes", help, counted(free.unwrap_or(0)));
        }
    }

    fn process(&mut self, process: &Process, metrics: &Metrics) {
        let Process { cpu, resident_bytes, open_files, max_files } = process;
        if let Some(cpu) = cpu {
            self.counter("process_cpu_seconds", "Time of the processor", cpu.as_secs_f64());
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory in RAM", resident_bytes),
            ("process_open_fds", "Open files and sockets", open_files),
            ("process_max_fds", "Files and sockets that may be open", max_files),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                self.gauge(name, help, counted(*value));
            }
        }
        let started = metrics.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.gauge("process_start_time_seconds", "When the process was started, in seconds since 1970", started);
    }
}

impl Page {
    fn counter(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.counters(name, help, vec![(Vec::new(), value)]);
    }

    fn counters(&mut self, name: &'static str, help: &'static str, values: Vec<(Labels, f64)>) {
        self.families.push(Family { name, help, values: Values::Counters(values) });
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.gauges(name, help, vec![(Vec::new(), value)]);
    }

    fn gauges(&mut self, name: &'static str, help: &'static str, values: Vec<(Labels, f64)>) {
        self.families.push(Family { name, help, values: Values::Gauges(values) });
    }

    fn histogram(&mut self, name: &'static str, help: &'static str, values: Distribution) {
        self.families.push(Family { name, help, values: Values::Histogram(values) });
    }
}

/// Values that differ in one label.
fn labelled(label: &'static str, values: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<(Labels, f64)> {
    values.into_iter().map(|(value, count)| (vec![(label, value.into())], counted(count))).collect()
}

/// One counter of all workers, by what carries a connection.
fn per_transport(metrics: &Metrics, cell: fn(&WorkerMetrics, Carrier) -> &Counter) -> Vec<(Labels, f64)> {
    let sum = |carrier| metrics.sum(|worker| cell(worker, carrier));
    labelled("transport", [("websocket", sum(Carrier::Plain) + sum(Carrier::Typed)), ("sse", sum(Carrier::Sse))])
}

/// One histogram of all workers.
fn distribution(metrics: &Metrics, histogram: fn(&WorkerMetrics) -> &Histogram) -> Distribution {
    let (mut counts, mut sum) = ([0; DURATION_BOUNDS.len() + 1], 0.0);
    for worker in &metrics.workers {
        for (count, more) in counts.iter_mut().zip(histogram(worker).buckets()) {
            *count += more;
        }
        sum += histogram(worker).seconds();
    }
    let [buckets @ .., above] = counts;
    let bounds = DURATION_BOUNDS.iter().map(|bound| bound.as_secs_f64());
    Distribution { buckets: bounds.zip(buckets).collect(), above, sum }
}

/// Whether requests to a route usually get a status of this class, so that its series is there from the start.
fn is_usual(route: usize, class: usize) -> bool {
    match (route, STATUSES[class]) {
        (0, "1xx" | "4xx" | "5xx") => true,
        (0, _) | (_, "1xx") => false,
        (_, status) => matches!(status, "2xx" | "4xx" | "5xx"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn counted(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn to_f64(gauge: i64) -> f64 {
    gauge as f64
}

const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
