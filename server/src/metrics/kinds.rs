//! The kinds by which things are counted: closed lists, so that no client can make a new series.

use hubcast_protocol::Dialect;

/// Makes an enum of kinds that can be listed, and whose names are the values of a label.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $kind:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$of])* $kind,)+
        }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)+];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// What carries a connection. The names are those of the dialects.
    Carrier {
        /// A WebSocket in the plain dialect.
        Plain = "plain",
        /// A WebSocket in the typed dialect.
        Typed = "typed",
        /// Server-sent events, which are in the typed dialect.
        Sse = "typed",
    }
}

impl Carrier {
    pub(crate) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Plain => Self::Plain,
            Dialect::Typed => Self::Typed,
            Dialect::EventStream | Dialect::JoinedEventStream => Self::Sse,
        }
    }

    pub(crate) fn transport(self) -> &'static str {
        match self {
            Self::Plain | Self::Typed => "websocket",
            Self::Sse => "sse",
        }
    }
}

kinds! {
    /// Why somebody who wanted to connect was refused.
    RefusedHandshake {
        /// Its `Origin` is not listed.
        Origin = "origin",
        /// Its `Host` is not listed.
        Host = "host",
        /// It shows no token, and one is needed.
        TokenMissing = "token_missing",
        TokenInvalid = "token_invalid",
        TokenExpired = "token_expired",
        /// The server is full.
        Limit = "limit",
        /// Its address has as many connections as one may have.
        AddressLimit = "address_limit",
        /// It comes too often.
        Rate = "rate",
        /// It is no handshake of a WebSocket, or no HTTP.
        Malformed = "malformed",
        /// Its request did not come in time.
        Timeout = "timeout",
        /// The server is stopping.
        Draining = "draining",
        /// Its TLS handshake failed.
        Tls = "tls",
        /// Its PROXY header is missing or wrong, or comes from an address that may not send one.
        ProxyHeader = "proxy_header",
    }
}

kinds! {
    /// What is done with a reader that is too slow.
    SlowPolicy {
        /// It is disconnected.
        Disconnect = "disconnect",
        /// It misses the oldest publications.
        Drop = "drop",
        /// It misses all publications of a topic but the newest.
        Latest = "latest",
    }
}

kinds! {
    /// Why a client is not read for a while.
    PausedReading {
        /// The receivers of its publications are far behind.
        Outbox = "outbox",
        /// Another worker has too much mail because of its publications.
        Mailbox = "mailbox",
        /// It has not taken the answers to its earlier requests.
        HeldBack = "held_back",
        /// Its requests cost more than its share of the worker's time.
        Rate = "rate",
    }
}

/// The close codes that are counted by themselves. 1005 is a close without a code, 1006 a connection that was lost or cut.
pub(crate) const CLOSE_CODES: [u16; 20] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4004, 4500, 4501,
    4502,
];
