//! The least that a server must do: HTTP by hyper, and the JSON of the request and of the answer by serde.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct Published<'a> {
    topic: &'a str,
    receivers: u64,
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<Published<'a>>,
}

pub(crate) fn serve(port: u16) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
        }
    })
}

async fn answer(request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let text = match serde_json::from_slice::<Message<'_>>(&body) {
        Ok(single) => serde_json::to_vec(&published(&single))?,
        Err(_) => {
            let Batch { messages } = serde_json::from_slice(&body)?;
            serde_json::to_vec(&Results { results: messages.iter().map(published).collect() })?
        }
    };
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(Full::from(text))?)
}

fn published<'a>(message: &'a Message<'_>) -> Published<'a> {
    Published { topic: &message.topic, receivers: message.message.get().len() as u64 }
}
