//! From a document's bytes to the passages that can be found.

/// About how many words a passage has; Bedrock's default chunking makes passages of about 300 tokens.
const WORDS_PER_PASSAGE: usize = 225;

/// The passages of a document. The formats that need a parser of their own (PDF, Word, Excel) are known by their file
/// name only.
pub(super) fn passages(key: &str, content: &[u8]) -> Vec<String> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("txt" | "md" | "csv") => split(&String::from_utf8_lossy(content)),
        Some("html") => split(&without_markup(&String::from_utf8_lossy(content))),
        _ => vec![name.to_owned()],
    }
}

/// Cuts a text into passages at the ends of words, and changes nothing within them.
fn split(text: &str) -> Vec<String> {
    let mut passages = Vec::new();
    let (mut start, mut words, mut in_word) = (0, 0, false);
    for (at, character) in text.char_indices() {
        if character.is_whitespace() {
            if in_word && words == WORDS_PER_PASSAGE {
                passages.push(text[start..at].trim().to_owned());
                (start, words) = (at, 0);
            }
            in_word = false;
        } else if !in_word {
            in_word = true;
            words += 1;
        }
    }
    let rest = text[start..].trim();
    if !rest.is_empty() {
        passages.push(rest.to_owned());
    }
    passages
}

/// What a reader of the page sees, near enough to be found: no tags, scripts, styles or comments.
fn without_markup(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push(' ');
        rest = &rest[at..];
        let hidden = [("<!--", "-->"), ("<script", "</script"), ("<style", "</style")]
            .into_iter()
            .find(|(begin, _)| rest.get(..begin.len()).is_some_and(|it| it.eq_ignore_ascii_case(begin)));
        let end = match hidden {
            Some((_, end)) => find_ignoring_case(rest, end).map(|at| at + end.len() - 1),
            None => Some(0),
        };
        rest = end.and_then(|from| rest[from..].find('>').map(|at| &rest[from + at + 1..])).unwrap_or_default();
    }
    text.push_str(rest);
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", " "), ("&amp;", "&")] {
        text = text.replace(entity, character);
    }
    text
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window.eq_ignore_ascii_case(what.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_words_and_nothing_is_lost() {
        let words: Vec<String> = (0..1000).map(|number| format!("word{number}")).collect();
        let passages = passages("a.txt", words.join(" ").as_bytes());
        assert_eq!(passages.len(), 5);
        assert_eq!(passages.join(" "), words.join(" "));
    }

    #[test]
    fn markup_scripts_and_comments_are_not_text() {
        let html = "<html><STYLE>p{}</STYLE><!-- a > b --><p class='x'>Fish &amp; chips</p><script>x<y</script>!</html>";
        let found = passages("menu.HTML", html.as_bytes()).concat();
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), ["Fish", "&", "chips", "!"]);
    }

    #[test]
    fn broken_markup_ends_the_text() {
        assert_eq!(passages("a.html", b"seen <b unseen"), ["seen"]);
    }

    #[test]
    fn a_document_that_needs_a_parser_is_known_by_its_name() {
        assert_eq!(passages("plans/Budget 2026.xlsx", b"\x00\xff"), ["Budget 2026.xlsx"]);
    }

    #[test]
    fn a_blank_text_has_no_passages() {
        assert!(passages("a.md", b" \n ").is_empty());
    }
}
