//! Independent items on several threads.

use std::num::NonZero;

/// Calls `work` for every item with its number. Threads take every n-th item, so that all of them see the head.
pub(super) fn for_each<T: Send>(
    threads: NonZero<usize>,
    items: &mut [T],
    work: impl Fn(usize, &mut T) + Sync,
) {
    let threads = threads.get().min(items.len()).max(1);
    let mut shares: Vec<Vec<(usize, &mut T)>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, item) in items.iter_mut().enumerate() {
        shares[number % threads].push((number, item));
    }
    let run = |share: Vec<(usize, &mut T)>| share.into_iter().for_each(|(number, item)| work(number, item));
    let run = &run;
    std::thread::scope(|scope| {
        let own = shares.pop();
        for share in shares {
            scope.spawn(move || run(share));
        }
        own.into_iter().for_each(run);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_visited_once_under_its_number() {
        for threads in [1, 2, 5, 100] {
            let mut items = vec![0; 17];
            for_each(NonZero::new(threads).unwrap(), &mut items, |number, item| *item += number + 1);
            assert_eq!(items, (1..=17).collect::<Vec<_>>());
            for_each(NonZero::new(threads).unwrap(), &mut items[..0], |_, _| panic!("there is none"));
        }
    }
}
