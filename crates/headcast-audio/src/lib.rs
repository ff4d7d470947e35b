//! Speech in, PCM and audio feature windows out: decoders, resampler, feature extractors.
