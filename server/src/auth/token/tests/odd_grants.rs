//! `info` and grants with a right signature that are refused.

use super::*;

#[test]
fn info_that_is_too_large_or_too_deep_is_refused() {
    let long = format!("\"{}\"", "z".repeat(1023));
    let escaped = format!("\"{}\"", "\\u007a".repeat(171));
    let blanks = format!("[{}]", " ".repeat(1023));
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65));
    let half = r#"{"name":"\ud800"}"#;
    refuses_claims(
        "info",
        &[&long, &escaped, &blanks, &deep(65), &deep(512), &deep(2500), &objects, half],
        TokenFault::Info,
    );
}

#[test]
fn grants_that_are_no_list_of_topics_are_refused() {
    let long = format!("[\"{}\"]", "z".repeat(1025));
    let deep = format!("{}{}", "[".repeat(2500), "]".repeat(2500));
    let lists = [
        "7",
        "true",
        r#""zebra""#,
        r#""""#,
        "{}",
        r#"{"zebra":true}"#,
        "[7]",
        "[null]",
        "[[]]",
        r#"[["zebra"]]"#,
        r#"["zebra",{}]"#,
        r#"[""]"#,
        r#"["zebra",""]"#,
        r#"["zebra..a"]"#,
        r#"[".zebra"]"#,
        r#"["zebra."]"#,
        r#"["."]"#,
        r#"["zebra.>.a"]"#,
        r#"[">.zebra"]"#,
        r#"["zebra.{user}s"]"#,
        r#"["{user}{user}"]"#,
        r#"["@"]"#,
        r#"["@zebra*"]"#,
        r#"["@>"]"#,
        r#"["@zebra.>"]"#,
        r#"["@{user}.zebra"]"#,
        r#"["zebra\n"]"#,
        r#"["zebra\npzebra.a"]"#,
        r#"["zebra\u0000"]"#,
        r#"["zebra\r"]"#,
        r#"["zebra\u0085"]"#,
        r#"["zebra\ud800"]"#,
        &long,
        &deep,
    ];
    for name in ["subscribe", "publish", "presence", "history"] {
        refuses_claims(name, &lists, TokenFault::Grants);
    }
}

#[test]
fn more_than_100_grants_are_refused_however_they_are_spread() {
    let list = |count: usize| format!("[{}]", vec![r#""zebra""#; count].join(","));
    // Three are in the right claims.
    refuses_claims("presence", &[&list(98), &list(101), &list(600)], TokenFault::TooManyGrants);
    refuses_claims("subscribe", &[&list(100)], TokenFault::TooManyGrants);
    refuses_claims("history", &[&format!("[{}]", vec![r#""""#; 1500].join(","))], TokenFault::TooManyGrants);
}

#[test]
fn claims_in_an_object_of_their_own_are_that_object_or_nothing() {
    let rules = TokenRules { claims: Some("https://hub.test/claims".into()), ..rules() };
    let verifier = TokenVerifier::new(DESK.verifier.keys().as_ref().clone(), rules);
    let verify = |value| {
        let token = DESK.sign(HEADER, &claims("https://hub.test/claims", value));
        verifier.verify(&token, DESK.start, NOW).map(|verified| verified.login)
    };
    for value in
        ["null", "7", "[]", r#""zebra""#, r#"{"info":1,"info":2}"#, r#"{"subscribe":[],"\u0073ubscribe":["zebra"]}"#]
    {
        assert_eq!(verify(Some(value)), Err(TokenFault::Claims), "{value}");
    }
    assert_eq!(verify(Some(r#"{"subscribe":"zebra"}"#)), Err(TokenFault::Grants));
    for value in [None, Some("{}")] {
        let login = verify(value).unwrap();
        assert!(
            login.credentials.grants.is_empty() && login.identity.info.is_none(),
            "what stands outside counts for nothing"
        );
    }
    let inside = verify(Some(r#"{"info":{"name":"Zebra"},"subscribe":["zebra.>","@{user}"],"publish":["zebra.a"]}"#));
    assert_eq!(inside, Ok(login(DESK.start)));
}
