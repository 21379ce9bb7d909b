//! Who may ask: `Host`, `Origin`, proxies, upgrade headers, parameters, in this order.

use ipnet::IpNet;
use tailcast::config::Config;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{TestServer, request};

const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn any_web_page_can_reach_loopback_and_is_refused_there() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["secret"]);
    for (origin, status) in [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
    ] {
        let mut headers = UPGRADE.to_vec();
        headers.push(("Origin", origin));
        for path in [
            "/api/v1/ws/logs",
            "/v1/ws/logs",
            "/api/v1/files",
            "/metrics",
            "/nowhere",
            "/",
        ] {
            let answer = request(server.address, &format!("GET {path} HTTP/1.1"), &headers).await;
            assert_eq!(answer.status, status, "{path} from {origin}");
            assert!(answer.text().contains("allowed_origins"), "{}", answer.text());
            assert!(!answer.text().contains("secret"));
        }
    }
    for host in ["evil.example", "a.log.evil.example:80"] {
        let mut headers = UPGRADE.to_vec();
        headers.push(("Host", host));
        let answer = request(server.address, "GET /api/v1/ws/logs HTTP/1.1", &headers).await;
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.text().contains("public_hosts"));
        for path in ["/healthz", "/readyz"] {
            let answer = request(server.address, &format!("GET {path} HTTP/1.1"), &[("Host", host)]).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{path}");
        }
    }
    assert_eq!(
        server
            .metric("tailcast_connections_rejected_total{reason=\"origin\"}")
            .await,
        18.0
    );
    assert_eq!(
        server
            .metric("tailcast_connections_rejected_total{reason=\"host\"}")
            .await,
        2.0
    );
}

#[tokio::test]
async fn own_loopback_and_allowed_pages_are_served() {
    let server = TestServer::with(|config| {
        config.allowed_origins = vec!["https://dash.example.org".to_owned()];
        config.public_hosts = vec!["logs.example.org".to_owned()];
    })
    .await;
    server.log("a.log");
    let own = format!("http://{}", server.address);
    for origin in [
        own.as_str(),
        "http://localhost:3000",
        "http://[::1]:1",
        "https://dash.example.org",
    ] {
        let url = format!("ws://{}/v1/ws/logs", server.address);
        let mut ask = url.into_client_request().unwrap();
        ask.headers_mut().insert("origin", origin.parse().unwrap());
        let (_, answer) = connect_async(ask).await.expect(origin);
        assert_eq!(answer.status(), 101);
        let answer = request(server.address, "GET /api/v1/files HTTP/1.1", &[("Origin", origin)]).await;
        assert_eq!(answer.status, 200);
        let allowed = (origin != own).then_some(origin);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    let headers = [
        ("Origin", "https://dash.example.org"),
        ("Access-Control-Request-Method", "GET"),
    ];
    let answer = request(server.address, "OPTIONS /api/v1/files HTTP/1.1", &headers).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD"));
    let answer = request(
        server.address,
        "GET /api/v1/files HTTP/1.1",
        &[("Host", "logs.example.org")],
    )
    .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn through_a_proxy_loopback_is_no_credential() {
    let server = TestServer::start().await;
    let ask = async |server: &TestServer, headers: &[(&str, &str)]| {
        request(server.address, "GET /api/v1/files HTTP/1.1", headers)
            .await
            .status
    };
    let page = ("Origin", "http://localhost:3000");
    assert_eq!(ask(&server, &[page]).await, 200);
    for proxy in ["Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"] {
        assert_eq!(ask(&server, &[page, (proxy, "x")]).await, 403, "{proxy}");
    }
    let forwarded = [
        ("Origin", "https://logs.example.org"),
        ("X-Forwarded-Host", "logs.example.org"),
        ("X-Forwarded-Proto", "https"),
    ];
    assert_eq!(ask(&server, &forwarded).await, 403);
    let mut config = Config::clone(&server.settings.current());
    config.trusted_proxies = vec!["127.0.0.1/32".parse::<IpNet>().unwrap()];
    server.settings.replace(config);
    assert_eq!(ask(&server, &forwarded).await, 200);
}

#[tokio::test]
async fn refusals_come_in_their_order() {
    let server = TestServer::start().await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        request(server.address, &format!("GET {path} HTTP/1.1"), headers).await
    };
    let bad = "/v1/ws/logs?file=%ff";
    let evil = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    assert_eq!(get(bad, &evil).await.status, 421, "the host first");
    assert_eq!(get(bad, &evil[1..]).await.status, 403, "then the origin");
    let answer = get(bad, &[]).await;
    assert_eq!(answer.status, 426, "then the upgrade");
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert!(answer.text().ends_with("version 13.\n"), "{}", answer.text());
    let answer = get(bad, &UPGRADE).await;
    assert_eq!(answer.status, 400, "then the parameters");
    assert!(answer.text().contains("file"));
    let mut old = UPGRADE;
    old[2].1 = "8";
    assert_eq!(get("/v1/ws/logs", &old).await.status, 426);
    let mut keyless = UPGRADE;
    keyless[3].1 = "short";
    assert_eq!(get("/v1/ws/logs", &keyless).await.status, 400);
    assert_eq!(
        request(server.address, "HEAD /v1/ws/logs HTTP/1.1", &UPGRADE)
            .await
            .status,
        426
    );
    let old = request(server.address, "GET /v1/ws/logs HTTP/1.0", &UPGRADE).await;
    assert_eq!(old.status, 426, "HTTP/1.0 knows no upgrade");
    assert_eq!(
        request(server.address, "POST /v1/ws/logs HTTP/1.1", &[]).await.status,
        405
    );
}
