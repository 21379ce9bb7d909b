//! Plain HTTP: the files, downloads, health, metrics, the page and its address.

use std::fs;

use serde_json::json;
use tailcast::config::FileEntry;

use crate::support::{Response, TestServer, Viewer, request};

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    request(server.address, &format!("GET {path} HTTP/1.1"), headers).await
}

#[tokio::test]
async fn the_files_are_listed_in_order_with_what_is_known() {
    let server = TestServer::with(|config| {
        config.files[1].encoding = Some("gbk".to_owned());
        config.files.push(FileEntry::named("日 志.log"));
    })
    .await;
    server.log("a.log").write("日志文件日志文件\n");
    fs::write(server.path("日 志.log"), "x").unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    let files = get(&server, "/api/v1/files", &[]).await.json();
    let modified = files[0]["modified"].as_str().unwrap().to_owned();
    assert!(
        modified.len() >= 20 && modified.ends_with('Z') && modified.as_bytes()[10] == b'T',
        "{modified}"
    );
    assert_eq!(
        files[0],
        json!({"name": "a.log", "default": true, "exists": true, "size": 25, "modified": modified,
               "encoding": "UTF-8", "viewers": 1})
    );
    assert_eq!(
        files[1],
        json!({"name": "b.log", "default": false, "exists": false, "size": null, "modified": null,
               "encoding": "GBK", "viewers": 0})
    );
    assert_eq!(files[3]["name"], "日 志.log");
    assert_eq!(files[3]["encoding"], json!(null));
    assert_eq!(files.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_file_is_downloaded_as_it_is_whole_or_in_ranges() {
    let server = TestServer::start().await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(server.path("a.log"), &bytes).unwrap();
    fs::write(server.path("hidden.log"), "secret").unwrap();
    fs::create_dir(server.path("c.log")).unwrap();
    let path = "/api/v1/logs/a.log/download";
    let whole = get(&server, path, &[]).await;
    assert_eq!((whole.status, whole.body == bytes), (200, true));
    assert_eq!(whole.header("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        whole.header("content-disposition"),
        Some("attachment; filename*=UTF-8''a%2Elog")
    );
    let part = get(&server, path, &[("Range", "bytes=100000-100099")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[100_000..100_100]));
    assert_eq!(part.header("content-range"), Some("bytes 100000-100099/200000"));
    let tail = get(&server, path, &[("Range", "bytes=-10")]).await;
    assert_eq!((tail.status, tail.body.as_slice()), (206, &bytes[199_990..]));
    assert_eq!(get(&server, path, &[("Range", "bytes=200000-")]).await.status, 416);
    for unserved in ["bytes=0-1,5-6", "lines=1-2", "Bytes=0-1", "nonsense"] {
        let whole = get(&server, path, &[("Range", unserved)]).await;
        assert_eq!((whole.status, whole.body.len()), (200, bytes.len()), "{unserved}");
    }
    let head = request(server.address, &format!("HEAD {path} HTTP/1.1"), &[]).await;
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (200, 0, Some("200000"))
    );
    for missing in ["b.log", "hidden.log", "..%2Fa.log", "nothing", "%2e%2e"] {
        let answer = get(&server, &format!("/api/v1/logs/{missing}/download"), &[]).await;
        assert_eq!(answer.status, 404, "{missing}");
        assert_eq!(
            answer.json(),
            json!({"error": "there is no such log file"}),
            "the same for all"
        );
    }
    assert_eq!(get(&server, "/api/v1/logs/c.log/download", &[]).await.status, 500);
}

#[tokio::test]
async fn health_readiness_and_metrics_are_told() {
    let server = TestServer::start().await;
    assert_eq!(get(&server, "/healthz", &[]).await.text(), "ok");
    assert_eq!(get(&server, "/readyz", &[]).await.text(), "ok");
    let metrics = get(&server, "/metrics", &[]).await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    for name in [
        "tailcast_build_info{",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        assert!(metrics.text().contains(name), "{name}");
    }
    fs::remove_dir_all(server.dir()).unwrap();
    let answer = get(&server, "/readyz", &[]).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("can't be read"), "{}", answer.text());
    assert_eq!(get(&server, "/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn a_download_may_hold_what_looks_like_an_answer() {
    let server = TestServer::start().await;
    // Wherever a write begins, at any multiple of 64 bytes, it begins like the head of an upgrade.
    let line = format!("{:.<63}\n", "HTTP/1.1 101 Switching Protocols");
    let text = line.repeat(1 << 16);
    fs::write(server.path("a.log"), &text).unwrap();
    let answer = get(&server, "/api/v1/logs/a.log/download", &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text() == text, "{} bytes of {}", answer.text().len(), text.len());
}

#[tokio::test]
async fn deliveries_are_counted() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["one", "two"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(2).await;
    log.lines(["three"]);
    viewer.line().await;
    assert_eq!(
        server.metric("tailcast_lines_delivered_total{file=\"a.log\"}").await,
        3.0
    );
    assert_eq!(
        server.metric("tailcast_bytes_delivered_total{file=\"a.log\"}").await,
        17.0
    );
    assert_eq!(server.metric("tailcast_lines_read_total{file=\"a.log\"}").await, 1.0);
    assert_eq!(server.metric("tailcast_bytes_read_total{file=\"a.log\"}").await, 6.0);
    assert_eq!(
        server.metric("tailcast_delivery_seconds_count{file=\"a.log\"}").await,
        1.0
    );
}

#[tokio::test]
async fn the_page_is_embedded_with_a_strict_policy() {
    let server = TestServer::start().await;
    let page = get(&server, "/", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let tag = page.header("etag").unwrap().to_owned();
    assert_eq!(get(&server, "/", &[("If-None-Match", &tag)]).await.status, 304);
    let html = get(&server, "/", &[]).await.text();
    let assets: Vec<&str> = html.split('"').filter(|part| part.starts_with("assets/")).collect();
    assert!(assets.len() >= 3, "{assets:?}");
    for asset in &assets {
        let answer = get(&server, &format!("/{asset}"), &[]).await;
        assert_eq!(answer.status, 200, "{asset}");
        let kind = answer.header("content-type").unwrap();
        match asset.rsplit_once('.').unwrap().1 {
            "js" => assert_eq!(kind, "text/javascript; charset=utf-8"),
            "css" => assert_eq!(kind, "text/css; charset=utf-8"),
            _ => {}
        }
    }
    assert_eq!(get(&server, "/assets/nothing.js", &[]).await.status, 404);
    let (version, _) = assets[0].trim_start_matches("assets/").split_once('/').unwrap();
    assert_eq!(
        get(&server, &format!("/assets/{version}/nothing.js"), &[]).await.status,
        404
    );
    assert_eq!(get(&server, "/assets/..%2Findex.html", &[]).await.status, 404);
    assert_eq!(get(&server, "/nothing", &[]).await.status, 404);
}

#[tokio::test]
async fn a_part_of_the_page_may_be_kept_where_its_address_has_the_version() {
    let server = TestServer::start().await;
    let page = get(&server, "/", &[]).await;
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let html = page.text();
    let script = html.split('"').find(|part| part.ends_with("/page.js")).unwrap();
    let version = script.split('/').nth(1).unwrap();
    let part = get(&server, &format!("/{script}"), &[]).await;
    assert_eq!(
        part.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(part.header("vary"), Some("accept-encoding"));
    assert_eq!(part.header("content-encoding"), None);
    // Without a version, or with that of another server, it is to be asked for again, and then not sent again.
    for other in ["/assets/page.js", "/assets/0123456789abcdef/page.js"] {
        let same = get(&server, other, &[]).await;
        assert_eq!((same.status, same.header("cache-control")), (200, Some("no-cache")));
        assert!(same.body == part.body, "{other}");
        let tag = same.header("etag").unwrap();
        assert_eq!(get(&server, other, &[("If-None-Match", tag)]).await.status, 304);
        assert_eq!(
            get(&server, other, &[("If-None-Match", "W/\"other\", \"x\"")])
                .await
                .status,
            200
        );
    }
    // Every module is in it, and can be had alone.
    let (script, alone) = (part.text(), get(&server, "/assets/pane.js", &[]).await);
    assert_eq!(alone.status, 200);
    assert!(script.contains("class Pane {") && alone.text().contains("export class Pane {"));
    assert!(!script.contains("\nimport ") && !script.contains("\nexport "));

    for (accepted, encoding) in [
        ("gzip", Some("gzip")),
        ("br, GZIP;q=0.5", Some("gzip")),
        ("gzip;q=0, br", None),
        ("gzip; q=0.0", None),
        ("identity", None),
    ] {
        let address = format!("/assets/{version}/page.js");
        let answer = get(&server, &address, &[("Accept-Encoding", accepted)]).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(
            answer.body.len() < part.body.len() / 2,
            encoding.is_some(),
            "{accepted}"
        );
    }
}

#[tokio::test]
async fn everything_can_live_below_a_prefix() {
    let server = TestServer::with(|config| config.base_path = "/my/logs".to_owned()).await;
    server.log("a.log").lines(["one"]);
    let mut viewer = Viewer::at(&format!("ws://{}/my/logs/api/v1/ws/logs", server.address)).await;
    assert_eq!(viewer.line().await, "one");
    for (path, status) in [
        ("/my/logs/", 200),
        ("/my/logs/api/v1/files", 200),
        ("/my/logs/healthz", 200),
        ("/my/logs/metrics", 200),
        ("/api/v1/files", 404),
        ("/", 404),
    ] {
        assert_eq!(get(&server, path, &[]).await.status, status, "{path}");
    }
    let redirect = get(&server, "/my/logs", &[]).await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("logs/")));
    let redirect = get(&server, "/my/logs?file=b.log", &[]).await;
    assert_eq!(redirect.header("location"), Some("logs/?file=b.log"));
    let exempt = get(&server, "/my/logs/healthz", &[("Host", "evil.example")]).await;
    assert_eq!(exempt.status, 200);
}
