//! AD-NeRF on the CPU: two networks a ray, none of them with a grid, so nearly all the time goes into matrix products.
//!
//! | module | stage |
//! |---|---|
//! | `octaves` | position → sines and cosines of ten octaves |
//! | `blocked` | a linear layer over packets, blocked for registers and caches |
//! | `network` | a network with what it hears and the direction it looks along folded into its biases |
//! | `depths` | weights of the coarse samples → where the fine ones go |
//! | `occupancy` | where an avatar may have density at all |
//! | `lanes` | rays of a tile → samples, 128 at a time → what each ray collects |
//! | `density` | an avatar → where it has density |
//! | `effort` | profile → what is left out |
//! | `engine` | a frame on all cores |
//! | `blocks` | some blocks of a frame → how long all of it takes |
//! | [`measure`] | the networks by themselves, for benches |

mod blocked;
mod blocks;
mod density;
mod depths;
mod effort;
mod engine;
mod lanes;
pub mod measure;
mod network;
mod occupancy;
mod octaves;

pub use engine::{AdEngine, AdFrameRequest, AdView};
