//! HTTP in: a webhook is verified, decoded, mapped to events and published, and only then answered with 2xx.
//!
//! ```text
//! Request<Unverified> ─ verify ─→ Request<Verified> ─ decode ─→ JSON ─ map (jq) ─→ drafts ─ publish ─→ 200
//! ```
//!
//! Each step takes what only the step before it makes. Everything up to `publish` is pure: time and randomness are
//! arguments. Nothing is kept in memory only: without the stream's acknowledgement the sender is asked to try again.
//!
//! Where a source speaks SCIM, clients do not send events but change users and groups: [`scim`] is the server, and what
//! changes is mapped and published in the same way.
//!
//! A vendor is a file in `broker/catalog/sources/`; code is needed for a new scheme ([`verify`]) or notation ([`decode`]).

mod address;
pub mod catalog;
mod conform;
mod counts;
mod decode;
mod handshake;
mod http;
mod map;
pub(crate) mod own;
mod publish;
mod refusal;
mod reply;
mod request;
mod scim;
mod source;
mod spec;
pub mod verify;

pub use address::Cidr;
pub(crate) use address::sender;
pub use conform::Conform;
pub use counts::{Counts, SourceCounts};
pub use decode::DecodeSpec;
pub(crate) use decode::{Piece, Pieces, media_type};
pub use handshake::HandshakeSpec;
pub use http::{Sources, router};
pub use map::{Dedupe, Moment, Unmapped};
pub use publish::{Aliases, NoAliases, Publish, PublishError, Ready};
pub use refusal::{Denied, Refusal};
pub use reply::ReplySpec;
pub use request::{Request, Unverified, Verified};
pub use scim::{Directory, Untold};
pub(crate) use source::{Dropped, Heard};
pub use source::{Plan, Source, Taken};
pub use spec::{Protocol, SourceSpec};
pub use verify::VerifySpec;

use crate::config::Problems;

fn verify_header_name(path: &str, name: &str, problems: &mut Problems) {
    if name.parse::<axum::http::HeaderName>().is_err() {
        problems.add(path, format!("{name:?} is no name of a header, such as X-Signature"));
    }
}
