//! Serves the page over HTTP: the files of `dist/` as `cargo xtask web` builds them, with the
//! compressed copies that it makes; nothing is compressed here.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::set_header::SetResponseHeaderLayer;

use super::attach::Attached;
use super::lessons;

/// The files of `dist/`, embedded in the binary; a debug build reads them from disk.
#[derive(RustEmbed)]
#[folder = "../dist/"]
#[allow_missing = true]
struct Dist;

/// The Content-Security-Policy: everything from the page's own origin and WebAssembly, nothing from
/// elsewhere. Any page may frame it, since that is how it is embedded in courses.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; \
    font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
    frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";

/// Cache-Control for files whose names change with their content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Cache-Control for the other files: cached, but revalidated each time.
const REVALIDATE: &str = "no-cache";

/// The router for all requests. A folder of own lessons replaces those of the page; with
/// `attached`, the page shows that deployment.
pub(super) fn router(own_lessons: Option<PathBuf>, attached: Option<Attached>) -> Router {
    let always = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    let pages = match own_lessons {
        None => Router::new().fallback_service(get(answer)),
        Some(folder) => lessons::router(folder)
            .route("/", get(reloading))
            .route("/index.html", get(reloading))
            .fallback_service(get(answer)),
    };
    let pages = pages
        .layer(always(CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .layer(always(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(REFERRER_POLICY, "no-referrer"))
        // Pages of other origins load the embedding script; nothing here is secret.
        .layer(always(ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .layer(always(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"));
    match attached {
        Some(attached) => attached.router().merge(pages),
        None => pages,
    }
}

/// The page with the script that reloads it when a lesson changes.
async fn reloading() -> Response {
    let Some(index) = Dist::get("index.html") else {
        return text(StatusCode::SERVICE_UNAVAILABLE, UNBUILT);
    };
    let page = lessons::with_reload(&String::from_utf8_lossy(&index.data));
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, page).into_response()
}

async fn answer(uri: Uri, headers: HeaderMap, _request: Request) -> Response {
    let path = uri.path().trim_start_matches('/');
    let name = match path {
        "" => "index.html".to_owned(),
        folder if folder.ends_with('/') => format!("{folder}index.html"),
        file => file.to_owned(),
    };
    match Dist::get(&name) {
        Some(file) => found(&name, file, &headers),
        None if Dist::get("index.html").is_none() => text(StatusCode::SERVICE_UNAVAILABLE, UNBUILT),
        None => text(StatusCode::NOT_FOUND, MISSING),
    }
}

fn found(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    // A weak ETag, since the compressed copies have the same one.
    let tag = format!("W/\"{digits}\"");
    let cache = if is_named_by_content(name) { IMMUTABLE } else { REVALIDATE };
    let about = [(ETAG, tag.clone()), (CACHE_CONTROL, cache.to_owned())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known
        .flat_map(|tags| tags.split(','))
        .any(|known| [tag.as_str(), "*"].contains(&known.trim()))
    {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let mime = file.metadata.mimetype();
    let charset = match mime.starts_with("text/") || mime == "image/svg+xml" {
        true => "; charset=utf-8",
        false => "",
    };
    let kind = [(CONTENT_TYPE, format!("{mime}{charset}")), (VARY, "accept-encoding".to_owned())];
    let packed = encodings(headers)
        .into_iter()
        .find_map(|(encoding, suffix)| Some((encoding, Dist::get(&format!("{name}.{suffix}"))?)));
    match packed {
        Some((encoding, packed)) => {
            let encoding = [(CONTENT_ENCODING, encoding)];
            (about, kind, encoding, Body::from(packed.data)).into_response()
        }
        None => (about, kind, Body::from(file.data)).into_response(),
    }
}

/// The encodings that a request accepts, of those that `dist/` may have, best compression first,
/// each with the suffix of its copies.
fn encodings(headers: &HeaderMap) -> Vec<(&'static str, &'static str)> {
    let accepted = |wanted: &str| {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case(wanted) && weight.is_ok_and(|weight| weight > 0.0)
        })
    };
    [("br", "br"), ("gzip", "gz")].into_iter().filter(|(name, _)| accepted(name)).collect()
}

fn text(status: StatusCode, html: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, html).into_response()
}

/// Whether `cargo xtask web` put a content hash into the file's name: `style-0123456789abcdef.css`.
fn is_named_by_content(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

const UNBUILT: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Limpid</title>
<p>This program was built without its page; <code>cargo xtask run</code> builds both and starts them.</p>
<p lang="zh-CN">这个程序构建时没有包含页面；运行 <code>cargo xtask run</code> 会构建两者并启动。</p>
"#;

const MISSING: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Limpid: not found</title>
<p>There is nothing at this address. <a href="/">To Limpid</a></p>
<p lang="zh-CN">这个地址没有内容。<a href="/">回到 Limpid</a></p>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_used_if_the_request_accepts_it_and_brotli_before_gzip() {
        let suffixes = |value: &'static str| -> Vec<&str> {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            encodings(&headers).into_iter().map(|(_, suffix)| suffix).collect()
        };
        assert_eq!(suffixes("gzip, deflate, br, zstd"), ["br", "gz"]);
        assert_eq!(suffixes("GZIP;q=0.5"), ["gz"]);
        assert_eq!(suffixes("br; q=0, gzip"), ["gz"]);
        assert_eq!(suffixes("identity, *;q=0"), [""; 0]);
        assert!(encodings(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn only_names_that_carry_a_hash_are_kept_for_ever() {
        assert!(is_named_by_content("style-0123456789abcdef.css"));
        assert!(is_named_by_content("deep/limpid-fedcba9876543210.wasm"));
        for name in ["index.html", "limpid-cli.js", "a-0123456789ABCDEF.js", "lessons/en/a.md"] {
            assert!(!is_named_by_content(name), "{name}");
        }
    }
}
