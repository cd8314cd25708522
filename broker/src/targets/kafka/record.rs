//! Records as they are stored: batches of version 2 (kafka.apache.org/documentation, "Record Batch"), without a producer's id
//! and so without its sequence numbers: a batch that is sent twice is stored twice.

use crc_fast::CrcAlgorithm;

use super::{Compress, primitive::Writer};

/// What is before the records of a batch, in bytes.
const HEADER: usize = 61;
/// More than a record's own lengths and deltas take, in bytes.
const AROUND: usize = 32;
/// The bits of `attributes` that say gzip.
const GZIP: i16 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    /// None says that what had this key before is gone, in topics that are compacted.
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, String)>,
    /// In milliseconds since 1970.
    pub(super) timestamp: i64,
}

impl Record {
    /// About how many bytes it takes in a batch, and never fewer.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + AROUND);
        headers.sum::<usize>() + [&self.key, &self.value].into_iter().flatten().map(Vec::len).sum::<usize>() + AROUND
    }

    fn write(&self, timestamp_delta: i64, offset_delta: i32) -> Vec<u8> {
        let mut record = Writer::default();
        record.i8(0).varint(timestamp_delta).varint(offset_delta.into());
        record.varbytes(self.key.as_deref()).varbytes(self.value.as_deref());
        record.varint(i64::try_from(self.headers.len()).unwrap_or(i64::MAX));
        for (name, value) in &self.headers {
            record.varbytes(Some(name.as_bytes())).varbytes(Some(value.as_bytes()));
        }
        record.take()
    }
}

/// The batch of these records. `compress` is what makes its records smaller.
pub(super) fn batch<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    compress: Option<Compress>,
) -> Result<Vec<u8>, String> {
    let mut written = Writer::default();
    let (mut count, mut first, mut last) = (0_i32, None, i64::MIN);
    for record in records {
        let first = *first.get_or_insert(record.timestamp);
        last = last.max(record.timestamp);
        written.varbytes(Some(&record.write(record.timestamp.saturating_sub(first), count)));
        count = count.saturating_add(1);
    }
    let written = written.take();
    let (attributes, written) = match compress {
        None => (0, written),
        Some(compress) => (GZIP, compress(&written)?),
    };
    // As far as the checksum goes.
    let mut summed = Writer::default();
    summed.i16(attributes).i32(count.saturating_sub(1)).i64(first.unwrap_or_default()).i64(last);
    summed.i64(-1).i16(-1).i32(-1).i32(count).raw(&written);
    let summed = summed.take();
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &summed);
    let crc = u32::try_from(crc).map_err(|_| "a checksum of 32 bits has more".to_owned())?;
    let mut batch = Writer::default();
    // Behind the length: the leader's epoch (4 bytes), the version (1) and the checksum (4).
    batch.i64(0).count(summed.len().saturating_add(9)).i32(-1).i8(2).u32(crc).raw(&summed);
    let batch = batch.take();
    debug_assert!(batch.len() >= HEADER, "a batch has its header");
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::http::endpoint::gzip;

    fn record(key: Option<&str>, value: &str, timestamp: i64) -> Record {
        let headers = vec![("a".to_owned(), "b".to_owned())];
        Record { key: key.map(Into::into), value: Some(value.into()), headers, timestamp }
    }

    #[test]
    fn a_batch_is_as_the_documentation_has_it() {
        let found = batch([&record(Some("k"), "v", 1000), &record(None, "", 999)], None).unwrap();
        let (head, records) = found.split_at(HEADER);
        let number = |from: usize, to: usize| head[from..to].iter().fold(0_i128, |n, byte| n << 8 | i128::from(*byte));
        assert_eq!(number(0, 8), 0, "base offset");
        assert_eq!(usize::try_from(number(8, 12)).unwrap(), found.len() - 12, "length");
        assert_eq!((number(12, 16), head[16]), (0xffff_ffff, 2), "leader's epoch, version");
        assert_eq!(number(17, 21), crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &found[21..]).into());
        assert_eq!((number(21, 23), number(23, 27)), (0, 1), "attributes, last offset");
        assert_eq!((number(27, 35), number(35, 43)), (1000, 1000), "first and latest time");
        assert_eq!(&head[43..57], [0xff; 14], "no producer");
        assert_eq!(number(57, 61), 2, "records");
        let first = [0x14, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'a', 2, b'b'];
        let second = [0x12, 0, 1, 2, 1, 0, 2, 2, b'a', 2, b'b'];
        // A record's length is that of what follows: eleven and ten bytes.
        assert_eq!(
            records[1..],
            [&first[1..], &[u8::try_from((second.len() - 1) * 2).unwrap()], &second[1..]].concat()
        );
        assert_eq!(usize::from(records[0]), (first.len() - 1) * 2);
    }

    #[test]
    fn the_checksum_is_crc_32c() {
        // The check value of CRC-32/ISCSI.
        assert_eq!(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_record_is_never_larger_than_it_is_taken_for() {
        let long = record(Some(&"k".repeat(5000)), &"v".repeat(70_000), i64::MAX);
        for records in [vec![long.clone()], vec![record(None, "", i64::MIN), long, record(None, "v", 0)]] {
            let most = records.iter().map(Record::size).sum::<usize>() + HEADER;
            assert!(batch(&records, None).unwrap().len() <= most);
        }
    }

    #[test]
    fn records_are_compressed_and_the_rest_is_not() {
        let value = "emote ".repeat(1000);
        let plain = batch([&record(None, &value, 7)], None).unwrap();
        let small = batch([&record(None, &value, 7)], Some(gzip)).unwrap();
        assert!(small.len() < plain.len() / 10);
        assert_eq!((small[22], &small[HEADER..HEADER + 2]), (1, &[0x1f, 0x8b][..]));
    }
}
