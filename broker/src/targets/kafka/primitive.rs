//! The primitive types of Kafka's protocol, as its versions without tagged fields write them
//! (kafka.apache.org/protocol, "Protocol Primitive Types"). What is read is bounded by the bytes that there are: a length or
//! a number of elements that a message claims sets nothing aside.

/// What a message holds is not what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer is not as Kafka's protocol has it: is it a Kafka broker?")]
pub(super) struct Malformed;

/// Writes a message.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn i8(&mut self, value: i8) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// `NULLABLE_STRING`, of which `STRING` is the part that is there; of a text that is too long nothing is written.
    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        let length = value.and_then(|text| i16::try_from(text.len()).ok());
        self.i16(length.unwrap_or(-1));
        self.raw(value.filter(|_| length.is_some()).unwrap_or_default().as_bytes())
    }

    /// `BYTES`.
    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len()).raw(value)
    }

    /// How many elements of an `ARRAY` follow.
    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// `VARINT` and `VARLONG`: zigzag, seven bits a byte, the lowest first.
    pub(super) fn varint(&mut self, value: i64) -> &mut Self {
        let mut rest = (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push((rest & 0x7f) as u8);
        self
    }

    /// Bytes with their length before them as a `VARINT`, -1 for none.
    pub(super) fn varbytes(&mut self, value: Option<&[u8]>) -> &mut Self {
        self.varint(value.map_or(-1, |value| i64::try_from(value.len()).unwrap_or(i64::MAX)));
        self.raw(value.unwrap_or_default())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// What was written, of which nothing is left here.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// `BOOLEAN`.
    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        self.fixed::<1>().map(|[byte]| byte != 0)
    }

    /// `STRING`.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        self.nullable_text()?.ok_or(Malformed)
    }

    /// `NULLABLE_STRING`.
    pub(super) fn nullable_text(&mut self) -> Result<Option<String>, Malformed> {
        let Some(length) = length(self.i16()?.into())? else { return Ok(None) };
        String::from_utf8(self.take(length)?.to_vec()).map(Some).map_err(|_| Malformed)
    }

    /// `BYTES`.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = length(self.i32()?)?.ok_or(Malformed)?;
        self.take(length)
    }

    /// `ARRAY`, each element as `read` has it; nothing in place of none.
    pub(super) fn array<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut elements = Vec::new();
        for _ in 0..length(self.i32()?)?.unwrap_or_default() {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (found, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*found)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (found, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(found)
    }
}

/// A length that was claimed, none for -1.
fn length(claimed: i32) -> Result<Option<usize>, Malformed> {
    match claimed {
        -1 => Ok(None),
        claimed => usize::try_from(claimed).map(Some).map_err(|_| Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_numbers_are_short() {
        for (value, bytes) in [
            (0, vec![0]),
            (-1, vec![1]),
            (1, vec![2]),
            (63, vec![0x7e]),
            (-65, vec![0x81, 1]),
            (300, vec![0xd8, 4]),
            (i64::MIN, vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            assert_eq!(Writer::default().varint(value).take(), bytes, "{value}");
        }
    }

    #[test]
    fn what_is_claimed_and_not_there_is_refused() {
        for bytes in [&[0x7f, 0xff, 0xff, 0xff][..], &[0x80, 0, 0, 0], &[0xff, 0xff, 0xff, 0xfe], &[0, 0]] {
            assert_eq!(Reader::new(bytes).array(Reader::i64), Err(Malformed), "{bytes:?}");
            assert_eq!(Reader::new(bytes).bytes(), Err(Malformed), "{bytes:?}");
            assert_eq!(Reader::new(bytes).text(), if bytes == [0, 0] { Ok(String::new()) } else { Err(Malformed) });
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in proptest::option::of(".{0,40}"), bytes in any::<Vec<u8>>(), n: i64) {
            let written = Writer::default().text(text.as_deref()).bytes(&bytes).i64(n).count(1).i16(7).take();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.nullable_text(), Ok(text));
            prop_assert_eq!(reader.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!((reader.i64(), reader.array(Reader::i16)), (Ok(n), Ok(vec![7])));
            prop_assert_eq!(reader.flag(), Err(Malformed));
        }
    }
}
