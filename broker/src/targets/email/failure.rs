//! How handing a mail over can fail, and what that means for the job.

use super::{super::Outcome, session::Reply};

/// See the module.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    reason: String,
    /// What the server said, where it did.
    pub(super) said: Option<Reply>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It may be otherwise in a while.
    Passing,
    /// It will not.
    Lasting,
    /// The login was refused, which is lasting unless another token helps.
    Login,
}

impl Failure {
    /// The server said no: with 4yz for now, else for good (RFC 5321, 4.2.1).
    pub(super) fn refused(at: &'static str, reply: Reply) -> Self {
        let kind = if (400..500).contains(&reply.code) { Kind::Passing } else { Kind::Lasting };
        Self { kind, reason: format!("{at}: the server says {reply}"), said: Some(reply) }
    }

    pub(super) fn login(reply: Reply) -> Self {
        let failure = Self::refused("AUTH", reply);
        match failure.kind {
            Kind::Lasting => Self { kind: Kind::Login, reason: format!("{}: check `auth`", failure.reason), ..failure },
            _ => failure,
        }
    }

    /// What came of asking for a token.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Never { reason } => Self { kind: Kind::Lasting, reason, said: None },
            Outcome::Retry { reason, .. } => Self { kind: Kind::Passing, reason, said: None },
            Outcome::Done(_) => Self::lost("asking for a token", &"nothing came of it"),
        }
    }

    /// The server knows none of these ways to log in.
    pub(super) fn no_way(ways: &str) -> Self {
        Self::impossible(&format!("the server does not take logins by {ways}: check `server` and `auth`"))
    }

    /// This very mail can never be handed over.
    pub(super) fn impossible(reason: &str) -> Self {
        Self { kind: Kind::Lasting, reason: reason.to_owned(), said: None }
    }

    /// The conversation broke off; nothing was handed over.
    pub(super) fn lost(at: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self { kind: Kind::Passing, reason: format!("{at}: {error}"), said: None }
    }

    /// The conversation broke off after the mail was sent and before it was said that it was taken.
    pub(super) fn in_doubt(error: &dyn std::fmt::Display) -> Self {
        let reason = format!("{error}; the mail may have arrived, and is sent again with the same Message-ID");
        Self { kind: Kind::Passing, reason, said: None }
    }

    /// The same of what broke off.
    pub(super) fn into_doubt(self) -> Self {
        Self::in_doubt(&self.reason)
    }

    pub(super) fn is_of_login(&self) -> bool {
        self.kind == Kind::Login
    }

    pub(super) fn outcome(self) -> Outcome {
        match self.kind {
            Kind::Passing => Outcome::retry(self.reason),
            Kind::Lasting | Kind::Login => Outcome::never(self.reason),
        }
    }
}
