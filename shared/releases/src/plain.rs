//! A text without what terminals, logs and wire formats put around its letters.

/// A text made plain, and the same in lower case with spaces for line breaks, byte for byte as long.
pub(crate) struct Plain {
    /// As written, with one space for several, and one line break where lines were wrapped.
    pub(crate) text: String,
    /// For finding phrases.
    pub(crate) flat: String,
}

impl Plain {
    pub(crate) fn of(raw: &str) -> Self {
        Self::new(plain(raw))
    }

    /// With the lines joined without a space: what a terminal broke within words.
    pub(crate) fn joined(&self) -> Self {
        Self::new(self.text.replace('\n', ""))
    }

    fn new(text: String) -> Self {
        let mut flat = text.replace('\n', " ");
        flat.make_ascii_lowercase();
        Self { text, flat }
    }

    /// Where the text goes on after the first of a phrase's mentions from a place on.
    pub(crate) fn after(&self, phrase: &str, from: usize) -> Option<usize> {
        Some(from + self.flat.get(from..)?.find(phrase)? + phrase.len())
    }

    pub(crate) fn has(&self, phrase: &str) -> bool {
        self.flat.contains(phrase)
    }

    pub(crate) fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }

    /// Whether a word is there as a whole: not within a longer word or name.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.flat.match_indices(word).any(|(at, _)| {
            let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let bytes = self.flat.as_bytes();
            !is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_part(bytes.get(at + word.len()))
        })
    }
}

/// Letters that stand for others in JSON, XML and HTML.
const ESCAPES: &[(&str, char)] = &[
    ("\\\"", '"'),
    ("\\n", '\n'),
    ("\\t", ' '),
    ("\\r", '\n'),
    ("\\/", '/'),
    ("\\u0022", '"'),
    ("\\u0027", '\''),
    ("\\u003c", '<'),
    ("\\u003e", '>'),
    ("\\u0026", '&'),
    ("&quot;", '"'),
    ("&apos;", '\''),
    ("&#39;", '\''),
    ("&#x27;", '\''),
    ("&#34;", '"'),
    ("&lt;", '<'),
    ("&gt;", '>'),
    ("&amp;", '&'),
];

fn plain(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        if character == '\u{1b}' || character == '\u{9b}' {
            rest = past_escape(rest);
            continue;
        }
        if matches!(character, '\\' | '&')
            && let Some((escape, plain)) = ESCAPES.iter().find(|(escape, _)| starts_with(rest, escape))
        {
            push(&mut text, *plain);
            rest = &rest[escape.len()..];
            continue;
        }
        push(&mut text, character);
        rest = &rest[character.len_utf8()..];
    }
    text.truncate(text.trim_end().len());
    text
}

fn starts_with(text: &str, escape: &str) -> bool {
    text.as_bytes().get(..escape.len()).is_some_and(|start| start.eq_ignore_ascii_case(escape.as_bytes()))
}

fn push(text: &mut String, character: char) {
    let character = match character {
        '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        '‘' | '’' | '`' => '\'',
        '“' | '”' | '«' | '»' => '"',
        // Frames that terminals draw around messages.
        '\u{2500}'..='\u{257f}' | '\u{feff}' | '\u{200b}' | '\u{fffd}' => ' ',
        space if space.is_whitespace() || space.is_control() => ' ',
        other => other,
    };
    match character {
        ' ' if text.is_empty() || text.ends_with([' ', '\n']) => {}
        '\n' if text.is_empty() || text.ends_with('\n') => {}
        '\n' if text.ends_with(' ') => {
            text.pop();
            text.push('\n');
        }
        other => text.push(other),
    }
}

/// Past a terminal's control sequence (ECMA-48): CSI up to its final letter, OSC up to its terminator, others one letter.
fn past_escape(text: &str) -> &str {
    let mut characters = text.char_indices();
    let introducer = match characters.next() {
        Some((_, '\u{9b}')) => Some('['),
        _ => characters.next().map(|(_, character)| character),
    };
    let end = match introducer {
        Some('[') => characters.find(|(_, character)| matches!(character, '@'..='~' | '\n')),
        Some(']') => characters.find(|(_, character)| matches!(character, '\u{7}' | '\u{1b}' | '\u{9c}' | '\n')),
        _ => None,
    };
    match (introducer, end) {
        (Some('[' | ']'), Some((at, '\n'))) => &text[at..],
        (Some('['), Some((at, character))) => &text[at + character.len_utf8()..],
        (Some(']'), Some((at, '\u{1b}'))) => text[at..].strip_prefix("\u{1b}\\").unwrap_or(&text[at..]),
        (Some(']'), Some((at, character))) => &text[at + character.len_utf8()..],
        (Some('[' | ']'), None) => "",
        (Some(_), _) => characters.as_str(),
        (None, _) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_frames_and_escapes_go_and_lines_stay() {
        for (raw, text) in [
            ("\u{1b}[31mError\u{1b}[0m: no", "Error: no"),
            ("\u{1b}]8;;https://a\u{7}link\u{1b}]8;;\u{1b}\\ there", "link there"),
            ("│ Error: a\r\n│   b  c\n╵", "Error: a\nb c"),
            (r#"{\"Message\":\"a &quot;b&quot;\\nc"#, "{\"Message\":\"a \"b\"\\\nc"),
            ("cut \u{1b}[3", "cut"),
            ("cut \u{1b}", "cut"),
        ] {
            assert_eq!(Plain::of(raw).text, text, "{raw:?}");
        }
    }
}
