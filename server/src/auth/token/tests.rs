use super::*;
use crate::auth::testing::Signer;
use crate::auth::{KeySet, TokenAlgorithm, TokenKey};
use data_encoding::BASE64URL_NOPAD;
use hubcast_hub::MemberName;
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use std::time::Duration;

const NOW: u64 = 1_790_000_000;
const SECRET: &[u8] = b"a test secret that is long enough";

fn hs256() -> Signer {
    Signer::secret(SECRET)
}

fn strict() -> TokenRules {
    TokenRules { audience: Some("hub".into()), issuer: Some("login".into()), ..TokenRules::default() }
}

fn verifier(keys: Vec<TokenKey>, rules: TokenRules) -> TokenVerifier {
    TokenVerifier::new(KeySet::new(keys).unwrap(), rules)
}

fn of_secret() -> TokenVerifier {
    verifier(vec![TokenKey::secret(SECRET).unwrap()], strict())
}

fn verify(verifier: &TokenVerifier, token: &str) -> Result<Verified, TokenFault> {
    verifier.verify(token, Instant::now(), NOW)
}

/// Right claims with one of them replaced, or taken out if the value is empty.
fn claims(name: &str, value: &str) -> String {
    let exp = (NOW + 600).to_string();
    let right = [("sub", "\"canary\""), ("exp", exp.as_str()), ("aud", "\"hub\""), ("iss", "\"login\"")];
    let kept = right.iter().filter(|(of, _)| *of != name).copied();
    let pairs = kept.chain((!value.is_empty()).then_some((name, value)));
    let text = pairs.map(|(name, value)| format!("{name:?}:{value}")).collect::<Vec<_>>().join(",");
    format!("{{{text}}}")
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Refused, with this fault, whose text holds nothing of the token.
#[track_caller]
fn is_refused(verifier: &TokenVerifier, what: &str, token: &str, expected: TokenFault) {
    let fault = verify(verifier, token).err();
    assert_eq!(fault, Some(expected), "{what}");
    assert!(!expected.to_string().contains("canary"), "{what}");
    let checks = verifier.explain(token, NOW);
    assert!(checks.iter().any(|check| check.outcome.is_err()), "{what} is explained");
}

#[test]
fn a_token_with_a_wrong_claim_is_refused() {
    use TokenFault as F;
    let (verifier, signer) = (of_secret(), hs256());
    let (late, long) = ((NOW + 86_401).to_string(), format!("\"{}\"", "canary".repeat(60)));
    let many = format!("[{}]", vec!["\"a\""; 101].join(","));
    let (deep, large) = (format!("{}{}", "[".repeat(70), "]".repeat(70)), format!("\"{}\"", "canary".repeat(200)));
    for (name, value, expected) in [
        ("exp", "", F::Expiry),
        ("exp", "\"1790000600\"", F::Expiry),
        ("exp", "null", F::Expiry),
        ("exp", "true", F::Expiry),
        ("exp", "[1790000600]", F::Expiry),
        ("exp", "-1", F::Expiry),
        ("exp", "1e400", F::Expiry),
        ("exp", "0", F::Expired),
        ("exp", "1790000000", F::Expired),
        ("exp", "1789999999.9", F::Expired),
        ("exp", &late, F::TooLongLived),
        ("exp", "18446744073709551615", F::TooLongLived),
        ("exp", "1e300", F::TooLongLived),
        ("nbf", "1790000001", F::NotYet),
        ("nbf", "1790000000.5", F::NotYet),
        ("nbf", "\"canary\"", F::NotBefore),
        ("nbf", "-5", F::NotBefore),
        ("iat", "\"canary\"", F::IssuedAt),
        ("aud", "", F::Audience),
        ("aud", "5", F::Audience),
        ("aud", "null", F::Audience),
        ("aud", "{}", F::Audience),
        ("aud", "[]", F::Audience),
        ("aud", "\"Hub\"", F::Audience),
        ("aud", "[5,\"hub\"]", F::Audience),
        ("iss", "", F::Issuer),
        ("iss", "5", F::Issuer),
        ("iss", "[\"login\",\"canary\"]", F::Issuer),
        ("sub", "", F::Subject),
        ("sub", "5", F::Subject),
        ("sub", "\"\"", F::Subject),
        ("sub", "\"*\"", F::Subject),
        ("sub", "\"{user}\"", F::Subject),
        ("sub", "\"a\\nb\"", F::Subject),
        ("sub", "[\"canary\"]", F::Subject),
        ("sub", &long, F::Subject),
        ("info", &large, F::Info),
        ("info", &deep, F::Info),
        ("subscribe", "\"canary\"", F::Grants),
        ("subscribe", "[5]", F::Grants),
        ("subscribe", "{}", F::Grants),
        ("publish", "[\"canary..>\"]", F::Grants),
        ("history", "[\">.a\"]", F::Grants),
        ("presence", "[\"@\"]", F::Grants),
        ("subscribe", &many, F::TooManyGrants),
    ] {
        is_refused(&verifier, &format!("{name} = {value}"), &signer.sign(HEADER, &claims(name, value)), expected);
    }
    for (what, text) in [
        ("no object", "[]"),
        ("text", "\"canary\""),
        ("broken", "{\"sub\":"),
        ("exp twice", r#"{"sub":"canary","exp":1790000600,"exp":1,"aud":"hub","iss":"login"}"#),
        ("sub twice", r#"{"sub":"canary","sub":"b","exp":1790000600,"aud":"hub","iss":"login"}"#),
        ("a mark of the order of bytes", "\u{feff}{}"),
        ("more behind it", "{}{}"),
    ] {
        is_refused(&verifier, what, &signer.sign(HEADER, text), F::Claims);
    }
}

#[test]
fn a_token_with_a_wrong_header_or_signature_is_refused() {
    use TokenFault as F;
    let (rsa, signer, right) = (Signer::rsa(), hs256(), claims("", ""));
    let verifier = of_secret();
    for (header, expected) in [
        (r#"{"alg":"none"}"#, F::Algorithm),
        (r#"{"alg":"None"}"#, F::Algorithm),
        (r#"{"alg":"NONE"}"#, F::Algorithm),
        (r#"{"alg":"hs256"}"#, F::Algorithm),
        (r#"{"alg":"HS384"}"#, F::Algorithm),
        (r#"{"alg":"RS256"}"#, F::Algorithm),
        (r#"{"alg":""}"#, F::Algorithm),
        (r#"{"alg":5}"#, F::Header),
        (r#"{"typ":"JWT"}"#, F::Header),
        (r#"{"alg":"HS256","alg":"none"}"#, F::Header),
        (r#"{"alg":"HS256","kid":5}"#, F::Header),
        (r"[]", F::Header),
        ("", F::Malformed),
        (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, F::Type),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, F::Type),
        (r#"{"alg":"HS256","crit":["exp"]}"#, F::Critical),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, F::Critical),
        (r#"{"alg":"HS256","crit":[]}"#, F::Critical),
        (r#"{"alg":"HS256","kid":"canary"}"#, F::UnknownKey),
        (r#"{"alg":"HS256","kid":"../../dev/null"}"#, F::UnknownKey),
        (r#"{"alg":"HS256","kid":""}"#, F::UnknownKey),
    ] {
        is_refused(&verifier, header, &signer.sign(header, &right), expected);
    }
    let token = signer.sign(HEADER, &right);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = Signer::secret(b"another secret that is long enough");
    let of_public = Signer::secret(rsa.public_pem.as_bytes());
    let by_rsa = self::verifier(vec![rsa.public()], strict());
    for (what, token, expected) in [
        ("no signature", format!("{signed}."), F::Signature),
        ("a short one", format!("{signed}.{}", &signature[..20]), F::Signature),
        ("another key", other.sign(HEADER, &right), F::Signature),
        (
            "another body",
            {
                let body = BASE64URL_NOPAD.encode(claims("sub", "\"eve\"").as_bytes());
                format!("{}.{body}.{signature}", signed.split('.').next().unwrap())
            },
            F::Signature,
        ),
        ("HS384 in truth", signer.sign_as(Algorithm::HS384, HEADER, &right), F::Signature),
        ("two parts", signed.to_owned(), F::Malformed),
        ("four parts", format!("{token}.{signature}"), F::Malformed),
        ("five parts", format!("{token}..."), F::Malformed),
        ("padding", format!("{token}="), F::Malformed),
        ("a space", format!("{token} "), F::Malformed),
        ("a line end", format!("{token}\n"), F::Malformed),
        ("nothing", String::new(), F::Malformed),
        ("dots", "..".to_owned(), F::Malformed),
        ("other letters", format!("{}ö", &token[..token.len() - 2]), F::Malformed),
        ("too long", format!("{token}{}", "A".repeat(7_600)), F::TooLong),
    ] {
        let fault = verify(&verifier, &token).err();
        assert!(fault == Some(expected) || fault == Some(F::Malformed) && expected != F::TooLong, "{what}: {fault:?}");
    }
    let public_as_secret = of_public.sign(r#"{"alg":"HS256"}"#, &right);
    is_refused(&by_rsa, "the public key as a secret", &public_as_secret, F::Algorithm);
    let named_rs256 = of_public.sign(r#"{"alg":"RS256"}"#, &right);
    is_refused(&by_rsa, "the same, called RS256", &named_rs256, F::Signature);
}

#[test]
fn the_last_letter_of_a_signature_has_one_spelling() {
    let token = hs256().sign(HEADER, &claims("", ""));
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars();
    let spellings = letters.map(|letter| format!("{}{letter}", &token[..token.len() - 1]));
    let accepted = spellings.filter(|token| verify(&of_secret(), token).is_ok());
    assert_eq!(accepted.collect::<Vec<_>>(), [token.clone()]);
}

#[test]
fn a_right_token_of_each_algorithm_is_accepted() {
    for signer in [hs256(), Signer::rsa(), Signer::es256(), Signer::es384(), Signer::ed25519()] {
        let key = match signer.algorithm {
            TokenAlgorithm::Hs256 => TokenKey::secret(SECRET).unwrap(),
            _ => signer.public(),
        };
        let verifier = verifier(vec![key], strict());
        let header = format!(r#"{{"typ":"at+jwt","alg":"{}"}}"#, signer.algorithm);
        for (name, value) in [
            ("", ""),
            ("exp", "1790000600.75"),
            ("exp", "1790086400"),
            ("nbf", "1789999999"),
            ("aud", "[\"other\",\"hub\"]"),
            ("sub", "\"a.b\""),
            ("sub", "\"@x\""),
            ("sub", "\">\""),
            ("subscribe", "[\"room.{user}.>\",\"@ada\"]"),
            ("info", "{\"name\":\"Ada\"}"),
            ("anything", "{\"else\":[1,2]}"),
        ] {
            let verified = verify(&verifier, &signer.sign(&header, &claims(name, value)));
            let verified = verified.unwrap_or_else(|fault| panic!("{} {name} {value}: {fault}", signer.algorithm));
            assert_eq!(verified.login.identity.name, MemberName::User(verified.user));
        }
    }
}

#[test]
fn keys_are_exchanged_by_kid_and_time() {
    let (old, new) = (hs256(), Signer::secret(b"a newer secret that is long enough"));
    let key = |secret: &[u8], id: &str, not_after| {
        let mut key = TokenKey::secret(secret).unwrap();
        (key.id, key.not_after) = (Some(id.into()), not_after);
        key
    };
    let newer = key(b"a newer secret that is long enough", "new", None);
    let token =
        |signer: &Signer, kid: &str| signer.sign(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), &claims("", ""));
    let both = verifier(vec![key(SECRET, "old", Some(NOW + 1)), newer.clone()], strict());
    assert!(verify(&both, &token(&old, "old")).is_ok() && verify(&both, &token(&new, "new")).is_ok());
    assert_eq!(verify(&both, &token(&old, "new")).err(), Some(TokenFault::Signature));
    assert_eq!(verify(&both, &old.sign(HEADER, &claims("", ""))).err(), Some(TokenFault::AmbiguousKey));
    let over = verifier(vec![key(SECRET, "old", Some(NOW)), newer], strict());
    assert_eq!(verify(&over, &token(&old, "old")).err(), Some(TokenFault::KeyOver));
    assert!(verify(&over, &new.sign(HEADER, &claims("", ""))).is_ok(), "only one key is left that fits");
}

#[test]
fn the_leeway_forgives_the_difference_of_clocks_and_the_claims_may_stand_in_an_object() {
    let rules = TokenRules { leeway: Duration::from_secs(30), claims: Some("hub".into()), ..strict() };
    let (verifier, signer) = (verifier(vec![TokenKey::secret(SECRET).unwrap()], rules), hs256());
    assert!(verify(&verifier, &signer.sign(HEADER, &claims("exp", "1789999971"))).is_ok());
    assert!(verify(&verifier, &signer.sign(HEADER, &claims("exp", "1789999970"))).is_err());
    assert!(verify(&verifier, &signer.sign(HEADER, &claims("nbf", "1790000030"))).is_ok());
    let grants = |token: &str| verify(&verifier, token).unwrap().login.credentials.grants.is_empty();
    assert!(grants(&signer.sign(HEADER, &claims("subscribe", "[\">\"]"))), "outside of the object they do not count");
    assert!(!grants(&signer.sign(HEADER, &claims("hub", "{\"subscribe\":[\">\"]}"))));
}

proptest! {
    #[test]
    fn no_bytes_are_a_token(text in "\\PC{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,60}", 0..5)) {
        let verifier = of_secret();
        for token in [text, parts.join(".")] {
            prop_assert!(verify(&verifier, &token).is_err());
            verifier.explain(&token, NOW);
        }
    }

    #[test]
    fn a_right_token_with_one_other_byte_is_refused(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_.-]") {
        let token = hs256().sign(HEADER, &claims("subscribe", "[\"a\"]"));
        let at = at.index(token.len());
        let changed = format!("{}{byte}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(verify(&of_secret(), &changed).is_ok(), changed == token);
    }

    #[test]
    fn no_claims_that_are_signed_make_it_panic(claims in "\\PC{0,200}", name in "exp|nbf|iat|aud|iss|sub|info|subscribe|history",
        value in "[0-9eE+.-]{1,20}|\"\\PC{0,9}\"|\\[[a-z\",]{0,9}\\]|null|true|\\{\\}") {
        let (verifier, signer) = (of_secret(), hs256());
        for claims in [claims, self::claims(&name, &value)] {
            let token = signer.sign(HEADER, &claims);
            let is_accepted = verify(&verifier, &token).is_ok();
            let checks = verifier.explain(&token, NOW);
            prop_assert_eq!(is_accepted, checks.iter().all(|check| check.outcome.is_ok()));
        }
    }
}
