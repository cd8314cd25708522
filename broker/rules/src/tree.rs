//! A pattern as read: JSON with the order and repetition of its keys, and where each value stands.

use crate::json::{JsonError, Reader};
use crate::scalar::Scalar;

/// A value and the byte at which it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'a> {
    pub(crate) at: usize,
    pub(crate) value: Tree<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree<'a> {
    Scalar(Scalar<'a>),
    List(Vec<Node<'a>>),
    Object(Vec<(String, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads one value; what follows it is not looked at.
    pub(crate) fn read(text: &'a str) -> Result<Self, JsonError> {
        Self::next(&mut Reader::new(text))
    }

    fn next(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        let at = reader.position();
        let value = match reader.peek()? {
            b'{' => {
                let mut members = Vec::new();
                reader.object(|reader, key| {
                    members.push((key.into_owned(), Self::next(reader)?));
                    Ok(())
                })?;
                Tree::Object(members)
            }
            b'[' => {
                let mut elements = Vec::new();
                reader.array(|reader, _| {
                    elements.push(Self::next(reader)?);
                    Ok(())
                })?;
                Tree::List(elements)
            }
            _ => Tree::Scalar(reader.scalar()?),
        };
        Ok(Self { at, value })
    }

    /// What kind of value it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Tree::Scalar(scalar) => scalar.kind(),
            Tree::List(_) => "a list",
            Tree::Object(_) => "an object",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Tree::Scalar(scalar) => scalar.as_str(),
            _ => None,
        }
    }
}
