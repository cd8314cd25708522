//! Conversations with a mail server (RFC 5321): with TLS, as somebody, and kept for the next mail.
//!
//! One goes back to the others only after the last reply of its mail was read: another one, given up in the midst of
//! something, would answer the next mail's questions with this one's. What a server says before TLS begins counts for
//! nothing after it (RFC 3207, 4.2).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use zeroize::Zeroizing;

use super::{
    super::dial::{self, Stream},
    failure::Failure,
    message::Mail,
};
use crate::config::Secret;

/// The longest line of a reply, in bytes (RFC 5321, 4.5.3.1.5 has 512; not every server keeps to it).
const MAX_LINE: u64 = 4096;
/// The most lines of a reply.
const MAX_LINES: usize = 128;
/// How long making a connection may take, at most.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long one is kept that nobody needs: servers close them after a while.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Where the server is, and how it is spoken to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// Whom the server is told that it speaks to.
    pub(super) hello: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (RFC 8314, 3.3).
    Implicit,
    /// STARTTLS before anything else, or nothing.
    StartTls,
    /// None.
    Plain,
}

/// As whom one speaks.
pub(super) enum Login {
    Password { user: Secret, password: Secret },
    Token { user: Secret, token: Secret },
}

impl Login {
    /// What must not be shown beside a password as it is: a token, and the forms in which they are sent.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let (secret, token) = match self {
            Self::Password { password, .. } => (password, None),
            Self::Token { token, .. } => (token, Some(token.clone())),
        };
        let sent = [self.whole(), encoded(secret.expose().to_owned())];
        sent.iter().map(|sent| Secret::new(sent.as_str())).chain(token).collect()
    }

    /// All of it in one word: as PLAIN has it (RFC 4616), or XOAUTH2.
    fn whole(&self) -> Zeroizing<String> {
        encoded(match self {
            Self::Password { user, password } => format!("\0{}\0{}", user.expose(), password.expose()),
            Self::Token { user, token } => {
                format!("user={}\u{1}auth=Bearer {}\u{1}\u{1}", user.expose(), token.expose())
            }
        })
    }
}

/// A server, and the conversations with it that wait for the next mail.
pub(super) struct Server {
    place: Place,
    tls: Arc<ClientConfig>,
    idle: Mutex<Vec<(Conversation, Instant)>>,
    /// How many of them there may be.
    most: usize,
}

/// A mail that the server has taken.
#[derive(Debug)]
pub(super) struct Taken {
    /// What it said of it.
    pub(super) reply: Reply,
    /// To whom it will not go, and why.
    pub(super) refused: Vec<(String, Reply)>,
}

/// See RFC 5321, 4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

pub(super) struct Conversation {
    stream: BufReader<Box<dyn Stream>>,
    /// What the server can do, a line each.
    can: Vec<String>,
}

impl Server {
    pub(super) fn new(place: Place, tls: Arc<ClientConfig>, most: usize) -> Self {
        Self { place, tls, idle: Mutex::default(), most }
    }

    /// One of the conversations that wait, if its server still answers.
    pub(super) async fn kept(&self) -> Option<Conversation> {
        loop {
            let (mut conversation, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < KEPT_FOR && conversation.ask("NOOP", "NOOP").await.is_ok_and(|reply| reply.code == 250)
            {
                return Some(conversation);
            }
        }
    }

    /// A new one.
    pub(super) async fn begin(&self, login: Option<&Login>) -> Result<Conversation, Failure> {
        let Place { host, port, security, hello } = &self.place;
        let lost = |error: &dyn std::fmt::Display| Failure::lost("connecting", &format!("{host}:{port}: {error}"));
        let stream = tokio::time::timeout(CONNECT_WITHIN, dial::tcp(host, *port))
            .await
            .map_err(|_| lost(&format!("no connection within {CONNECT_WITHIN:?}")))?
            .map_err(|error| lost(&error))?;
        let mut conversation = match security {
            Security::Implicit => Conversation::over(Box::new(self.encrypted(stream).await?)),
            Security::StartTls | Security::Plain => Conversation::over(Box::new(stream)),
        };
        conversation.read("connecting").await?.expect("connecting", 220)?;
        conversation.hello(hello).await?;
        if *security == Security::StartTls {
            conversation = self.upgraded(conversation).await?;
            conversation.hello(hello).await?;
        }
        if let Some(login) = login {
            conversation.log_in(login).await?;
        }
        Ok(conversation)
    }

    /// Hands `mail` over, and keeps the conversation where all went well.
    pub(super) async fn hand_over(&self, mut conversation: Conversation, mail: &Mail) -> Result<Taken, Failure> {
        let taken = conversation.hand_over(mail).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push((conversation, Instant::now()));
        }
        Ok(taken)
    }

    async fn upgraded(&self, mut conversation: Conversation) -> Result<Conversation, Failure> {
        if !conversation.can("STARTTLS") {
            return Err(Failure::lost("STARTTLS", &"the server does not offer it, and nothing is sent without TLS"));
        }
        conversation.ask("STARTTLS", "STARTTLS").await?.expect("STARTTLS", 220)?;
        if !conversation.stream.buffer().is_empty() {
            return Err(Failure::lost("STARTTLS", &"something was said in between, before TLS began"));
        }
        Ok(Conversation::over(Box::new(self.encrypted(conversation.stream.into_inner()).await?)))
    }

    async fn encrypted<S: Stream>(&self, stream: S) -> Result<impl Stream + use<S>, Failure> {
        let encrypted = dial::tls(&self.place.host, Arc::clone(&self.tls), stream).await;
        encrypted.map_err(|error| Failure::lost("TLS", &error))
    }
}

impl Conversation {
    fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream), can: Vec::new() }
    }

    fn can(&self, what: &str) -> bool {
        self.can.iter().any(|line| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(what)))
    }

    /// Whether the server takes logins in this way; some write `AUTH=` for clients of long ago.
    fn takes(&self, mechanism: &str) -> bool {
        let ways = self.can.iter().filter(|line| line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("AUTH")));
        let mut ways = ways.filter_map(|line| line.get(5..)).flat_map(|ways| ways.split(' '));
        ways.any(|way| way.eq_ignore_ascii_case(mechanism))
    }

    async fn hello(&mut self, name: &str) -> Result<(), Failure> {
        let reply = self.ask("EHLO", &format!("EHLO {name}")).await?.expect("EHLO", 250)?;
        self.can = reply.lines.into_iter().skip(1).collect();
        Ok(())
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        const AT: &str = "AUTH";
        let refused = |reply: Reply| match reply.code {
            235 => Ok(()),
            _ => Err(Failure::login(reply)),
        };
        match login {
            Login::Token { .. } if self.takes("XOAUTH2") => {
                let mut reply = self.ask(AT, &format!("AUTH XOAUTH2 {}", *login.whole())).await?;
                // Why not is told before it is said that it is so; an empty line asks for that.
                if reply.code == 334 {
                    reply = self.ask(AT, "").await?;
                }
                refused(reply)
            }
            Login::Password { .. } if self.takes("PLAIN") => {
                refused(self.ask(AT, &format!("AUTH PLAIN {}", *login.whole())).await?)
            }
            Login::Password { user, password } if self.takes("LOGIN") => {
                let mut reply = self.ask(AT, "AUTH LOGIN").await?;
                for word in [user, password] {
                    if reply.code != 334 {
                        break;
                    }
                    reply = self.ask(AT, &encoded(word.expose().to_owned())).await?;
                }
                refused(reply)
            }
            Login::Token { .. } => Err(Failure::no_way("XOAUTH2")),
            Login::Password { .. } => Err(Failure::no_way("PLAIN or LOGIN")),
        }
    }

    async fn hand_over(&mut self, mail: &Mail) -> Result<Taken, Failure> {
        let beyond_ascii = !mail.bytes.is_ascii() || !mail.from.is_ascii() || mail.to.iter().any(|to| !to.is_ascii());
        if beyond_ascii && !self.can("SMTPUTF8") {
            return Err(Failure::impossible("an address is not ASCII, and the server takes no others (SMTPUTF8)"));
        }
        let size = if self.can("SIZE") { format!(" SIZE={}", mail.bytes.len()) } else { String::new() };
        let utf8 = if beyond_ascii { " BODY=8BITMIME SMTPUTF8" } else { "" };
        self.ask("MAIL", &format!("MAIL FROM:<{}>{size}{utf8}", mail.from)).await?.expect("MAIL", 250)?;
        let mut refused = Vec::new();
        for to in &mail.to {
            let reply = self.ask("RCPT", &format!("RCPT TO:<{to}>")).await?;
            match reply.code {
                250..=252 => {}
                // Nobody has got it yet: later they get it together.
                500..=599 => refused.push((to.clone(), reply)),
                _ => return Err(Failure::refused("RCPT", reply)),
            }
        }
        if refused.len() == mail.to.len()
            && let Some((_, reply)) = refused.pop()
        {
            return Err(Failure::refused("RCPT", reply));
        }
        self.ask("DATA", "DATA").await?.expect("DATA", 354)?;
        self.say(&stuffed(&mail.bytes)).await.map_err(|error| Failure::in_doubt(&error))?;
        let reply = self.read("DATA").await.map_err(Failure::into_doubt)?.expect("DATA", 250)?;
        Ok(Taken { reply, refused })
    }

    async fn ask(&mut self, at: &'static str, line: &str) -> Result<Reply, Failure> {
        let line = Zeroizing::new(format!("{line}\r\n"));
        self.say(line.as_bytes()).await.map_err(|error| Failure::lost(at, &error))?;
        self.read(at).await
    }

    async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn read(&mut self, at: &'static str) -> Result<Reply, Failure> {
        let mut lines = Vec::new();
        for _ in 0..MAX_LINES {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(MAX_LINE).read_until(b'\n', &mut line).await;
            read.map_err(|error| Failure::lost(at, &error))?;
            let (code, is_last, text) = parsed(&line).map_err(|error| Failure::lost(at, &error))?;
            lines.push(text);
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(Failure::lost(at, &"a reply without an end"))
    }
}

impl Reply {
    /// The reply, where it is the one that lets one go on.
    fn expect(self, at: &'static str, code: u16) -> Result<Self, Failure> {
        if self.code == code { Ok(self) } else { Err(Failure::refused(at, self)) }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, super::super::wire::quote(&self.lines.join(" ")))
    }
}

fn encoded(text: String) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(Zeroizing::new(text).as_bytes()))
}

/// Code, whether the reply ends with it, and text of a line of a reply.
fn parsed(line: &[u8]) -> Result<(u16, bool, String), &'static str> {
    if line.is_empty() {
        return Err("the server has closed the connection");
    }
    let text = line.strip_suffix(b"\n").ok_or("a line without an end")?;
    let text = String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned();
    let (code, rest) = text.split_at_checked(3).ok_or("this is no mail server's reply")?;
    let code =
        Some(code).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).and_then(|code| code.parse().ok());
    let code = code.ok_or("this is no mail server's reply")?;
    Ok((code, !rest.starts_with('-'), rest.get(1..).unwrap_or_default().to_owned()))
}

/// The mail as it stands between DATA and the reply to it: each line ended by CRLF, none of them a lone dot but the last
/// (RFC 5321, 4.5.2).
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len().saturating_add(64));
    let mut bytes = mail.iter().copied().peekable();
    let mut at_start = true;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    bytes.next_if_eq(&b'\n');
                }
                out.extend_from_slice(b"\r\n");
                at_start = true;
            }
            byte => {
                if at_start && byte == b'.' {
                    out.push(b'.');
                }
                out.push(byte);
                at_start = false;
            }
        }
    }
    out.extend_from_slice(if at_start { b".\r\n" } else { b"\r\n.\r\n" });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_a_reply_has_a_code() {
        let read = |line: &str| parsed(line.as_bytes()).map(|(code, last, text)| format!("{code} {last} {text}"));
        for (line, expected) in [
            ("250 OK\r\n", Ok("250 true OK")),
            ("250-SIZE 1000\r\n", Ok("250 false SIZE 1000")),
            ("250\n", Ok("250 true ")),
            ("354 \n", Ok("354 true ")),
            ("", Err("the server has closed the connection")),
            ("250 OK", Err("a line without an end")),
            ("ok\r\n", Err("this is no mail server's reply")),
            ("+12 x\r\n", Err("this is no mail server's reply")),
            ("2é 0\r\n", Err("this is no mail server's reply")),
        ] {
            assert_eq!(read(line), expected.map(str::to_owned), "{line:?}");
        }
    }

    #[test]
    fn how_one_may_log_in_is_read_as_servers_write_it() {
        let mut conversation = Conversation::over(Box::new(tokio::io::empty()));
        conversation.can =
            ["SIZE 10", "AUTH PLAIN login", "AUTH=XOAUTH2", "AUTHX CRAM-MD5", "AUT"].map(str::to_owned).into();
        assert!(conversation.can("size") && !conversation.can("SIZ") && !conversation.can("PLAIN"));
        assert!(["PLAIN", "LOGIN", "XOAUTH2"].iter().all(|way| conversation.takes(way)));
        assert!(!conversation.takes("SIZE") && !conversation.takes("10"));
    }

    proptest! {
        #[test]
        fn no_reply_panics(reply in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut conversation = Conversation::over(Box::new(tokio::io::join(std::io::Cursor::new(reply), tokio::io::sink())));
            while runtime.block_on(conversation.ask("EHLO", "EHLO x")).is_ok() {}
        }

        #[test]
        fn no_mail_ends_before_its_end(mail in "[a.\r\n]{0,40}") {
            let sent = String::from_utf8(stuffed(mail.as_bytes())).unwrap();
            let lines: Vec<&str> = sent.split_terminator("\r\n").collect();
            prop_assert!(sent.ends_with("\r\n") && lines.iter().all(|line| !line.contains(['\r', '\n'])));
            prop_assert_eq!(lines.iter().position(|line| *line == "."), Some(lines.len() - 1));
            let read: Vec<&str> = lines[..lines.len() - 1].iter().map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            let plain = mail.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read, plain.split_terminator('\n').collect::<Vec<_>>());
        }
    }
}
