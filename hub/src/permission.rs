//! Who may do what: one pure function decides it, for WebSockets, HTTP, server-sent events and `hubcast explain` alike.
//!
//! [`Permissions::decide`] asks in this order:
//!
//! 1. A private topic is read by its owner alone.
//! 2. A rule of the topic with `nobody` refuses every client; an API key needs a grant.
//! 3. A rule of the topic with `anyone` allows it.
//! 4. A grant of the session's token, or of its API key, allows it. Without a token the grants of the anonymous count.
//! 5. Everything else is refused, unless the server is open to everybody.

mod grant;

pub use grant::{Grant, Grants, InvalidGrant};

use crate::{TopicRule, TopicRules};
use hubcast_protocol::{ClientId, ErrorCode, ErrorReply, Owner, Pattern, Target, Topic};
use std::fmt;

/// What a session wants to do with a topic or a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Get what is published from now on.
    Subscribe,
    /// Publish.
    Publish,
    /// List the members, and get joins and leaves.
    Presence,
    /// Read what was published before: `history`, `recover` and `last`.
    History,
}

/// Who may subscribe or publish to a topic, as a rule says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No client. An API key that has a grant still may.
    Nobody,
    /// Whoever has a grant.
    Granted,
    /// Everybody.
    Anyone,
}

/// What a rule says about a topic. `None`: what the server says of all topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicAccess {
    /// Who may read: subscribe, see the members, and read the history. `anyone` opens all three.
    pub subscribe: Option<Access>,
    /// Who may publish.
    pub publish: Option<Access>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The user, if there is one.
    pub user: Option<&'a str>,
    /// The session's own id, if it has one.
    pub client: Option<ClientId>,
    /// What it was granted.
    pub grants: &'a Grants,
    /// Whether it is an API key, and not a client.
    pub is_api_key: bool,
}

/// The decision, and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// What it follows from.
    pub because: Because<'a>,
}

/// What a decision follows from. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because<'a> {
    /// The topic is the session's own.
    Own,
    /// The topic is private to another connection or user.
    Private,
    /// This rule says `nobody`.
    RuleNobody(&'a Pattern),
    /// This rule says `anyone`.
    RuleAnyone(&'a Pattern),
    /// The server is open, and no rule says otherwise.
    Open,
    /// This grant.
    Grant(Grant<'a>),
    /// There is no grant for it.
    NotGranted,
}

/// The rules of a server about permissions.
#[derive(Clone, Copy, Debug)]
pub struct Permissions<'a> {
    /// The rules of all topics.
    pub rules: &'a TopicRules,
    /// What counts where no rule says otherwise: `Anyone` for an open server, `Granted` for one with tokens.
    pub default: Access,
}

impl<'a> Permissions<'a> {
    /// Decides whether `who` may do this.
    pub fn decide(&self, who: &Requester<'a>, permission: Permission, target: &Target) -> Decision<'a> {
        match target {
            Target::Topic(topic) => self.of_topic(who, permission, topic, || self.rules.rule_of(topic)),
            Target::Pattern(pattern) => self.of_pattern(who, permission, pattern),
        }
    }

    /// As [`decide`](Permissions::decide), with the function that finds the rule of a public topic.
    pub(crate) fn of_topic(
        &self,
        who: &Requester<'a>,
        permission: Permission,
        topic: &Topic,
        find_rule: impl FnOnce() -> Option<&'a TopicRule>,
    ) -> Decision<'a> {
        if let Some(owner) = topic.owner() {
            return self.of_private(who, permission, topic, owner);
        }
        if who.is_api_key {
            // No rule says anything about API keys.
            return who.decide_by_grants(permission, |grant| grant.covers(topic, who.user));
        }
        let said = find_rule().and_then(|rule| Some((rule, rule.policy.access.of(permission)?)));
        match said {
            Some((rule, Access::Nobody)) => return Decision::refused(Because::RuleNobody(&rule.pattern)),
            Some((rule, Access::Anyone)) => return Decision::allowed(Because::RuleAnyone(&rule.pattern)),
            None if self.default == Access::Anyone => return Decision::allowed(Because::Open),
            None | Some((_, Access::Granted)) => {}
        }
        who.decide_by_grants(permission, |grant| grant.covers(topic, who.user))
    }

    /// A private topic: only its owner reads it. Publishing to it is a direct message, which needs a grant of its own
    /// where the server is not open.
    fn of_private(&self, who: &Requester<'a>, permission: Permission, topic: &Topic, owner: Owner<'_>) -> Decision<'a> {
        let is_own = match owner {
            Owner::Client(client) => who.client == Some(client),
            Owner::User(user) => who.user == Some(user),
            Owner::Nobody => false,
        };
        match permission {
            Permission::Subscribe | Permission::Presence | Permission::History if who.is_api_key => {
                who.decide_by_grants(permission, |grant| grant.covers(topic, who.user))
            }
            Permission::Subscribe | Permission::Presence | Permission::History => match is_own {
                true => Decision::allowed(Because::Own),
                false => Decision::refused(Because::Private),
            },
            Permission::Publish if self.default == Access::Anyone && !who.is_api_key => {
                Decision::allowed(Because::Open)
            }
            Permission::Publish => who.decide_by_grants(permission, |grant| grant.covers(topic, who.user)),
        }
    }

    /// A pattern is allowed only if every topic that it matches is. A rule that overlaps it counts, unless an earlier
    /// rule covers the pattern as a whole.
    pub(crate) fn of_pattern(&self, who: &Requester<'a>, permission: Permission, pattern: &Pattern) -> Decision<'a> {
        let (mut needs_grant, mut is_decided, mut opened_by) = (false, false, None);
        for rule in &self.rules.list {
            if !rule.pattern.overlaps(pattern) {
                continue;
            }
            match rule.policy.access.of(permission).unwrap_or(self.default) {
                Access::Nobody if !who.is_api_key => {
                    return Decision::refused(Because::RuleNobody(&rule.pattern));
                }
                Access::Nobody | Access::Granted => needs_grant = true,
                Access::Anyone => opened_by = Some(&rule.pattern),
            }
            if rule.pattern.covers(pattern) {
                is_decided = true;
                break;
            }
        }
        let is_open = is_decided || self.default == Access::Anyone;
        match opened_by {
            _ if needs_grant || !is_open || who.is_api_key => {
                who.decide_by_grants(permission, |grant| grant.covers_pattern(pattern, who.user))
            }
            Some(rule) if is_decided => Decision::allowed(Because::RuleAnyone(rule)),
            _ => Decision::allowed(Because::Open),
        }
    }
}

impl<'a> Requester<'a> {
    fn decide_by_grants(&self, permission: Permission, covers: impl Fn(&Grant<'_>) -> bool) -> Decision<'a> {
        match self.grants.of(permission).find(|grant| covers(grant)) {
            Some(grant) => Decision::allowed(Because::Grant(grant)),
            None => Decision::refused(Because::NotGranted),
        }
    }
}

impl<'a> Decision<'a> {
    fn allowed(because: Because<'a>) -> Self {
        Self { is_allowed: true, because }
    }

    fn refused(because: Because<'a>) -> Self {
        Self { is_allowed: false, because }
    }

    /// The decision as the answer to a client, about the topic or pattern of this name. The text is the same whether the topic is in use or not.
    ///
    /// # Errors
    /// `forbidden`, if it is refused.
    pub fn to_result(&self, permission: Permission, name: &str) -> Result<(), ErrorReply> {
        match (self.is_allowed, &self.because) {
            (true, _) => Ok(()),
            (false, Because::Private) => {
                Err(ErrorReply::new(ErrorCode::Forbidden, "this topic is private to somebody else"))
            }
            (false, _) => {
                let reason = match permission {
                    Permission::Subscribe => format!("subscribe to {name:?} is not granted"),
                    Permission::Publish => format!("publish to {name:?} is not granted"),
                    Permission::Presence => format!("presence of {name:?} is not granted"),
                    Permission::History => format!("history of {name:?} is not granted, nor recover and last"),
                };
                Err(ErrorReply::new(ErrorCode::Forbidden, reason))
            }
        }
    }
}

impl TopicAccess {
    /// What is said about this permission.
    pub fn of(self, permission: Permission) -> Option<Access> {
        match permission {
            Permission::Publish => self.publish,
            Permission::Subscribe | Permission::Presence | Permission::History => self.subscribe,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
        })
    }
}

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("it is the private topic of this user or connection"),
            Self::Private => f.write_str("the topic is private to another user or connection"),
            Self::RuleNobody(rule) => write!(f, "the rule for {:?} lets nobody", rule.as_str()),
            Self::RuleAnyone(rule) => write!(f, "the rule for {:?} lets anyone", rule.as_str()),
            Self::Open => f.write_str("the server is open, and no rule says otherwise"),
            Self::Grant(grant) => write!(f, "the grant {:?} covers it", grant.as_str()),
            Self::NotGranted => f.write_str("no grant covers it"),
        }
    }
}

#[cfg(test)]
mod tests;
