//! What is searched for: plain text or a regular expression, in one line at a time.

use std::io;

use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{Searcher, SearcherBuilder, Sink, SinkMatch};
use memchr::memchr;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;
use thiserror::Error;

use super::Budget;
use crate::decode::Decoder;
use crate::split::{Line, Splitter, skip_holes};

/// Bytes of an expression as it is compiled. What is slowest to search for (`.{0,500}.{0,500}x`) costs time in
/// proportion to it, for every byte searched.
const MAX_COMPILED_BYTES: usize = 4 << 20;
/// Bytes of the tables that are made while searching.
const MAX_TABLE_BYTES: usize = 2 << 20;
/// The beginning of a line in which it is looked for.
pub(super) const MAX_LINE_BYTES: usize = 256 << 10;
/// Groups in groups.
const MAX_NESTING: u32 = 50;

/// How upper and lower case count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They differ where there is an upper-case letter in what is searched for.
    Smart,
    /// They differ.
    Sensitive,
    /// They are the same.
    Insensitive,
}

/// Why something can't be searched for, as a sentence for the person who asked.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct BadQuery(String);

/// Something that lines are searched for.
#[derive(Debug)]
pub struct Query {
    matcher: RegexMatcher,
    searcher: Searcher,
    /// Whether it is found among bytes wherever it is found in what is shown of them: plain text is, whatever is not
    /// valid around it. An expression may match what is shown for invalid bytes, or care for a `\r` before the line end.
    is_plain: bool,
    /// Whether the text around a line would change what is found in it: `\A`, `\z` and their like mean the ends of the
    /// line.
    needs_lines: bool,
}

impl Query {
    /// Something to be searched for: a regular expression in the syntax of the `regex` crate, or plain text.
    ///
    /// # Errors
    ///
    /// [`BadQuery`] where it is no regular expression, one of which the search would be too large, or has a line end in
    /// it.
    pub fn new(text: &str, is_regex: bool, case: Case) -> Result<Self, BadQuery> {
        if !is_regex && text.contains('\n') {
            return Err(BadQuery(
                "it has a line end, but lines are searched one by one".to_owned(),
            ));
        }
        let matcher = RegexMatcherBuilder::new()
            .fixed_strings(!is_regex)
            .case_smart(case == Case::Smart)
            .case_insensitive(case == Case::Insensitive)
            .line_terminator(Some(b'\n'))
            .multi_line(true)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_TABLE_BYTES)
            .nest_limit(MAX_NESTING)
            .build(text)
            .map_err(|error| BadQuery(error.to_string()))?;
        let parsed = ParserBuilder::new().multi_line(true).build().parse(text);
        let needs_lines = is_regex
            && parsed.is_ok_and(|parsed| {
                let looks = parsed.properties().look_set();
                looks.contains(Look::Start) || looks.contains(Look::End)
            });
        let searcher = SearcherBuilder::new().line_number(false).bom_sniffing(false).build();
        Ok(Self {
            matcher,
            searcher,
            is_plain: !is_regex && !text.contains(char::REPLACEMENT_CHARACTER),
            needs_lines,
        })
    }

    /// Finds it in a block of whole lines: where each line in which it is begins and ends.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the budget is used up.
    pub(super) fn lines_in(
        &mut self,
        block: &[u8],
        decoder: Decoder,
        budget: &Budget,
    ) -> io::Result<Vec<(usize, usize)>> {
        let mut lines = Vec::new();
        if self.fits(block, decoder) {
            let Self { searcher, matcher, .. } = self;
            // Neither searching memory nor the sink has errors.
            let _ = searcher.search_slice(&*matcher, block, Candidates(&mut lines));
            // What was found among the bytes need not be in the line as it is shown.
            lines.retain(|&(start, end)| self.is_in(block.get(start..end).unwrap_or_default(), decoder));
            return Ok(lines);
        }
        let (unit, mut start) = (decoder.unit(), 0);
        while start < block.len() {
            budget.check()?;
            let rest = block.get(start..).unwrap_or_default();
            let end = unit
                .find_line_end(rest)
                .map_or(block.len(), |at| start + at + unit.width());
            if self.is_in(block.get(start..end).unwrap_or_default(), decoder) {
                lines.push((start, end));
            }
            start = end;
        }
        Ok(lines)
    }

    /// Whether a block can be searched as it stands, all its lines at a time, in such a way that none is missed in which
    /// it would be found as it is shown. Holes are not shown, so there must be none.
    fn fits(&self, block: &[u8], decoder: Decoder) -> bool {
        let is_text = match decoder.is_utf8() {
            true => self.is_plain || simdutf8::basic::from_utf8(block).is_ok(),
            false => decoder.shows_ascii(block),
        };
        is_text && !self.needs_lines && memchr(0, block).is_none() && (self.is_plain || memchr(b'\r', block).is_none())
    }

    /// Whether it is in a line, given with its line end.
    fn is_in(&self, raw: &[u8], decoder: Decoder) -> bool {
        let mut splitter = Splitter::new(decoder.unit(), MAX_LINE_BYTES);
        let mut found = false;
        skip_holes(splitter.unit(), raw, &mut |_, part| {
            splitter.feed(part, &mut |line, _| found = self.is_in_line(line, decoder));
        });
        found || splitter.partial().is_some_and(|line| self.is_in_line(line, decoder))
    }

    /// Whether it is in a line, as far as that is held.
    pub(super) fn is_in_line(&self, mut line: Line<'_>, decoder: Decoder) -> bool {
        // Not in the note of how much is left out.
        line.len = line.bytes.len() as u64;
        // It has no errors.
        self.matcher.is_match(decoder.decode(line).as_bytes()).unwrap_or(false)
    }
}

/// Takes the lines in which a searcher finds something.
struct Candidates<'a>(&'a mut Vec<(usize, usize)>);

impl Sink for Candidates<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        let start = usize::try_from(found.absolute_byte_offset()).unwrap_or(usize::MAX);
        self.0.push((start, start.saturating_add(found.bytes().len())));
        Ok(true)
    }
}
