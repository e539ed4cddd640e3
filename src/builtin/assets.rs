//! What the page needs beside its HTML: style, script, and an icon for each state.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::NO_SNIFFING;
use super::html::{TONES, Tone};

/// `GET /assets/page.css`.
pub async fn css() -> Response {
    asset("text/css; charset=utf-8", include_str!("page.css").to_owned())
}

/// `GET /assets/page.js`.
pub async fn js() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page.js").to_owned())
}

/// `GET /assets/{state}.svg`: the tab's icon, in the colour and with the sign of a state.
pub async fn icon(Path(name): Path<String>) -> Response {
    let tone = name.strip_suffix(".svg").and_then(|key| TONES.iter().find(|tone| tone.key == key));
    match tone {
        Some(tone) => asset("image/svg+xml", svg(tone)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn svg(tone: &Tone) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="{}"/><path d="{}" fill="none" stroke="white" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"/></svg>"#,
        tone.colour, tone.sign,
    )
}

/// Revalidated after an hour: an upgrade shows soon, and a page that refreshes does not ask each time.
fn asset(kind: &'static str, body: String) -> Response {
    let cache = HeaderValue::from_static("public, max-age=3600");
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, cache), NO_SNIFFING];
    (headers, body).into_response()
}
