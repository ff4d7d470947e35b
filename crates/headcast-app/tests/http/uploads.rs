//! What is accepted as a job, and what is left of what is not.

use axum::http::header;

use super::{Bench, Field, form, raw_form};

/// Files below the data folder that are not folders.
fn files(bench: &Bench, folder: &str) -> usize {
    std::fs::read_dir(bench.dir.path().join(folder)).unwrap().count()
}

#[tokio::test]
async fn a_recording_becomes_a_job() {
    let bench = Bench::new();
    let answer = bench
        .upload(&[
            Field::text("avatar", "ada"),
            Field::text("profile", "parity"),
            Field::file("features", "aud.npy", b"npy"),
            Field::file("audio", "../../讲话.wav", &[b'x'; 40]),
        ])
        .await;
    let job = answer.json();
    assert_eq!(answer.status, 201, "{job}");
    assert_eq!(answer.header(header::LOCATION), format!("/api/v1/jobs/{}", job["id"].as_str().unwrap()));
    assert_eq!((&job["avatar"], &job["profile"]), (&"ada".into(), &"parity".into()));
    assert_eq!(job["audio_name"], "讲话.wav");
}

#[tokio::test]
async fn a_sample_needs_no_file() {
    let bench = Bench::open();
    let answer = bench.upload(&[Field::text("sample", "hello")]).await;
    assert_eq!(answer.status, 201);
    let job = bench.until(answer.json()["id"].as_str().unwrap(), "done").await;
    assert_eq!(job["clip"]["frames"], 24);
    assert_eq!(job["avatar"], "milo", "the first avatar is the default");
}

#[tokio::test]
async fn bad_forms_are_refused_and_leave_nothing_behind() {
    let bench = Bench::new();
    let audio = || Field::file("audio", "a.wav", b"xxxxxxxxxx");
    for (fields, status, code) in [
        (vec![], 422, "audio_missing"),
        (vec![Field::text("avatar", "milo")], 422, "audio_missing"),
        (vec![audio(), audio()], 400, "field_twice"),
        (vec![audio(), Field::text("sample", "hello")], 422, "audio_twice"),
        (vec![audio(), Field::text("colour", "red")], 400, "field_unknown"),
        (vec![audio(), Field::text("avatar", "nobody")], 422, "no_such_avatar"),
        (vec![audio(), Field::text("avatar", "../milo")], 422, "no_such_avatar"),
        (vec![audio(), Field::text("profile", "best")], 422, "no_such_profile"),
        (vec![audio(), Field::text("body", "legs=dance")], 422, "body_unusable"),
        (vec![audio(), Field::text("body", &"eyes=1 ".repeat(19))], 400, "field_not_text"),
        (vec![Field::text("sample", "/etc/passwd")], 422, "no_such_sample"),
        (vec![Field::text("avatar", &"m".repeat(65)), audio()], 400, "field_not_text"),
        (vec![Field::file("avatar", "x", b"\xff\xfe"), audio()], 400, "field_not_text"),
        (vec![Field::file("audio", "a.wav", b"")], 422, "audio_empty"),
        (
            vec![Field::file("audio", "a.wav", b"sound"), Field::file("features", "f.npy", b"")],
            422,
            "features_empty",
        ),
        (vec![audio(), Field::file("background", "b.png", b"")], 422, "background_empty"),
        (vec![audio(), Field::file("background", "b.png", b"text")], 422, "background_unusable"),
        (vec![audio(), Field::file("background", "b.png", &vec![1; (16 << 20) + 1])], 413, "too_large"),
        (
            vec![
                Field::file("background", "b.png", b"png"),
                Field::text("body", "background=green"),
                audio(),
            ],
            422,
            "body_unusable",
        ),
        (vec![audio(), Field::text("body", "background=picture")], 422, "background_missing"),
        (
            vec![Field::text("size", "64x64"), Field::file("background", "b.png", b"png")],
            422,
            "frames_unusable",
        ),
        (vec![Field::file("audio", "a.wav", &[1; 5001])], 413, "too_large"),
        (vec![Field::file("features", "f.npy", &[1; 3001]), audio()], 413, "too_large"),
        (vec![Field::file("audio", "text.wav", b"some text")], 422, "audio_unreadable"),
    ] {
        assert_eq!(bench.upload(&fields).await.problem(status), code);
        assert_eq!(files(&bench, "uploads"), 0, "{code} left a file behind");
    }
    assert_eq!(bench.get("/api/v1/jobs").await.json().as_array().unwrap().len(), 0);
    // The control: the same with nothing wrong.
    assert_eq!(bench.upload(&[Field::file("audio", "a.wav", &[1; 5000])]).await.status, 201);
    // The upload belongs to the job from now on.
    assert_eq!((files(&bench, "uploads"), files(&bench, "jobs")), (0, 1));
}

#[tokio::test]
async fn a_torn_form_is_refused_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let whole = b"--edge\r\ncontent-disposition: form-data; name=\"audio\"; filename=\"a\"\r\n\r\nxxxx\r\n--edge--\r\n";
    for length in 0..whole.len() - 4 {
        let answer = bench.ask(raw_form(whole[..length].to_vec())).await;
        assert_eq!(answer.problem(400), "form_malformed", "cut at {length}");
    }
    assert_eq!(files(&bench, "uploads"), 0);
    assert_eq!(bench.ask(raw_form(whole.to_vec())).await.status, 201);
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let bench = Bench::new();
    // In pieces, as a network would bring it.
    let pieces = (0..64).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'h'; 100_000])));
    let start = [Ok(bytes::Bytes::from_static(b"--edge\r\ncontent-disposition: "))];
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = {
        let taken = std::sync::Arc::clone(&taken);
        start.into_iter().chain(pieces).inspect(move |_| {
            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
    };
    let body = axum::body::Body::from_stream(futures_util::stream::iter(counted));
    let request = raw_form(Vec::new()).map(|_| body);
    assert_eq!(bench.ask(request).await.problem(400), "form_malformed");
    let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
    assert!(taken < 20, "{taken} pieces of 100 kB were read into memory");
}

/// Faster than it is read: the meter holds it back, and must not take it for a header that never ends.
#[tokio::test]
async fn a_large_file_may_come_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let audio = vec![b'x'; 1_900_000];
    let whole =
        form(&[Field::text("profile", ""), Field::text("avatar", ""), Field::file("audio", "a.wav", &audio)]);
    let (parts, body) = whole.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    for piece in [1 << 16, 5_000_000] {
        let pieces: Vec<_> =
            body.chunks(piece).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
        let request = axum::http::Request::from_parts(parts.clone(), body);
        let form = headcast_app::server::read_form(request, folder.path(), 5_000_000, 0).await;
        let (path, _) = form.unwrap().audio.unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), 1_900_000, "in pieces of {piece} bytes");
    }
}

#[tokio::test]
async fn the_upload_goes_when_the_job_is_opened() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    assert_eq!(files(&bench, "uploads"), 0);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.job(40).await;
    }
    let answer = bench.upload(&[Field::file("audio", "a.wav", b"xxxx")]).await;
    assert_eq!(answer.problem(429), "queue_full");
    assert_eq!(answer.header(header::RETRY_AFTER), "30");
}

#[tokio::test]
async fn by_default_the_queue_holds_64_jobs() {
    let bench = Bench::with(|config| config.limits = headcast_app::jobs::Limits::default());
    for _ in 0..64 {
        bench.job(4).await;
    }
    let answer = bench.upload(&[Field::file("audio", "a.wav", b"xxxx")]).await;
    assert_eq!(answer.problem(429), "queue_full");
    assert_eq!(files(&bench, "jobs"), 64);
}

/// The fuzz target `multipart` with a fixed seed: a good form with bytes changed, removed and repeated.
#[tokio::test]
async fn damaged_forms_are_read_or_refused() {
    let good = b"--edge\r\ncontent-disposition: form-data; name=\"avatar\"\r\n\r\nmilo\r\n--edge\r\n\
        content-disposition: form-data; name=\"features\"; filename=\"f.npy\"\r\n\r\nnpy\r\n--edge\r\n\
        content-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n\
        xxxxxxxxxx\r\n--edge--\r\n";
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut form = good.to_vec();
        for _ in 0..round % 4 {
            let at = random(form.len());
            match random(3) {
                0 => form[at] = b"\r\n-\"=;:edg\0\xff"[random(12)],
                1 => drop(form.drain(at..(at + 1 + random(20)).min(form.len()))),
                _ => form.splice(at..at, good[at.min(good.len() - 1)..].iter().copied()).for_each(drop),
            }
        }
        let cut = 1 + random(64);
        let pieces: Vec<_> = form
            .chunks(cut)
            .map(|piece| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(piece)))
            .collect();
        let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
        let request = raw_form(Vec::new()).map(|_| body);
        match headcast_app::server::read_form(request, folder.path(), 4096, 2048).await {
            Ok(form) => {
                read += 1;
                assert!(form.audio.is_some() != form.sample.is_some());
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "round {round} left a file behind");
    }
    assert!(read > 700 && refused > 700, "{read} read, {refused} refused");
}
