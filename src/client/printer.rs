//! What is printed, and how: lines as they are into a pipe, coloured and harmless on a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stderr, stdout};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::WatchArgs;
use super::levels::{Level, level};

/// How much of what was said is remembered.
const MAX_SAID: usize = 20;

/// A batch of lines: a message of `tailcast.v1`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lines {
    /// The place before the first line.
    pub start: String,
    /// The place after the last line.
    pub end: String,
    /// Whether more history follows at once.
    #[serde(default)]
    pub backlog: bool,
    /// Without line ends.
    pub lines: Vec<String>,
}

/// What happened to the file or the stream: a message of `tailcast.v1`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its name.
    pub event: String,
    /// A sentence for a person.
    #[serde(default)]
    pub message: String,
    /// Lines that were not sent, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Where the stream goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// A message of `tailcast.v1`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Message {
    /// Lines in order.
    Lines(Lines),
    /// What happened between the lines before and after it.
    Event(Event),
    /// One of a later version.
    #[serde(other)]
    Unknown,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Byte for byte, for files and programs.
    Raw,
    /// For eyes: `colours` says whether the terminal is to show any.
    Terminal { colours: bool },
    /// As objects.
    Json,
}

/// Writes lines to standard output and all else to standard error.
pub struct Printer {
    out: BufWriter<Stdout>,
    form: Form,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    /// What was said since the last line: it need not be said again.
    said: Vec<String>,
}

impl Printer {
    /// For the standard streams of this process.
    pub fn new(args: &WatchArgs) -> Self {
        let form = if args.json {
            Form::Json
        } else if stdout().is_terminal() {
            let colours = AutoStream::choice(&stdout()) != ColorChoice::Never;
            Form::Terminal { colours }
        } else {
            Form::Raw
        };
        Self {
            out: BufWriter::new(stdout()),
            form,
            include: args.include.clone(),
            exclude: args.exclude.clone(),
            said: Vec::new(),
        }
    }

    /// Prints what is wanted of these lines; they are out of our hands when it returns.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub fn lines(&mut self, mut batch: Lines) -> io::Result<()> {
        self.said.clear();
        batch.lines.retain(|line| wanted(line, &self.include, &self.exclude));
        match self.form {
            Form::Json if batch.lines.is_empty() && !(self.include.is_empty() && self.exclude.is_empty()) => {}
            Form::Json => self.object(&Message::Lines(batch))?,
            Form::Raw => {
                for line in &batch.lines {
                    self.out.write_all(line.as_bytes())?;
                    self.out.write_all(b"\n")?;
                }
            }
            Form::Terminal { colours } => {
                for line in &batch.lines {
                    writeln!(self.out, "{}", for_terminal(line, colours))?;
                }
            }
        }
        self.out.flush()
    }

    /// Tells what happened.
    ///
    /// # Errors
    ///
    /// Those of standard output.
    pub fn event(&mut self, event: Event) -> io::Result<()> {
        if self.form == Form::Json {
            // Every attempt to connect to a file that is not there says so.
            if event.position.is_none() && self.is_known(&event.message) {
                return Ok(());
            }
            self.object(&Message::Event(event))?;
            return self.out.flush();
        }
        match event.message.as_str() {
            "" => self.say(&event.event),
            message => self.say(message),
        }
        Ok(())
    }

    /// Says something about the connection, once, on standard error.
    pub fn say(&mut self, text: &str) {
        if self.is_known(text) {
            return;
        }
        // Where nobody can be told anything more, the lines still go on.
        let _ = writeln!(stderr(), "tailcast: {}", harmless(text));
    }

    /// Whether this was said since the last line; from now on it was.
    fn is_known(&mut self, text: &str) -> bool {
        let is_known = self.said.iter().any(|said| said == text);
        if !is_known {
            // Twenty different ones without a line between them are told again.
            if self.said.len() == MAX_SAID {
                self.said.clear();
            }
            self.said.push(text.to_owned());
        }
        is_known
    }

    fn object(&mut self, message: &Message) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, message)?;
        self.out.write_all(b"\n")
    }
}

/// Expressions see what a reader sees: the text without its colours.
fn wanted(line: &str, include: &[Regex], exclude: &[Regex]) -> bool {
    if include.is_empty() && exclude.is_empty() {
        return true;
    }
    let text = match line.contains('\x1b') {
        true => Cow::Owned(strip_str(line).to_string()),
        false => Cow::Borrowed(line),
    };
    let matches = |expressions: &[Regex]| expressions.iter().any(|expression| expression.is_match(&text));
    (include.is_empty() || matches(include)) && !matches(exclude)
}

/// A line that can do no more to a terminal than colour itself.
fn for_terminal(line: &str, colours: bool) -> String {
    if !colours {
        return harmless(&strip_str(line).to_string()).into_owned();
    }
    if line.contains("\x1b[") {
        return format!("{}\x1b[0m", with_own_colours(line));
    }
    let line = harmless(line);
    let Some(level) = level(&line) else {
        return line.into_owned();
    };
    let style = match level {
        Level::Error => Style::new().fg_color(Some(AnsiColor::Red.into())),
        Level::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Level::Info => return line.into_owned(),
        Level::Debug => Style::new().dimmed(),
    };
    format!("{style}{line}{style:#}")
}

/// Leaves SGR sequences (ECMA-48, 8.3.117) as they are, and shows every other control character.
fn with_own_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        let (text, sequence) = rest.split_at(at);
        out.push_str(&harmless(text));
        let parameters = sequence
            .bytes()
            .skip(2)
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'))
            .count();
        // The two bytes of its beginning, its parameters, its end.
        let end = 2 + parameters + 1;
        if sequence.as_bytes().get(end - 1) == Some(&b'm') {
            let (colour, after) = sequence.split_at(end);
            out.push_str(colour);
            rest = after;
        } else {
            let (escape, after) = sequence.split_at(1);
            out.push_str(&harmless(escape));
            rest = after;
        }
    }
    out.push_str(&harmless(rest));
    out
}

/// Shows control characters as the symbols that Unicode has for them; what turns the direction of text, and the controls
/// of ISO 6429's second set, as U+FFFD.
fn harmless(text: &str) -> Cow<'_, str> {
    let shown = |c: char| match c {
        '\t' => None,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)),
        '\x7f' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
        _ => None,
    };
    if text.chars().all(|c| shown(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| shown(c).unwrap_or(c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_and_nothing_else_from_a_line() {
        for (line, shown) in [
            ("plain", "plain"),
            ("a\tb", "a\tb"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b[38;2;1;2;3mx", "\x1b[38;2;1;2;3mx\x1b[0m"),
            ("\x1b[2Jgone", "␛[2Jgone\x1b[0m"),
            ("\x1b[1;31", "␛[1;31\x1b[0m"),
            ("\x1b]0;title\x07", "␛]0;title␇"),
            ("over\rwritten", "over␍written"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("\u{202e}txt", "\u{fffd}txt"),
            ("an ERROR here", "\x1b[31man ERROR here\x1b[0m"),
            ("WARN x", "\x1b[33mWARN x\x1b[0m"),
            ("INFO x", "INFO x"),
        ] {
            assert_eq!(for_terminal(line, true), shown, "{line:?}");
        }
        assert_eq!(for_terminal("\x1b[31mred\x1b[0m \x1b[2Jx", false), "red x");
    }

    #[test]
    fn expressions_see_the_text_without_colours() {
        let re = |text: &str| vec![Regex::new(text).unwrap()];
        assert!(wanted("a\x1b[31mb\x1b[0mc", &re("^abc$"), &[]));
        assert!(!wanted("abc", &re("b"), &re("c")));
        assert!(wanted("abc", &[], &re("x")));
        assert!(!wanted("abc", &re("x"), &[]));
    }

    #[test]
    fn messages_of_later_versions_are_known_as_such() {
        let parse = |text| serde_json::from_str::<Message>(text).unwrap();
        assert!(matches!(parse(r#"{"type":"news","x":1}"#), Message::Unknown));
        let Message::Event(event) = parse(r#"{"type":"event","event":"new","later":[]}"#) else {
            panic!("an event");
        };
        assert_eq!((event.event.as_str(), event.message.as_str()), ("new", ""));
    }
}
