//! Fifty jobs at a time.

use headcast_app::jobs::State;

use super::{Place, Run, eventually, until};

/// Lets one segment through, and says whose it was.
fn step(run: &Run) -> usize {
    let made = || run.jobs.list().iter().map(|job| job.made_from_start()).collect::<Vec<_>>();
    let before = made();
    run.gate.allow(8);
    let total: usize = before.iter().sum();
    eventually("one more segment", || made().iter().sum::<usize>() == total + 1);
    made().iter().zip(&before).position(|(now, before)| now != before).unwrap()
}

/// The next `count` segments, after the one that was begun already: whose it is depends on who was faster.
fn steps(run: &Run, begun: usize, count: usize) -> Vec<usize> {
    let first = step(run);
    let mut order: Vec<_> = if first == begun { vec![] } else { vec![first] };
    while order.len() < count {
        order.push(step(run));
    }
    order
}

#[test]
fn fifty_jobs_go_in_order_of_arrival_and_what_is_watched_goes_first() {
    let place = Place::new();
    let run = place.start();
    // Four segments of eight frames each.
    let jobs: Vec<_> = (0..50).map(|_| run.job("speech.wav", 32)).collect();
    let order: Vec<_> = (0..5).map(|_| step(&run)).collect();
    assert_eq!(order, [0, 0, 0, 0, 1]);

    let last = jobs[49].watch();
    assert_eq!(steps(&run, 1, 4), [49, 49, 49, 49], "a newly watched job, before an unwatched one goes on");
    drop(last);

    // Begun meanwhile: one more of job 1. Two viewers share until both have three segments ahead.
    let viewers = [jobs[30].watch(), jobs[20].watch()];
    assert_eq!(steps(&run, 1, 8), [20, 30, 20, 30, 20, 30, 20, 30]);
    drop(viewers);

    run.gate.open();
    for job in &jobs {
        until(job, State::Done);
    }
    let unwatched: Vec<_> =
        (0..50).filter(|n| ![20, 30, 49].contains(n)).map(|n| jobs[n].finished()).collect();
    assert!(unwatched.is_sorted(), "{unwatched:?}");
    assert!(jobs[49].finished() < jobs[1].finished(), "the control");
}
