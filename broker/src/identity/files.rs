//! Where things of NATS lie in a configuration folder that `emote init --secure` wrote; relative to it.

/// Whatever belongs to NATS.
pub const FOLDER: &str = "nats";
/// What nats-server is started with, in the configuration folder.
pub const SERVER: &str = "nats/nats-server.conf";
/// Operator and accounts, included by the former.
pub const IDENTITY: &str = "nats/identity.conf";
/// Where the server keeps accounts' JWTs.
pub const RESOLVER: &str = "nats/jwt";
/// The operator's JWT by itself, for `nsc` and other servers.
pub const OPERATOR: &str = "nats/operator.jwt";
/// What clients trust.
pub const CA: &str = "nats/ca.pem";
/// The server's certificate.
pub const CERTIFICATE: &str = "nats/server.pem";
/// Its key.
pub const KEY: &str = "nats/server.key";
/// The key of the private authority; not there where the certificate is somebody else's.
pub const CA_KEY: &str = "secrets/ca.key";
/// The key that signs brokers and administrators.
pub const SERVICE_KEY: &str = "secrets/service.nk";
/// Credentials of the broker.
pub const BROKER: &str = "nats/broker.creds";
/// Credentials of an administrator.
pub const ADMIN: &str = "nats/admin.creds";
/// Credentials of the broker at the system account.
pub const SYSTEM: &str = "nats/system.creds";
/// A context for the `nats` command.
pub const CONTEXT: &str = "nats/context-emote.json";
