//! The CPU engine against the scalar reference: every kernel at every instruction set, then whole pictures.
//!
//! One test body per stage, expanded over the instruction sets of the architecture; a set that this CPU lacks says
//! SKIPPED. `cargo xtask arm` runs those of `AArch64` elsewhere. The
//! reference itself answers to goldens in `tests/fixtures`. What the oracle cannot see: both sides read
//! checkpoints and make poses, audio codes and lattices of feature levels with the same code.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and tell how close they were"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "test values are small, and a wrong one fails a comparison"
)]

#[allow(dead_code, reason = "shared with tests/fixtures, which uses all of it")]
#[path = "../fixtures/inputs.rs"]
mod inputs;
#[allow(dead_code, reason = "shared with tests/fixtures, which uses all of it")]
#[path = "../fixtures/load.rs"]
mod load;
#[allow(dead_code, reason = "shared with tests/fixtures, which uses all of it")]
#[path = "../fixtures/npz.rs"]
mod npz;

mod ad_nerf;
mod kernels;
mod pictures;
mod poison;
mod profiles;
mod scene;
mod speech;

/// Expands `fn body(level: SimdLevel)` into a test for each instruction set.
macro_rules! at_every_level {
    ($name:ident, $body:path) => {
        mod $name {
            use headcast_nerf::cpu::SimdLevel;

            fn run(level: SimdLevel) {
                if level.is_available() {
                    $body(level);
                } else {
                    println!("SKIPPED: {} (this CPU has no {level})", stringify!($name));
                }
            }

            #[test]
            fn scalar() {
                run(SimdLevel::Scalar);
            }

            #[cfg(target_arch = "aarch64")]
            #[test]
            fn neon() {
                run(SimdLevel::Neon);
            }

            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avx2() {
                run(SimdLevel::Avx2);
            }

            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avx512() {
                run(SimdLevel::Avx512);
            }

            #[cfg(target_arch = "x86_64")]
            #[test]
            fn avx512vnni() {
                run(SimdLevel::Avx512Vnni);
            }
        }
    };
}
pub(crate) use at_every_level;
