//! Numbers and pieces of bytes that were built elsewhere, each by its place, never past the end.

/// What is wrong with a file of some format, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{format}, byte {at}: {what}")]
pub struct Malformed {
    /// The format's name.
    pub format: &'static str,
    /// Where, from the format's own first byte.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// Reads from the front, within bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    format: &'static str,
    data: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    /// All of `data`, from its first byte.
    pub fn new(format: &'static str, data: &'a [u8]) -> Self {
        Self { format, data, at: 0 }
    }

    /// The same bytes, from another place.
    pub fn at(self, at: usize) -> Result<Self, Malformed> {
        let moved = Self { at, ..self };
        if at > self.data.len() { Err(moved.wrong("it points behind the end")) } else { Ok(moved) }
    }

    /// Where the next byte is read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// Says what is wrong here.
    pub fn wrong(&self, what: impl Into<String>) -> Malformed {
        Malformed { format: self.format, at: self.at, what: what.into() }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len());
        let end = end.ok_or_else(|| self.wrong(format!("{length} bytes expected, {} there", self.left())))?;
        let taken = &self.data[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes, the greater first.
    pub fn u16_be(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, the greatest first.
    pub fn u32_be(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, the greatest first.
    pub fn u64_be(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Two bytes, the smaller first.
    pub fn u16_le(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, the smallest first.
    pub fn u32_le(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, the smallest first.
    pub fn u64_le(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Four bytes as a place or a length.
    pub fn size_be(&mut self) -> Result<usize, Malformed> {
        let here = *self;
        usize::try_from(self.u32_be()?).map_err(|_| here.wrong("a length that is too great"))
    }

    /// Text up to a zero byte, which is read too.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let here = *self;
        let rest = &self.data[self.at..];
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| here.wrong("a text without an end"))?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| here.wrong("a text that is not UTF-8"))?;
        self.at += end + 1;
        Ok(text)
    }
}
