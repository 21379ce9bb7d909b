//! The messages of the subprotocol `tailcast.v1`: one JSON object each, on a WebSocket a text message, in Server-Sent
//! Events the `data` of one.

use serde::Serialize;

use crate::position::Position;
use crate::ws::frame;

/// The name by which clients ask for it.
pub const NAME: &str = "tailcast.v1";

/// Room for all of a message but the lines: names, quotes, two positions of up to 227 characters.
const ENVELOPE_BYTES: usize = 600;
/// What escaping and quoting add to a line of a log, roughly.
const QUOTE_BYTES: usize = 8;

/// An `event` message; what is none is left out.
#[derive(Debug, Serialize)]
pub struct EventMessage<'a> {
    /// Always `event`.
    #[serde(rename = "type")]
    kind: &'static str,
    event: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

/// What happened, in words for programs and for people, with the number of lines that a viewer does not get and the
/// place where it happened, as far as they are known.
pub fn event(event: &str, message: &str, lost: Option<u64>, position: Option<&Position>) -> String {
    let message = EventMessage {
        kind: "event",
        event,
        message,
        lost,
        position: position.map(Position::to_string),
    };
    // A struct of strings and numbers can't fail to be written.
    serde_json::to_string(&message).unwrap_or_default()
}

/// A `lines` message, from a run of text frames, one a line. `backlog` says that more history follows at once.
pub fn lines(frames: &[u8], count: u64, start: &Position, end: &Position, backlog: bool) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(frames.len() + count.saturating_mul(QUOTE_BYTES) + ENVELOPE_BYTES);
    let head = format!(r#"{{"type":"lines","backlog":{backlog},"start":"{start}","end":"{end}","lines":["#);
    out.extend_from_slice(head.as_bytes());
    for (index, payload) in frame::payloads(frames).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let text = String::from_utf8_lossy(payload);
        // Writing into memory can't fail.
        let _ = serde_json::to_writer(&mut out, &text);
    }
    out.extend_from_slice(b"]}");
    out
}

/// A message as a Server-Sent Event, with the position by which a browser resumes behind it.
pub fn server_sent(message: &[u8], id: Option<&Position>) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + ENVELOPE_BYTES);
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(message);
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Identity, Place, Within};

    fn position(offset: u64) -> Position {
        let file = Identity { inode: 1, born: 2 };
        Position::in_current(Place::new(file, offset, Within::Nothing, &[b'x'; 99], &[b'x'; 99]))
    }

    #[test]
    fn lines_are_one_object_whatever_is_in_them() {
        let texts = [
            "plain",
            "",
            "\"quoted\\\" \u{1b}[31m\u{0}\u{2028}",
            "日本",
            "{\"json\":1}",
        ];
        let mut frames = Vec::new();
        for text in texts {
            frame::push_text(&mut frames, text);
        }
        let message = lines(&frames, 5, &position(1), &position(2), true);
        assert!(!message.contains(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(value["type"], "lines");
        assert_eq!(value["backlog"], true);
        assert_eq!(value["start"].as_str().unwrap(), position(1).to_string());
        assert_eq!(value["end"].as_str().unwrap(), position(2).to_string());
        let lines: Vec<_> = value["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        assert_eq!(lines, texts);
        let empty = super::lines(b"", 0, &position(1), &position(1), false);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&empty).unwrap()["lines"],
            serde_json::json!([])
        );
    }

    #[test]
    fn an_event_has_the_fields_that_are_known() {
        assert_eq!(
            event("gap", "it is \"gone\"", None, None),
            r#"{"type":"event","event":"gap","message":"it is \"gone\""}"#
        );
        let position = position(9);
        assert_eq!(
            event("too_slow", "slow", Some(7), Some(&position)),
            format!(r#"{{"type":"event","event":"too_slow","message":"slow","lost":7,"position":"{position}"}}"#)
        );
    }
}
