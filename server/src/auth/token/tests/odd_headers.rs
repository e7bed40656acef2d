//! Headers with a right signature: what they say is refused, or must not count.

use super::*;

fn signed(header: &str) -> String {
    DESK.sign(header, &claims("", None))
}

fn refuses_all(headers: &[&str], fault: TokenFault) {
    for header in headers {
        DESK.refuses(&signed(header), fault, header);
    }
}

#[test]
fn a_header_that_is_no_object_with_an_algorithm_is_refused() {
    refuses_all(
        &[
            "zebra",
            "null",
            "7",
            "[]",
            r#""HS256""#,
            r#"[{"alg":"HS256"}]"#,
            "{}",
            r#"{"alg":"HS256""#,
            r#"{"alg":"HS256",}"#,
            r#"{"alg":"HS256"}}"#,
            r#"{"alg":"HS256"}{"alg":"HS256"}"#,
            r#"{"alg":"HS256"} zebra"#,
            r#"{"alg":"HS256"/* zebra */}"#,
            "{'alg':'HS256'}",
            "{alg:\"HS256\"}",
            "\u{feff}{\"alg\":\"HS256\"}",
            "{\"alg\":\"HS256\"}\0",
            "{\"alg\":\"HS256\",\"kid\":\"a\nb\"}",
            r#"{"alg":"HS256","kid":"\ud800"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"ALG":"HS256"}"#,
            r#"{"alg":null}"#,
            r#"{"alg":7}"#,
            r#"{"alg":true}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":{"name":"HS256"}}"#,
        ],
        TokenFault::Header,
    );
}

#[test]
fn a_name_that_comes_twice_in_the_header_is_refused() {
    refuses_all(
        &[
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            r#"{"alg":"HS256","kid":"HS256","kid":"zebra"}"#,
            r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
            r#"{"alg":"HS256","zebra":1,"zebra":2}"#,
        ],
        TokenFault::Header,
    );
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    refuses_all(
        &[
            r#"{"alg":"HS256","crit":["zebra"],"zebra":1}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","crit":["exp"],"exp":1800000600}"#,
            r#"{"alg":"HS256","crit":["alg"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","crit":null}"#,
            r#"{"alg":"HS256","crit":"zebra"}"#,
            r#"{"alg":"HS256","\u0063rit":["zebra"]}"#,
        ],
        TokenFault::Critical,
    );
}

#[test]
fn a_token_of_another_kind_is_refused() {
    for typ in [
        "",
        "zebra",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "application/dpop+jwt",
        "application/",
        "application/application/jwt",
        "text/jwt",
        "JWE",
        "JOSE",
        "JWS",
        " JWT",
        "JWT ",
        "JWT\\u0000",
        "JWT;a=b",
        "J\u{2d7}WT",
        "at+JWT+jwt",
    ] {
        DESK.refuses(&signed(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#)), TokenFault::Type, typ);
    }
    for typ in ["null", "7", "[]", r#"["JWT"]"#, "{}"] {
        DESK.refuses(&signed(&format!(r#"{{"alg":"HS256","typ":{typ}}}"#)), TokenFault::Header, typ);
    }
}

#[test]
fn only_the_kind_of_the_settings_is_taken_where_they_name_one() {
    let typ = Some("application/zebra+jwt".to_owned());
    let verifier = TokenVerifier::new(DESK.verifier.keys().as_ref().clone(), TokenRules { typ, ..rules() });
    let verify = |typ: &str| verifier.verify(&signed(&format!(r#"{{"alg":"HS256"{typ}}}"#)), DESK.start, NOW).map(drop);
    for typ in ["", r#","typ":"JWT""#, r#","typ":"at+jwt""#, r#","typ":"application/application/zebra+jwt""#] {
        assert_eq!(verify(typ), Err(TokenFault::Type), "{typ}");
    }
    for typ in [r#","typ":"zebra+jwt""#, r#","typ":"Zebra+JWT""#, r#","typ":"application/zebra+jwt""#] {
        assert_eq!(verify(typ), Ok(()), "{typ}");
    }
}

#[test]
fn a_kid_that_is_not_exactly_that_of_a_key_is_refused() {
    let long = "zebra".repeat(800);
    for id in [
        "",
        "zebra",
        "hs256",
        "HS256 ",
        " HS256",
        "HS256\\u0000",
        "HS256\\u0000.pem",
        "HS25",
        "HS256/../HS256",
        "./HS256",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "https://zebra.test/jwks.json",
        "..\\\\..\\\\windows\\\\win.ini",
        "zebra' UNION SELECT 'secret",
        "HS256|cat /etc/passwd",
        "$(zebra)",
        "%48S256",
        "H\u{405}256",
        "*",
        "HS256,RS256",
        long.as_str(),
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
        DESK.refuses(&signed(&header), TokenFault::UnknownKey, id);
        // What one signs with who hopes that the file is empty.
        let empty = Signer::secret(b"").sign(&header, &claims("", None));
        DESK.refuses(&empty, TokenFault::UnknownKey, id);
    }
    for id in ["null", "7", "0", "true", r#"["HS256"]"#, r#"{"HS256":1}"#] {
        DESK.refuses(&signed(&format!(r#"{{"alg":"HS256","kid":{id}}}"#)), TokenFault::Header, id);
    }
}

#[test]
fn a_kid_of_another_algorithm_is_refused() {
    for id in ["RS256", "ES256", "ES384", "EdDSA"] {
        DESK.refuses(&signed(&format!(r#"{{"alg":"HS256","kid":"{id}"}}"#)), TokenFault::Algorithm, id);
    }
}
