//! What would become of something that is sent to a source, for trying it out: without secrets, and with nowhere to go.

use bytes::Bytes;
use emote_proto::{Draft, Trust};
use serde_json::Value;

use super::{Dropped, Heard, Plan};
use crate::ingest::{Aliases, Moment, Protocol, Refusal, Request, Unverified, scim, verify::Proof};

impl Plan {
    /// What a file of this name and content would become if it were dropped into the folder.
    pub fn rehearse_file(
        &self,
        name: &str,
        content: &[u8],
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let trust = self.folder.as_ref().map_or(Trust::Unverified, |folder| folder.trust());
        let file = Dropped { name, written: 0, trust };
        let (mut pieces, mut drafts) = (self.pieces(content), Vec::new());
        loop {
            let next = pieces.next_ones().map_err(|error| Refusal::Undecodable(error.to_string()))?;
            if next.is_empty() {
                return Ok(drafts);
            }
            for piece in next {
                drafts.extend(self.dropped(&file, piece, aliases, moment)?);
            }
        }
    }

    /// What a request would become, with nothing checked and nowhere to go: for trying out a source without secrets.
    /// The drafts' trust is that of a request that passes.
    pub fn rehearse(
        &self,
        request: Request<Unverified>,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let claims = self.verify.unproven_claims(&request.body);
        let trust = self.verify.trust();
        let signed = (trust == Trust::Verified).then(Vec::new);
        let request = request.unchecked(Proof { trust, claims, mark: None, signed });
        if self.protocol == Protocol::Scim {
            let events = scim::rehearse(request.method.as_ref(), request.path.as_deref(), &request.body)?;
            return self.mapping.all_drafts(&request, events, (None, None), aliases, moment);
        }
        let decoded = match request.claims() {
            Some(claims) => Value::Object(claims.clone()),
            None => self.decoder.decode(&request)?,
        };
        self.mapping.drafts(&request, &decoded, (None, None), aliases, moment)
    }

    /// What would become of this if it were sent to the first of its sockets.
    pub fn rehearse_messages(
        &self,
        bytes: &Bytes,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let Some(socket) = self.sockets.first() else { return Ok(Vec::new()) };
        let mut drafts = Vec::new();
        for (at, (bytes, message)) in socket.rehearse(bytes, self.max_body)?.into_iter().enumerate() {
            let heard = Heard { bytes, trust: socket.trust(), mark: at.to_string() };
            drafts.extend(self.heard(heard, &message, aliases, moment)?);
        }
        Ok(drafts)
    }
}
