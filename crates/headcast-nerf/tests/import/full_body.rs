//! Pictures from head to foot: what is rendered goes back to where the training video was cut out.

use std::borrow::Cow;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use headcast_core::{FeatureTrack, FrameIndex, RgbImage, Spools};
use headcast_nerf::avatar::{Avatar, FullBodyRequest, ImportRequest, import, inspect, list};
use headcast_nerf::body::Body;
use headcast_nerf::cpu::RenderError;
use headcast_nerf::{Clip, Renderer, Settings};

use crate::avatars::{Subject, png};

/// Odd on purpose.
const WIDTH: u32 = 51;
const HEIGHT: u32 = 40;
const AT: (u32, u32) = (12, 9);

/// The picture of frame `img_id`.
fn whole(img_id: u32) -> RgbImage {
    let values = (0..WIDTH * HEIGHT * 3).map(|i| ((i * 7 + img_id * 91) % 251) as u8).collect();
    RgbImage::from_raw(WIDTH, HEIGHT, values).unwrap()
}

/// A subject with a picture for each of its three frames, whose poses are in the order 0, 2, 1.
fn subject() -> Subject {
    let subject = Subject::new(true);
    for id in 0..3 {
        let picture = whole(id);
        subject.put(&format!("fullbody/img/{id}.png"), &png(WIDTH, HEIGHT, picture.data(), false));
    }
    subject
}

fn pasted(subject: &Subject, pictures: &str, (offset_x, offset_y): (u32, u32)) -> ImportRequest {
    let pictures = subject.path(pictures);
    ImportRequest { full_body: Some(FullBodyRequest { pictures, offset_x, offset_y }), ..subject.request() }
}

fn renderer(avatar: Avatar) -> (Renderer, Clip) {
    let settings = Settings { threads: NonZero::new(2), ..Settings::default() };
    let renderer = Renderer::new(Arc::new(avatar), &settings).unwrap();
    let noise = (0..8 * 16 * 29).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let track = FeatureTrack::from_windows([8, 16, 29], noise).unwrap();
    let clip = renderer.clip(&track, 8, &Spools::in_memory()).unwrap();
    (renderer, clip)
}

fn render((renderer, clip): &(Renderer, Clip), frame: u64) -> RgbImage {
    let mut out = RgbImage::filled(renderer.width(), renderer.height(), [7; 3]).unwrap();
    renderer.render(clip, FrameIndex(frame), &mut out).unwrap();
    out
}

/// `rendered` at `AT` of `whole`.
fn expected(whole: &RgbImage, rendered: &RgbImage) -> RgbImage {
    let mut out = whole.clone();
    for y in 0..rendered.height() {
        for x in 0..rendered.width() {
            let at = (((y + AT.1) * whole.width() + x + AT.0) * 3) as usize;
            out.data_mut()[at..at + 3].copy_from_slice(&rendered.pixel(x, y));
        }
    }
    out
}

#[test]
fn what_is_rendered_lands_in_the_picture_of_its_frame() {
    let subject = subject();
    let plain = import(&subject.request(), &subject.library()).unwrap();
    let left_out = plain.notes.iter().find(|note| note.contains("--fullbody-offset-x")).unwrap();
    assert!(left_out.contains("fullbody/img"), "{left_out}");
    let plain = renderer(Avatar::load(&plain.path).unwrap());
    let request = ImportRequest { name: "bea".to_owned(), ..pasted(&subject, "fullbody/img", AT) };
    let imported = import(&request, &subject.library()).unwrap();
    assert!(imported.notes.is_empty(), "{:?}", imported.notes);

    let larger = renderer(Avatar::load(&imported.path).unwrap());
    assert_eq!((larger.0.width(), larger.0.height()), (WIDTH, HEIGHT));
    let frames: Vec<RgbImage> = (0..8).map(|frame| render(&larger, frame)).collect();
    for (frame, img_id) in [0, 2, 1, 1, 2, 0, 0, 2].into_iter().enumerate() {
        let square = render(&plain, frame as u64);
        assert_eq!(frames[frame], expected(&whole(img_id), &square), "frame {frame}");
        let other = expected(&whole(3 - img_id), &square);
        assert_ne!(frames[frame], other, "control: another frame's picture");
    }
    // In any order, from several threads, and from memory.
    std::thread::scope(|scope| {
        for offset in 0..2 {
            let (larger, frames) = (&larger, &frames);
            scope.spawn(move || {
                for frame in (offset..8).rev().step_by(2) {
                    assert_eq!(render(larger, frame as u64), frames[frame], "frame {frame}");
                }
            });
        }
    });
    let get = |name: &str| fs::read(imported.path.join(name)).ok().map(Cow::Owned);
    assert_eq!(render(&renderer(Avatar::from_files("bea", &get).unwrap()), 4), frames[4]);

    // Whoever wants a smaller picture is told the right size, and a probe draws the whole.
    let mut small = RgbImage::filled(32, 24, [0; 3]).unwrap();
    let error = larger.0.render(&larger.1, FrameIndex(0), &mut small).unwrap_err();
    assert!(matches!(error, RenderError::PictureSize { width: WIDTH, height: HEIGHT, found: (32, 24) }));
    let mut out = RgbImage::filled(WIDTH, HEIGHT, [7; 3]).unwrap();
    larger.0.probe(0, &mut out).unwrap();
    assert_eq!(out.pixel(0, 0), whole(0).pixel(0, 0));

    // One that is lost later is named.
    fs::remove_file(imported.path.join("fullbody/2.png")).unwrap();
    let error = renderer(Avatar::load(&imported.path).unwrap());
    let error = error.0.render(&error.1, FrameIndex(1), &mut out).unwrap_err().to_string();
    assert!(error.contains("fullbody/2.png") && error.contains("full-body picture"), "{error}");
}

#[test]
fn the_doctor_and_the_list_show_the_video() {
    let subject = subject();
    let report = inspect(subject.folder.path()).unwrap().to_string();
    assert!(report.contains("fullbody/img") && report.contains("--fullbody-offset-x X"), "{report}");
    let imported = import(&pasted(&subject, "fullbody/img", AT), &subject.library()).unwrap();
    let facts = imported.avatar.avatar.as_ref().unwrap();
    assert_eq!((facts.width, facts.height), (WIDTH, HEIGHT));
    let body = facts.full_body.unwrap();
    assert_eq!((body.width, body.height, body.offset_x, body.offset_y, body.pictures), (32, 24, 12, 9, 3));
    let text = imported.avatar.to_string();
    assert!(text.contains("32x24 rendered, at column 12, row 9 of 3 pictures"), "{text}");
    let listed = list(&subject.library()).unwrap();
    let details = listed[0].details.as_ref().unwrap();
    assert_eq!((details.width, details.height), (WIDTH, HEIGHT));
}

#[test]
fn one_picture_serves_every_frame() {
    let subject = Subject::new(true);
    let photo =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets/avatars/milo/background.jpg");
    subject.put("still", &fs::read(&photo).unwrap());
    let imported = import(&pasted(&subject, "still", (480, 488)), &subject.library()).unwrap();
    assert!(imported.path.join("fullbody.jpg").is_file());
    let still = renderer(Avatar::load(&imported.path).unwrap());
    let background = |frame| {
        let mut frame = render(&still, frame);
        let len = frame.width() as usize * 3;
        for row in frame.data_mut().chunks_exact_mut(len).skip(488) {
            row[480 * 3..].fill(0);
        }
        frame
    };
    assert_eq!((still.0.width(), still.0.height()), (512, 512));
    assert_eq!(background(0), background(1));
    assert_ne!(render(&still, 0), render(&still, 1), "control: the rendered corner moves");
    assert!(imported.avatar.to_string().contains("of 1 picture\n"), "{}", imported.avatar);
}

#[test]
fn what_does_not_fit_names_both_sides() {
    let subject = subject();
    let refused = |request: &ImportRequest, words: &[&str]| {
        let error = subject.refused(request);
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    };
    for at in [(20, 9), (12, 17), (u32::MAX, 0)] {
        let place = format!("column {}, row {}", at.0, at.1);
        refused(&pasted(&subject, "fullbody/img", at), &["51x40", "32x24", &place, "crop"]);
    }
    refused(&pasted(&subject, "nowhere", AT), &["nowhere"]);
    refused(&pasted(&subject, "au.csv", AT), &["au.csv", "neither a PNG nor a JPEG"]);
    let request = pasted(&subject, "fullbody/img", AT);

    fs::rename(subject.path("fullbody/img/1.png"), subject.path("fullbody/img/7.png")).unwrap();
    refused(&request, &["`1.jpg` is missing", "1 of 3 poses", "3 files", "-start_number 0"]);
    subject.put("fullbody/img/1.png", &png(32, 24, &[1; 32 * 24 * 3], false));
    refused(&request, &["1.png", "32x24", "51x40"]);
    subject.put("fullbody/img/1.png", &[0xff, 0xd8, 0xff, 0xe0, 0, 4]);
    refused(&request, &["1.png", "cannot be decoded"]);
    subject.put("fullbody/img/1.png", b"text");
    refused(&request, &["1.png", "neither a PNG nor a JPEG"]);
    let tall = png(40, 4100, &vec![1; 40 * 4100 * 3], false);
    subject.put("tall.png", &tall);
    refused(&pasted(&subject, "tall.png", AT), &["40x4100", "cannot be shown"]);
}

#[test]
fn a_background_of_the_clip_is_refused() {
    let subject = subject();
    let imported = import(&pasted(&subject, "fullbody/img", AT), &subject.library()).unwrap();
    let avatar = Arc::new(Avatar::load(&imported.path).unwrap());
    let of = |body: &str| {
        let settings = Settings { body: body.parse::<Body>().unwrap(), ..Settings::default() };
        Renderer::new(Arc::clone(&avatar), &settings)
    };
    for body in ["background=green", "background=picture"] {
        let error = of(body).unwrap_err().to_string();
        assert!(error.contains("full-body pictures, which are its background"), "{error}");
    }
    // What the head does is its own.
    let kept = of("poses=1 eyes=blink background=own").unwrap();
    let noise = vec![0.5; 4 * 16 * 29];
    let track = FeatureTrack::from_windows([4, 16, 29], noise).unwrap();
    let clip = kept.clip(&track, 4, &Spools::in_memory()).unwrap();
    for frame in 0..4 {
        let mut out = RgbImage::filled(WIDTH, HEIGHT, [7; 3]).unwrap();
        kept.render(&clip, FrameIndex(frame), &mut out).unwrap();
        assert_eq!(out.pixel(0, 0), whole(2).pixel(0, 0), "pose 1 is frame 2 of the video");
    }
}

#[test]
fn a_damaged_description_is_refused() {
    let subject = subject();
    let path = import(&pasted(&subject, "fullbody/img", AT), &subject.library()).unwrap().path;
    let toml = fs::read_to_string(path.join("avatar.toml")).unwrap();
    for (from, to, words) in [
        ("offset_x = 12", "offset_x = 4000000000", "does not fit"),
        ("width = 51", "width = 31", "does not fit"),
        ("width = 51", "width = 5100", "cannot be shown"),
        ("extension = \"png\"", "extension = \"../png\"", "neither jpg nor png"),
    ] {
        assert!(toml.contains(from), "{toml}");
        fs::write(path.join("avatar.toml"), toml.replacen(from, to, 1)).unwrap();
        let error = Avatar::load(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
