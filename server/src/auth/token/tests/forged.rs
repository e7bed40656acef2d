//! Tokens that were not signed by a key of the server, or not with its algorithm.

use super::*;
use jsonwebtoken::Algorithm;

/// The header and the claims of a right token, encoded, with another `alg`.
fn unsigned(header: &str) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims("", None).as_bytes()))
}

fn with_alg(name: &str) -> String {
    unsigned(&format!(r#"{{"alg":"{name}"}}"#))
}

#[test]
fn a_token_without_a_signature_is_refused_however_none_is_spelled() {
    for name in
        ["none", "None", "NONE", "nOnE", "n\\u006fne", "none ", " none", "none\\u0000", "non\u{435}", "", "null"]
    {
        let signed = with_alg(name);
        DESK.refuses(&format!("{signed}."), TokenFault::Malformed, name);
        DESK.refuses(&signed, TokenFault::Malformed, name);
        DESK.refuses(&format!("{signed}.AAAA"), TokenFault::Algorithm, name);
        DESK.refuses(&DESK.signers[0].sign_encoded(&signed), TokenFault::Algorithm, name);
        let named = unsigned(&format!(r#"{{"alg":"{name}","kid":"HS256"}}"#));
        DESK.refuses(&DESK.signers[0].sign_encoded(&named), TokenFault::Algorithm, name);
    }
}

#[test]
fn an_algorithm_that_the_server_has_not_is_refused() {
    let names = ["HS384", "HS512", "RS384", "RS512", "PS256", "PS512", "ES512", "ES256K", "Ed448", "ML-DSA-44"];
    let odd = ["hs256", "HS-256", "HS256 ", "HmacSHA256", "HS256,none", "eddsa", "ED25519", "dir", "RSA-OAEP", "zebra"];
    for name in names.into_iter().chain(odd) {
        for signer in &DESK.signers {
            DESK.refuses(&signer.sign_encoded(&with_alg(name)), TokenFault::Algorithm, name);
        }
    }
}

#[test]
fn only_the_key_of_the_kid_verifies_and_only_with_its_own_algorithm() {
    for signer in &DESK.signers {
        for said in &DESK.signers {
            for named in &DESK.signers {
                let (alg, kid) = (said.algorithm.name(), named.algorithm.name());
                let token = signer.sign_encoded(&unsigned(&format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#)));
                let what = format!("{} signs as {alg} with the kid {kid}", signer.algorithm);
                match (signer.algorithm == said.algorithm, alg == kid) {
                    (_, false) => DESK.refuses(&token, TokenFault::Algorithm, &what),
                    (false, true) => DESK.refuses(&token, TokenFault::Signature, &what),
                    (true, true) => drop(DESK.lets_in(&token, &what)),
                }
            }
            let token = signer.sign_encoded(&with_alg(said.algorithm.name()));
            if signer.algorithm != said.algorithm {
                DESK.refuses(&token, TokenFault::Signature, "no kid");
            }
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for signer in &DESK.signers[1..] {
        let pem = signer.public_pem.as_str();
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
        let alone = TokenVerifier::new(KeySet::new(vec![key(signer)]).unwrap(), rules());
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), pem.replace('\n', "").as_bytes(), base64.as_bytes(), &der]
        {
            let forger = Signer::secret(secret);
            DESK.refuses(&forger.sign_encoded(&with_alg("HS256")), TokenFault::Signature, pem);
            let name = signer.algorithm.name();
            DESK.refuses(&forger.sign_encoded(&with_alg(name)), TokenFault::Signature, pem);
            let named = unsigned(&format!(r#"{{"alg":"HS256","kid":"{name}"}}"#));
            DESK.refuses(&forger.sign_encoded(&named), TokenFault::Algorithm, pem);
            let verified = alone.verify(&forger.sign_encoded(&with_alg("HS256")), DESK.start, NOW);
            assert_eq!(verified.unwrap_err(), TokenFault::Algorithm, "{name}, and there is no secret");
        }
    }
}

#[test]
fn a_key_of_somebody_else_is_refused_also_where_the_token_brings_it_along() {
    let mut longer = SECRET.to_vec();
    longer.push(b'\n');
    let secrets = [&b""[..], b"\0", b"secret", &SECRET[1..], &longer].map(Signer::secret);
    let others = [Signer::rsa(), Signer::es256(), Signer::es384(), Signer::ed25519()];
    for other in secrets.iter().chain(&others) {
        let alg = other.algorithm.name();
        for more in [
            String::new(),
            format!(r#","kid":"{alg}""#),
            r#","jwk":{"kty":"oct","k":"emVicmE"}"#.to_owned(),
            r#","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.to_owned(),
            r#","jku":"https://zebra.test/jwks.json""#.to_owned(),
            r#","x5u":"https://zebra.test/zebra.pem""#.to_owned(),
            r#","x5c":["emVicmE="],"x5t":"emVicmE""#.to_owned(),
            r#","iss":"https://login.test","verified":true"#.to_owned(),
        ] {
            let token = other.sign_encoded(&unsigned(&format!(r#"{{"alg":"{alg}"{more}}}"#)));
            DESK.refuses(&token, TokenFault::Signature, &format!("{alg} {more}"));
        }
    }
}

#[test]
fn a_signature_of_the_right_length_that_nobody_made_is_refused() {
    let as_der = BASE64URL_NOPAD.encode(&[&[0x30, 6, 2, 1, 1, 2, 1, 1][..], &[0; 56]].concat());
    for signer in &DESK.signers {
        let token = signer.sign_encoded(&with_alg(signer.algorithm.name()));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        let (half, last) = (bytes.len() / 2, bytes.len() - 1);
        for (what, forged) in [
            ("zeros, as of a curve without a check", vec![0; bytes.len()]),
            ("ones", [vec![0; half - 1], vec![1], vec![0; last - half], vec![1]].concat()),
            ("all bits set", vec![0xff; bytes.len()]),
            ("half of it", bytes[..half].to_vec()),
            ("one byte less", bytes[..last].to_vec()),
            ("one byte more", [&bytes[..], &[0]].concat()),
            ("a zero in front", [&[0], &bytes[..]].concat()),
            ("twice", bytes.repeat(2)),
            ("backwards", bytes.iter().rev().copied().collect()),
            ("one byte", vec![0]),
        ] {
            let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&forged));
            DESK.refuses(&token, TokenFault::Signature, &format!("{}: {what}", signer.algorithm));
        }
        DESK.refuses(&format!("{signed}.{as_der}"), TokenFault::Signature, "as DER");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = DESK.signers[0].sign_as(algorithm, &with_alg("HS256"));
        DESK.refuses(&token, TokenFault::Signature, "another hash");
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = DESK.signers[1].sign_as(algorithm, &with_alg("RS256"));
        DESK.refuses(&token, TokenFault::Signature, "another hash or padding");
    }
}

#[test]
fn claims_that_were_changed_after_the_signature_are_refused() {
    for signer in &DESK.signers {
        let header = format!(r#"{{"alg":"{}"}}"#, signer.algorithm);
        let token = signer.sign(&header, &claims("", None));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, own) = signed.split_once('.').unwrap();
        for (name, value) in RIGHT {
            let other = BASE64URL_NOPAD.encode(claims(name, None).as_bytes());
            let forged = token.replace(own, &other);
            DESK.refuses(&forged, TokenFault::Signature, &format!("without {name} {value}"));
        }
        let other = BASE64URL_NOPAD.encode(format!(r#"{{"alg":"{}","typ":"JWT"}}"#, signer.algorithm).as_bytes());
        DESK.refuses(&format!("{other}.{own}.{signature}"), TokenFault::Signature, "another header");
    }
}
