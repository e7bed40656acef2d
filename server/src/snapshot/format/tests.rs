//! The file format of snapshots: what was written is read again, and each kind of damage has an error of its own.

use super::*;

/// A snapshot with texts that must be escaped, empty texts, and numbers at their bounds.
fn saved() -> Snapshot {
    let json = |text: &str| Payload::from_json(serde_json::from_str(text).unwrap()).unwrap();
    let entries = vec![
        EntrySnapshot::new(Duration::from_millis(90_000), "with \"quotes\",\n lines, é and \u{1F642}".into()),
        EntrySnapshot::new(Duration::from_millis(1), json("{\"a\" :\r\n [1.000000000000000000001]}")),
        EntrySnapshot {
            author: Some(Author { user: Some("ada \"quotes\"".into()), time: 1_790_000_000_123 }),
            ..EntrySnapshot::new(Duration::ZERO, json("null"))
        },
    ];
    let histories = vec![
        HistorySnapshot { topic: "prices.tea".into(), epoch: "k3Jx9a".parse().unwrap(), last: 45, entries },
        HistorySnapshot {
            topic: "".into(),
            epoch: "p0Wq2z".parse().unwrap(),
            last: Position::MAX_OFFSET,
            entries: Vec::new(),
        },
    ];
    let client = Publisher::Client(ClientId::from_random([7; 16]));
    let key = |by: &Publisher, topic: &str, key: &str, offset: Option<u64>, age| {
        let position = offset.map(|offset| Position { epoch: "k3Jx9a".parse().unwrap(), offset });
        let outcome = Outcome { position, receivers: 3 };
        let (by, age) = (by.clone(), Duration::from_millis(age));
        KeySnapshot { by, topic: topic.into(), key: key.into(), outcome, age }
    };
    let keys = vec![
        key(
            &Publisher::User("ada \"quotes\"".into()),
            "prices.tea",
            "with \"quotes\",\n lines and é",
            Some(45),
            90_000,
        ),
        key(&client, "", "", None, 0),
    ];
    let numbers = keys.iter().zip(1..).map(|(key, sequence)| {
        let left = Duration::from_secs(100);
        NumberSnapshot { sequence, topic: 17, outcome: key.outcome, left }
    });
    let numbers = numbers.collect();
    let producers = vec![ProducerSnapshot { by: client, producer: "with \"quotes\"".into(), floor: 0, numbers }];
    Snapshot { histories, keys, producers }
}

/// The time at which the file is written.
fn saved_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)
}

/// The bytes of a file with `saved`.
fn written() -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut text, saved_at(), &saved()).unwrap();
    text
}

/// The message of the error when these bytes are read. Panics if there is none.
fn error(text: &[u8]) -> String {
    read(text, saved_at()).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read_again_to_the_byte() {
    assert_eq!(read(&written(), saved_at()).unwrap(), saved());
    let mut nothing = Vec::new();
    write(&mut nothing, saved_at(), &Snapshot::default()).unwrap();
    assert_eq!(read(&nothing, saved_at()).unwrap(), Snapshot::default());
}

#[test]
fn there_is_a_line_for_each_topic_each_key_and_each_producer_and_two_around_them() {
    assert_eq!(written().split_inclusive(|byte| *byte == b'\n').count(), 7);
}

#[test]
fn the_time_without_a_server_counts_and_a_clock_set_back_does_not() {
    let hour = Duration::from_secs(3600);
    let ages = |now| {
        let saved = read(&written(), now).unwrap();
        ([saved.histories[0].entries[1].age, saved.keys[0].age], saved.producers[0].numbers[0].left)
    };
    let (before, left) = ([1, 90_000].map(Duration::from_millis), Duration::from_secs(100));
    assert_eq!(ages(saved_at() + hour), (before.map(|age| age + hour), Duration::ZERO));
    assert_eq!(ages(saved_at() + left / 4).1, left * 3 / 4);
    assert_eq!(ages(saved_at() - hour), (before, left));
}

#[test]
fn a_file_that_ends_early_is_noticed_wherever_it_ends() {
    let text = written();
    for length in 0..text.len() {
        assert!(read(&text[..length], saved_at()).is_err(), "{length} of {} bytes were taken up", text.len());
    }
    let line_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let said: Vec<_> = line_ends.map(|end| read(&text[..end], saved_at()).map_err(|why| why.to_string())).collect();
    assert_eq!(said[..6], vec![Err("its end is missing".to_owned()); 6]);
    assert_eq!(said[6], Ok(saved()));
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let text = written();
    for place in 0..text.len() {
        let mut changed = text.clone();
        changed[place] ^= 1;
        assert!(read(&changed, saved_at()).is_err(), "byte {place} was changed");
    }
}

#[test]
fn what_is_no_file_of_histories_is_recognised() {
    for text in ["", "\n", "garbage", "{}\n", "{\"saved_at\":1}\n", "\0\0\0\0"] {
        assert_eq!(error(text.as_bytes()), "it does not begin as a file of histories does", "{text:?}");
    }
    for (version, rest) in [(1, "saved_at\":1}"), (4, "written\":\"in a way that is not invented yet\"}")] {
        let said = error(format!("{{\"histories\":{version},\"{rest}\n").as_bytes());
        assert_eq!(said, format!("it has version {version}, and this server reads versions 2 to 3"));
    }
}

#[test]
fn a_key_of_version_2_is_nobodys_in_particular() {
    let mut text = br#"{"histories":2,"saved_at":1}"#.to_vec();
    text.extend(b"\n{\"key\":{\"topic\":\"t\",\"key\":\"k\",\"at\":null,\"receivers\":3,\"age\":9}}\n");
    let end = End { checksum: sum(EMPTY_SUM, &text) };
    write_line(&mut text, &end).unwrap();
    let keys = read(&text, UNIX_EPOCH).unwrap().keys;
    assert!(matches!(&keys[..], [KeySnapshot { by: Publisher::Client(_), .. }]), "{keys:?}");
}

#[test]
fn a_line_that_makes_no_sense_is_named() {
    let mut text = b"{\"histories\":3,\"saved_at\":1}\n{\"history\":{\"topic\":7}}\n".to_vec();
    let end = End { checksum: sum(EMPTY_SUM, &text) };
    write_line(&mut text, &end).unwrap();
    assert!(error(&text).starts_with("line 2 makes no sense: invalid type: integer `7`"), "{}", error(&text));
}

#[test]
fn a_line_that_no_server_writes_is_named() {
    let history = |last: u64, epoch: &str| {
        format!(r#"{{"history":{{"topic":"t","epoch":"{epoch}","last":{last},"entries":[[0,{{"text":""}}]]}}}}"#)
    };
    let key = |offset: u64, receivers: u64| {
        let at = format!(r#"{{"epoch":"e","offset":{offset}}}"#);
        format!(r#"{{"key":{{"topic":"t","key":"k","at":{at},"receivers":{receivers},"age":{}}}}}"#, u64::MAX)
    };
    let producer = |floor: u64, sequences: [u64; 2]| {
        let numbers = sequences.map(|sequence| {
            format!(r#"{{"sequence":{sequence},"topic":1,"at":null,"receivers":1,"left":{}}}"#, u64::MAX)
        });
        format!(r#"{{"producer":{{"producer":"p","floor":{floor},"numbers":[{}]}}}}"#, numbers.join(","))
    };
    let read_line = |line: &str| {
        let mut text = format!("{{\"histories\":3,\"saved_at\":1}}\n{line}\n").into_bytes();
        let end = End { checksum: sum(EMPTY_SUM, &text) };
        write_line(&mut text, &end).unwrap();
        read(&text, saved_at()).map(|_| ()).map_err(|error| error.to_string())
    };
    let (most, above) = (1 << 53, (1 << 53) + 1);
    for line in [history(most, "e"), key(most, 1), producer(most, [1, most])] {
        assert_eq!(read_line(&line), Ok(()), "{line}");
    }
    for (line, fault) in [
        (history(u64::MAX, "e"), "no history has an offset above 2^53"),
        (history(above, "e"), "no history has an offset above 2^53"),
        (history(0, "e"), "there are more publications than offsets for them"),
        (history(1, ""), "an epoch is not empty"),
        (key(u64::MAX, 1), "no history has an offset above 2^53"),
        (key(1, u64::MAX), "no publication has so many receivers"),
        (producer(above, [1, 2]), "a sequence is from 1 to 2^53"),
        (producer(0, [0, 1]), "a sequence is from 1 to 2^53"),
        (producer(0, [1, above]), "a sequence is from 1 to 2^53"),
        (producer(0, [2, 1]), "the numbers of a producer rise"),
    ] {
        assert_eq!(read_line(&line), Err(format!("line 2 makes no sense: {fault}")), "{line}");
    }
}
