//! What a configured limit lets through.

use crate::client::Client;
use crate::run::Run;
use serde_json::json;

#[test]
fn a_request_as_long_as_max_message_passes_in_one_frame() {
    let server = Run::start(&["--max-message", "100KiB"]);
    let request = |message: &str| json!({"id": 1, "action": "publish", "topic": "a", "message": message});
    let room = 102_400 - request("").to_string().len();
    let request = request(&"x".repeat(room));
    assert_eq!(request.to_string().len(), 102_400);
    assert_eq!(Client::open(server.address()).ask(&request)["event"], "published");
}
