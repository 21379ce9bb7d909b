//! Every notice of the stream, in both languages, to the letter of the reference.

use crate::chunk::Event;
use crate::config::Notices;
use crate::ws::close_code;

/// The longest file name that a notice shows, in characters.
const MAX_SHOWN_CHARS: usize = 255;

/// What a viewer is told before its connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The name is not on the allow-list.
    Forbidden,
    /// The file does not exist.
    Missing,
    /// The file can't be read, or is no regular file.
    Unreadable,
    /// The file is gone.
    Removed,
    /// The viewer reads too slowly: so many lines were not sent.
    TooSlow(u64),
    /// Too many connections.
    TooMany,
}

impl Farewell {
    /// The text, with the requested name.
    pub fn text(self, language: Notices, file: &str) -> String {
        let file = shown(file);
        match (self, language) {
            (Self::Forbidden, Notices::Zh) => format!("不允许访问请求的文件: {file}"),
            (Self::Forbidden, Notices::En) => format!("access to the requested file is not allowed: {file}"),
            (Self::Missing, Notices::Zh) => format!("日志文件 {file} 不存在"),
            (Self::Missing, Notices::En) => format!("log file {file} does not exist"),
            (Self::Unreadable, Notices::Zh) => format!("错误: 无法读取日志文件 {file}"),
            (Self::Unreadable, Notices::En) => format!("error: log file {file} cannot be read"),
            (Self::Removed, Notices::Zh) => format!("日志文件 {file} 不再存在"),
            (Self::Removed, Notices::En) => format!("log file {file} no longer exists"),
            (Self::TooSlow(lost), Notices::Zh) => format!("错误: 客户端接收过慢，丢失 {lost} 行，连接即将关闭"),
            (Self::TooSlow(lost), Notices::En) => format!("error: client too slow, {lost} lines lost, closing"),
            (Self::TooMany, Notices::Zh) => "错误: 连接过多，请稍后重试".to_owned(),
            (Self::TooMany, Notices::En) => "error: too many connections, try again later".to_owned(),
        }
    }

    /// Its name in `tailcast.v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Removed => "removed",
            Self::TooSlow(_) => "too_slow",
            Self::TooMany => "too_many",
        }
    }

    /// Code and reason of the Close frame that follows the text.
    pub fn close(self) -> (u16, &'static str) {
        match self {
            Self::Forbidden => (close_code::POLICY, "file not allowed"),
            Self::Missing => (close_code::NOT_FOUND, "file not found"),
            Self::Unreadable => (close_code::INTERNAL, "file not readable"),
            Self::Removed => (close_code::GONE, "file removed"),
            Self::TooSlow(_) => (close_code::TRY_AGAIN, "too slow"),
            Self::TooMany => (close_code::TRY_AGAIN, "too many connections"),
        }
    }
}

/// What happened to a file or its stream, for a person. Those that the plain protocol tells are notices to the letter.
pub fn of_event(event: Event, language: Notices, file: &str) -> String {
    let text = match (event, language) {
        (Event::Truncated, Notices::Zh) => "日志文件被截断，重新加载...",
        (Event::Truncated, Notices::En) => "log file was truncated, reloading...",
        (Event::Rotated, Notices::Zh) => "日志文件已轮转，继续读取新文件",
        (Event::Rotated, Notices::En) => "log file was rotated, the new one follows",
        (Event::Gap, Notices::Zh) => "无法从所请求的位置继续，中间的日志行可能缺失",
        (Event::Gap, Notices::En) => "the position asked for can't be found any more, lines may be missing here",
        (Event::Shutdown, Notices::Zh) => "服务器正在关闭",
        (Event::Shutdown, Notices::En) => "the server is shutting down",
        (Event::Removed, _) => return Farewell::Removed.text(language, file),
    };
    text.to_owned()
}

/// A requested name as it may be shown: without control characters, of bounded length.
fn shown(file: &str) -> String {
    file.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_name_is_shown_without_control_characters_and_bounded() {
        let text = Farewell::Forbidden.text(Notices::En, "a\x1b[31m\n\u{85}b");
        assert_eq!(text, "access to the requested file is not allowed: a[31mb");
        let text = Farewell::Forbidden.text(Notices::Zh, &"日".repeat(1000));
        assert_eq!(text.chars().filter(|&c| c == '日').count(), 255);
    }
}
