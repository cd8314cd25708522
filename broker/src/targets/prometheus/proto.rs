//! Messages of remote write 1.0 (<https://prometheus.io/docs/specs/remote_write_spec/>), and how they lie in a request.

use prost::Message;

/// The largest request that is read again to be shown, in bytes.
const MAX_SHOWN: usize = 1 << 20;

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

impl WriteRequest {
    /// The body of a request: the block format of snappy.
    pub(super) fn packed(&self) -> Result<Vec<u8>, String> {
        snap::raw::Encoder::new().compress_vec(&self.encode_to_vec()).map_err(|error| format!("compress: {error}"))
    }

    fn unpacked(body: &[u8]) -> Option<Self> {
        snap::raw::decompress_len(body).ok().filter(|bytes| *bytes <= MAX_SHOWN)?;
        Self::decode(snap::raw::Decoder::new().decompress_vec(body).ok()?.as_slice()).ok()
    }
}

/// What the body of a request says, a line a sample: `name{label="value"} 1 1795416060000`.
pub(in super::super) fn readable(body: &[u8]) -> Option<String> {
    let mut lines = Vec::new();
    for series in WriteRequest::unpacked(body)?.timeseries {
        let (mut name, mut labels) = (String::new(), Vec::new());
        for label in series.labels {
            match label.name.as_str() {
                super::series::NAME => name = label.value,
                other => labels.push(format!("{other}={:?}", label.value)),
            }
        }
        let labels = labels.join(",");
        lines.extend(
            series.samples.iter().map(|sample| format!("{name}{{{labels}}} {} {}", sample.value, sample.timestamp)),
        );
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_lies_on_the_wire_as_the_specification_says() {
        let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
        let series = TimeSeries {
            labels: vec![label("__name__", "up"), label("a", "b")],
            samples: vec![Sample { value: 1.0, timestamp: 300 }],
        };
        let request = WriteRequest { timeseries: vec![series] };
        // Field 1 of the request; in it twice field 1 with two texts, and field 2 with a double and a varint.
        let labels = [&b"\x0a\x0e\x0a\x08__name__\x12\x02up"[..], b"\x0a\x06\x0a\x01a\x12\x01b"].concat();
        let sample = [&b"\x12\x0c\x09"[..], &1_f64.to_le_bytes(), b"\x10\xac\x02"].concat();
        let whole = [&[0x0a, u8::try_from(labels.len() + sample.len()).unwrap()], labels.as_slice(), &sample].concat();
        assert_eq!(request.encode_to_vec(), whole);
        assert_eq!(readable(&request.packed().unwrap()).unwrap(), "up{a=\"b\"} 1 300");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            readable(&body);
        }
    }
}
