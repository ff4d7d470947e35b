//! Which pages of other sites may show the player of a job in a frame.

use axum::http::{HeaderValue, Uri};

/// Sites whose pages may embed a player. The default is none: this server's own pages alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Embedders(Vec<String>);

impl Embedders {
    /// Of origins (`https://example.org`, `http://localhost:8080`), or `*` for every site.
    ///
    /// # Errors
    /// A sentence that says which of them is no origin.
    pub fn new<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, String> {
        origins.into_iter().map(|origin| one(origin.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The policy of a page that they may embed (Content Security Policy Level 3, section 6.4.2).
    pub(super) fn policy(&self) -> HeaderValue {
        let sources = self.0.iter().fold("'self'".to_owned(), |sources, origin| sources + " " + origin);
        let policy = super::guard::policy(&sources);
        // Every origin has been read as a URI, so this cannot fail; a page that nobody may frame is the safe side.
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("frame-ancestors 'none'"))
    }
}

/// One origin as it stands in a policy, where a space or a semicolon would begin something else.
fn one(origin: &str) -> Result<String, String> {
    if origin == "*" {
        return Ok(origin.to_owned());
    }
    let refusal = || {
        format!(
            "{origin:?} is not the origin of a web page; write it like https://example.org or \
             http://localhost:8080, or * for every site"
        )
    };
    let uri: Uri = origin.parse().ok().ok_or_else(refusal)?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or_else(refusal)?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains(['@', ';', ',', '\'']));
    let authority = authority.ok_or_else(refusal)?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err(refusal());
    }
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_stand_in_the_policy_and_nothing_else_does() {
        let given = ["https://example.org/", "http://localhost:8080"];
        let policy = Embedders::new(given).unwrap().policy();
        let policy = policy.to_str().unwrap();
        assert!(
            policy.ends_with("frame-ancestors 'self' https://example.org http://localhost:8080"),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        let policy = Embedders::default().policy();
        assert!(policy.to_str().unwrap().ends_with("frame-ancestors 'self'"), "{policy:?}");
        assert!(Embedders::new(["*"]).unwrap().any() && !Embedders::default().any());
    }

    #[test]
    fn what_is_no_origin_is_refused_by_name() {
        for text in [
            "",
            "example.org",
            "ftp://example.org",
            "https://",
            "https://a@b.org",
            "https://b.org/page",
            "https://b.org?x",
            "https://b.org; script-src *",
            "https://b.org;script-src",
            "https://b.org,c.org",
            "'none'",
            "https://b.org\nx: y",
        ] {
            let refusal = Embedders::new([text]).unwrap_err();
            assert!(
                refusal.contains(&format!("{text:?}")) && refusal.contains("https://example.org"),
                "{refusal}"
            );
        }
    }
}
