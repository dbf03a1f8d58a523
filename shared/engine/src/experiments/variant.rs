//! Variants of prompts as a team keeps them: Markdown with front matter.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Key, PromptVariant};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The longest prompt, in bytes. AppConfig does not carry it: the flag names the object.
const LONGEST: usize = 64 * 1024;
/// The longest hypothesis, in characters.
const HYPOTHESIS: usize = 500;
/// The most parameters.
const PARAMETERS: usize = 20;
/// The longest name or value of a parameter, or name of a model, in bytes.
const WORD: usize = 200;

/// The variants of an intent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    /// Those that can be used, by name.
    pub prompts: BTreeMap<String, Prompt>,
    /// Files that cannot, each with the reason.
    pub refused: BTreeMap<String, String>,
}

/// A variant with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// What is known of it.
    pub variant: PromptVariant,
    /// The prompt.
    pub text: String,
}

impl Prompt {
    /// The names that the application puts values in the place of: `{{customer}}`.
    #[must_use]
    pub fn placeholders(&self) -> BTreeSet<&str> {
        placeholders(&self.text)
    }
}

impl Library {
    /// Reads the files of an intent: name of the object and its bytes. Variants that lack a placeholder of the control's, or
    /// have another, would be filled in wrongly, and are refused.
    #[must_use]
    pub fn read(files: &BTreeMap<String, Vec<u8>>, control: &str, forbidden: &[String]) -> Self {
        let mut library = Self::default();
        for (object, bytes) in files {
            match read_variant(object, bytes, forbidden) {
                Ok(prompt) => drop(library.prompts.insert(prompt.variant.name.clone(), prompt)),
                Err(why) => drop(library.refused.insert(object.clone(), why)),
            }
        }
        if let Some(control) = library.prompts.get(control).cloned() {
            let wanted = control.placeholders();
            let others = library.prompts.iter().filter(|(_, prompt)| prompt.placeholders() != wanted);
            let odd: Vec<(String, String)> = others.map(|(name, prompt)| (name.clone(), told(&wanted, &prompt.placeholders()))).collect();
            for (name, why) in odd {
                if let Some(prompt) = library.prompts.remove(&name) {
                    library.refused.insert(prompt.variant.object, why);
                }
            }
        }
        library
    }

    /// The folder that holds the variants of an intent. A name that applications chose may hold a slash, which would make
    /// folders.
    #[must_use]
    pub fn folder(intent: &Key) -> String {
        format!("prompts/{}/", intent.as_str().replace('%', "%25").replace('/', "%2F"))
    }
}

fn told(wanted: &BTreeSet<&str>, found: &BTreeSet<&str>) -> String {
    let list = |names: Vec<&&str>| names.into_iter().map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ");
    let (missing, more) = (list(wanted.difference(found).collect()), list(found.difference(wanted).collect()));
    match (missing.is_empty(), more.is_empty()) {
        (false, true) => format!("it lacks {missing}, which the control has; put it in"),
        (true, _) => format!("it has {more}, which the control has not, and nobody would fill in; take it out"),
        (false, false) => format!("it lacks {missing} and has {more}; use the control's placeholders"),
    }
}

/// What stands before the text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    hypothesis: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    proposed: bool,
}

/// A parameter's value: written as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Parameter {
    Switch(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Parameter {
    fn into_text(self) -> String {
        match self {
            Self::Switch(on) => on.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// Reads a variant: `---`, front matter in YAML with `hypothesis` and, if wanted, `model` and `parameters`, `---`, the prompt.
///
/// # Errors
/// Why it cannot be used, naming the field, the value and the fix.
pub fn read_variant(object: &str, bytes: &[u8], forbidden: &[String]) -> Result<Prompt, String> {
    let name = object.rsplit('/').next().and_then(|file| file.strip_suffix(".md")).unwrap_or_default();
    let allowed = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err("its name is not 1 to 64 lower-case letters, digits and hyphens with .md behind them; rename it".to_owned());
    }
    if bytes.len() > LONGEST {
        return Err(format!("it has {} bytes; use at most {LONGEST}", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is no UTF-8 text: {error}; save it as UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (front, prompt) = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .ok_or("it has no front matter; begin it with a line ---, the hypothesis, and another line ---")?;
    let front: FrontMatter = serde_yaml_ng::from_str(front).map_err(|error| format!("front matter: {}", first_line(&error.to_string())))?;
    let hypothesis = front.hypothesis.trim().to_owned();
    if hypothesis.is_empty() || hypothesis.chars().count() > HYPOTHESIS {
        return Err(format!("hypothesis has {} characters; say in 1 to {HYPOTHESIS} what it is to bring", hypothesis.chars().count()));
    }
    if front.parameters.len() > PARAMETERS {
        return Err(format!("parameters has {} entries; use at most {PARAMETERS}", front.parameters.len()));
    }
    let parameters: BTreeMap<String, String> = front.parameters.into_iter().map(|(name, value)| (name, value.into_text())).collect();
    let words = parameters.iter().flat_map(|(name, value)| [name, value]).chain(&front.model);
    if let Some(long) = words.into_iter().find(|word| word.is_empty() || word.len() > WORD || word.chars().any(char::is_control)) {
        return Err(format!("{:?} is no name or value of the model or its parameters; use 1 to {WORD} printable bytes", first_line(long)));
    }
    let prompt = prompt.trim().to_owned();
    check_text(&prompt, forbidden)?;
    let variant = PromptVariant {
        name: name.to_owned(),
        object: object.to_owned(),
        sha256: hex::encode(Sha256::digest(bytes)),
        hypothesis,
        model: front.model,
        parameters,
        proposed: front.proposed,
    };
    Ok(Prompt { variant, text: prompt })
}

/// What holds for every prompt, whoever wrote it.
pub(super) fn check_text(prompt: &str, forbidden: &[String]) -> Result<(), String> {
    if prompt.is_empty() {
        return Err("there is no prompt behind the front matter; write it there".to_owned());
    }
    if prompt.chars().any(|char| char.is_control() && char != '\n' && char != '\t') {
        return Err("the prompt has a control character in it; use printable text".to_owned());
    }
    let lower = prompt.to_lowercase();
    match forbidden.iter().find(|phrase| lower.contains(phrase.as_str())) {
        Some(phrase) => Err(format!("the prompt says {phrase:?}, which the policy forbids (experiments.forbidden); take it out")),
        None => Ok(()),
    }
}

/// Names in double braces.
pub(super) fn placeholders(text: &str) -> BTreeSet<&str> {
    let opened = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    opened.map(|(name, _)| name.trim()).filter(|name| !name.is_empty() && !name.contains(['{', '\n'])).collect()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Prompt, String> {
        read_variant("prompts/billing/short.md", text.as_bytes(), &["guarantee".to_owned()])
    }

    #[test]
    fn a_variant_is_its_front_matter_and_its_text() {
        let text = "---\r\nhypothesis: Shorter answers resolve more.\r\nmodel: m-1\r\nparameters:\r\n  temperature: 0.2\r\n  stop: END\r\n  top_k: 5\r\n---\r\nAnswer {{ customer }} briefly.\r\n";
        let Prompt { variant, text } = read(text).expect("a variant");
        assert_eq!(
            (variant.name.as_str(), variant.model.as_deref(), text.as_str()),
            ("short", Some("m-1"), "Answer {{ customer }} briefly.")
        );
        let parameters: Vec<_> = variant.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(parameters, ["stop=END", "temperature=0.2", "top_k=5"]);
        assert_eq!(placeholders(&text), BTreeSet::from(["customer"]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix() {
        for (text, told) in [
            ("Answer.", "it has no front matter"),
            ("---\nhypothesis: H\nmodell: m\n---\nAnswer.", "front matter: "),
            ("---\nhypothesis: \"\"\n---\nAnswer.", "hypothesis has 0 characters"),
            ("---\nhypothesis: H\n---\n \n", "there is no prompt"),
            ("---\nhypothesis: H\n---\nWe Guarantee it.", "the prompt says \"guarantee\", which the policy forbids"),
            ("---\nhypothesis: H\n---\nA\u{7}", "the prompt has a control character"),
            ("---\nhypothesis: H\nparameters: {a: [1]}\n---\nA", "front matter: "),
        ] {
            let why = read(text).expect_err("refused");
            assert!(why.starts_with(told), "{why} does not start with {told}");
        }
        for (object, bytes, told) in [
            ("prompts/billing/Short.md", b"x".to_vec(), "its name is not"),
            ("prompts/billing/short.txt", b"x".to_vec(), "its name is not"),
            ("prompts/billing/short.md", vec![b'a'; LONGEST + 1], "it has 65537 bytes"),
            ("prompts/billing/short.md", vec![0xff, 0xfe], "it is no UTF-8 text"),
        ] {
            let why = read_variant(object, &bytes, &[]).expect_err("refused");
            assert!(why.starts_with(told), "{why} does not start with {told}");
        }
    }

    #[test]
    fn variants_have_the_placeholders_of_the_control() {
        let file = |text: &str| format!("---\nhypothesis: H\n---\n{text}").into_bytes();
        let files = BTreeMap::from([
            ("prompts/billing/baseline.md".to_owned(), file("Help {{customer}} with {{order}}.")),
            ("prompts/billing/same.md".to_owned(), file("{{order}}: help {{customer}}, {not one}, {{}}.")),
            ("prompts/billing/less.md".to_owned(), file("Help {{customer}}.")),
            ("prompts/billing/other.md".to_owned(), file("Help {{customer}} with {{order}} as {{role}}.")),
        ]);
        let library = Library::read(&files, "baseline", &[]);
        assert_eq!(library.prompts.keys().collect::<Vec<_>>(), ["baseline", "same"]);
        assert_eq!(library.refused["prompts/billing/less.md"], "it lacks {{order}}, which the control has; put it in");
        assert!(library.refused["prompts/billing/other.md"].starts_with("it has {{role}}, which the control has not"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_variant_or_a_reason(bytes: Vec<u8>, front in "[a-z:{}\\[\\]\"'&*!|> \\n-]{0,80}") {
            let _ = read_variant("prompts/a/b.md", &bytes, &[]);
            let _ = read_variant("prompts/a/b.md", format!("---\n{front}\n---\nA").as_bytes(), &[]);
        }
    }
}
