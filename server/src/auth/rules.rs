//! What tokens must say, as the settings of the server have it.

use std::time::Duration;

/// What a token must say.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// What `aud` must be or hold. `None`: a token with an `aud` is refused.
    pub audience: Option<String>,
    /// What `iss` must be; `None`: anything.
    pub issuer: Option<String>,
    /// The claim that holds `info` and the grants; `None`: they are claims themselves.
    pub claims: Option<String>,
    /// What `typ` must be. `None`: `JWT`, `at+jwt`, or absent.
    pub typ: Option<String>,
    /// By how much the clock of the one who makes tokens may differ, in whole seconds.
    pub leeway: Duration,
    /// The longest time from now to `exp`, in whole seconds.
    pub max_lifetime: Duration,
}

impl Default for TokenRules {
    /// No leeway, and tokens that live at most a day.
    fn default() -> Self {
        Self {
            audience: None,
            issuer: None,
            claims: None,
            typ: None,
            leeway: Duration::ZERO,
            max_lifetime: Duration::from_secs(24 * 3600),
        }
    }
}
