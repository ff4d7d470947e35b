//! AD-NeRF on the CPU: two networks a ray, none of them with a grid, so nearly all the time goes into matrix products.
//!
//! | module | stage |
//! |---|---|
//! | `octaves` | position → sines and cosines of ten octaves |
//! | `blocked` | a linear layer over packets, blocked for registers and caches |
//! | `network` | a network with what it hears and the direction it looks along folded into its biases |
//! | `depths` | weights of the coarse samples → where the fine ones go |
//! | `lanes` | rays of a tile → samples, 128 at a time → what each ray collects |
//! | `engine` | a frame on all cores |
//! | [`measure`] | the networks by themselves, for benches |

mod blocked;
mod depths;
mod engine;
mod lanes;
pub mod measure;
mod network;
mod octaves;

pub use engine::{AdEngine, AdFrameRequest};
