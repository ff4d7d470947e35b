//! Frames and PCM in, segments and MP4 out: H.264, AAC, MPEG-TS, segmenter, stores.
