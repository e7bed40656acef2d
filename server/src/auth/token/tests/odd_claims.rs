//! Claims with a right signature that are refused.

use super::*;

fn refuses_without(name: &str, fault: TokenFault) {
    DESK.refuses(&DESK.sign(HEADER, &claims(name, None)), fault, &format!("no {name}"));
}

/// What is no time in seconds.
const NO_NUMBERS: [&str; 14] = [
    "null",
    "true",
    r#""zebra""#,
    r#""1800000600""#,
    r#""""#,
    "[]",
    "[1800000600]",
    "{}",
    r#"{"$serde_json::private::Number":"1800000600"}"#,
    "-1",
    "-0.5",
    "-1e300",
    "-1800000600",
    "1e999",
];

#[test]
fn a_token_without_an_end_in_seconds_is_refused() {
    refuses_without("exp", TokenFault::Expiry);
    let texts: Vec<_> = NO_NUMBERS.into_iter().filter(|text| *text != "1e999").collect();
    refuses_claims("exp", &texts, TokenFault::Expiry);
    let huge = "9".repeat(1000);
    refuses_claims("exp", &[&huge, "1e999", "-1e999"], TokenFault::Expiry);
    let token = DESK.sign(HEADER, &claims("exp", None).replacen('{', r#"{"Exp":1800000600,"#, 1));
    DESK.refuses(&token, TokenFault::Expiry, "another name");
}

#[test]
fn a_token_is_refused_from_its_end_on_and_if_the_end_is_too_far() {
    refuses_claims("exp", &["0", "-0", "1", "1799999999", "1800000000", "1800000000.9", "1.8e9"], TokenFault::Expired);
    // In milliseconds, which is a usual mistake.
    let far = [
        "1800086401",
        "1800086401.5",
        "18446744073709551616",
        "1800000600000",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
    ];
    refuses_claims("exp", &far, TokenFault::TooLongLived);
}

#[test]
fn a_token_of_the_future_is_refused() {
    refuses_claims("nbf", &["1800000000.5", "1800000001", "1800000060", "18446744073709551615"], TokenFault::NotYet);
    refuses_claims("nbf", &NO_NUMBERS, TokenFault::NotBefore);
    refuses_claims("iat", &NO_NUMBERS, TokenFault::IssuedAt);
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    refuses_without("aud", TokenFault::Audience);
    let others = [
        "null",
        "7",
        "true",
        "{}",
        r#"{"hub":1}"#,
        "[]",
        "[null]",
        r#""zebra""#,
        r#""""#,
        r#""Hub""#,
        r#""hub ""#,
        r#""hub\u0000""#,
        r#""hu""#,
        r#""hubs""#,
        r#""hub,zebra""#,
        r#""zebra hub""#,
        r#""*""#,
        r#"["zebra"]"#,
        r#"["hub",5]"#,
        r#"[5,"hub"]"#,
        r#"["hub",null]"#,
        r#"[["hub"]]"#,
        r#"["zebra hub"]"#,
    ];
    refuses_claims("aud", &others, TokenFault::Audience);
    let anyone = TokenVerifier::new(DESK.verifier.keys().as_ref().clone(), TokenRules { audience: None, ..rules() });
    for aud in others.into_iter().chain([r#""hub""#]) {
        let verified = anyone.verify(&DESK.sign(HEADER, &claims("aud", Some(aud))), DESK.start, NOW);
        assert_eq!(verified.unwrap_err(), TokenFault::UnexpectedAudience, "{aud}");
    }
    assert!(anyone.verify(&DESK.sign(HEADER, &claims("aud", None)), DESK.start, NOW).is_ok());
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    refuses_without("iss", TokenFault::Issuer);
    let others = [
        "null",
        "7",
        "{}",
        "[]",
        r#""""#,
        r#""zebra""#,
        r#"["https://login.test"]"#,
        r#"["https://login.test","zebra"]"#,
        r#""https://login.test/""#,
        r#""HTTPS://login.test""#,
        r#""http://login.test""#,
        r#""https://login.test.zebra""#,
        r#"" https://login.test""#,
        r#""https://login.test@zebra""#,
    ];
    refuses_claims("iss", &others, TokenFault::Issuer);
}

#[test]
fn a_user_without_a_usable_name_is_refused() {
    refuses_without("sub", TokenFault::Subject);
    let long = format!("\"{}\"", "z".repeat(257));
    let long_in_bytes = format!("\"{}\"", "\u{1f993}".repeat(65));
    let huge = format!("\"{}\"", "zebra".repeat(1000));
    let names = [
        "null",
        "7",
        "true",
        "[]",
        r#"["zebra"]"#,
        r#"{"name":"zebra"}"#,
        r#""""#,
        r#""*""#,
        r#""{user}""#,
        r#""\u002a""#,
        r#""zebra\u0000""#,
        r#""zebra\n""#,
        r#""\tzebra""#,
        r#""zebra\u007f""#,
        r#""zebra\u0085""#,
        r#""zebra\u001b[2J""#,
        r#""zebra\ud800""#,
        r#""\udc00\ud800""#,
        &long,
        &long_in_bytes,
        &huge,
    ];
    refuses_claims("sub", &names, TokenFault::Subject);
}

#[test]
fn only_a_token_that_is_right_otherwise_is_called_expired() {
    let expired = |name: &str, value: &str| claims(name, Some(value)).replace("1800000600", "1799999999");
    DESK.refuses(&DESK.sign(HEADER, &expired("zebra", "1")), TokenFault::Expired, "nothing else");
    let others = [
        ("nbf", "1900000000", TokenFault::NotYet),
        ("aud", r#""zebra""#, TokenFault::Audience),
        ("iss", r#""zebra""#, TokenFault::Issuer),
        ("sub", r#""""#, TokenFault::Subject),
        ("iat", "-1", TokenFault::IssuedAt),
        ("subscribe", "7", TokenFault::Grants),
    ];
    for (name, value, fault) in others {
        DESK.refuses(&DESK.sign(HEADER, &expired(name, value)), fault, name);
    }
    let stranger = Signer::secret(b"zebra").sign(HEADER, &expired("zebra", "1"));
    DESK.refuses(&stranger, TokenFault::Signature, "a stranger does not learn whether it would be expired");
}
