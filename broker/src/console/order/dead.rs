//! Dead letters: given out again, or thrown away.

use serde_json::json;

use super::{LOOK_EVERY, Signature, WITHIN};
use crate::{
    bus::{Bus, DeadLetter},
    core::{Letter, MAX_NAMED},
};

/// What is to become of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// They become jobs again, under the same ids.
    Redrive,
    /// They are thrown away.
    Drop,
}

/// The letters of these numbers; one that is not there is an error.
pub(crate) async fn named(bus: &Bus, numbers: &[u64]) -> anyhow::Result<Vec<DeadLetter>> {
    let mut found = Vec::with_capacity(numbers.len());
    for number in numbers {
        let letter = bus.dead_letter(*number).await?;
        found.push(letter.ok_or_else(|| anyhow::anyhow!("there is no dead letter {number}: `emote dead ls`"))?);
    }
    Ok(found)
}

/// Orders it and waits for it; how many of the letters are still there in the end.
pub(crate) async fn order(
    bus: &Bus,
    what: What,
    letters: &[DeadLetter],
    signature: &Signature,
) -> anyhow::Result<usize> {
    let event = match what {
        What::Redrive => "dead.redriven",
        What::Drop => "dead.dropped",
    };
    let letters: Vec<Letter> =
        letters.iter().map(|letter| Letter { sequence: letter.sequence, job: letter.id.clone() }).collect();
    for some in letters.chunks(MAX_NAMED) {
        signature.order(bus, event, json!({"letters": some})).await?;
    }
    let began = tokio::time::Instant::now();
    let mut left = letters;
    while began.elapsed() < WITHIN {
        let mut still = Vec::new();
        for letter in left {
            if bus.dead_letter(letter.sequence).await?.is_some() {
                still.push(letter);
            }
        }
        if still.is_empty() {
            return Ok(0);
        }
        left = still;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(left.len())
}

/// What is said where letters are still there.
pub(crate) fn still_there(left: usize) -> String {
    format!(
        "it is ordered, but {left} letters are still there: does a broker run? What it refuses it says in an event order.refused (`emote events --scope order`)"
    )
}
