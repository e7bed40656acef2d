//! Who a client without a user says it is: when it says so, and who hears the secret.

use crate::script::{Script, topic_of};
use hubcast_client::machine::{Answer, Config};
use hubcast_client::testing::TestServer;
use hubcast_client::{Client, ConnectError, MemberSecret};
use hubcast_protocol::request::{Identify, Start};
use serde_json::json;

/// The secret of all clients here.
const SECRET: &str = "Vt7mYx0cQn2b9sKd4pLw6g";

fn identity() -> Config {
    let secret = MemberSecret::new(SECRET).unwrap();
    Config { identity: Some(Identify { secret, info: Some("Ada".into()) }), ..Config::default() }
}

#[test]
fn every_session_begins_with_who_the_client_is_before_anything_is_resumed() {
    let mut script = Script::new(identity());
    script.command(hubcast_client::machine::Command::Connect);
    script.welcome();
    let first = script.sent();
    let says = |sent: &serde_json::Value| (sent["action"].clone(), sent["secret"].clone(), sent["info"].clone());
    let identify = (json!("identify"), json!(SECRET), json!("Ada"));
    assert_eq!((first.len(), says(&first[0])), (1, identify.clone()));
    script.reply_to(&first[0], json!({"anonymous": "0".repeat(32)}), json!({"event": "identified"}));
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 4}));
    for _ in 0..2 {
        script.reconnect();
        let sent = script.sent();
        assert_eq!(says(&sent[0]), identify);
        assert_eq!((&sent[1]["action"], &sent[1]["recover"]["offset"]), (&json!("subscribe"), &json!(4)));
    }
}

#[test]
fn a_server_that_does_not_know_identify_is_used_without_it() {
    let mut script = Script::new(identity());
    script.command(hubcast_client::machine::Command::Connect);
    script.welcome();
    let sent = script.sent();
    script.effects.clear();
    let refusal = json!({"code": "unknown_action", "reason": "no action has this name", "retry": false});
    script.reply_to(&sent[0], refusal, json!({"event": "error"}));
    assert_eq!(script.effects, []);
    let subscribe = script.subscribe(1, topic_of("a"), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "topic": "a"}));
    assert!(matches!(script.result(subscribe), Some(Ok(Answer::Subscribed { .. }))));
    assert_eq!(script.sent(), [json!(null); 0]);
}

#[tokio::test(start_paused = true)]
async fn an_info_is_taken_up_to_a_kibibyte_of_its_json() {
    let server = TestServer::start();
    // The quotes of a string count, and each of its line breaks counts as two bytes.
    for (info, is_taken) in [("x".repeat(1022), true), ("x".repeat(1023), false), ("\n".repeat(512), false)] {
        match server.builder().info(&info).connect().await {
            Ok(_) => assert!(is_taken),
            Err(ConnectError::InvalidInfo { reason }) => assert!(!is_taken && reason.contains("1024"), "{reason}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_secret_is_not_printed() {
    let server = TestServer::start();
    let builder = server.builder().member_secret(MemberSecret::new(SECRET).unwrap());
    let mut printed = format!("{builder:?} {:?} {:?}", identity(), identity().identity);
    let client = builder.connect().await.unwrap();
    printed += &format!("{client:?} {:?} {:?}", client.member_secret(), client.status());
    assert!(!printed.contains(SECRET), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_a_test_see_the_same_ids_and_its_clients_differ() {
    async fn ids() -> [hubcast_client::AnonymousId; 2] {
        let server = TestServer::start();
        let connect = async || server.builder().connect().await.unwrap();
        let (ada, bob): (Client, Client) = (connect().await, connect().await);
        [ada.anonymous_id(), bob.anonymous_id()]
    }
    let [ada, bob] = ids().await;
    assert_eq!(ids().await, [ada, bob]);
    assert_ne!(ada, bob);
}
