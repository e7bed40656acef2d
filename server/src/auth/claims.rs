//! The claims of a token: each is read and checked by itself.

use super::fault::TokenFault;
use super::rules::TokenRules;
use super::strict_json::Members;
use hubcast_hub::{Grant, Grants, Permission};
use hubcast_protocol::Payload;
use serde_json::value::RawValue;

/// The claims of a token, as text that is not trusted before the signature is verified.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    registered: Members<'a>,
    /// `info` and the grants, which the settings may place in an object of their own.
    ours: Members<'a>,
}

impl<'a> Claims<'a> {
    pub(super) fn read(text: &'a str, rules: &TokenRules) -> Result<Self, TokenFault> {
        let read = |text| Members::read(text).ok_or(TokenFault::Claims);
        let registered = read(text)?;
        let ours = match &rules.claims {
            None => read(text)?,
            Some(name) => registered.raw(name).map(|ours| read(ours.get())).transpose()?.unwrap_or_default(),
        };
        Ok(Self { registered, ours })
    }

    /// `exp` in seconds since 1970-01-01 UTC, if it is not over.
    pub(super) fn expiry(&self, rules: &TokenRules, unix_now: u64) -> Result<u64, TokenFault> {
        let expiry = self.time("exp").ok().flatten().ok_or(TokenFault::Expiry)?;
        let expiry = whole(expiry.floor());
        let leeway = rules.leeway.as_secs();
        if expiry > unix_now.saturating_add(rules.max_lifetime.as_secs()).saturating_add(leeway) {
            return Err(TokenFault::TooLongLived);
        }
        if unix_now >= expiry.saturating_add(leeway) { Err(TokenFault::Expired) } else { Ok(expiry) }
    }

    pub(super) fn not_before(&self, rules: &TokenRules, unix_now: u64) -> Result<(), TokenFault> {
        let start = self.time("nbf").map_err(|()| TokenFault::NotBefore)?.map(|start| whole(start.ceil()));
        let is_over = start.is_none_or(|start| start <= unix_now.saturating_add(rules.leeway.as_secs()));
        if is_over { Ok(()) } else { Err(TokenFault::NotYet) }
    }

    pub(super) fn issued_at(&self) -> Result<Option<u64>, TokenFault> {
        let issued = self.time("iat").map_err(|()| TokenFault::IssuedAt)?;
        Ok(issued.map(|issued| whole(issued.floor())))
    }

    /// A time in seconds since 1970-01-01 UTC, which may have a fraction (RFC 7519 section 2, `NumericDate`).
    fn time(&self, name: &str) -> Result<Option<f64>, ()> {
        let time: Option<f64> = self.registered.get(name).map_err(|_| ())?;
        if time.is_some_and(|time| time < 0.0) { Err(()) } else { Ok(time) }
    }

    /// A token for somebody else must not be accepted (RFC 7519 section 4.1.3), also where no audience is set.
    pub(super) fn audience(&self, rules: &TokenRules) -> Result<(), TokenFault> {
        let Some(ours) = &rules.audience else {
            return if self.registered.raw("aud").is_none() { Ok(()) } else { Err(TokenFault::UnexpectedAudience) };
        };
        let is_one = self.registered.get::<String>("aud").is_ok_and(|one| one.as_ref() == Some(ours));
        let many = || self.registered.get::<Vec<String>>("aud").ok().flatten().unwrap_or_default();
        if is_one || many().contains(ours) { Ok(()) } else { Err(TokenFault::Audience) }
    }

    pub(super) fn issuer(&self, rules: &TokenRules) -> Result<(), TokenFault> {
        let issuer: Option<String> = self.registered.get("iss").map_err(|_| TokenFault::Issuer)?;
        let is_ours = rules.issuer.is_none() || issuer == rules.issuer;
        if is_ours { Ok(()) } else { Err(TokenFault::Issuer) }
    }

    pub(super) fn subject(&self) -> Result<Box<str>, TokenFault> {
        let user: Option<String> = self.registered.get("sub").map_err(|_| TokenFault::Subject)?;
        // As grants, `@*` and `@{user}` have another meaning than the private topic of such a user.
        let is_name = |user: &String| {
            (1..=MAX_USER_BYTES).contains(&user.len())
                && !user.contains(char::is_control)
                && !["*", "{user}"].contains(&user.as_str())
        };
        user.filter(is_name).map(String::into_boxed_str).ok_or(TokenFault::Subject)
    }

    pub(super) fn info(&self) -> Result<Option<Payload>, TokenFault> {
        let info = self.ours.raw("info").filter(|info| !is_null(info));
        info.map(|info| match info.get().len() {
            ..=MAX_INFO_BYTES => Payload::from_json(info).map_err(|_| TokenFault::Info),
            _ => Err(TokenFault::Info),
        })
        .transpose()
    }

    pub(super) fn grants(&self) -> Result<Grants, TokenFault> {
        let lists = [
            (Permission::Subscribe, self.list("subscribe")?),
            (Permission::Publish, self.list("publish")?),
            (Permission::Presence, self.list("presence")?),
            (Permission::History, self.list("history")?),
        ];
        if lists.iter().map(|(_, list)| list.len()).sum::<usize>() > Grants::MAX {
            return Err(TokenFault::TooManyGrants);
        }
        let mut entries = Vec::new();
        for (permission, list) in &lists {
            for text in list {
                entries.push((*permission, Grant::parse(text).map_err(|_| TokenFault::Grants)?));
            }
        }
        Ok(Grants::new(entries))
    }

    /// A list of texts. `null` is an empty list, which is what some JSON writers make of one.
    fn list(&self, name: &str) -> Result<Vec<String>, TokenFault> {
        let list: Option<Option<Vec<String>>> = self.ours.get(name).map_err(|_| TokenFault::Grants)?;
        Ok(list.flatten().unwrap_or_default())
    }
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A whole number of seconds, not below zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time above all others is the last one")]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

/// The longest name of a user, in bytes.
const MAX_USER_BYTES: usize = 256;

/// The most bytes of `info`, as JSON text.
const MAX_INFO_BYTES: usize = 1024;
