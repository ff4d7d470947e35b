//! One range of the bytes of a file (RFC 9110 §14), as players and broken downloads ask for it.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The whole file or the range of it that `headers` ask for.
///
/// * `etag`: of the file, with its quotes.
/// * `length`: of the file, bytes.
/// * `answer`: what else is said of the file.
/// * `body`: the bytes of a range.
///
/// # Errors
/// [`Problem`] when `etag` is no header's value.
pub(super) fn serve(
    headers: &HeaderMap,
    etag: &str,
    length: u64,
    mut answer: HeaderMap,
    body: impl FnOnce(Range<u64>) -> Body,
) -> Result<Response, Problem> {
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::ETAG, HeaderValue::try_from(etag).map_err(Problem::internal)?);
    let same_file = headers.get(header::IF_RANGE).is_none_or(|sent| sent.as_bytes() == etag.as_bytes());
    let wanted = headers.get(header::RANGE).filter(|_| same_file).and_then(|range| range.to_str().ok());
    let (status, range) = match wanted.map(|text| parse(text, length)) {
        // What is not understood is ignored (RFC 9110 §14.2).
        None | Some(Asked::Whole) => (StatusCode::OK, 0..length),
        Some(Asked::Part(range)) => {
            let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            answer.insert(header::CONTENT_RANGE, HeaderValue::try_from(text).map_err(Problem::internal)?);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Some(Asked::Nothing) => {
            let text = format!("bytes */{length}");
            let detail = format!("the video has {length} bytes, and the range begins past the last");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_past_end", detail);
            return Ok(([(header::CONTENT_RANGE, text)], problem).into_response());
        }
    };
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    Ok((status, answer, body(range)).into_response())
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    /// It begins past the end.
    Nothing,
}

/// Understands one range of bytes (RFC 9110 §14.1.2); a list of them gets the whole file, which is allowed.
fn parse(text: &str, length: u64) -> Asked {
    let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.trim().split_once('-')) else {
        return Asked::Whole;
    };
    let range = match (first, last) {
        ("", count) => match number(count) {
            Some(count) => length.saturating_sub(count)..length,
            None => return Asked::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..length,
            None => return Asked::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
            _ => return Asked::Whole,
        },
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_in_rfc_9110() {
        assert_eq!(parse("bytes=0-499", 1000), Asked::Part(0..500));
        assert_eq!(parse("bytes=500-", 1000), Asked::Part(500..1000));
        assert_eq!(parse("bytes=-300", 1000), Asked::Part(700..1000));
        assert_eq!(parse("bytes=-3000", 1000), Asked::Part(0..1000));
        assert_eq!(parse("bytes=900-5000", 1000), Asked::Part(900..1000));
        assert_eq!(parse("bytes=1000-", 1000), Asked::Nothing);
        assert_eq!(parse("bytes=-0", 1000), Asked::Nothing);
        for whole in ["bytes=5-4", "bytes=0-1,5-6", "bytes=a-b", "chars=0-1", "bytes=+1-2", ""] {
            assert_eq!(parse(whole, 1000), Asked::Whole, "{whole}");
        }
        assert_eq!(parse("bytes=0-18446744073709551615", u64::MAX), Asked::Part(0..u64::MAX));
    }
}
