//! Keys, tokens and passwords: by their published form (as gitleaks collects them), as the value of a field whose name
//! says so, or after words that do.

use std::ops::Range;

use crate::Kind;
use crate::context::{Context, Topic};
use crate::name;
use crate::text::{Text, is_word};

/// What tokens begin with, and the fewest characters that follow.
const PREFIXES: &[(&str, usize)] = &[
    // AWS: access key ids, Bedrock API keys.
    ("AKIA", 16),
    ("ASIA", 16),
    ("ABIA", 16),
    ("ACCA", 16),
    ("A3T", 17),
    ("ABSK", 80),
    ("bedrock-api-key-", 20),
    // AWS: the first bytes of session tokens.
    ("FwoGZXIvYXdz", 40),
    ("IQoJb3JpZ2lu", 40),
    ("FQoGZXIvYXdz", 40),
    // GitHub, GitLab.
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("glptt-", 20),
    ("glcbt-", 20),
    ("gloas-", 20),
    ("glsoat-", 20),
    ("glagent-", 20),
    ("glft-", 20),
    ("glimt-", 20),
    ("GR1348941", 20),
    // Slack, Stripe.
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xoxe-", 10),
    ("xoxo-", 10),
    ("xapp-", 10),
    ("xoxe.xox", 10),
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("rk_test_", 10),
    ("sk_prod_", 10),
    ("rk_prod_", 10),
    ("whsec_", 16),
    // Google.
    ("AIza", 35),
    ("ya29.", 20),
    ("GOCSPX-", 20),
    ("1//0", 30),
    // Models: OpenAI, Anthropic and those that write theirs alike.
    ("sk-ant-", 20),
    ("sk-proj-", 20),
    ("sk-svcacct-", 20),
    ("sk-admin-", 20),
    ("sk-or-", 20),
    ("sk-", 20),
    ("hf_", 30),
    ("pplx-", 30),
    ("gsk_", 30),
    ("r8_", 30),
    ("xai-", 30),
    ("nvapi-", 30),
    ("tvly-", 20),
    ("lsv2_", 30),
    ("api_org_", 30),
    ("pcsk_", 30),
    ("pa-", 40),
    // Others that are seen often.
    ("npm_", 36),
    ("pypi-AgE", 30),
    ("SG.", 40),
    ("shpat_", 32),
    ("shpca_", 32),
    ("shppa_", 32),
    ("shpss_", 32),
    ("dop_v1_", 40),
    ("doo_v1_", 40),
    ("dor_v1_", 40),
    ("dapi", 32),
    ("dckr_pat_", 20),
    ("hvs.", 24),
    ("hvb.", 30),
    ("PMAK-", 40),
    ("rubygems_", 48),
    ("glsa_", 30),
    ("glc_", 32),
    ("sntrys_", 30),
    ("sntryu_", 40),
    ("lin_api_", 30),
    ("ntn_", 30),
    ("figd_", 30),
    ("pul-", 40),
    ("dp.pt.", 40),
    ("sbp_", 40),
    ("sq0atp-", 22),
    ("sq0csp-", 30),
    ("EAAA", 50),
    ("AGE-SECRET-KEY-", 40),
    ("key-", 32),
    ("SK", 32),
    ("AC", 32),
    ("xkeysib-", 40),
    ("tfp_", 30),
    ("ops_eyJ", 100),
    ("pat-na1-", 30),
    ("dt0c01.", 30),
    ("LTAI", 20),
    ("v1.0-", 100),
    ("secret_", 32),
    ("sha256~", 40),
];

/// For each first byte, whether a token begins with it.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut place = 0;
    while place < PREFIXES.len() {
        first[PREFIXES[place].0.as_bytes()[0] as usize] = true;
        place += 1;
    }
    first[b'e' as usize] = true;
    first
};

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'.' | b'=' | b'~')
}

/// The token that begins with a word.
pub(crate) fn token(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let start = word.start;
    if !FIRST[usize::from(text.byte(start))] {
        return None;
    }
    // A prefix ends with its word and a sign, or the word is long.
    if word.len() < 16 && !matches!(text.byte(word.end), b'_' | b'-' | b'.' | b'/' | b'~') {
        return None;
    }
    let rest = text.slice(start..text.text.len());
    if rest.starts_with("eyJ") {
        return jwt(text, start);
    }
    if text.before(start).is_some_and(|before| before == '_' || before == '-') {
        return None;
    }
    let (prefix, fewest) = PREFIXES.iter().find(|(prefix, fewest)| {
        rest.starts_with(prefix) && text.run(start + prefix.len(), is_token) >= start + prefix.len() + fewest
            || prefix.ends_with('.')
                && rest.starts_with(prefix)
                && text.run(start + prefix.len(), is_base64) >= start + prefix.len() + fewest
    })?;
    let from = start + prefix.len();
    let is_long = prefix.starts_with(['F', 'I']) || prefix.ends_with('.') || *prefix == "ABSK" || *prefix == "bedrock-api-key-";
    let end = text.run(from, if is_long { is_base64 } else { is_token });
    let body = text.slice(from..end);
    let digits = body.bytes().filter(u8::is_ascii_digit).count();
    let fits = match *prefix {
        // Exactly so long, and of one alphabet: the prefixes are short.
        "AKIA" | "ASIA" | "ABIA" | "ACCA" | "A3T" => {
            body.len() == *fewest && body.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        }
        "SK" | "AC" | "dapi" | "key-" => body.len() == *fewest && body.bytes().all(|byte| byte.is_ascii_hexdigit()),
        // A phrase with hyphens has no digits.
        _ => digits > 1 || body.len() >= 60,
    };
    fits.then_some(start..end)
}

/// A JSON web token (RFC 7519): two parts of base64url that begin with `{"`, and a signature.
fn jwt(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    let header = text.run(start, is_token);
    if header < start + 12 || text.byte(header) != b'.' || !text.slice(header + 1..text.text.len()).starts_with("eyJ") {
        return None;
    }
    let end = text.run(header + 1, |byte| is_token(byte) || byte == b'.' || byte == b'=');
    let end = if text.byte(end - 1) == b'.' { end - 1 } else { end };
    Some(start..end)
}

/// A private key in PEM (RFC 7468), from its first line to its last; to the text's end if that is missing.
pub(crate) fn private_key(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    let rest = text.slice(start..text.text.len());
    let label = rest.strip_prefix("-----BEGIN ")?;
    let title: &str = label.get(..label.bytes().take(64).position(|byte| byte == b'-')?)?;
    if !title.ends_with("PRIVATE KEY") && !title.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let body = start + 11 + title.len() + 5;
    let last = text.slice(body..text.text.len()).find("-----END ").map(|at| body + at + 9);
    let end = last.map_or(text.text.len(), |last| {
        let dashes = text.run(last, |byte| byte.is_ascii_uppercase() || byte == b' ');
        text.run(dashes, |byte| byte == b'-').min(dashes + 5)
    });
    Some(start..end)
}

/// The end of a private key whose beginning is not there: its lines before the last.
pub(crate) fn end_of_private_key(text: Text<'_>, start: usize) -> Option<Range<usize>> {
    let title = text.slice(start..text.text.len()).strip_prefix("-----END ")?;
    let title = title.get(..title.bytes().take(64).position(|byte| byte == b'-')?)?;
    if !title.ends_with("PRIVATE KEY") && !title.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let is_line = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b'\\');
    let lines = text.bytes()[..start].iter().rev().take_while(|byte| is_line(byte)).count();
    Some(start - lines..text.run(start + 9 + title.len(), |byte| byte == b'-').min(start + 9 + title.len() + 5))
}

/// The secret of an AWS access key that stands near after its id: 40 characters of base64.
pub(crate) fn of_access_key(text: Text<'_>, id: &Range<usize>) -> Option<Range<usize>> {
    if !["AKIA", "ASIA"].iter().any(|prefix| text.slice(id.clone()).starts_with(prefix)) {
        return None;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut at = id.end;
    while at < text.text.len().min(id.end + 80) {
        let end = text.run(at, is_base64);
        let value = text.slice(at..end);
        let has = |is_one: fn(&u8) -> bool| value.as_bytes().iter().any(is_one);
        if value.len() == 40 && has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) {
            return Some(at..end);
        }
        at = end.max(at + 1);
    }
    None
}

/// `--password hunter2`, as tools are told it.
pub(crate) fn option(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    let is_option = is_password(text.slice(word.clone())) && text.slice(0..word.start).ends_with("--") && text.byte(word.end) == b' ';
    let value = value_at(text, text.past_spaces(word.end), None);
    (is_option && is_secret(text.slice(value.clone()), Name::Password, true)).then_some(value)
}

/// `Bearer TOKEN`, wherever it stands.
pub(crate) fn bearer(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    if !text.slice(word.clone()).eq_ignore_ascii_case("bearer") {
        return None;
    }
    let start = text.past_spaces(word.end);
    let end = text.run(start, is_base64);
    let token = text.slice(start..end).trim_end_matches('.');
    let is_random = token.len() >= 16 && token.bytes().any(|byte| byte.is_ascii_digit());
    (start > word.end && is_random).then(|| start..start + token.len())
}

/// A short number right after PIN, CVV or one-time password.
pub(crate) fn pin(text: Text<'_>, digits: &Range<usize>, context: &Context) -> Option<Range<usize>> {
    if !context.is(Topic::Pin) || !(3..=8).contains(&digits.len()) {
        return None;
    }
    let near = text.words_before(digits.start, 24).take(3).any(|word| crate::context::topic(text.slice(word)) == Some(Topic::Pin));
    (near && text.opens(digits.start) && text.closes(digits.end)).then(|| digits.clone())
}

/// How sure the name of a field is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// A password may be any word.
    Password,
    /// What is called a token or key is one only if it looks drawn at random.
    Token,
    /// The header, with its scheme.
    Authorization,
}

fn name_of(key: &str) -> Option<Name> {
    const PASSWORDS: [&str; 14] = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "passwort",
        "contraseña",
        "senha",
        "motdepasse",
        "kennwort",
        "wachtwoord",
        "pass",
        "clave",
        "userpass",
        "dbpass",
    ];
    const TOKENS: [&str; 19] = [
        "secret",
        "token",
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "accountkey",
        "accesskeyid",
        "secretaccesskey",
        "clientsecret",
        "sharedaccesskey",
        "signature",
        "credential",
        "sessionkey",
        "authkey",
        "sessionid",
        "cookie",
        "encryptionkey",
        "jwt",
    ];
    if key.ends_with("authorization") {
        return Some(Name::Authorization);
    }
    if PASSWORDS.iter().any(|name| key.ends_with(name)) && !key.ends_with("compass") && !key.ends_with("bypass") {
        return Some(Name::Password);
    }
    let is_token =
        TOKENS.iter().any(|name| key.ends_with(name)) || matches!(key, "sig" | "auth" | "key" | "accesstoken" | "xapikey" | "sas");
    is_token.then_some(Name::Token)
}

/// The value of the field whose colon or equals sign this is, if the field's name says that it is secret or a name.
pub(crate) fn field(text: Text<'_>, sign: usize) -> Option<(Range<usize>, Kind)> {
    let (key, quote) = key_before(text, sign)?;
    let mut start = sign + 1;
    // "=>", ":=", "==" and spaces.
    start = text.run(start, |byte| matches!(byte, b'=' | b'>')).min(start + 2);
    start = text.past_spaces(start).min(start + 8);
    start = past_markup(text, start);
    // JSON in a text in JSON: each level doubles the backslashes.
    let level = text.run(start, |byte| byte == b'\\').min(start + 7) - start;
    start += level;
    let opening = text.byte(start);
    let quoted = matches!(opening, b'"' | b'\'' | b'`');
    if quoted {
        start = past_markup(text, start + 1);
    }
    if let Some(found) = field_of_name(text, &key, start, quoted, opening) {
        return Some((found, Kind::PersonName));
    }
    let name = name_of(&key)?;
    let closing = quoted.then_some(Closing { quote: opening, is_escaped: level > 0 });
    let mut value = value_at(text, start, closing);
    if matches!(name, Name::Authorization | Name::Token) || key.ends_with("auth") {
        for scheme in ["Bearer ", "Basic ", "Token ", "token ", "bearer ", "basic ", "Digest ", "ApiKey "] {
            if text.slice(value.start..text.text.len()).starts_with(scheme) {
                value = value_at(text, value.start + scheme.len(), closing);
            }
        }
    }
    let spaced_colon = text.byte(sign) == b':' && !quoted && quote.is_none() && text.byte(sign + 1) == b' ';
    is_secret(text.slice(value.clone()), name, spaced_colon).then_some((value, Kind::Secret))
}

fn field_of_name(text: Text<'_>, key: &str, start: usize, quoted: bool, opening: u8) -> Option<Range<usize>> {
    if !matches!(key.as_bytes().last(), Some(b'e' | b'r')) {
        return None;
    }
    let value = if quoted { value_at(text, start, Some(Closing { quote: opening, is_escaped: false })) } else { start..start };
    name::field(text, key, &value, quoted)
}

/// The field's name in small letters without signs, and the quote that closed it.
fn key_before(text: Text<'_>, sign: usize) -> Option<(String, Option<u8>)> {
    let mut at = sign;
    while at > 0 && matches!(text.byte(at - 1), b' ' | b'\t') && sign - at < 3 {
        at -= 1;
    }
    let mut quote = None;
    if at > 0 && matches!(text.byte(at - 1), b'"' | b'\'' | b'`') {
        quote = Some(text.byte(at - 1));
        at -= 1;
        while at > 0 && text.byte(at - 1) == b'\\' {
            at -= 1;
        }
    }
    // The last letters of the names above, so that most fields are told at one look.
    if !matches!(text.byte(at.checked_sub(1)?) | 0x20, b'd' | b'e' | b't' | b'n' | b'y' | b's' | b'l' | b'h' | b'a' | b'r' | b'g' | b'p') {
        return None;
    }
    let before = text.slice(0..at);
    let length: usize = before
        .chars()
        .rev()
        .take(48)
        .take_while(|character| is_word(*character) || matches!(character, '_' | '-' | '.'))
        .map(char::len_utf8)
        .sum();
    let key: String = before[at - length..].chars().filter(|character| is_word(*character)).flat_map(char::to_lowercase).collect();
    (key.len() >= 3).then_some((key, quote))
}

/// What emphasises a value that follows: `**hunter2**`, `<b>hunter2</b>`.
fn past_markup(text: Text<'_>, start: usize) -> usize {
    const TAGS: [&str; 10] = ["<b>", "<i>", "<em>", "<strong>", "<code>", "<td>", "<span>", "<kbd>", "<tt>", "<pre>"];
    let rest = text.slice(start..text.text.len());
    let tag = TAGS.iter().find(|tag| rest.starts_with(*tag)).map_or(0, |tag| tag.len());
    text.run(start + tag, |byte| byte == b'*').min(start + tag + 2)
}

/// The quote that ends a value.
#[derive(Clone, Copy)]
struct Closing {
    quote: u8,
    /// Whether it has backslashes before it, as in JSON that is a text. Without, one that has is a part of the value.
    is_escaped: bool,
}

/// A value up to its quote, or up to what ends one that has none.
fn value_at(text: Text<'_>, start: usize, closing: Option<Closing>) -> Range<usize> {
    const LONGEST: usize = 4_096;
    let rest = text.slice(start..text.text.len());
    let mut escapes = false;
    let length: usize = rest
        .chars()
        .take(LONGEST)
        .take_while(|&character| match closing {
            Some(Closing { quote, is_escaped }) => {
                let ends = character == char::from(quote) && (is_escaped || !escapes);
                escapes = character == '\\' && !escapes;
                !ends && character != '\n'
            }
            None => !character.is_whitespace() && !matches!(character, '"' | '\'' | '`' | ',' | ';' | '&' | '<' | '>' | ')' | ']' | '}'),
        })
        .map(char::len_utf8)
        .sum();
    let value = &rest[..length];
    let value = value.trim_end_matches('\\');
    let value = if closing.is_none() { value.trim_end_matches(['.', ':']) } else { value };
    let value = value.split("</").next().unwrap_or_default().trim_end_matches('*');
    start..start + value.len()
}

fn is_secret(value: &str, name: Name, in_prose: bool) -> bool {
    const NOTHING: [&str; 22] = [
        "null",
        "none",
        "nil",
        "true",
        "false",
        "undefined",
        "required",
        "string",
        "optional",
        "redacted",
        "hidden",
        "empty",
        "yes",
        "missing",
        "invalid",
        "expired",
        "incorrect",
        "wrong",
        "protected",
        "reset",
        "bearer",
        "basic",
    ];
    let fewest = if name == Name::Password { 4 } else { 8 };
    let is_template = value.starts_with(['{', '<', '$', '%', '[', '('])
        || value.contains("${")
        || value.starts_with("process.env")
        || value.starts_with("os.environ");
    let differs = value.chars().any(|character| !matches!(character, '*' | 'x' | 'X' | '.' | '•' | '-' | '_'));
    if value.len() < fewest || is_template || !differs || NOTHING.iter().any(|nothing| value.eq_ignore_ascii_case(nothing)) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_mixed = value.bytes().any(|byte| byte.is_ascii_lowercase()) && value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let has_sign = value.bytes().any(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'.' | b'-' | b'\'' | b'/' | b':'));
    match name {
        Name::Password => !in_prose || digits > 0 || is_mixed || has_sign,
        Name::Authorization => digits > 0 || is_mixed,
        Name::Token => {
            !value.contains(' ')
                && (digits > 0 && digits < value.len() || value.len() >= 24 && is_mixed || digits >= 12)
                && !value.contains("://")
        }
    }
}

fn is_password(word: &str) -> bool {
    let known = ["password", "passwort", "passphrase", "contraseña", "passcode", "passwd", "senha"];
    known.contains(&word.to_lowercase().as_str())
}

/// "My password is hunter2."
pub(crate) fn said(text: Text<'_>, word: &Range<usize>) -> Option<Range<usize>> {
    if !is_password(text.slice(word.clone())) {
        return None;
    }
    let verb = text.words_after(word.end, 12).next().filter(|verb| verb.start == word.end + 1)?;
    if !matches!(text.slice(verb.clone()), "is" | "was" | "ist" | "es" | "é" | "to") {
        return None;
    }
    let start = text.run(verb.end, |byte| matches!(byte, b' ' | b':' | b'"' | b'\'' | b'`' | b'*')).min(verb.end + 4);
    let value = value_at(text, start, None);
    is_secret(text.slice(value.clone()), Name::Password, true).then_some(value)
}
