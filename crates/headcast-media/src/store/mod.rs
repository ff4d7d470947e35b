//! Where finished segments are kept.
