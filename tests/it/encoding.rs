//! Files that are not UTF-8 arrive as valid UTF-8.

use std::time::Duration;

use encoding_rs::{Encoding, GB18030};

use crate::support::{TestServer, Viewer};

fn encode(label: &str, text: &str) -> Vec<u8> {
    Encoding::for_label(label.as_bytes())
        .unwrap()
        .encode(text)
        .0
        .into_owned()
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

const LINES: [&str; 4] = ["开始下载 第一段视频", "plain", "上传完成, 稿件提交成功", "录制结束"];

#[tokio::test]
async fn t34_a_configured_encoding_is_obeyed_byte_by_byte() {
    for label in ["gb18030", "big5", "shift_jis", "euc-kr", "windows-1251"] {
        let text = match label {
            "big5" => "開始下載\n完成\n",
            "shift_jis" => "録画を開始\n完了\n",
            "euc-kr" => "녹화 시작\n완료\n",
            "windows-1251" => "запись началась\nготово\n",
            _ => "开始下载 𠀀\n完成\n",
        };
        let server = TestServer::with(|config| config.files[0].encoding = Some(label.to_owned())).await;
        let mut log = server.log("a.log");
        log.write(encode(label, text));
        let lines: Vec<&str> = text.lines().collect();
        let mut viewer = Viewer::connect(&server, "a.log").await;
        assert_eq!(viewer.lines(2).await, lines, "history in {label}");
        for byte in encode(label, text) {
            log.write([byte]);
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
        assert_eq!(viewer.lines(2).await, lines, "live in {label}");
    }
}

#[tokio::test]
async fn a_legacy_file_is_detected_in_history_and_live() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.write(GB18030.encode(&LINES.join("\n").repeat(3)).0);
    log.write("\n");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines_to(LINES[3]).await;
    log.write(GB18030.encode("仍然是中文\n").0);
    assert_eq!(viewer.line().await, "仍然是中文");
    let mut log = server.log("b.log");
    let mut viewer = Viewer::connect(&server, "b.log").await;
    log.write(GB18030.encode("2026-01-01 开始下载 第一段视频, 正在录制直播间\n").0);
    assert_eq!(viewer.line().await, "2026-01-01 开始下载 第一段视频, 正在录制直播间");
}

#[tokio::test]
async fn a_file_that_is_cut_keeps_its_encoding_and_one_written_anew_shows_its_own() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let first = GB18030.encode("开始\n").0;
    log.write(&first);
    log.write(GB18030.encode(&format!("{}\n", LINES.join("\n").repeat(3))).0);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines_to(LINES[3]).await;
    // Too little is left to tell it from anything else.
    log.truncate(first.len() as u64);
    assert_eq!(viewer.lines(2).await, ["日志文件被截断，重新加载...", "开始"]);
    log.truncate(0);
    assert_eq!(viewer.line().await, "日志文件被截断，重新加载...");
    log.write("日志\n");
    assert_eq!(viewer.line().await, "日志");
    // Line ends are counted as what they are in the new encoding: U+0A0A is none.
    let lines: Vec<String> = (0..60).map(|n| format!("{n} {}", "\u{0a0a}".repeat(200))).collect();
    let text = utf16(&format!("\u{feff}{}\n", lines.join("\n")), u16::to_le_bytes);
    std::fs::write(log.path(), text).unwrap();
    assert_eq!(viewer.line().await, "日志文件被截断，重新加载...");
    assert_eq!(viewer.lines(60).await, lines);
}

#[tokio::test]
async fn stray_bytes_in_a_utf8_file_are_replaced_and_change_nothing_else() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.write(format!("{}\n", LINES.join("\n")));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(4).await, LINES);
    log.write(b"bad \xff byte, \xe6\x97 cut\n");
    assert_eq!(viewer.line().await, "bad \u{fffd} byte, \u{fffd} cut");
    log.write("日志\n");
    assert_eq!(viewer.line().await, "日志");
}

#[tokio::test]
async fn a_byte_order_mark_is_dropped() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.write("\u{feff}first\n");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "first", "in history");
    let mut log = server.log("b.log");
    let mut viewer = Viewer::connect(&server, "b.log").await;
    for byte in "\u{feff}first\n\u{feff}second\n".as_bytes() {
        log.write([*byte]);
        tokio::time::sleep(Duration::from_millis(6)).await;
    }
    assert_eq!(
        viewer.lines(2).await,
        ["first", "\u{feff}second"],
        "live, at the beginning only"
    );
}

#[tokio::test]
async fn a_mark_is_dropped_whatever_encoding_is_configured() {
    for (label, mark) in [
        ("utf-8", [0xEF, 0xBB, 0xBF].as_slice()),
        ("gb18030", &[0xEF, 0xBB, 0xBF]),
        ("gb18030", &[0x84, 0x31, 0x95, 0x33]),
        ("windows-1252", &[0xEF, 0xBB, 0xBF]),
        ("utf-16le", &[0xFF, 0xFE]),
    ] {
        let server = TestServer::with(|config| {
            for file in &mut config.files {
                file.encoding = Some(label.to_owned());
            }
        })
        .await;
        let text = match label {
            "utf-16le" => utf16("first\nsecond\n", u16::to_le_bytes),
            _ => encode(label, "first\nsecond\n"),
        };
        let bytes = [mark, &text].concat();
        server.log("a.log").write(&bytes);
        let mut viewer = Viewer::connect(&server, "a.log").await;
        assert_eq!(viewer.lines(2).await, ["first", "second"], "history, {label}");
        let mut log = server.log("b.log");
        let mut viewer = Viewer::connect(&server, "b.log").await;
        for byte in &bytes {
            log.write([*byte]);
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
        assert_eq!(viewer.lines(2).await, ["first", "second"], "live, {label}");
    }
}

#[tokio::test]
async fn t34_utf16_without_a_mark_shows_in_a_file_that_begins_while_it_is_watched() {
    for unit in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        for size in [1, 2, 3, 7] {
            let server = TestServer::start().await;
            let mut log = server.log("a.log");
            let mut viewer = Viewer::connect(&server, "a.log").await;
            // One line, long enough to show what it is before it ends.
            let text = "a first line that is long enough to be told, \u{0a0a}开始\r\nsecond 𠀀\n";
            for part in utf16(text, unit).chunks(size) {
                log.write(part);
                tokio::time::sleep(Duration::from_millis(6)).await;
            }
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(viewer.lines(2).await, lines, "in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn t34_a_gb18030_file_cut_at_every_byte_is_the_same_lines() {
    let text = "开始下载 𠀀 第一段视频\r\n€ 上传完成\n";
    let bytes = GB18030.encode(text).0;
    let server = TestServer::with(|config| config.files[0].encoding = Some("gb18030".to_owned())).await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let lines: Vec<&str> = text.lines().collect();
    for cut in 1..bytes.len() {
        log.write(&bytes[..cut]);
        tokio::time::sleep(Duration::from_millis(8)).await;
        log.write(&bytes[cut..]);
        assert_eq!(viewer.lines(2).await, lines, "cut at {cut}");
    }
}

#[tokio::test]
async fn t34_utf16_is_read_with_and_without_a_mark_in_odd_pieces() {
    for unit in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        for mark in ["", "\u{feff}"] {
            let server = TestServer::start().await;
            let mut log = server.log("a.log");
            log.write(utf16(
                &format!("{mark}plain enough to be seen as what it is\r\n\u{0a0a}开\n"),
                unit,
            ));
            let mut viewer = Viewer::connect(&server, "a.log").await;
            assert_eq!(
                viewer.lines(2).await,
                ["plain enough to be seen as what it is", "\u{0a0a}开"]
            );
            for part in utf16("live 𠀀 line\r\nand another\n", unit).chunks(3) {
                log.write(part);
                tokio::time::sleep(Duration::from_millis(6)).await;
            }
            assert_eq!(viewer.lines(2).await, ["live 𠀀 line", "and another"]);
        }
    }
}
