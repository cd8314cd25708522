//! The names of everything Emote keeps in NATS, and the sizes it keeps to. Nothing else spells them out.

/// JetStream streams.
pub mod stream {
    /// Everything that happened; the only input of the core.
    pub const EVENTS: &str = "EVENTS";
    /// Jobs for targets, held jobs, and the core's checkpoint.
    pub const DELIVERIES: &str = "DELIVERIES";
    /// Jobs that were given up, with the reason.
    pub const DEAD: &str = "DEAD";
}

/// Sources that are Emote's own.
pub mod source {
    /// What a Mac's agent says of its Mac.
    pub const AGENT: &str = "agent";
    /// What the broker says: results, and what the core has to tell.
    pub const BROKER: &str = "broker";
    /// What people order: the node is who gives the order, and NATS lets nobody publish under another's name.
    pub const ADMIN: &str = "admin";
}

/// Subjects outside `events.…`.
pub mod subjects {
    use crate::{Name, enroll::TokenId};

    /// Subjects that EVENTS takes.
    pub const EVENTS: &str = "events.>";
    /// Subjects that DELIVERIES takes.
    pub const DELIVERIES: [&str; 3] = ["deliver.>", "held.>", "checkpoint.>"];
    /// Subjects that DEAD takes.
    pub const DEAD: &str = "dead.>";

    /// All jobs.
    pub const DELIVER: &str = "deliver.>";

    /// A job of `rule` for `target`.
    pub fn deliver(target: &Name, rule: &Name) -> String {
        ["deliver.", target.as_str(), ".", rule.as_str()].concat()
    }

    /// All jobs for `target`.
    pub fn deliver_all(target: &Name) -> String {
        format!("deliver.{target}.*")
    }

    /// A job of `rule` for `target` that is held back; `token` is the job's own word.
    pub fn held(target: &Name, rule: &Name, token: &str) -> String {
        format!("held.{target}.{rule}.{token}")
    }

    /// Everything that is or was held back.
    pub const HELD: &str = "held.>";

    /// Everything that is or was held back of `rule`.
    pub fn held_of_rule(rule: &str) -> String {
        format!("held.*.{rule}.*")
    }

    /// A job of `rule` for `target` that was given up.
    pub fn dead(target: &Name, rule: &Name) -> String {
        format!("dead.{target}.{rule}")
    }

    /// The heartbeats of all agents.
    pub const HEARTBEATS: &str = "events.agent.*.agent.heartbeat";

    /// Where the agent that speaks under `node`, a subject token, is told the time.
    pub fn clock(node: &str) -> String {
        format!("_INBOX.{node}.clock")
    }

    /// Where the agent that speaks under `node`, a subject token, is told about its credential.
    pub fn identity(node: &str) -> String {
        format!("_INBOX.{node}.identity")
    }

    /// Where Macs ask for a credential, with whatever token.
    pub const ENROLL: &str = "enroll.*";

    /// Where a Mac asks for a credential with a token.
    pub fn enroll(token: &TokenId) -> String {
        format!("enroll.{token}")
    }

    /// What answers to those who ask with a token begin with.
    pub fn enroll_inbox(token: &TokenId) -> String {
        format!("_ENROLL.{token}")
    }

    /// Where the core of `partition` keeps its position.
    pub fn checkpoint(partition: u32) -> String {
        format!("checkpoint.{partition}")
    }
}

/// Durable consumers.
pub mod consumer {
    use crate::Name;

    /// The core of a partition on EVENTS; shows its lag. Its position is the checkpoint's.
    pub fn core(partition: u32) -> String {
        format!("core-{partition}")
    }

    /// What archives, on EVENTS; shows how far that is behind. How far it is, the archive itself says.
    pub const ARCHIVE: &str = "archive";
    /// What answers agents that ask about their credentials, on EVENTS.
    pub const IDENTITY: &str = "identity";
    /// What carries out orders about agents and tokens, on EVENTS.
    pub const IDENTITY_ORDERS: &str = "identity-orders";

    /// The workers of a target on DELIVERIES.
    pub fn target(target: &Name) -> String {
        format!("target-{target}")
    }

    /// The target whose workers' consumer has this name, if it is one of those.
    pub fn target_of(consumer: &str) -> Option<Name> {
        Name::new(consumer.strip_prefix("target-")?).ok()
    }
}

/// Key-value buckets, and one of objects.
pub mod bucket {
    /// Rule sets by hash, and which is current.
    pub const CONFIG: &str = "emote-config";
    /// Who may speak: enrolment tokens, and devices with their keys.
    pub const IDENTITY: &str = "emote-identity";
    /// Who is signed in at the console.
    pub const SESSIONS: &str = "emote-sessions";
    /// Users and groups that SCIM clients provision.
    pub const SCIM: &str = "emote-scim";
    /// The schemas that events have.
    pub const SCHEMAS: &str = "emote-schemas";
    /// The agent's packages; an object store.
    pub const PACKAGES: &str = "emote-packages";
}

/// NATS service subjects that `emote` answers; requests and replies are JSON.
pub mod service {
    /// A page of nodes.
    pub const NODES: &str = "emote.api.nodes";
    /// One node by serial number or UDID.
    pub const NODE: &str = "emote.api.node";
    /// What each broker is doing; every one answers.
    pub const BROKERS: &str = "emote.api.brokers";
    /// What is deployed, and a page of installs of the agent.
    pub const DEPLOYS: &str = "emote.api.deploys";
    /// What the MDM says of serial numbers, for a broker that gives out credentials.
    pub const VOUCHES: &str = "emote.api.vouches";

    /// A page of the counts of rules and targets, of the broker that is known by this word.
    pub fn tallies(broker: &str) -> String {
        format!("emote.api.tallies.{broker}")
    }
}

/// Message headers. The `Nats-` ones are the server's (ADR-50 for batches, ADR-43 for TTL).
pub mod header {
    /// Dedupes within the stream's window; the event's id.
    pub const MSG_ID: &str = "Nats-Msg-Id";
    /// What became of a key of a bucket, where that is not a value.
    pub const KV_OPERATION: &str = "KV-Operation";
    /// Expected `Nats-Msg-Id` of the stream's last message.
    pub const EXPECTED_LAST_MSG_ID: &str = "Nats-Expected-Last-Msg-Id";
    /// Expected last sequence of the stream.
    pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
    /// Expected last sequence of the subject.
    pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
    /// The subject (wildcards allowed) that the expectation is about.
    pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
    /// Id of an atomic batch.
    pub const BATCH_ID: &str = "Nats-Batch-Id";
    /// Place in the batch, from 1.
    pub const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
    /// `1` on the last message of the batch.
    pub const BATCH_COMMIT: &str = "Nats-Batch-Commit";
    /// `sub`: this message replaces all earlier ones of its subject.
    pub const ROLLUP: &str = "Nats-Rollup";
    /// Lifetime of the message; `never` outlives the stream's max age.
    pub const TTL: &str = "Nats-TTL";
    /// Size of the body that a consumer of headers alone is not given.
    pub const MSG_SIZE: &str = "Nats-Msg-Size";
    /// The job that a dead letter carries, or that an empty message of DELIVERIES is about; a job of DELIVERIES says its own id.
    pub const JOB: &str = "Emote-Job";
    /// On what the core writes: how far in EVENTS it is once this message is stored, `<sequence>/<jobs of the next>`.
    pub const PLACE: &str = "Emote-Place";
    /// The order that ended a job's being held; on the empty message behind it.
    pub const ORDER: &str = "Emote-Order";
    /// On an agent's heartbeat that asks for the time: a word to be told with the answer; see [`crate::ClockAnswer`].
    pub const CLOCK: &str = "Emote-Clock";
    /// The agent's spool sequence of an event, for people who look.
    pub const SPOOL_SEQUENCE: &str = "Emote-Spool-Sequence";
}

/// Sizes.
pub mod limits {
    /// Largest event in bytes of JSON. NATS servers take 1 MiB by default; jobs carry an event and a node beside it.
    pub const MAX_EVENT: usize = 256 * 1024;
    /// Largest event once completed: what was left out is filled in, and numbers may be written longer.
    pub const MAX_COMPLETED: usize = MAX_EVENT + 64 * 1024;
    /// Largest job in bytes of JSON; smaller than what NATS servers take by default (1 MiB), headers included.
    pub const MAX_JOB: usize = 960 * 1024;
    /// Smallest `max_payload` of a server that will do.
    pub const MIN_PAYLOAD: usize = 1024 * 1024;
    /// Most messages the server takes in one atomic batch.
    pub const MAX_BATCH: usize = 1000;
    /// A chain of effects longer than this stops.
    pub const MAX_DEPTH: u32 = 8;
    /// nats-server's `api.level` that brought atomic batch publish (2.12).
    pub const MIN_API_LEVEL: u64 = 3;
}
