//! Texts that are no token: dots, base64url, length, UTF-8.

use super::*;

fn right() -> String {
    DESK.sign(HEADER, &claims("", None))
}

/// The same bytes for a careless reader: the bits of the last character that belong to no byte are not zero.
fn with_other_tail(part: &str) -> String {
    let other = match (part.len() % 4, part.chars().last().unwrap()) {
        (2 | 3, 'A') => 'B',
        (2 | 3, 'Q') => 'R',
        (2 | 3, 'g') => 'h',
        (2 | 3, 'w') => 'x',
        (3, last) => char::from(last as u8 + 1),
        (_, last) => panic!("{last} has no other spelling"),
    };
    format!("{}{other}", &part[..part.len() - 1])
}

#[test]
fn what_is_not_three_parts_of_base64url_is_refused() {
    let right = right();
    let (signed, signature) = right.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    for text in ["", ".", "..", "...", "zebra", "a.b.c", "{}.{}.zebra", "\u{1f993}.\u{1f993}.\u{1f993}", "\0.\0.\0"] {
        DESK.refuses(text, TokenFault::Malformed, text);
    }
    let table = [
        ("no claims and no signature", header.to_owned()),
        ("no signature", signed.to_owned()),
        ("an empty signature", format!("{signed}.")),
        ("no header", format!(".{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("claims apart from the token", format!("{header}.{signature}")),
        ("a part more at the end", format!("{right}.{signature}")),
        ("a dot more at the end", format!("{right}.")),
        ("a dot more at the start", format!(".{right}")),
        ("the five parts of an encrypted token", format!("{header}.{claims}.{claims}.{claims}.{signature}")),
        ("two tokens", format!("{right} {right}")),
        ("a scheme", format!("Bearer {right}")),
        ("quotes", format!("\"{right}\"")),
        ("a blank at the start", format!(" {right}")),
        ("a blank at the end", format!("{right} ")),
        ("a line end", format!("{right}\n")),
        ("a line end inside", right.replacen('.', ".\r\n", 1)),
        ("a NUL at the end", format!("{right}\0")),
        ("a byte order mark", format!("\u{feff}{right}")),
        ("an escaped dot", right.replacen('.', "%2E", 1)),
        ("another dot", right.replacen('.', "\u{3002}", 1)),
        ("a letter that only looks right", right.replacen('e', "\u{435}", 1)),
        ("the JSON form", format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#)),
    ];
    for (what, token) in table {
        DESK.refuses(&token, TokenFault::Malformed, what);
    }
}

#[test]
fn base64_with_padding_or_of_the_other_alphabet_is_refused() {
    let right = right();
    let parts: Vec<_> = right.split('.').collect();
    for index in 0..3 {
        for padding in ["=", "==", "%3D"] {
            let mut parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
            parts[index].push_str(padding);
            let token = parts.join(".");
            DESK.refuses(&token, TokenFault::Malformed, &format!("{padding} after part {index}"));
            if index < 2 {
                let signed = DESK.signers[0].sign_encoded(token.rsplit_once('.').unwrap().0);
                DESK.refuses(&signed, TokenFault::Malformed, &format!("{padding} after part {index}, signed so"));
            }
        }
    }
    let header = data_encoding::BASE64_NOPAD.encode("{\"alg\":\"HS256\",\"x\":\"\u{fff}\u{fff}\"}".as_bytes());
    assert!(header.contains(['/', '+']), "{header}");
    let signed = format!("{header}.{}", parts[1]);
    DESK.refuses(&DESK.signers[0].sign_encoded(&signed), TokenFault::Malformed, "the alphabet with + and /");
}

#[test]
fn a_part_with_another_spelling_is_refused() {
    // The bytes of each part leave bits over.
    let claims = (0..3).map(|blanks| format!("{}{}", claims("", None), " ".repeat(blanks)));
    let claims = claims.map(|text| BASE64URL_NOPAD.encode(text.as_bytes())).find(|part| part.len() % 4 != 0).unwrap();
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"HS256" }"#);
    let signer = &DESK.signers[0];
    let right = signer.sign_encoded(&format!("{header}.{claims}"));
    DESK.lets_in(&right, "the usual spelling");
    let (signed, signature) = right.rsplit_once('.').unwrap();
    let token = format!("{signed}.{}", with_other_tail(signature));
    DESK.refuses(&token, TokenFault::Signature, "another tail of the signature");
    for (what, header, claims) in [
        ("another tail of the header", with_other_tail(&header), claims.clone()),
        ("another tail of the claims", header.clone(), with_other_tail(&claims)),
    ] {
        let signed = format!("{header}.{claims}");
        DESK.refuses(&signer.sign_encoded(&signed), TokenFault::Malformed, what);
        assert!(DESK.verify(&format!("{signed}.{signature}")).is_err(), "{what}, signed in the usual spelling");
    }
    let one_more = signer.sign_encoded(&format!("{header}.{}A", "AAAA".repeat(4)));
    DESK.refuses(&one_more, TokenFault::Malformed, "a length that no bytes have");
}

#[test]
fn parts_that_are_not_utf_8_are_refused() {
    let right = claims("", None);
    let signer = &DESK.signers[0];
    for bytes in
        [&b"\xff"[..], b"{\"alg\":\"HS256\",\"x\":\"\xc0\xaf\"}", b"\xff\xfe{\0}\0", b"{\"alg\":\"HS256\"}\xf0\x9f"]
    {
        DESK.refuses(&signer.sign_bytes(bytes, right.as_bytes()), TokenFault::Malformed, "the header");
        DESK.refuses(&signer.sign_bytes(HEADER.as_bytes(), bytes), TokenFault::Malformed, "the claims");
    }
    // Half of a surrogate pair in UTF-8, in a claim that is otherwise right.
    let claims = [&right.as_bytes()[..right.len() - 1], b",\"x\":\"\xed\xa0\x80\"}"].concat();
    DESK.refuses(&signer.sign_bytes(HEADER.as_bytes(), &claims), TokenFault::Malformed, "half of a surrogate pair");
}

#[test]
fn a_token_has_at_most_7600_bytes() {
    let with = |blanks: usize| DESK.sign(HEADER, &format!("{}{}", claims("", None), " ".repeat(blanks)));
    let longest = with((AccessToken::MAX_BYTES - with(0).len()) / 4 * 3);
    assert!(longest.len() > AccessToken::MAX_BYTES - 4);
    DESK.lets_in(&longest, "the longest");
    DESK.refuses(&format!("{longest}{}", "A".repeat(4)), TokenFault::TooLong, "longer");
    DESK.refuses(&with(AccessToken::MAX_BYTES), TokenFault::TooLong, "longer, and signed so");
    DESK.refuses(&".".repeat(1_000_000), TokenFault::TooLong, "a million dots");
    DESK.refuses(&".".repeat(AccessToken::MAX_BYTES), TokenFault::Malformed, "as many dots as a token has bytes");
}
