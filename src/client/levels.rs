//! How bad a line is, by the word that says so near its beginning.

/// How far into a line a level is looked for, in bytes.
const REACH: usize = 120;

/// From the worst on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warning,
    /// All is well.
    Info,
    /// For those who look for an error.
    Debug,
}

/// The level of a line, where a word in its first part stands as one: whole and in capitals, as most programs write it,
/// or in Chinese.
pub fn level(line: &str) -> Option<Level> {
    let reach = line.floor_char_boundary(REACH);
    let (head, _) = line.split_at(reach);
    head.split(|c: char| !c.is_alphanumeric()).find_map(|word| {
        Some(match word {
            "FATAL" | "ALERT" | "CRITICAL" | "CRIT" | "PANIC" | "EMERG" | "EMERGENCY" | "SEVERE" | "ERROR" | "ERR"
            | "严重" | "致命" | "紧急" | "错误" | "异常" | "失败" => Level::Error,
            "WARNING" | "WARN" | "WRN" | "警告" | "告警" => Level::Warning,
            "NOTICE" | "INFO" | "INF" | "信息" | "提示" => Level::Info,
            "DEBUG" | "DBG" | "FINE" | "VERBOSE" | "TRACE" | "TRC" | "调试" => Level::Debug,
            _ => return None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_is_a_level_counts() {
        for (line, expected) in [
            ("2026-01-01 12:00:00 ERROR x INFO", Some(Level::Error)),
            ("[WARN] x", Some(Level::Warning)),
            ("INFO: no ERROR", Some(Level::Info)),
            ("level=DEBUG", Some(Level::Debug)),
            ("【错误】 x", Some(Level::Error)),
            ("ERRORS were found", None),
            ("an error in lower case", None),
            ("", None),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
        let far = format!("{} ERROR", "录".repeat(60));
        assert_eq!(level(&far), None);
    }
}
