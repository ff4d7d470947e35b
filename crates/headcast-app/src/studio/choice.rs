//! Which profile a clip is rendered with, and who decides.

use headcast::nerf::Profile;

/// A named quality setting, as people choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice {
    /// This profile.
    Profile(Profile),
    /// What the machine is fast enough for: the best of `quality`, `fast` and `preview` that renders in real time with
    /// some margin. Where none does, a viewer waits in any case, and a lesser one has to be a good deal faster than
    /// the one before it to be taken. Decided once for each avatar, from the speed measured at its first use; a
    /// job keeps what was decided when it was opened.
    Auto,
}

/// The profiles that `auto` chooses from, the best one first. `parity` serves another purpose.
pub(super) const AUTO: [Profile; 3] = [Profile::Quality, Profile::Fast, Profile::Preview];

/// How much faster a lesser profile has to be than a better one when neither renders in real time. An AD-NeRF head of
/// 450x450 takes 6.9 s a frame in `fast` and 4.9 s in `preview` (`docs/performance.md`): nobody gives half the resolution for
/// that. ER-NeRF's profiles are 1.5 to 1.7 times apart.
const WORTH: f64 = 1.45;

const NAME_OF_AUTO: &str = "auto";

impl Choice {
    /// Every choice, the default one first.
    pub const ALL: [Self; 5] = [
        Self::Profile(Profile::Quality),
        Self::Auto,
        Self::Profile(Profile::Fast),
        Self::Profile(Profile::Preview),
        Self::Profile(Profile::Parity),
    ];

    /// The choice called `name`.
    ///
    /// # Errors
    /// A sentence that lists the names there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|choice| choice.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("there is no profile {name:?}; use one of {known}")
        })
    }

    /// Lower-case name, as [`Self::from_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile(profile) => profile.name(),
            Self::Auto => NAME_OF_AUTO,
        }
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self::Profile(Profile::default())
    }
}

/// What `measure` makes of the best profile that it finds to be `needed` frames per second or faster; else of the one that
/// is worth the wait. A faster profile is not looked at before it is needed: measuring takes time.
///
/// # Errors
/// The first error of `measure`.
pub(super) fn choose<T, E>(
    needed: f64,
    mut measure: impl FnMut(Profile) -> Result<(T, f64), E>,
) -> Result<T, E> {
    let [best, others @ ..] = AUTO;
    let mut chosen = measure(best)?;
    for profile in others {
        if chosen.1 >= needed {
            break;
        }
        let measured = measure(profile)?;
        if measured.1 >= needed || measured.1 >= WORTH * chosen.1 {
            chosen = measured;
        }
    }
    Ok(chosen.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for choice in Choice::ALL {
            assert_eq!(Choice::from_name(choice.name()), Ok(choice));
        }
        assert_eq!(Choice::ALL[0], Choice::default());
        for profile in Profile::ALL {
            assert!(Choice::ALL.contains(&Choice::Profile(profile)), "{profile} can be chosen");
        }
        let refusal = Choice::from_name("best").unwrap_err();
        assert!(refusal.contains("auto, fast, preview"), "{refusal}");
    }

    #[test]
    fn auto_is_the_best_in_real_time_or_else_worth_the_wait() {
        let chosen = |speeds: [f64; 3]| {
            let mut asked = 0;
            let chosen = choose(25.0, |profile| {
                asked += 1;
                let at = AUTO.iter().position(|p| *p == profile).unwrap();
                Ok::<_, ()>((profile, speeds[at]))
            });
            (chosen.unwrap(), asked)
        };
        assert_eq!(chosen([30.0, 60.0, 90.0]), (Profile::Quality, 1));
        assert_eq!(chosen([15.0, 25.0, 90.0]), (Profile::Fast, 2));
        assert_eq!(chosen([15.0, 24.9, 90.0]), (Profile::Preview, 3));
        assert_eq!(chosen([3.0, 5.0, 9.0]), (Profile::Preview, 3));
        assert_eq!(
            chosen([0.006, 0.14, 0.2]),
            (Profile::Fast, 3),
            "half the resolution for a third less time"
        );
        assert_eq!(chosen([0.006, 0.14, 0.3]), (Profile::Preview, 3));
        assert_eq!(chosen([20.0, 24.0, 26.0]), (Profile::Preview, 3), "it plays at once");
        assert_eq!(chosen([3.0, 9.0, 8.0]), (Profile::Fast, 3), "nothing is worse and slower");
        assert_eq!(chosen([3.0, 3.0, 3.0]), (Profile::Quality, 3), "nothing is worse for nothing");
        assert_eq!(choose(25.0, |_| Err::<((), f64), _>("no")), Err("no"));
    }
}
