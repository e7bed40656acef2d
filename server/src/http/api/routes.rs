//! The routes of the HTTP API.

use hubcast_protocol::Topic;
use hyper::Method;
use std::borrow::Cow;

/// One route. The list of all of them is [`ROUTES`].
#[derive(Debug)]
pub(super) struct Route {
    /// `GET` stands for `HEAD` too.
    pub(super) method: Method,
    /// The path below `/api/`. A segment in braces stands for any text.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) needs: Needs,
    /// The names of its query parameters.
    pub(super) query: &'static [&'static str],
}

/// What a route does. The names are those of the description in `openapi.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Publish,
    Topics,
    Topic,
    Presence,
    History,
    DeleteHistory,
    Clients,
    Client,
    Disconnect,
    Subscribe,
    Unsubscribe,
    Stats,
    OpenApi,
}

/// What a request must show before anything else of it is looked at. Grants of topics are checked later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Key,
    /// A key that may manage.
    Manage,
}

/// What a path was found to be.
pub(super) enum Found {
    /// The route, and the text of its segment in braces, decoded.
    Route(&'static Route, Option<String>),
    /// There are only other methods, as `Allow` lists them.
    OtherMethods(&'static str),
    /// The segment in braces is not the percent-encoding of a UTF-8 text.
    NotEncoded,
    Nothing,
}

/// The number of a route in [`ROUTES`].
pub(super) fn number(route: &Route) -> Option<usize> {
    ROUTES.iter().position(|known| std::ptr::eq(known, route))
}

/// Finds the route of a path, which is still encoded.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let Some(path) = path.strip_prefix("/api/") else { return Found::Nothing };
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut fitting = ROUTES.iter().filter_map(|route| Some((route, fit(route.path, path)?)));
    let Some((first, variable)) = fitting.clone().next() else { return Found::Nothing };
    let Some((route, _)) = fitting.find(|(route, _)| route.method == *method) else {
        return Found::OtherMethods(allowed(first.path));
    };
    match variable.map(decode) {
        None => Found::Route(route, None),
        Some(Some(text)) => Found::Route(route, Some(text)),
        Some(None) => Found::NotEncoded,
    }
}

/// Compares a path with that of a route; returns the segment that stands in the place of the one in braces, if there
/// is one. No such segment is empty, `.` or `..`: proxies remove these.
fn fit<'p>(route: &str, path: &'p str) -> Option<Option<&'p str>> {
    if !route.contains('{') {
        return (route == path).then_some(None);
    }
    let (mut theirs, mut variable) = (path.split('/'), None);
    for ours in route.split('/') {
        let their = theirs.next()?;
        if ours.starts_with('{') {
            if matches!(their, "" | "." | "..") {
                return None;
            }
            variable = Some(their);
        } else if ours != their {
            return None;
        }
    }
    theirs.next().is_none().then_some(variable)
}

/// The methods of a path, as a header.
fn allowed(path: &str) -> &'static str {
    let methods = ROUTES.iter().filter(|route| route.path == path).map(|route| &route.method);
    match methods.collect::<Vec<_>>()[..] {
        [&Method::GET] => "GET, HEAD",
        [&Method::POST] => "POST",
        _ => "GET, HEAD, DELETE",
    }
}

/// Decodes a percent-encoded text (RFC 3986 section 2.1), once. A `+` is a plus.
fn decode(segment: &str) -> Option<String> {
    let (mut decoded, mut bytes) = (Vec::with_capacity(segment.len()), segment.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The topic of a request: of its path, or else of its query.
pub(super) fn topic(of_path: Option<&str>, of_query: Option<&str>) -> Option<Topic> {
    of_path.or(of_query).map(|text| Topic::from(Cow::Borrowed(text).into_owned()))
}

const fn route(
    method: Method,
    path: &'static str,
    operation: Operation,
    needs: Needs,
    query: &'static [&'static str],
) -> Route {
    Route { method, path, operation, needs, query }
}

/// All routes. Those of one path stand together.
#[rustfmt::skip]
pub(super) static ROUTES: [Route; 17] = [
    route(Method::POST, "publish", Operation::Publish, Needs::Key, &[]),
    route(Method::GET, "topics", Operation::Topics, Needs::Manage, &["prefix", "limit", "cursor"]),
    route(Method::GET, "topics/{topic}", Operation::Topic, Needs::Key, &[]),
    route(Method::GET, "topic", Operation::Topic, Needs::Key, &["topic"]),
    route(Method::GET, "topics/{topic}/presence", Operation::Presence, Needs::Key, &[]),
    route(Method::GET, "presence", Operation::Presence, Needs::Key, &["topic"]),
    route(Method::GET, "topics/{topic}/history", Operation::History, Needs::Key, &["since", "limit"]),
    route(Method::DELETE, "topics/{topic}/history", Operation::DeleteHistory, Needs::Manage, &[]),
    route(Method::GET, "history", Operation::History, Needs::Key, &["topic", "since", "limit"]),
    route(Method::DELETE, "history", Operation::DeleteHistory, Needs::Manage, &["topic"]),
    route(Method::GET, "clients", Operation::Clients, Needs::Manage, &["limit", "cursor", "slow"]),
    route(Method::GET, "clients/{id}", Operation::Client, Needs::Manage, &[]),
    route(Method::POST, "disconnect", Operation::Disconnect, Needs::Manage, &[]),
    route(Method::POST, "subscribe", Operation::Subscribe, Needs::Manage, &[]),
    route(Method::POST, "unsubscribe", Operation::Unsubscribe, Needs::Manage, &[]),
    route(Method::GET, "stats", Operation::Stats, Needs::Manage, &[]),
    route(Method::GET, "openapi.json", Operation::OpenApi, Needs::Nothing, &[]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// What a path is found to be, in short.
    fn found(method: &str, path: &str) -> String {
        match find(&method.parse().unwrap(), path) {
            Found::Route(route, None) => format!("{:?}", route.operation),
            Found::Route(route, Some(text)) => format!("{:?} {text}", route.operation),
            Found::OtherMethods(allow) => allow.to_owned(),
            Found::NotEncoded => "not encoded".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_topic_in_the_path_is_decoded_once() {
        for (path, expected) in [
            ("/api/topics/world", "Topic world"),
            ("/api/topics/a%2Fb", "Topic a/b"),
            ("/api/topics/a%252Fb", "Topic a%2Fb"),
            ("/api/topics/%2E%2E", "Topic .."),
            ("/api/topics/a+b%20c", "Topic a+b c"),
            ("/api/topics/%C3%BC/history", "History ü"),
            ("/api/topics/history/presence", "Presence history"),
            ("/api/topics/%FF", "not encoded"),
            ("/api/topics/%2", "not encoded"),
            ("/api/topics/%zz", "not encoded"),
            ("/api/topics/%+1", "not encoded"),
        ] {
            assert_eq!(found("GET", path), expected, "{path}");
        }
    }

    #[test]
    fn what_proxies_rewrite_is_no_route() {
        for path in [
            "/api/topics/",
            "/api/topics//history",
            "/api/topics/../stats",
            "/api/topics/./history",
            "/api/stats/",
            "/api//stats",
            "/api/Stats",
            "/api/%73tats",
            "/api",
            "/api/",
            "/api/topics/a/b",
            "/api/topics/a/history/",
        ] {
            assert_eq!(found("GET", path), "nothing", "{path}");
        }
    }

    /// Every route as the description has it: method, path, names of its query parameters, and what it is called.
    fn described() -> BTreeSet<(String, String, Vec<String>, String)> {
        let description: Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        let mut routes = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| {
                    let place = parameter["$ref"].as_str().unwrap().trim_start_matches('#');
                    description.pointer(place).unwrap_or_else(|| panic!("no {place}"))
                });
                let in_query = parameters.filter(|parameter| parameter["in"] == "query");
                let names = in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
                let id = operation["operationId"].as_str().unwrap().trim_end_matches("ByQuery").to_lowercase();
                routes.insert((method.to_uppercase(), path.clone(), names, id));
            }
        }
        routes
    }

    #[test]
    fn the_description_has_exactly_these_routes() {
        let routes = ROUTES.iter().map(|Route { method, path, operation, query, .. }| {
            let query = query.iter().map(ToString::to_string).collect();
            (method.to_string(), format!("/api/{path}"), query, format!("{operation:?}").to_lowercase())
        });
        assert_eq!(described(), routes.collect());
    }

    #[test]
    fn all_that_the_description_refers_to_is_there() {
        let description: Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        let places = super::super::OPENAPI.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let places: BTreeSet<_> = places.collect();
        assert!(places.len() > 20, "{places:?}");
        for place in places {
            assert!(description.pointer(place).is_some(), "{place}");
        }
    }

    #[test]
    fn other_methods_are_named() {
        for (method, path, expected) in [
            ("GET", "/api/publish", "POST"),
            ("OPTIONS", "/api/publish", "POST"),
            ("TRACE", "/api/topics/a/history", "GET, HEAD, DELETE"),
            ("PUT", "/api/history", "GET, HEAD, DELETE"),
            ("DELETE", "/api/stats", "GET, HEAD"),
            ("HEAD", "/api/stats", "Stats"),
            ("DELETE", "/api/topics/a/history", "DeleteHistory a"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }
}
