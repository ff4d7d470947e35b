//! Which segment is made next.

use super::id::JobId;

/// What one job still needs.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The job.
    pub job: JobId,
    /// `made[k]` says whether segment k exists; empty while the job has no plan, because it waits to be opened.
    pub made: &'a [bool],
    /// The unmade segment that somebody asked for last; `None` when nobody asked for one.
    pub wanted: Option<usize>,
    /// Whether somebody asked for something of the job lately or listens to its events.
    pub watched: bool,
    /// When it last got a segment, as a count of segments; 0 for never.
    pub served: u64,
}

impl Need<'_> {
    /// The next segment in a row: from the viewer to the end, then what was jumped over. 0 of a job without a plan,
    /// `None` of one that has everything.
    fn next(&self) -> Option<usize> {
        let unmade_from = |start: usize| {
            let made = self.made.get(start..)?;
            made.iter().position(|made| !made).map(|offset| start + offset)
        };
        if self.made.is_empty() {
            return Some(0);
        }
        self.wanted.and_then(unmade_from).or_else(|| unmade_from(0))
    }

    /// Segments that the viewer can play on from where it is.
    fn lead(&self) -> usize {
        let ahead = self.made.get(self.wanted.unwrap_or(0)..).unwrap_or_default();
        ahead.iter().take_while(|made| **made).count()
    }
}

/// The next thing to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// For this job
    pub job: JobId,
    /// this segment; of a job without a plan it is opened instead.
    pub segment: usize,
}

/// Decides what a free renderer makes next.
pub trait Schedule: Send + Sync + 'static {
    /// `None` when no job needs anything. `needs` is in order of arrival.
    fn next(&self, needs: &[Need<'_>]) -> Option<Pick>;
}

/// One job after the other; inside a job, from where the viewer is to the end, then what was jumped over.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlayheadFirst;

impl Schedule for PlayheadFirst {
    fn next(&self, needs: &[Need<'_>]) -> Option<Pick> {
        needs.iter().find_map(|need| Some(Pick { job: need.job, segment: need.next()? }))
    }
}

/// A viewer with fewer segments than this ahead is about to stall.
const FIRST_SEGMENTS: usize = 3;

/// What people wait for comes first; inside a job as [`PlayheadFirst`].
///
/// 1. Watched jobs whose viewer has fewer than three segments ahead: the shortest lead first, and of equal leads
///    the one that was served longest ago. A newly watched job gets its first segments here.
/// 2. Other watched jobs, in order of arrival.
/// 3. Jobs that nobody watches, in order of arrival; or never, with `pause_unwatched`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fair {
    /// Leave alone what nobody watches. Default false.
    pub pause_unwatched: bool,
}

impl Schedule for Fair {
    fn next(&self, needs: &[Need<'_>]) -> Option<Pick> {
        let place = |need: &Need<'_>| match (need.watched, need.lead()) {
            (true, lead) if lead < FIRST_SEGMENTS => (0, lead, need.served),
            (true, _) => (1, 0, 0),
            (false, _) => (2, 0, 0),
        };
        needs
            .iter()
            .filter(|need| need.watched || !self.pause_unwatched)
            .filter_map(|need| Some((place(need), Pick { job: need.job, segment: need.next()? })))
            // The first of several equal ones: the order of arrival.
            .min_by_key(|(place, _)| *place)
            .map(|(_, pick)| pick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(job: JobId, made: &[bool]) -> Need<'_> {
        Need { job, made, wanted: None, watched: false, served: 0 }
    }

    fn jobs() -> (JobId, JobId) {
        (JobId::random().unwrap(), JobId::random().unwrap())
    }

    #[test]
    fn goes_on_from_the_wanted_segment_and_comes_back_for_the_rest() {
        for schedule in [&PlayheadFirst as &dyn Schedule, &Fair::default()] {
            let job = JobId::random().unwrap();
            let mut made = [true, false, false, false, true];
            let mut order = Vec::new();
            while let Some(pick) = schedule.next(&[Need { wanted: Some(2), ..need(job, &made) }]) {
                assert_eq!(pick.job, job);
                made[pick.segment] = true;
                order.push(pick.segment);
            }
            assert_eq!(order, [2, 3, 1]);
            assert_eq!(schedule.next(&[Need { wanted: Some(99), ..need(job, &made) }]), None);
        }
    }

    #[test]
    fn unwatched_jobs_take_turns_in_order_of_arrival() {
        for schedule in [&PlayheadFirst as &dyn Schedule, &Fair::default()] {
            let (first, second) = jobs();
            let pick = |made: &[bool]| schedule.next(&[need(first, made), need(second, &[])]).unwrap().job;
            assert_eq!(pick(&[true, false]), first);
            assert_eq!(pick(&[true, true]), second);
        }
    }

    #[test]
    fn a_newly_watched_job_gets_its_first_segments_before_an_unwatched_one_goes_on() {
        let (old, new) = jobs();
        let (mut old_made, mut new_made) = (vec![false; 9], vec![false; 5]);
        let mut order = Vec::new();
        for watched in [false, true] {
            for _ in 0..2 {
                let needs = [need(old, &old_made), Need { watched, ..need(new, &new_made) }];
                let pick = Fair::default().next(&needs).unwrap();
                let made = if pick.job == old { &mut old_made } else { &mut new_made };
                made[pick.segment] = true;
                order.push(pick.job);
            }
        }
        assert_eq!(order, [old, old, new, new]);
        // A job that waits to be opened is no different.
        let needs = [need(old, &old_made), Need { watched: true, ..need(new, &[]) }];
        assert_eq!(Fair::default().next(&needs).unwrap().job, new);
        assert_eq!(PlayheadFirst.next(&needs).unwrap().job, old, "the control");
    }

    #[test]
    fn two_viewers_share_until_both_have_a_lead() {
        let (first, second) = jobs();
        let mut made = [vec![false; 6], vec![false; 6]];
        let mut served = [0, 0];
        let mut order = String::new();
        for turn in 1..=12 {
            let needs = [first, second].into_iter().enumerate().map(|(n, job)| Need {
                watched: true,
                served: served[n],
                ..need(job, &made[n])
            });
            let pick = Fair::default().next(&needs.collect::<Vec<_>>()).unwrap();
            let n = usize::from(pick.job == second);
            made[n][pick.segment] = true;
            served[n] = turn;
            order.push(['a', 'b'][n]);
        }
        assert_eq!(order, "abababaaabbb");
    }

    #[test]
    fn pausing_leaves_unwatched_jobs_alone() {
        let (first, second) = jobs();
        let fair = Fair { pause_unwatched: true };
        assert_eq!(fair.next(&[need(first, &[false]), need(second, &[])]), None);
        let needs = [need(first, &[false]), Need { watched: true, ..need(second, &[]) }];
        assert_eq!(fair.next(&needs).unwrap().job, second);
    }
}
