//! A document that is kept in memory with everything that an answer needs: compressed and not, each with its tag.

use std::io::{self, Write as _};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

/// A document as readers get it.
pub(super) struct Document {
    identity: Representation,
    /// `None` if it would not be smaller.
    gzip: Option<Representation>,
}

/// The document in one coding.
struct Representation {
    /// The strong ETag is among them.
    headers: HeaderMap,
    body: Bytes,
}

impl Document {
    /// The document `text` of the media type `kind`, whose answers carry `headers`.
    pub(super) fn new(kind: &'static str, headers: &[(HeaderName, &'static str)], text: String) -> Self {
        let digest: String = Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let represented = |body: Vec<u8>, tag: String, coding: Option<&'static str>| {
            let fixed = [(header::CONTENT_TYPE, kind), (header::VARY, "accept-encoding")].into_iter();
            let coding = coding.map(|coding| (header::CONTENT_ENCODING, coding));
            let fixed = fixed.chain(coding).chain(headers.iter().cloned());
            let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
            let tag = HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag));
            Representation { headers: fixed.chain(tag).collect(), body: body.into() }
        };
        let compressed = compressed(&text).ok().filter(|body| body.len() < text.len());
        let gzip = compressed.map(|body| represented(body, format!("\"{digest}-gzip\""), Some("gzip")));
        Self { identity: represented(text.into_bytes(), format!("\"{digest}\""), None), gzip }
    }

    /// The answer to a GET or HEAD with these headers: 304 if the client has it.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let chosen = self.gzip.as_ref().filter(|_| takes_gzip(asked)).unwrap_or(&self.identity);
        // RFC 9110, section 13.1.2. A proxy that changes the coding makes the tag a weak one.
        let is_known = items(asked, &header::IF_NONE_MATCH).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || chosen.headers.get(header::ETAG).is_some_and(|known| known == tag)
        });
        let mut response = Response::new(if is_known { Body::empty() } else { chosen.body.clone().into() });
        *response.headers_mut() = chosen.headers.clone();
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_ENCODING);
        }
        response
    }
}

fn compressed(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3): it is named, or anything is welcome; with a weight that is not 0.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, false);
    for item in items(asked, &header::ACCEPT_ENCODING) {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|weight| weight.strip_prefix('='));
        // An unreadable weight counts as a refusal: every client accepts the uncompressed text.
        let is_accepted =
            weight.map_or(parameters.trim().is_empty(), |weight| weight.parse().is_ok_and(|it: f32| it > 0.0));
        match coding.trim_end() {
            "*" => any = is_accepted,
            coding if coding.eq_ignore_ascii_case("gzip") => named = Some(is_accepted),
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// The items of a list that a client sent, in one header or several.
fn items<'a>(asked: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = asked.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_name_it_or_take_anything_and_do_not_refuse_it() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip;q=0", false),
            ("*, gzip; q=0.0", false),
            ("*;q=0", false),
        ] {
            let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&asked), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()), "who says nothing may not know it");
    }
}
