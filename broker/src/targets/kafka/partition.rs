//! Which partition a record goes into: the one into which Java's producer puts a record with such a key, so that what others
//! write about a Mac lies beside what Emote writes.

use crate::core::JobId;

/// The partition of `count`; without a key the job's own, the same whenever it is tried again.
pub(super) fn choose(key: Option<&[u8]>, job: &JobId, count: usize) -> usize {
    let hash = murmur2(key.unwrap_or(job.as_str().as_bytes()));
    // Kafka clears the sign and takes what is left modulo the number of partitions.
    let positive = usize::try_from(hash & 0x7fff_ffff).unwrap_or_default();
    positive.checked_rem(count).unwrap_or_default()
}

/// MurmurHash2 of 32 bits, with the seed that Kafka has chosen (`org.apache.kafka.common.utils.Utils`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, word| {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        hash.wrapping_mul(M) ^ (mixed ^ (mixed >> 24)).wrapping_mul(M)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka() {
        // The vectors of Kafka's own tests.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn a_node_has_a_partition_and_what_is_of_none_is_spread() {
        let job = crate::targets::testing::job().id;
        // 0x7fffffff & -790332482 = 1357151166
        assert_eq!(choose(Some(b"foobar"), &job, 100), 66);
        assert_eq!(choose(Some(b"foobar"), &job, 0), 0);
        assert_eq!(choose(None, &job, 7), choose(Some(job.as_str().as_bytes()), &job, 7));
    }
}
