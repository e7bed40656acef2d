//! Claims with a right signature that are no JSON object.

use super::*;

#[test]
fn claims_that_are_no_object_are_refused() {
    let right = claims("", None);
    let (open, deep) = ("[".repeat(5000), format!("{}{}", "[".repeat(2500), "]".repeat(2500)));
    let objects = r#"{"sub":"#.repeat(700);
    for text in [
        "zebra",
        " ",
        "null",
        "7",
        "[]",
        r#""zebra""#,
        "{",
        "}",
        "{}{}",
        "{\"zebra\"}",
        "{\"sub\":}",
        "{\"exp\":01800000600}",
        "{\"exp\":+1}",
        "{\"exp\":0x10}",
        "{\"exp\":NaN}",
        "{\"exp\":Infinity}",
        "\u{feff}{}",
        "\u{a0}{}",
        "{}\0",
        &open,
        &deep,
        &objects,
    ] {
        DESK.refuses(&DESK.sign(HEADER, text), TokenFault::Claims, text);
    }
    let wrapped = BASE64URL_NOPAD.encode(right.as_bytes());
    for text in [
        format!("[{right}]"),
        format!("{right}{right}"),
        format!("{right},"),
        format!("{right} zebra"),
        format!("\u{feff}{right}"),
        right.replace('"', "'"),
        right.replacen(',', ",,", 1),
        format!("\"{wrapped}\""),
        wrapped,
        DESK.sign(HEADER, &right),
        right.replacen('{', "{/**/", 1),
        right[..right.len() - 1].to_owned(),
        format!("{},}}", &right[..right.len() - 1]),
    ] {
        DESK.refuses(&DESK.sign(HEADER, &text), TokenFault::Claims, &text);
    }
}

#[test]
fn a_claim_that_comes_twice_is_refused_however_it_is_spelled() {
    let right = claims("", None);
    for (name, value) in RIGHT.into_iter().chain([("zebra", "1")]) {
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        for again in [name, &escaped] {
            let text = format!("{},\"{again}\":{value},\"zebra\":1}}", &right[..right.len() - 1]);
            DESK.refuses(&DESK.sign(HEADER, &text), TokenFault::Claims, again);
        }
    }
}
