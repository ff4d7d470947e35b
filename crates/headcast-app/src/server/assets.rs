//! The page and what belongs to it, inside the program.
//!
//! Assets live under a folder named after the content of all of them, so they can be cached for ever, and
//! modules may import each other by relative addresses. Browsers get them compressed.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::AppState;
use super::problem::Problem;

/// Path below `player/`, content type, bytes.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal $kind:ident),* $(,)?) => {
        &[$(Asset {
            path: $path,
            content_type: $kind,
            bytes: include_bytes!(concat!("../../player/", $path)),
        }),*]
    };
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

const ASSETS: &[Asset] = assets![
    "css/avatars.css" CSS,
    "css/base.css" CSS,
    "css/layout.css" CSS,
    "css/player.css" CSS,
    "css/panel.css" CSS,
    "css/trim.css" CSS,
    "icon.svg" SVG,
    "i18n/en.json" JSON,
    "i18n/zh.json" JSON,
    "js/ahead.js" JS,
    "js/api.js" JS,
    "js/app.js" JS,
    "js/avatar_files.js" JS,
    "js/avatars.js" JS,
    "js/captions.js" JS,
    "js/checklist.js" JS,
    "js/composer.js" JS,
    "js/controls.js" JS,
    "js/dom.js" JS,
    "js/events.js" JS,
    "js/playback.js" JS,
    "js/preview.js" JS,
    "js/format.js" JS,
    "js/i18n.js" JS,
    "js/loader.js" JS,
    "js/log.js" JS,
    "js/panel.js" JS,
    "js/stages.js" JS,
    "js/trim.js" JS,
    "js/waveform.js" JS,
    "js/pacing.js" JS,
    "js/player.js" JS,
    "js/plot.js" JS,
    "js/recent.js" JS,
    "js/recorder.js" JS,
    "js/missing.js" JS,
    "js/rename.js" JS,
    "js/script.js" JS,
    "js/store.js" JS,
    "vendor/hls.js-1.7.4/LICENSE" TEXT,
    "vendor/hls.js-1.7.4/hls.light.min.mjs" JS,
];

/// [`ASSETS`], in the same order, in gzip (RFC 1952): a third of their size.
static PACKED: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| ASSETS.iter().map(|asset| packed(asset.bytes)).collect());

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes what is written")
}

/// Whether the client reads gzip (RFC 9110, section 12.5.3).
fn reads_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// A module of the page by its file name, such as `loader.js` or `hls.light.min.mjs`: for pages of other programs that
/// play a stream.
pub fn page_module(file: &str) -> Option<&'static [u8]> {
    let named = |asset: &&Asset| asset.path.rsplit('/').next() == Some(file);
    ASSETS.iter().filter(|asset| asset.content_type == JS).find(named).map(|asset| asset.bytes)
}

const PAGE: &str = include_str!("../../player/index.html");

/// The embedded page.
pub(super) struct Assets {
    version: String,
    page: Document,
    /// The player alone, for pages of other sites.
    embedded: Document,
}

/// A page with the addresses of this version's assets in it, and the same compressed.
struct Document {
    text: String,
    packed: Vec<u8>,
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self { packed: packed(text.as_bytes()), text }
    }
}

impl Assets {
    pub(super) fn new() -> Self {
        let everything =
            ASSETS.iter().flat_map(|asset| asset.path.bytes().chain(asset.bytes.iter().copied()));
        let version = format!("{:016x}", fnv1a(everything.chain(PAGE.bytes())));
        let page = PAGE.replace("{{assets}}", &format!("/assets/{version}"));
        let embedded = page.replace("<html ", "<html data-embedded ");
        Self { version, page: page.into(), embedded: embedded.into() }
    }
}

/// Fowler-Noll-Vo hash, 1a, 64 bits: names a version, guards nothing.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) async fn page(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let assets = &state.inner.assets;
    document(assets, &assets.page, &headers)
}

/// The player of one job, in a frame of a page that the configuration allows.
pub(super) async fn embedded(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let assets = &state.inner.assets;
    let mut response = document(assets, &assets.embedded, &headers);
    let policy = state.config().embedders.policy();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn document(assets: &Assets, document: &Document, headers: &HeaderMap) -> Response {
    // Other bytes, another tag (RFC 9110, section 8.8.3.3).
    let is_packed = reads_gzip(headers);
    let etag = format!("\"{}{}\"", assets.version, if is_packed { "-gzip" } else { "" });
    let caching = [
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, etag.clone()),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    if is_packed {
        return (caching, [(header::CONTENT_ENCODING, "gzip")], Html(document.packed.clone()))
            .into_response();
    }
    (caching, Html(document.text.clone())).into_response()
}

pub(super) async fn asset(
    State(state): State<AppState>,
    Path((version, path)): Path<(String, String)>,
    sent: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, packed) = ASSETS
        .iter()
        .zip(PACKED.iter())
        .find(|(asset, _)| asset.path == path)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_such_page", "there is no such asset"))?;
    // A tab that was opened before an update still gets its files, but must not keep the new ones as old.
    let current = version == state.inner.assets.version;
    let caching = if current { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
    ];
    if reads_gzip(&sent) {
        return Ok((headers, [(header::CONTENT_ENCODING, "gzip")], packed.as_slice()).into_response());
    }
    Ok((headers, asset.bytes).into_response())
}

pub(super) async fn favicon() -> Response {
    let icon: &[u8] = include_bytes!("../../player/icon.svg");
    ([(header::CONTENT_TYPE, SVG), (header::CACHE_CONTROL, "max-age=86400")], icon).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_only_for_what_is_embedded() {
        let assets = Assets::new();
        let prefix = format!("/assets/{}/", assets.version);
        let mut found = 0;
        for address in assets.page.text.split('"').filter_map(|text| text.strip_prefix(&prefix)) {
            assert!(ASSETS.iter().any(|asset| asset.path == address), "{address} is not embedded");
            found += 1;
        }
        assert!(found >= 4, "the page names {found} assets");
        assert!(!assets.page.text.contains("{{"));
        assert!(assets.embedded.text.contains("<html data-embedded lang="));
    }

    /// What a first visit loads: the page in one language, without the licence of what it plays with.
    #[test]
    fn a_first_visit_loads_little() {
        let loaded = |asset: &Asset| asset.content_type != TEXT && asset.path != "i18n/zh.json";
        let sizes = ASSETS.iter().zip(PACKED.iter()).filter(|(asset, _)| loaded(asset));
        let (whole, packed) = sizes
            .fold((PAGE.len(), packed(PAGE.as_bytes()).len()), |(whole, all), (asset, packed)| {
                (whole + asset.bytes.len(), all + packed.len())
            });
        println!("{packed} bytes, {whole} before compression");
        assert!(packed < 250_000, "{packed} bytes");
    }

    #[test]
    fn gzip_is_sent_to_who_reads_it() {
        let reads = |value: &'static str| {
            reads_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                header::HeaderValue::from_static(value),
            )]))
        };
        assert!(reads("gzip, deflate, br, zstd") && reads("br;q=1.0, GZIP;q=0.8") && reads("x, gzip"));
        assert!(
            !reads("br") && !reads("gzip;q=0") && !reads("gzip; q=0.0, br") && !reads_gzip(&HeaderMap::new())
        );
    }

    #[test]
    fn vendored_files_are_the_ones_on_record() {
        let hls = ASSETS.iter().find(|asset| asset.path.ends_with("hls.light.min.mjs")).unwrap();
        // SHA-256 is on record in vendor/README.md; this notices an accidental change without a hash crate.
        assert_eq!(format!("{:016x}", fnv1a(hls.bytes.iter().copied())), "d4b5af412ccd4cb1");
    }
}
