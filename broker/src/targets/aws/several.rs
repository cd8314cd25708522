//! Which entries go into one request.

use super::service::Limits;

/// What is known of an entry before it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    /// Bytes.
    pub(super) size: usize,
    /// Milliseconds since 1970.
    pub(super) time: i64,
}

/// The indices of `entries` as they go into requests, each request within `limits`; an entry that is too much by itself
/// is in one of its own. In their order, or in that of their times where a request is limited in time.
pub(super) fn requests(entries: &[Weight], limits: Limits) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, Weight)> = entries.iter().copied().enumerate().collect();
    if limits.span.is_some() {
        order.sort_by_key(|(_, weight)| weight.time);
    }
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let (mut bytes, mut oldest) = (0_usize, 0);
    for (index, weight) in order {
        let fits = |request: &Vec<usize>| {
            request.len() < limits.count
                && bytes.saturating_add(weight.size) <= limits.bytes
                && limits.span.is_none_or(|span| weight.time.saturating_sub(oldest) <= span)
        };
        match requests.last_mut().filter(|request| fits(request)) {
            Some(request) => {
                request.push(index);
                bytes = bytes.saturating_add(weight.size);
            }
            None => {
                requests.push(vec![index]);
                (bytes, oldest) = (weight.size, weight.time);
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { count: 3, bytes: 100, each: 100, span: None };

    fn cut(entries: &[(usize, i64)], limits: Limits) -> Vec<Vec<usize>> {
        let entries: Vec<Weight> = entries.iter().map(|&(size, time)| Weight { size, time }).collect();
        requests(&entries, limits)
    }

    #[test]
    fn a_request_ends_with_the_first_limit_that_is_reached() {
        assert_eq!(cut(&[], LIMITS), Vec::<Vec<usize>>::new());
        assert_eq!(cut(&[(1, 0); 7], LIMITS), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(cut(&[(60, 0), (40, 0), (1, 0)], LIMITS), [vec![0, 1], vec![2]]);
        assert_eq!(cut(&[(1, 0), (500, 0), (1, 0)], LIMITS), [vec![0], vec![1], vec![2]]);
    }

    #[test]
    fn where_time_is_limited_the_order_is_that_of_the_times() {
        let limits = Limits { span: Some(10), ..LIMITS };
        assert_eq!(cut(&[(1, 25), (1, 5), (1, 15), (1, 16)], limits), [vec![1, 2], vec![3, 0]]);
    }

    proptest! {
        #[test]
        fn each_entry_is_in_one_request_and_each_request_within_its_limits(
            entries in proptest::collection::vec((0_usize..120, any::<i64>()), 0..40), span in proptest::option::of(0_i64..1000)
        ) {
            let limits = Limits { span, ..LIMITS };
            let requests = cut(&entries, limits);
            let mut all: Vec<usize> = requests.iter().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..entries.len()).collect::<Vec<_>>());
            for request in &requests {
                prop_assert!(!request.is_empty() && request.len() <= limits.count);
                let bytes: usize = request.iter().map(|&index| entries[index].0).sum();
                prop_assert!(bytes <= limits.bytes || request.len() == 1);
                let times: Vec<i64> = request.iter().map(|&index| entries[index].1).collect();
                if let (Some(span), Some(first), Some(last)) = (span, times.first(), times.last()) {
                    prop_assert!(times.is_sorted() && last.saturating_sub(*first) <= span);
                }
            }
        }
    }
}
