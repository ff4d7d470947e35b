//! The headcast library: joins audio, renderer and media into a session that makes any segment at any time.
