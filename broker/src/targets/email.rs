//! `email`: sends a mail, through a server that takes mails for others (RFC 6409).
//!
//! ```yaml
//! kind: email
//! server: smtps://smtp.example.com      # TLS on port 465; smtp://smtp.example.com is STARTTLS on port 587
//! auth: {basic: {user: emote, password: "${env:SMTP_PASSWORD}"}}
//! from: Emote <emote@example.com>
//! to: [it@example.com]                  # or a program: .node.owner
//! subject: '"\(.node.name): \(.event.action)"'
//! text: '"\(.event.device.name) has enrolled."'
//! ```
//! Without `text` and `html` the mail is the rule's input, a text or `{text, html, subject, to, cc, bcc, reply_to}`; a rule
//! without input sends a summary of its event. The job's id is the mail's Message-ID: when a connection breaks off after
//! the mail was sent and before the server has said that it took it, it is sent again, and whoever gets both can see that
//! they are one.

mod failure;
mod message;
mod reading;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub(super) use self::reading::read;
use self::{
    failure::Failure,
    message::{Mail, Plan},
    session::{Login, Reply, Server, Taken},
};
use super::{
    Outcome, Role, Shown, Target,
    connections::Kept,
    http::auth::Auth,
    wire::{self, Client},
};
use crate::{config::Secret, core::Job};

struct Email {
    /// Asks for tokens, and knows the secrets.
    client: Client,
    server: Kept<Arc<Server>>,
    /// The server's address, as the file has it.
    address: String,
    auth: Auth,
    /// Whose mailbox a token is for.
    user: Secret,
    plan: Arc<Plan>,
}

#[async_trait::async_trait]
impl Target for Email {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let mail = match self.plan.mail(job, input) {
            Ok(mail) => mail,
            Err(reason) => return Outcome::never(reason),
        };
        let mut also = Vec::new();
        let (Ok(outcome) | Err(outcome)) = self.send(job, &mail, &mut also).await;
        self.client.clean_outcome(outcome, &also)
    }
}

impl Email {
    /// The secrets of who it was sent as go to `also`.
    async fn send(&self, job: &Job, mail: &Mail, also: &mut Vec<Secret>) -> Result<Outcome, Outcome> {
        let login = self.login(also).await?;
        if let Some(told) = self.client.show(self.shown(mail, login.as_ref())) {
            let told = told?;
            let reply = Reply { code: told.status, lines: vec![told.body] };
            return match reply.code {
                200..=299 => Ok(done(job, mail, &Taken { reply, refused: Vec::new() })),
                _ => Err(Failure::refused("DATA", reply).outcome()),
            };
        }
        let taken = self.hand_over(mail, login, also).await;
        let said = match &taken {
            Ok(taken) => Some(&taken.reply),
            Err(failure) => failure.said.as_ref(),
        };
        if let Some(reply) = said {
            self.client.note_answer(reply.code, &reply.lines.join("\n"), also);
        }
        taken.map(|taken| done(job, mail, &taken)).map_err(Failure::outcome)
    }

    /// Over a conversation that waits, or over a new one. A token that is refused is asked for anew, once.
    async fn hand_over(&self, mail: &Mail, login: Option<Login>, also: &mut Vec<Secret>) -> Result<Taken, Failure> {
        let server = self.server.current();
        if let Some(conversation) = server.kept().await {
            return server.hand_over(conversation, mail).await;
        }
        let conversation = match (server.begin(login.as_ref()).await, &self.auth, login) {
            (Err(failure), Auth::Token(source), Some(Login::Token { token, .. })) if failure.is_of_login() => {
                source.forget(&token).await;
                let login = self.login(also).await.map_err(Failure::of)?;
                server.begin(login.as_ref()).await?
            }
            (begun, ..) => begun?,
        };
        server.hand_over(conversation, mail).await
    }

    async fn login(&self, also: &mut Vec<Secret>) -> Result<Option<Login>, Outcome> {
        let login = match &self.auth {
            Auth::Token(source) => Login::Token { user: self.user.clone(), token: source.token(&self.client).await? },
            Auth::Fixed(wire::Auth::Basic { user, password, .. }) => {
                Login::Password { user: user.clone(), password: password.clone() }
            }
            _ => return Ok(None),
        };
        also.extend(login.secrets());
        Ok(Some(login))
    }

    /// Envelope and message as they are handed over.
    fn shown(&self, mail: &Mail, login: Option<&Login>) -> Shown {
        let message = String::from_utf8_lossy(&mail.bytes).replace("\r\n", "\n");
        let (head, body) = message.split_once("\n\n").unwrap_or((&message, ""));
        let mut headers = vec![("mail from".to_owned(), mail.from.clone()), ("rcpt to".to_owned(), mail.to.join(", "))];
        headers.extend(login.map(|login| {
            let stands_in = self.client.stand_in().is_some();
            let hidden = |secret: &Secret| if stands_in { secret.expose().to_owned() } else { "…".to_owned() };
            let shown = match login {
                Login::Password { user, password } => format!("{}:{}", user.expose(), hidden(password)),
                Login::Token { user, token } => format!("XOAUTH2 {} {}", user.expose(), hidden(token)),
            };
            ("auth".to_owned(), shown)
        }));
        let unfolded = head.replace("\n ", " ");
        let lines = unfolded.lines().filter_map(|line| line.split_once(": "));
        headers.extend(lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())));
        Shown {
            role: Role::Job,
            method: "SMTP".to_owned(),
            url: self.address.clone(),
            headers,
            body: body.to_owned(),
            frames: Vec::new(),
            answer: None,
        }
    }
}

fn done(job: &Job, mail: &Mail, taken: &Taken) -> Outcome {
    let refused: Map<String, Value> =
        taken.refused.iter().map(|(to, reply)| (to.clone(), reply.to_string().into())).collect();
    let sent: Vec<&String> = mail.to.iter().filter(|to| !refused.contains_key(*to)).collect();
    let mut info = json!({
        "target": job.target, "to": sent, "subject": mail.subject, "message_id": mail.message_id,
        "reply": taken.reply.to_string(),
    });
    if let (Value::Object(info), false) = (&mut info, refused.is_empty()) {
        info.insert("refused".to_owned(), Value::Object(refused));
    }
    Outcome::done("communicate", "email_sent", info)
}
