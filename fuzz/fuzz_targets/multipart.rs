//! Any bytes as an upload form, in pieces as a network might cut them: read or refused, within the limits, and
//! nothing stays behind.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use headcast_app::server::read_form;
use libfuzzer_sys::fuzz_target;

const AUDIO_LIMIT: u64 = 4096;
const FEATURES_LIMIT: u64 = 2048;

thread_local! {
    static PLACE: RefCell<(tokio::runtime::Runtime, tempfile::TempDir)> = RefCell::new((
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        tempfile::tempdir().expect("a folder"),
    ));
}

fuzz_target!(|data: &[u8]| {
    // The first byte says where the network cuts.
    let Some((piece, form)) = data.split_first() else { return };
    let pieces: Vec<Result<Bytes, Infallible>> =
        form.chunks(usize::from(*piece).max(1)).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let request = Request::builder()
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(Body::from_stream(futures_util::stream::iter(pieces)))
        .expect("the parts are valid");
    PLACE.with_borrow(|(runtime, folder)| {
        let read = runtime.block_on(read_form(request, folder.path(), AUDIO_LIMIT, FEATURES_LIMIT));
        if let Ok(form) = read {
            assert!(form.audio.is_some() != form.sample.is_some());
            if let Some((path, name)) = &form.audio {
                let size = std::fs::metadata(path).expect("it was stored").len();
                assert!((1..=AUDIO_LIMIT).contains(&size));
                assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']));
            }
            if let Some(path) = &form.features {
                let size = std::fs::metadata(path).expect("it was stored").len();
                assert!((1..=FEATURES_LIMIT).contains(&size));
            }
        }
        let left = std::fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(left, 0, "a file stays behind");
    });
});
