//! Some blocks of a frame, from which follows how long all of it takes.

use std::sync::{Mutex, PoisonError};

use headcast_core::Intrinsics;

use super::super::march::{TILE_RAYS, Tile};
use super::super::nodes::{Between, Nodes};
use super::super::picture::FrameStats;
use super::engine::{AdEngine, AdFrameRequest, Posed, Scratch, Work, node_intrinsics};

impl AdEngine {
    /// Renders some blocks of a frame, spread over the picture evenly, for a caller who wants to know how long a frame takes.
    ///
    /// Returns what it took, and which share of a frame's work that was.
    ///
    /// * `round`: picks the blocks.
    ///
    /// # Panics
    /// As [`Self::render`].
    pub fn probe(&self, request: &AdFrameRequest<'_>, round: u64) -> (FrameStats, f64) {
        let (width, height) = (self.width as usize, self.height as usize);
        let fields = self.posed(request);
        let (across, down) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
        let blocks = across * down;
        let jobs = self.threads.get().min(blocks);
        let wanted = (jobs * self.effort.blocks).min(blocks);
        // Consecutive rounds go on where the one before ended.
        let first = usize::try_from(round % blocks as u64).unwrap_or(0) * wanted % blocks;
        let block = |k: usize| {
            let place = spread((first + k) % blocks, blocks);
            let (x, y) = (place % across * BLOCK, place / across * BLOCK);
            Tile { x, y, width: BLOCK.min(width - x), height: BLOCK.min(height - y) }
        };
        let done = Mutex::new((FrameStats::default(), Blocks::default()));
        self.for_each(self.cores.turn(), jobs, |job, Scratch { between, work }| {
            let own = (job..wanted).step_by(jobs).map(block);
            let (stats, blocks) = self.probe_blocks(&fields, request.intrinsics, own, between, work);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.0.merge(&stats);
            done.1.pixels += blocks.pixels;
            done.1.samples += blocks.samples;
        });
        let (stats, blocks) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "pixels and samples of a picture")]
        let [pixels, seen, lanes] =
            [width * height, blocks.pixels, usize::try_from(stats.lanes).unwrap_or(usize::MAX)]
                .map(|count| count as f64);
        let share = seen / pixels;
        // Time goes by lanes, and a frame fills nearly all of them.
        let share = if blocks.samples > 0.0 { share * (lanes / blocks.samples).max(1.0) } else { share };
        (stats, share.min(1.0))
    }

    /// Renders a few blocks as they are rendered in a frame.
    fn probe_blocks(
        &self,
        fields: &[Option<Posed<'_>>; 2],
        intrinsics: &Intrinsics,
        blocks: impl Iterator<Item = Tile>,
        between: &mut Between,
        work: &mut Work,
    ) -> (FrameStats, Blocks) {
        let mut stats = FrameStats::default();
        let mut done = Blocks::default();
        #[expect(clippy::cast_precision_loss, reason = "samples of a few blocks")]
        let counted = |work: &Work| work.shaded.samples as f64;
        let Some(tolerance) = self.effort.tolerance else {
            let mut pixels = Vec::new();
            for block in blocks {
                work.see(block, None);
                pixels.append(&mut work.pixels);
            }
            for (number, pixel) in pixels.iter_mut().enumerate() {
                pixel.0 = number;
            }
            for pixels in pixels.chunks(TILE_RAYS) {
                let first = pixels[0].0;
                work.pixels.clear();
                work.pixels.extend(pixels.iter().map(|(number, x, y)| (number - first, *x, *y)));
                self.trace(fields, intrinsics, work, &|| false);
                stats.add(&work.shaded);
                done.samples += counted(work);
            }
            done.pixels = pixels.len();
            return (stats, done);
        };
        let node_intrinsics = node_intrinsics(intrinsics);
        let mut nodes = Nodes::new(self.width as usize, self.height as usize);
        for block in blocks {
            let around = |first: usize, size: usize, len: usize| {
                let first = (first / 2).saturating_sub(2);
                (first, (size / 2 + 5).min(len - first))
            };
            let (x, width) = around(block.x, block.width, nodes.width);
            let (y, height) = around(block.y, block.height, nodes.height);
            let tile = Tile { x, y, width, height };
            work.see(tile, None);
            self.trace(fields, &node_intrinsics, work, &|| false);
            nodes.add(tile, &work.shaded.light);
            stats.add(&work.shaded);
            // Its own nodes, of those around it.
            #[expect(clippy::cast_precision_loss, reason = "nodes of a block")]
            let own = (block.width * block.height) as f64 / (4 * width * height) as f64;
            done.samples += counted(work) * own;
            self.fill_between(&nodes, block, tolerance, fields, intrinsics, between, work, &|| false);
            stats.add(&work.shaded);
            done.samples += counted(work);
            done.pixels += block.width * block.height;
        }
        (stats, done)
    }
}

/// What was rendered of a frame for a probe.
#[derive(Debug, Clone, Copy, Default)]
struct Blocks {
    pixels: usize,
    /// Samples that a frame takes for these pixels.
    samples: f64,
}

/// Pixels a side of a probe's block.
const BLOCK: usize = 8;

/// Number `k` of a sequence without repetition that visits `count` places evenly.
fn spread(k: usize, count: usize) -> usize {
    // The step nearest to the golden section that has no factor in common with the count.
    let mut step = (count * 382 / 1000).max(1);
    while gcd(step, count) != 1 {
        step += 1;
    }
    k * step % count
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
