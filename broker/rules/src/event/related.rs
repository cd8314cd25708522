//! Whether some value of a field stands in a relation to a given one, asked for many values of one event.
//!
//! The first few times the field's values are looked through. Then they are put in order, so that each further answer
//! takes about as long however many they are.
//!
//! A value stands in the same array elements as another unless some array is in both memberships with different elements.
//! An array begins in one place, so both memberships are the same up to there. Sorted by membership, the values that came
//! through one array are therefore next to each other, among them those of one element, and among those the values that
//! came through an array further inside: what is near to a value are all others but, array by array, those of the other
//! elements, a few stretches of the whole.

use super::{Membership, Seen, agree};
use crate::paths::PathId;
use crate::relation::{Kind, Relation, arrange};
use crate::value::Value;
use std::cmp::Ordering;
use std::ops::Range;

/// Whether a value with this membership at the depth in question stands before a place.
type EndsBefore<'f> = &'f dyn Fn(Option<&(u32, u32)>) -> bool;

/// So many times the values are looked through before they are put in order.
const FEW: u32 = 4;
/// So many values are looked through rather than searched.
const SHORT: usize = 16;

/// What is known of an event's fields that others are compared with. Its memory is kept for the next event.
#[derive(Debug, Default)]
pub(super) struct Related {
    fields: Vec<Field>,
    /// How many of them are of this event.
    used: usize,
}

#[derive(Debug, Default)]
struct Field {
    path: PathId,
    asked: u32,
    /// Its values by their place among all values of the event, sorted by membership.
    near: Vec<u32>,
    /// Their numbers in `near`, sorted by value.
    sorted: Vec<u32>,
    /// The extremes of stretches of `near`, as a tree: those of `near[i]` at `near.len() + i`, those of a node's two
    /// children at the node.
    extremes: Vec<Extremes>,
}

/// The least and the greatest of some numbers, and of some strings, as places in `sorted`.
#[derive(Debug, Clone, Copy, Default)]
struct Extremes {
    numbers: Option<(u32, u32)>,
    strings: Option<(u32, u32)>,
}

impl Related {
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Whether a value stands in this relation to some value of a path that agrees with its membership.
    pub(super) fn some(
        &mut self,
        path: PathId,
        (value, membership): (Value<'_>, &Membership),
        relation: Relation,
        event: Seen<'_>,
    ) -> bool {
        let field = self.field(path);
        field.asked = field.asked.saturating_add(1);
        if field.asked <= FEW {
            let mut values = event.at(path).take_while(|_| event.step(1).is_ok());
            return values
                .any(|leaf| agree(event.membership(leaf), membership) && relation.holds(value, event.value(leaf)));
        }
        if field.near.is_empty() {
            field.put_in_order(event);
        }
        field.some_near(value, membership, relation, event)
    }

    fn field(&mut self, path: PathId) -> &mut Field {
        let known = self.fields[..self.used].iter().position(|field| field.path == path);
        let place = known.unwrap_or_else(|| {
            if self.used == self.fields.len() {
                self.fields.push(Field::default());
            }
            self.fields[self.used].begin(path);
            self.used += 1;
            self.used - 1
        });
        &mut self.fields[place]
    }
}

impl Field {
    fn begin(&mut self, path: PathId) {
        (self.path, self.asked) = (path, 0);
        self.near.clear();
        self.sorted.clear();
        self.extremes.clear();
    }

    fn put_in_order(&mut self, event: Seen<'_>) {
        let values = event.places_at(self.path).take_while(|_| event.step(1).is_ok());
        self.near.extend(values.map(|(place, _)| place));
        let membership = |place: &u32| (event.membership_at(*place), *place);
        self.near.sort_unstable_by(|one, other| membership(one).cmp(&membership(other)));
    }

    fn some_near(&mut self, value: Value<'_>, membership: &Membership, relation: Relation, event: Seen<'_>) -> bool {
        let mut inside = 0..self.near.len();
        for (depth, (array, index)) in membership.iter().enumerate() {
            if event.step(1).is_err() {
                return false;
            }
            // What is inside has the same membership up to here.
            let split = |range: Range<usize>, ends_before: EndsBefore<'_>| {
                let before = |place: &u32| ends_before(event.membership_at(*place).get(depth));
                range.start + self.near[range].partition_point(before)
            };
            let start = split(inside.clone(), &|at| at.map(|at| at.0) < Some(*array));
            let end = split(start..inside.end, &|at| at.map(|at| at.0) <= Some(*array));
            if start == end {
                break;
            }
            let first = split(start..end, &|at| at < Some(&(*array, *index)));
            let last = split(first..end, &|at| at <= Some(&(*array, *index)));
            if self.some_of(inside.start..start, value, relation, event)
                || self.some_of(end..inside.end, value, relation, event)
            {
                return true;
            }
            inside = first..last;
        }
        self.some_of(inside, value, relation, event)
    }

    /// Whether the value stands so to one of a stretch of `near`.
    fn some_of(&mut self, stretch: Range<usize>, value: Value<'_>, relation: Relation, event: Seen<'_>) -> bool {
        if stretch.len() <= SHORT {
            let mut places = self.near[stretch].iter().take_while(|_| event.step(1).is_ok());
            return places.any(|place| relation.holds(value, value_at(event, *place)));
        }
        if self.sorted.is_empty() {
            self.sort_by_value(event);
        }
        if event.step(1).is_err() {
            return false;
        }
        match relation {
            Relation::Equal => self.count_of(stretch, value, event) > 0,
            Relation::NotEqual => self.count_of(stretch.clone(), value, event) < stretch.len(),
            // Values without an order are at most the same, and of those only numbers are compared at all.
            _ if Kind::of(value) == Kind::Other => {
                let or_equal = matches!(relation, Relation::LessOrEqual | Relation::GreaterOrEqual);
                or_equal && matches!(value, Value::Number { .. }) && self.count_of(stretch, value, event) > 0
            }
            _ => self.extremes(stretch).of(Kind::of(value)).is_some_and(|(least, greatest)| {
                [least, greatest].into_iter().any(|rank| relation.holds(value, self.value(rank, event)))
            }),
        }
    }

    fn sort_by_value(&mut self, event: Seen<'_>) {
        let Self { near, sorted, extremes, .. } = self;
        let count = near.len();
        sorted.extend((0..).take(count));
        let value = |number: u32| value_at(event, near[number as usize]);
        sorted.sort_unstable_by(|one, other| arrange(value(*one), value(*other)).then(one.cmp(other)));
        extremes.resize(2 * count, Extremes::default());
        for (rank, number) in (0..).zip(sorted.iter()) {
            extremes[count + *number as usize] = Extremes::one(Kind::of(value(*number)), rank);
        }
        for node in (1..count).rev() {
            extremes[node] = extremes[2 * node].and(extremes[2 * node + 1]);
        }
    }

    fn value<'e>(&self, rank: u32, event: Seen<'e>) -> Value<'e> {
        value_at(event, self.near[self.sorted[rank as usize] as usize])
    }

    /// How many values of a stretch are the same as this one.
    fn count_of(&self, stretch: Range<usize>, value: Value<'_>, event: Seen<'_>) -> usize {
        // Those that are the same are sorted by their numbers.
        let before = |end: usize| {
            self.sorted.partition_point(|number| {
                let order = arrange(value_at(event, self.near[*number as usize]), value);
                order.then((*number as usize).cmp(&end)) == Ordering::Less
            })
        };
        before(stretch.end) - before(stretch.start)
    }

    fn extremes(&self, stretch: Range<usize>) -> Extremes {
        let mut all = Extremes::default();
        let (mut left, mut right) = (self.near.len() + stretch.start, self.near.len() + stretch.end);
        while left < right {
            if left % 2 == 1 {
                all = all.and(self.extremes[left]);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                all = all.and(self.extremes[right]);
            }
            (left, right) = (left / 2, right / 2);
        }
        all
    }
}

fn value_at(event: Seen<'_>, place: u32) -> Value<'_> {
    event.found.leaves.get(place as usize).map_or(Value::Null, |leaf| event.value(leaf))
}

impl Extremes {
    fn one(kind: Kind, rank: u32) -> Self {
        let here = |wanted| (kind == wanted).then_some((rank, rank));
        Self { numbers: here(Kind::Number), strings: here(Kind::String) }
    }

    fn of(self, kind: Kind) -> Option<(u32, u32)> {
        match kind {
            Kind::Number => self.numbers,
            Kind::String => self.strings,
            Kind::Other => None,
        }
    }

    fn and(self, other: Self) -> Self {
        let both = |one: Option<(u32, u32)>, other: Option<(u32, u32)>| match (one, other) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        Self { numbers: both(self.numbers, other.numbers), strings: both(self.strings, other.strings) }
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Event;
    use crate::paths::PathsBuilder;
    use crate::relation::RELATIONS;
    use crate::value::Surroundings;
    use proptest::prelude::*;

    /// Values that are the same, less and greater, of all kinds.
    fn value() -> impl Strategy<Value = String> {
        let values =
            ["1", "1.0", "2", "-0", "0", "3", "\"a\"", "\"b\"", "\"\\u0061\"", "\"\"", "true", "false", "null"];
        let strange = ["9007199254740993", "9007199254740992", "1e400"];
        prop_oneof![4 => prop::sample::select(values.to_vec()), 1 => prop::sample::select(strange.to_vec())]
            .prop_map(str::to_owned)
    }

    /// Values and objects with more of them in arrays, some through several.
    fn any_event() -> impl Strategy<Value = String> {
        let list = |one: BoxedStrategy<String>, many: usize| {
            prop::collection::vec(one, 0..many).prop_map(|some| format!("[{}]", some.join(",")))
        };
        let same = (value(), 10..30_usize).prop_map(|(value, many)| format!("[{}]", vec![value; many].join(",")));
        let values =
            prop_oneof![3 => value(), 1 => list(value().boxed(), 40), 1 => list(value().boxed(), 4), 1 => same];
        let object = move |inner: BoxedStrategy<String>| {
            let member = prop_oneof![
                4 => (prop::sample::select(vec!["y", "z"]), values.clone().boxed()),
                1 => (prop::sample::select(vec!["x", "x.x"]), inner)
            ];
            prop::collection::vec(member, 0..5).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            })
        };
        let inner = value().boxed().prop_recursive(4, 200, 8, move |inner| {
            let objects = object(inner);
            prop_oneof![1 => objects.clone(), 3 => list(objects.boxed(), 8), 1 => list(list(object(value().boxed()).boxed(), 4).boxed(), 4)]
        });
        prop::collection::vec(inner, 1..4).prop_map(|parts| {
            let parts: Vec<String> = parts.iter().map(|part| format!("\"x\":{part}")).collect();
            format!("{{{}}}", parts.join(","))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Each value is compared with those of each path, so that all but the first few times they are in order.
        #[test]
        fn values_in_order_answer_as_they_do_one_by_one(text in any_event()) {
            let mut paths = PathsBuilder::default();
            let names = ["x.y", "x.z", "x.x.y", "x.x.z", "x.x.x.z"];
            names.iter().for_each(|name| _ = paths.id(name));
            let paths = paths.build();
            let mut event = Event::default();
            let seen = event.read(text.as_bytes(), &paths).unwrap();
            for leaf in seen.leaves() {
                let (value, around) = (seen.value(leaf), seen.around(leaf));
                for (name, (sign, relation)) in names.iter().flat_map(|name| RELATIONS.map(|relation| (name, relation))) {
                    let expected = around.some_near(name, &mut |other| relation.holds(value, other));
                    prop_assert_eq!(around.some_related(name, value, relation), expected, "{} {} {} {}", value, sign, name, text);
                }
            }
        }
    }
}
