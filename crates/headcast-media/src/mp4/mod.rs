//! MP4 files from finished segments.
