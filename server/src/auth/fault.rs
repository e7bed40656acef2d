//! Why a token is refused: a closed list, so that no text of a token gets into an answer or into the log.

use hubcast_protocol::{ErrorCode, ErrorReply};

/// Why a token is refused. Its text is the same for every token, and says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// It has more bytes than any token.
    #[error("the token is too long; it has at most 7600 bytes")]
    TooLong,
    /// It is not three parts in base64url.
    #[error(
        "this is no signed JSON Web Token; it is three parts in base64url, without padding, with dots between them"
    )]
    Malformed,
    /// The header is no JSON object, has a name twice, or a field of the wrong type.
    #[error(
        "the token's header must be a JSON object with alg, and optionally typ and kid, each a text that comes once"
    )]
    Header,
    /// The header has `crit`.
    #[error("the token's header has crit, which names extensions that this server does not know; leave it out")]
    Critical,
    /// The header has a `typ` of another kind of token.
    #[error(
        "the typ of the token's header is not that of a token for this server; \"JWT\" and \"at+jwt\" are, unless the \
             server's settings name another"
    )]
    Type,
    /// There is no key for the algorithm.
    #[error("the token's alg is not that of the server's key; sign it with the algorithm of the key")]
    Algorithm,
    /// There is no key with the token's `kid`.
    #[error(
        "the server has no key with the token's kid; the kid must be the id of a key in the server's settings, or in \
             the key set of a login service that they name"
    )]
    UnknownKey,
    /// Several keys fit, and the token does not name one.
    #[error("several keys of the server fit the token's alg; name one by kid in the token's header")]
    AmbiguousKey,
    /// The key has been in use for as long as its settings say.
    #[error("the key that should verify the token is no longer accepted; sign with the current one")]
    KeyOver,
    /// The signature is not that of the key.
    #[error(
        "the token's signature is wrong; sign it with the key that the server knows, and change nothing afterwards"
    )]
    Signature,
    /// The claims are no JSON object, or a name comes twice.
    #[error("the token's claims must be one JSON object in which each name comes once")]
    Claims,
    /// `exp` is missing or no number of seconds.
    #[error("the token needs exp: a number of seconds since 1970-01-01 UTC")]
    Expiry,
    /// `exp` is too far ahead.
    #[error("the token's exp is too far ahead; the server's max_lifetime bounds it")]
    TooLongLived,
    /// `exp` is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// `nbf` is no number of seconds.
    #[error("the token's nbf must be a number of seconds since 1970-01-01 UTC")]
    NotBefore,
    /// `nbf` is in the future.
    #[error("the token is not valid yet; compare the clocks of this server and of the one that made the token")]
    NotYet,
    /// `iat` is no number of seconds.
    #[error("the token's iat must be a number of seconds since 1970-01-01 UTC")]
    IssuedAt,
    /// `aud` does not name this server.
    #[error("the token's aud does not name this server; it must hold the audience of the server's settings")]
    Audience,
    /// `aud` is there, and the settings name no audience.
    #[error("the token has an aud, and the server's settings name no audience; set the audience, or leave aud out")]
    UnexpectedAudience,
    /// `iss` is not the one of the settings.
    #[error("the token's iss must be one text: the issuer of the server's settings")]
    Issuer,
    /// `sub` is missing or no name of a user.
    #[error(
        "the token needs sub, the name of the user: 1 to 256 bytes without control characters, other than \"*\" and \
             \"{{user}}\""
    )]
    Subject,
    /// `info` is too large.
    #[error("the token's info must be at most 1024 bytes of JSON, nested at most 64 deep")]
    Info,
    /// A list of grants is no list of texts, or one of them is no grant.
    #[error(
        "the token's subscribe, publish, presence and history must be lists of topics and patterns, such as \
             [\"news\", \"room.*\"]"
    )]
    Grants,
    /// There are too many grants.
    #[error("the token has too many grants; it may have 100 in all, so use patterns")]
    TooManyGrants,
    /// The user was sent away.
    #[error("this user may not connect for now; the operator has sent it away")]
    Revoked,
}

impl TokenFault {
    /// All of them, in their order.
    pub const ALL: &[Self] = &[
        Self::TooLong,
        Self::Malformed,
        Self::Header,
        Self::Critical,
        Self::Type,
        Self::Algorithm,
        Self::UnknownKey,
        Self::AmbiguousKey,
        Self::KeyOver,
        Self::Signature,
        Self::Claims,
        Self::Expiry,
        Self::TooLongLived,
        Self::Expired,
        Self::NotBefore,
        Self::NotYet,
        Self::IssuedAt,
        Self::Audience,
        Self::UnexpectedAudience,
        Self::Issuer,
        Self::Subject,
        Self::Info,
        Self::Grants,
        Self::TooManyGrants,
        Self::Revoked,
    ];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Critical => "critical",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::KeyOver => "key_over",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Expiry => "expiry",
            Self::TooLongLived => "too_long_lived",
            Self::Expired => "expired",
            Self::NotBefore => "not_before",
            Self::NotYet => "not_yet",
            Self::IssuedAt => "issued_at",
            Self::Audience => "audience",
            Self::UnexpectedAudience => "unexpected_audience",
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::Info => "info",
            Self::Grants => "grants",
            Self::TooManyGrants => "too_many_grants",
            Self::Revoked => "revoked",
        }
    }

    /// `token_expired` if a new token of the same kind would be accepted, and `token_invalid` otherwise.
    pub fn code(self) -> ErrorCode {
        if self == Self::Expired { ErrorCode::TokenExpired } else { ErrorCode::TokenInvalid }
    }

    /// The answer to the client.
    pub fn to_reply(self) -> ErrorReply {
        ErrorReply::new(self.code(), self.to_string())
    }
}
