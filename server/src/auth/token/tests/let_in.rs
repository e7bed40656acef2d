//! Tokens that are let in, and as whom.

use super::*;
use std::pin::pin;
use std::task::{Context, Waker};

fn with(name: &str, value: &str) -> Login {
    DESK.lets_in(&DESK.sign(HEADER, &claims(name, Some(value))), &format!("{name} {value}"))
}

fn without(name: &str) -> Login {
    DESK.lets_in(&DESK.sign(HEADER, &claims(name, None)), &format!("no {name}"))
}

fn user(login: &Login) -> &str {
    match &login.identity.name {
        MemberName::User(user) => user,
        other => panic!("{other:?}"),
    }
}

/// A key with an id of its own, which ends at some time.
fn named(signer: &Signer, id: &str, not_after: Option<u64>) -> TokenKey {
    let mut key = key(signer);
    (key.id, key.not_after) = (Some(id.into()), not_after);
    key
}

#[test]
fn a_token_of_each_algorithm_is_let_in_with_what_it_says() {
    for signer in &DESK.signers {
        let alg = signer.algorithm.name();
        for more in ["".to_owned(), format!(r#","kid":"{alg}""#), format!(r#","typ":"JWT","kid":"{alg}""#)] {
            let token = signer.sign(&format!(r#"{{"alg":"{alg}"{more}}}"#), &claims("", None));
            let verified = DESK.verify(&token).unwrap();
            assert_eq!(verified.login, login(DESK.start), "{alg} {more}");
            assert_eq!((&*verified.user, verified.issued_at), ("zebra", Some(NOW - 10)), "{alg} {more}");
            assert!(DESK.verifier.explain(&token, NOW).iter().all(|check| check.outcome.is_ok()), "{alg} {more}");
        }
    }
    let ed25519 = DESK.signers[4].sign(r#"{"alg":"Ed25519","kid":"EdDSA"}"#, &claims("", None));
    assert_eq!(DESK.lets_in(&ed25519, "the other name of the same algorithm"), login(DESK.start));
}

#[test]
fn what_a_header_says_of_no_importance_does_not_matter() {
    let deep = format!(r#"{{"alg":"HS256","jwk":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    for header in [
        r#"{"alg":"HS256","typ":"jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"AT+JWT"}"#,
        r#"{"alg":"HS256","typ":"application/jwt"}"#,
        r#"{"alg":"HS256","typ":"Application/at+JWT"}"#,
        r#"{"\u0061lg":"HS\u0032\u0035\u0036"}"#,
        " {\r\n\t\"alg\" : \"HS256\" } ",
        r#"{"alg":"HS256","zebra":null,"cty":"JWT"}"#,
        r#"{"alg":"HS256","jku":"https://zebra.test/jwks.json","jwk":{"kty":"oct","k":""}}"#,
        &deep,
    ] {
        assert_eq!(DESK.lets_in(&DESK.sign(header, &claims("", None)), header), login(DESK.start), "{header}");
    }
}

#[test]
fn a_token_is_let_in_within_its_time_to_the_second() {
    for name in ["iat", "nbf"] {
        without(name);
    }
    for (name, value) in [("nbf", "0"), ("nbf", "1800000000"), ("iat", "0"), ("iat", "18446744073709551615")] {
        assert_eq!(with(name, value), login(DESK.start), "{name} {value}");
    }
    assert_eq!(with("nbf", "1799999999.9"), login(DESK.start));
    for exp in ["1800000600.0", "1800000600.9", "1.8000006e9", "18000006e2"] {
        assert_eq!(with("exp", exp), login(DESK.start), "{exp}");
    }
    for left in [1, 24 * 3600] {
        let expiry = with("exp", &(NOW + left).to_string()).credentials.expiry;
        assert_eq!(expiry, Some(Expiry { at: DESK.start + Duration::from_secs(left), unix: NOW + left }));
    }
}

#[test]
fn a_leeway_counts_at_both_ends_of_the_time_and_for_the_longest() {
    let leeway = Duration::from_secs(30);
    let keys = DESK.verifier.keys().as_ref().clone();
    let verifier = TokenVerifier::new(keys, TokenRules { leeway, ..rules() });
    let verify = |name: &str, time: u64| {
        let token = DESK.sign(HEADER, &claims(name, Some(&time.to_string())));
        verifier.verify(&token, DESK.start, NOW).map(|verified| verified.login.credentials.expiry.unwrap())
    };
    let left = |seconds, unix| Ok(Expiry { at: DESK.start + Duration::from_secs(seconds), unix });
    assert_eq!(verify("exp", NOW - 29), left(1, NOW - 29));
    assert_eq!(verify("exp", NOW - 30), Err(TokenFault::Expired));
    assert_eq!(verify("exp", NOW + 86_430), left(86_460, NOW + 86_430));
    assert_eq!(verify("exp", NOW + 86_431), Err(TokenFault::TooLongLived));
    assert_eq!(verify("nbf", NOW + 30), left(630, NOW + 600));
    assert_eq!(verify("nbf", NOW + 31), Err(TokenFault::NotYet));
}

#[test]
fn an_audience_may_be_one_of_many() {
    for aud in [r#"["hub"]"#, r#"["zebra","hub"]"#, r#"["hub","hub"]"#, r#""h\u0075b""#] {
        assert_eq!(with("aud", aud), login(DESK.start), "{aud}");
    }
}

#[test]
fn a_name_is_any_text_that_no_grant_gives_another_meaning() {
    let (long, wide) = ("z".repeat(256), "\u{1f993}".repeat(64));
    for name in
        ["a", "a.b", "@zebra", ">", "**", "zebra.*", "{user}s", "{User}", " ", "null", "\u{1f993}", &long, &wide]
    {
        assert_eq!(user(&with("sub", &format!("\"{name}\""))), name);
    }
    assert_eq!(user(&with("sub", r#""\u007aebra \ud83e\udd93""#)), "zebra \u{1f993}");
}

#[test]
fn info_is_any_small_json_and_grants_may_be_missing() {
    let text = |value: &str| with("info", value).identity.info.as_ref().map(|info| info.as_plain().to_owned());
    let long = "z".repeat(1022);
    assert_eq!(text(&format!("\"{long}\"")), Some(long));
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert_eq!(text(&deep), Some(deep));
    assert_eq!(
        text(r#"{"a": 1e999,"a":2}"#).as_deref(),
        Some(r#"{"a": 1e999,"a":2}"#),
        "its text is passed on as it is"
    );
    assert_eq!(text("null"), None);
    assert_eq!(without("info").identity.info, None);
    for name in ["subscribe", "publish"] {
        for login in [with(name, "[]"), with(name, "null"), without(name)] {
            let left = ["subscribe", "publish"].into_iter().find(|other| *other != name);
            let of = |permission| login.credentials.grants.of(permission).count();
            let expected = if left == Some("publish") { (0, 1) } else { (2, 0) };
            assert_eq!((of(Permission::Subscribe), of(Permission::Publish)), expected);
        }
    }
    let most = format!("[{}]", vec![r#""zebra.*""#; 97].join(","));
    assert_eq!(with("history", &most).credentials.grants.of(Permission::History).count(), 97);
}

#[test]
fn claims_that_are_not_ours_do_not_matter() {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    for value in ["null", r#"{"a":1,"a":2}"#, "1e999", r#""\ud800""#, &deep] {
        assert_eq!(with("zebra", value), login(DESK.start), "{value}");
        assert_eq!(with("", value), login(DESK.start), "{value}");
    }
    let blanks = claims("", None).replace(',', " \r\n\t, ");
    assert_eq!(DESK.lets_in(&DESK.sign(HEADER, &format!("\n{blanks}\n")), "blanks"), login(DESK.start));
}

#[test]
fn a_new_key_takes_over_from_an_old_one_without_a_gap() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let keys = KeySet::new(vec![named(&old, "may", Some(NOW + 60)), named(&new, "june", None)]).unwrap();
    let verifier = TokenVerifier::new(keys, rules());
    let verify = |signer: &Signer, kid: &str, now| {
        let token = signer.sign(&format!(r#"{{"alg":"EdDSA"{kid}}}"#), &claims("", None));
        verifier.verify(&token, DESK.start, now).map(drop)
    };
    let (may, june) = (r#","kid":"may""#, r#","kid":"june""#);
    assert_eq!(verify(&old, may, NOW + 59), Ok(()));
    assert_eq!(verify(&old, may, NOW + 60), Err(TokenFault::KeyOver));
    assert_eq!(verify(&new, june, NOW), Ok(()));
    assert_eq!(verify(&new, june, NOW + 60), Ok(()));
    assert_eq!(verify(&old, june, NOW), Err(TokenFault::Signature));
    assert_eq!(verify(&new, may, NOW), Err(TokenFault::Signature));
    assert_eq!(verify(&new, may, NOW + 60), Err(TokenFault::KeyOver), "the kid of a key that is over");
    assert_eq!(verify(&old, "", NOW), Err(TokenFault::AmbiguousKey));
    assert_eq!(verify(&new, "", NOW), Err(TokenFault::AmbiguousKey));
    assert_eq!(verify(&new, "", NOW + 60), Ok(()), "only one is left");
    assert_eq!(verify(&old, "", NOW + 60), Err(TokenFault::Signature));
}

#[test]
fn keys_that_are_replaced_no_longer_count_and_an_unknown_kid_asks_for_new_ones() {
    let (old, new) = (Signer::es256(), Signer::es256());
    let verifier = TokenVerifier::new(KeySet::new(vec![named(&old, "may", None)]).unwrap(), rules());
    let verify = |signer: &Signer, kid: &str| {
        let token = signer.sign(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), &claims("", None));
        verifier.verify(&token, DESK.start, NOW).map(drop)
    };
    let is_asked = || pin!(verifier.unknown_key()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert_eq!(verify(&old, "may"), Ok(()));
    assert_eq!(verify(&new, "may"), Err(TokenFault::Signature));
    assert!(!is_asked());
    assert_eq!(verify(&new, "june"), Err(TokenFault::UnknownKey));
    assert_eq!(verify(&new, "june"), Err(TokenFault::UnknownKey));
    assert!(is_asked());
    assert!(!is_asked(), "once for all that came before");
    verifier.replace_keys(KeySet::new(vec![named(&new, "june", None)]).unwrap());
    assert_eq!(verify(&new, "june"), Ok(()));
    assert_eq!(verify(&old, "may"), Err(TokenFault::UnknownKey));
    assert_eq!(verify(&old, "june"), Err(TokenFault::Signature));
}
