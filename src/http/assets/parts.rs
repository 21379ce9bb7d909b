//! What of the page's sources is sent: the modules as one, the style sheets as one, without comments and compressed. All
//! of it is made once, when it is first asked for. There is no build step, and no code has to be understood for this, as
//! the sources keep to a form; `tests/page/sources.test.mjs` holds them to it.
//!
//! One part in place of forty is a third faster to open the first time, as a browser spends more than a millisecond on
//! each; and it is smaller by a fifth, as compression finds in one module what it has seen in another.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::EmbeddedFile;
use xxhash_rust::xxh3::Xxh3;

use super::Ui;

pub(super) const INDEX: &str = "index.html";

/// The module that starts the page, and the part that it and all that it imports become.
const MAIN: (&str, &str) = ("app.js", "page.js");
/// The style sheets in the order in which they apply, and the part that they become.
const STYLES: ([&str; 2], &str) = (["style.css", "log.css"], "page.css");

/// Everything that the page can ask for.
#[derive(Debug)]
pub(super) struct Parts {
    /// Another one whenever any source is another one.
    pub(super) version: String,
    parts: HashMap<String, Part>,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) plain: Bytes,
    pub(super) kind: String,
    packed: OnceLock<Option<Bytes>>,
}

impl Parts {
    /// Those of this moment. A debug build reads its sources from disk, and so a change to them is seen at once.
    pub(super) fn now() -> Arc<Self> {
        static LAST: Mutex<Option<Arc<Parts>>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |parts: &&Arc<Self>| !cfg!(debug_assertions) || parts.version == version();
        if let Some(parts) = last.as_ref().filter(is_current) {
            return Arc::clone(parts);
        }
        Arc::clone(last.insert(Arc::new(Self::new())))
    }

    fn new() -> Self {
        let version = version();
        let mut parts: HashMap<String, Part> = Ui::iter()
            .filter_map(|name| Some((name.clone().into_owned(), Part::of(&name, Ui::get(&name)?, &version))))
            .collect();
        let text = |name: &str| {
            let part = parts.get(name)?;
            String::from_utf8(part.plain.to_vec()).ok()
        };
        let mut script = String::new();
        join(MAIN.0, &text, &mut HashSet::new(), &mut script);
        let styles: String = STYLES.0.iter().filter_map(|name| text(name)).collect();
        let joined = [(MAIN.0, MAIN.1, script), (STYLES.0[0], STYLES.1, styles)];
        for (like, name, text) in joined {
            let kind = parts.get(like).map(|part| part.kind.clone()).unwrap_or_default();
            parts.insert(name.to_owned(), Part::new(kind, text.into_bytes().into()));
        }
        Self { version, parts }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Part> {
        self.parts.get(name)
    }
}

impl Part {
    fn new(kind: String, plain: Bytes) -> Self {
        Self {
            plain,
            kind,
            packed: OnceLock::new(),
        }
    }

    fn of(name: &str, EmbeddedFile { data, metadata }: EmbeddedFile, version: &str) -> Self {
        let kind = match metadata.mimetype() {
            text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            other => other.to_owned(),
        };
        let plain = match (name.rsplit_once('.'), str::from_utf8(&data)) {
            (Some((_, "js" | "css")), Ok(text)) => without_comments(text).into(),
            (_, Ok(text)) if name == INDEX => text.replace("\"assets/", &format!("\"assets/{version}/")).into(),
            _ => Bytes::from_owner(data),
        };
        Self::new(kind, plain)
    }

    /// Compressed as far as it goes; None should that fail.
    pub(super) fn packed(&self) -> Option<Bytes> {
        let pack = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.plain).ok()?;
            encoder.finish().ok().map(Bytes::from)
        };
        self.packed.get_or_init(pack).clone()
    }
}

/// Sixteen digits for all sources together.
fn version() -> String {
    let mut hash = Xxh3::new();
    for name in Ui::iter() {
        hash.update(name.as_bytes());
        if let Some(file) = Ui::get(&name) {
            hash.update(&file.metadata.sha256_hash());
        }
    }
    format!("{:016x}", hash.digest())
}

/// Puts a module behind all that it imports, each once: a function that is called at once and gives what the module
/// exports, so that what else it names remains its own.
fn join(name: &str, text: &impl Fn(&str) -> Option<String>, seen: &mut HashSet<String>, out: &mut String) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let source = text(name).unwrap_or_default();
    let mut body = String::new();
    let mut exports = Vec::new();
    for line in source.lines() {
        if let Some((names, from)) = imported(line) {
            join(from, text, seen, out);
            let _ = writeln!(body, "const {} = {};", names.replace(" as ", ": "), value_of(from));
        } else if let Some(declaration) = line.strip_prefix("export ") {
            exports.extend(declared(declaration));
            let _ = writeln!(body, "{declaration}");
        } else {
            let _ = writeln!(body, "{line}");
        }
    }
    let exports = exports.join(", ");
    let _ = writeln!(
        out,
        "const {} = (() => {{\n{body}return {{ {exports} }};\n}})();",
        value_of(name)
    );
}

/// What a joined module's exports are called.
fn value_of(name: &str) -> String {
    format!("${}", name.trim_end_matches(".js"))
}

/// The names in braces and the module of an import.
fn imported(line: &str) -> Option<(&str, &str)> {
    let (names, from) = line.strip_prefix("import ")?.split_once(" from './")?;
    Some((names, from.strip_suffix("';")?))
}

/// The name in a declaration.
fn declared(declaration: &str) -> Option<&str> {
    let mut words = declaration.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.find(|word| !matches!(*word, "async" | "class" | "const" | "function" | ""))
}

/// A module or style sheet without its comments and indentation, a quarter of what would be sent: a comment has its lines
/// to itself, or is a type within an expression, and no text goes over lines.
fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        // A comment with code behind it on its line is a type within an expression.
        in_comment |= line.starts_with("/*") && (line.ends_with("*/") || !line.contains("*/"));
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            push_without_types(line, &mut out);
            out.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    out
}

/// What a line says apart from types in comments.
fn push_without_types(mut line: &str, out: &mut String) {
    while let Some((before, rest)) = line.split_once("/** @type") {
        let Some((_, behind)) = rest.split_once("*/") else {
            break;
        };
        out.push_str(before);
        line = behind.trim_start();
    }
    out.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_are_not_sent() {
        let source = "/**\n * What it is.\n */\n\n/* One. */\nconst a = 'http://x'; // kept\n  // Why.\n  let b = 1 / 2;\n/** @type {X} */ (b).y();\n";
        assert_eq!(
            without_comments(source),
            "const a = 'http://x'; // kept\nlet b = 1 / 2;\n(b).y();\n"
        );
    }

    #[test]
    fn modules_become_one_each_behind_what_it_imports() {
        let text = |name: &str| {
            let source = match name {
                "a.js" => "import { b as other } from './b.js';\nimport { C } from './c.js';\nother(C);\n",
                "b.js" => "import { C } from './c.js';\nexport async function b() {\n}\n",
                "c.js" => "const own = 1;\nexport const C = own;\nexport class D {\n}\n",
                _ => return None,
            };
            Some(source.to_owned())
        };
        let mut joined = String::new();
        join("a.js", &text, &mut HashSet::new(), &mut joined);
        assert_eq!(
            joined,
            "const $c = (() => {\nconst own = 1;\nconst C = own;\nclass D {\n}\nreturn { C, D };\n})();\n\
             const $b = (() => {\nconst { C } = $c;\nasync function b() {\n}\nreturn { b };\n})();\n\
             const $a = (() => {\nconst { b: other } = $b;\nconst { C } = $c;\nother(C);\nreturn {  };\n})();\n"
        );
    }
}
