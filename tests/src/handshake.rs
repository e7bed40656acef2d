//! The head of an opening handshake, line by line.

/// The head of a handshake. [`Handshake::default`] is one that the server accepts; the methods change it.
#[derive(Clone, Debug)]
pub struct Handshake {
    request: String,
    headers: Vec<String>,
}

impl Handshake {
    /// Sets the request line; the default is `GET /socket HTTP/1.1`.
    #[must_use]
    pub fn request(mut self, line: &str) -> Self {
        line.clone_into(&mut self.request);
        self
    }

    /// Adds one header line.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// Removes all lines of a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|line| !line.split(':').next().is_some_and(|its| its.eq_ignore_ascii_case(name)));
        self
    }

    /// Replaces all lines of this line's header by this line.
    #[must_use]
    pub fn instead(self, line: &str) -> Self {
        let name = line.split(':').next().unwrap_or_default().to_owned();
        self.without(&name).with(line)
    }

    /// Number of header lines.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether there are no header lines.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// The bytes of the whole head.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.request);
        for line in &self.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl Default for Handshake {
    fn default() -> Self {
        let headers = [
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            // The example of RFC 6455 section 1.3.
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        Self { request: "GET /socket HTTP/1.1".to_owned(), headers: headers.map(str::to_owned).to_vec() }
    }
}
