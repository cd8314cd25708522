//! Makes the credentials that the registry speaks of. The same record makes the same text, so none is kept.

use emote_proto::Serial;

use super::{
    jwt::{AccountKey, SignError, Validity},
    record::{Issued, TokenRecord},
};

/// The JWT of a device, named by its serial number.
pub fn device(signer: &AccountKey, serial: &Serial, issued: &Issued) -> Result<String, SignError> {
    signer.device(serial, &issued.key, Validity::from(issued.issued).until(issued.expires))
}

/// The JWT of an enrolment token's user, named by the token's id.
pub fn token(signer: &AccountKey, token: &TokenRecord) -> Result<String, SignError> {
    signer.token(&token.id, &token.key, Validity::from(token.created).until(token.expires))
}
