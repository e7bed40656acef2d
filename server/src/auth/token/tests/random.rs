//! Random texts, random changes and random claims.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// A right token of each algorithm.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let header = |signer: &Signer| format!(r#"{{"alg":"{}"}}"#, signer.algorithm);
    DESK.signers.iter().map(|signer| signer.sign(&header(signer), &claims("", None))).collect()
});

/// Bytes that mean something in JSON and in base64url, more often than others.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:.\\u0e-_=AQgw \n\0"[..])]
}

fn json() -> impl Strategy<Value = Value> {
    let texts = ["zebra", "hub", "https://login.test", "*", "{user}", "", "zebra.>", "@{user}", "a..b"];
    let numbers = [0, 1, NOW - 1, NOW, NOW + 1, NOW + 600, NOW + 86_400, NOW + 86_401, u64::MAX];
    let fractions = [0.5, -0.5, -0.0, 1_799_999_999.5, 1_800_000_000.5, 1_800_000_001.5, 1_800_086_400.5];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(fractions.to_vec()).prop_map(Value::from),
        prop::sample::select(numbers.to_vec()).prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = vec((".{0,6}", inner.clone()), 0..4);
        let object = members.prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into());
        prop_oneof![vec(inner, 0..4).prop_map(Value::Array), object]
    })
}

/// The right claims, of which some have a random value and some are missing.
fn some_claims() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let names =
        ["sub", "aud", "iss", "exp", "nbf", "iat", "info", "subscribe", "publish", "presence", "history", "zebra"];
    vec((prop::sample::select(names.to_vec()), prop::option::weighted(0.9, json())), 0..3).prop_map(|changes| {
        let mut all: serde_json::Map<_, _> = serde_json::from_str(&claims("", None)).unwrap();
        for (name, value) in changes {
            match value {
                Some(value) => drop(all.insert(name.to_owned(), value)),
                None => drop(all.remove(name)),
            }
        }
        all
    })
}

/// The rules for claims, told a second time without regard to which fault comes first.
fn are_right(claims: &serde_json::Map<String, Value>) -> bool {
    let time = |name: &str| claims.get(name).map(|time| time.as_f64().filter(|time| *time >= 0.0));
    let (now, day) = (f64::from(u32::try_from(NOW).unwrap()), 86_400.0);
    let is_name = |name: &str| (1..=256).contains(&name.len()) && !name.contains(char::is_control);
    let is_list = |name: &&str| match claims.get(*name) {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => {
            list.iter().all(|text| text.as_str().is_some_and(|text| Grant::parse(text).is_ok()))
        }
        Some(_) => false,
    };
    let audience = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.contains(&"hub".into()),
        one => one == Some(&"hub".into()),
    };
    audience
        && time("exp").flatten().is_some_and(|exp| (now + 1.0..now + day + 1.0).contains(&exp))
        && time("nbf").is_none_or(|nbf| nbf.is_some_and(|nbf| nbf <= now))
        && time("iat").is_none_or(|iat| iat.is_some())
        && claims.get("iss") == Some(&"https://login.test".into())
        && claims.get("sub").and_then(Value::as_str).is_some_and(|sub| is_name(sub) && sub != "*" && sub != "{user}")
        && claims.get("info").is_none_or(|info| info.to_string().len() <= 1024)
        && ["subscribe", "publish", "presence", "history"].iter().all(is_list)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_let_in(text in ".{0,300}", bytes in vec(byte(), 0..300)) {
        prop_assert!(DESK.verify(&text).is_err());
        prop_assert!(DESK.verify(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn no_three_parts_are_let_in(parts in vec(vec(byte(), 0..80), 3), alg in 0..5usize) {
        let encoded: Vec<_> = parts.iter().map(|part| BASE64URL_NOPAD.encode(part)).collect();
        prop_assert!(DESK.verify(&encoded.join(".")).is_err());
        let (signed, signature) = TOKENS[alg].rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        for token in [
            format!("{header}.{claims}.{}", encoded[2]),
            format!("{header}.{}.{}", encoded[1], encoded[2]),
            format!("{header}.{}.{signature}", encoded[1]),
            format!("{}.{claims}.{signature}", encoded[0]),
        ] {
            prop_assert!(DESK.verify(&token).is_err(), "{}", token);
        }
    }

    #[test]
    fn a_token_of_which_one_byte_is_another_is_not_let_in(
        alg in 0..5usize, place: prop::sample::Index, byte in byte(), kind in 0..3u8,
    ) {
        let right = TOKENS[alg].as_bytes();
        let (place, byte) = (place.index(right.len()), byte & 0x7f);
        let mut changed = right.to_vec();
        match kind {
            0 => changed[place] = byte,
            1 => changed.insert(place, byte),
            _ => drop(changed.remove(place)),
        }
        let verified = DESK.verify(str::from_utf8(&changed).unwrap());
        prop_assert_eq!(verified.is_ok(), changed == right);
    }

    #[test]
    fn a_token_of_which_a_bit_is_another_is_not_let_in(alg in 0..5usize, part in 0..3usize, bit: prop::sample::Index) {
        let mut parts: Vec<_> = TOKENS[alg].split('.').map(str::to_owned).collect();
        let mut bytes = BASE64URL_NOPAD.decode(parts[part].as_bytes()).unwrap();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        parts[part] = BASE64URL_NOPAD.encode(&bytes);
        prop_assert!(DESK.verify(&parts.join(".")).is_err());
    }

    #[test]
    fn signed_bytes_are_refused_without_a_panic(header in vec(byte(), 0..60), claims in vec(byte(), 0..200)) {
        prop_assert!(DESK.verify(&DESK.signers[0].sign_bytes(&header, &claims)).is_err());
        prop_assert!(DESK.verify(&DESK.signers[0].sign_bytes(HEADER.as_bytes(), &claims)).is_err());
    }

    #[test]
    fn a_signed_header_with_a_change_is_let_in_only_if_it_still_names_the_algorithm(
        place: prop::sample::Index, byte in byte(),
    ) {
        let mut header = br#"{"alg":"HS256","kid":"HS256","typ":"JWT"}"#.to_vec();
        let place = place.index(header.len());
        header[place] = byte;
        if DESK.verify(&DESK.signers[0].sign_bytes(&header, claims("", None).as_bytes())).is_ok() {
            let read: Value = serde_json::from_slice(&header).unwrap();
            prop_assert_eq!(&read["alg"], "HS256");
        }
    }

    #[test]
    fn random_claims_are_let_in_if_and_only_if_all_of_them_are_right(claims in some_claims()) {
        let token = DESK.sign(HEADER, &Value::from(claims.clone()).to_string());
        let is_short = token.len() <= AccessToken::MAX_BYTES;
        prop_assert_eq!(DESK.verify(&token).is_ok(), is_short && are_right(&claims));
    }

    #[test]
    fn any_json_as_claims_is_refused_without_a_panic(value in json()) {
        prop_assert!(DESK.verify(&DESK.sign(HEADER, &value.to_string())).is_err());
        prop_assert!(DESK.verify(&DESK.sign(&value.to_string(), &claims("", None))).is_err());
    }
}
