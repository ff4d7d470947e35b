//! Every address that the server answers to, in one table: the router and the `OpenAPI` document are both made
//! from it, so that neither has something that the other lacks.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{delete, get, patch, post};

use super::connections::Timeouts;
use super::json::{self, JobView};
use super::operation::{Content, FormField, Operation, Sent, file, needed, text};
use super::{
    AppState, assets, avatars, captions, catalog, events, frames, gradio, inspections, jobs, metrics,
    openapi, playlist, segment, sse, stall, uploads, video,
};

/// Every route, without a socket; of the layers the one that differs between them.
pub(super) fn routes(timeouts: Timeouts) -> Router<AppState> {
    let mut router = Router::new()
        // For people: no interface for programs, so not in the document.
        .route("/", get(assets::page))
        .route("/j/{id}", get(assets::page))
        .route("/embed/{id}", get(assets::embedded))
        .route("/assets/{version}/{*path}", get(assets::asset))
        .route("/favicon.ico", get(assets::favicon));
    for operation in operations() {
        let limit = match operation.body {
            Sent::Live => timeouts.frames,
            _ => timeouts.upload,
        };
        let patience = middleware::from_fn_with_state(limit, stall::limit);
        router = router.route(operation.path, (operation.handler)().layer(patience));
    }
    router
}

/// Everything that the document describes.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = server();
    all.extend(avatar_operations());
    all.extend(job_operations());
    all.extend(media());
    all.extend(gradio_operations());
    all
}

fn server() -> Vec<Operation> {
    let new = |path, id, summary, handler| Operation::new(Method::GET, path, id, summary, handler);
    vec![
        new("/healthz", "health", "Whether the server answers at all. Needs no secret.", || get(catalog::health))
            .bytes(&["text/plain"], "It does."),
        new("/readyz", "ready", "Whether jobs can be taken. Needs no secret.", || get(catalog::ready))
            .bytes(&["text/plain"], "They can.")
            .problem(503, "They cannot, and why: `stopping`, `data_folder_gone`."),
        new("/metrics", "metrics", "Counters in the Prometheus text format.", || get(metrics::metrics))
            .bytes(&["text/plain"], "Version 0.0.4 of the format."),
        new("/api/v1/openapi.json", "openapi", "This document.", || get(openapi::serve))
            .bytes(&["application/json"], "OpenAPI 3.1."),
        new("/api/v1/info", "info", "Version, limits and remarks.", || get(catalog::info))
            .json::<json::Info>(200, "What this server is."),
        new("/api/v1/samples", "listSamples", "Clips that come with the program.", || get(catalog::samples))
            .json::<Vec<json::Sample>>(200, "All of them."),
        new("/api/v1/voices", "listVoices", "Voices that can speak a text.", || get(catalog::voices))
            .json::<Vec<json::Voice>>(200, "All of them, the default one first; none where nothing that speaks is installed."),
        new("/api/v1/samples/{id}/audio", "sampleAudio", "The sound of one.", || get(catalog::sample_audio))
            .bytes(
                &["audio/wav", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/flac", "application/octet-stream"],
                "The file.",
            )
            .problem(404, "`no_such_sample`"),
        new("/api/v1/events", "events", "What happens to jobs, as a WebSocket.", || get(events::stream))
            .details(
                "Send `{\"subscribe\": ID, \"after\": EVENT}` for one job, `{\"subscribe\": [ID, {\"job\": ID, \
                 \"after\": EVENT}]}` for up to 64, `{\"subscribe\": null}` for none; each replaces the last. Send \
                 `{\"want\": SEGMENT, \"job\": ID}` to have a segment made next; `job` may be left out when one is \
                 followed. Messages are those of `/api/v1/jobs/{id}/events`, with `gone` for a job that is not \
                 there, `error` for a message that was not understood, and `heartbeat` every 15 seconds, which means \
                 nothing but that the line is alive. Pass over types that you do not know.",
            )
            .empty(101, "The stream begins.")
            .problem(400, "`request_malformed`: not a WebSocket handshake.")
            .problem(426, "`request_malformed`: a connection that cannot become a WebSocket."),
    ]
}

fn avatar_operations() -> Vec<Operation> {
    let new = Operation::new;
    vec![
        new(Method::GET, "/api/v1/avatars", "listAvatars", "Faces that can speak.", || get(catalog::avatars))
            .json::<Vec<json::Avatar>>(200, "All of them, the default one first."),
        new(Method::POST, "/api/v1/avatars", "importAvatar", "Import a trained talking head.", || {
            // The form itself bounds every field, and says so in words.
            post(avatars::import).layer(DefaultBodyLimit::disable())
        })
        .details(
            "An upstream checkpoint becomes an avatar. Nothing in a file is executed. The files come with the form, or \
             are those of an inspection, which is used up also when the import fails.",
        )
        .form(vec![
            needed(text("name", "1 to 64 letters, digits, `-` and `_`.")),
            text("title", "For people."),
            text("credits", "Who made it and who is shown."),
            text("licence", "Terms of use."),
            text("fix_eye", "One eye value from 0 to 1 for all frames, where there is no `au`."),
            text("overwrite", "`true` replaces an avatar of this name."),
            text("inspection", "One of `/api/v1/inspections`, instead of `checkpoint`, `transforms`, `au` and `torso`."),
            file("checkpoint", "`ngp.pth`; needed without `inspection`."),
            file("transforms", "`transforms_train.json`: the camera poses; needed without `inspection`."),
            file("au", "`au.csv`: the eye values."),
            file("background", "`bc.jpg` or a PNG; needed without `inspection`."),
            file("thumbnail", "A small JPEG or PNG."),
            FormField {
                many: true,
                ..file(
                    "torso",
                    "Pictures of `torso_imgs`, with their file names, for a model without a torso net.",
                )
            },
        ])
        .json::<json::Imported>(201, "The avatar, and remarks.")
        .problem(404, "`no_such_inspection`")
        .problem(400, "The form: `form_malformed`, `field_unknown`, `field_twice`, `field_not_text`.")
        .problem(408, "`upload_stalled`")
        .problem(409, "`avatar_exists`, `avatar_built_in`, `avatar_in_use`")
        .problem(413, "`too_large`")
        .problem(422, "`field_missing`, or what is wrong with the files: `avatar_unusable`.")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::POST, "/api/v1/inspections", "inspect", "Look at the files of an avatar that is to be.", || {
            // The form itself bounds every field, and says so in words.
            post(inspections::create).layer(DefaultBodyLimit::disable())
        })
        .details(INSPECTION)
        .form(inspection_fields())
        .json::<json::Inspection>(201, "What they are, and what is missing.")
        .problem(400, "The form: `form_malformed`, `field_unknown`, `field_not_text`.")
        .problem(408, "`upload_stalled`")
        .problem(413, "`too_large`")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::POST, "/api/v1/inspections/{id}", "inspectMore", "Add files, and look again.", || {
            post(inspections::add).layer(DefaultBodyLimit::disable())
        })
        .details("An upload that fails takes the files that were there with it.")
        .form(inspection_fields())
        .json::<json::Inspection>(200, "What all of them are.")
        .problem(400, "The form: `form_malformed`, `field_unknown`, `field_not_text`.")
        .problem(404, "`no_such_inspection`")
        .problem(408, "`upload_stalled`")
        .problem(413, "`too_large`")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::DELETE, "/api/v1/inspections/{id}", "forgetInspection", "Delete the files.", || {
            delete(inspections::remove)
        })
        .empty(204, "They are gone.")
        .problem(404, "`no_such_inspection`"),
        new(Method::GET, "/api/v1/avatars/{name}", "showAvatar", "One avatar.", || get(avatars::show))
            .json::<json::AvatarDetails>(200, "What is known of it.")
            .problem(404, "`no_such_avatar`"),
        new(Method::DELETE, "/api/v1/avatars/{name}", "deleteAvatar", "Delete an imported avatar.", || {
            delete(avatars::remove)
        })
        .empty(204, "It is gone.")
        .problem(404, "`no_such_avatar`")
        .problem(409, "`avatar_built_in`, `avatar_in_use`"),
        new(Method::GET, "/api/v1/avatars/{name}/thumbnail", "thumbnail", "Its picture.", || {
            get(catalog::thumbnail)
        })
        .bytes(PICTURES, "A small picture.")
        .problem(404, "`no_such_avatar`"),
        new(Method::GET, "/api/v1/avatars/{name}/preview", "avatarPreview", "How it speaks.", || {
            get(catalog::preview)
        })
        .bytes(&["video/mp4"], "A few seconds of video without sound, forth and back, so that it can be repeated.")
        .header("Range", "One range of bytes (RFC 9110 §14.1.2).")
        .answer(206, "The range.", Content::Bytes(&["video/mp4"]))
        .problem(404, "`no_preview`: no such avatar, or none was made for it; `headcast avatar preview` makes one.")
        .problem(416, "`range_past_end`"),
    ]
}

const INSPECTION: &str = "Files are told by the names that upstream gave them. `wanted` says which files of single frames the \
    model has a use for: send those in a second step, so that nothing is sent in vain. Files of the same kind replace each \
    other.";

fn inspection_fields() -> Vec<FormField> {
    let many = |field: FormField| FormField { many: true, ..field };
    vec![
        many(file(
            "file",
            "`ngp.pth`, `ngp_epNNNN.pth`, `NNNNNN_head.tar`, `NNNNNN_body.tar`, `transforms_train.json`, \
             `transforms_val.json`, `data_kf.json`, `au.csv`, `bc.jpg`, `TorsoNeRFTest_config.txt`, by their file names.",
        )),
        many(file("torso", "Pictures of `torso_imgs`, with their file names.")),
        many(file("landmarks", "Files of `ori_imgs`, `N.lms`, with their file names.")),
    ]
}

const PICTURES: &[&str] = &["image/jpeg", "image/png", "image/webp"];

fn job_operations() -> Vec<Operation> {
    let new = Operation::new;
    vec![
        new(Method::GET, "/api/v1/jobs", "listJobs", "Jobs, the newest first.", || get(jobs::list))
            .query("limit", "integer", "How many, 1 to 500; default 100.")
            .query("after", "string", "Only jobs older than this one: the last of the page before.")
            .json::<Vec<JobView>>(
                200,
                "Jobs without `segment_ends`. The `Link` header has the address of the next page, if there is one.",
            )
            .problem(400, "`query_malformed`")
            .problem(404, "`no_such_job`: `after` was deleted meanwhile; begin again."),
        new(Method::POST, "/api/v1/jobs", "createJob", "Let an avatar speak a clip.", || {
            // The form itself bounds every field, and says so in words.
            post(jobs::create).layer(DefaultBodyLimit::disable())
        })
        .form(vec![
            file("audio", "WAV, MP3, M4A, AAC, FLAC, OGG, Opus or WebM; or `sample` instead."),
            text("sample", "A clip of `/api/v1/samples`."),
            text("text", "A text to be spoken; with a recording, what is said in it, for captions."),
            text("voice", "Who speaks it: one of `/api/v1/voices`; default the first."),
            text("speed", "How fast, 0.5 to 2; default 1."),
            text("title", "What the video is called, as in the JSON."),
            text("start", "Where the part of the clip begins that is spoken, in seconds; default its beginning."),
            text("end", "Where that part ends, in seconds from the beginning of the clip; default its end."),
            text("avatar", "One of `/api/v1/avatars`; default the first."),
            text("profile", "One of `profiles` of `/api/v1/info`; default the first."),
            text("body", "What the avatar does besides speaking, as in the JSON."),
            file("features", "Speech features made elsewhere, `.npy`."),
            file("background", "The picture behind the person, PNG or JPEG of at most 16 MB; its middle fills the frame."),
            text("size", "`WxH` of frames that come from outside, to `/api/v1/jobs/{id}/frames`; no avatar then, and sound if you like."),
            text("fps", "How many of them come per second: `25`, `29.97`, `30000/1001`. Default 25."),
            text("pix_fmt", "`rgb24`, `bgr24`, `rgba` or `yuv420p`. Default `rgb24`."),
            text("frames", "How many there are, without sound."),
        ])
        .takes::<jobs::NewJob>()
        .json::<JobView>(201, "The job; its address is in `Location`.")
        .problem(400, "`body_malformed`; the form: `form_malformed`, `field_unknown`, `field_twice`, `field_not_text`.")
        .problem(408, "`upload_stalled`")
        .problem(413, "`too_large`, `audio_too_long`, `text_too_long`")
        .problem(422, "A field or a file cannot be used.")
        .problem(429, "`queue_full`")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::POST, "/api/v1/uploads", "upload", "A file for a job that is made later.", || {
            // The body is counted as it comes.
            post(uploads::create).layer(DefaultBodyLimit::disable())
        })
        .query("name", "string", "What the file is called: a hint for the decoder and a title for people.")
        .takes_file()
        .json::<json::Upload>(201, "The file's name for `upload`, `features` or `background` of a new job.")
        .problem(400, "`form_malformed`, `query_malformed`")
        .problem(408, "`upload_stalled`")
        .problem(413, "`too_large`")
        .problem(422, "`field_missing`: the body is empty.")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::DELETE, "/api/v1/uploads/{id}", "forgetUpload", "Let go of a file that no job will use.", || {
            delete(uploads::forget)
        })
        .empty(204, "It is gone.")
        .problem(404, "`no_such_upload`"),
        new(Method::GET, "/api/v1/jobs/{id}", "showJob", "One job.", || get(jobs::show))
            .json::<JobView>(200, "As it is now.")
            .problem(404, "`no_such_job`"),
        new(Method::PATCH, "/api/v1/jobs/{id}", "renameJob", "Give a job another title.", || patch(jobs::rename))
            .takes::<jobs::Rename>()
            .json::<JobView>(200, "The job. Whoever follows it is told.")
            .problem(400, "`body_malformed`")
            .problem(404, "`no_such_job`")
            .problem(422, "`title_unusable`: too long, or with control characters.")
            .problem(507, "`disk`"),
        new(Method::DELETE, "/api/v1/jobs/{id}", "deleteJob", "Stop a job and delete all of it.", || {
            delete(jobs::remove)
        })
        .empty(204, "It is gone.")
        .problem(404, "`no_such_job`"),
        new(Method::POST, "/api/v1/jobs/{id}/cancel", "cancelJob", "Stop a job within one frame.", || {
            post(jobs::cancel)
        })
        .json::<JobView>(200, "The job; one that was over stays as it was.")
        .problem(404, "`no_such_job`"),
        new(Method::POST, "/api/v1/jobs/{id}/frames", "pushFrames", "Bring the next frames of a job.", || {
            // Taken as fast as it can be encoded, and kept nowhere.
            post(frames::push).layer(DefaultBodyLimit::disable())
        })
        .details(
            "For a job that was made with a `size`. The body is raw frames, one after the other, without padding; it may \
             be chunked, and is read as fast as frames can be encoded. Several requests may follow each other, each with \
             whole frames. The job is done with its last frame; surplus frames are left out.",
        )
        .query(
            "first",
            "integer",
            "Index of the first frame of the body: refused unless it is `next_frame`. While somebody else is connected, one \
             up to `next_frame` takes the job over: frames that are there already are left out.",
        )
        .query("end", "boolean", "`true`: nothing follows; the last picture is held where frames are missing.")
        .takes_live()
        .json::<JobView>(200, "The job; `frames.next_frame` says where to go on.")
        .problem(400, "`frame_partial`, `body_broken`, `query_malformed`")
        .problem(404, "`no_such_job`")
        .problem(408, "`upload_stalled`")
        .problem(
            409,
            "`frames_not_wanted`, `frames_busy`, `frames_position`, `frames_missing`, `frames_lost`, `job_over`",
        )
        .problem(503, "`not_opened`: its audio is still being read. `stopping`: go on when the server is back.")
        .problem(507, "`disk`"),
        new(Method::POST, "/api/v1/jobs/{id}/end", "endFrames", "There are no more frames.", || post(frames::end))
            .details("The last picture is held where frames are missing, and the job is done.")
            .json::<JobView>(200, "The job.")
            .problem(404, "`no_such_job`")
            .problem(
                409,
                "`frames_not_wanted`, `frames_busy`, `frames_missing`, `job_over`; `frames_lost`: send the frames of a \
                 segment that was lost on the disk again first.",
            )
            .problem(503, "`not_opened`: its audio is still being read. `stopping`: go on when the server is back.")
            .problem(507, "`disk`"),
        new(Method::POST, "/api/v1/jobs/{id}/fail", "failFrames", "The frames will not come.", || {
            post(frames::give_up)
        })
        .details("The job fails; what there is of it plays, and the reason is on its log.")
        .takes::<frames::GiveUp>()
        .json::<JobView>(200, "The job; one that was over stays as it was.")
        .problem(400, "`body_malformed`")
        .problem(404, "`no_such_job`")
        .problem(409, "`frames_not_wanted`"),
        new(Method::POST, "/api/v1/jobs/{id}/rerun", "rerunJob", "The same clip again, as a new job.", || {
            post(jobs::rerun)
        })
        .takes::<jobs::Rerun>()
        .json::<JobView>(201, "The new job; its address is in `Location`.")
        .problem(400, "`body_malformed`")
        .problem(404, "`no_such_job`")
        .problem(409, "`input_gone`: the recording is not kept any more.")
        .problem(413, "`audio_too_long`")
        .problem(422, "`no_such_avatar`, `no_such_profile`")
        .problem(429, "`queue_full`"),
        new(Method::GET, "/api/v1/jobs/{id}/events", "jobEvents", "What happens to a job, as it happens.", || {
            get(sse::stream)
        })
        .details(
            "Server-sent events; `data` is a JSON message, `event` its `type`, `id` its `seq`. The first is the \
             job's `state`; `ready`, `progress` and `log` follow. The stream ends with the job.",
        )
        .query("after", "integer", "Only what comes after this event.")
        .header("Last-Event-ID", "As `after`; an `EventSource` sends it by itself.")
        .bytes(&["text/event-stream"], "The stream.")
        .empty(204, "The job is over and everything was told: do not come back.")
        .problem(400, "`query_malformed`")
        .problem(404, "`no_such_job`"),
        new(Method::GET, "/api/v1/jobs/{id}/poster", "poster", "A picture to show before it plays.", || {
            get(catalog::poster)
        })
        .details("The first frame; until it is made, and some time after, the picture of the avatar.")
        .bytes(PICTURES, "The picture.")
        .problem(404, "`no_such_job`, `no_poster`"),
    ]
}

const CAPTIONS: &str = "Of a text that a voice speaks, exact as soon as it is spoken. Of a recording whose `text` was sent, about: \
    sentences by their lengths, moved to pauses of the sound.";

fn media() -> Vec<Operation> {
    let new = |path, id, summary, handler| Operation::new(Method::GET, path, id, summary, handler);
    const PLAYLIST: &[&str] = &["application/vnd.apple.mpegurl"];
    vec![
        new(
            "/api/v1/jobs/{id}/index.m3u8",
            "playlist",
            "The HLS playlist: complete from the start, or growing where the length is open.",
            || get(playlist::index),
        )
        .bytes(PLAYLIST, "VOD; it is held until the job is opened, and segments until they are made.")
        .problem(404, "`no_such_job`")
        .problem(410, "The job failed or was cancelled.")
        .problem(503, "`not_opened`: the server stops."),
        new("/api/v1/jobs/{id}/live.m3u8", "livePlaylist", "The HLS playlist, growing.", || {
            get(playlist::live)
        })
        .bytes(PLAYLIST, "EVENT; for players that cannot wait. Held until there is a segment.")
        .problem(404, "`no_such_job`")
        .problem(410, "The job failed or was cancelled.")
        .problem(503, "`not_opened`: the server stops."),
        new("/api/v1/jobs/{id}/video.mp4", "video", "The video in one file.", || get(video::mp4))
            .query("download", "string", "With any value: to be saved under a name of its own.")
            .query(
                "partial",
                "string",
                "`1`: what is made from the start without a hole, even of a job that is not done.",
            )
            .header(
                "Range",
                "One range of bytes (RFC 9110 §14.1.2); not with `partial` of a job that is not done.",
            )
            .bytes(&["video/mp4"], "The whole file.")
            .answer(206, "The range.", Content::Bytes(&["video/mp4"]))
            .problem(404, "`no_such_job`")
            .problem(409, "`not_done`; with `partial`, `nothing_made`.")
            .problem(410, "The job failed or was cancelled.")
            .problem(416, "`range_past_end`"),
        new("/api/v1/jobs/{id}/captions.vtt", "captions", "What is said, and when, as `WebVTT`.", || {
            get(captions::vtt)
        })
        .details(CAPTIONS)
        .query("download", "string", "With any value: to be saved under a name of its own.")
        .bytes(&["text/vtt"], "The captions.")
        .problem(404, "`no_such_job`, `no_captions`")
        .problem(422, "What is wrong with the recording."),
        new("/api/v1/jobs/{id}/captions.srt", "subtitles", "The same as `SubRip`.", || get(captions::srt))
            .details(CAPTIONS)
            .query("download", "string", "With any value: to be saved under a name of its own.")
            .bytes(&["application/x-subrip"], "The captions.")
            .problem(404, "`no_such_job`, `no_captions`")
            .problem(422, "What is wrong with the recording."),
        new(
            "/api/v1/jobs/{id}/{segment}",
            "segment",
            "`segment_00000.ts` and so on: an HLS segment.",
            || get(segment::segment),
        )
        .bytes(
            &["video/mp2t"],
            "The segment. One that is not made yet begins at once and goes on when it exists.",
        )
        .problem(404, "`no_such_job`, `no_such_segment`, `no_such_page`")
        .problem(410, "The job failed or was cancelled.")
        .problem(503, "`not_opened`: its audio is still being read."),
    ]
}

/// The addresses that Gradio's clients ask for, below the same guards as the rest.
fn gradio_operations() -> Vec<Operation> {
    let new = Operation::new;
    const STREAM: &[&str] = &["text/event-stream"];
    const WHY: &str = "For `gradio_client` and `@gradio/client`; docs/gradio.md shows what they can do.";
    vec![
        new(Method::GET, "/config", "gradioConfig", "What a Gradio client asks first.", || get(gradio::config))
            .details(WHY)
            .bytes(&["application/json"], "Components and functions, as Gradio 6 describes them."),
        new(Method::POST, "/login", "gradioLogin", "A password for a cookie.", || {
            post(gradio::login).layer(DefaultBodyLimit::max(LARGEST_LOGIN))
        })
        .details("Needs no secret but the one in the form. A token does as the password of any user.")
        .any_form(vec![text("username", "The user name."), text("password", "The password.")])
        .json::<gradio::SignedIn>(200, "The cookie is in `Set-Cookie`, if the server asks for a secret at all.")
        .problem(400, "`form_malformed`, `field_unknown`, `field_twice`, `field_not_text`")
        .problem(401, "`not_signed_in`"),
        new(Method::GET, "/gradio_api/info", "gradioInfo", "Endpoints with their arguments.", || {
            get(gradio::info)
        })
        .bytes(&["application/json"], "As Gradio 6 describes them."),
        new(Method::POST, "/gradio_api/upload", "gradioUpload", "Files for a call.", || {
            // The form itself bounds every field, and says so in words.
            post(gradio::upload).layer(DefaultBodyLimit::disable())
        })
        .form(vec![FormField { many: true, ..needed(file("files", "Up to four; each is good for one call.")) }])
        .json::<Vec<String>>(200, "A `path` for each, good for an hour.")
        .problem(400, "`form_malformed`, `field_unknown`")
        .problem(408, "`upload_stalled`")
        .problem(413, "`too_large`")
        .problem(422, "`field_missing`")
        .problem(503, "`uploads_busy`")
        .problem(507, "`disk`"),
        new(Method::POST, "/gradio_api/queue/join", "gradioJoin", "Call a function.", || post(gradio::join))
            .details(
                "What is wrong with an argument is told on the stream, where both clients look for words. A job                  goes on when its client is gone, and is in `/api/v1/jobs` like any other.",
            )
            .takes::<gradio::Called>()
            .json::<gradio::Joined>(200, "The event that the stream will tell of.")
            .problem(400, "`body_malformed`")
            .problem(503, "`queue_full`"),
        new(Method::GET, "/gradio_api/queue/data", "gradioStream", "What a session joined.", || {
            get(gradio::stream)
        })
        .details("Ends when everything is told. Protocol `sse_v3`.")
        .query("session_hash", "string", "The session.")
        .bytes(STREAM, "The stream.")
        .problem(400, "`request_malformed`: no session."),
        new(Method::POST, "/gradio_api/cancel", "gradioCancel", "Stop an event's job.", || post(gradio::cancel))
            .takes::<gradio::Stop>()
            .json::<gradio::Stopped>(200, "The stream tells of the end.")
            .problem(400, "`body_malformed`"),
        new(Method::POST, "/gradio_api/reset", "gradioReset", "The same.", || post(gradio::reset))
            .takes::<gradio::Stop>()
            .json::<gradio::Stopped>(200, "The stream tells of the end.")
            .problem(400, "`body_malformed`"),
        new(Method::GET, "/gradio_api/file={*path}", "gradioFile", "A finished video.", || get(gradio::file))
            .header("Range", "One range of bytes (RFC 9110 §14.1.2).")
            .bytes(&["video/mp4"], "The whole file.")
            .answer(206, "The range.", Content::Bytes(&["video/mp4"]))
            .problem(403, "`not_issued`: nothing that a call returned.")
            .problem(416, "`range_past_end`"),
        new(Method::POST, "/gradio_api/call/{name}", "gradioCall", "Call a function, with curl.", || {
            post(gradio::make_call)
        })
        .takes::<gradio::Data>()
        .json::<gradio::Joined>(200, "The event to ask for.")
        .problem(400, "`body_malformed`")
        .problem(404, "`no_such_endpoint`")
        .problem(503, "`queue_full`"),
        new(
            Method::POST,
            "/gradio_api/call/v2/{name}",
            "gradioNamedCall",
            "Call a function with named arguments.",
            || post(gradio::make_named_call),
        )
        .takes::<gradio::NamedCall>()
        .json::<gradio::Joined>(200, "The event to ask for.")
        .problem(400, "`body_malformed`")
        .problem(404, "`no_such_endpoint`")
        .problem(503, "`queue_full`"),
        heard(new(
            Method::GET,
            "/gradio_api/call/{name}/{event_id}",
            "gradioHear",
            "What becomes of a call.",
            || get(gradio::hear_call),
        )),
        heard(new(
            Method::GET,
            "/gradio_api/call/v2/{name}/{event_id}",
            "gradioHearNamed",
            "What becomes of a call with named arguments.",
            || get(gradio::hear_call),
        )),
    ]
}

fn heard(operation: Operation) -> Operation {
    operation
        .details("`generating` and `complete` with all outputs, `heartbeat`, or `error`.")
        .bytes(&["text/event-stream"], "The stream; an event that nobody knows is an `error` on it.")
        .problem(404, "`no_such_endpoint`")
}

/// Bytes of a form with a password.
const LARGEST_LOGIN: usize = 8192;
