//! A mail server on this machine that answers as told, and keeps what it is given.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// When TLS begins.
#[derive(Clone)]
pub(super) enum Tls {
    Never,
    AtOnce(TlsAcceptor),
    WhenAsked(TlsAcceptor),
}

pub(super) struct Postbox {
    pub(super) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    /// What is answered to lines that begin so; nothing: the connection is closed, `…`: nothing ever.
    replies: Mutex<Vec<(String, String)>>,
    said: Mutex<Vec<String>>,
    mails: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    refuses: Mutex<bool>,
}

const HELLO: &str =
    "250-mail.example.com\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 SMTPUTF8";

impl Postbox {
    pub(super) async fn replying(replies: &[(&str, &str)]) -> Self {
        Self::with_tls(Tls::Never, replies).await
    }

    pub(super) async fn with_tls(tls: Tls, replies: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            replies: Mutex::default(),
            said: Mutex::default(),
            mails: Mutex::default(),
            connections: Mutex::default(),
            refuses: Mutex::default(),
        });
        let postbox = Self { port, inner: Arc::clone(&inner) };
        postbox.reply(replies);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *inner.connections.lock().unwrap() += 1;
                tokio::spawn(connected(stream, tls.clone(), Arc::clone(&inner)));
            }
        });
        postbox
    }

    /// From now on these are the replies.
    pub(super) fn reply(&self, replies: &[(&str, &str)]) {
        let replies = replies.iter().map(|(line, reply)| ((*line).to_owned(), (*reply).to_owned()));
        *self.inner.replies.lock().unwrap() = replies.collect();
    }

    /// An empty line, which asks why a login was refused, is answered with that it was.
    pub(super) fn refuse_empty_lines(&self) {
        *self.inner.refuses.lock().unwrap() = true;
    }

    /// What was said since the last time, a line each; a mail is a `.`.
    pub(super) fn said(&self) -> String {
        std::mem::take(&mut *self.inner.said.lock().unwrap()).join("\n")
    }

    /// The mails so far.
    pub(super) fn mails(&self) -> Vec<String> {
        std::mem::take(&mut *self.inner.mails.lock().unwrap())
    }

    pub(super) fn connections(&self) -> usize {
        *self.inner.connections.lock().unwrap()
    }
}

async fn connected(stream: tokio::net::TcpStream, tls: Tls, inner: Arc<Inner>) {
    let (hello, upgraded) = match tls {
        Tls::Never => return drop(speak(stream, &inner, HELLO).await),
        Tls::AtOnce(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            return drop(speak(stream, &inner, HELLO).await);
        }
        Tls::WhenAsked(acceptor) => ("250-mail.example.com\r\n250 STARTTLS", acceptor),
    };
    let Some(stream) = speak(stream, &inner, hello).await else { return };
    if let Ok(stream) = upgraded.accept(stream).await {
        converse(BufReader::new(stream), &inner, HELLO).await;
    }
}

/// Gives the stream back where TLS is to begin.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, inner: &Inner, hello: &str) -> Option<S> {
    let greeting = inner.reply_to("connect").unwrap_or_else(|| "220 mail.example.com ESMTP".to_owned());
    stream.write_all(format!("{greeting}\r\n").as_bytes()).await.ok()?;
    converse(BufReader::new(stream), inner, hello).await
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    inner: &Inner,
    hello: &str,
) -> Option<S> {
    let (mut is_login, mut mail) = (0_u8, None::<String>);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(mut so_far) = mail.take() {
            if line != ".\r\n" {
                so_far.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail = Some(so_far);
                continue;
            }
            inner.mails.lock().unwrap().push(so_far);
        }
        let line = line.trim_end().to_owned();
        inner.said.lock().unwrap().push(line.clone());
        let usual = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => hello,
            "AUTH" if line == "AUTH LOGIN" => {
                is_login = 2;
                "334 VXNlcm5hbWU6"
            }
            "AUTH" => "235 2.7.0 welcome",
            _ if is_login > 0 => {
                is_login -= 1;
                if is_login == 1 { "334 UGFzc3dvcmQ6" } else { "235 2.7.0 welcome" }
            }
            "" if *inner.refuses.lock().unwrap() => "535 5.7.8 no",
            "DATA" => "354 go on",
            "." => "250 2.0.0 queued as 4F1",
            "QUIT" => "221 bye",
            "STARTTLS" => "220 go on",
            _ => "250 2.1.0 OK",
        };
        let reply = inner.reply_to(&line).unwrap_or_else(|| usual.to_owned());
        match reply.as_str() {
            "" => return None,
            "…" => std::future::pending().await,
            _ => stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?,
        }
        if line == "STARTTLS" && reply.starts_with("220") {
            return Some(stream.into_inner());
        }
        if line == "DATA" && reply.starts_with("354") {
            mail = Some(String::new());
        }
    }
}

impl Inner {
    fn reply_to(&self, line: &str) -> Option<String> {
        let replies = self.replies.lock().unwrap();
        replies.iter().find(|(begins, _)| line.starts_with(begins)).map(|(_, reply)| reply.clone())
    }
}
