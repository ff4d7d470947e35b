//! Which segment is made next.

use super::id::JobId;

/// What one opened job still needs.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// The job.
    pub job: JobId,
    /// `made[k]` says whether segment k exists.
    pub made: &'a [bool],
    /// The unmade segment that somebody asked for last; `None` when nobody asked for one.
    pub wanted: Option<usize>,
}

/// The next thing to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// For this job
    pub job: JobId,
    /// this segment.
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
        needs.iter().find_map(|need| {
            let unmade_from = |start: usize| {
                let made = need.made.get(start..)?;
                made.iter().position(|made| !made).map(|offset| start + offset)
            };
            let segment = need.wanted.and_then(unmade_from).or_else(|| unmade_from(0))?;
            Some(Pick { job: need.job, segment })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_the_wanted_segment_and_comes_back_for_the_rest() {
        let job = JobId::random().unwrap();
        let mut made = [true, false, false, false, true];
        let mut order = Vec::new();
        while let Some(pick) = PlayheadFirst.next(&[Need { job, made: &made, wanted: Some(2) }]) {
            assert_eq!(pick.job, job);
            made[pick.segment] = true;
            order.push(pick.segment);
        }
        assert_eq!(order, [2, 3, 1]);
        assert_eq!(PlayheadFirst.next(&[Need { job, made: &made, wanted: Some(99) }]), None);
    }

    #[test]
    fn jobs_take_turns_in_order_of_arrival() {
        let (first, second) = (JobId::random().unwrap(), JobId::random().unwrap());
        let pick = |made: &[bool]| {
            let needs =
                [Need { job: first, made, wanted: None }, Need { job: second, made: &[false], wanted: None }];
            PlayheadFirst.next(&needs).unwrap().job
        };
        assert_eq!(pick(&[true, false]), first);
        assert_eq!(pick(&[true, true]), second);
    }
}
