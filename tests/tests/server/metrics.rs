//! `/metrics`: what is counted, who may read it, and that no client makes a new series.

use hubcast_server::Config;
use hubcast_tests::{ApiClient, Frame, Server, Socket, key_of, with_api_key};
use serde_json::json;
use std::collections::BTreeMap;

/// All series with their values.
fn scraped(server: &Server) -> BTreeMap<String, f64> {
    let mut socket = server.socket();
    socket.writes(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(socket.answer().status, 200);
    let body = socket.rest();
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Waits until a series has this value.
fn eventually(server: &Server, series: &str, value: f64) {
    for _ in 0..500 {
        if (scraped(server)[series] - value).abs() < 1e-9 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{series} is {} and not {value}", scraped(server)[series]);
}

#[test]
fn what_clients_do_is_counted() {
    let server = Server::with(|config| {
        with_api_key(config, "news", &[(hubcast_hub::Permission::Publish, ">")]);
    });
    let (mut typed, mut plain) = (server.typed(), server.plain());
    typed.subscribes("world");
    typed.subscribes_to_pattern("a.*");
    plain.subscribes("world");
    typed.publishes("world", "hello");
    typed.hears_message("world", "hello");
    plain.hears("hello");
    typed.says(json!({"action": "history", "id": 1, "topic": "none"}));
    typed.hears_error(1, "no_history");
    assert_eq!(
        ApiClient::open(&server, "news").posts("/api/publish", &json!({"topic": "x", "message": 1})).status(),
        200
    );
    let metrics = scraped(&server);
    for (series, value) in [
        ("hubcast_connections{transport=\"websocket\",dialect=\"typed\"}", 1.0),
        ("hubcast_connections{transport=\"websocket\",dialect=\"plain\"}", 1.0),
        ("hubcast_connections_opened_total{transport=\"websocket\"}", 2.0),
        ("hubcast_subscriptions{kind=\"topic\"}", 2.0),
        ("hubcast_subscriptions{kind=\"pattern\"}", 1.0),
        ("hubcast_topics", 1.0),
        ("hubcast_requests_total{action=\"subscribe\"}", 3.0),
        ("hubcast_errors_total{code=\"no_history\"}", 1.0),
        ("hubcast_publications_total{source=\"client\"}", 1.0),
        ("hubcast_publications_total{source=\"http\"}", 1.0),
        ("hubcast_deliveries_total{dialect=\"typed\"}", 1.0),
        ("hubcast_deliveries_total{dialect=\"plain\"}", 1.0),
        ("hubcast_fanout_receivers_bucket{le=\"10\"}", 2.0),
        ("hubcast_http_requests_total{route=\"/api/publish\",method=\"POST\",status=\"2xx\"}", 1.0),
        ("hubcast_http_requests_total{route=\"/socket\",method=\"GET\",status=\"1xx\"}", 2.0),
        ("hubcast_draining", 0.0),
    ] {
        let counted = metrics.get(series).unwrap_or_else(|| panic!("no {series} in {:?}", metrics.keys()));
        assert!((counted - value).abs() < 1e-9, "{series} is {counted} and not {value}");
    }
    for busy in ["hubcast_fanout_duration_seconds_count", "hubcast_turn_duration_seconds_count", "process_open_fds"] {
        assert!(metrics[busy] > 0.0, "{busy}");
    }
    drop((typed, plain));
    eventually(&server, "hubcast_connections{transport=\"websocket\",dialect=\"plain\"}", 0.0);
    eventually(&server, "hubcast_connections_closed_total{code=\"1006\"}", 2.0);
    let counters = |series: &&String| series.contains("_total") || series.ends_with("_count");
    let later = scraped(&server);
    for series in metrics.keys().filter(counters) {
        assert!(later[series] >= metrics[series], "{series} went back");
    }
}

#[test]
fn what_a_client_sends_makes_no_new_series() {
    let server = Server::start();
    let before: Vec<_> = scraped(&server).into_keys().collect();
    assert!((250..400).contains(&before.len()), "{}", before.len());
    for number in 0..300 {
        let mut socket = server.socket();
        let method = ["GET", "FOO", "DELETE", "HEAD"][number % 4];
        socket.writes(format!("{method} /x{number}?a={number} HTTP/1.1\r\nHost: h{number}\r\nOrigin: o{number}\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(socket.answer().status >= 400);
    }
    let mut typed = server.typed();
    for number in 0..300 {
        typed.subscribes(&format!("topic.{number}"));
        typed.says(json!({"action": format!("action{number}"), "id": number}));
        typed.hears_error(number, "unknown_action");
    }
    let mut socket = server.socket();
    socket.writes(b"\x16\x03\x01 no request at all\r\n\r\n");
    socket.rest();
    let mut leaver = hubcast_tests::Typed::open(server.socket());
    leaver.socket.sends([&Frame::close(3456, "a code of its own")]);
    eventually(&server, "hubcast_connections_closed_total{code=\"other\"}", 1.0);
    let after = scraped(&server);
    assert_eq!(after.keys().cloned().collect::<Vec<_>>(), before);
    let other = "hubcast_http_requests_total{route=\"other\",method=\"other\",status=\"4xx\"}";
    assert!((after[other] - 300.0).abs() < 1e-9, "{}", after[other]);
    assert!(after["hubcast_handshakes_refused_total{reason=\"malformed\"}"] >= 1.0);
}

/// The status of a request for the metrics with these headers.
fn status(server: &Server, headers: &str) -> u16 {
    let mut socket = Socket::connect(server.address());
    socket.writes(format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n").as_bytes());
    socket.answer().status
}

#[test]
fn from_behind_a_proxy_they_need_a_key() {
    let proxied = "X-Forwarded-For: 192.0.2.1\r\n";
    let open = Server::start();
    assert_eq!(
        (status(&open, ""), status(&open, proxied), status(&open, "Forwarded: for=192.0.2.1\r\n")),
        (200, 403, 403)
    );
    let server = Server::with(|config: &mut Config| {
        with_api_key(config, "plain", &[(hubcast_hub::Permission::Publish, ">")]);
        with_api_key(config, "manage", &[(hubcast_hub::Permission::Publish, ">")]);
    });
    let with = |id: &str| format!("{proxied}Authorization: Bearer {}\r\n", key_of(id));
    assert_eq!([status(&server, proxied), status(&server, &with("unknown"))], [401, 401]);
    assert_eq!([status(&server, &with("plain")), status(&server, &with("manage"))], [403, 200]);
}

#[test]
fn they_are_only_read() {
    let server = Server::start();
    assert_eq!(server.status_of("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 405);
    assert_eq!(server.status_of("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
}

/// The names of metrics in a query, each with the labels that it asks for in braces.
fn asked(query: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in query.match_indices("hubcast_").chain(query.match_indices("process_")) {
        if query[..at].ends_with(is_name) {
            continue;
        }
        let rest = &query[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let braces = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inner, _)| inner);
        let labels = braces.split(',').filter_map(|pair| pair.split(['=', '!']).next());
        let labels = labels.map(|label| label.trim().to_owned());
        // These two are from Prometheus itself.
        let labels = labels.filter(|label| !matches!(&**label, "" | "job" | "instance")).collect();
        found.push((rest[..end].to_owned(), labels));
    }
    found
}

#[test]
fn dashboard_and_alerts_ask_for_what_is_there() {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let read = |file: &str| std::fs::read_to_string(deploy.join(file)).expect("a file of deploy/");
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/hubcast.json")).expect("JSON");
    let mut queries: Vec<String> = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let targets = panel["targets"].as_array().into_iter().flatten();
        queries.extend(targets.map(|target| target["expr"].as_str().expect("a query").to_owned()));
    }
    let alerts = read("prometheus/hubcast.rules.yaml");
    queries.extend(alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned));
    assert!(queries.len() > 50, "{}", queries.len());
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".parse().expect("a secret");
    let url = "http://127.0.0.1:9/".parse().expect("an address");
    let hook = hubcast_server::hooks::Hook::new("audit", url, secret);
    let state = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state-of-metrics");
    let server = Server::with(|config| (config.hooks, config.state_dir) = (vec![hook], Some(state)));
    let series: Vec<String> = scraped(&server).into_keys().collect();
    for query in queries {
        for (name, labels) in asked(&query) {
            let of_name = series.iter().filter(|series| series.split('{').next() == Some(&name));
            let fits = |series: &&String| labels.iter().all(|label| series.contains(&format!("{label}=\"")));
            assert!(of_name.clone().any(|series| fits(&series)), "{name} with {labels:?} is not there, in {query}");
        }
        for by in query.split(" by (").skip(1) {
            let (labels, rest) = by.split_once(')').expect("a list of labels");
            let Some((name, _)) = asked(rest).into_iter().next() else { continue };
            for label in labels.split(", ").filter(|label| !matches!(*label, "instance" | "job")) {
                let has_label = |series: &String| series.starts_with(&name) && series.contains(&format!("{label}=\""));
                assert!(series.iter().any(has_label), "{name} has no label {label}, in {query}");
            }
        }
    }
}
